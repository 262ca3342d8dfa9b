//! A repository behind `git daemon`: the git protocol over TCP (`gitprotocol-pack`, "Git Transport"; git's
//! `git_connect_git()` in `connect.c`), or through the command that `core.gitProxy` names.

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::process::Command;
use std::time::Duration;

use bstr::{BString, ByteSlice};
use gix_transport::Service;

use super::child::{Process, Stderr};
use super::patience::Patient;
use super::pipe::Pipe;
use crate::error::{Error, Kind, Result, printable};
use crate::git::os_str;
use crate::url::{DaemonAddress, Family};

const DEFAULT_PORT: &str = "9418";

/// How long to wait for a connection, to each address of the host; as long as over http.
const CONNECT_PATIENCE: Duration = Duration::from_secs(30);

/// How long a proxy command may take to end when both pipes are closed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connect and ask for `service` with protocol `version` (0 for none).
///
/// # Errors
/// [`Kind::Network`] when the host cannot be reached, [`Kind::Policy`] for a host that no header can hold. What the daemon
/// thinks of the request shows in the conversation.
pub(super) fn open(address: &DaemonAddress, service: Service, version: usize) -> Result<Pipe> {
    let env = |name: &str| std::env::var_os(name);
    let request = request(address, service, version, env("GIT_OVERRIDE_VIRTUAL_HOST"))?;
    let mut pipe = match proxy(address, env("GIT_PROXY_COMMAND")) {
        Some(proxy) => through(&proxy, address)?,
        None => connect(address)?,
    };
    pipe.input
        .write_all(&request)
        .and_then(|()| pipe.input.flush())
        .map_err(|err| Error::from_io(err, "cannot send the request"))?;
    Ok(pipe)
}

/// `git-upload-pack <path> NUL host=<host> NUL`, and behind one more NUL the version.
fn request(
    address: &DaemonAddress,
    service: Service,
    version: usize,
    host: Option<OsString>,
) -> Result<Vec<u8>> {
    /// A pkt-line's length has four digits, and its data ends here (`gitprotocol-common`).
    const LONGEST: usize = 65516;
    let host = match &host {
        Some(host) => host.as_encoded_bytes(),
        None => address.host_and_port.as_slice(),
    };
    if host.contains(&b'\n') || address.path.contains(&b'\n') {
        let message = "newline is forbidden in git:// hosts and repo paths";
        return Err(Error::new(Kind::Policy, message));
    }
    let program = address.programs.of_service(service);
    let mut line = [program, b" ", &address.path, b"\0host=", host, b"\0"].concat();
    if version > 0 {
        line.extend_from_slice(format!("\0version={version}\0").as_bytes());
    }
    if line.len() > LONGEST {
        return Err(Error::new(
            Kind::Usage,
            "the URL is too long for the git protocol",
        ));
    }
    Ok([format!("{:04x}", line.len() + 4).as_bytes(), &line].concat())
}

fn connect(address: &DaemonAddress) -> Result<Pipe> {
    let host = address.host.to_str_lossy();
    let port = address.port.as_deref().unwrap_or(DEFAULT_PORT);
    let failed = |what: &str, err: io::Error| {
        let words = err.to_string();
        // The number says nothing that the words do not say.
        let words = words.split(" (os error").next().unwrap_or_default();
        let message = format!("{what} {}: {words}", printable(&address.host_and_port));
        let kind = match err.kind() {
            io::ErrorKind::TimedOut => Kind::Timeout,
            _ => Kind::Network,
        };
        Error::new(kind, message).caused_by(err)
    };
    let number = port
        .parse::<u16>()
        .map_err(|err| Error::new(Kind::Usage, format!("'{port}' is not a port")).caused_by(err))?;
    let wanted = |place: &SocketAddr| match address.reach.family {
        Family::All => true,
        Family::V4 => place.is_ipv4(),
        Family::V6 => place.is_ipv6(),
    };
    let places = (&*host, number)
        .to_socket_addrs()
        .map_err(|err| failed("unable to look up", err))?
        .filter(wanted);
    // Every address in turn, like git; the last failure is reported.
    let mut result = Err(io::Error::from(io::ErrorKind::AddrNotAvailable));
    for place in places {
        log::debug!(target: "relay::git", "connecting to {place}");
        result = TcpStream::connect_timeout(&place, CONNECT_PATIENCE);
        if result.is_ok() {
            break;
        }
    }
    let stream = result.map_err(|err| failed("unable to connect to", err))?;
    // Requests are written whole; waiting for more would only delay them.
    stream.set_nodelay(true).ok();
    let input = stream
        .try_clone()
        .map_err(|err| failed("unable to connect to", err))?;
    let limit = address.reach.silence;
    if limit.is_some() {
        // Without it a full socket would hold up a writer for ever; it is waited for by `Patient`.
        stream
            .set_nonblocking(true)
            .map_err(|err| failed("unable to connect to", err))?;
    }
    Ok(Pipe {
        input: Box::new(SendingEnd(Patient::new(input, limit))),
        output: Box::new(Patient::new(stream, limit)),
        child: None,
    })
}

/// The sending direction of a connection, which ends when this is dropped: the two ends share one socket, so closing one
/// of them would tell the peer nothing.
struct SendingEnd(Patient<TcpStream>);

impl Write for SendingEnd {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Drop for SendingEnd {
    fn drop(&mut self) {
        // The peer may be gone already.
        self.0.get_ref().shutdown(Shutdown::Write).ok();
    }
}

/// The command to connect through, if there is one for this host: the first entry of `core.gitProxy` that fits, unless
/// the environment names one (`git_use_proxy()`).
fn proxy(address: &DaemonAddress, from_env: Option<OsString>) -> Option<BString> {
    let found = match from_env {
        Some(command) => Some(command.into_encoded_bytes().into()),
        None => address
            .proxies
            .iter()
            .find_map(|entry| proxy_for(entry, &address.host_and_port)),
    };
    found.filter(|command| !command.is_empty())
}

/// `<command>`, or `<command> for <domain>`; `none` means to connect straight.
fn proxy_for(entry: &[u8], host: &[u8]) -> Option<BString> {
    let command = match entry.split_once_str(b" for ") {
        None => entry,
        Some((command, domain)) => {
            let before = host.strip_suffix(domain)?;
            if !(before.is_empty() || before.ends_with(b".")) {
                return None;
            }
            if command == b"none" { b"" } else { command }
        }
    };
    Some(command.into())
}

/// Run `proxy <host> <port>`, whose pipes are the connection.
fn through(proxy: &BString, address: &DaemonAddress) -> Result<Pipe> {
    if address.host.starts_with(b"-") {
        let message = format!("strange hostname '{}' blocked", printable(&address.host));
        return Err(Error::new(Kind::Policy, message));
    }
    let mut command = Command::new(os_str(proxy));
    command
        .arg(os_str(&address.host))
        .arg(address.port.as_deref().unwrap_or(DEFAULT_PORT));
    let (child, input, output) = Process::start(command, Stderr::Shown, Some(PATIENCE))?;
    let limit = address.reach.silence;
    Ok(Pipe {
        input: Box::new(Patient::into_child(input, limit)),
        output: Box::new(Patient::new(output, limit)),
        child: Some(child),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;
    use crate::url::Address;

    fn address(url: &str) -> DaemonAddress {
        match Address::parse(url) {
            Ok(Address::Daemon(address)) => address,
            other => panic!("{other:?}"),
        }
    }

    /// What git sends for `url`, whose host is `listener`'s.
    fn by_git(listener: &TcpListener, url: &str, version: usize) -> Vec<u8> {
        let mut git = Command::new("git")
            .args(["-c", &format!("protocol.version={version}"), "ls-remote", url])
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let (mut connection, _) = listener.accept().unwrap();
        let mut said = vec![0; 4];
        connection.read_exact(&mut said).unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&said).unwrap(), 16).unwrap();
        said.resize(length, 0);
        connection.read_exact(&mut said[4..]).unwrap();
        drop(connection);
        git.wait().unwrap();
        said
    }

    #[test]
    fn the_request_is_gits() {
        for host in ["127.0.0.1", "[::1]"] {
            // Some machines have no IPv6.
            let Ok(listener) = TcpListener::bind(format!("{host}:0")) else {
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            for path in ["/a%20b", "/~me/x", "/x/", "/%41%zz?q"] {
                for version in [0, 2] {
                    let url = format!("git://{host}:{port}{path}");
                    let ours = request(&address(&url), Service::UploadPack, version, None).unwrap();
                    assert_eq!(ours.as_bstr(), by_git(&listener, &url, version).as_bstr());
                }
            }
        }
        let other = request(&address("git://h/x"), Service::ReceivePack, 0, Some("v".into()));
        assert_eq!(other.unwrap().as_bstr(), "001fgit-receive-pack /x\0host=v\0");
    }

    #[test]
    fn a_line_break_cannot_smuggle_in_a_second_request() {
        for url in ["git://host/a%0ab", "git://ho%0ast/a"] {
            let err = request(&address(url), Service::UploadPack, 2, None).unwrap_err();
            assert_eq!(err.kind(), Kind::Policy);
        }
    }

    #[test]
    fn addresses_in_brackets_have_ports_too() {
        let parts = |url: &str| {
            let address = address(url);
            (address.host.to_string(), address.port)
        };
        assert_eq!(parts("git://[::1]:19418/x"), ("::1".into(), Some("19418".into())));
        assert_eq!(parts("git://[::1]/x"), ("::1".into(), None));
    }

    #[test]
    fn proxies_are_chosen_by_domain() {
        let chosen = |url: &str, entries: &[&str], var: Option<&str>| {
            let mut address = address(url);
            address.proxies = entries.iter().map(|entry| BString::from(*entry)).collect();
            proxy(&address, var.map(OsString::from)).map(|command| command.to_string())
        };
        let entries = ["none for inner.example", "one for example", "two"];
        assert_eq!(chosen("git://inner.example/x", &entries, None), None);
        assert_eq!(chosen("git://a.example/x", &entries, None).unwrap(), "one");
        assert_eq!(chosen("git://notexample/x", &entries, None).unwrap(), "two");
        assert_eq!(chosen("git://a.example/x", &entries, Some("env")).unwrap(), "env");
        assert_eq!(chosen("git://a.example/x", &entries, Some("")), None);
    }
}
