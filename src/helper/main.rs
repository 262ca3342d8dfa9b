//! The whole of a helper binary: arguments, logging, signals, exit code.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Helper, Streams, Traces};
use crate::error::{Error, Kind, Result, Side, printable};
use crate::git::scratch;
use crate::report::{fatal, hush, say};
use crate::url::{RelayUrl, redact, shown};

/// Run the helper on this process's arguments and streams.
///
/// Git calls it as `git-remote-relay <remote> <url>`; the exit code is 0 or 128.
pub fn main() -> ExitCode {
    init_log();
    let (remote, url) = match Invocation::read(std::env::args_os().skip(1)) {
        Invocation::ByGit { remote, url } => (remote, url),
        Invocation::Version => return print(concat!("git-remote-relay ", env!("CARGO_PKG_VERSION"), "\n")),
        Invocation::Help => return print(USAGE),
        Invocation::NotUtf8(url) => {
            let message = format!(
                "the URL '{}' is not UTF-8",
                redact(&printable(url.as_encoded_bytes()))
            );
            let hint = "a symbolic link can give a path another name";
            fatal(&Error::new(Kind::Usage, message).hint(hint), None);
            return ExitCode::from(128);
        }
        Invocation::Wrong => {
            fatal(
                &Error::new(Kind::Usage, "this is a remote helper, git runs it").hint(USAGE),
                None,
            );
            return ExitCode::from(2);
        }
    };
    match block_on(converse_or_stop(remote, url.clone())) {
        Ok(code) => code,
        Err(err) => {
            fatal(&err, place(&url, err.side()).as_deref());
            ExitCode::from(128)
        }
    }
}

const USAGE: &str = "\
usage: git push 'relay::<source>=><target>' <refspec>...

git runs this program for relay:: and sync:: URLs. See 'git help remote-relay', and 'git relay -h' for scripts.
";

/// What this process was started for.
#[derive(Debug, PartialEq, Eq)]
enum Invocation {
    /// With the name of the remote, or the URL once more, and the URL less its `relay::`.
    ByGit {
        remote: String,
        url: String,
    },
    /// By git as well, but for something that is no text.
    NotUtf8(OsString),
    Version,
    Help,
    Wrong,
}

impl Invocation {
    /// git passes the name of the remote and the URL; without a remote, the URL twice (or, before 1.7, once).
    fn read(arguments: impl Iterator<Item = OsString>) -> Self {
        let texts: Result<Vec<String>, OsString> = arguments.map(OsString::into_string).collect();
        let mut texts = match texts {
            Ok(texts) => texts.into_iter(),
            Err(no_text) => return Invocation::NotUtf8(no_text),
        };
        let Some(remote) = texts.next() else {
            return Invocation::Wrong;
        };
        match (remote.as_str(), texts.next()) {
            (_, Some(url)) => Invocation::ByGit { remote, url },
            ("-V" | "--version", None) => Invocation::Version,
            ("-h" | "--help", None) => Invocation::Help,
            (name, None) if name.starts_with('-') => Invocation::Wrong,
            (_, None) => Invocation::ByGit {
                url: remote.clone(),
                remote,
            },
        }
    }
}

fn print(text: &str) -> ExitCode {
    // Nobody may be reading.
    io::stdout().write_all(text.as_bytes()).ok();
    ExitCode::SUCCESS
}

fn place(url: &str, side: Option<Side>) -> Option<String> {
    let url = RelayUrl::parse(url).ok()?;
    match side? {
        Side::Source => Some(shown(&url.source)),
        Side::Target => url.targets.first().map(|target| shown(target)),
    }
}

fn block_on(run: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.map_err(|err| Error::from_io(err, "cannot start"))?;
    let result = runtime.block_on(run);
    // A signal has been dealt with; a blocked read or write of the conversation must not hold up the exit.
    runtime.shutdown_background();
    result
}

/// Talk to git on a thread of its own, and clean up at once when a signal says to stop.
async fn converse_or_stop(remote: String, url: String) -> Result<ExitCode> {
    let mut stop = StopSignals::listen()?;
    let traces = Traces::default();
    let helper = Helper::new(remote, url, Streams::standard()?, traces.clone());
    let conversation = tokio::task::spawn_blocking(move || helper.run());
    tokio::select! {
        done = conversation => match done {
            Ok(result) => result.map(ExitCode::from),
            Err(crash) => {
                traces.remove()?;
                Err(Error::new(Kind::Internal, "the helper crashed").caused_by(crash))
            }
        },
        number = stop.next() => {
            hush();
            let clean = move || {
                scratch::remove_all();
                traces.remove()
            };
            let cleaned = tokio::task::spawn_blocking(clean).await;
            if let Ok(Err(err)) = cleaned {
                fatal(&err, None);
            }
            Ok(ExitCode::from(128 + number))
        }
    }
}

/// The signals by which a user or a system asks a program to stop.
pub(crate) struct StopSignals([(u8, Signal); 3]);

impl StopSignals {
    /// Take them over from the system.
    ///
    /// # Errors
    /// When it does not allow that.
    pub(crate) fn listen() -> Result<Self> {
        let open = |number: u8, kind| {
            let signal = signal(kind).map_err(|err| Error::from_io(err, "cannot listen for signals"))?;
            Ok((number, signal))
        };
        Ok(StopSignals([
            open(1, SignalKind::hangup())?,
            open(2, SignalKind::interrupt())?,
            open(15, SignalKind::terminate())?,
        ]))
    }

    /// The number of the first that arrives.
    pub(crate) async fn next(&mut self) -> u8 {
        let [(one, first), (two, second), (three, third)] = &mut self.0;
        tokio::select! {
            _ = first.recv() => *one,
            _ = second.recv() => *two,
            _ = third.recv() => *three,
        }
    }
}

/// `GIT_RELAY_LOG=debug` shows decisions and requests. Other crates stay silent whatever it says, because they would log
/// headers with credentials in them: so it is a level, and no list of filters.
pub(crate) fn init_log() {
    let Ok(level) = std::env::var("GIT_RELAY_LOG") else {
        return;
    };
    match level.trim().parse::<log::LevelFilter>() {
        Ok(level) => {
            let mut log = env_logger::Builder::new();
            log.filter_module("relay", level).format_timestamp_millis().init();
        }
        Err(_) if level.is_empty() => {}
        Err(_) => {
            say("warning: GIT_RELAY_LOG is none of error, warn, info, debug and trace: there is no log");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_and_people_are_told_apart() {
        let read = |arguments: &[&str]| Invocation::read(arguments.iter().map(|text| OsString::from(*text)));
        let by_git = Invocation::ByGit {
            remote: "origin".into(),
            url: "a=>b".into(),
        };
        assert_eq!(read(&["origin", "a=>b"]), by_git);
        assert_eq!(read(&["--version"]), Invocation::Version);
        assert_eq!(read(&["-h"]), Invocation::Help);
        assert_eq!(read(&[]), Invocation::Wrong);
        assert_eq!(read(&["--nonsense"]), Invocation::Wrong);
    }
}
