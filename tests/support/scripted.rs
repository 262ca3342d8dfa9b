//! A server that plays canned responses in order, whatever it is asked, and keeps what it got.

use std::collections::VecDeque;
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use super::http1::{Body, Head, Listener};

/// One canned response: the raw bytes, head and all. A connection is closed behind each, so anything may be in it.
pub type Canned = Vec<u8>;

/// A running scripted server.
pub struct Scripted {
    listener: Listener,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    responses: VecDeque<Canned>,
    got: Vec<(Head, Vec<u8>)>,
}

impl Scripted {
    pub fn start(responses: impl IntoIterator<Item = Canned>) -> Scripted {
        let state = Arc::new(Mutex::new(State {
            responses: responses.into_iter().collect(),
            got: Vec::new(),
        }));
        let playing = state.clone();
        let listener = Listener::start(move |stream| {
            let _ = play(&playing, stream);
        });
        Scripted { listener, state }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.listener.address)
    }

    /// All requests so far: head and body.
    pub fn got(&self) -> Vec<(Head, Vec<u8>)> {
        self.state.lock().unwrap().got.clone()
    }
}

fn play(state: &Mutex<State>, mut stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let Some(head) = Head::read(&mut reader)? else {
        return Ok(());
    };
    let mut body = Vec::new();
    Body::new(&mut reader, head.framing(false)).read_to_end(&mut body)?;
    let response = {
        let mut state = state.lock().unwrap();
        state.got.push((head, body));
        state.responses.pop_front()
    };
    let gone = b"HTTP/1.1 500 The End\r\nContent-Length: 0\r\n\r\n".to_vec();
    stream.write_all(&response.unwrap_or(gone))
}

/// A response with a body of known length that closes the connection.
pub fn canned(status: u16, content_type: &str, body: &[u8]) -> Canned {
    let mut out = format!(
        "HTTP/1.1 {status} x\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    out.extend_from_slice(body);
    out
}
