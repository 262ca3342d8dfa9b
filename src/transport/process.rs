//! A link to a local repository: git's own `upload-pack` or `receive-pack` on the other end of two pipes.
//!
//! One process serves the whole run. It is started again only after an answer was abandoned, because what is left in
//! the pipe cannot be told from the next answer.

use std::any::Any;
use std::borrow::Cow;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bstr::{BStr, ByteSlice};
use gix_transport::client::blocking_io::{RequestWriter, SetServiceResponse, Transport};
use gix_transport::client::git::ConnectMode;
use gix_transport::client::git::blocking_io::Connection;
use gix_transport::client::{self, MessageKind, TransportWithoutIO, WriteMode};
use gix_transport::{Protocol, Service};

use super::{Cutter, Link, Traffic};
use crate::error::{Error, Kind, Result};
use crate::git::service;

/// What a service may say on standard error before the rest is dropped; hooks can be chatty.
const LAST_WORDS_LIMIT: u64 = 16 * 1024;

/// Buffered, because pkt-lines are read and written piece by piece. It also keeps a service that dies at the first line
/// of a request (`not our ref`) from being seen as a broken pipe at the second.
type Pipes = Connection<BufReader<CountedOutput>, BufWriter<SharedInput>>;

/// What a pipe holds.
const BUFFER: usize = 64 * 1024;

/// A link to `git upload-pack` or `git receive-pack` in a local directory.
pub struct ProcessLink {
    path: PathBuf,
    service: Service,
    version: Protocol,
    counts: Arc<Counts>,
    input: SharedInput,
    running: Option<Running>,
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    bytes_sent: AtomicU64,
    bytes_received: AtomicU64,
}

fn add(counter: &AtomicU64, amount: usize) {
    counter.fetch_add(amount as u64, Ordering::Relaxed);
}

struct Running {
    child: Child,
    pipes: Option<Pipes>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

impl ProcessLink {
    /// Start `service` for the repository at `path`, asking for protocol `version`.
    pub fn start(path: &Path, service: Service, version: Protocol) -> Result<Self> {
        let counts = Arc::new(Counts::default());
        let input = SharedInput {
            pipe: Arc::new(Mutex::new(None)),
            counts: counts.clone(),
        };
        let mut link = ProcessLink {
            path: path.to_owned(),
            service,
            version,
            counts,
            input,
            running: None,
        };
        link.spawn()?;
        Ok(link)
    }

    fn spawn(&mut self) -> Result<()> {
        // gix calls the plain protocol V1; without GIT_PROTOCOL git speaks version 0.
        let version = if self.version == Protocol::V2 { 2 } else { 0 };
        let mut child = service::command(self.service, &self.path, version)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|err| {
                Error::new(Kind::Internal, format!("cannot run 'git': {err}"))
                    .hint("git must be on PATH")
                    .caused_by(err)
            })?;
        *self.input.pipe.lock().unwrap_or_else(PoisonError::into_inner) = child.stdin.take();
        let output = CountedOutput {
            pipe: child.stdout.take(),
            counts: self.counts.clone(),
        };
        let stderr = child.stderr.take().map(collect);
        let path: &[u8] = self.path.as_os_str().as_encoded_bytes();
        let pipes = Connection::new(
            BufReader::with_capacity(BUFFER, output),
            BufWriter::with_capacity(BUFFER, self.input.clone()),
            self.version,
            path.as_bstr().to_owned(),
            None::<(String, _)>,
            ConnectMode::Process,
            false,
        );
        self.running = Some(Running {
            child,
            pipes: Some(pipes),
            stderr,
        });
        Ok(())
    }

    fn pipes(&mut self) -> Result<&mut Pipes, client::Error> {
        self.running
            .as_mut()
            .and_then(|running| running.pipes.as_mut())
            .ok_or(client::Error::MissingHandshake)
    }

    /// Start over, up to where requests can be made.
    fn restart(&mut self) -> Result<(), client::Error> {
        self.spawn().map_err(io::Error::from)?;
        let service = self.service;
        if let Some(mut refs) = self.pipes()?.handshake(service, &[])?.refs {
            io::copy(&mut refs, &mut io::sink())?;
        }
        Ok(())
    }

    fn stop(&mut self) -> Option<Vec<u8>> {
        let mut running = self.running.take()?;
        drop(
            self.input
                .pipe
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        // With both pipes closed, the service ends by itself: by end of file, or by a broken pipe.
        running.pipes = None;
        let words = running.stderr.take().and_then(|thread| thread.join().ok());
        running.child.wait().ok();
        words
    }
}

impl Drop for ProcessLink {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Link for ProcessLink {
    fn abandon_response(&mut self) -> Result<()> {
        self.stop();
        Ok(())
    }

    fn cutter(&self) -> Cutter {
        let input = self.input.pipe.clone();
        Cutter::new(move || drop(input.lock().unwrap_or_else(PoisonError::into_inner).take()))
    }

    fn traffic(&self) -> Traffic {
        Traffic {
            requests: self.counts.requests.load(Ordering::Relaxed),
            bytes_sent: self.counts.bytes_sent.load(Ordering::Relaxed),
            bytes_received: self.counts.bytes_received.load(Ordering::Relaxed),
        }
    }

    fn last_words(&mut self) -> Option<String> {
        let words = self.stop()?;
        let text = words.to_str_lossy();
        let lines: Vec<_> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        let fatal = lines.iter().find_map(|line| line.strip_prefix("fatal: "));
        let told = fatal.or(lines.first().copied())?;
        Some(crate::error::printable(told.as_bytes()))
    }
}

impl TransportWithoutIO for ProcessLink {
    fn to_url(&self) -> Cow<'_, BStr> {
        Cow::Borrowed(self.path.as_os_str().as_encoded_bytes().as_bstr())
    }

    fn connection_persists_across_multiple_requests(&self) -> bool {
        true
    }

    fn configure(&mut self, _config: &dyn Any) -> gix_error::Result {
        Ok(())
    }
}

impl Transport for ProcessLink {
    fn handshake<'a>(
        &mut self,
        service: Service,
        extra_parameters: &'a [(&'a str, Option<&'a str>)],
    ) -> Result<SetServiceResponse<'_>, client::Error> {
        self.pipes()?.handshake(service, extra_parameters)
    }

    fn request(
        &mut self,
        write_mode: WriteMode,
        on_into_read: MessageKind,
        trace: bool,
    ) -> Result<RequestWriter<'_>, client::Error> {
        if self.running.is_none() {
            self.restart()?;
        }
        add(&self.counts.requests, 1);
        self.pipes()?.request(write_mode, on_into_read, trace)
    }
}

/// The child's standard input, which a [`Cutter`] can close from elsewhere.
#[derive(Clone)]
struct SharedInput {
    pipe: Arc<Mutex<Option<ChildStdin>>>,
    counts: Arc<Counts>,
}

impl Write for SharedInput {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        let written = pipe.as_mut().ok_or(io::ErrorKind::BrokenPipe)?.write(buf)?;
        add(&self.counts.bytes_sent, written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct CountedOutput {
    pipe: Option<ChildStdout>,
    counts: Arc<Counts>,
}

impl Read for CountedOutput {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.pipe.as_mut().map_or(Ok(0), |pipe| pipe.read(buf))?;
        add(&self.counts.bytes_received, read);
        Ok(read)
    }
}

/// Read standard error to its end, so that the child never blocks on it, and keep the beginning.
fn collect(mut stderr: ChildStderr) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut words = Vec::new();
        stderr
            .by_ref()
            .take(LAST_WORDS_LIMIT)
            .read_to_end(&mut words)
            .ok();
        io::copy(&mut stderr, &mut io::sink()).ok();
        words
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_repository_leaves_gits_own_words() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("none");
        let mut link = ProcessLink::start(&path, Service::UploadPack, Protocol::V2).unwrap();
        assert!(link.handshake(Service::UploadPack, &[]).is_err());
        let words = link.last_words().unwrap();
        assert!(
            words.contains("does not appear to be a git repository"),
            "{words}"
        );
    }

    #[test]
    fn a_cut_request_fails_further_writes() {
        let dir = tempfile::tempdir().unwrap();
        let git = std::process::Command::new("git")
            .args(["init", "-q", "--bare"])
            .arg(dir.path())
            .status();
        assert!(git.unwrap().success());
        let mut link = ProcessLink::start(dir.path(), Service::ReceivePack, Protocol::V1).unwrap();
        drop(link.handshake(Service::ReceivePack, &[]).unwrap());
        let cutter = link.cutter();
        let (mut writer, _reader) = link
            .request(WriteMode::Binary, MessageKind::Flush, false)
            .unwrap()
            .into_parts();
        cutter.cut();
        writer.write_all(b"x").unwrap();
        assert_eq!(writer.flush().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
