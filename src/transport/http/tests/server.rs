//! A server that follows a script: one function for each connection it accepts.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A plain or an encrypted connection.
pub(super) trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

pub(super) type Script = Box<dyn FnOnce(&mut Peer) + Send>;

/// The server's end of one connection.
pub(super) struct Peer {
    pub(super) stream: BufReader<Box<dyn Stream>>,
}

impl Peer {
    fn new(socket: TcpStream, tls: Option<Arc<ServerConfig>>) -> Self {
        // Without this, a small response may still wait here when the script ends, and be lost with the connection.
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
        let stream: Box<dyn Stream> = match tls {
            None => Box::new(socket),
            Some(config) => Box::new(StreamOwned::new(ServerConnection::new(config).unwrap(), socket)),
        };
        Peer {
            stream: BufReader::new(stream),
        }
    }

    /// The head of the next request; empty if there is none.
    pub(super) fn head(&mut self) -> String {
        let mut head = String::new();
        while self.stream.read_line(&mut head).unwrap_or(0) > 0 {
            if head.ends_with("\r\n\r\n") {
                break;
            }
        }
        head
    }

    pub(super) fn sized_body(&mut self, head: &str) -> Vec<u8> {
        let length = header(head, "content-length").expect("a content length");
        let mut body = vec![0; length.parse().unwrap()];
        self.stream.read_exact(&mut body).unwrap();
        body
    }

    /// A chunked body, and whether it had its terminating chunk.
    pub(super) fn chunked_body(&mut self) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).unwrap_or(0) == 0 {
                return (body, false);
            }
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            if self.stream.read_exact(&mut chunk).is_err() {
                return (body, false);
            }
            if size == 0 {
                return (body, true);
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }

    pub(super) fn respond(&mut self, status: &str, headers: &[&str], body: &[u8]) {
        let mut text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
        for header in headers {
            text.push_str(header);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        let response = [text.as_bytes(), body].concat();
        self.stream.get_mut().write_all(&response).unwrap();
    }
}

/// The value of a header, by its lower-case name.
pub(super) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// A running server.
pub(super) struct Server {
    pub(super) port: u16,
    thread: JoinHandle<()>,
}

impl Server {
    pub(super) fn start(scripts: Vec<Script>) -> Self {
        Self::start_with(None, scripts)
    }

    /// A server that speaks TLS if it has a configuration for it.
    pub(super) fn start_with(tls: Option<Arc<ServerConfig>>, scripts: Vec<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            for script in scripts {
                let (socket, _) = listener.accept().unwrap();
                script(&mut Peer::new(socket, tls.clone()));
            }
        });
        Server { port, thread }
    }

    /// A server with one connection.
    pub(super) fn once(script: impl FnOnce(&mut Peer) + Send + 'static) -> Self {
        Self::start(vec![Box::new(script)])
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Wait for the end of the script; what it asserted counts.
    pub(super) fn done(self) {
        self.thread.join().unwrap();
    }
}
