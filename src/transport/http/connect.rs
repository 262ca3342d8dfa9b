//! How a connection is made: host names, addresses, SOCKS proxies, and what fails of it in words. No TLS, no HTTP. What
//! becomes of the connection is in [`super::socket`].

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{ConnectionDetails, Connector, Either, NextTimeout, Transport};

use super::link::Link;
use super::proxy::{ProxyServer, Scheme};
use super::socket::Socket;
use super::socks::{self, Destination};
use super::upload::aborted;
use crate::error::{Error, Kind};

/// ureq's resolver, with an error that names the host; silent where a proxy looks up names.
#[derive(Debug)]
pub(super) struct Names {
    inner: DefaultResolver,
    proxy: Option<Arc<ProxyServer>>,
}

impl Names {
    pub(super) fn new(proxy: Option<Arc<ProxyServer>>) -> Self {
        Names {
            inner: DefaultResolver::default(),
            proxy,
        }
    }
}

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let proxy = self.proxy.as_deref();
        if proxy.is_some_and(|proxy| proxy.is_socks() && proxy.looks_up_names()) {
            // ureq wants some address; nobody connects to it.
            let mut addrs = self.empty();
            addrs.push(SocketAddr::from(([0, 0, 0, 0], 0)));
            return Ok(addrs);
        }
        self.inner.resolve(uri, config, timeout).map_err(|err| match err {
            ureq::Error::Io(_) | ureq::Error::HostNotFound => {
                let what = whose(uri, proxy);
                let host = uri.host().unwrap_or_default();
                unresolved(&format!("could not resolve {what}: {host}"), err)
            }
            err => err,
        })
    }
}

fn unresolved(message: &str, cause: ureq::Error) -> ureq::Error {
    ureq::Error::Io(Error::new(Kind::Network, message).caused_by(cause).into())
}

/// In errors: whether `uri` is that of the proxy.
fn whose(uri: &Uri, proxy: Option<&ProxyServer>) -> &'static str {
    let authority = uri.authority().map(|authority| authority.as_str());
    // ureq keeps the proxy's userinfo in its URI.
    let place = authority.and_then(|authority| authority.rsplit('@').next());
    match proxy {
        Some(proxy) if place == Some(proxy.authority().as_str()) => "proxy",
        _ => "host",
    }
}

/// Opens TCP connections, unless a proxy has already made one.
#[derive(Debug)]
pub(super) struct Tcp {
    pub(super) link: Arc<Link>,
    pub(super) low_speed: Option<(u64, Duration)>,
    /// A SOCKS proxy is spoken to here; any other only has its name in errors.
    pub(super) proxy: Option<Arc<ProxyServer>>,
}

impl<In: Transport> Connector<In> for Tcp {
    type Out = Either<In, Socket>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        if let Some(proxied) = chained {
            return Ok(Some(Either::A(proxied)));
        }
        let stream = match self.proxy.as_deref().filter(|proxy| proxy.is_socks()) {
            Some(proxy) => self.through(proxy, details)?,
            None => self.straight(details)?,
        };
        self.link.count_connect();
        let socket = Socket::new(stream, self.link.clone(), self.low_speed, details.config);
        if self.link.aborted() {
            return Err(ureq::Error::Io(aborted().into()));
        }
        Ok(Some(Either::B(socket)))
    }
}

impl Tcp {
    fn straight(&self, details: &ConnectionDetails) -> Result<Arc<TcpStream>, ureq::Error> {
        let addrs: Vec<SocketAddr> = details.addrs.iter().copied().collect();
        let uri = details.uri;
        let port = uri.port_u16().unwrap_or(match uri.scheme_str() {
            Some("https") => 443,
            _ => 80,
        });
        let stream = open(&addrs, deadline(details)).map_err(|err| {
            let to = format!("{}:{port}", uri.host().unwrap_or_default());
            match whose(uri, self.proxy.as_deref()) {
                "proxy" => refused(&format!("the proxy {to}"), err),
                _ => refused(&to, err),
            }
        })?;
        self.keep(stream)
    }

    /// Connect to a SOCKS proxy and have it connect to the host.
    fn through(
        &self,
        proxy: &ProxyServer,
        details: &ConnectionDetails,
    ) -> Result<Arc<TcpStream>, ureq::Error> {
        let deadline = deadline(details);
        let place = (proxy.host.as_str(), proxy.port);
        let addrs = place.to_socket_addrs().map_err(|err| {
            unresolved(
                &format!("could not resolve proxy: {}", proxy.host),
                ureq::Error::Io(err),
            )
        })?;
        let to = format!("the proxy {}", proxy.authority());
        let stream = open(&addrs.collect::<Vec<_>>(), deadline).map_err(|err| refused(&to, err))?;
        let stream = self.keep(stream)?;
        let left =
            deadline.map(|deadline| at_least_a_moment(deadline.saturating_duration_since(Instant::now())));
        stream.set_read_timeout(left)?;
        stream.set_write_timeout(left)?;
        socks::connect(&*stream, proxy, destination(proxy, details)).map_err(|err| match err.kind() {
            ErrorKind::Other => err,
            // Some say no like that.
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => {
                let message = format!("{to} hung up instead of making the connection");
                Error::new(Kind::Network, message).caused_by(err).into()
            }
            _ => refused(&to, err),
        })?;
        stream.set_read_timeout(None)?;
        stream.set_write_timeout(None)?;
        Ok(stream)
    }

    fn keep(&self, stream: TcpStream) -> Result<Arc<TcpStream>, ureq::Error> {
        stream.set_nodelay(true)?;
        let stream = Arc::new(stream);
        self.link.use_socket(&stream);
        Ok(stream)
    }
}

fn destination<'a>(proxy: &ProxyServer, details: &'a ConnectionDetails) -> Destination<'a> {
    let uri = details.uri;
    let port = uri.port_u16().unwrap_or(match uri.scheme_str() {
        Some("https") => 443,
        _ => 80,
    });
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let known = match proxy.looks_up_names() {
        // An address needs no looking up.
        true => host.parse().ok().map(|ip| SocketAddr::new(ip, port)),
        false => {
            let mut addrs = details.addrs.iter().copied();
            let first = details.addrs.first().copied();
            match proxy.scheme {
                Scheme::Socks4 => addrs.find(SocketAddr::is_ipv4).or(first),
                _ => first,
            }
        }
    };
    known.map_or(Destination::Name(host, port), Destination::Address)
}

fn deadline(details: &ConnectionDetails) -> Option<Instant> {
    details.timeout.not_zero().map(|left| Instant::now() + *left)
}

/// A socket takes no time-out of nothing.
fn at_least_a_moment(time: Duration) -> Duration {
    time.max(Duration::from_millis(10))
}

/// Try the addresses of the host in turn, each with an equal share of the time that is left.
fn open(addrs: &[SocketAddr], deadline: Option<Instant>) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::from(ErrorKind::AddrNotAvailable);
    for (tried, addr) in addrs.iter().enumerate() {
        let result = match deadline {
            None => TcpStream::connect(addr),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                let share = left / u32::try_from(addrs.len() - tried).unwrap_or(1);
                TcpStream::connect_timeout(addr, at_least_a_moment(share))
            }
        };
        match result {
            Ok(stream) => return Ok(stream),
            Err(err) => last = err,
        }
    }
    Err(last)
}

fn refused(to: &str, err: std::io::Error) -> std::io::Error {
    let (kind, why) = match err.kind() {
        // What a socket with a time-out says of it.
        ErrorKind::TimedOut | ErrorKind::WouldBlock => (Kind::Timeout, "timed out".to_owned()),
        other => (Kind::Network, other.to_string()),
    };
    Error::new(kind, format!("failed to connect to {to}: {why}"))
        .caused_by(err)
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_takes_too_long_is_called_that() {
        for (kind, wanted, words) in [
            (
                ErrorKind::WouldBlock,
                Kind::Timeout,
                "failed to connect to h: timed out",
            ),
            (
                ErrorKind::ConnectionRefused,
                Kind::Network,
                "failed to connect to h: connection refused",
            ),
        ] {
            let err = Error::from_io(refused("h", kind.into()), "connecting");
            assert_eq!((err.kind(), err.message()), (wanted, words));
        }
    }
}
