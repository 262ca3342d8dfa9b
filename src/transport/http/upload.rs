//! The request body on its way from the caller to the request thread: a bounded pipe and its two ends.
//!
//! What is done with the bytes is told in [`super::client`].

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::link::{Link, lock};
use super::response::Answer;
use crate::error::{Error, Kind, Result};

/// How many bytes may wait between the caller and the network; both sides of a relay then keep busy.
pub(super) const CAPACITY: usize = 256 * 1024;
/// Less is not worth waking the network for, unless it is flushed: more is about to come.
const WORTH_SENDING: usize = 4 * 1024;

/// What everyone gets to hear after an abort.
pub(super) fn aborted() -> Error {
    Error::new(Kind::Network, "the request was aborted before it was complete")
}

/// A request body in transit, and what became of its request.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bytes: VecDeque<u8>,
    /// Somebody waits for bytes. Waking costs a system call and a change of threads, so it is done only for those who
    /// wait, and once for many bytes.
    reader_waits: bool,
    /// Somebody waits for room.
    writer_waits: bool,
    /// The writer was dropped: there will be no more bytes.
    finished: bool,
    /// The response was asked for, so dropping the writer meant the end and not an accident.
    wanted: bool,
    aborted: bool,
    /// Nobody reads any more.
    closed: bool,
    outcome: Outcome,
}

#[derive(Debug, Default)]
enum Outcome {
    #[default]
    Pending,
    Ready(Answer),
    Failed(Error),
    Taken,
}

impl Pipe {
    /// Stop both ends; the reader fails, so the body never looks complete.
    pub(super) fn abort(&self) {
        lock(&self.state).aborted = true;
        self.changed.notify_all();
    }

    /// The response is never going to be asked for: an unfinished business, not a finished upload.
    /// True if that cut it short.
    pub(super) fn abandon(&self) -> bool {
        let unwanted = {
            let mut state = lock(&self.state);
            let pending = matches!(state.outcome, Outcome::Pending);
            state.aborted |= pending && !state.wanted;
            state.aborted
        };
        self.changed.notify_all();
        unwanted
    }

    /// Whether the request is still under way.
    pub(super) fn is_pending(&self) -> bool {
        matches!(lock(&self.state).outcome, Outcome::Pending)
    }

    /// What became of the request; the first word counts.
    pub(super) fn settle(&self, result: Result<Answer>) {
        let mut state = lock(&self.state);
        if !matches!(state.outcome, Outcome::Pending) {
            return;
        }
        state.closed = true;
        state.bytes = VecDeque::new();
        state.outcome = match result {
            Ok(answer) => Outcome::Ready(answer),
            Err(err) => Outcome::Failed(err),
        };
        drop(state);
        self.changed.notify_all();
    }

    /// Let the body end and wait for the response.
    pub(super) fn answer(&self) -> Result<Answer> {
        let mut state = lock(&self.state);
        state.wanted = true;
        self.changed.notify_all();
        loop {
            match &state.outcome {
                Outcome::Pending if !state.finished => {
                    state.aborted = true;
                    return Err(Error::new(
                        Kind::Internal,
                        "the response was read before the request was finished",
                    ));
                }
                Outcome::Pending => state = self.wait(state),
                _ => break,
            }
        }
        match std::mem::replace(&mut state.outcome, Outcome::Taken) {
            Outcome::Ready(answer) => Ok(answer),
            Outcome::Failed(err) => {
                let copy = err.duplicate();
                state.outcome = Outcome::Failed(copy);
                Err(err)
            }
            Outcome::Pending | Outcome::Taken => {
                Err(Error::new(Kind::Internal, "the response was asked for twice"))
            }
        }
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, buf: &[u8]) -> io::Result<usize> {
        let mut state = lock(&self.state);
        loop {
            if state.aborted {
                return Err(aborted().into());
            }
            if state.closed {
                return Err(self.why_closed(state).into());
            }
            let room = CAPACITY.saturating_sub(state.bytes.len());
            if room > 0 {
                let taken = buf.get(..room).unwrap_or(buf);
                state.bytes.extend(taken);
                self.wake_reader(state, WORTH_SENDING);
                return Ok(taken.len());
            }
            state.writer_waits = true;
            state = self.wait(state);
            state.writer_waits = false;
        }
    }

    /// What was written is all for now.
    fn flush(&self) {
        self.wake_reader(lock(&self.state), 1);
    }

    fn wake_reader(&self, state: MutexGuard<'_, State>, least: usize) {
        let wake = state.reader_waits && state.bytes.len() >= least;
        drop(state);
        if wake {
            self.changed.notify_all();
        }
    }

    /// The server's answer says more than "broken pipe", and it is on its way.
    fn why_closed(&self, mut state: MutexGuard<'_, State>) -> Error {
        loop {
            match &state.outcome {
                Outcome::Failed(err) => return err.duplicate(),
                Outcome::Ready(_) | Outcome::Taken => {
                    return Error::new(Kind::Peer, "the server answered before the upload was complete");
                }
                Outcome::Pending => state = self.wait(state),
            }
        }
    }

    fn finish(&self) {
        lock(&self.state).finished = true;
        self.changed.notify_all();
    }

    fn read(&self, buf: &mut [u8], link: &Link) -> io::Result<usize> {
        let mut state = lock(&self.state);
        loop {
            if state.aborted {
                return Err(aborted().into());
            }
            if link.stopped() {
                state.closed = true;
                drop(state);
                self.changed.notify_all();
                return Ok(0);
            }
            if !state.bytes.is_empty() {
                // The bytes may lie in two parts.
                let first = state.bytes.read(buf)?;
                let n = first + state.bytes.read(buf.get_mut(first..).unwrap_or_default())?;
                let wake = state.writer_waits && state.bytes.len() <= CAPACITY / 2;
                drop(state);
                if wake {
                    self.changed.notify_all();
                }
                return Ok(n);
            }
            if state.finished && state.wanted {
                return Ok(0);
            }
            state.reader_waits = true;
            state = self.wait(state);
            state.reader_waits = false;
        }
    }
}

/// Whatever happens to the request thread, those who wait for it are told.
pub(super) struct Settle(pub(super) Arc<Pipe>);

impl Drop for Settle {
    fn drop(&mut self) {
        let err = Error::new(Kind::Internal, "the request ended without a result");
        self.0.settle(Err(err));
    }
}

/// The end that ureq reads the body from.
pub(super) struct BodySource {
    pub(super) pipe: Arc<Pipe>,
    pub(super) link: Arc<Link>,
}

impl Read for BodySource {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.pipe.read(buf, &self.link)
    }
}

/// Takes the body of a POST.
///
/// Drop it to end the body, then read the response: only the two together complete the request. If the response
/// handles are dropped unread instead, as happens when an error cuts a function short, the request is aborted.
///
/// `write` fails with an [`Error`] inside the [`io::Error`] as soon as the server has answered early or is gone; the
/// error is then what the server said.
#[derive(Debug)]
pub struct PostBody(pub(super) Sink);

#[derive(Debug)]
pub(super) enum Sink {
    /// Collected, and sent when the response is read.
    Memory(Arc<Mutex<Vec<u8>>>),
    /// Sent while it is written.
    Stream(Arc<Pipe>),
}

impl Write for PostBody {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match &self.0 {
            _ if buf.is_empty() => Ok(0),
            Sink::Memory(body) => {
                lock(body).extend_from_slice(buf);
                Ok(buf.len())
            }
            Sink::Stream(pipe) => pipe.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Sink::Stream(pipe) = &self.0 {
            pipe.flush();
        }
        Ok(())
    }
}

impl Drop for PostBody {
    fn drop(&mut self) {
        if let Sink::Stream(pipe) = &self.0 {
            pipe.finish();
        }
    }
}
