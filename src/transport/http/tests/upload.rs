//! Streamed uploads: complete, aborted, abandoned, and answered early.

use std::time::{Duration, Instant};

use gix_transport::client::blocking_io::http::PostBodyDataKind::Unbounded;

use super::server::{Peer, Server};
use super::*;
use crate::error::Kind;

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
    let mut request = upload(&server, &mut http);
    let err = pump(&mut request.post_body, ENOUGH).unwrap_err();
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
    let mut request = upload(&server, &mut http);
    let err = pump(&mut request.post_body, ENOUGH).unwrap_err();
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
    let mut request = upload(&server, &mut http);
    let err = pump(&mut request.post_body, ENOUGH).unwrap_err();
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
    let mut request = upload(&server, &mut http);
    let err = pump(&mut request.post_body, ENOUGH).unwrap_err();
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
    let mut request = upload(&server, &mut http);
    pump(&mut request.post_body, 4 << 20).unwrap();
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
    let mut request = upload(&server, &mut http);
    pump(&mut request.post_body, 4 << 20).unwrap();
    assert_eq!(finish(request).unwrap().1, b"done");
    server.done();
}

fn expect_incomplete(act: impl FnOnce(PostResponse<Headers, ResponseBody, PostBody>, &HttpBackend)) {
    let server = Server::once(|peer| {
        peer.head();
        let (body, complete) = peer.chunked_body();
        assert!(body.len() <= 1 << 20);
        assert!(!complete, "an aborted upload looked complete");
    });
    let mut http = backend();
    let mut request = upload(&server, &mut http);
    pump(&mut request.post_body, 1 << 20).unwrap();
    act(request, &http);
    server.done();
}

#[test]
fn an_aborted_upload_never_looks_complete() {
    expect_incomplete(|mut request, http| {
        http.abort_handle().abort();
        let err = pump(&mut request.post_body, 8192).unwrap_err();
        assert!(err.message().contains("aborted"), "{err}");
        let err = finish(request).unwrap_err();
        assert!(err.message().contains("aborted"), "{err}");
    });
}

#[test]
fn an_upload_whose_response_nobody_reads_never_looks_complete() {
    expect_incomplete(|request, _| drop(request));
    expect_incomplete(|request, _| {
        // The order in which gix drops them.
        drop(request.post_body);
        std::thread::sleep(Duration::from_millis(100));
        drop(request.headers);
    });
}

#[test]
fn an_abort_wakes_a_writer_and_a_reader_that_wait() {
    for wait_for_response in [false, true] {
        let server = Server::once(|peer| {
            peer.head();
            // Neither reads nor answers.
            std::thread::sleep(Duration::from_millis(900));
        });
        let mut http = backend();
        let handle = http.abort_handle();
        let mut request = upload(&server, &mut http);
        let canceller = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            handle.abort();
        });
        let err = if wait_for_response {
            request.post_body.write_all(b"x").unwrap();
            finish(request).unwrap_err()
        } else {
            pump(&mut request.post_body, ENOUGH).unwrap_err()
        };
        assert!(err.message().contains("aborted"), "{err}");
        canceller.join().unwrap();
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
    let mut request = upload(&server, &mut http);
    pump(&mut request.post_body, 8192).unwrap();
    drop(request);
    let mut request = upload(&server, &mut http);
    pump(&mut request.post_body, 8192).unwrap();
    assert_eq!(finish(request).unwrap().1, b"ok");
    server.done();
}

#[test]
fn a_refused_connection_fails_the_writer() {
    let mut http = backend();
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut request = post(
        &mut http,
        &format!("http://127.0.0.1:{free}/r"),
        "git-receive-pack",
        Unbounded,
    );
    let err = pump(&mut request.post_body, ENOUGH).unwrap_err();
    assert!(err.message().ends_with("connection refused"), "{err}");
}
