//! Our standard input and output, line by line first, and then handed over whole: once git speaks a pack protocol, not
//! a byte of it may be left in a buffer of ours.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use bstr::ByteSlice;

use crate::error::{Error, Kind, Result};

/// What git says to us, and what we answer.
pub struct Streams {
    input: BufReader<File>,
    output: File,
}

/// The message of the error for a git that is not there any more.
const HANGUP: &str = "git hung up";

impl Streams {
    /// Talk over this process's standard streams. Nobody else may use them from now on.
    ///
    /// # Errors
    /// `Internal` when they are closed.
    pub fn standard() -> Result<Self> {
        let copy = |fd: io::Result<OwnedFd>| {
            fd.map(File::from)
                .map_err(|err| Error::from_io(err, "cannot talk to git"))
        };
        Ok(Streams::new(
            copy(io::stdin().as_fd().try_clone_to_owned())?,
            copy(io::stdout().as_fd().try_clone_to_owned())?,
        ))
    }

    fn new(input: File, output: File) -> Self {
        Streams {
            input: BufReader::new(input),
            output,
        }
    }

    /// The next line without its newline; `None` when git has hung up.
    pub(super) fn next_line(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        match self.input.read_until(b'\n', &mut line) {
            Ok(0) => Ok(None),
            Ok(_) => {
                log::debug!(target: "relay::helper", "< {}", line.as_bstr());
                Ok(Some(line.strip_suffix(b"\n").unwrap_or(&line).to_vec()))
            }
            Err(err) => Err(Error::new(Kind::Internal, "cannot read from git").caused_by(err)),
        }
    }

    /// Answer.
    ///
    /// # Errors
    /// One that [`is_hangup`] knows, when git is gone.
    pub(super) fn say(&mut self, answer: &[u8]) -> Result<()> {
        log::debug!(target: "relay::helper", "> {}", answer.as_bstr());
        let said = self.output.write_all(answer);
        said.map_err(|err| Error::new(Kind::Internal, HANGUP).caused_by(err))
    }

    /// Pass everything that git says on to `input`, and everything from `output` to git, until `output` ends. Between
    /// pipes the system moves the bytes itself (`splice`), where it can.
    pub(super) fn pass(self, mut input: impl Write + Send + 'static, mut output: impl Read) {
        let (rest, mut from_git, mut to_git) = self.into_parts();
        // It waits for git's next word, which may never come: nobody waits for this thread.
        std::thread::spawn(move || {
            let passed = input
                .write_all(&rest)
                .and_then(|()| io::copy(&mut from_git, &mut input));
            log::debug!(target: "relay::helper", "git has said its last: {passed:?}");
        });
        // An error means that git is gone; with the streams closed the other side goes too.
        if let Err(err) = io::copy(&mut output, &mut to_git) {
            log::debug!(target: "relay::helper", "git takes no more: {err}");
        }
    }

    /// What was read but not asked for yet, and the streams themselves.
    pub(super) fn into_parts(self) -> (Vec<u8>, File, File) {
        let rest = self.input.buffer().to_vec();
        (rest, self.input.into_inner(), self.output)
    }
}

/// Whether `err` only means that nobody is left to be told anything.
pub(super) fn is_hangup(err: &Error) -> bool {
    err.kind() == Kind::Internal && err.message() == HANGUP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_too_far_is_handed_over() {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"one\ntwo\n0004rest").unwrap();
        let null = File::open("/dev/null").unwrap();
        let mut streams = Streams::new(File::from(OwnedFd::from(reader)), null);
        assert_eq!(streams.next_line().unwrap().unwrap(), b"one");
        assert_eq!(streams.next_line().unwrap().unwrap(), b"two");
        writer.write_all(b" and more").unwrap();
        drop(writer);
        let (mut all, mut input, _) = streams.into_parts();
        input.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"0004rest and more");
    }

    #[test]
    fn a_git_that_is_gone_is_told_from_other_failures() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let null = File::open("/dev/null").unwrap();
        let mut streams = Streams::new(null, File::from(OwnedFd::from(writer)));
        assert!(is_hangup(&streams.say(b"x").unwrap_err()));
        assert_eq!(streams.next_line().unwrap(), None);
    }
}
