//! A proxy in front of a host that breaks one exchange on purpose, and passes all others on untouched.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::http1::{self, Body, Head, Listener};
use super::rewrite::{object_count, pack_offset, rewrite_pack};

/// What goes wrong. Offsets count from the first byte of the body, or of the pack where it says so.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// The connection ends after so many bytes of the response body.
    CutResponse(usize),
    /// The connection ends so many bytes after the pack began (the offset counts the raw stream, side-band included).
    CutInPack(usize),
    /// The connection ends so many bytes before the end of the response body.
    CutBeforeEnd(usize),
    /// One bit of the pack's byte at the offset is another; a negative offset counts from the end.
    FlipInPack(isize),
    /// The pack lacks its last bytes, in a response that ends in all order.
    ShortPack(usize),
    /// Nothing more comes after so many bytes of the response body, and the connection stays open.
    Stall(usize),
    /// The connection ends after so many bytes of the request body were passed on.
    CutRequest(usize),
    /// The connection ends after so many bytes of any request body, as often as it happens: so does a 413 look that is
    /// lost.
    CutAbove(usize),
    /// Nothing more of the request body is read after so many bytes, and no answer comes.
    StallRequest(usize),
    /// The answer has this status; the host never sees the request, nor the proxy its body.
    RefuseEarly(u16),
    /// The answer has this status; the host never sees the request, but all of its body was read.
    RefuseLate(u16),
    /// The host does what was asked for, but the answer has this status.
    HideAnswer(u16),
    /// The host does what was asked for, and the connection ends instead of an answer.
    LoseAnswer,
    /// The host does what was asked for, and its answer has this body instead of its own.
    ReplaceAnswer(&'static str),
}

impl Fault {
    fn is_of_request(self) -> bool {
        matches!(
            self,
            Fault::CutRequest(_) | Fault::CutAbove(_) | Fault::StallRequest(_)
        ) || self.is_of_answer()
    }

    fn is_of_answer(self) -> bool {
        matches!(
            self,
            Fault::RefuseEarly(_)
                | Fault::RefuseLate(_)
                | Fault::HideAnswer(_)
                | Fault::LoseAnswer
                | Fault::ReplaceAnswer(_)
        )
    }
}

/// A running proxy.
pub struct Proxy {
    listener: Listener,
    plan: Arc<Plan>,
}

struct Plan {
    upstream: SocketAddr,
    armed: Mutex<Option<Armed>>,
    seen: AtomicUsize,
    hit: AtomicUsize,
}

struct Armed {
    /// The exchange has a request line with this in it, …
    matching: &'static str,
    /// … has a pack in its response, if the fault is one of those, and is the n-th such (from 0).
    nth: usize,
    fault: Fault,
}

impl Proxy {
    /// Stand before `upstream`, harmless until armed.
    pub fn start(upstream: SocketAddr) -> Proxy {
        let plan = Arc::new(Plan {
            upstream,
            armed: Mutex::new(None),
            seen: AtomicUsize::new(0),
            hit: AtomicUsize::new(0),
        });
        let serving = plan.clone();
        let listener = Listener::start(move |stream| {
            // Broken connections are the trade of this proxy.
            let _ = serving.serve(stream);
        });
        Proxy { listener, plan }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.listener.address)
    }

    /// Break the `nth` (from 0) exchange from now on whose request line contains `matching`. Faults of the response
    /// count only exchanges whose response holds a pack with objects.
    pub fn arm(&self, matching: &'static str, nth: usize, fault: Fault) {
        self.plan.seen.store(0, Ordering::SeqCst);
        self.plan.hit.store(0, Ordering::SeqCst);
        *self.plan.armed.lock().unwrap() = Some(Armed { matching, nth, fault });
    }

    pub fn disarm(&self) {
        *self.plan.armed.lock().unwrap() = None;
    }

    /// How many exchanges there were since arming that the fault could have struck.
    pub fn count(&self) -> usize {
        self.plan.seen.load(Ordering::SeqCst)
    }

    /// Whether the fault has happened.
    pub fn hit(&self) -> bool {
        self.plan.hit.load(Ordering::SeqCst) > 0
    }
}

impl Plan {
    fn serve(&self, client: TcpStream) -> io::Result<()> {
        let server = TcpStream::connect(self.upstream)?;
        server.set_read_timeout(Some(http1::PATIENCE))?;
        let mut from_client = BufReader::new(client.try_clone()?);
        let mut from_server = BufReader::new(server.try_clone()?);
        let result = self.exchanges(&mut from_client, &mut from_server, &client, &server);
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
        result
    }

    fn exchanges(
        &self,
        from_client: &mut (impl BufRead + Send),
        from_server: &mut impl BufRead,
        mut client: &TcpStream,
        mut server: &TcpStream,
    ) -> io::Result<()> {
        while let Some(mut request) = Head::read(from_client)? {
            if request.get("expect").is_some() {
                client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
                request.remove("expect");
            }
            let fault = self.fault_for(&request);
            let mut body = Body::new(from_client, request.framing(false));
            let chunked = request.get("content-length").is_none();
            // A lone flush, sent to settle authentication, is not the upload.
            let upload = !matches!(request.framing(false), http1::Framing::Length(0..=4));
            let fault = fault.filter(|fault| upload || !fault.is_of_request());
            let fault = fault.filter(|fault| !fault.is_of_answer() || self.strikes());
            if let Some(Fault::RefuseEarly(status) | Fault::RefuseLate(status)) = fault {
                return refuse(
                    &mut body,
                    client,
                    status,
                    matches!(fault, Some(Fault::RefuseLate(_))),
                );
            }
            request.write(&mut server)?;
            std::thread::scope(|scope| {
                let up = scope.spawn(move || self.request_body(&mut body, chunked, server, fault));
                let response = Head::read(from_server);
                let down = match response {
                    Ok(Some(head)) => self.response(head, from_server, client, fault),
                    Ok(None) => Err(io::ErrorKind::UnexpectedEof.into()),
                    Err(err) => Err(err),
                };
                if down.is_err() {
                    let _ = client.shutdown(Shutdown::Both);
                }
                up.join().map_err(|_| io::ErrorKind::Other)??;
                down
            })?;
        }
        Ok(())
    }

    fn fault_for(&self, request: &Head) -> Option<Fault> {
        let armed = self.armed.lock().unwrap();
        let armed = armed.as_ref()?;
        request.first.contains(armed.matching).then_some(armed.fault)
    }

    /// Whether it is this exchange's turn.
    fn strikes(&self) -> bool {
        let armed = self.armed.lock().unwrap();
        let turn = self.seen.fetch_add(1, Ordering::SeqCst);
        let strikes = armed.as_ref().is_some_and(|armed| armed.nth == turn);
        if strikes {
            self.hit.fetch_add(1, Ordering::SeqCst);
        }
        strikes
    }

    fn request_body(
        &self,
        body: &mut impl Read,
        chunked: bool,
        mut server: &TcpStream,
        fault: Option<Fault>,
    ) -> io::Result<()> {
        let (limit, stall) = match fault {
            Some(Fault::CutRequest(at)) if self.strikes() => (at, false),
            Some(Fault::CutAbove(at)) => (at, false),
            Some(Fault::StallRequest(at)) if self.strikes() => (at, true),
            _ => (usize::MAX, false),
        };
        let mut passed = 0;
        let mut buffer = vec![0; 32 * 1024];
        // A server that stopped reading has an answer; the rest of the body is read for nobody.
        let mut listening = true;
        loop {
            let got = body.read(&mut buffer)?;
            let data = &buffer[..got.min(limit - passed)];
            passed += data.len();
            listening = listening && pass_on(&mut server, data, chunked).is_ok();
            if passed == limit {
                self.hit.fetch_add(1, Ordering::SeqCst);
                if stall {
                    std::thread::sleep(http1::PATIENCE);
                }
                let _ = server.shutdown(Shutdown::Both);
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            if got == 0 {
                return match listening && chunked && passed > 0 {
                    true => http1::end_chunks(&mut server),
                    false => Ok(()),
                };
            }
        }
    }

    fn response(
        &self,
        mut head: Head,
        from_server: &mut impl BufRead,
        mut client: &TcpStream,
        fault: Option<Fault>,
    ) -> io::Result<()> {
        let mut body = Body::new(from_server, head.framing(true));
        if let Some(fault) = fault.filter(|fault| fault.is_of_answer()) {
            io::copy(&mut body, &mut io::sink())?;
            return give_other_answer(head, client, fault);
        }
        head.remove("content-length");
        head.set("Transfer-Encoding", "chunked");
        let Some(fault) = fault.filter(|fault| !fault.is_of_request()) else {
            head.write(&mut client)?;
            return copy_chunked(&mut body, &mut client);
        };
        let mut all = Vec::new();
        body.read_to_end(&mut all)?;
        head.write(&mut client)?;
        if !has_objects(&all) || !self.strikes() {
            http1::write_chunk(&mut client, &all)?;
            return http1::end_chunks(&mut client);
        }
        break_response(&all, client, fault)
    }
}

/// Answer without the host. A connection that is closed with bytes unread takes the answer with it, so those are read
/// until the client hangs up.
fn refuse(body: &mut impl Read, mut client: &TcpStream, status: u16, late: bool) -> io::Result<()> {
    if late {
        io::copy(body, &mut io::sink())?;
    }
    http1::respond(&mut client, status, &[], b"")?;
    client.shutdown(Shutdown::Write)?;
    let _ = io::copy(&mut client, &mut io::sink());
    Ok(())
}

fn give_other_answer(mut head: Head, mut client: &TcpStream, fault: Fault) -> io::Result<()> {
    match fault {
        Fault::HideAnswer(status) => http1::respond(&mut client, status, &[], b""),
        Fault::ReplaceAnswer(text) => {
            head.remove("transfer-encoding");
            head.set("Content-Length", &text.len().to_string());
            head.write(&mut client)?;
            client.write_all(text.as_bytes())
        }
        _ => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}

fn pass_on(to: &mut impl Write, data: &[u8], chunked: bool) -> io::Result<()> {
    if chunked {
        http1::write_chunk(to, data)
    } else {
        to.write_all(data)
    }
}

fn copy_chunked(body: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let got = body.read(&mut buffer)?;
        if got == 0 {
            return http1::end_chunks(to);
        }
        http1::write_chunk(to, &buffer[..got])?;
    }
}

/// An answer to an ancestry question may be an empty pack; faults are meant for the real one.
fn has_objects(body: &[u8]) -> bool {
    object_count(body).is_some_and(|count| count > 0)
}

fn break_response(all: &[u8], mut client: &TcpStream, fault: Fault) -> io::Result<()> {
    let start = pack_offset(all).unwrap_or(0);
    let (data, whole) = match fault {
        Fault::CutResponse(at) | Fault::Stall(at) => (all[..at.min(all.len())].to_vec(), false),
        Fault::CutInPack(at) => (all[..(start + at).min(all.len())].to_vec(), false),
        Fault::CutBeforeEnd(less) => (all[..all.len().saturating_sub(less)].to_vec(), false),
        Fault::FlipInPack(at) => (rewrite_pack(all, |pack| flip(pack, at)), true),
        Fault::ShortPack(less) => {
            let shorten = |pack: &mut Vec<u8>| pack.truncate(pack.len().saturating_sub(less));
            (rewrite_pack(all, shorten), true)
        }
        _ => (all.to_vec(), true),
    };
    http1::write_chunk(&mut client, &data)?;
    if whole {
        return http1::end_chunks(&mut client);
    }
    if matches!(fault, Fault::Stall(_)) {
        // Until the client hangs up, or the read gives up.
        let _ = client.read(&mut [0]);
    }
    Err(io::ErrorKind::ConnectionAborted.into())
}

fn flip(pack: &mut [u8], at: isize) {
    let place = match at {
        0.. => at.unsigned_abs(),
        _ => pack.len().saturating_sub(at.unsigned_abs()),
    };
    pack[place] ^= 0x10;
}
