//! What the caller reads of a response: header lines and body, fetched when first asked for.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::{Arc, Mutex};

use super::client::{Client, Prepared};
use super::link::{Link, lock};
use super::status;
use super::upload::{Collected, Drawn, Whole, aborted};
use crate::error::{Error, Kind, Result};

/// A response that ureq has received the head of.
#[derive(Debug)]
pub(super) struct Answer {
    /// `name: value` lines.
    pub(super) head: Vec<u8>,
    pub(super) body: Body,
}

/// Where a response is to come from.
#[derive(Debug)]
pub(super) enum Stage {
    /// The request is sent once its response is wanted.
    Unsent(Arc<Client>, Prepared, Arc<Mutex<Collected>>),
    /// The response is here; the halves are taken as they are asked for.
    Here(Option<Vec<u8>>, Option<Body>),
    /// An upload got no response.
    Failed(Error),
    /// It failed (somebody was told), or nobody wanted it.
    Over,
}

impl Stage {
    /// A request that something is to be sent behind.
    fn take_unsent(&mut self) -> Result<(Arc<Client>, Prepared, Whole<'static>)> {
        let Stage::Unsent(client, request, begun) = std::mem::replace(self, Stage::Over) else {
            return Err(internal("the request has been sent already"));
        };
        let begun = lock(&begun).take()?;
        if begun.is_gzip {
            return Err(internal("a request that is compressed cannot go on"));
        }
        Ok((client, request, begun))
    }
}

/// One request and its response, shared by the handles that the caller has.
#[derive(Debug)]
pub(super) struct Exchange(Mutex<Stage>);

impl Exchange {
    pub(super) fn new(stage: Stage) -> Arc<Self> {
        Arc::new(Exchange(Mutex::new(stage)))
    }

    /// See [`Upload::upload`](crate::transport::Upload::upload).
    pub(super) fn upload(&self, rest: &mut dyn Read) -> Result<()> {
        let mut stage = lock(&self.0);
        let (client, request, begun) = stage.take_unsent()?;
        let mut body = begun.begun.as_slice().chain(rest);
        let length = client.link.take_length();
        let mut drawn = Drawn::new(&mut body, &client.link, length);
        let result = client.send_streamed(&request, &mut drawn, length);
        let complete = drawn.came_to_its_end()?;
        let incomplete = match result {
            Ok(answer) => {
                *stage = Stage::Here(Some(answer.head), Some(answer.body));
                Error::new(Kind::Peer, "the server answered before the upload was complete")
            }
            Err(err) => {
                *stage = Stage::Failed(err.duplicate());
                err
            }
        };
        if complete { Ok(()) } else { Err(incomplete) }
    }

    /// See [`Upload::upload_whole`](crate::transport::Upload::upload_whole).
    pub(super) fn upload_whole(&self, rest: &[u8]) -> Result<()> {
        let mut stage = lock(&self.0);
        let (client, request, begun) = stage.take_unsent()?;
        *stage = match client.send_whole(&request, &Whole { rest, ..begun }) {
            Ok(answer) => Stage::Here(Some(answer.head), Some(answer.body)),
            Err(err) => Stage::Failed(err),
        };
        Ok(())
    }

    fn fetch(stage: &mut Stage) -> Result<()> {
        let result = match std::mem::replace(stage, Stage::Over) {
            Stage::Unsent(client, request, body) => {
                let body = lock(&body).take()?;
                client.send_whole(&request, &body)
            }
            Stage::Failed(err) => Err(err),
            ready => {
                *stage = ready;
                return Ok(());
            }
        };
        let answer = result?;
        *stage = Stage::Here(Some(answer.head), Some(answer.body));
        Ok(())
    }

    fn head(&self) -> Result<Vec<u8>> {
        let mut stage = lock(&self.0);
        Self::fetch(&mut stage)?;
        Ok(match &mut *stage {
            Stage::Here(head, _) => head.take().unwrap_or_default(),
            _ => Vec::new(),
        })
    }

    fn body(&self) -> Result<Option<Body>> {
        let mut stage = lock(&self.0);
        Self::fetch(&mut stage)?;
        Ok(match &mut *stage {
            Stage::Here(_, body) => body.take(),
            _ => None,
        })
    }

    /// The head is not going to be read: what was not sent is not to be sent any more.
    fn abandon(&self) {
        let mut stage = lock(&self.0);
        if matches!(*stage, Stage::Unsent(..)) {
            *stage = Stage::Over;
        }
    }
}

/// The header lines of a response, `name: value`, names in lower case. The content type comes without parameters.
#[derive(Debug)]
pub struct Headers {
    exchange: Option<Arc<Exchange>>,
    lines: io::Cursor<Vec<u8>>,
}

impl Headers {
    pub(super) fn new(exchange: Arc<Exchange>) -> Self {
        Headers {
            exchange: Some(exchange),
            lines: io::Cursor::default(),
        }
    }
}

impl Drop for Headers {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            exchange.abandon();
        }
    }
}

impl Read for Headers {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for Headers {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if let Some(exchange) = self.exchange.take() {
            self.lines = io::Cursor::new(exchange.head().map_err(status::into_io)?);
        }
        self.lines.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.lines.consume(amount);
    }
}

/// The body of a response. Read to its end, it gives the connection back for the next request; dropped before, it
/// closes it. Ends after the first error.
#[derive(Debug)]
pub struct ResponseBody {
    exchange: Option<Arc<Exchange>>,
    body: Option<Body>,
}

impl ResponseBody {
    pub(super) fn new(exchange: Arc<Exchange>) -> Self {
        ResponseBody {
            exchange: Some(exchange),
            body: None,
        }
    }

    fn get(&mut self) -> io::Result<Option<&mut Body>> {
        if let Some(exchange) = self.exchange.take() {
            self.body = exchange.body().map_err(status::into_io)?;
        }
        Ok(self.body.as_mut())
    }
}

impl Read for ResponseBody {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.get()? {
            Some(body) => body.0.read(buf),
            None => Ok(0),
        }
    }
}

impl BufRead for ResponseBody {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.get()? {
            Some(body) => body.0.fill_buf(),
            None => Ok(&[]),
        }
    }

    fn consume(&mut self, amount: usize) {
        if let Some(body) = &mut self.body {
            body.0.consume(amount);
        }
    }
}

/// Room for the reads of a few bytes at the head of each packet. The packets themselves are larger and go past it: ureq has
/// a buffer of its own, and each further one would be a copy of everything.
const SMALL_READS: usize = 4 * 1024;

/// A response body with our words in its errors.
pub(super) struct Body(BufReader<Told>);

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Body")
    }
}

struct Told {
    inner: ureq::BodyReader<'static>,
    link: Arc<Link>,
    host: String,
    over: bool,
}

impl Body {
    /// `host` is named in errors.
    pub(super) fn new(body: ureq::Body, link: Arc<Link>, host: String) -> Self {
        let told = Told {
            inner: body.into_reader(),
            link,
            host,
            over: false,
        };
        Body(BufReader::with_capacity(SMALL_READS, told))
    }

    /// Read up to `limit` bytes, as many as come without an error.
    pub(super) fn prefix(&mut self, limit: usize) -> Vec<u8> {
        let mut out = Vec::new();
        // What could not be read is not missed: the caller reports something worse.
        let _ = self.0.by_ref().take(limit as u64).read_to_end(&mut out);
        out
    }
}

impl Read for Told {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.over || buf.is_empty() {
            return Ok(0);
        }
        let result = match self.inner.read(buf) {
            // A body that ends with its connection would seem complete.
            Ok(0) if self.link.aborted() => Err(aborted()),
            Err(_) if self.link.aborted() => Err(aborted()),
            Err(err) => Err(status::from_ureq(ureq::Error::from(err), &self.host)),
            Ok(n) => {
                self.link.note_read(n);
                self.over = n == 0;
                return Ok(n);
            }
        };
        self.over = true;
        result.map_err(Error::into)
    }
}

/// For a request that has no answer because of us.
pub(super) fn internal(what: &str) -> Error {
    Error::new(Kind::Internal, what)
}
