//! The same over TLS: certificates, and uploads among session tickets.
//!
//! `ca.pem` signed `localhost.der` (for the name `localhost` alone); both are good until 2126. `client-ca.pem` signed
//! `client.pem`. The keys are no secret.

use std::path::PathBuf;
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine};
use gix_transport::client::blocking_io::http::PostBodyDataKind::Unbounded;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;

use super::server::{Peer, Script, Server};
use super::*;
use crate::error::Kind;

const RESULT: &str = "Content-Type: application/x-git-receive-pack-result";

fn server(script: impl FnOnce(&mut Peer) + Send + 'static) -> Server {
    server_that_asks(false, script)
}

/// A server that may want a certificate from its client, too.
fn server_that_asks(asks: bool, script: impl FnOnce(&mut Peer) + Send + 'static) -> Server {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(include_bytes!("client-ca.pem")).unwrap();
    roots.add(ca).unwrap();
    let verifier = match asks {
        false => WebPkiClientVerifier::no_client_auth(),
        true => WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .unwrap(),
    };
    let certificate = CertificateDer::from(&include_bytes!("localhost.der")[..]);
    let key = PrivatePkcs8KeyDer::from(&include_bytes!("localhost-key.der")[..]);
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate], PrivateKeyDer::Pkcs8(key))
        .unwrap();
    Server::start_with(Some(Arc::new(config)), vec![Box::new(script) as Script])
}

fn url(server: &Server, host: &str) -> String {
    format!("https://{host}:{}/r", server.port)
}

fn trusting() -> Options {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/transport/http/tests/ca.pem");
    Options {
        ca_info: Some(PathBuf::from(file)),
        ..options()
    }
}

fn advertise(peer: &mut Peer) {
    peer.head();
    peer.respond("200 OK", &[&format!("Content-Type: {ADVERTISEMENT}")], b"0000");
}

#[test]
fn a_certificate_is_good_if_its_signer_is_trusted() {
    let server = server(advertise);
    let mut http = HttpBackend::new(trusting()).unwrap();
    let (_, body) = read(discover(&mut http, &url(&server, "localhost")).unwrap()).unwrap();
    assert_eq!(body, b"0000");
    server.done();
}

#[test]
fn a_certificate_does_not_matter_without_verification() {
    let server = server(advertise);
    let mut http = HttpBackend::new(Options {
        ssl_verify: false,
        ..options()
    })
    .unwrap();
    read(discover(&mut http, &url(&server, "127.0.0.1")).unwrap()).unwrap();
    server.done();
}

#[test]
fn bad_certificates_are_named() {
    // The server only notices that the client went away.
    let wrong_name = server(|peer| assert_eq!(peer.head(), ""));
    let base = url(&wrong_name, "127.0.0.1");
    let err = discover(&mut HttpBackend::new(trusting()).unwrap(), &base)
        .err()
        .unwrap();
    assert_eq!(err.kind(), Kind::Peer);
    assert!(
        err.message()
            .ends_with("is not trusted: it is for another host name"),
        "{err}"
    );
    wrong_name.done();

    // Another certificate is as good as none here: the leaf signed nothing.
    let unknown = server(|peer| assert_eq!(peer.head(), ""));
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("other.pem");
    let certificate = include_bytes!("localhost.der");
    std::fs::write(&other, pem(certificate)).unwrap();
    let mut http = HttpBackend::new(Options {
        ca_info: Some(other),
        ..options()
    })
    .unwrap();
    let err = discover(&mut http, &url(&unknown, "localhost")).err().unwrap();
    assert!(err.message().contains("is not trusted"), "{err}");
    unknown.done();

    let mut http = HttpBackend::new(Options {
        ca_info: Some("/nowhere/ca.pem".into()),
        ..options()
    })
    .unwrap();
    let err = discover(&mut http, "https://localhost:1/r").err().unwrap();
    assert_eq!(err.kind(), Kind::Config);
    assert_eq!(err.message(), "found no certificates to trust in /nowhere/ca.pem");
}

/// The only PEM writer we need.
fn pem(der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let mut out = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        out.push_str(std::str::from_utf8(line).unwrap());
        out.push('\n');
    }
    out + "-----END CERTIFICATE-----\n"
}

#[test]
fn a_client_certificate_is_shown_to_a_server_that_asks() {
    let file = |name: &str| {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("src/transport/http/tests")
            .join(name)
    };
    let (cert, key) = (file("client.pem"), file("client-key.pem"));
    let known = Options {
        client_cert: Some(cert.clone()),
        client_key: Some(key),
        ..trusting()
    };
    let server = server_that_asks(true, advertise);
    let mut http = HttpBackend::new(known).unwrap();
    read(discover(&mut http, &url(&server, "localhost")).unwrap()).unwrap();
    server.done();

    let server = server_that_asks(true, |peer| assert_eq!(peer.head(), ""));
    let mut http = HttpBackend::new(trusting()).unwrap();
    assert!(discover(&mut http, &url(&server, "localhost")).is_err());
    server.done();

    // Without http.sslKey the key must be in the same file.
    let keyless = Options {
        client_cert: Some(cert.clone()),
        ..trusting()
    };
    let mut http = HttpBackend::new(keyless).unwrap();
    let err = discover(&mut http, "https://localhost:1/r").err().unwrap();
    let wanted = format!("found no private key in {}", cert.display());
    assert_eq!((err.kind(), err.message()), (Kind::Config, wanted.as_str()));
}

#[test]
fn a_session_ticket_is_no_early_answer() {
    // As the first request of its connection: the tickets come while the body is sent.
    let server = server(|peer| {
        peer.head();
        let (body, complete) = peer.chunked_body();
        assert_eq!((body.len(), complete), (4 << 20, true));
        peer.respond("200 OK", &[RESULT], b"ok");
        // The connection is kept.
        advertise(peer);
    });
    let base = url(&server, "localhost");
    let mut http = HttpBackend::new(trusting()).unwrap();
    let request = post(&mut http, &base, "git-receive-pack", Unbounded);
    pump(&http, 4 << 20).unwrap();
    assert_eq!(finish(request).unwrap().1, b"ok");
    read(discover(&mut http, &base).unwrap()).unwrap();
    server.done();
}

#[test]
fn an_early_answer_is_heard_through_tls() {
    for keeps_reading in [false, true] {
        let server = server(move |peer| {
            peer.head();
            peer.stream.read_exact(&mut vec![0; 64 * 1024]).unwrap();
            peer.respond("413 Payload Too Large", &["Content-Type: text/plain"], b"no");
            if keeps_reading {
                let _ = peer.stream.read_to_end(&mut Vec::new());
            }
        });
        let mut http = HttpBackend::new(trusting()).unwrap();
        let request = post(
            &mut http,
            &url(&server, "localhost"),
            "git-receive-pack",
            Unbounded,
        );
        let err = pump(&http, 64 << 20).unwrap_err();
        assert_eq!(err.kind(), Kind::Limit, "{err}");
        assert_eq!(finish(request).unwrap_err().kind(), Kind::Limit);
        server.done();
    }
}

#[test]
fn an_abort_leaves_the_upload_incomplete() {
    let server = server(|peer| {
        peer.head();
        assert!(!peer.chunked_body().1);
    });
    let mut http = HttpBackend::new(trusting()).unwrap();
    let request = post(
        &mut http,
        &url(&server, "localhost"),
        "git-receive-pack",
        Unbounded,
    );
    let abort = http.abort_handle();
    let end = Breaking(|| {
        abort.abort();
        Ok(())
    });
    http.uploader()
        .upload(&mut std::io::repeat(7).take(1 << 20).chain(end))
        .unwrap_err();
    assert!(finish(request).is_err());
    server.done();
}
