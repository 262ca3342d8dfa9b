//! git with the user's own terminal: its streams are ours, and signals end it before they end us.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};

use crate::error::{Error, Kind, Result};

/// Set for good by the first [`foreground`]: what is to be tidied up after it must not be left to chance either.
static BEGUN: AtomicBool = AtomicBool::new(false);

/// Whether signals are for [`foreground`] and its caller to deal with, and for nobody else.
pub fn takes_signals() -> bool {
    BEGUN.load(Ordering::SeqCst)
}

/// Run `command` to its end with our streams. A signal that asks us to stop is passed on, and its end awaited, so that
/// the caller can tidy up after it.
///
/// # Errors
/// `Internal` when it cannot be run.
pub fn foreground(mut command: Command) -> Result<ExitStatus> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(|err| Error::from_io(err, "cannot start"))?;
    let status = runtime.block_on(async {
        // Before the child is there, so that no signal finds us without a handler while it runs.
        let listen = |kind| signal(kind).map_err(|err| Error::from_io(err, "cannot listen for signals"));
        let mut hangup = listen(SignalKind::hangup())?;
        let mut interrupt = listen(SignalKind::interrupt())?;
        let mut terminate = listen(SignalKind::terminate())?;
        BEGUN.store(true, Ordering::SeqCst);
        let child = command.spawn().map_err(|err| {
            Error::new(Kind::Internal, format!("cannot run 'git': {err}"))
                .hint("git must be installed and in PATH")
                .caused_by(err)
        })?;
        let pid = i32::try_from(child.id()).map(Pid::from_raw).ok();
        let mut end = tokio::task::spawn_blocking(move || wait(child));
        loop {
            let passed_on = tokio::select! {
                status = &mut end => return status.unwrap_or_else(|err| Err(crashed(err))),
                _ = hangup.recv() => Signal::SIGHUP,
                _ = interrupt.recv() => Signal::SIGINT,
                _ = terminate.recv() => Signal::SIGTERM,
            };
            // It may be gone already; its end is seen next time round.
            pid.map(|pid| kill(pid, passed_on));
        }
    })?;
    log::debug!(target: "relay::git", "git ended with {status}");
    Ok(status)
}

/// The exit code as a shell tells it: 128 + n after signal n.
pub fn exit_code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(128)
}

fn wait(mut child: Child) -> Result<ExitStatus> {
    child.wait().map_err(|err| Error::from_io(err, "waiting for git"))
}

fn crashed(err: tokio::task::JoinError) -> Error {
    Error::new(Kind::Internal, "waiting for git crashed").caused_by(err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_signals_are_told_apart() {
        let run = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            exit_code(foreground(command).unwrap())
        };
        assert_eq!(run("exit 0"), 0);
        assert_eq!(run("exit 7"), 7);
        assert_eq!(run("kill -TERM $$"), 143);
    }
}
