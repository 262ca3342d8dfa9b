//! Authentication and redirects.

use std::sync::{Arc, Mutex};

use gix_transport::client::blocking_io::http::PostBodyDataKind::{BoundedAndFitsIntoMemory, Unbounded};

use super::super::Secrets;
use super::super::{Authenticate, Credentials, Login};
use super::server::{Peer, Server, header};
use super::*;
use crate::error::{Kind, Side};

const CHALLENGE: &str = "WWW-Authenticate: Basic realm=\"git\"";
/// `u:p`
const BASIC: &str = "Basic dTpw";

fn up() -> Credentials {
    Credentials::Basic {
        username: "u".into(),
        password: "p".into(),
    }
}

/// Notes what it is told.
struct Recorder(Arc<Mutex<Vec<String>>>);

impl Recorder {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }
}

impl Authenticate for Recorder {
    fn credentials(
        &mut self,
        url: &str,
        www_authenticate: &[String],
    ) -> crate::error::Result<Option<Credentials>> {
        self.note(format!("fill {url} {www_authenticate:?}"));
        Ok(Some(up()))
    }

    fn approve(&mut self, url: &str, _: &Credentials) {
        self.note(format!("approve {url}"));
    }

    fn reject(&mut self, url: &str, _: &Credentials) {
        self.note(format!("reject {url}"));
    }
}

fn recording() -> (HttpBackend, Arc<Mutex<Vec<String>>>) {
    let notes = Arc::default();
    let http = backend().with_authenticate(Box::new(Recorder(Arc::clone(&notes))));
    (http, notes)
}

fn expect(peer: &mut Peer, authorization: Option<&str>) -> String {
    let head = peer.head();
    assert_eq!(header(&head, "authorization"), authorization);
    head
}

fn advertise(peer: &mut Peer) {
    peer.respond("200 OK", &[&format!("Content-Type: {ADVERTISEMENT}")], b"0000");
}

#[test]
fn credentials_are_sent_when_asked_for_and_from_then_on() {
    let server = Server::once(|peer| {
        expect(peer, None);
        peer.respond("401 Unauthorized", &[CHALLENGE], b"who?");
        expect(peer, Some(BASIC));
        advertise(peer);
        let head = expect(peer, Some(BASIC));
        peer.sized_body(&head);
        peer.respond(
            "200 OK",
            &["Content-Type: application/x-git-upload-pack-result"],
            b"",
        );
        expect(peer, Some(BASIC));
        assert!(peer.chunked_body().1);
        peer.respond(
            "200 OK",
            &["Content-Type: application/x-git-upload-pack-result"],
            b"",
        );
    });
    let base = server.url("/r");
    let (mut http, notes) = recording();
    read(discover(&mut http, &base).unwrap()).unwrap();
    for is_streamed in [false, true] {
        let mut request = post(&mut http, &base, "git-upload-pack", BoundedAndFitsIntoMemory);
        request.post_body.write_all(b"0000").unwrap();
        if is_streamed {
            pump(&http, 4).unwrap();
        }
        finish(request).unwrap();
    }
    let fill = format!("fill {base} {:?}", ["Basic realm=\"git\""]);
    assert_eq!(*notes.lock().unwrap(), [fill, format!("approve {base}")]);
    server.done();
}

#[test]
fn a_whole_body_is_sent_again_with_credentials() {
    let server = Server::once(|peer| {
        let head = expect(peer, None);
        assert_eq!(peer.sized_body(&head), b"0000PACK");
        peer.respond("401 Unauthorized", &[CHALLENGE], b"");
        let head = expect(peer, Some(BASIC));
        assert_eq!(peer.sized_body(&head), b"0000PACK");
        peer.respond(
            "200 OK",
            &["Content-Type: application/x-git-receive-pack-result"],
            b"ok",
        );
    });
    let (mut http, _) = recording();
    let mut request = post(
        &mut http,
        &server.url("/r"),
        "git-receive-pack",
        BoundedAndFitsIntoMemory,
    );
    request.post_body.write_all(b"0000").unwrap();
    http.uploader().upload_whole(b"PACK").unwrap();
    assert_eq!(finish(request).unwrap().1, b"ok");
    server.done();
}

#[test]
fn refused_credentials_are_rejected() {
    let server = Server::once(|peer| {
        expect(peer, None);
        peer.respond("401 Unauthorized", &[CHALLENGE], b"");
        expect(peer, Some(BASIC));
        peer.respond("401 Unauthorized", &[CHALLENGE], b"");
    });
    let base = server.url("/r");
    let (mut http, notes) = recording();
    let err = discover(&mut http, &base).err().unwrap();
    assert_eq!((err.kind(), err.message()), (Kind::Auth, "authentication failed"));
    // Whoever is asked again may know better; the same is not sent twice.
    let fill = format!("fill {base} {:?}", ["Basic realm=\"git\""]);
    let reject = format!("reject {base}");
    assert_eq!(*notes.lock().unwrap(), [fill.clone(), reject, fill]);
    server.done();
}

#[test]
fn without_credentials_a_401_says_so() {
    let server = Server::start(vec![
        Box::new(|peer| {
            peer.head();
            peer.respond("401 Unauthorized", &[CHALLENGE], b"");
            peer.head();
            peer.respond("401 Unauthorized", &["WWW-Authenticate: Negotiate"], b"");
        }),
        Box::new(|peer| {
            peer.head();
            peer.respond("401 Unauthorized", &[CHALLENGE, "Connection: close"], b"");
        }),
    ]);
    let base = server.url("/r");
    let mut http = backend();
    let err = discover(&mut http, &base).err().unwrap();
    assert_eq!(
        (err.kind(), err.message()),
        (Kind::Auth, "authentication required")
    );
    let (mut other, notes) = recording();
    let err = discover(&mut http, &base).err().unwrap();
    assert!(err.message().ends_with("(the server offers Negotiate)"), "{err}");
    drop(http);
    // A streamed body cannot be sent twice, so nobody is asked.
    let _request = post(&mut other, &base, "git-receive-pack", Unbounded);
    let err = pump(&other, 64 << 20).unwrap_err();
    assert_eq!(
        (err.kind(), err.message()),
        (Kind::Auth, "authentication required")
    );
    assert!(notes.lock().unwrap().is_empty());
    server.done();
}

/// A server that redirects its first request to `to`.
fn redirecting(to: String) -> Server {
    Server::once(move |peer| {
        expect(peer, None);
        peer.respond("301 Moved", &[&format!("Location: {to}")], b"moved");
    })
}

#[test]
fn a_redirect_moves_host_and_path_but_takes_no_secrets_along() {
    let target = Server::once(|peer| {
        let head = expect(peer, None);
        assert!(head.starts_with("GET /new.git/info/refs?service=git-upload-pack "));
        assert_eq!(header(&head, "x-secret"), None);
        peer.respond("401 Unauthorized", &[CHALLENGE], b"");
    });
    let base = target.url("/new.git");
    let source = redirecting(format!("{base}{TAIL}"));
    let from = source.url("/old");
    let userinfo = Some(("u".to_owned(), Some("p".to_owned())));
    let login = Login::new(Side::Source, &from, userinfo, None, |_| None);
    let options = Options {
        extra_headers: Secrets(vec!["X-Secret: 1".into()]),
        ..options()
    };
    let mut http = HttpBackend::new(options)
        .unwrap()
        .with_authenticate(Box::new(login.only_named()));
    let err = discover(&mut http, &from).err().unwrap();
    assert_eq!(err.message(), "authentication required");
    source.done();
    target.done();
}

#[test]
fn the_new_base_is_told_and_used() {
    let server = Server::once(|peer| {
        assert_eq!(header(&peer.head(), "x-token"), Some("1"));
        peer.respond("302 Found", &[&format!("Location: /b/c.git{TAIL}")], b"");
        assert_eq!(header(&peer.head(), "x-token"), Some("1"));
        advertise(peer);
    });
    let options = Options {
        extra_headers: Secrets(vec!["X-Token: 1".into()]),
        ..options()
    };
    let mut http = HttpBackend::new(options).unwrap();
    read(discover(&mut http, &server.url("/a")).unwrap()).unwrap();
    assert_eq!(http.redirected_base_url(), Some(server.url("/b/c.git")));
    server.done();
}

#[test]
fn redirects_to_elsewhere_loops_and_redirected_posts_are_errors() {
    let server = redirecting("/login?next=/r".into());
    let err = discover(&mut backend(), &server.url("/r")).err().unwrap();
    assert!(
        err.message()
            .ends_with("which is not a git repository (a login page?)"),
        "{err}"
    );
    server.done();

    let server = Server::once(|peer| {
        for _ in 0..6 {
            peer.head();
            peer.respond("307 Again", &[&format!("Location: /r{TAIL}")], b"");
        }
    });
    let err = discover(&mut backend(), &server.url("/r")).err().unwrap();
    assert_eq!(err.message(), "more than 5 redirects");
    server.done();

    let server = Server::once(|peer| {
        peer.head();
        peer.respond("301 Moved", &["Location: /new/git-receive-pack"], b"");
    });
    let mut http = backend();
    let request = post(
        &mut http,
        &server.url("/r"),
        "git-receive-pack",
        BoundedAndFitsIntoMemory,
    );
    let err = finish(request).unwrap_err();
    assert!(err.message().ends_with("/new/git-receive-pack"), "{err}");
    server.done();
}
