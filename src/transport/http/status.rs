//! Failures in words: what ureq, TLS and HTTP statuses mean to a git user. No I/O.

use std::io;

use gix_error::ErrorExt;
use gix_transport::client::AuthenticationRequired;

use crate::error::{Error, Kind, printable};

/// As much of a server's own words as we repeat, in characters.
const WORDS: usize = 200;

/// `err` for whoever reads or writes a body; gix looks at the kind of an authentication failure.
pub(super) fn into_io(err: Error) -> io::Error {
    match err.kind() {
        Kind::Auth => io::Error::new(io::ErrorKind::PermissionDenied, err),
        _ => io::Error::other(err),
    }
}

/// `err` as gix-transport's `Http` trait wants it.
pub(super) fn into_gix(err: Error) -> gix_error::Error {
    into_io(err).raise()
}

/// What happened between us and `host`.
pub(super) fn from_ureq(err: ureq::Error, host: &str) -> Error {
    use ureq::Timeout;
    match err {
        ureq::Error::Io(err) => from_io(err, host),
        ureq::Error::Rustls(err) => from_tls(err, host),
        ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
            Error::new(Kind::Timeout, format!("failed to connect to {host}: timed out"))
        }
        ureq::Error::Timeout(_) => Error::new(Kind::Timeout, format!("timed out waiting for {host}")),
        ureq::Error::Decompress(..) => {
            Error::new(Kind::Corrupt, format!("{host} sent a damaged gzip stream")).caused_by(err)
        }
        ureq::Error::LargeResponseHeader(..) => {
            Error::new(Kind::Limit, format!("{host} sent too many response headers"))
        }
        ureq::Error::Protocol(ref what) => {
            let message = format!("{host} sent an invalid HTTP response: {what}");
            Error::new(Kind::Peer, printable(message.as_bytes())).caused_by(err)
        }
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
            Error::new(Kind::Usage, "not a valid HTTP URL").caused_by(err)
        }
        err => Error::from_transport(err, &format!("talking to {host}")),
    }
}

/// A proxy did not make the connection that it was asked for by `CONNECT`, and answered with `status` if with anything.
pub(super) fn from_proxy(status: Option<u16>, proxy: &str, authenticated: bool) -> Error {
    match status {
        // tinyproxy says 401 to a wrong password.
        Some(status @ (401 | 407)) if authenticated => Error::new(
            Kind::Auth,
            format!("the proxy {proxy} refused the user name or password (HTTP {status})"),
        ),
        Some(407) => Error::new(
            Kind::Auth,
            format!("the proxy {proxy} wants authentication (HTTP 407)"),
        )
        .hint("with a user name in http.proxy (http://user@host:port), git's credential helpers are asked"),
        // What a 502 to 504 is about may pass.
        Some(status @ 502..=504) => Error::new(
            Kind::Network,
            format!(
                "the proxy {proxy} could not make the connection ({})",
                named(status)
            ),
        ),
        Some(status) => Error::new(
            Kind::Policy,
            format!(
                "the proxy {proxy} refused to make the connection ({})",
                named(status)
            ),
        )
        .hint("it is asked by CONNECT, for plain http too; many proxies allow that to port 443 alone"),
        None => Error::new(Kind::Network, format!("the proxy {proxy} did not answer")),
    }
}

/// Whether the connection ended before a response began.
pub(super) fn hung_up(err: &ureq::Error) -> bool {
    use io::ErrorKind;
    matches!(err, ureq::Error::Io(err) if matches!(
        err.kind(),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe
    ))
}

/// Whether the connection failed for a reason that may pass. A certificate that is not trusted stays so.
pub(super) fn may_pass(err: &ureq::Error) -> bool {
    match err {
        ureq::Error::Timeout(_) => true,
        ureq::Error::Io(err) => {
            let inner = err.get_ref();
            match inner.and_then(|inner| inner.downcast_ref::<Error>()) {
                Some(ours) => matches!(ours.kind(), Kind::Network | Kind::Timeout),
                None => {
                    inner.is_none_or(|inner| !inner.is::<rustls::Error>()) && is_of_connection(err.kind())
                }
            }
        }
        _ => false,
    }
}

fn is_of_connection(kind: io::ErrorKind) -> bool {
    use io::ErrorKind as Io;
    matches!(
        kind,
        Io::ConnectionRefused
            | Io::ConnectionReset
            | Io::ConnectionAborted
            | Io::BrokenPipe
            | Io::NotConnected
            | Io::UnexpectedEof
            | Io::HostUnreachable
            | Io::NetworkUnreachable
            | Io::TimedOut
    )
}

fn from_io(err: io::Error, host: &str) -> Error {
    if let Some(tls) = err
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    {
        return from_tls(tls.clone(), host);
    }
    match err.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected => {
            let message = format!("the remote end hung up unexpectedly ({host})");
            Error::new(Kind::Network, message).caused_by(err)
        }
        _ => Error::from_io(err, &format!("talking to {host}")),
    }
}

/// What TLS says is final: the same certificates meet the same refusal on the next try, so none of it is `Network`.
fn from_tls(err: rustls::Error, host: &str) -> Error {
    match &err {
        rustls::Error::InvalidCertificate(why) => {
            let why = certificate_words(why);
            Error::new(Kind::Peer, format!("certificate of {host} is not trusted: {why}"))
                .hint("GIT_SSL_CAINFO (or http.sslCAInfo) names a file of certificates to trust")
        }
        rustls::Error::AlertReceived(alert) if is_about_us(*alert) => {
            let message = format!("{host} wants another client certificate, or one at all ({alert:?})");
            Error::new(Kind::Auth, message)
                .hint("http.sslCert and http.sslKey name the files of a certificate and its key")
        }
        _ => Error::new(Kind::Peer, format!("TLS with {host} failed: {err}")),
    }
    .caused_by(err)
}

/// Whether a server says by this alert (RFC 8446, 6.2) that our certificate will not do.
fn is_about_us(alert: rustls::AlertDescription) -> bool {
    use rustls::AlertDescription as Alert;
    matches!(
        alert,
        Alert::CertificateRequired
            | Alert::NoCertificate
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
    )
}

fn certificate_words(err: &rustls::CertificateError) -> String {
    use rustls::CertificateError as Cert;
    match err {
        Cert::UnknownIssuer => "unable to get local issuer certificate".into(),
        Cert::Expired | Cert::ExpiredContext { .. } => "certificate has expired".into(),
        Cert::NotValidForName | Cert::NotValidForNameContext { .. } => "it is for another host name".into(),
        err => printable(err.to_string().as_bytes()),
    }
}

/// A response that is not a success.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    /// The status code.
    pub(super) status: u16,
    /// The first line of a `text/plain` body.
    pub(super) words: Option<String>,
    /// The values of its `WWW-Authenticate` headers.
    pub(super) www_authenticate: Vec<String>,
    /// Whether the request had credentials.
    pub(super) authenticated: bool,
}

impl Refusal {
    /// The same for the person at the terminal.
    pub(super) fn into_error(self) -> Error {
        let status = self.status;
        let (kind, mut message) = match status {
            401 if self.authenticated => (Kind::Auth, "authentication failed".into()),
            401 => (Kind::Auth, self.wants_authentication()),
            403 => (Kind::Auth, "access denied (HTTP 403)".into()),
            404 | 410 => (Kind::Peer, format!("repository not found (HTTP {status})")),
            407 => (Kind::Auth, "the proxy wants authentication (HTTP 407)".into()),
            408 | 504 => (
                Kind::Timeout,
                format!("the server ran out of time (HTTP {status})"),
            ),
            411 => (
                Kind::Unsupported,
                "the server wants the size of an upload beforehand (HTTP 411)".into(),
            ),
            413 => (
                Kind::Limit,
                "the server refuses an upload of this size (HTTP 413)".into(),
            ),
            _ => (Kind::Peer, format!("the server answered {}", named(status))),
        };
        if let Some(words) = &self.words {
            message.push_str(": ");
            message.push_str(words);
        }
        let err = Error::new(kind, message).with_status(status);
        if status != 401 {
            return err;
        }
        let challenges = AuthenticationRequired {
            www_authenticate: self.www_authenticate.into_iter().map(Into::into).collect(),
        };
        err.caused_by(io::Error::new(io::ErrorKind::PermissionDenied, challenges))
    }

    fn wants_authentication(&self) -> String {
        let schemes: Vec<&str> = self
            .www_authenticate
            .iter()
            .filter_map(|value| value.split_whitespace().next())
            .collect();
        if schemes.is_empty() || super::auth::offers("basic", &self.www_authenticate) {
            return "authentication required".into();
        }
        let schemes = printable(schemes.join(", ").as_bytes());
        format!("authentication required, but not by a method we have (the server offers {schemes})")
    }
}

/// `HTTP 503 (Service Unavailable)`.
fn named(status: u16) -> String {
    let reason = ureq::http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason());
    match reason {
        Some(reason) => format!("HTTP {status} ({reason})"),
        None => format!("HTTP {status}"),
    }
}

/// The first line of `body` that says something, made safe to print and cut to a bearable length.
pub(super) fn first_words(body: &[u8]) -> Option<String> {
    let line = body
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .find(|line| !line.is_empty())?;
    Some(printable(line).chars().take(WORDS).collect())
}

/// A success that is not git's: a response of type `got` (lower case, no parameters) that begins with `body`.
pub(super) fn not_git(got: &str, body: &[u8]) -> Error {
    let line = body.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let hex = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    // The file info/refs of `git update-server-info`; empty in a repository without refs.
    let dumb = (hex == 40 || hex == 64) && line.get(hex) == Some(&b'\t');
    if got == "text/plain" && (dumb || body.is_empty()) {
        return Error::new(Kind::Unsupported, "server only speaks the dumb HTTP protocol");
    }
    let got = match got {
        "" => "no content type".into(),
        got => printable(got.as_bytes()),
    };
    Error::new(
        Kind::Peer,
        format!("not a git repository, or the server wants a login page (got {got})"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, words: Option<&str>) -> Error {
        Refusal {
            status,
            words: words.map(Into::into),
            ..Refusal::default()
        }
        .into_error()
    }

    #[test]
    fn statuses_are_told_apart() {
        for (status, kind, message) in [
            (401, Kind::Auth, "authentication required"),
            (403, Kind::Auth, "access denied (HTTP 403)"),
            (404, Kind::Peer, "repository not found (HTTP 404)"),
            (407, Kind::Auth, "the proxy wants authentication (HTTP 407)"),
            (408, Kind::Timeout, "the server ran out of time (HTTP 408)"),
            (
                413,
                Kind::Limit,
                "the server refuses an upload of this size (HTTP 413)",
            ),
            (
                429,
                Kind::Peer,
                "the server answered HTTP 429 (Too Many Requests)",
            ),
            (504, Kind::Timeout, "the server ran out of time (HTTP 504)"),
            (599, Kind::Peer, "the server answered HTTP 599"),
        ] {
            let err = refusal(status, None);
            assert_eq!((err.kind(), err.message()), (kind, message));
        }
        let err = refusal(503, Some("try later"));
        assert_eq!(
            err.message(),
            "the server answered HTTP 503 (Service Unavailable): try later"
        );
    }

    #[test]
    fn a_401_carries_its_challenges_for_gix_and_our_error_for_us() {
        let err = Refusal {
            status: 401,
            www_authenticate: vec!["Basic realm=\"git\"".into()],
            ..Refusal::default()
        };
        let io = into_io(err.into_error());
        assert_eq!(io.kind(), io::ErrorKind::PermissionDenied);
        let back = Error::from_transport(gix_transport::client::Error::Http(io.raise()), "x");
        assert_eq!(
            (back.kind(), back.message()),
            (Kind::Auth, "authentication required")
        );
    }

    #[test]
    fn unknown_methods_are_named() {
        let err = Refusal {
            status: 401,
            www_authenticate: vec!["Negotiate".into(), "Bearer realm=\"x\"".into()],
            ..Refusal::default()
        };
        assert!(
            err.into_error()
                .message()
                .ends_with("(the server offers Negotiate, Bearer)")
        );
    }

    #[test]
    fn words_of_a_server_are_short_and_harmless() {
        assert_eq!(first_words(b"\r\n a\x1b[2J\nb").as_deref(), Some("a\\033[2J"));
        assert_eq!(first_words(&[b'x'; 900]).map(|words| words.len()), Some(WORDS));
        assert_eq!(first_words(b" \n"), None);
    }

    #[test]
    fn dumb_servers_and_web_pages_are_recognised() {
        let refs = b"d670460b4b4aece5915caf5c68d12f560a9fe3e4\trefs/heads/main\n";
        assert_eq!(not_git("text/plain", refs).kind(), Kind::Unsupported);
        assert_eq!(not_git("text/plain", b"").kind(), Kind::Unsupported);
        assert_eq!(
            not_git("text/html", b"<html>").message(),
            "not a git repository, or the server wants a login page (got text/html)"
        );
        assert_eq!(not_git("text/plain", b"hello").kind(), Kind::Peer);
    }
}
