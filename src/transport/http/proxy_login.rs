//! Who we are to a proxy. As for git (`init_curl_proxy_auth()` in its `http.c`), a proxy URL with a user name and no
//! password has `git credential` asked for the rest; whether that was good is told once the proxy has answered.

use super::proxy::ProxyServer;
use crate::error::{Error, Kind, Result};
use crate::git::Git;
use crate::git::credential::{Credential, Filled, Question, Secret};

/// What git said about a proxy.
#[derive(Debug, Default)]
pub(super) struct ProxyLogin {
    known: Option<Known>,
}

#[derive(Debug)]
struct Known {
    /// For which proxy, and which user there.
    asked: (String, String),
    credential: Credential,
    is_told: bool,
}

impl ProxyLogin {
    /// Add the password to `proxy` if only that is missing.
    ///
    /// # Errors
    /// `Auth` if nobody knows it.
    pub(super) fn complete(&mut self, proxy: &mut ProxyServer) -> Result<()> {
        let Some(username) = proxy.username.clone().filter(|_| proxy.password.is_none()) else {
            return Ok(());
        };
        let asked = (proxy.url(), username);
        let known = match self.known.take().filter(|known| known.asked == asked) {
            Some(known) => known,
            None => Known {
                credential: ask(proxy, &asked)?,
                asked,
                is_told: false,
            },
        };
        if let Secret::Password { username, password } = &known.credential.secret {
            (proxy.username, proxy.password) = (Some(username.clone()), Some(password.clone()));
        }
        self.known = Some(known);
        Ok(())
    }

    /// The proxy has let a request through.
    pub(super) fn accepted(&mut self) {
        if let Some(known) = self.known.as_mut().filter(|known| !known.is_told) {
            known.is_told = true;
            Git::here().approve_credential(&known.credential);
        }
    }

    /// The proxy has answered by 407.
    pub(super) fn refused(&mut self) {
        if let Some(known) = self.known.take() {
            Git::here().reject_credential(&known.credential);
        }
    }
}

fn ask(proxy: &ProxyServer, (url, username): &(String, String)) -> Result<Credential> {
    let question = Question {
        url,
        username: Some(username),
        www_authenticate: &[],
        may_prompt: true,
        state: &[],
    };
    let why = match Git::here().fill_credential(&question)? {
        Filled::Found(credential) if matches!(credential.secret, Secret::Password { .. }) => {
            return Ok(credential);
        }
        Filled::Found(_) => "a credential helper has something else than a password".to_owned(),
        Filled::Nothing(why) => why,
    };
    let message = format!("there is no password for the proxy {}", proxy.authority());
    let err = Error::new(Kind::Auth, message);
    Err(match why.as_str() {
        "" => err,
        why => err.hint(why),
    })
}
