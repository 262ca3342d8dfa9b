//! URLs as far as HTTP needs them: origins, redirect targets, and forms that are safe to print.

use crate::error::{Error, Kind, Result};
use crate::git::credential::has_escaped_controls;

/// Scheme, host and port of a URL: what credentials belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    https: bool,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of an `http` or `https` URL.
    pub(super) fn of(url: &str) -> Option<Self> {
        let (scheme, authority, _) = split(url)?;
        let https = scheme.eq_ignore_ascii_case("https");
        if !https && !scheme.eq_ignore_ascii_case("http") {
            return None;
        }
        let authority = authority.rsplit('@').next().unwrap_or(authority);
        let (host, port) = match authority.rsplit_once(':') {
            // A colon inside brackets belongs to an IPv6 address.
            Some((host, port)) if !port.contains(']') && !port.is_empty() => (host, port.parse().ok()?),
            Some((host, "")) => (host, default_port(https)),
            _ => (authority, default_port(https)),
        };
        if host.is_empty() {
            return None;
        }
        Some(Origin {
            https,
            host: host.to_ascii_lowercase(),
            port,
        })
    }

    /// Whether what was meant for this server may be sent to `other`: to itself, or to its encrypted form.
    pub(super) fn covers(&self, other: &Origin) -> bool {
        let upgraded = !self.https && other.https && self.port == 80 && other.port == 443;
        self == other || (upgraded && self.host == other.host)
    }

    pub(super) fn is_https(&self) -> bool {
        self.https
    }
}

fn default_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

/// Scheme, authority, and the rest from the first slash (or `?`, `#`) on.
fn split(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at_checked(end)?;
    Some((scheme, authority, rest))
}

/// `url` without userinfo. What is no URL is left alone.
pub(super) fn without_userinfo(url: &str) -> String {
    match split(url) {
        Some((scheme, authority, rest)) => {
            let host = authority.rsplit('@').next().unwrap_or(authority);
            format!("{scheme}://{host}{rest}")
        }
        None => url.to_owned(),
    }
}

/// The host (and port) of `url`, for messages.
pub(super) fn host(url: &str) -> String {
    split(url).map_or_else(String::new, |(_, authority, _)| {
        authority.rsplit('@').next().unwrap_or(authority).to_owned()
    })
}

/// The host of `url` without its port, and without the brackets of an IPv6 address.
pub(super) fn host_name(url: &str) -> Option<&str> {
    let (_, authority, _) = split(url)?;
    let host = authority.rsplit('@').next()?;
    match host.strip_prefix('[') {
        Some(address) => address.split(']').next(),
        None => host.split(':').next(),
    }
}

/// The path of `url` and what follows it; `/` if there is none.
pub(super) fn path(url: &str) -> &str {
    match split(url) {
        Some((_, _, rest)) if rest.starts_with('/') => rest,
        _ => "/",
    }
}

/// Where `location` leads when it was found at `url` (RFC 3986, 5.2, without dot segments). No userinfo, no fragment.
pub(super) fn resolve(url: &str, location: &str) -> Option<String> {
    let location = location.split('#').next()?.trim();
    let (scheme, authority, path) = split(url)?;
    let absolute = if has_scheme(location) {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let path = path.split('?').next().unwrap_or_default();
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    Some(without_userinfo(&absolute))
}

/// Whether `location` begins with a scheme, `ext::…` included: no relative path does (RFC 3986, 4.2).
fn has_scheme(location: &str) -> bool {
    let end = location.find([':', '/', '?', '#']);
    end.is_some_and(|end| end > 0 && location.get(end..).is_some_and(|rest| rest.starts_with(':')))
}

/// The base URL after a redirect of `base` + `tail` to `location`, by the rules that git has: the same tail at the end
/// (see `update_url_from_redirect()` in git's `http.c`), and never from https to http.
pub(super) fn redirected_base(from: &str, location: &str, tail: &str) -> Result<String> {
    let fail = |why: &str| {
        let from = crate::error::printable(from.as_bytes());
        let to = crate::error::printable(location.as_bytes());
        Error::new(Kind::Peer, format!("the server redirects {from} to {to}, {why}"))
    };
    let (Some(old), Some(new)) = (Origin::of(from), Origin::of(location)) else {
        return Err(fail("which is not an HTTP URL"));
    };
    if old.is_https() && !new.is_https() {
        return Err(fail("which is not encrypted"));
    }
    if has_escaped_controls(location) {
        // Git's question for a password shows the URL, in versions before 2.48.1 with its escapes undone.
        return Err(fail("which has control characters in it"));
    }
    match location.strip_suffix(tail) {
        Some(base) if !tail.is_empty() => Ok(base.to_owned()),
        _ => Err(fail("which is not a git repository (a login page?)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(a: &str, b: &str) -> bool {
        Origin::of(a).unwrap().covers(&Origin::of(b).unwrap())
    }

    #[test]
    fn origins_keep_hosts_schemes_and_ports_apart() {
        assert!(covers("https://u:p@Host/a", "https://host:443/b?c"));
        assert!(covers("http://host/a", "https://host/a"));
        assert!(!covers("https://host/a", "http://host/a"));
        assert!(!covers("http://host:8080/", "https://host:8443/"));
        assert!(!covers("https://host/", "https://host:444/"));
        assert!(!covers("https://host/", "https://evil?@host/"));
        assert!(covers("http://[::1]/", "http://[::1]:80/"));
        assert_eq!(Origin::of("ssh://host/a"), None);
        assert_eq!(Origin::of("https:///a"), None);
    }

    #[test]
    fn userinfo_is_removed_for_printing() {
        assert_eq!(without_userinfo("https://u:p@h:1/a@b"), "https://h:1/a@b");
        assert_eq!(without_userinfo("https://h?@x"), "https://h?@x");
        assert_eq!(host("http://u:p@h:81/x"), "h:81");
        assert_eq!(host_name("http://u:p@h:81/x"), Some("h"));
        assert_eq!(host_name("http://[::1]:81/x"), Some("::1"));
    }

    #[test]
    fn locations_are_resolved_against_the_request() {
        let at = "https://h/a/info/refs?service=x";
        for (location, wanted) in [
            (
                "https://u:p@k/b/info/refs?service=x#f",
                "https://k/b/info/refs?service=x",
            ),
            ("//k/c", "https://k/c"),
            ("/d?x=http://y", "https://h/d?x=http://y"),
            ("refs2", "https://h/a/info/refs2"),
            ("b?x=http://y", "https://h/a/info/b?x=http://y"),
            ("ext::touch x", "ext::touch x"),
            ("file:///x", "file:///x"),
        ] {
            assert_eq!(resolve(at, location).as_deref(), Some(wanted));
        }
    }

    #[test]
    fn a_redirect_moves_the_base_or_is_refused() {
        let tail = "/info/refs?service=git-upload-pack";
        let base = |from: &str, to: &str| redirected_base(&format!("{from}{tail}"), to, tail);
        assert_eq!(
            base("http://h/a", "https://k/b.git/info/refs?service=git-upload-pack").unwrap(),
            "https://k/b.git"
        );
        for (from, to, why) in [
            (
                "https://h/a",
                "http://h/a/info/refs?service=git-upload-pack",
                "not encrypted",
            ),
            ("https://h/a", "https://h/login", "not a git repository"),
            (
                "https://h/a",
                "https://h/%1b%5B2J/info/refs?service=git-upload-pack",
                "control characters",
            ),
            (
                "https://h/a",
                "ftp://h/a/info/refs?service=git-upload-pack",
                "not an HTTP URL",
            ),
        ] {
            let err = base(from, to).unwrap_err();
            assert!(err.message().contains(why), "{err}");
        }
    }
}
