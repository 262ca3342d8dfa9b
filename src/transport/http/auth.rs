//! Who we are to a server: credentials, where they come from, and when they are sent.

use super::url::Origin;
use crate::error::Result;

/// A user name and password for HTTP Basic authentication (RFC 7617).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name; it has no colon.
    pub username: String,
    /// The password or token.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

impl Credentials {
    /// The value of an `Authorization` header.
    pub(super) fn basic(&self) -> String {
        format!(
            "Basic {}",
            base64(format!("{}:{}", self.username, self.password).as_bytes())
        )
    }
}

/// Where credentials come from when a server asks for them, and who is told whether they were good.
///
/// The URL is that of the repository without userinfo, after redirects. Each method may talk to the user.
pub trait Authenticate: Send {
    /// Credentials for `url`; `www_authenticate` are the values of the server's headers, in order. `None` if there
    /// are none to be had.
    fn credentials(&mut self, url: &str, www_authenticate: &[String]) -> Result<Option<Credentials>>;

    /// The server took `credentials`.
    fn approve(&mut self, url: &str, credentials: &Credentials);

    /// The server refused `credentials`.
    fn reject(&mut self, url: &str, credentials: &Credentials);
}

/// The credentials that stood in a URL: given once, and only to the host (scheme, port) they stood in front of.
#[derive(Debug)]
pub struct UserInfo {
    origin: Option<Origin>,
    credentials: Option<Credentials>,
}

impl UserInfo {
    /// `credentials` are for the server of `url`.
    pub fn new(url: &str, credentials: Credentials) -> Self {
        UserInfo {
            origin: Origin::of(url),
            credentials: Some(credentials),
        }
    }
}

impl Authenticate for UserInfo {
    fn credentials(&mut self, url: &str, _www_authenticate: &[String]) -> Result<Option<Credentials>> {
        let allowed = match (&self.origin, Origin::of(url)) {
            (Some(ours), Some(theirs)) => ours.covers(&theirs),
            _ => false,
        };
        Ok(if allowed { self.credentials.take() } else { None })
    }

    fn approve(&mut self, _url: &str, _credentials: &Credentials) {}

    fn reject(&mut self, _url: &str, _credentials: &Credentials) {}
}

/// What is known about authentication so far.
#[derive(Default)]
pub(super) struct Auth {
    pub(super) source: Option<Box<dyn Authenticate>>,
    known: Option<Known>,
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
        let Some(credentials) = source.credentials(base, www_authenticate)? else {
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
        if let Some(known) = self.known.take()
            && let Some(source) = &mut self.source
        {
            source.reject(base, &known.credentials);
        }
    }
}

/// Whether one of the challenges is for Basic authentication. Several challenges may share a header (RFC 9110, 11.6.1).
pub(super) fn offers_basic(www_authenticate: &[String]) -> bool {
    www_authenticate
        .iter()
        .flat_map(|value| value.split(','))
        .filter_map(|part| part.split_whitespace().next())
        .any(|word| word.eq_ignore_ascii_case("basic"))
}

/// Standard base64 with padding (RFC 4648).
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits =
            group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) & 63;
            match ALPHABET.get(index as usize) {
                Some(ch) if digit <= group.len() => out.push(char::from(*ch)),
                _ => out.push('='),
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_agrees_with_the_examples_of_rfc_4648_and_rfc_7617() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
            ("Aladdin:open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    }

    #[test]
    fn basic_is_found_among_other_challenges() {
        let offers = |value: &str| offers_basic(&[value.to_owned()]);
        assert!(offers("Basic realm=\"git\""));
        assert!(offers("Bearer realm=\"x\", basic realm=\"y\""));
        assert!(!offers("Bearer realm=\"basic\""));
        assert!(!offers("Negotiate"));
    }

    #[test]
    fn userinfo_is_given_once_and_only_to_its_own_server() {
        let mut info = UserInfo::new(
            "https://example.com/a.git",
            Credentials {
                username: "u".into(),
                password: "p".into(),
            },
        );
        let mut ask = |url| info.credentials(url, &[]).unwrap().is_some();
        assert!(!ask("https://evil.example/a.git"));
        assert!(!ask("http://example.com/a.git"));
        assert!(ask("https://example.com/b.git"));
        assert!(!ask("https://example.com/b.git"));
    }

    #[test]
    fn secrets_stay_out_of_debug_output() {
        let secret = Credentials {
            username: "u".into(),
            password: "hunter2".into(),
        };
        assert!(!format!("{secret:?}").contains("hunter2"));
    }
}
