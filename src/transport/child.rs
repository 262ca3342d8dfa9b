//! A child process at the other end of a pipe: its start, its end, and what it says on standard error.

use std::io::{Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bstr::ByteSlice;

use crate::error::{Error, Kind, Result, printable};

/// What is kept of standard error. The end counts: a program says last why it gives up.
const LAST_WORDS_LIMIT: usize = 16 * 1024;

/// Something that a child started (an ssh master connection, say) can hold standard error open after the child's end.
const STDERR_PATIENCE: Duration = Duration::from_secs(1);

/// What becomes of a child's standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stderr {
    /// Kept for the case that something goes wrong.
    Kept,
    /// Kept, and shown to the user at once, as git does it.
    Shown,
}

/// A running child.
pub(super) struct Process {
    child: Child,
    words: Arc<Mutex<Vec<u8>>>,
    stderr_closed: Receiver<()>,
    /// Whether what it says is shown.
    shown: Arc<AtomicBool>,
    patience: Option<Duration>,
}

/// How a child ended.
#[derive(Debug)]
pub(super) struct Ending {
    /// The end of what it said on standard error.
    pub(super) words: Vec<u8>,
}

impl Process {
    /// Start `command` with pipes. When its pipes are closed it is expected to end; after `patience` it is made to.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start(
        mut command: Command,
        stderr: Stderr,
        patience: Option<Duration>,
    ) -> Result<(Process, ChildStdin, ChildStdout)> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let name = printable(command.get_program().as_encoded_bytes());
        log::debug!(target: "relay::git", "starting {name}");
        let mut child = command.spawn().map_err(|err| {
            Error::new(Kind::Config, format!("cannot run '{name}': {err}"))
                .hint(format!("'{name}' must be an executable on PATH"))
                .caused_by(err)
        })?;
        let words = Arc::new(Mutex::new(Vec::new()));
        let (done, stderr_closed) = channel();
        let shown = Arc::new(AtomicBool::new(stderr == Stderr::Shown));
        if let Some(pipe) = child.stderr.take() {
            let (words, shown) = (words.clone(), shown.clone());
            std::thread::spawn(move || {
                collect(pipe, &words, &shown);
                // Nobody waits any more when the child was given up.
                done.send(()).ok();
            });
        }
        match (child.stdin.take(), child.stdout.take()) {
            (Some(input), Some(output)) => Ok((
                Process {
                    child,
                    words,
                    stderr_closed,
                    shown,
                    patience,
                },
                input,
                output,
            )),
            _ => Err(Error::new(Kind::Internal, format!("no pipes to '{name}'"))),
        }
    }

    /// Show nothing more: it is about to be interrupted, and may complain about that.
    pub(super) fn mute(&self) {
        self.shown.store(false, Ordering::Relaxed);
    }

    /// Leave it no time to end by itself, if it is one that may be made to.
    pub(super) fn hurry(&mut self) {
        self.patience = self.patience.map(|_| Duration::ZERO);
    }

    /// Wait for the end; the pipes must be closed already.
    pub(super) fn finish(mut self) -> Ending {
        if let Some(patience) = self.patience
            && !self.ends_within(patience)
        {
            log::debug!(target: "relay::git", "child {} did not end, killing it", self.child.id());
            self.child.kill().ok();
        }
        match self.child.wait() {
            Ok(status) => log::debug!(target: "relay::git", "child {}: {status}", self.child.id()),
            Err(err) => log::debug!(target: "relay::git", "child {}: {err}", self.child.id()),
        }
        self.stderr_closed.recv_timeout(STDERR_PATIENCE).ok();
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        Ending {
            words: std::mem::take(&mut words),
        }
    }

    /// The standard library cannot wait with a limit, so look often at first and then less often.
    fn ends_within(&mut self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut pause = Duration::from_micros(200);
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(50));
        }
        true
    }
}

impl Ending {
    /// The line that tells best why the child gave up: git's `fatal:`, a host's `ERROR:`, else the last that has words
    /// and is no mere warning.
    pub(super) fn reason(&self) -> Option<String> {
        let text = self.words.to_str_lossy();
        let lines = || text.lines().map(str::trim).filter(|line| !is_noise(line));
        let fatal = lines().find_map(|line| line.strip_prefix("fatal: "));
        let said = fatal
            .or_else(|| lines().find(|line| line.contains("ERROR: ")))
            .or_else(|| lines().next_back())?;
        let said = said.strip_prefix("remote: ").unwrap_or(said);
        Some(printable(said.trim_end_matches('.').as_bytes()))
    }
}

/// Lines that are no reason: empty or drawn ones, and ssh's warnings before it logs in.
fn is_noise(line: &str) -> bool {
    !line.contains(char::is_alphanumeric)
        || line.starts_with("Warning: ")
        || line.starts_with("warning: ")
        || line.starts_with("** ")
        || line == "remote:"
}

/// Read standard error to its end, so that the child never blocks on it, and keep its last part.
fn collect(mut pipe: ChildStderr, words: &Mutex<Vec<u8>>, shown: &AtomicBool) {
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = pipe.read(&mut piece) {
        let Some(said) = piece.get(..length) else { return };
        if shown.load(Ordering::Relaxed) {
            // Unfinished lines too: they can be a question.
            std::io::stderr().write_all(visible(said).as_bytes()).ok();
        }
        let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
        words.extend_from_slice(said);
        let surplus = words.len().saturating_sub(LAST_WORDS_LIMIT);
        words.drain(..surplus);
    }
}

/// The text without anything that a terminal would obey; the remote host has a say in it.
fn visible(text: &[u8]) -> String {
    let lines = text
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| match line.strip_suffix(b"\n") {
            Some(line) => printable(line.strip_suffix(b"\r").unwrap_or(line)) + "\n",
            None => printable(line),
        });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(words: &str) -> Option<String> {
        Ending {
            words: words.as_bytes().to_vec(),
        }
        .reason()
    }

    /// Texts of OpenSSH 9.2, GitHub and GitLab.
    #[test]
    fn the_line_that_tells_the_reason_is_found() {
        let hanging_up = "fatal: Could not read from remote repository.\n";
        assert_eq!(
            reason(hanging_up).unwrap(),
            "Could not read from remote repository"
        );
        assert_eq!(
            reason("Warning: Permanently added 'h' (ED25519) to the list of known hosts.\r\nme@h: Permission denied (publickey).\r\n").unwrap(),
            "me@h: Permission denied (publickey)"
        );
        assert_eq!(
            reason("ERROR: Repository not found.\n").unwrap(),
            "ERROR: Repository not found"
        );
        assert_eq!(
            reason(
                "remote: \nremote: ====\nremote: ERROR: The project is not there.\nremote: \nremote: ====\n"
            )
            .unwrap(),
            "ERROR: The project is not there"
        );
        assert_eq!(
            reason("@@@@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n@@@@@@@\nHost key verification failed.\n").unwrap(),
            "Host key verification failed"
        );
        assert_eq!(
            reason("Warning: Permanently added 'h'.\n** WARNING: old\n\n"),
            None
        );
    }

    #[test]
    fn what_a_host_says_cannot_steer_the_terminal() {
        assert_eq!(visible(b"a\x1b[2J\r\nb\rc? "), "a\\033[2J\nb\\015c? ");
    }

    #[test]
    fn a_child_that_does_not_end_is_made_to() {
        let mut command = Command::new("sleep");
        command.arg("60");
        let (process, input, output) =
            Process::start(command, Stderr::Kept, Some(Duration::from_millis(20))).unwrap();
        drop((input, output));
        let started = Instant::now();
        process.finish();
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn only_the_end_of_a_long_speech_is_kept() {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "yes filler | head -c 100000 >&2; echo >&2; echo fatal: at last >&2",
        ]);
        let (process, input, output) = Process::start(command, Stderr::Kept, None).unwrap();
        drop((input, output));
        let ending = process.finish();
        assert!(ending.words.len() <= LAST_WORDS_LIMIT);
        assert_eq!(ending.reason().unwrap(), "at last");
    }
}
