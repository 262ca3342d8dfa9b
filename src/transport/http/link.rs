//! What the layers of one backend share while a request is under way: flags, the live socket, counters.
//!
//! A backend has one request at a time, so one [`Link`] serves all its connections. It does no I/O of its own beyond
//! looking at the socket and cutting it.

use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Lock `mutex`; a panic elsewhere leaves our plain data usable.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// State of the request under way, seen by the connection layers below ureq and by our handles.
#[derive(Debug, Default)]
pub(super) struct Link {
    uploading: AtomicBool,
    stopped: AtomicBool,
    accepted: AtomicBool,
    probing: AtomicBool,
    aborted: AtomicBool,
    connects: AtomicU64,
    arrived: AtomicUsize,
    socket: Mutex<Weak<TcpStream>>,
    length: Mutex<Option<u64>>,
    pub(super) stats: Stats,
}

impl Link {
    /// A new exchange starts, the only one from now on; what was said about the last one no longer holds.
    pub(super) fn begin_exchange(&self) {
        self.aborted.store(false, Ordering::SeqCst);
        self.note_arrived(0);
        *lock(&self.socket) = Weak::new();
    }

    /// One request of the exchange starts (a redirect or a second try with credentials makes several).
    pub(super) fn begin_request(&self, with_body: bool) {
        self.uploading.store(with_body, Ordering::SeqCst);
        self.stopped.store(false, Ordering::SeqCst);
        self.accepted.store(false, Ordering::SeqCst);
        self.probing.store(false, Ordering::SeqCst);
    }

    /// Whether a request body is (or was) sent by the request under way.
    pub(super) fn uploading(&self) -> bool {
        self.uploading.load(Ordering::SeqCst)
    }

    /// The peer takes no more of the body: it answered already, or it is gone.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    /// See [`Link::stop`].
    pub(super) fn stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// The peer began a successful answer and goes on reading the body.
    pub(super) fn accept(&self) {
        self.accepted.store(true, Ordering::SeqCst);
    }

    /// See [`Link::accept`].
    pub(super) fn accepted(&self) -> bool {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Whether the next read must not wait for bytes.
    pub(super) fn probing(&self) -> bool {
        self.probing.load(Ordering::SeqCst)
    }

    pub(super) fn set_probing(&self, on: bool) {
        self.probing.store(on, Ordering::SeqCst);
    }

    /// The input buffer holds so many bytes.
    pub(super) fn note_arrived(&self, bytes: usize) {
        self.arrived.store(bytes, Ordering::Relaxed);
    }

    /// So many bytes of what has arrived were read.
    pub(super) fn note_read(&self, bytes: usize) {
        let arrived = self.arrived.load(Ordering::Relaxed);
        self.note_arrived(arrived.saturating_sub(bytes));
    }

    pub(super) fn aborted(&self) -> bool {
        self.aborted.load(Ordering::SeqCst)
    }

    /// How many connections were made so far; unchanged by a request that used a kept one.
    pub(super) fn connects(&self) -> u64 {
        self.connects.load(Ordering::SeqCst)
    }

    pub(super) fn count_connect(&self) {
        self.connects.fetch_add(1, Ordering::SeqCst);
    }

    /// The request under way goes over `socket`.
    pub(super) fn use_socket(&self, socket: &Arc<TcpStream>) {
        *lock(&self.socket) = Arc::downgrade(socket);
    }

    /// The length of the next upload, if it was announced.
    pub(super) fn take_length(&self) -> Option<u64> {
        lock(&self.length).take()
    }

    /// Whether the socket has bytes for us, or has ended: a read would not wait.
    pub(super) fn readable(&self) -> bool {
        let socket = lock(&self.socket).upgrade();
        socket.is_some_and(|socket| !is_quiet(&socket))
    }

    /// Cut the exchange under way.
    pub(super) fn abort(&self) {
        self.aborted.store(true, Ordering::SeqCst);
        if let Some(socket) = lock(&self.socket).upgrade() {
            // An error means that it is closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// Whether `socket` is open and has nothing to read. Asked for each piece of an upload, so it is a single system call.
pub(super) fn is_quiet(socket: &TcpStream) -> bool {
    let mut asked = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    matches!(poll(&mut asked, PollTimeout::ZERO), Ok(0) | Err(Errno::EINTR))
}

/// Cuts the exchange that a backend has under way, from any thread.
///
/// An upload that is cut never gets its terminating chunk, so the server cannot take it for a complete one. Without
/// an exchange under way, nothing happens; later exchanges are not affected.
#[derive(Debug, Clone)]
pub struct AbortHandle(pub(super) Arc<Link>);

impl AbortHandle {
    /// Close the connection without ending the request body; whoever reads or writes on it gets an error.
    pub fn abort(&self) {
        self.0.abort();
    }
}

/// Tells how much of a backend's present response has arrived.
#[derive(Debug, Clone)]
pub struct Arrived(pub(super) Arc<Link>);

impl Arrived {
    /// How many bytes are there to be read without waiting, at least: what may be lines between chunks is left out.
    pub fn bytes(&self) -> usize {
        /// Of more than a hundred chunks.
        const LINES: usize = 1024;
        self.0.arrived.load(Ordering::Relaxed).saturating_sub(LINES)
    }
}

/// Says how long the next upload of a backend is, so that it need not be sent in chunks.
#[derive(Debug, Clone)]
pub struct Length(pub(super) Arc<Link>);

impl Length {
    /// The next streamed request body has `bytes` bytes. If it turns out shorter, its connection is cut.
    pub fn announce(&self, bytes: u64) {
        *lock(&self.0.length) = Some(bytes);
    }
}

/// Counters of one backend. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Stats(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    status: AtomicU16,
    retry_after: AtomicU64,
}

impl Stats {
    /// HTTP requests sent, those for redirects and authentication included.
    pub fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed)
    }

    /// Bytes sent: heads and bodies as they are on the wire (chunked, compressed), without TLS.
    pub fn bytes_sent(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// Bytes received: heads and bodies as they are on the wire, without TLS.
    pub fn bytes_received(&self) -> u64 {
        self.0.received.load(Ordering::Relaxed)
    }

    /// The status of the last response, if the last request got one.
    pub fn last_status(&self) -> Option<u16> {
        Some(self.0.status.load(Ordering::Relaxed)).filter(|status| *status != 0)
    }

    /// How long the last response asks us to wait before trying again (`Retry-After` in seconds).
    pub fn retry_after(&self) -> Option<Duration> {
        let secs = self.0.retry_after.load(Ordering::Relaxed);
        (secs != 0).then(|| Duration::from_secs(secs))
    }

    pub(super) fn count_request(&self) {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        self.set_status(0, None);
    }

    pub(super) fn count_sent(&self, bytes: usize) {
        self.0.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn count_received(&self, bytes: usize) {
        self.0.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn set_status(&self, status: u16, retry_after: Option<u64>) {
        self.0.status.store(status, Ordering::Relaxed);
        self.0
            .retry_after
            .store(retry_after.unwrap_or(0), Ordering::Relaxed);
    }
}
