//! Waiting for a peer, but not for ever: streams that give up when nothing comes, or nothing is taken, for too long.
//!
//! Only the time spent in one read or write counts. A link that waits for its turn, while the other side of the relay is
//! busy, is not silent.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process::ChildStdin;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::error::{Error, Kind};

/// A stream with a limit for each read and write.
pub(super) struct Patient<T> {
    inner: T,
    limit: Option<Duration>,
}

impl<T: AsFd> Patient<T> {
    /// Wait for `inner` no longer than `limit` at a time; for ever without one.
    pub(super) fn new(inner: T, limit: Option<Duration>) -> Self {
        Patient { inner, limit }
    }

    /// From now on wait no longer than `limit`.
    pub(super) fn limit(&mut self, limit: Option<Duration>) {
        self.limit = limit;
    }

    /// What is waited for.
    pub(super) fn get_ref(&self) -> &T {
        &self.inner
    }

    /// Wait until there is something to do in the direction of `flags`.
    fn wait(&self, flags: PollFlags) -> io::Result<()> {
        let Some(limit) = self.limit else { return Ok(()) };
        let started = Instant::now();
        loop {
            let left = limit.saturating_sub(started.elapsed());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.inner.as_fd(), flags)], timeout) {
                Ok(0) if started.elapsed() >= limit => return Err(silent(limit).into()),
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(()),
                Err(err) => return Err(err.into()),
            }
        }
    }

    fn patiently<R>(
        &mut self,
        flags: PollFlags,
        mut act: impl FnMut(&mut T) -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            self.wait(flags)?;
            match act(&mut self.inner) {
                // Somebody else was faster, or a socket was wrong about itself.
                Err(err) if err.kind() == io::ErrorKind::WouldBlock && self.limit.is_some() => {}
                result => return result,
            }
        }
    }
}

impl Patient<ChildStdin> {
    /// The same for the pipe into a child. A write of more than fits in would wait for the child otherwise.
    pub(super) fn into_child(pipe: ChildStdin, limit: Option<Duration>) -> Self {
        if limit.is_some() {
            // If that fails we wait as git does. The end that the child reads from is not concerned.
            fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).ok();
        }
        Patient::new(pipe, limit)
    }
}

impl<T: AsFd + Read> Read for Patient<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.patiently(PollFlags::POLLIN, |inner| inner.read(buf))
    }
}

impl<T: AsFd + Write> Write for Patient<T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.patiently(PollFlags::POLLOUT, |inner| inner.write(buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn silent(limit: Duration) -> Error {
    let message = format!("no sign of life for {} seconds", limit.as_secs());
    Error::new(Kind::Timeout, message).hint("relay.timeout sets how many seconds to wait, 0 for ever")
}

/// Whether a program that we start could be asking a person for something: on the terminal, or in a window
/// (`SSH_ASKPASS`, ssh(1)). Nobody types against the clock.
pub(super) fn somebody_is_there() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let window = set("SSH_ASKPASS")
        && ["DISPLAY", "WAYLAND_DISPLAY", "SSH_ASKPASS_REQUIRE"]
            .into_iter()
            .any(set);
    window || has_terminal()
}

/// Whether this process has a terminal that programs can ask on.
pub(super) fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    const SHORT: Option<Duration> = Some(Duration::from_millis(50));

    fn kind(err: io::Error) -> Kind {
        Error::from_io(err, "x").kind()
    }

    #[test]
    fn silence_is_given_up() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut reader = Patient::new(reader, SHORT);
        writer.write_all(b"ab").unwrap();
        let mut word = [0; 2];
        reader.read_exact(&mut word).unwrap();
        assert_eq!(kind(reader.read(&mut word).unwrap_err()), Kind::Timeout);
        writer.write_all(b"c").unwrap();
        assert_eq!(reader.read(&mut word).unwrap(), 1);
        drop(writer);
        assert_eq!(reader.read(&mut word).unwrap(), 0);
    }

    #[test]
    fn a_child_that_takes_nothing_is_given_up_and_a_slow_one_is_not() {
        let child = |script: &str| {
            let mut command = Command::new("sh");
            command
                .args(["-c", script])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped());
            command.spawn().unwrap()
        };
        let much = vec![b'x'; 300_000];
        let mut deaf = child("exec sleep 60");
        let mut input = Patient::into_child(deaf.stdin.take().unwrap(), SHORT);
        assert_eq!(kind(input.write_all(&much).unwrap_err()), Kind::Timeout);
        deaf.kill().unwrap();
        deaf.wait().unwrap();
        let mut slow = child("sleep 0.3; wc -c");
        let limit = Some(Duration::from_secs(30));
        let mut input = Patient::into_child(slow.stdin.take().unwrap(), limit);
        input.write_all(&much).unwrap();
        drop(input);
        let output = slow.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "300000");
    }
}
