//! Cookies from a file (`http.cookieFile`), in Netscape's format: Gerrit hosts hand out credentials that way. The file
//! is read once and never written; cookies that servers set are not kept.

use std::io::Read;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::url::{Origin, host_name, path};
use crate::error::{Error, Kind, Result};

/// The most that is read of the file, in bytes.
const LIMIT: u64 = 1 << 20;

/// The cookies of a file.
#[derive(Default)]
pub(super) struct Cookies(Vec<Cookie>);

struct Cookie {
    domain: String,
    /// Hosts below the domain get it too.
    is_wide: bool,
    path: String,
    is_secure: bool,
    /// Seconds since 1970; 0 for never.
    expires: u64,
    pair: String,
}

impl std::fmt::Debug for Cookies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} cookies", self.0.len())
    }
}

impl Cookies {
    /// Read `file`; as for curl, one that does not exist has no cookies.
    ///
    /// # Errors
    /// `Config` when it cannot be read.
    pub(super) fn read(file: &Path) -> Result<Self> {
        let mut bytes = Vec::new();
        let read = std::fs::File::open(file).and_then(|file| file.take(LIMIT).read_to_end(&mut bytes));
        match read {
            Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                let message = format!("cannot read http.cookieFile {}: {err}", file.display());
                Err(Error::new(Kind::Config, message).caused_by(err))
            }
            _ => Ok(Self::parse(&String::from_utf8_lossy(&bytes))),
        }
    }

    fn parse(text: &str) -> Self {
        Cookies(text.lines().filter_map(Cookie::parse).collect())
    }

    /// The value of a `Cookie` header for `url`, if any of them is for it.
    pub(super) fn for_url(&self, url: &str) -> Option<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        let host = host_name(url)?.to_ascii_lowercase();
        let is_https = Origin::of(url)?.is_https();
        let pairs: Vec<&str> = self
            .0
            .iter()
            .filter(|cookie| cookie.is_for(&host, path(url)) && (is_https || !cookie.is_secure))
            .filter(|cookie| cookie.expires == 0 || cookie.expires > now)
            .map(|cookie| cookie.pair.as_str())
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }
}

impl Cookie {
    /// Seven fields between tabs; the last may be missing.
    fn parse(line: &str) -> Option<Self> {
        let line = line.strip_prefix("#HttpOnly_").unwrap_or(line);
        if line.starts_with('#') {
            return None;
        }
        let mut fields = line.split('\t');
        let domain = fields.next()?.trim_start_matches('.').to_ascii_lowercase();
        let is_wide = fields.next()?.eq_ignore_ascii_case("TRUE");
        let path = fields.next()?.to_owned();
        let is_secure = fields.next()?.eq_ignore_ascii_case("TRUE");
        let expires = fields.next()?.parse().ok()?;
        let (name, value) = (fields.next()?, fields.next().unwrap_or_default());
        Some(Cookie {
            domain,
            is_wide,
            path,
            is_secure,
            expires,
            pair: format!("{name}={value}"),
        })
    }

    /// RFC 6265, 5.1.3 and 5.1.4.
    fn is_for(&self, host: &str, path: &str) -> bool {
        let below = |host: &str| {
            host.strip_suffix(&self.domain)
                .is_some_and(|rest| rest.ends_with('.'))
        };
        let host_fits = host == self.domain || (self.is_wide && below(host));
        let path_fits = path
            .strip_prefix(&self.path)
            .is_some_and(|rest| rest.is_empty() || self.path.ends_with('/') || rest.starts_with(['/', '?']));
        host_fits && path_fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_go_where_they_belong() {
        let jar = Cookies::parse(
            "# Netscape HTTP Cookie File\n.example.com\tTRUE\t/\tTRUE\t2147483647\to\tgit-me=1\n\
             example.com\tFALSE\t/a\tFALSE\t0\tx\ty\n#HttpOnly_h\tFALSE\t/\tFALSE\t0\tn\tv\n\
             h\tFALSE\t/\tFALSE\t1\told\tv\nnonsense\n",
        );
        let cookies = |url: &str| jar.for_url(url);
        assert_eq!(
            cookies("https://git.Example.com/x").as_deref(),
            Some("o=git-me=1")
        );
        assert_eq!(
            cookies("https://example.com/a/b").as_deref(),
            Some("o=git-me=1; x=y")
        );
        assert_eq!(cookies("http://example.com:8080/a?q").as_deref(), Some("x=y"));
        assert_eq!(cookies("http://example.com/ab"), None);
        assert_eq!(cookies("https://notexample.com/a"), None);
        assert_eq!(cookies("http://h/").as_deref(), Some("n=v"));
        assert!(!format!("{jar:?}").contains("git-me"));
    }

    #[test]
    fn a_file_that_is_not_there_has_no_cookies() {
        assert!(Cookies::read(Path::new("/nowhere/cookies")).unwrap().0.is_empty());
        assert_eq!(Cookies::read(Path::new("/")).unwrap_err().kind(), Kind::Config);
    }
}
