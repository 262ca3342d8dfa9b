//! Running git and collecting what it says, bounded. What the output means is the callers' business.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use crate::error::{Error, Kind, Result, printable};

/// The most that a command may print, in bytes, unless [`Invocation::limit`] says otherwise. Far above what
/// the configuration of a busy CI machine needs.
const STDOUT_LIMIT: u64 = 16 << 20;

/// What is kept of a command's stderr, in bytes; the rest is read and dropped, so that git never blocks on it.
const STDERR_LIMIT: u64 = 16 << 10;

/// A git command that was not started yet.
#[derive(Debug)]
pub struct Invocation {
    command: Command,
    input: Option<Vec<u8>>,
    /// Our caller writes its stdin.
    fed: bool,
    limit: u64,
    kind: Kind,
    also_fine: Option<i32>,
}

impl Invocation {
    pub(super) fn new(command: Command) -> Self {
        Invocation {
            command,
            input: None,
            fed: false,
            limit: STDOUT_LIMIT,
            kind: Kind::Internal,
            also_fine: None,
        }
    }

    /// Add one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Add arguments.
    #[must_use]
    pub fn args<I>(mut self, args: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        self.command.args(args);
        self
    }

    /// Feed `bytes` to its stdin, which is empty otherwise (ours belongs to the helper protocol).
    #[must_use]
    pub fn input(mut self, bytes: Vec<u8>) -> Self {
        self.input = Some(bytes);
        self
    }

    /// Allow at most `bytes` of output.
    #[must_use]
    pub fn limit(mut self, bytes: u64) -> Self {
        self.limit = bytes;
        self
    }

    /// Take exit code `code` for an answer too: `git symbolic-ref -q` says "no" with 1.
    #[must_use]
    pub fn or_exit(mut self, code: i32) -> Self {
        self.also_fine = Some(code);
        self
    }

    /// A failure lies in the user's configuration, not in us.
    #[must_use]
    pub fn fails_as_config(mut self) -> Self {
        self.kind = Kind::Config;
        self
    }

    /// Run it to its end and return its stdout.
    ///
    /// # Errors
    /// `Internal` (or what [`Invocation::fails_as_config`] says) when git cannot be started or fails, with git's own
    /// words; `Limit` when it prints too much.
    pub fn run(self) -> Result<Vec<u8>> {
        self.start()?.finish()
    }

    /// Start it with a stdin for the caller to write; dropping that is the end of the input.
    ///
    /// # Errors
    /// `Internal` when git cannot be started.
    pub fn start_fed(mut self) -> Result<(Running, ChildStdin)> {
        self.fed = true;
        let mut running = self.start()?;
        match running.child.stdin.take() {
            Some(stdin) => Ok((running, stdin)),
            None => Err(no_stream(&running.name)),
        }
    }

    /// Start it with a stdout for the caller to read, however much there is.
    ///
    /// # Errors
    /// `Internal` when git cannot be started.
    pub fn start_read(self) -> Result<(Running, ChildStdout)> {
        let mut running = self.start()?;
        match running.stdout.take() {
            Some(stdout) => Ok((running, stdout)),
            None => Err(no_stream(&running.name)),
        }
    }

    /// Start it; [`Running::finish`] collects the result.
    ///
    /// # Errors
    /// `Internal` when git cannot be started.
    pub fn start(mut self) -> Result<Running> {
        let name = self.name();
        let stdin = if self.input.is_some() || self.fed {
            Stdio::piped()
        } else {
            Stdio::null()
        };
        self.command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = self.command.spawn().map_err(|err| {
            Error::new(Kind::Internal, format!("cannot run {name}: {err}"))
                .hint("git must be installed and in PATH")
                .caused_by(err)
        })?;
        log::debug!(target: "relay::git", "{name} (pid {})", child.id());
        let writer = self.input.and_then(|input| {
            let mut stdin = child.stdin.take()?;
            Some(std::thread::spawn(move || stdin.write_all(&input)))
        });
        let stderr = child
            .stderr
            .take()
            .map(|stderr| std::thread::spawn(move || drain(stderr)));
        let stdout = child.stdout.take();
        Ok(Running {
            name,
            child,
            stdout,
            stderr,
            writer,
            limit: self.limit,
            kind: self.kind,
            also_fine: self.also_fine,
            waited: false,
        })
    }

    /// `git <subcommand>`, without the configuration that we pass along and without its arguments.
    fn name(&self) -> String {
        let mut args = self.command.get_args();
        while let Some(arg) = args.next() {
            match arg.to_str() {
                Some("-c") => drop(args.next()),
                _ => return format!("git {}", arg.to_string_lossy()),
            }
        }
        "git".to_owned()
    }
}

/// A git command under way.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    stdout: Option<ChildStdout>,
    stderr: Option<JoinHandle<Vec<u8>>>,
    writer: Option<JoinHandle<std::io::Result<()>>>,
    limit: u64,
    kind: Kind,
    also_fine: Option<i32>,
    waited: bool,
}

impl Running {
    /// Wait for its end and return its stdout.
    ///
    /// # Errors
    /// Those of [`Invocation::run`].
    pub fn finish(mut self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let read = match self.stdout.take() {
            Some(stdout) => stdout.take(self.limit + 1).read_to_end(&mut out),
            None => Ok(0),
        };
        let too_much = out.len() as u64 > self.limit;
        if too_much || read.is_err() {
            // It has nobody to write to any more; whatever kill says, wait() ends it.
            self.child.kill().ok();
        }
        self.waited = true;
        let status = self.child.wait().map_err(|err| Error::from_io(err, &self.name))?;
        // A broken pipe only means that git had read enough; its exit code tells the rest.
        self.writer.take().map(JoinHandle::join);
        let stderr = self
            .stderr
            .take()
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default();
        if too_much {
            let message = format!("{} printed more than {} bytes", self.name, self.limit);
            return Err(Error::new(Kind::Limit, message));
        }
        read.map_err(|err| Error::from_io(err, &format!("reading from {}", self.name)))?;
        if !status.success() && (status.code().is_none() || status.code() != self.also_fine) {
            return Err(self.failure(status, &stderr));
        }
        Ok(out)
    }

    fn failure(&self, status: ExitStatus, stderr: &[u8]) -> Error {
        let said = words(stderr);
        let message = match said.as_str() {
            "" => format!("{} failed ({status})", self.name),
            said => format!("{} failed: {said}", self.name),
        };
        Error::new(self.kind, message)
    }
}

impl Drop for Running {
    /// Nobody waits for its result any more, and it must not go on in a place that is about to vanish.
    fn drop(&mut self) {
        if !self.waited {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

fn no_stream(name: &str) -> Error {
    Error::new(Kind::Internal, format!("{name} has no stream for us"))
}

fn drain(mut stderr: impl Read) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut rest = stderr.by_ref().take(STDERR_LIMIT);
    // What was read before an error is still worth quoting.
    rest.read_to_end(&mut kept).ok();
    std::io::copy(&mut stderr, &mut std::io::sink()).ok();
    kept
}

/// Git's own words on one line, without the `fatal:` that is clear from where they are quoted.
fn words(stderr: &[u8]) -> String {
    let text = printable(stderr.strip_suffix(b"\n").unwrap_or(stderr)).replace("\\012", "; ");
    let text = text.trim();
    text.strip_prefix("fatal: ")
        .or_else(|| text.strip_prefix("error: "))
        .unwrap_or(text)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::Git;
    use super::*;

    #[test]
    fn a_failure_quotes_git() {
        let err = Git::here()
            .command(["-c", "core.editor=true", "cat-file", "-t", "nonsense"])
            .run()
            .unwrap_err();
        assert_eq!(err.kind(), Kind::Internal);
        assert_eq!(
            err.message(),
            "git cat-file failed: Not a valid object name nonsense"
        );
    }

    #[test]
    fn output_is_bounded() {
        let err = Git::here().command(["help", "-a"]).limit(10).run().unwrap_err();
        assert_eq!(
            (err.kind(), err.message()),
            (Kind::Limit, "git help printed more than 10 bytes")
        );
    }

    #[test]
    fn input_larger_than_a_pipe_arrives_and_an_answer_may_have_another_code() {
        let oid = Git::here()
            .command(["hash-object", "--stdin"])
            .input(vec![b'x'; 1 << 20])
            .run()
            .unwrap();
        assert_eq!(oid, b"fc26db1cf2fd25ac90dbf93eef0ebb92b51e8850\n".as_slice());
        let dir = tempfile::tempdir().unwrap();
        let git = Git::at(dir.path());
        assert!(
            git.command(["symbolic-ref", "-q", "HEAD"])
                .or_exit(1)
                .run()
                .is_err()
        );
        assert!(
            git.command(["diff", "--no-index", "/dev/null", "/etc/passwd"])
                .or_exit(1)
                .run()
                .is_ok()
        );
    }

    #[test]
    fn several_lines_become_one() {
        assert_eq!(words(b"fatal: a\nhint: b\x07\n"), "a; hint: b\\007");
    }
}
