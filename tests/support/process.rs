//! Child processes that cannot hang a test: both streams are read as they come, and a watchdog ends what takes too long.
//!
//! What is run, and in which environment, is decided in `git.rs`.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// After this long a process is taken for stuck.
pub const WATCHDOG: Duration = Duration::from_secs(60);

/// A command about to be run, with what it gets to read.
pub struct Cmd {
    command: Command,
    input: Vec<u8>,
    watchdog: Duration,
}

impl Cmd {
    /// Run `command`, which has its program, directory and environment already.
    pub fn new(command: Command) -> Self {
        Cmd {
            command,
            input: Vec::new(),
            watchdog: WATCHDOG,
        }
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// It may take longer than others.
    pub fn patient(mut self, watchdog: Duration) -> Self {
        self.watchdog = watchdog;
        self
    }

    /// Start it in a process group of its own, so that a signal can reach it and its children like ctrl-C does.
    pub fn spawn(mut self) -> Running {
        let what = describe(&self.command);
        self.command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap_or_else(|err| panic!("{what}: {err}"));
        let mut stdin = child.stdin.take().unwrap();
        let input = self.input;
        // A child that does not read its input is no fault of the test.
        std::thread::spawn(move || drop(stdin.write_all(&input)));
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        Running {
            child,
            stdout,
            stderr,
            what,
            watchdog: self.watchdog,
        }
    }

    pub fn run(self) -> Output {
        self.spawn().finish()
    }

    /// Run it and insist on success.
    pub fn ok(self) -> Output {
        self.run().ok()
    }
}

/// The command without its environment, which is long and always the same.
fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
    let dir = command.get_current_dir().unwrap_or_else(|| ".".as_ref());
    format!("{}$ {}", dir.display(), words.join(" "))
}

fn collect(mut from: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (send, receive) = channel();
    std::thread::spawn(move || {
        let mut all = Vec::new();
        let _ = from.read_to_end(&mut all);
        let _ = send.send(all);
    });
    receive
}

/// A process under way.
pub struct Running {
    child: Child,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
    what: String,
    watchdog: Duration,
}

impl Running {
    /// Send a signal (`INT`, `KILL`) to the process and everything it started.
    pub fn signal_group(&self, signal: &str) {
        kill(signal, &format!("-{}", self.child.id()));
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Wait for the end, which is when both streams are closed too: a child that outlives its parent counts.
    pub fn finish(mut self) -> Output {
        let deadline = Instant::now() + self.watchdog;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if Instant::now() > deadline => break None,
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        let left = || deadline.saturating_duration_since(Instant::now());
        let streams = (self.stdout.recv_timeout(left()), self.stderr.recv_timeout(left()));
        let (Some(status), (Ok(stdout), Ok(stderr))) = (status, streams) else {
            self.signal_group("KILL");
            let _ = self.child.wait();
            let rest = self
                .stderr
                .recv_timeout(Duration::from_secs(1))
                .unwrap_or_default();
            panic!(
                "{} did not end within {:?}\n{}",
                self.what,
                self.watchdog,
                String::from_utf8_lossy(&rest)
            );
        };
        Output {
            status,
            stdout,
            stderr,
            what: self.what,
        }
    }
}

/// `kill -<signal> <target>`; the target may be gone already.
pub fn kill(signal: &str, target: &str) {
    let _ = Command::new("/bin/kill")
        .arg(format!("-{signal}"))
        .arg("--")
        .arg(target)
        .stderr(Stdio::null())
        .status();
}

/// How a process ended and what it said.
#[derive(Debug, Clone)]
pub struct Output {
    status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    what: String,
}

impl Output {
    /// The exit code as a shell shows it: 128 + n after signal n.
    pub fn code(&self) -> i32 {
        self.status
            .code()
            .or_else(|| self.status.signal().map(|signal| 128 + signal))
            .unwrap()
    }

    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Panic with everything that is known, unless it exited with `code`.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert!(self.code() == code, "expected exit code {code}: {self}");
        self
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        self.exits(0)
    }

    /// Panic unless `text` stands in the standard error.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.err().contains(text), "no {text:?} in the words of {self}");
        self
    }

    /// Panic if `text` stands in the standard error.
    #[track_caller]
    pub fn never_says(self, text: &str) -> Self {
        assert!(
            !self.err().contains(text),
            "{text:?} is among the words of {self}"
        );
        self
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}\nexit code {}\n--- stdout\n{}--- stderr\n{}---",
            self.what,
            self.code(),
            self.out(),
            self.err()
        )
    }
}
