//! A link over a pair of byte streams on which a service speaks first: a local process, ssh, `git daemon`, another
//! remote helper. How such a pair comes about is told by the modules beside this one.
//!
//! One pair serves the whole run. It is opened again only after an answer was abandoned, because what is left in the
//! pipe cannot be told from the next answer.

use std::any::Any;
use std::borrow::Cow;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bstr::{BStr, BString};
use gix_transport::client::blocking_io::{RequestWriter, SetServiceResponse, Transport};
use gix_transport::client::git::ConnectMode;
use gix_transport::client::git::blocking_io::Connection;
use gix_transport::client::{self, MessageKind, TransportWithoutIO, WriteMode};
use gix_transport::{Protocol, Service};

use super::child::Process;
use super::failure;
use super::retry::Retries;
use super::{Budget, Cutter, Link, Traffic};
use crate::error::{Error, Kind, Result};

/// Buffered, because pkt-lines are read and written piece by piece. It also keeps a service that dies at the first line
/// of a request (`not our ref`) from being seen as a broken pipe at the second.
type Buffered = Connection<BufReader<CountedOutput>, BufWriter<SharedInput>>;

/// What a pipe holds.
const BUFFER: usize = 64 * 1024;

/// Both directions of a conversation with a service.
pub(super) struct Pipe {
    /// What we write; dropping it must tell the service that nothing more comes.
    pub(super) input: Box<dyn Write + Send>,
    /// What the service writes.
    pub(super) output: Box<dyn Read + Send>,
    /// The child that the conversation goes through, if there is one.
    pub(super) child: Option<Process>,
}

/// Opens a [`Pipe`] whenever one is needed.
pub(super) type Opener = Box<dyn Fn() -> Result<Pipe> + Send>;

/// A link over a [`Pipe`].
pub(super) struct PipeLink {
    open: Opener,
    shown: BString,
    service: Service,
    version: Protocol,
    retries: Retries,
    counts: Arc<Counts>,
    input: SharedInput,
    running: Option<Running>,
    /// Hands have been shaken and nothing has been asked since.
    idle: bool,
    budget: Budget,
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
    child: Option<Process>,
    pipes: Buffered,
}

impl PipeLink {
    /// Open the pipe to `service` with `open`, which asks for protocol `version`, and again when it fails to connect,
    /// by the rules of `retries`. `shown` is the URL for messages, `budget` is what the service may say while its refs
    /// are read.
    ///
    /// # Errors
    /// Those of `open`.
    pub(super) fn open(
        open: Opener,
        shown: impl Into<BString>,
        (service, version): (Service, Protocol),
        (budget, retries): (Budget, Retries),
    ) -> Result<PipeLink> {
        let counts = Arc::new(Counts::default());
        let input = SharedInput {
            pipe: Arc::new(Mutex::new(None)),
            counts: counts.clone(),
        };
        let mut link = PipeLink {
            open,
            shown: shown.into(),
            service,
            version,
            retries,
            counts,
            input,
            running: None,
            idle: false,
            budget,
        };
        link.start()?;
        Ok(link)
    }

    fn start(&mut self) -> Result<()> {
        let Pipe { input, output, child } = self.retries.connect(&self.open)?;
        self.input.replace(Some(input));
        let output = CountedOutput {
            pipe: output,
            counts: self.counts.clone(),
            budget: self.budget.clone(),
        };
        let pipes = Connection::new(
            BufReader::with_capacity(BUFFER, output),
            BufWriter::with_capacity(BUFFER, self.input.clone()),
            self.version,
            self.shown.clone(),
            None::<(String, _)>,
            // The opener has asked for the service already, also where it is a daemon.
            ConnectMode::Process,
            false,
        );
        self.running = Some(Running { child, pipes });
        Ok(())
    }

    fn pipes(&mut self) -> Result<&mut Buffered, client::Error> {
        self.running
            .as_mut()
            .map(|running| &mut running.pipes)
            .ok_or(client::Error::MissingHandshake)
    }

    /// Start over, up to where requests can be made.
    fn restart(&mut self) -> Result<(), client::Error> {
        log::debug!(target: "relay::git", "connecting to {} once more", self.shown);
        self.start().map_err(io::Error::from)?;
        let service = self.service;
        if let Some(mut refs) = self.pipes()?.handshake(service, &[])?.refs {
            io::copy(&mut refs, &mut io::sink())?;
        }
        Ok(())
    }

    /// Close both directions and wait for the child, which ends by the end of its input or by a broken pipe.
    fn stop(&mut self) -> Option<super::child::Ending> {
        let Running { child, pipes } = self.running.take()?;
        if std::mem::take(&mut self.idle) {
            // A service that gets no flush complains about the hang-up, and over ssh the user would see that. Only here: in
            // the middle of a list of commands a flush would have the first of them carried out.
            self.input.write_all(b"0000").ok();
        }
        self.input.replace(None);
        drop(pipes);
        child.map(Process::finish)
    }
}

impl Drop for PipeLink {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Link for PipeLink {
    fn abandon_response(&mut self) -> Result<()> {
        if let Some(child) = self.running.as_ref().and_then(|running| running.child.as_ref()) {
            child.mute();
        }
        self.stop();
        Ok(())
    }

    fn end_conversation(&mut self) {
        self.stop();
    }

    fn reopen(&mut self) -> Result<()> {
        self.abandon_response()?;
        self.start()
    }

    fn cutter(&self) -> Cutter {
        let input = self.input.clone();
        Cutter::new(move || input.replace(None))
    }

    fn traffic(&self) -> Traffic {
        Traffic {
            requests: self.counts.requests.load(Ordering::Relaxed),
            bytes_sent: self.counts.bytes_sent.load(Ordering::Relaxed),
            bytes_received: self.counts.bytes_received.load(Ordering::Relaxed),
            retries: self.retries.count(),
        }
    }

    fn take_notes(&self) -> Vec<String> {
        self.retries.take_notes()
    }

    fn budget(&self) -> &Budget {
        &self.budget
    }

    fn explain(&mut self, err: Error) -> Error {
        if err.kind() == Kind::Timeout
            && let Some(child) = self.running.as_mut().and_then(|running| running.child.as_mut())
        {
            // It has had its time.
            child.hurry();
        }
        let ending = self.stop();
        failure::explain(err, ending.as_ref())
    }
}

impl TransportWithoutIO for PipeLink {
    fn to_url(&self) -> Cow<'_, BStr> {
        Cow::Borrowed(self.shown.as_ref())
    }

    fn connection_persists_across_multiple_requests(&self) -> bool {
        true
    }

    fn configure(&mut self, _config: &dyn Any) -> gix_error::Result {
        Ok(())
    }
}

impl Transport for PipeLink {
    fn handshake<'a>(
        &mut self,
        service: Service,
        extra_parameters: &'a [(&'a str, Option<&'a str>)],
    ) -> Result<SetServiceResponse<'_>, client::Error> {
        self.idle = true;
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
        self.idle = false;
        add(&self.counts.requests, 1);
        self.pipes()?.request(write_mode, on_into_read, trace)
    }
}

/// The writing end, which a [`Cutter`] can close from elsewhere.
#[derive(Clone)]
struct SharedInput {
    pipe: Arc<Mutex<Option<Box<dyn Write + Send>>>>,
    counts: Arc<Counts>,
}

impl SharedInput {
    fn replace(&self, pipe: Option<Box<dyn Write + Send>>) {
        let mut place = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        *place = pipe;
    }
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
    pipe: Box<dyn Read + Send>,
    counts: Arc<Counts>,
    budget: Budget,
}

impl Read for CountedOutput {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.pipe.read(buf)?;
        add(&self.counts.bytes_received, read);
        self.budget.spend(read)?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::url::LocalAddress;

    fn local(path: &Path, service: Service, version: Protocol) -> PipeLink {
        let address = LocalAddress::from(path.to_owned());
        let open =
            move || super::super::local::open(&address, service, if version == Protocol::V2 { 2 } else { 0 });
        let bounds = (Budget::new(0), Retries::default());
        PipeLink::open(Box::new(open), "here", (service, version), bounds).unwrap()
    }

    /// Over ssh the user would see `fatal: the remote end hung up unexpectedly` after each push of nothing.
    #[test]
    fn a_service_that_was_not_needed_does_not_complain() {
        let dir = repository();
        for (service, version) in [
            (Service::ReceivePack, Protocol::V1),
            (Service::UploadPack, Protocol::V1),
            (Service::UploadPack, Protocol::V2),
        ] {
            let mut link = local(dir.path(), service, version);
            if let Some(mut refs) = link.handshake(service, &[]).unwrap().refs {
                io::copy(&mut refs, &mut io::sink()).unwrap();
            }
            let ending = link.stop().unwrap();
            assert_eq!(ending.reason(), None, "{service:?} {version:?}");
        }
    }

    fn repository() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let git = std::process::Command::new("git")
            .args(["init", "-q", "--bare"])
            .arg(dir.path())
            .status();
        assert!(git.unwrap().success());
        dir
    }

    #[test]
    fn a_missing_repository_is_explained_in_gits_own_words() {
        let dir = tempfile::tempdir().unwrap();
        let mut link = local(&dir.path().join("none"), Service::UploadPack, Protocol::V2);
        let err = link.handshake(Service::UploadPack, &[]).err().unwrap();
        let err = link.explain(Error::from_transport(err, "reading"));
        assert_eq!(err.kind(), Kind::Peer);
        assert!(
            err.message().contains("does not appear to be a git repository"),
            "{err}"
        );
    }

    #[test]
    fn a_cut_request_fails_further_writes() {
        let dir = repository();
        let mut link = local(dir.path(), Service::ReceivePack, Protocol::V1);
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

    /// Callers see no difference: the next request finds a service that waits for one.
    #[test]
    fn after_an_abandoned_answer_the_next_request_connects_anew() {
        let dir = repository();
        for version in [Protocol::V2, Protocol::V1] {
            let mut link = local(dir.path(), Service::UploadPack, version);
            drop(link.handshake(Service::UploadPack, &[]).unwrap());
            link.abandon_response().unwrap();
            let mut request = link
                .request(WriteMode::Binary, MessageKind::Flush, false)
                .unwrap();
            if version == Protocol::V2 {
                request.write_all(b"command=ls-refs\n").unwrap();
            }
            let mut answer = Vec::new();
            let read = request.into_read().unwrap().read_to_end(&mut answer);
            // No refs in version 2; nothing at all to no wants in version 0.
            match version {
                Protocol::V2 => assert_eq!((read.unwrap(), answer), (0, Vec::new())),
                _ => assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof),
            }
            assert_eq!(link.traffic().requests, 1);
        }
    }
}
