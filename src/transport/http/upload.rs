//! Request bodies: what is collected first, and what is drawn from a reader while it is being sent.

use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex, Weak};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::link::{Link, lock};
use super::response::Exchange;
use crate::error::{Error, Kind, Result};
use crate::transport::Upload;

/// What everyone gets to hear after an abort.
pub(super) fn aborted() -> Error {
    Error::new(Kind::Network, "the request was aborted before it was complete")
}

/// Takes the body of a POST, which is collected, and sent when the response is read or the rest is [uploaded](Uploader).
/// If the response handles are dropped before, as happens when an error cuts a function short, nothing is sent.
#[derive(Debug)]
pub struct PostBody(pub(super) Arc<Mutex<Collected>>);

impl Write for PostBody {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        lock(&self.0).add(buf)?;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Git compresses longer requests for a fetch (`rpc_service()` in git's `remote-curl.c`).
const GZIP_OVER: usize = 1024;

/// A body that was written so far. The wants and haves of a mirror are megabytes, of which only the compressed form is
/// kept.
#[derive(Debug)]
pub(super) enum Collected {
    Plain {
        bytes: Vec<u8>,
        may_compress: bool,
    },
    /// By way of a buffer, because lines are short and the encoder is slow to get going.
    Gzip(BufWriter<GzEncoder<Vec<u8>>>),
}

/// A body that can be sent, and sent again.
#[derive(Default)]
pub(super) struct Whole<'a> {
    pub(super) begun: Vec<u8>,
    pub(super) is_gzip: bool,
    /// What comes behind.
    pub(super) rest: &'a [u8],
}

impl Whole<'_> {
    pub(super) fn length(&self) -> u64 {
        self.begun.len() as u64 + self.rest.len() as u64
    }

    pub(super) fn read(&self) -> impl Read + '_ {
        self.begun.as_slice().chain(self.rest)
    }
}

impl Collected {
    /// Nothing so far. `may_compress` if the server understands gzip.
    pub(super) fn new(may_compress: bool) -> Self {
        Collected::Plain {
            bytes: Vec::new(),
            may_compress,
        }
    }

    fn add(&mut self, more: &[u8]) -> io::Result<()> {
        match self {
            Collected::Plain {
                bytes,
                may_compress: true,
            } if bytes.len() + more.len() > GZIP_OVER => {
                // Ids are random, so more effort hardly gains anything.
                let mut encoder = BufWriter::new(GzEncoder::new(Vec::new(), Compression::fast()));
                encoder.write_all(bytes)?;
                encoder.write_all(more)?;
                *self = Collected::Gzip(encoder);
                Ok(())
            }
            Collected::Plain { bytes, .. } => {
                bytes.extend_from_slice(more);
                Ok(())
            }
            Collected::Gzip(encoder) => encoder.write_all(more),
        }
    }

    /// All that was written.
    ///
    /// # Errors
    /// Those of the compression.
    pub(super) fn take(&mut self) -> Result<Whole<'static>> {
        let (begun, is_gzip) = match std::mem::replace(self, Collected::new(false)) {
            Collected::Plain { bytes, .. } => (bytes, false),
            Collected::Gzip(encoder) => {
                let failed = |err| Error::from_io(err, "compressing the request");
                let encoder = encoder.into_inner().map_err(|err| failed(err.into_error()))?;
                (encoder.finish().map_err(failed)?, true)
            }
        };
        Ok(Whole {
            begun,
            is_gzip,
            rest: &[],
        })
    }
}

/// Sends the request that a backend has begun last, with a body of any length. If that breaks off, the response says the
/// same.
#[derive(Debug, Clone, Default)]
pub struct Uploader(Arc<Mutex<Weak<Exchange>>>);

impl Uploader {
    /// `exchange` is the one under way.
    pub(super) fn follow(&self, exchange: &Arc<Exchange>) {
        *lock(&self.0) = Arc::downgrade(exchange);
    }

    fn exchange(&self) -> Result<Arc<Exchange>> {
        let exchange = lock(&self.0).upgrade();
        exchange.ok_or_else(|| super::response::internal("there is no request to upload anything with"))
    }
}

/// All of it is sent, and the head of the response awaited.
impl Upload for Uploader {
    fn upload(&self, rest: &mut dyn Read) -> Result<()> {
        self.exchange()?.upload(rest)
    }

    fn upload_whole(&self, rest: &[u8]) -> Result<()> {
        self.exchange()?.upload_whole(rest)
    }
}

/// A body that ureq draws from, and how far it came.
pub(super) struct Drawn<'a> {
    body: &'a mut dyn Read,
    link: &'a Link,
    /// How much is left of it, if its length is known: nobody reads it any further then.
    left: Option<u64>,
    is_over: bool,
    failure: Option<Error>,
}

impl<'a> Drawn<'a> {
    /// `length` is that of `body`, if it is known.
    pub(super) fn new(body: &'a mut dyn Read, link: &'a Link, length: Option<u64>) -> Self {
        Drawn {
            body,
            link,
            left: length,
            is_over: false,
            failure: None,
        }
    }

    /// Whether all of it was sent.
    ///
    /// # Errors
    /// What it failed with.
    pub(super) fn came_to_its_end(self) -> Result<bool> {
        self.failure.map_or(Ok(self.is_over), Err)
    }
}

impl Drawn<'_> {
    /// Whoever waits for no more gets no more, for nothing is sent any more. A body without a length seems to end here; one
    /// with a length has to seem complete before ureq goes on to read the answer.
    fn pretend(&mut self, buf: &[u8]) -> usize {
        let left = self.left.unwrap_or_default();
        let count = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.left = self.left.map(|left| left - count as u64);
        count
    }

    fn fail(&mut self, err: Error) -> io::Error {
        self.failure = Some(err);
        io::Error::other("the body of the request broke off")
    }
}

impl Read for Drawn<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.link.aborted() {
                return Err(aborted().into());
            }
            if self.link.stopped() {
                return Ok(self.pretend(buf));
            }
            match self.body.read(buf) {
                _ if self.link.aborted() => return Err(aborted().into()),
                Ok(0) if self.left.is_some_and(|left| left > 0) => {
                    return Err(self.fail(super::response::internal("an upload is shorter than announced")));
                }
                Ok(count) => {
                    self.left = self.left.map(|left| left.saturating_sub(count as u64));
                    self.is_over = count == 0 || self.left == Some(0);
                    return Ok(count);
                }
                Err(err) if err.kind() == ErrorKind::Interrupted => {}
                Err(err) => return Err(self.fail(Error::from_io(err, "reading what is to be sent"))),
            }
        }
    }
}
