//! The top of a connection, right below ureq: it notices an answer that comes while the body is still being sent, and
//! counts the bytes of HTTP, those that wait to be read as well. Nothing here knows about sockets or TLS.

use std::io::ErrorKind;
use std::sync::Arc;

use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

use super::link::Link;

/// Puts [`Watched`] around whatever connection the layers below have made.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) link: Arc<Link>,
    /// Where the proxy is: what we say to it is not part of the exchange.
    pub(super) proxy: Option<ureq::http::uri::Authority>,
}

impl<In: Transport> Connector<In> for Watch {
    type Out = Watched<In>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let to_proxy = self.proxy.is_some() && details.uri.authority() == self.proxy.as_ref();
        Ok(chained.map(|inner| Watched {
            inner,
            link: self.link.clone(),
            transparent: to_proxy,
            ready: false,
            dead: false,
        }))
    }
}

/// A connection whose upload ends early when the server has answered.
#[derive(Debug)]
pub(super) struct Watched<In> {
    inner: In,
    link: Arc<Link>,
    transparent: bool,
    /// The input buffer holds bytes that ureq has not been told of.
    ready: bool,
    /// The request was not sent in full, so no other may follow it.
    dead: bool,
}

impl<In: Transport> Watched<In> {
    /// The socket has something to read: take what is there without waiting for more.
    fn probe(&mut self, timeout: NextTimeout) {
        self.link.set_probing(true);
        let before = self.inner.buffers().input().len();
        let result = self.inner.await_input(timeout);
        self.link.set_probing(false);
        let input = self.inner.buffers().input();
        self.link.stats.count_received(input.len().saturating_sub(before));
        match result {
            Ok(true) => {
                // Without a full status line we cannot tell yet.
                match input.get(STATUS_AT) {
                    // An interim response (100 Continue) is no answer.
                    Some(b'1') | None => {}
                    // `git http-backend` says 200 before it reads the request; the verdict is in the body.
                    Some(b'2') => self.link.accept(),
                    Some(_) => self.link.stop(),
                }
                self.ready = true;
            }
            // TLS had something for itself: a session ticket or a key update.
            Err(ureq::Error::Io(err)) if err.kind() == ErrorKind::WouldBlock => {}
            Ok(false) | Err(_) => self.link.stop(),
        }
    }
}

/// Where the first digit of the status stands in `HTTP/1.1 200`.
const STATUS_AT: usize = 9;

impl<In: Transport> Transport for Watched<In> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        let buffers = self.inner.buffers();
        if !self.transparent {
            self.link.note_arrived(buffers.input().len());
        }
        buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        if self.transparent {
            return self.inner.transmit_output(amount, timeout);
        }
        let uploading = self.link.uploading();
        // Before the write: after the last one, an answer is what we wait for.
        if uploading && !self.link.stopped() && !self.link.accepted() && self.link.readable() {
            self.probe(timeout);
        }
        if !(uploading && self.link.stopped()) {
            self.inner.transmit_output(amount, timeout)?;
            self.link.stats.count_sent(amount);
        }
        self.dead |= uploading && self.link.stopped();
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        // On a kept connection ureq may have used the probed bytes without asking for them here.
        if std::mem::take(&mut self.ready) && !self.inner.buffers().input().is_empty() {
            return Ok(true);
        }
        let before = self.inner.buffers().input().len();
        let result = self.inner.await_input(timeout);
        if !self.transparent {
            let after = self.inner.buffers().input().len();
            self.link.stats.count_received(after.saturating_sub(before));
        }
        result
    }

    fn is_open(&mut self) -> bool {
        !self.dead && self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}
