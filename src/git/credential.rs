//! Asking git for credentials: `git credential fill`, `approve` and `reject` (git-credential(1)).
//!
//! Git does everything that a user sees of it: helpers, `core.askPass`, the prompt on the terminal, and
//! `credential.useHttpPath`. Secrets go through pipes only, and into no log.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{ChildStderr, ChildStdin, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::Git;
use crate::error::{Error, Kind, Result, printable};

/// Far above what helpers answer, in bytes.
const ANSWER_LIMIT: u64 = 1 << 20;

/// How long to wait for the end of standard error once git has ended: a helper may leave a daemon behind that holds it.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Both sides may ask at the same time, but there is one terminal and one user. True once that user has interrupted a
/// question: then the run is about to end, and the other side's question must not turn up behind it.
static INTERRUPTED: Mutex<bool> = Mutex::new(false);

/// What credentials are wanted for.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The URL of the repository, without userinfo.
    pub url: &'a str,
    /// The user name that the URL had.
    pub username: Option<&'a str>,
    /// The values of the server's `WWW-Authenticate` headers.
    pub www_authenticate: &'a [String],
    /// Whether git may ask the user, if no helper knows.
    pub may_prompt: bool,
    /// What helpers want to be reminded of, from the answer that was one stage of several.
    pub state: &'a [String],
}

/// What git answered.
#[derive(Clone)]
pub struct Credential {
    /// The answer word by word: `approve` and `reject` get it back.
    lines: Vec<u8>,
    /// What is to be sent.
    pub secret: Secret,
    /// When this is refused, the next stage is to be asked for (`continue`), with this `state[]`; since git 2.46.
    pub next_stage: Option<Vec<String>>,
}

/// What came of asking.
#[derive(Debug)]
pub enum Filled {
    /// Somebody knew.
    Found(Credential),
    /// Nobody did, or nobody was asked, in git's words (which may be empty).
    Nothing(String),
}

/// The part of a credential that a server gets to see.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// For the Basic scheme.
    Password {
        /// The user name.
        username: String,
        /// The password or token.
        password: String,
    },
    /// For any other scheme: `authtype` and `credential`, which git passes on since 2.46.
    Scheme {
        /// For instance `Bearer`.
        name: String,
        /// What follows the name in an `Authorization` header.
        value: String,
    },
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// What `git credential` said.
struct Answer {
    status: ExitStatus,
    lines: Vec<u8>,
    /// Its last words.
    words: String,
}

impl Git {
    /// Ask helpers, and then the user.
    ///
    /// # Errors
    /// `Usage` if the URL or user name cannot be passed on, `Internal` if git cannot be started or its answer makes
    /// no sense.
    pub fn fill_credential(&self, question: &Question<'_>) -> Result<Filled> {
        let question_lines = lines(question)?;
        let mut interrupted = INTERRUPTED.lock().unwrap_or_else(PoisonError::into_inner);
        if *interrupted {
            return Ok(Filled::Nothing("interrupted".into()));
        }
        let Answer { status, lines, words } =
            self.credential("fill", &question_lines, question.may_prompt)?;
        *interrupted = status.signal() == Some(Signal::SIGINT as i32);
        if !status.success() {
            return Ok(Filled::Nothing(words));
        }
        Ok(match secret(&lines)? {
            Some(secret) => Filled::Found(Credential {
                next_stage: next_stage(&lines),
                lines,
                secret,
            }),
            None => Filled::Nothing(words),
        })
    }

    /// Tell helpers that the server took `credential`. A failure of theirs stops nothing.
    pub fn approve_credential(&self, credential: &Credential) {
        self.tell_helpers("approve", credential);
    }

    /// Tell helpers that the server refused `credential`. A failure of theirs stops nothing.
    pub fn reject_credential(&self, credential: &Credential) {
        self.tell_helpers("reject", credential);
    }

    fn tell_helpers(&self, what: &str, credential: &Credential) {
        if let Err(err) = self.credential(what, &credential.lines, true) {
            log::debug!(target: "relay::git", "git credential {what}: {err}");
        }
    }

    /// Run `git credential <what>`. Its prompt uses the terminal, because our standard input belongs to somebody else.
    fn credential(&self, what: &str, input: &[u8], may_prompt: bool) -> Result<Answer> {
        let mut command = self.bare_command();
        command.args(["credential", what]);
        if !may_prompt {
            // An empty GIT_ASKPASS goes before core.askPass and SSH_ASKPASS.
            command.env("GIT_ASKPASS", "").env("GIT_TERMINAL_PROMPT", "0");
        }
        let failed = |err: std::io::Error| {
            Error::new(Kind::Internal, format!("cannot run git credential {what}: {err}")).caused_by(err)
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let last_words = child.stderr.take().map(listen);
        log::debug!(target: "relay::git", "git credential {what} (pid {})", child.id());
        if let Some(stdin) = child.stdin.take() {
            send(stdin, input);
        }
        let mut lines = Vec::new();
        let read = match child.stdout.take() {
            Some(stdout) => stdout.take(ANSWER_LIMIT).read_to_end(&mut lines),
            None => Ok(0),
        };
        let status = child.wait().map_err(failed)?;
        read.map_err(failed)?;
        let last_words = last_words.and_then(|words| words.recv_timeout(LAST_WORDS).ok());
        Ok(Answer {
            status,
            lines,
            words: last_words.unwrap_or_default(),
        })
    }
}

/// Pass on what helpers say to the user (where to confirm a login, for instance) and return git's own last words.
fn listen(stderr: ChildStderr) -> Receiver<String> {
    let (send, receive) = channel();
    std::thread::spawn(move || send.send(pass_on(stderr, std::io::stderr())));
    receive
}

/// Copy `from` to `to` as it comes, lines that start with `fatal: ` excepted: those are returned, in one line.
fn pass_on(mut from: impl Read, mut to: impl Write) -> String {
    const WORD: &[u8] = b"fatal: ";
    let mut kept = Vec::new();
    // The line so far, as long as it is not clear what it is.
    let mut line: Option<Vec<u8>> = Some(Vec::new());
    let mut buffer = [0; 1024];
    while let Ok(got @ 1..) = from.read(&mut buffer) {
        let mut passed = Vec::new();
        for byte in buffer.get(..got).unwrap_or_default() {
            match &mut line {
                None => passed.push(*byte),
                Some(start) => {
                    start.push(*byte);
                    if !WORD.starts_with(start) && !start.starts_with(WORD) {
                        passed.append(start);
                        line = None;
                    }
                }
            }
            if *byte == b'\n' {
                kept.extend(line.replace(Vec::new()).unwrap_or_default());
            }
        }
        // There may be nobody to read it, which is no reason to stop.
        to.write_all(&passed).and_then(|()| to.flush()).ok();
    }
    kept.extend(line.unwrap_or_default());
    let words = kept
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.strip_prefix(WORD));
    words.map(printable).collect::<Vec<_>>().join("; ")
}

/// Some hundred bytes, which fit into the pipe. Git may well have given up already; its exit code says so.
fn send(mut stdin: ChildStdin, input: &[u8]) {
    stdin.write_all(input).ok();
}

/// The question in git's words. Git takes the URL apart itself, with its own checks of what is escaped in it.
fn lines(question: &Question<'_>) -> Result<Vec<u8>> {
    let mut lines = Vec::new();
    if has_escaped_controls(question.url) {
        // Git refuses a line feed, and since 2.48.1 a carriage return; older ones pass that on to helpers.
        return Err(Error::new(
            Kind::Usage,
            "cannot ask for credentials: the URL has escaped control characters in it",
        ));
    }
    put(&mut lines, "url", question.url)?;
    // After the URL, which resets everything.
    put(&mut lines, "capability[]", "authtype")?;
    put(&mut lines, "capability[]", "state")?;
    if let Some(username) = question.username {
        put(&mut lines, "username", username)?;
    }
    for state in question.state {
        put(&mut lines, "state[]", state)?;
    }
    for challenge in question.www_authenticate {
        put(&mut lines, "wwwauth[]", challenge)?;
    }
    Ok(lines)
}

/// Whether something in `url` decodes to a control character.
pub fn has_escaped_controls(url: &str) -> bool {
    let decoded = |rest: &str| rest.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
    let mut escapes = url.split('%').skip(1).filter_map(decoded);
    escapes.any(|byte| byte.is_ascii_control())
}

/// A value with a line feed would be two, and the second could name another host.
fn put(lines: &mut Vec<u8>, key: &str, value: &str) -> Result<()> {
    if value.contains(['\n', '\r', '\0']) {
        let what = key.trim_end_matches("[]");
        return Err(Error::new(
            Kind::Usage,
            format!("cannot ask for credentials: the {what} has a line break or NUL in it"),
        ));
    }
    lines.extend_from_slice(format!("{key}={value}\n").as_bytes());
    Ok(())
}

/// What the answer says, `None` if it is not complete.
fn secret(lines: &[u8]) -> Result<Option<Secret>> {
    let text = std::str::from_utf8(lines).map_err(|_| {
        Error::new(
            Kind::Internal,
            "git credential answered with text that is not UTF-8",
        )
    })?;
    let value = |key: &str| {
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
        Some(value.to_owned()).filter(|value| !value.is_empty())
    };
    if let (Some(name), Some(value)) = (value("authtype"), value("credential")) {
        return Ok(Some(Secret::Scheme { name, value }));
    }
    // Some tokens go without a user name, and an empty password is none that a server would take.
    let password = value("password");
    Ok(password.map(|password| Secret::Password {
        username: value("username").unwrap_or_default(),
        password,
    }))
}

/// Whether the answer is one of several stages, and what to bring along to the next.
fn next_stage(lines: &[u8]) -> Option<Vec<String>> {
    let text = std::str::from_utf8(lines).ok()?;
    let values = |key: &str| -> Vec<String> {
        let lines = text.lines();
        lines
            .filter_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(str::to_owned)
            .collect()
    };
    let goes_on = values("continue")
        .last()
        .is_some_and(|value| value == "1" || value == "true");
    goes_on.then(|| values("state[]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question<'a>(url: &'a str, username: Option<&'a str>) -> Question<'a> {
        Question {
            url,
            username,
            www_authenticate: &[],
            may_prompt: false,
            state: &[],
        }
    }

    #[test]
    fn a_line_break_cannot_smuggle_in_another_host() {
        for (url, username) in [
            ("https://h/x\nhost=evil", None),
            ("https://h/x", Some("me\nhost=evil")),
            ("https://h/x", Some("me\r")),
            ("https://h/x\0", None),
            ("https://h/x%0ahost=evil", None),
            ("https://h%0D/x", None),
            ("https://h/%1b[2J", None),
        ] {
            assert_eq!(lines(&question(url, username)).unwrap_err().kind(), Kind::Usage);
        }
        assert!(lines(&question("https://h/%20%41%zz%", None)).is_ok());
    }

    #[test]
    fn helpers_are_heard_and_git_is_quoted() {
        let said =
            b"visit https://h/device\n> fatal: not this\nfatal: could not read\x07\nfat\nfatal: the end";
        let mut heard = Vec::new();
        assert_eq!(pass_on(&said[..], &mut heard), "could not read\\007; the end");
        assert_eq!(heard, b"visit https://h/device\n> fatal: not this\nfat\n");
        // A question without a line feed shows at once.
        let mut heard = Vec::new();
        assert_eq!(pass_on(&b"Code: "[..], &mut heard), "");
        assert_eq!(heard, b"Code: ");
    }

    #[test]
    fn answers_are_understood() {
        let password = |username: &str, password: &str| {
            Some(Secret::Password {
                username: username.into(),
                password: password.into(),
            })
        };
        let of = |lines: &str| secret(lines.as_bytes()).unwrap();
        assert!(of("protocol=https\nhost=h\nusername=u\npassword=a=b\n") == password("u", "a=b"));
        assert!(of("password=t\n") == password("", "t"));
        assert!(of("username=u\n").is_none());
        let bearer = Secret::Scheme {
            name: "Bearer".into(),
            value: "t".into(),
        };
        assert!(of("capability[]=authtype\nauthtype=Bearer\ncredential=t\n") == Some(bearer));
        assert!(secret(b"password=\xff\n").is_err());
        assert_eq!(next_stage(b"authtype=X\ncredential=t\nstate[]=a:1\n"), None);
        let stage = next_stage(b"continue=1\nauthtype=X\ncredential=t\nstate[]=a:1\nstate[]=b=2\n");
        assert_eq!(stage.unwrap(), ["a:1", "b=2"]);
    }

    #[test]
    fn secrets_stay_out_of_debug_output() {
        let secret = secret(b"username=u\npassword=hunter2\n").unwrap().unwrap();
        let credential = Credential {
            next_stage: Some(vec!["hunter2".into()]),
            lines: b"password=hunter2\n".to_vec(),
            secret,
        };
        assert!(!format!("{credential:?} {:?}", credential.secret).contains("hunter2"));
    }
}
