//! HTTP/1.1 framing for the host and the proxy: heads, and bodies by length, in chunks or up to the end.
//!
//! Only what git and curl use. Nothing here knows what the requests mean.

use std::io::{self, BufRead, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A peer that is silent for this long is given up.
pub const PATIENCE: Duration = Duration::from_secs(50);

/// The first line and the headers of a request or response.
#[derive(Debug, Clone)]
pub struct Head {
    pub first: String,
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// Read the next head; nothing if the peer has hung up between messages.
    pub fn read(from: &mut impl BufRead) -> io::Result<Option<Head>> {
        let Some(first) = line(from)? else {
            return Ok(None);
        };
        let mut headers = Vec::new();
        loop {
            let text = line(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if text.is_empty() {
                return Ok(Some(Head { first, headers }));
            }
            let (name, value) = text.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn remove(&mut self, name: &str) {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut text = format!("{}\r\n", self.first);
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += "\r\n";
        to.write_all(text.as_bytes())?;
        to.flush()
    }

    /// The method and the path with its query.
    pub fn request(&self) -> (&str, &str) {
        let mut words = self.first.split(' ');
        (words.next().unwrap_or(""), words.next().unwrap_or(""))
    }

    pub fn status(&self) -> u16 {
        let word = self.first.split(' ').nth(1);
        word.and_then(|word| word.parse().ok()).unwrap_or(0)
    }

    /// How the body behind this head is delimited.
    pub fn framing(&self, response: bool) -> Framing {
        let chunked = self
            .get("transfer-encoding")
            .is_some_and(|v| v.contains("chunked"));
        if chunked {
            return Framing::Chunked;
        }
        match self.get("content-length").and_then(|value| value.parse().ok()) {
            Some(length) => Framing::Length(length),
            None if response && !matches!(self.status(), 204 | 304) => Framing::ToEnd,
            None => Framing::Length(0),
        }
    }
}

fn line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    from.by_ref().take(64 * 1024).read_until(b'\n', &mut bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.last() != Some(&b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Length(u64),
    Chunked,
    ToEnd,
}

/// Reads one body and not a byte more. A connection that ends early is an error.
pub struct Body<'a, R> {
    from: &'a mut R,
    framing: Framing,
    /// Bytes left in the body or in the current chunk.
    left: u64,
    done: bool,
}

impl<'a, R: BufRead> Body<'a, R> {
    pub fn new(from: &'a mut R, framing: Framing) -> Self {
        let left = match framing {
            Framing::Length(length) => length,
            Framing::Chunked => 0,
            Framing::ToEnd => u64::MAX,
        };
        Body {
            from,
            framing,
            left,
            done: false,
        }
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let text = line(self.from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let size = text.split(';').next().unwrap_or("").trim();
        self.left = u64::from_str_radix(size, 16).map_err(io::Error::other)?;
        if self.left == 0 {
            while line(self.from)?.is_some_and(|trailer| !trailer.is_empty()) {}
            self.done = true;
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Body<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && self.framing == Framing::Chunked && !self.done {
            self.next_chunk()?;
        }
        if self.left == 0 || self.done || into.is_empty() {
            return Ok(0);
        }
        let most = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let got = self.from.read(&mut into[..most])?;
        if got == 0 {
            self.done = true;
            return match self.framing {
                Framing::ToEnd => Ok(0),
                _ => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
        self.left -= got as u64;
        if self.left == 0 && self.framing == Framing::Chunked {
            line(self.from)?;
        }
        Ok(got)
    }
}

/// Write one chunk; nothing for no bytes, since that would end the body.
pub fn write_chunk(to: &mut impl Write, data: &[u8]) -> io::Result<()> {
    if data.is_empty() {
        return Ok(());
    }
    let mut framed = format!("{:x}\r\n", data.len()).into_bytes();
    framed.extend_from_slice(data);
    framed.extend_from_slice(b"\r\n");
    to.write_all(&framed)?;
    to.flush()
}

/// End a body that was written in chunks.
pub fn end_chunks(to: &mut impl Write) -> io::Result<()> {
    to.write_all(b"0\r\n\r\n")?;
    to.flush()
}

/// Write a whole small response.
pub fn respond(
    to: &mut impl Write,
    status: u16,
    headers: &[(String, String)],
    body: &[u8],
) -> io::Result<()> {
    let mut head = Head {
        first: format!("HTTP/1.1 {status} {}", reason(status)),
        headers: headers.to_vec(),
    };
    head.headers
        .push(("Content-Length".to_owned(), body.len().to_string()));
    head.write(to)?;
    to.write_all(body)?;
    to.flush()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        302 => "Found",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        413 => "Payload Too Large",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Whatever",
    }
}

/// Accept connections on a free port of the loopback, each served by a thread, for as long as the handle lives.
pub struct Listener {
    pub address: std::net::SocketAddr,
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Listener {
    pub fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Listener {
        use std::sync::atomic::Ordering;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let stopped = stop.clone();
        std::thread::spawn(move || {
            let serve = std::sync::Arc::new(serve);
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_write_timeout(Some(PATIENCE)).unwrap();
                stream.set_nodelay(true).unwrap();
                let serve = serve.clone();
                std::thread::spawn(move || serve(stream));
            }
        });
        Listener { address, stop }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, std::sync::atomic::Ordering::SeqCst);
        // Wakes the thread that waits for the next connection.
        drop(TcpStream::connect(self.address));
    }
}
