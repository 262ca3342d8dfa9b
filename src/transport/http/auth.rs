//! Who we are to a server: credentials, where they come from, and when they are sent.

use base64::prelude::{BASE64_STANDARD, Engine};

use super::url::Origin;
use crate::error::Result;

/// What is sent to a server that wants to know who we are.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A user name (without colon) and a password or token, for HTTP Basic authentication (RFC 7617).
    Basic {
        /// The user name.
        username: String,
        /// The password or token.
        password: String,
    },
    /// Credentials of any other scheme (RFC 9110, 11.4), such as `Bearer` (RFC 6750).
    Scheme {
        /// The name of the scheme.
        name: String,
        /// What follows it.
        value: String,
    },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

impl Credentials {
    /// The value of an `Authorization` header.
    pub(super) fn header(&self) -> String {
        match self {
            Credentials::Basic { username, password } => {
                format!(
                    "Basic {}",
                    BASE64_STANDARD.encode(format!("{username}:{password}"))
                )
            }
            Credentials::Scheme { name, value } => format!("{name} {value}"),
        }
    }
}

/// Where credentials come from when a server asks for them, and who is told whether they were good.
///
/// The URL is that of the repository without userinfo, after redirects. Each method may talk to the user.
pub trait Authenticate: Send {
    /// Credentials for `url` that were not refused yet; `www_authenticate` are the values of the server's headers, in
    /// order. `None` if there are none to be had.
    ///
    /// # Errors
    /// When asking for them fails.
    fn credentials(&mut self, url: &str, www_authenticate: &[String]) -> Result<Option<Credentials>>;

    /// The server took `credentials`.
    fn approve(&mut self, url: &str, credentials: &Credentials);

    /// The server refused `credentials`.
    fn reject(&mut self, url: &str, credentials: &Credentials);

    /// What the user can do when there are no (more) credentials.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// What is known about authentication so far.
#[derive(Default)]
pub(super) struct Auth {
    pub(super) source: Option<Box<dyn Authenticate>>,
    known: Option<Known>,
    /// What the server refused last. Sending it again could lock the account.
    refused: Option<Credentials>,
    /// Where the first request went: extra headers are for this server alone.
    home: Option<Origin>,
}

struct Known {
    origin: Origin,
    credentials: Credentials,
    approved: bool,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth").finish_non_exhaustive()
    }
}

impl Auth {
    /// Whether `url` is on the server that the first request went to.
    pub(super) fn at_home(&mut self, url: &str) -> bool {
        let Some(here) = Origin::of(url) else { return false };
        self.home.get_or_insert_with(|| here.clone()).covers(&here)
    }

    /// See [`Authenticate::hint`].
    pub(super) fn hint(&self) -> Option<String> {
        self.source.as_ref()?.hint()
    }

    /// The credentials to send to `url` without being asked.
    pub(super) fn known(&self, url: &str) -> Option<Credentials> {
        let known = self.known.as_ref()?;
        let here = Origin::of(url)?;
        known.origin.covers(&here).then(|| known.credentials.clone())
    }

    /// The server of `url` (a repository at `base`) wants credentials: find some and remember them.
    pub(super) fn ask(&mut self, base: &str, www_authenticate: &[String]) -> Result<Option<Credentials>> {
        let (Some(source), Some(origin)) = (&mut self.source, Origin::of(base)) else {
            return Ok(None);
        };
        let found = source.credentials(base, www_authenticate)?;
        let Some(credentials) = found.filter(|found| Some(found) != self.refused.as_ref()) else {
            return Ok(None);
        };
        self.known = Some(Known {
            origin,
            credentials: credentials.clone(),
            approved: false,
        });
        Ok(Some(credentials))
    }

    /// A request with the known credentials succeeded.
    pub(super) fn accepted(&mut self, base: &str) {
        if let Some(known) = self.known.as_mut().filter(|known| !known.approved) {
            known.approved = true;
            if let Some(source) = &mut self.source {
                source.approve(base, &known.credentials);
            }
        }
    }

    /// A request with the known credentials was answered by 401.
    pub(super) fn refused(&mut self, base: &str) {
        let known = self.known.take();
        if let Some(known) = known
            && let Some(source) = &mut self.source
        {
            source.reject(base, &known.credentials);
            self.refused = Some(known.credentials);
        }
    }
}

/// Whether one of the challenges is for `scheme`. Several challenges may share a header (RFC 9110, 11.6.1).
pub(super) fn offers(scheme: &str, www_authenticate: &[String]) -> bool {
    www_authenticate
        .iter()
        .flat_map(|value| value.split(','))
        .filter_map(|part| part.split_whitespace().next())
        .any(|word| word.eq_ignore_ascii_case(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7617, 2.
    #[test]
    fn a_user_name_and_a_password_make_a_header() {
        let aladdin = Credentials::Basic {
            username: "Aladdin".into(),
            password: "open sesame".into(),
        };
        assert_eq!(aladdin.header(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }

    #[test]
    fn schemes_are_found_among_other_challenges() {
        let offers = |value: &str| offers("basic", &[value.to_owned()]);
        assert!(offers("Basic realm=\"git\""));
        assert!(offers("Bearer realm=\"x\", basic realm=\"y\""));
        assert!(!offers("Bearer realm=\"basic\""));
        assert!(!offers("Negotiate"));
    }

    #[test]
    fn secrets_stay_out_of_debug_output() {
        let secret = Credentials::Basic {
            username: "u".into(),
            password: "hunter2".into(),
        };
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}
