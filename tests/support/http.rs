//! A small HTTP host for git repositories: HTTP/1.1 over loopback around the real `git http-backend` as a CGI.
//!
//! Bodies stream both ways at once. Every request is recorded, so that tests can count requests and bytes. Faults live in
//! `faults.rs`, which puts a proxy in front.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::cgi;
use super::git::Git;
use super::http1::{self, Body, Head, Listener};

/// How much of each request body is kept for tests to look at.
const KEEP: usize = 1 << 20;

/// What a host does beside serving repositories.
#[derive(Default, Clone)]
pub struct Options {
    /// git configuration for the backend, over that of the repositories.
    pub config: Vec<(&'static str, String)>,
    /// User and password that every request needs.
    pub auth: Option<(&'static str, &'static str)>,
    /// Paths that need an `Authorization` header of just this value: where they start, the value.
    pub locks: Vec<(&'static str, String)>,
    /// Fixed answers for requests whose `METHOD path?query` starts so.
    pub answers: Vec<Answer>,
    /// Requests whose path starts with the first are sent on to the same with the second in its place.
    pub redirects: Vec<(&'static str, String)>,
    /// Ignore `Git-Protocol`, as servers before 2018 do.
    pub only_v0: bool,
    /// Pass the backend's head on while the request body is still coming in, as hosts without Apache's patience do:
    /// `git http-backend` writes `200 OK` before it has read anything.
    pub eager: bool,
    /// Serve fetches only.
    pub read_only: bool,
    /// Answer 411 to requests that do not say their length beforehand, as some hosts and filters before them do.
    pub wants_length: bool,
}

/// A fixed answer, instead of the backend's.
#[derive(Clone)]
pub struct Answer {
    /// For instance `POST /a.git/git-receive-pack`.
    pub to: &'static str,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: &'static str,
    /// Answer before the request body was read, and hang up.
    pub early: bool,
    /// How many requests are answered like this; the backend gets those that follow.
    pub times: usize,
}

impl Answer {
    pub fn new(to: &'static str, status: u16) -> Self {
        Answer {
            to,
            status,
            headers: Vec::new(),
            body: "",
            early: false,
            times: usize::MAX,
        }
    }
}

/// One request as it was seen.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub method: String,
    /// With the query.
    pub path: String,
    /// The client's port: the same for all requests over one connection.
    pub port: u16,
    pub content_type: Option<String>,
    pub git_protocol: Option<String>,
    pub authorized: bool,
    pub status: u16,
    /// Bytes of the request body as sent (a compressed body counts compressed).
    pub sent: u64,
    /// Bytes of the response body.
    pub received: u64,
    /// The first MiB of the request body, unpacked if it was compressed.
    pub body: Vec<u8>,
    gzip: bool,
    done: bool,
}

impl Request {
    /// Method and path, to compare and to look for.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The protocol v2 command, if it is one.
    pub fn command(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.body);
        let rest = text.split_once("command=")?.1;
        Some(rest.split(['\n', '0']).next()?.to_owned())
    }
}

/// A running host.
pub struct Server {
    listener: Listener,
    shared: Arc<Shared>,
}

struct Shared {
    git: Git,
    root: PathBuf,
    options: Options,
    requests: Mutex<Vec<Request>>,
    /// The backends at work.
    running: Mutex<BTreeSet<u32>>,
    /// How often each of the fixed answers was given.
    given: Mutex<Vec<usize>>,
    log: tempfile::NamedTempFile,
}

impl Server {
    /// Serve the repositories below `root`.
    pub fn start(git: &Git, root: &Path, options: Options) -> Server {
        let shared = Arc::new(Shared {
            git: git.clone(),
            root: root.to_owned(),
            options,
            requests: Mutex::default(),
            running: Mutex::default(),
            given: Mutex::default(),
            log: tempfile::NamedTempFile::new().unwrap(),
        });
        let serving = shared.clone();
        let listener = Listener::start(move |stream| {
            // A client that hangs up is the client's business, but a test that fails may be about that.
            if let Err(err) = serving.serve(stream) {
                serving.complain(&err);
            }
        });
        Server { listener, shared }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.listener.address)
    }

    pub fn address(&self) -> std::net::SocketAddr {
        self.listener.address
    }

    /// All requests up to now, once none is under way any more.
    pub fn requests(&self) -> Vec<Request> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let all = self.shared.requests.lock().unwrap().clone();
            if all.iter().all(|request| request.done) || Instant::now() > deadline {
                return all.into_iter().map(unpack).collect();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// `METHOD path` of all requests, in order.
    pub fn lines(&self) -> Vec<String> {
        self.requests().iter().map(Request::line).collect()
    }

    /// Bytes of all response bodies.
    pub fn bytes_out(&self) -> u64 {
        self.requests().iter().map(|request| request.received).sum()
    }

    pub fn forget(&self) {
        self.requests();
        self.shared.requests.lock().unwrap().clear();
    }

    /// What the backends wrote to their standard error, and which connections broke.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.shared.log.path()).unwrap_or_default()
    }
}

impl Drop for Server {
    /// A backend whose request never ended would spin after the end of the test, see `backend`.
    fn drop(&mut self) {
        for id in self.shared.running.lock().unwrap().iter() {
            super::process::kill("KILL", &id.to_string());
        }
    }
}

fn unpack(mut request: Request) -> Request {
    if request.gzip {
        let mut plain = Vec::new();
        let _ = flate2::read::GzDecoder::new(&request.body[..]).read_to_end(&mut plain);
        request.body = plain;
    }
    request
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let port = stream.peer_addr()?.port();
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut writer = stream;
        while let Some(head) = Head::read(&mut reader)? {
            let entry = self.record(&head, port);
            let done = self.answer(&head, entry, &mut reader, &mut writer);
            self.note(entry, |request| request.done = true);
            if !done?
                || head
                    .get("connection")
                    .is_some_and(|v| v.eq_ignore_ascii_case("close"))
            {
                return Ok(());
            }
        }
        Ok(())
    }

    fn complain(&self, err: &io::Error) {
        let _ = writeln!(self.log.as_file(), "host: {err}");
    }

    fn record(&self, head: &Head, port: u16) -> usize {
        let (method, path) = head.request();
        let owned = |name| head.get(name).map(str::to_owned);
        let mut requests = self.requests.lock().unwrap();
        requests.push(Request {
            method: method.to_owned(),
            path: path.to_owned(),
            port,
            content_type: owned("content-type"),
            git_protocol: owned("git-protocol"),
            authorized: head.get("authorization").is_some(),
            gzip: head.get("content-encoding").is_some_and(|v| v.contains("gzip")),
            ..Request::default()
        });
        requests.len() - 1
    }

    fn note(&self, entry: usize, change: impl FnOnce(&mut Request)) {
        // The list may have been cleared meanwhile.
        if let Some(request) = self.requests.lock().unwrap().get_mut(entry) {
            change(request);
        }
    }

    /// Answer one request; whether the connection may be used again.
    fn answer(
        &self,
        head: &Head,
        entry: usize,
        reader: &mut (impl BufRead + Send),
        writer: &mut TcpStream,
    ) -> io::Result<bool> {
        let fixed = self.fixed(head);
        let early = fixed.as_ref().is_some_and(|answer| answer.early);
        if head.get("expect").is_some() && !early {
            writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let mut body = Body::new(reader, head.framing(false));
        let Some(answer) = fixed else {
            self.note(entry, |request| request.status = 200);
            return self.backend(head, entry, &mut body, writer);
        };
        self.note(entry, |request| request.status = answer.status);
        if !answer.early {
            self.take_body(entry, &mut body, None)?;
        }
        http1::respond(writer, answer.status, &answer.headers, answer.body.as_bytes())?;
        Ok(!answer.early)
    }

    fn fixed(&self, head: &Head) -> Option<Answer> {
        let (method, path) = head.request();
        if self.options.wants_length && method == "POST" && head.get("content-length").is_none() {
            return Some(Answer {
                early: true,
                ..Answer::new("", 411)
            });
        }
        let line = format!("{method} {path}");
        if let Some(answer) = self.given_for(&line) {
            return Some(answer);
        }
        for (from, to) in &self.options.redirects {
            if let Some(rest) = path.strip_prefix(from) {
                let mut answer = Answer::new("", 301);
                answer
                    .headers
                    .push(("Location".to_owned(), format!("{to}{rest}")));
                return Some(answer);
            }
        }
        let wanted = match self
            .options
            .locks
            .iter()
            .find(|(start, _)| path.starts_with(start))
        {
            Some((_, wanted)) => wanted.clone(),
            None => self.options.auth.map(|(user, password)| basic(user, password))?,
        };
        if head.get("authorization") == Some(&wanted) {
            return None;
        }
        let mut answer = Answer::new("", 401);
        let scheme = wanted.split(' ').next().unwrap_or_default();
        let challenge = format!("{scheme} realm=\"test\"");
        answer.headers.push(("WWW-Authenticate".to_owned(), challenge));
        Some(answer)
    }

    fn given_for(&self, line: &str) -> Option<Answer> {
        let mut given = self.given.lock().unwrap();
        given.resize(self.options.answers.len(), 0);
        let mut answers = self.options.answers.iter().zip(given.iter_mut());
        let (answer, times) = answers.find(|(a, times)| line.starts_with(a.to) && **times < a.times)?;
        *times += 1;
        Some(answer.clone())
    }

    fn backend(
        &self,
        head: &Head,
        entry: usize,
        body: &mut Body<'_, impl BufRead + Send>,
        writer: &mut TcpStream,
    ) -> io::Result<bool> {
        let log = self.log.reopen().map_or_else(|_| Stdio::null(), Stdio::from);
        let mut command = cgi::command(&self.git, &self.root, &self.options, head);
        let mut child = command.stderr(log).spawn()?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let id = child.id();
        self.running.lock().unwrap().insert(id);
        let child = Mutex::new(child);
        let (up, down) = std::thread::scope(|scope| {
            let child = &child;
            let up = scope.spawn(move || {
                let taken = self.take_body(entry, body, stdin);
                if taken.is_err() {
                    // `pipe_fixed_length()` in git's http-backend.c spins for ever at an early end of file.
                    let _ = child.lock().unwrap().kill();
                }
                taken
            });
            let ready = || self.options.eager || up.is_finished();
            let down = self.give_response(entry, stdout, writer, ready);
            if down.is_err() {
                // Nobody is there to read: let the thread that waits for the request body see that too.
                let _ = writer.shutdown(std::net::Shutdown::Both);
            }
            (up.join(), down)
        });
        child.lock().unwrap().wait()?;
        self.running.lock().unwrap().remove(&id);
        Ok(matches!(up, Ok(Ok(()))) && down.is_ok())
    }

    /// Read the request body to its end, and pass it on as long as somebody reads.
    ///
    /// When the client breaks off, the backend's input ends here too, which is all that a CGI gets to know.
    fn take_body(&self, entry: usize, body: &mut impl Read, mut stdin: Option<ChildStdin>) -> io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let got = body.read(&mut buffer)?;
            if got == 0 {
                return Ok(());
            }
            self.note(entry, |request| {
                request.sent += got as u64;
                let room = KEEP.saturating_sub(request.body.len()).min(got);
                request.body.extend_from_slice(&buffer[..room]);
            });
            if let Some(open) = &mut stdin
                && open.write_all(&buffer[..got]).is_err()
            {
                stdin = None;
            }
        }
    }

    fn give_response(
        &self,
        entry: usize,
        stdout: impl Read,
        writer: &mut TcpStream,
        ready: impl Fn() -> bool,
    ) -> io::Result<()> {
        let mut stdout = BufReader::with_capacity(64 * 1024, stdout);
        let mut head = cgi::read_head(&mut stdout)?;
        head.set("Transfer-Encoding", "chunked");
        // A refusal is no use later.
        while head.status() == 200 && !ready() {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.note(entry, |request| request.status = head.status());
        head.write(writer)?;
        loop {
            let data = stdout.fill_buf()?;
            let size = data.len();
            if size == 0 {
                return http1::end_chunks(writer);
            }
            http1::write_chunk(writer, data)?;
            stdout.consume(size);
            self.note(entry, |request| request.received += size as u64);
        }
    }
}

/// The value of an `Authorization` header.
pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64(format!("{user}:{password}").as_bytes()))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let word =
            group.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for n in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * n)) as usize & 63];
            out.push(if n > group.len() { '=' } else { char::from(digit) });
        }
    }
    out
}
