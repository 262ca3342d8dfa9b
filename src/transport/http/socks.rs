//! The first words to a SOCKS proxy: version 5 (RFC 1928, with user name and password by RFC 1929), 4 and 4a. What
//! follows on the connection is as if there were no proxy. No sockets are opened here.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};

use super::proxy::{ProxyServer, Scheme};
use crate::error::{Error, Kind};

/// Where the proxy is to connect to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Destination<'a> {
    /// An address that was looked up here.
    Address(SocketAddr),
    /// A host (no longer than 255 bytes) and port for the proxy to look up.
    Name(&'a str, u16),
}

/// Have `proxy`, at the other end of `stream`, make a connection to `to`. Reads not a byte more than its answer.
///
/// # Errors
/// An [`Error`] inside of the [`io::Error`] for whatever the proxy says no to.
pub(super) fn connect(mut stream: impl Read + Write, proxy: &ProxyServer, to: Destination) -> io::Result<()> {
    match proxy.scheme {
        Scheme::Socks4 | Scheme::Socks4a => version4(&mut stream, proxy, to),
        _ => version5(&mut stream, proxy, to),
    }
}

fn version4(stream: &mut (impl Read + Write), proxy: &ProxyServer, to: Destination) -> io::Result<()> {
    let mut request = vec![4, 1];
    let user = proxy.username.as_deref().unwrap_or_default().as_bytes();
    match to {
        Destination::Address(SocketAddr::V4(address)) => {
            request.extend_from_slice(&address.port().to_be_bytes());
            request.extend_from_slice(&address.ip().octets());
            request.extend_from_slice(&[user, &[0]].concat());
        }
        Destination::Address(SocketAddr::V6(_)) => {
            return Err(failed(proxy, Kind::Config, "SOCKS 4 knows no IPv6 addresses"));
        }
        Destination::Name(host, port) => {
            request.extend_from_slice(&port.to_be_bytes());
            // An address that cannot be: the name follows.
            request.extend_from_slice(&[0, 0, 0, 1]);
            request.extend_from_slice(&[user, &[0], host.as_bytes(), &[0]].concat());
        }
    }
    stream.write_all(&request)?;
    let [_, status, ..] = read::<8>(stream)?;
    match status {
        90 => Ok(()),
        92 | 93 => Err(failed(proxy, Kind::Auth, "it does not accept the user")),
        _ => Err(failed(
            proxy,
            Kind::Network,
            "it rejected the connection or failed to make it",
        )),
    }
}

fn version5(stream: &mut (impl Read + Write), proxy: &ProxyServer, to: Destination) -> io::Result<()> {
    // 0 is to say nothing about who we are, 2 to give a user name and password.
    let offer: &[u8] = match proxy.username {
        Some(_) => &[5, 2, 0, 2],
        None => &[5, 1, 0],
    };
    stream.write_all(offer)?;
    match (read::<2>(stream)?, &proxy.username) {
        ([5, 0], _) => {}
        ([5, 2], Some(username)) => log_in(stream, proxy, username)?,
        ([5, 2 | 0xff], _) => return Err(failed(proxy, Kind::Auth, "it wants to know who we are")),
        _ => return Err(failed(proxy, Kind::Peer, "its answer is none of SOCKS 5")),
    }
    stream.write_all(&request5(proxy, to)?)?;
    let [version, status, _, kind] = read::<4>(stream)?;
    if version != 5 {
        return Err(failed(proxy, Kind::Peer, "its answer is none of SOCKS 5"));
    }
    if status != 0 {
        return Err(refusal5(proxy, status));
    }
    // The address that it used, which is of no interest, but has to be read.
    let length = match kind {
        1 => 4,
        3 => usize::from(read::<1>(stream)?[0]),
        4 => 16,
        _ => return Err(failed(proxy, Kind::Peer, "its answer is none of SOCKS 5")),
    };
    for _ in 0..length + 2 {
        read::<1>(stream)?;
    }
    Ok(())
}

fn log_in(stream: &mut (impl Read + Write), proxy: &ProxyServer, username: &str) -> io::Result<()> {
    let mut request = vec![1];
    for word in [username, proxy.password.as_deref().unwrap_or_default()] {
        let length = u8::try_from(word.len()).map_err(|_| {
            failed(
                proxy,
                Kind::Config,
                "its user name or password is longer than 255 bytes",
            )
        })?;
        request.push(length);
        request.extend_from_slice(word.as_bytes());
    }
    stream.write_all(&request)?;
    match read::<2>(stream)? {
        [_, 0] => Ok(()),
        _ => Err(failed(proxy, Kind::Auth, "it refused the user name or password")),
    }
}

fn request5(proxy: &ProxyServer, to: Destination) -> io::Result<Vec<u8>> {
    let mut request = vec![5, 1, 0];
    let port = match to {
        Destination::Address(address) => {
            match address.ip() {
                IpAddr::V4(ip) => request.extend_from_slice(&[&[1], &ip.octets()[..]].concat()),
                IpAddr::V6(ip) => request.extend_from_slice(&[&[4], &ip.octets()[..]].concat()),
            }
            address.port()
        }
        Destination::Name(host, port) => {
            let length = u8::try_from(host.len())
                .map_err(|_| failed(proxy, Kind::Usage, "a host name is longer than 255 bytes"))?;
            request.extend_from_slice(&[&[3, length], host.as_bytes()].concat());
            port
        }
    };
    request.extend_from_slice(&port.to_be_bytes());
    Ok(request)
}

fn refusal5(proxy: &ProxyServer, status: u8) -> io::Error {
    let (kind, why) = match status {
        2 => (Kind::Policy, "its rules do not allow this connection"),
        3 => (Kind::Network, "it says that the network is unreachable"),
        4 => (Kind::Network, "it says that the host is unreachable"),
        5 => (Kind::Network, "it says that the connection was refused"),
        6 => (Kind::Network, "it says that the connection took too long"),
        8 => (Kind::Unsupported, "it does not support this kind of address"),
        _ => (Kind::Network, "it failed"),
    };
    failed(proxy, kind, why)
}

fn failed(proxy: &ProxyServer, kind: Kind, why: &str) -> io::Error {
    Error::new(
        kind,
        format!("the proxy {} did not connect us: {why}", proxy.authority()),
    )
    .into()
}

fn read<const N: usize>(stream: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A proxy that says its part whatever it hears.
    struct Script {
        says: io::Cursor<Vec<u8>>,
        heard: Vec<u8>,
    }

    impl Read for Script {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.says.read(buf)
        }
    }

    impl Write for Script {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.heard.extend_from_slice(buf);
            Ok(buf.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const V4: Destination = Destination::Address(SocketAddr::new(
        IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)),
        80,
    ));
    const NAME: Destination = Destination::Name("a.b", 443);

    fn proxy(scheme: Scheme, user: Option<(&str, &str)>) -> ProxyServer {
        ProxyServer {
            scheme,
            host: "p".into(),
            port: 1080,
            username: user.map(|(name, _)| name.into()),
            password: user.map(|(_, word)| word.into()),
        }
    }

    /// What the proxy heard, what it was not asked for, or how it failed.
    fn talk(proxy: &ProxyServer, to: Destination, says: &[&[u8]]) -> Result<Vec<u8>, (Kind, String)> {
        let mut script = Script {
            says: io::Cursor::new([says, &[b"rest"]].concat().concat()),
            heard: Vec::new(),
        };
        match connect(&mut script, proxy, to) {
            Ok(()) => {
                let mut rest = String::new();
                script.read_to_string(&mut rest).unwrap();
                assert_eq!(rest, "rest", "the answer and nothing else is read");
                Ok(script.heard)
            }
            Err(err) => {
                let err = Error::from_io(err, "connecting");
                Err((err.kind(), err.message().to_owned()))
            }
        }
    }

    #[test]
    fn requests_are_those_of_rfc_1928_and_1929() {
        let done: &[u8] = &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        let named: &[u8] = &[5, 0, 0, 3, 2, b'x', b'y', 0, 0];
        let plain = proxy(Scheme::Socks5, None);
        let heard = talk(&plain, V4, &[&[5, 0], done]).unwrap();
        assert_eq!(heard, [5, 1, 0, 5, 1, 0, 1, 10, 0, 0, 1, 0, 80]);
        let heard = talk(&proxy(Scheme::Socks5h, None), NAME, &[&[5, 0], named]).unwrap();
        assert_eq!(heard, b"\x05\x01\x00\x05\x01\x00\x03\x03a.b\x01\xbb");
        let user = proxy(Scheme::Socks5, Some(("u", "pw")));
        let heard = talk(&user, V4, &[&[5, 2], &[1, 0], done]).unwrap();
        assert_eq!(
            heard,
            b"\x05\x02\x00\x02\x01\x01u\x02pw\x05\x01\x00\x01\x0a\x00\x00\x01\x00\x50"
        );
    }

    #[test]
    fn version_4_sends_addresses_and_4a_names() {
        let granted: &[u8] = &[0, 90, 0, 0, 0, 0, 0, 0];
        let heard = talk(&proxy(Scheme::Socks4, Some(("me", ""))), V4, &[granted]).unwrap();
        assert_eq!(heard, b"\x04\x01\x00\x50\x0a\x00\x00\x01me\0");
        let heard = talk(&proxy(Scheme::Socks4a, None), NAME, &[granted]).unwrap();
        assert_eq!(heard, b"\x04\x01\x01\xbb\0\0\0\x01\0a.b\0");
        let err = talk(&proxy(Scheme::Socks4, None), V4, &[&[0, 91, 0, 0, 0, 0, 0, 0]]).unwrap_err();
        assert_eq!(err.0, Kind::Network);
    }

    #[test]
    fn refusals_name_the_proxy_and_no_secret() {
        let user = proxy(Scheme::Socks5, Some(("u", "hunter2")));
        for (says, kind) in [
            (&[&[5, 2][..], &[1, 1]][..], Kind::Auth),
            (&[&[5, 0xff]], Kind::Auth),
            (&[&[5, 0], &[5, 2, 0, 1]], Kind::Policy),
            (&[&[5, 0], &[5, 5, 0, 1]], Kind::Network),
            (
                b"HTTP/1.1 400 Bad".chunks(16).collect::<Vec<_>>().as_slice(),
                Kind::Peer,
            ),
        ] {
            let (found, message) = talk(&user, V4, says).unwrap_err();
            assert_eq!(found, kind, "{message}");
            assert!(
                message.contains("p:1080") && !message.contains("hunter2"),
                "{message}"
            );
        }
        let long = "x".repeat(256);
        let plain = proxy(Scheme::Socks5h, None);
        let err = talk(&plain, Destination::Name(&long, 1), &[&[5, 0]]).unwrap_err();
        assert_eq!(err.0, Kind::Usage);
    }
}
