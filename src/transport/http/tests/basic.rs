//! Requests that go well, and those that fail before or after the server has spoken.

use std::io::Write;
use std::net::TcpListener;

use gix_transport::client::blocking_io::http::PostBodyDataKind::{BoundedAndFitsIntoMemory, Unbounded};

use super::server::{Server, header};
use super::*;
use crate::error::Kind;

const ANSWER: &str = "Content-Type: application/x-git-upload-pack-result";

#[test]
fn a_get_sends_our_headers_and_reads_the_response() {
    let server = Server::once(|peer| {
        let head = peer.head();
        assert!(head.starts_with("GET /repo/info/refs?service=git-upload-pack HTTP/1.1\r\n"));
        assert_eq!(header(&head, "git-protocol"), Some("version=2"));
        assert_eq!(header(&head, "accept"), Some("*/*"));
        assert_eq!(header(&head, "accept-encoding"), Some("gzip"));
        assert_eq!(header(&head, "authorization"), None);
        assert!(
            header(&head, "user-agent")
                .unwrap()
                .starts_with("git/2.0 (git-remote-sync ")
        );
        let kind = format!("Content-Type: {}; charset=x", ADVERTISEMENT.to_uppercase());
        peer.respond("200 OK", &[&kind], b"000eversion 2\n0000");
    });
    let mut http = backend();
    let (head, body) = read(discover(&mut http, &server.url("/repo")).unwrap()).unwrap();
    assert_eq!(header(&head, "content-type"), Some(ADVERTISEMENT));
    assert_eq!(body, b"000eversion 2\n0000");
    let stats = http.stats();
    assert_eq!((stats.requests(), stats.last_status()), (1, Some(200)));
    assert!(stats.bytes_sent() > 100 && stats.bytes_received() > body.len() as u64);
    server.done();
}

#[test]
fn one_connection_serves_all_requests_that_were_read_to_their_end() {
    let server = Server::once(|peer| {
        let head = peer.head();
        assert!(head.starts_with("GET "));
        peer.respond("200 OK", &[&format!("Content-Type: {ADVERTISEMENT}")], b"0000");
        let head = peer.head();
        assert!(head.starts_with("POST /repo/git-upload-pack "));
        assert_eq!(header(&head, "content-encoding"), None);
        assert_eq!(peer.sized_body(&head), b"0014command=ls-refs\n0000");
        peer.respond("200 OK", &[ANSWER], b"refs");
        let head = peer.head();
        assert_eq!(header(&head, "transfer-encoding"), Some("chunked"));
        let (body, complete) = peer.chunked_body();
        assert_eq!((body.len(), complete), (1 << 20, true));
        peer.respond(
            "200 OK",
            &["Content-Type: application/x-git-receive-pack-result"],
            b"ok",
        );
    });
    let base = server.url("/repo");
    let mut http = backend();
    read(discover(&mut http, &base).unwrap()).unwrap();
    let mut request = post(&mut http, &base, "git-upload-pack", BoundedAndFitsIntoMemory);
    request.post_body.write_all(b"0014command=ls-refs\n0000").unwrap();
    assert_eq!(finish(request).unwrap().1, b"refs");
    let request = post(&mut http, &base, "git-receive-pack", Unbounded);
    pump(&http, 1 << 20).unwrap();
    assert_eq!(finish(request).unwrap().1, b"ok");
    server.done();
}

#[test]
fn long_requests_for_a_fetch_are_compressed() {
    let server = Server::once(|peer| {
        let head = peer.head();
        assert_eq!(header(&head, "content-encoding"), Some("gzip"));
        let body = peer.sized_body(&head);
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&body[..])
            .read_to_end(&mut plain)
            .unwrap();
        assert_eq!(plain, [b'w'; 5000]);
        peer.respond("200 OK", &[ANSWER], b"");
    });
    let mut http = backend();
    let mut request = post(
        &mut http,
        &server.url("/r"),
        "git-upload-pack",
        BoundedAndFitsIntoMemory,
    );
    request.post_body.write_all(&[b'w'; 5000]).unwrap();
    assert_eq!(finish(request).unwrap().1, b"");
    server.done();
}

#[test]
fn a_compressed_response_is_unpacked() {
    let server = Server::once(|peer| {
        peer.head();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(b"refs refs refs").unwrap();
        let kind = format!("Content-Type: {ADVERTISEMENT}");
        peer.respond(
            "200 OK",
            &[&kind, "Content-Encoding: gzip"],
            &gzip.finish().unwrap(),
        );
    });
    let (head, body) = read(discover(&mut backend(), &server.url("/r")).unwrap()).unwrap();
    assert_eq!(body, b"refs refs refs");
    assert_eq!(header(&head, "content-encoding"), None);
    server.done();
}

#[test]
fn a_response_that_breaks_off_is_an_error() {
    let server = Server::once(|peer| {
        peer.head();
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: {ADVERTISEMENT}\r\nContent-Length: 100\r\n\r\nabc");
        peer.stream.get_mut().write_all(head.as_bytes()).unwrap();
    });
    let err = read(discover(&mut backend(), &server.url("/r")).unwrap()).unwrap_err();
    assert_eq!(err.kind(), Kind::Network);
    assert!(
        err.message()
            .starts_with("the remote end hung up unexpectedly (127.0.0.1:")
    );
    server.done();
}

#[test]
fn no_listener_no_name_no_answer() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let err = discover(&mut backend(), &format!("http://127.0.0.1:{free}/r"))
        .err()
        .unwrap();
    assert_eq!(err.kind(), Kind::Network);
    assert_eq!(
        err.message(),
        format!("failed to connect to 127.0.0.1:{free}: connection refused")
    );

    let err = discover(&mut backend(), "http://name.invalid/r").err().unwrap();
    assert_eq!(
        (err.kind(), err.message()),
        (Kind::Network, "could not resolve host: name.invalid")
    );

    let server = Server::once(|peer| {
        peer.head();
        assert_eq!(peer.head(), "", "the client gives up");
    });
    let mut http = HttpBackend::new(Options {
        stall_timeout: Some(std::time::Duration::from_millis(200)),
        ..options()
    })
    .unwrap();
    let err = discover(&mut http, &server.url("/r")).err().unwrap();
    assert_eq!(err.kind(), Kind::Timeout);
    server.done();
}

#[test]
fn refusals_repeat_what_the_server_said_and_no_password() {
    let server = Server::once(|peer| {
        peer.head();
        peer.respond(
            "503 Busy",
            &["Content-Type: text/plain; charset=utf-8", "Retry-After: 7"],
            b"try\x1b later\nmore",
        );
        peer.head();
        peer.respond("200 OK", &["Content-Type: text/html"], b"<html>");
        peer.head();
        peer.respond(
            "200 OK",
            &["Content-Type: text/plain"],
            b"d670460b4b4aece5915caf5c68d12f560a9fe3e4\trefs/heads/main\n",
        );
    });
    let base = server.url("/r").replace("http://", "http://user:hunter2@");
    let mut http = backend();
    let stats = http.stats();
    let err = discover(&mut http, &base).err().unwrap();
    assert_eq!(
        err.message(),
        "the server answered HTTP 503 (Service Unavailable): try\\033 later"
    );
    assert_eq!(stats.retry_after(), Some(std::time::Duration::from_secs(7)));
    let err = discover(&mut http, &base).err().unwrap();
    assert!(err.message().ends_with("(got text/html)"), "{err}");
    let err = discover(&mut http, &base).err().unwrap();
    assert_eq!(err.kind(), Kind::Unsupported);
    assert!(!format!("{err:?}").contains("hunter2"));
    server.done();
}

#[test]
fn a_kept_connection_that_was_closed_meanwhile_is_replaced() {
    let kind = || format!("Content-Type: {ADVERTISEMENT}");
    let server = Server::start(vec![
        Box::new(move |peer| {
            peer.head();
            peer.respond("200 OK", &[&kind()], b"one");
            // Close only when the next request is on its way.
            peer.head();
        }),
        Box::new(move |peer| {
            peer.head();
            peer.respond("200 OK", &[&kind()], b"two");
        }),
    ]);
    let mut http = backend();
    for expected in [b"one", b"two"] {
        let (_, body) = read(discover(&mut http, &server.url("/r")).unwrap()).unwrap();
        assert_eq!(body, expected);
    }
    server.done();
}

#[test]
fn a_proxy_makes_a_tunnel_or_wants_a_password() {
    let proxy = Server::start(vec![
        Box::new(|peer| {
            let head = peer.head();
            assert!(head.starts_with("CONNECT git.example:80 HTTP/1.1\r\n"), "{head}");
            assert_eq!(header(&head, "authorization"), None);
            assert_eq!(header(&head, "proxy-authorization"), Some("Basic dTpw"));
            peer.stream
                .get_mut()
                .write_all(b"HTTP/1.1 200 OK\r\n\r\n")
                .unwrap();
            let head = peer.head();
            assert!(head.starts_with("GET /r/info/refs"));
            assert_eq!(header(&head, "proxy-authorization"), None);
            peer.respond("200 OK", &[&format!("Content-Type: {ADVERTISEMENT}")], b"0000");
        }),
        Box::new(|peer| {
            peer.head();
            peer.respond("407 Who", &[], b"");
        }),
    ]);
    for expected in [None, Some(Kind::Auth)] {
        let mut http = HttpBackend::new(Options {
            proxy: Some(Secret(format!("http://u:p@127.0.0.1:{}", proxy.port))),
            ..options()
        })
        .unwrap();
        // The proxy looks the name up, not we.
        let result = discover(&mut http, "http://git.example/r").and_then(read);
        assert_eq!(result.as_ref().err().map(Error::kind), expected, "{result:?}");
    }
    proxy.done();
}

#[test]
fn a_server_that_is_too_slow_is_given_up() {
    let server = Server::once(|peer| {
        peer.head();
        peer.stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\n").unwrap();
        // Until the client goes away.
        let _ = peer.stream.read_to_end(&mut Vec::new());
    });
    let mut http = HttpBackend::new(Options {
        low_speed: Some((1000, std::time::Duration::from_secs(1))),
        ..options()
    })
    .unwrap();
    let err = discover(&mut http, &server.url("/r")).err().unwrap();
    assert_eq!(err.kind(), crate::error::Kind::Timeout);
    assert_eq!(err.message(), "less than 1000 bytes a second for 1 seconds");
    drop(http);
    server.done();
}

#[test]
fn cookies_of_the_user_are_sent() {
    let server = Server::once(|peer| {
        assert_eq!(header(&peer.head(), "cookie"), Some("o=git-me"));
        peer.respond("200 OK", &[&format!("Content-Type: {ADVERTISEMENT}")], b"0000");
    });
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "127.0.0.1\tFALSE\t/\tFALSE\t0\to\tgit-me").unwrap();
    let mut http = HttpBackend::new(Options {
        cookie_file: Some(file.path().into()),
        ..options()
    })
    .unwrap();
    read(discover(&mut http, &server.url("/r")).unwrap()).unwrap();
    server.done();
}

#[test]
fn what_has_arrived_of_a_response_is_known() {
    let server = Server::once(|peer| {
        peer.head();
        peer.respond(
            "200 OK",
            &[&format!("Content-Type: {ADVERTISEMENT}")],
            &[b'x'; 40_000],
        );
    });
    let mut http = backend();
    let arrived = http.arrived();
    let mut response = discover(&mut http, &server.url("/r")).unwrap();
    let mut all = [0; 40_000];
    // By now the rest is on its way for sure.
    response.body.read_exact(&mut all[..20_000]).unwrap();
    assert!(arrived.bytes() <= 20_000);
    response.body.read_exact(&mut all[20_000..]).unwrap();
    assert_eq!(arrived.bytes(), 0);
    server.done();
    assert_eq!(all, [b'x'; 40_000]);
}
