//! The bottom of a connection once it is made: reading and writing a TCP stream under time limits, and what a failed
//! write means during an upload. No TLS, no HTTP.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::unversioned::transport::{Buffers, LazyBuffers, NextTimeout, Transport};

use super::link::{Link, is_quiet};
use super::speed::Speed;

/// How long a write may be stuck before we look whether the server has answered instead of reading.
const STUCK: Duration = Duration::from_secs(2);

/// A TCP connection that does not take a failed upload for a failed request.
///
/// While a body is sent, a broken pipe only means that the server wants no more of it; its answer may well be waiting
/// to be read. So the rest of the body goes nowhere, and the response decides.
#[derive(Debug)]
pub(super) struct Socket {
    stream: Arc<TcpStream>,
    buffers: LazyBuffers,
    link: Arc<Link>,
    speed: Speed,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

impl Socket {
    pub(super) fn new(
        stream: Arc<TcpStream>,
        link: Arc<Link>,
        low_speed: Option<(u64, Duration)>,
        config: &Config,
    ) -> Self {
        Socket {
            stream,
            buffers: LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size()),
            link,
            speed: Speed::new(low_speed),
            read_timeout: None,
            write_timeout: None,
        }
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> std::io::Result<()> {
        if self.write_timeout != timeout {
            self.stream.set_write_timeout(timeout)?;
            self.write_timeout = timeout;
        }
        Ok(())
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> std::io::Result<()> {
        if self.read_timeout != timeout {
            self.stream.set_read_timeout(timeout)?;
            self.read_timeout = timeout;
        }
        Ok(())
    }

    /// Read what is there, without waiting.
    fn look(&mut self) -> Result<bool, ureq::Error> {
        self.stream.set_nonblocking(true)?;
        let result = (&*self.stream).read(self.buffers.input_append_buf());
        self.stream.set_nonblocking(false)?;
        let n = result?;
        self.buffers.input_appended(n);
        Ok(n > 0)
    }

    /// Whether a write that failed with `err` may simply be tried again.
    fn after_write_error(
        &self,
        err: std::io::Error,
        stuck_for: Duration,
        limit: NextTimeout,
    ) -> Result<bool, ureq::Error> {
        match err.kind() {
            ErrorKind::Interrupted => Ok(true),
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                if self.link.uploading() && self.link.readable() {
                    self.link.stop();
                    return Ok(false);
                }
                match limit.not_zero() {
                    Some(limit_after) if stuck_for >= *limit_after => Err(ureq::Error::Timeout(limit.reason)),
                    _ => Ok(true),
                }
            }
            _ if self.link.uploading() => {
                self.link.stop();
                Ok(false)
            }
            _ => Err(err.into()),
        }
    }
}

impl Transport for Socket {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.link.use_socket(&self.stream);
        if self.link.uploading() && self.link.stopped() {
            return Ok(());
        }
        let limit = timeout.for_write();
        let stream = self.stream.clone();
        let mut sent = 0;
        let (mut progress, mut noted) = (Instant::now(), Instant::now());
        while sent < amount {
            let limits = [
                Some(STUCK),
                limit.not_zero().map(|limit| *limit),
                self.speed.patience(),
            ];
            let patience = limits.into_iter().flatten().min();
            // A socket takes no time-out of nothing.
            self.set_write_timeout(patience.map(|patience| patience.max(Duration::from_millis(1))))?;
            let rest = self.buffers.output().get(sent..amount).unwrap_or_default();
            match (&*stream).write(rest) {
                Ok(0) => return Err(std::io::Error::from(ErrorKind::WriteZero).into()),
                Ok(n) => {
                    sent += n;
                    self.speed.note(noted.elapsed(), n)?;
                    progress = Instant::now();
                }
                Err(err) => {
                    if !self.after_write_error(err, progress.elapsed(), limit)? {
                        return Ok(());
                    }
                    self.speed.note(noted.elapsed(), 0)?;
                }
            }
            noted = Instant::now();
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let limit = timeout.for_read();
        if self.link.probing() {
            return self.look();
        }
        let started = Instant::now();
        // Looked at only after a wait in vain: as a rule the time-out is the same as that of the read before, and need not
        // be set.
        let mut waited = Duration::ZERO;
        loop {
            let left = limit.not_zero().map(|limit| limit.saturating_sub(waited));
            let patience = [left, self.speed.patience()].into_iter().flatten().min();
            // A socket takes no time-out of nothing.
            self.set_read_timeout(patience.map(|patience| patience.max(Duration::from_millis(1))))?;
            let asked = Instant::now();
            match (&*self.stream).read(self.buffers.input_append_buf()) {
                Ok(n) => {
                    self.buffers.input_appended(n);
                    self.speed.note(asked.elapsed(), n)?;
                    return Ok(n > 0);
                }
                Err(err) if err.kind() == ErrorKind::Interrupted => {}
                Err(err) if matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    self.speed.note(asked.elapsed(), 0)?;
                    waited = started.elapsed();
                    if limit.not_zero().is_some_and(|limit| waited >= *limit) {
                        return Err(ureq::Error::Timeout(limit.reason));
                    }
                }
                Err(err) => return Err(err.into()),
            }
        }
    }

    fn is_open(&mut self) -> bool {
        is_quiet(&self.stream)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A socket and its peer.
    fn pair(link: &Arc<Link>) -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = Socket {
            stream: Arc::new(stream),
            buffers: LazyBuffers::new(1024, 1024),
            link: link.clone(),
            speed: Speed::new(None),
            read_timeout: None,
            write_timeout: None,
        };
        link.use_socket(&socket.stream);
        (socket, listener.accept().unwrap().0)
    }

    fn after(socket: &Socket, kind: ErrorKind) -> Result<bool, ureq::Error> {
        socket.after_write_error(kind.into(), STUCK, NextTimeout::default())
    }

    #[test]
    fn a_broken_pipe_ends_an_upload_but_fails_anything_else() {
        let link = Arc::new(Link::default());
        let (socket, _peer) = pair(&link);
        assert!(after(&socket, ErrorKind::BrokenPipe).is_err());
        link.begin_request(true);
        assert!(!after(&socket, ErrorKind::BrokenPipe).unwrap());
        assert!(link.stopped());
    }

    #[test]
    fn a_write_that_is_stuck_goes_on_unless_the_server_has_answered() {
        let link = Arc::new(Link::default());
        let (socket, mut peer) = pair(&link);
        link.begin_request(true);
        assert!(after(&socket, ErrorKind::WouldBlock).unwrap());
        peer.write_all(b"HTTP/1.1 413 No").unwrap();
        while is_quiet(&socket.stream) {
            std::thread::yield_now();
        }
        assert!(!after(&socket, ErrorKind::WouldBlock).unwrap());
        assert!(link.stopped());
    }
}
