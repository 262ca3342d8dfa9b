//! A remote helper of git's as our child: asked line by line first, and then left to talk to git by itself.

use std::io::{self, Read, Write};
use std::process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use bstr::BString;

use super::streams::Streams;
use crate::error::{Error, Kind, Result, Side};
pub(super) use crate::git::foreground::exit_code;

/// The longest answer, in bytes, to take for one. Capabilities are the longest.
const ANSWER_LIMIT: usize = 64 * 1024;

/// A running helper. Dropping it ends it.
pub(super) struct Child {
    process: std::process::Child,
    input: Option<ChildStdin>,
    output: Option<ChildStdout>,
}

impl Child {
    /// Start `command`; what it has to say to the person goes where our own words go.
    ///
    /// # Errors
    /// `Internal` when it cannot be run.
    pub(super) fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().map_err(|err| {
            Error::new(Kind::Internal, format!("cannot run 'git': {err}"))
                .hint("git must be installed and in PATH")
                .caused_by(err)
        })?;
        log::debug!(target: "relay::source", "git's own helper is at work (pid {})", process.id());
        Ok(Child {
            input: process.stdin.take(),
            output: process.stdout.take(),
            process,
        })
    }

    /// Say one line, and return the one that answers it, both with their newlines.
    ///
    /// # Errors
    /// [`ended`], when it is gone.
    pub(super) fn ask(&mut self, line: &[u8]) -> Result<BString> {
        self.say(line)?;
        self.answer_line()
    }

    /// Say one line, and return the lines up to an empty one, without that.
    ///
    /// # Errors
    /// [`ended`], when it is gone.
    pub(super) fn ask_for_list(&mut self, line: &[u8]) -> Result<BString> {
        self.say(line)?;
        let mut lines = BString::default();
        loop {
            let line = self.answer_line()?;
            if line == "\n" || lines.len() > ANSWER_LIMIT {
                return Ok(lines);
            }
            lines.extend_from_slice(&line);
        }
    }

    fn say(&mut self, line: &[u8]) -> Result<()> {
        let said = match &mut self.input {
            Some(input) => input.write_all(&[line, b"\n"].concat()),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        said.map_err(|_| self.ended())
    }

    /// Byte by byte, because what comes behind the line may be git's to read.
    fn answer_line(&mut self) -> Result<BString> {
        let mut line = BString::default();
        let mut byte = [0];
        while !line.ends_with(b"\n") {
            let read = self
                .output
                .as_mut()
                .map_or(Ok(0), |output| output.read(&mut byte));
            match read {
                Ok(1) if line.len() < ANSWER_LIMIT => line.extend_from_slice(&byte),
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                _ => return Err(self.ended()),
            }
        }
        Ok(line)
    }

    /// The helper went away in the middle. It has said why, most likely.
    fn ended(&mut self) -> Error {
        let message = match self.end() {
            Some(status) => format!("git's own helper ended unexpectedly ({status})"),
            None => "git's own helper broke off the conversation".to_owned(),
        };
        Error::new(Kind::Peer, message).on(Side::Source)
    }

    /// Pass `command` and everything after it through, both ways and untouched, until the helper ends. Returns the exit
    /// code to end with.
    ///
    /// # Errors
    /// When it is gone already.
    pub(super) fn converse(mut self, command: &[u8], streams: Streams) -> Result<u8> {
        self.say(command)?;
        if let (Some(input), Some(output)) = (self.input.take(), self.output.take()) {
            streams.pass(input, output);
        }
        let status = self.process.wait();
        status
            .map(exit_code)
            .map_err(|err| Error::from_io(err, "waiting for git's own helper"))
    }

    fn end(&mut self) -> Option<ExitStatus> {
        self.input = None;
        self.output = None;
        self.process.wait().ok()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Without streams a helper ends by itself.
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Child::start(command).unwrap()
    }

    #[test]
    fn answers_are_read_one_line_at_a_time() {
        let mut child = child("read a; printf 'x\\ny\\n\\nok\\n'; read b; printf \"$b\\n\"");
        assert_eq!(child.ask_for_list(b"capabilities").unwrap(), "x\ny\n");
        assert_eq!(child.answer_line().unwrap(), "ok\n");
        assert_eq!(child.ask(b"option").unwrap(), "option\n");
    }

    #[test]
    fn a_helper_that_dies_is_an_error() {
        let err = child("exit 3").ask(b"option").unwrap_err();
        assert!(err.to_string().contains("exit status: 3"), "{err}");
        assert_eq!(err.side(), Some(Side::Source));
    }
}
