//! Where one side's credentials come from, and in which order: what the user named (the URL, the environment), else
//! `~/.netrc`, else `git credential`.

use super::auth::{Authenticate, Credentials, offers};
use super::netrc;
use super::url::{Origin, host_name};
use crate::error::{Result, Side};
use crate::git::Git;
use crate::git::credential::{Credential, Filled, Question, Secret};

/// Git is asked again when its first answer was refused, once.
const QUESTIONS: u32 = 2;

/// The credentials of one side.
///
/// What stood in the URL or the environment goes to the server that the URL names and to no other; git and `~/.netrc`
/// decide for themselves, by the host that asks.
#[derive(Debug)]
pub struct Login {
    origin: Option<Origin>,
    /// The user name of the URL.
    username: Option<String>,
    /// What the user named, in the order in which it is tried.
    named: Vec<Named>,
    /// The variable that a token would be in.
    token_env: String,
    /// Whether there was anything of that kind: then nothing else is asked.
    is_named: bool,
    /// Another server than ours asked.
    is_elsewhere: bool,
    try_netrc: bool,
    questions: u32,
    /// A helper's answer was one of several stages: what it wants to hear with the next question.
    stage: Option<Vec<String>>,
    git: Git,
    filled: Option<Credential>,
    /// Why git has no credentials, in its words.
    why_not: String,
}

#[derive(Clone)]
struct Named {
    username: String,
    secret: String,
    is_token: bool,
}

impl std::fmt::Debug for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Named")
    }
}

impl Login {
    /// For the server of `url`, whose userinfo was `userinfo`; `var` looks up an environment variable, `token_env` is
    /// the one that has the token.
    pub fn new(
        side: Side,
        url: &str,
        userinfo: Option<(String, Option<String>)>,
        token_env: Option<&str>,
        var: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let (username, password) = userinfo.unwrap_or_default();
        let username = Some(username).filter(|username| !username.is_empty());
        let of_url = password.map(|secret| Named {
            username: username.clone().unwrap_or_default(),
            secret,
            is_token: false,
        });
        let set = |name: &str| var(name).filter(|value| !value.is_empty());
        let token_env = token_variable(side, token_env);
        let of_environment = set(&token_env).map(|secret| Named {
            username: set(&variable(side, "USERNAME"))
                .or_else(|| username.clone())
                .unwrap_or_else(|| "git".into()),
            secret,
            is_token: true,
        });
        // Tried from the end.
        let named: Vec<_> = of_environment.into_iter().chain(of_url).collect();
        Login {
            origin: Origin::of(url),
            try_netrc: username.is_none(),
            username,
            is_named: !named.is_empty(),
            is_elsewhere: false,
            named,
            token_env,
            questions: 0,
            stage: None,
            git: Git::here(),
            filled: None,
            why_not: String::new(),
        }
    }

    /// Without `~/.netrc` and git: only what the user named.
    #[cfg(test)]
    pub(super) fn only_named(mut self) -> Self {
        (self.try_netrc, self.questions) = (false, QUESTIONS);
        self
    }

    fn next_named(&mut self, www_authenticate: &[String]) -> Option<Credentials> {
        loop {
            let Named {
                username,
                secret,
                is_token,
            } = self.named.pop()?;
            if offers("basic", www_authenticate) {
                return Some(Credentials::Basic {
                    username,
                    password: secret,
                });
            }
            if is_token && offers("bearer", www_authenticate) {
                return Some(Credentials::Scheme {
                    name: "Bearer".into(),
                    value: secret,
                });
            }
        }
    }

    fn of_netrc(&mut self, url: &str, www_authenticate: &[String]) -> Option<Credentials> {
        let is_first = std::mem::take(&mut self.try_netrc);
        if !is_first || !offers("basic", www_authenticate) {
            return None;
        }
        let (username, password) = netrc::look_up(host_name(url)?)?;
        Some(Credentials::Basic { username, password })
    }

    fn of_git(&mut self, url: &str, www_authenticate: &[String]) -> Result<Option<Credentials>> {
        let stage = self.stage.take();
        if stage.is_none() {
            if self.questions >= QUESTIONS {
                return Ok(None);
            }
            self.questions += 1;
        }
        let basic = offers("basic", www_authenticate);
        let question = Question {
            url,
            username: self.username.as_deref(),
            www_authenticate,
            // The user can only type a password; a helper may have a token.
            may_prompt: basic,
            state: stage.as_deref().unwrap_or_default(),
        };
        let filled = match self.git.fill_credential(&question)? {
            Filled::Found(filled) => self.filled.insert(filled),
            Filled::Nothing(why) => {
                self.why_not = why;
                return Ok(None);
            }
        };
        Ok(match filled.secret.clone() {
            Secret::Scheme { name, value } => Some(Credentials::Scheme { name, value }),
            Secret::Password { username, password } => {
                basic.then_some(Credentials::Basic { username, password })
            }
        })
    }
}

/// The environment variable that the token of `side` is in, if it is not `named` otherwise.
pub fn token_variable(side: Side, named: Option<&str>) -> String {
    named.map_or_else(|| variable(side, "TOKEN"), str::to_owned)
}

fn variable(side: Side, what: &str) -> String {
    match side {
        Side::Source => format!("GIT_RELAY_SOURCE_{what}"),
        Side::Target => format!("GIT_RELAY_TARGET_{what}"),
    }
}

impl Authenticate for Login {
    fn credentials(&mut self, url: &str, www_authenticate: &[String]) -> Result<Option<Credentials>> {
        if www_authenticate.is_empty() {
            return Ok(None);
        }
        let at_home = match (&self.origin, Origin::of(url)) {
            (Some(ours), Some(theirs)) => ours.covers(&theirs),
            _ => false,
        };
        if at_home && self.is_named {
            return Ok(self.next_named(www_authenticate));
        }
        if !at_home {
            self.is_elsewhere = true;
            // A user name is as good as half a credential.
            self.username = None;
        }
        match self.of_netrc(url, www_authenticate) {
            Some(found) => Ok(Some(found)),
            None => self.of_git(url, www_authenticate),
        }
    }

    fn approve(&mut self, _url: &str, _credentials: &Credentials) {
        if let Some(filled) = &self.filled {
            self.git.approve_credential(filled);
        }
    }

    fn reject(&mut self, _url: &str, _credentials: &Credentials) {
        let Some(filled) = self.filled.take() else { return };
        match filled.next_stage {
            // As it was meant to be: the server's answer is for the helper's next stage.
            Some(state) => self.stage = Some(state),
            None => self.git.reject_credential(&filled),
        }
    }

    fn hint(&self) -> Option<String> {
        let token = &self.token_env;
        Some(if self.is_named && self.is_elsewhere {
            "the server redirected to another one, which does not get to see the credentials for the first"
                .into()
        } else if self.is_named {
            format!("the credentials came from the URL or from {token}, nothing else was tried")
        } else {
            let why = match self.why_not.as_str() {
                "" => String::new(),
                why => format!("{why}; "),
            };
            format!("{why}configure a credential helper (gitcredentials(7)), or set {token}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASIC: &str = "Basic realm=\"git\"";

    fn login(userinfo: Option<(&str, Option<&str>)>, vars: &[(&str, &str)]) -> Login {
        let userinfo = userinfo.map(|(name, word)| (name.to_owned(), word.map(str::to_owned)));
        Login::new(Side::Target, "https://h/x", userinfo, None, |name| {
            let (_, value) = vars.iter().find(|(key, _)| *key == name)?;
            Some((*value).to_owned())
        })
    }

    fn ask(login: &mut Login, challenge: &str) -> Option<String> {
        let found = login.credentials("https://h/x", &[challenge.to_owned()]);
        found.unwrap().map(|found| match found {
            Credentials::Basic { username, password } => format!("{username}:{password}"),
            Credentials::Scheme { name, value } => format!("{name} {value}"),
        })
    }

    #[test]
    fn the_url_goes_before_the_environment_and_both_before_everything_else() {
        let vars = [
            ("GIT_RELAY_TARGET_TOKEN", "t"),
            ("GIT_RELAY_SOURCE_TOKEN", "other"),
            ("GIT_RELAY_SOURCE_USERNAME", "other"),
        ];
        let mut both = login(Some(("u", Some("p"))), &vars);
        assert_eq!(ask(&mut both, BASIC).as_deref(), Some("u:p"));
        assert_eq!(ask(&mut both, BASIC).as_deref(), Some("u:t"));
        assert_eq!(ask(&mut both, BASIC), None);
        assert_eq!(ask(&mut login(None, &vars), BASIC).as_deref(), Some("git:t"));
        let named = [vars[0], ("GIT_RELAY_TARGET_USERNAME", "bot")];
        assert_eq!(ask(&mut login(None, &named), BASIC).as_deref(), Some("bot:t"));
        let bearer = ask(&mut login(None, &vars), "Bearer realm=\"x\"");
        assert_eq!(bearer.as_deref(), Some("Bearer t"));
    }

    #[test]
    fn what_was_named_goes_to_its_own_server_alone() {
        for url in ["https://evil.example/x", "http://h/x", "https://h:444/x"] {
            let login = login(Some(("u", Some("p"))), &[("GIT_RELAY_TARGET_TOKEN", "t")]);
            let mut login = login.only_named();
            let found = login.credentials(url, &[BASIC.to_owned()]).unwrap();
            assert!(found.is_none(), "{url}");
        }
    }

    #[test]
    fn without_a_challenge_there_is_no_answer() {
        let mut login = login(Some(("u", Some("p"))), &[]);
        assert!(login.credentials("https://h/x", &[]).unwrap().is_none());
    }
}
