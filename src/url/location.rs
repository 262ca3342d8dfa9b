//! What a URL names, by git's own rules: `transport_get()` in git's `transport.c`, `parse_connect_url()`,
//! `get_host_and_port()` and `get_port()` in its `connect.c`.
//!
//! Pure parsing. Hosts and paths are bytes, because percent-encoding can spell any.

use bstr::{BString, ByteSlice};

use super::shown;
use crate::error::{Error, Kind, Result};

/// The kinds of places that git tells apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Location {
    /// An http or https URL.
    Web,
    /// The file system.
    Local(BString),
    /// A host reached by ssh.
    Ssh(Remote),
    /// A host that runs `git daemon`.
    Daemon(Remote),
    /// Whatever `git-remote-<name>` knows.
    Helper {
        /// The name in front of `::` or `://`.
        name: String,
        /// What the helper gets to see.
        address: String,
    },
}

/// A repository on another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remote {
    /// Host and port as they stand in the URL.
    pub(super) host_and_port: BString,
    /// The host without brackets; for ssh with the user in front, where there is one.
    pub(super) host: BString,
    /// The port, as it was written.
    pub(super) port: Option<String>,
    /// The path, `~user/…` without its slash.
    pub(super) path: BString,
}

impl Location {
    /// What `text` names.
    ///
    /// # Errors
    /// [`Kind::Usage`] when it has no path, or is neither a URL nor a path.
    pub(super) fn parse(text: &str) -> Result<Location> {
        if let Some((name, address)) = text.split_once("::").filter(|(name, _)| is_scheme(name)) {
            return Ok(Location::Helper {
                name: name.to_owned(),
                address: address.to_owned(),
            });
        }
        match text.split_once("://") {
            None if is_local_not_ssh(text) => Ok(Location::Local(text.into())),
            None => remote(text.as_bytes(), b':').map(Location::Ssh),
            Some((scheme, _)) if !is_scheme(scheme) => Err(usage(format!(
                "'{}' is neither a URL nor a path that git takes",
                shown(text)
            ))),
            Some((scheme, rest)) => match scheme {
                "http" | "https" => Ok(Location::Web),
                "file" => local(&percent_decode(rest)).map(Location::Local),
                "ssh" | "git+ssh" | "ssh+git" => remote(&percent_decode(rest), b'/').map(Location::Ssh),
                "git" => remote(&percent_decode(rest), b'/').map(Location::Daemon),
                name => Ok(Location::Helper {
                    name: name.to_owned(),
                    address: text.to_owned(),
                }),
            },
        }
    }

    /// The name of the transport, as git's `protocol.<name>.allow` knows it; `text` is what the location was read from.
    pub(super) fn scheme<'a>(&'a self, text: &'a str) -> &'a str {
        match self {
            Location::Web => text.split_once("://").map_or(text, |(scheme, _)| scheme),
            Location::Local(_) => "file",
            Location::Ssh(_) => "ssh",
            Location::Daemon(_) => "git",
            Location::Helper { name, .. } => name,
        }
    }
}

fn usage(message: String) -> Error {
    Error::new(Kind::Usage, message)
}

fn no_path() -> Error {
    usage("the URL has no path".into()).hint("see git-fetch(1), \"Git URLs\", for what git takes")
}

/// `is_urlschemechar()`: a letter or digit, then `+`, `-` and `.` as well.
fn is_scheme(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// `url_is_local_not_ssh()`: in `host:path` no slash stands before the colon.
fn is_local_not_ssh(text: &str) -> bool {
    match (text.find(':'), text.find('/')) {
        (None, _) => true,
        (Some(colon), Some(slash)) => slash < colon,
        (Some(_), None) => false,
    }
}

/// The path of a `file://` URL; a host in front of it is passed over.
fn local(rest: &[u8]) -> Result<BString> {
    let start = rest.find_byte(b'/').ok_or_else(no_path)?;
    Ok(rest.get(start..).unwrap_or_default().into())
}

/// Host and path, with `separator` between them.
fn remote(rest: &[u8], separator: u8) -> Result<Remote> {
    let after_host = end_of_brackets(rest);
    let found = rest.get(after_host..).unwrap_or_default().find_byte(separator);
    let at = after_host + found.ok_or_else(no_path)?;
    let (host_and_port, path) = rest.split_at_checked(at).unwrap_or_default();
    let path = if separator == b':' {
        path.get(1..).unwrap_or_default()
    } else {
        path
    };
    // `ssh://host/~user/repo`
    let path = match path.get(1) {
        Some(b'~') => path.get(1..).unwrap_or_default(),
        _ => path,
    };
    let (host, port) = host_and_optional_port(host_and_port);
    Ok(Remote {
        host_and_port: host_and_port.into(),
        host,
        port,
        path: path.into(),
    })
}

/// `host_end()`: behind the bracket that closes an IPv6 address (or `[host:port]`), else the very start.
fn end_of_brackets(host: &[u8]) -> usize {
    match brackets(host) {
        Some((_, close)) => close,
        None => 0,
    }
}

/// Where the brackets of `[…]` or `user@[…]` stand.
fn brackets(host: &[u8]) -> Option<(usize, usize)> {
    let open = host.find(b"@[").map_or(0, |at| at + 1);
    if host.get(open) != Some(&b'[') {
        return None;
    }
    let length = host.get(open + 1..)?.find_byte(b']')?;
    Some((open, open + 1 + length))
}

/// `get_host_and_port()`, then `get_port()`, which looks for a port inside what was in brackets.
fn host_and_optional_port(text: &[u8]) -> (BString, Option<String>) {
    let (mut host, rest) = match brackets(text) {
        Some((open, close)) => {
            let part = |range| text.get(range).unwrap_or_default();
            let inner = [part(0..open), part(open + 1..close)].concat();
            (inner, part(close + 1..text.len()).to_vec())
        }
        None => (Vec::new(), text.to_vec()),
    };
    let (before, port) = match rest.split_once_str(b":") {
        Some((before, b"")) => (before, None),
        Some((before, after)) => match port_number(after) {
            Some(port) => (before, Some(port)),
            None => (rest.as_slice(), None),
        },
        None => (rest.as_slice(), None),
    };
    host.extend_from_slice(before);
    if port.is_none()
        && let Some((before, after)) = host.split_once_str(b":")
        && let Some(port) = port_number(after)
    {
        return (before.into(), Some(port));
    }
    (host.into(), port)
}

/// Digits up to 65535; git reads them with `strtol()`, which also takes a sign and blanks. Those no port needs.
fn port_number(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits && text.parse::<u32>().ok()? < 65536).then(|| text.to_owned())
}

/// `url_decode()`: every `%xx` but `%00`.
fn percent_decode(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        match (byte, hex_byte(behind)) {
            (b'%', Some(decoded)) => {
                out.push(decoded);
                rest = behind.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(byte);
                rest = behind;
            }
        }
    }
    out
}

fn hex_byte(text: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    let value = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    (value != 0).then_some(value)
}
