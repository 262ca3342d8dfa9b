//! Settings that hold for some URLs only, `http.<url>.<name>`: which of them apply to a URL, by git's rules
//! (git-config(1), `http.<url>.*`; `urlmatch.c`).
//!
//! `git config --get-urlmatch` gives the last value of each name alone, and lists such as `http.extraHeader` have
//! several; so the rules are here. What the settings mean is not.

use bstr::{BStr, BString, ByteSlice};

use super::Config;

/// A URL in the form that is compared: no needless escapes, no default port, no dot segments.
#[derive(Debug, PartialEq, Eq)]
struct Normal {
    scheme: String,
    user: Option<String>,
    host: String,
    port: String,
    /// The path and whatever follows it.
    path: String,
}

/// How well a pattern fits; more is better: length of the host, length of the path, user name.
type Fit = (usize, usize, bool);

impl Config {
    /// The settings below `http` that apply to `url` (with its user name, if it has one), each as `http.<name>` with
    /// all values that count, in git's order.
    #[must_use]
    pub fn http_for(&self, url: &str) -> Config {
        let url = Normal::new(url.as_bytes(), false);
        let mut best: Vec<(&BStr, Fit)> = Vec::new();
        let mut found: Vec<(BString, Option<BString>)> = Vec::new();
        for (key, value) in self.http() {
            let Some((name, fit)) = fit(key, url.as_ref()) else {
                continue;
            };
            match best.iter_mut().find(|(known, _)| *known == name) {
                // What fits less than one that came before is ignored; what fits as well or better is added.
                Some((_, before)) if fit < *before => continue,
                Some((_, before)) => *before = fit,
                None => best.push((name, fit)),
            }
            let key = [b"http.", name.as_bytes()].concat();
            found.push((key.into(), value.cloned()));
        }
        Config::of(found)
    }
}

/// The name of the setting `key` (`<url>.<name>` or `<name>`), and how well it fits; `None` if it does not.
fn fit<'a>(key: &'a BStr, url: Option<&Normal>) -> Option<(&'a BStr, Fit)> {
    match key.rsplit_once_str(".") {
        None => Some((key, Fit::default())),
        Some((pattern, name)) => {
            let pattern = Normal::new(pattern, true)?;
            Some((name.as_bstr(), pattern.fits(url?)?))
        }
    }
}

impl Normal {
    /// `url_normalize()`; with `globs` the host may have wildcards. `None` for what is no URL.
    fn new(url: &[u8], globs: bool) -> Option<Self> {
        let (scheme, rest) = url.split_once_str("://")?;
        let is_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+.-".contains(byte);
        if !scheme.first()?.is_ascii_alphabetic() || !scheme.iter().all(is_scheme) {
            return None;
        }
        let scheme = scheme.to_str().ok()?.to_ascii_lowercase();
        let end = rest.find_byteset(b"/?#").unwrap_or(rest.len());
        let (authority, rest) = rest.split_at_checked(end)?;
        let (user, authority) = match authority.split_once_str("@") {
            Some((userinfo, host)) => (Some(user(userinfo)?), host),
            None => (None, authority),
        };
        let (host, port) = match authority.rfind_byteset(b":]") {
            Some(at) if authority.get(at) == Some(&b':') => (authority.get(..at)?, authority.get(at + 1..)?),
            _ => (authority, &b""[..]),
        };
        let is_host =
            |byte: &u8| byte.is_ascii_alphanumeric() || b".-_[:]".contains(byte) || (globs && *byte == b'*');
        if host.is_empty() || !host.iter().all(is_host) {
            return None;
        }
        Some(Normal {
            port: port_of(port, &scheme)?,
            host: host.to_str().ok()?.to_ascii_lowercase(),
            path: path(rest)?,
            scheme,
            user,
        })
    }

    /// `match_urls()`: how well this pattern fits `url`.
    fn fits(&self, url: &Normal) -> Option<Fit> {
        let user_fits = self.user.is_none() || self.user == url.user;
        if self.scheme != url.scheme || self.port != url.port || !user_fits {
            return None;
        }
        let (mut ours, mut theirs) = (self.host.split('.'), url.host.split('.'));
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => break,
                (Some(pattern), Some(part)) if pattern == "*" || pattern == part => {}
                _ => return None,
            }
        }
        let prefix = self.path.strip_suffix('/').unwrap_or(&self.path);
        let rest = url.path.strip_prefix(prefix)?;
        (rest.is_empty() || rest.starts_with('/')).then_some((
            self.host.len(),
            prefix.len() + 1,
            self.user.is_some(),
        ))
    }
}

fn user(userinfo: &[u8]) -> Option<String> {
    escapes(userinfo.split(|byte| *byte == b':').next()?)
}

/// The port without leading zeros; empty for the scheme's own.
fn port_of(port: &[u8], scheme: &str) -> Option<String> {
    let port = port.to_str().ok()?;
    let number = port.trim_start_matches('0');
    if port.is_empty() || (scheme, number) == ("http", "80") || (scheme, number) == ("https", "443") {
        return Some(String::new());
    }
    if !number.bytes().all(|byte| byte.is_ascii_digit()) || number.parse::<u16>().is_err() {
        return None;
    }
    Some(number.to_owned())
}

/// The path with a slash in front and without dot segments, and what follows it.
fn path(rest: &[u8]) -> Option<String> {
    let end = rest.find_byteset(b"?#").unwrap_or(rest.len());
    let (path, tail) = rest.split_at_checked(end)?;
    let mut parts: Vec<String> = Vec::new();
    for part in path.strip_prefix(b"/").unwrap_or(path).split_str("/") {
        match escapes(part)?.as_str() {
            "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part.to_owned()),
        }
    }
    Some(format!("/{}{}", parts.join("/"), escapes(tail)?))
}

/// `append_normalized_escapes()`: escape what must be escaped and nothing else, in upper case.
fn escapes(text: &[u8]) -> Option<String> {
    const UNSAFE: &[u8] = b" <>\"%{}|\\^`";
    const RESERVED: &[u8] = b":/?#[]@!$&'()*+,;=";
    let mut out = String::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        let (byte, escaped) = match byte {
            b'%' => {
                let digits = [*bytes.next()?, *bytes.next()?];
                let digits = std::str::from_utf8(&digits).ok()?;
                (u8::from_str_radix(digits, 16).ok()?, true)
            }
            byte => (*byte, false),
        };
        let must =
            byte <= 0x1f || byte >= 0x7f || UNSAFE.contains(&byte) || (escaped && RESERVED.contains(&byte));
        if must {
            out.push_str(&format!("%{byte:02X}"));
        } else {
            out.push(char::from(byte));
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::super::Git;
    use super::*;

    const URLS: [&str; 9] = [
        "https://example.com/a/b.git",
        "https://me@example.com/a/b.git",
        "https://git.example.com:443/a/b.git",
        "http://example.com:8080/a%2fb/../c",
        "HTTPS://EXAMPLE.com:0443/%61/b.git/",
        "https://[::1]:8443/x",
        "https://example.com",
        "https://example.com/a?q",
        "https://you:pw@example.com/A/",
    ];

    const PATTERNS: [&str; 19] = [
        "https://example.com",
        "https://example.com/",
        "https://example.com/a",
        "https://example.com/a/",
        "https://example.com/A",
        "https://example.com/a/b",
        "https://example.com/a/b.git",
        "https://me@example.com",
        "https://you@example.com",
        "https://*.example.com",
        "https://*.com/a",
        "https://*example.com",
        "http://example.com:8080",
        "http://example.com:08080/c",
        "https://example.com:443/%61/./x/../b.git",
        "https://[::1]:8443/",
        "https://example.com:444",
        "example.com",
        "https://example.com/..",
    ];

    /// Every pair of a URL and a pattern is put to git as well.
    #[test]
    fn patterns_fit_as_git_says() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config");
        for pattern in PATTERNS {
            std::fs::write(&file, format!("[http \"{pattern}\"]\n\tx = here\n")).unwrap();
            for url in URLS {
                let git = |args: &[&str]| {
                    let command = Git::here().command(["config", "-z", "--file"]).arg(&file);
                    command.args(args).or_exit(1).run().unwrap()
                };
                let said = git(&["--get-urlmatch", "http.x", url]);
                let config = Config::parse(&git(&["--list"]));
                let ours = config.http_for(url).string("http.x") == Some("here".into());
                assert_eq!(ours, said == b"here\0", "{pattern} for {url}");
            }
        }
    }

    /// All patterns at once: git names the best.
    #[test]
    fn the_best_fit_is_gits() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config");
        let git = |args: &[&str]| {
            let command = Git::here().command(["config", "-z", "--file"]).arg(&file);
            command.args(args).or_exit(1).run().unwrap()
        };
        for reversed in [false, true] {
            let mut sections: Vec<_> = PATTERNS
                .iter()
                .map(|pattern| format!("[http \"{pattern}\"]\n\tx = {pattern}\n"))
                .chain(["[http]\n\tx = plain\n".to_owned()])
                .collect();
            if reversed {
                sections.reverse();
            }
            std::fs::write(&file, sections.concat()).unwrap();
            let config = Config::parse(&git(&["--list"]));
            for url in URLS {
                let said = git(&["--get-urlmatch", "http.x", url]);
                let ours = config.http_for(url);
                let ours = ours.string("http.x").unwrap().as_bytes();
                assert_eq!(
                    ours.as_bstr(),
                    said.trim_end_with(|c| c == '\0').as_bstr(),
                    "{url}"
                );
            }
        }
    }

    /// `http_options()` is called for each value that fits no less than those before it.
    #[test]
    fn lists_gather_what_fits_and_an_empty_value_starts_anew() {
        let list = b"http.extraheader\nA: 1\0http.https://h/.extraheader\nB: 1\0http.extraheader\nC: 1\0\
            http.https://h/.extraheader\nD: 1\0http.https://k/.extraheader\n\0http.https://k/.extraheader\nE: 1\0";
        let config = Config::parse(list);
        let headers = |url: &str| {
            let config = config.http_for(url);
            let all = config.list("http.extraHeader");
            all.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(headers("https://h/x"), ["A: 1", "B: 1", "D: 1"]);
        assert_eq!(headers("https://k/x"), ["E: 1"]);
        assert_eq!(headers("https://z/x"), ["A: 1", "C: 1"]);
    }
}
