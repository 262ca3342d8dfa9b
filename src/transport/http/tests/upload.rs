//! Streamed uploads: complete, aborted, abandoned, and answered early.

use std::time::{Duration, Instant};

use gix_transport::client::blocking_io::http::PostBodyDataKind::Unbounded;

use super::server::{Peer, Server};
use super::*;
use crate::error::{Kind, Side};

const ENOUGH: usize = 64 << 20;

fn upload(server: &Server, http: &mut HttpBackend) -> PostResponse<Headers, ResponseBody, PostBody> {
    post(http, &server.url("/r"), "git-receive-pack", Unbounded)
}

/// A server that reads 64 KiB of the body, answers 413, and goes on as told.
fn too_large(after: impl FnOnce(&mut Peer) + Send + 'static) -> Server {
    Server::once(move |peer| {
        peer.head();
        peer.stream.read_exact(&mut vec![0; 64 * 1024]).unwrap();
        peer.respond(
            "413 Payload Too Large",
            &["Content-Type: text/plain", "Connection: close"],
            b"at most 64 KiB",
        );
        after(peer);
    })
}

fn expect_413(server: Server) {
    let mut http = backend();
    let started = Instant::now();
    let request = upload(&server, &mut http);
    let err = pump(&http, ENOUGH).unwrap_err();
    let words = "the server refuses an upload of this size (HTTP 413): at most 64 KiB";
    assert_eq!((err.kind(), err.message()), (Kind::Limit, words));
    let err = finish(request).unwrap_err();
    assert_eq!((err.kind(), err.message()), (Kind::Limit, words));
    assert_eq!(http.stats().last_status(), Some(413));
    assert!(started.elapsed() < Duration::from_secs(8));
    server.done();
}

#[test]
fn a_server_that_answers_early_and_closes() {
    expect_413(too_large(|_| ()));
}

#[test]
fn a_server_that_answers_early_and_keeps_reading() {
    expect_413(too_large(|peer| {
        let mut rest = Vec::new();
        // The client stops by itself, without an end to the body.
        let _ = peer.stream.read_to_end(&mut rest);
        assert!(rest.len() < ENOUGH / 2, "{}", rest.len());
        assert!(!rest.ends_with(b"0\r\n\r\n"));
    }));
}

#[test]
fn a_server_that_answers_early_and_reads_no_more() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let server = Server::once(move |peer| {
        peer.head();
        // By now the client waits in a write.
        std::thread::sleep(Duration::from_millis(500));
        peer.respond("413 Payload Too Large", &[], b"");
        let _ = released.recv_timeout(Duration::from_secs(10));
    });
    let mut http = backend();
    let started = Instant::now();
    let _request = upload(&server, &mut http);
    let err = pump(&http, ENOUGH).unwrap_err();
    assert_eq!(err.kind(), Kind::Limit);
    assert!(started.elapsed() < Duration::from_secs(5));
    drop(release);
    server.done();
}

#[test]
fn a_connection_with_half_a_request_on_it_is_not_used_again() {
    let server = Server::start(vec![
        Box::new(|peer| {
            peer.head();
            peer.stream.read_exact(&mut vec![0; 64 * 1024]).unwrap();
            peer.respond("403 Forbidden", &[], b"");
            let _ = peer.stream.read_to_end(&mut Vec::new());
        }),
        Box::new(|peer| {
            peer.head();
            peer.respond("200 OK", &[&format!("Content-Type: {ADVERTISEMENT}")], b"0000");
        }),
    ]);
    let mut http = backend();
    let request = upload(&server, &mut http);
    let err = pump(&http, ENOUGH).unwrap_err();
    assert_eq!(err.message(), "access denied (HTTP 403)");
    drop(request);
    let started = Instant::now();
    read(discover(&mut http, &server.url("/r")).unwrap()).unwrap();
    assert!(started.elapsed() < Duration::from_secs(3));
    server.done();
}

#[test]
fn a_server_that_just_hangs_up() {
    let server = Server::once(|peer| {
        peer.head();
        peer.stream.read_exact(&mut vec![0; 64 * 1024]).unwrap();
    });
    let mut http = backend();
    let _request = upload(&server, &mut http);
    let err = pump(&http, ENOUGH).unwrap_err();
    assert_eq!(err.kind(), Kind::Network);
    assert!(
        err.message().starts_with("the remote end hung up unexpectedly"),
        "{err}"
    );
    server.done();
}

#[test]
fn an_early_success_does_not_end_the_upload() {
    let server = Server::once(|peer| {
        peer.head();
        peer.respond(
            "200 OK",
            &["Content-Type: application/x-git-receive-pack-result"],
            b"done",
        );
        let (body, complete) = peer.chunked_body();
        assert_eq!((body.len(), complete), (4 << 20, true));
    });
    let mut http = backend();
    let request = upload(&server, &mut http);
    pump(&http, 4 << 20).unwrap();
    assert_eq!(finish(request).unwrap().1, b"done");
    server.done();
}

#[test]
fn an_interim_response_is_no_early_answer() {
    let server = Server::once(|peer| {
        peer.head();
        peer.stream
            .get_mut()
            .write_all(b"HTTP/1.1 100 Continue\r\n\r\n")
            .unwrap();
        let (body, complete) = peer.chunked_body();
        assert_eq!((body.len(), complete), (4 << 20, true));
        peer.respond(
            "200 OK",
            &["Content-Type: application/x-git-receive-pack-result"],
            b"done",
        );
    });
    let mut http = backend();
    let request = upload(&server, &mut http);
    pump(&http, 4 << 20).unwrap();
    assert_eq!(finish(request).unwrap().1, b"done");
    server.done();
}

/// The error of an upload that `end` ends after a megabyte. The server must not take it for a whole one.
fn expect_incomplete(end: impl Fn(&HttpBackend) -> Result<(), Error>) -> Error {
    let server = Server::once(|peer| {
        peer.head();
        let (body, complete) = peer.chunked_body();
        assert!(body.len() <= 1 << 20);
        assert!(!complete, "an upload that broke off looked complete");
    });
    let mut http = backend();
    let request = upload(&server, &mut http);
    let end = Breaking(|| end(&http));
    let mut body = std::io::repeat(7).take(1 << 20).chain(end);
    let err = http.uploader().upload(&mut body).unwrap_err();
    drop(http);
    server.done();
    // Whoever asks for the answer hears of it as well, or of nothing.
    let answer = finish(request);
    assert!(
        answer.as_ref().map_or(true, |(_, body)| body.is_empty()),
        "{answer:?}"
    );
    err
}

#[test]
fn an_aborted_upload_never_looks_complete() {
    let err = expect_incomplete(|http| {
        http.abort_handle().abort();
        Ok(())
    });
    assert!(err.message().contains("aborted"), "{err}");
}

#[test]
fn an_upload_whose_body_fails_never_looks_complete() {
    let err = expect_incomplete(|_| Err(Error::new(Kind::Corrupt, "damaged").on(Side::Source)));
    assert_eq!(err.to_string(), "source: damaged");
}

#[test]
fn an_announced_upload_ends_early_too() {
    let server = too_large(|peer| {
        let _ = peer.stream.read_to_end(&mut Vec::new());
    });
    let mut http = backend();
    http.length().announce(ENOUGH as u64);
    let request = upload(&server, &mut http);
    assert_eq!(pump(&http, ENOUGH).unwrap_err().kind(), Kind::Limit);
    assert_eq!(finish(request).unwrap_err().kind(), Kind::Limit);
    server.done();
}

#[test]
fn an_upload_that_is_shorter_than_announced_is_cut() {
    let server = Server::once(|peer| {
        peer.head();
        let mut body = Vec::new();
        let _ = peer.stream.read_to_end(&mut body);
        assert!(body.len() <= 1000);
    });
    let mut http = backend();
    http.length().announce(1001);
    let request = upload(&server, &mut http);
    assert_eq!(pump(&http, 1000).unwrap_err().kind(), Kind::Internal);
    drop(request);
    server.done();
}

#[test]
fn a_request_that_nobody_waits_for_is_not_sent() {
    let mut http = backend();
    let mut request = post(&mut http, "http://127.0.0.1:1/r", "git-receive-pack", Unbounded);
    request.post_body.write_all(b"0000").unwrap();
    drop(request);
    assert!(pump(&http, 1).is_err());
    assert_eq!(http.stats().requests(), 0);
}

#[test]
fn an_abort_ends_an_upload_that_waits() {
    for bytes in [1, ENOUGH] {
        let (release, released) = std::sync::mpsc::channel::<()>();
        let server = Server::once(move |peer| {
            peer.head();
            // Neither reads nor answers.
            let _ = released.recv_timeout(Duration::from_secs(10));
        });
        let mut http = backend();
        let handle = http.abort_handle();
        let request = upload(&server, &mut http);
        let canceller = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            handle.abort();
        });
        // What is sent in full is missed only when its answer is read.
        let sent = pump(&http, bytes);
        assert_eq!(sent.is_ok(), bytes == 1);
        for err in sent.err().into_iter().chain([finish(request).unwrap_err()]) {
            assert!(err.message().contains("aborted"), "{err}");
        }
        canceller.join().unwrap();
        drop(release);
        server.done();
    }
}

#[test]
fn a_backend_can_be_used_again_after_an_abort() {
    let server = Server::start(vec![
        Box::new(|peer| {
            peer.head();
            assert!(!peer.chunked_body().1);
        }),
        Box::new(|peer| {
            peer.head();
            assert!(peer.chunked_body().1);
            peer.respond(
                "200 OK",
                &["Content-Type: application/x-git-receive-pack-result"],
                b"ok",
            );
        }),
    ]);
    let mut http = backend();
    let request = upload(&server, &mut http);
    let broken = Breaking(|| Err(Error::new(Kind::Network, "broke off")));
    let mut body = std::io::repeat(7).take(8192).chain(broken);
    http.uploader().upload(&mut body).unwrap_err();
    drop(request);
    let request = upload(&server, &mut http);
    pump(&http, 8192).unwrap();
    assert_eq!(finish(request).unwrap().1, b"ok");
    server.done();
}

#[test]
fn a_refused_connection_fails_the_upload() {
    let mut http = backend();
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let _request = post(
        &mut http,
        &format!("http://127.0.0.1:{free}/r"),
        "git-receive-pack",
        Unbounded,
    );
    let err = pump(&http, ENOUGH).unwrap_err();
    assert!(err.message().ends_with("connection refused"), "{err}");
}
