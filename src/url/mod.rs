//! Relay URLs, `<source>=><target>`, and the addresses on their two sides.

mod resolve;

use std::fmt;
use std::path::{Path, PathBuf};

use bstr::ByteSlice;
use gix_url::Scheme;

use crate::error::{Error, Kind, Result, Side};
use crate::git::Config;
pub use resolve::{check_allowed, resolve};

/// The two sides of a relay URL, as the user wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayUrl {
    /// Where refs and objects come from.
    pub source: String,
    /// Where they go. One for now; the grammar leaves room for more.
    pub targets: Vec<String>,
}

impl RelayUrl {
    /// Split `url`, which git hands over without its `relay::`, at each `=>`.
    pub fn parse(url: &str) -> Result<RelayUrl> {
        let mut sides = url.split("=>").map(str::to_owned);
        let source = sides.next().unwrap_or_default();
        let targets: Vec<_> = sides.collect();
        let quoted = "quote the URL, a shell reads '>' as a redirection: 'relay::<source>=><target>'";
        if targets.is_empty() {
            // What an unquoted `relay::a=>b` leaves: the shell has made a file `b`.
            return Err(match source.strip_suffix('=') {
                Some(rest) => usage(format!(
                    "the relay URL '{}=' stops where '=>' should stand",
                    redact(rest)
                ))
                .hint(quoted),
                None => usage(format!("the relay URL '{}' has no '=>'", redact(&source)))
                    .hint("write 'relay::<source>=><target>', in quotes"),
            });
        }
        if source.is_empty() {
            return Err(usage("the relay URL names no source in front of '=>'".into())
                .hint("write 'relay::<source>=><target>', in quotes"));
        }
        if targets.iter().any(String::is_empty) {
            return Err(usage("the relay URL names no target behind '=>'".into())
                .hint("write 'relay::<source>=><target>', in quotes"));
        }
        if targets.len() > 1 {
            return Err(Error::new(
                Kind::Unsupported,
                "a relay URL with more than one target is not supported yet",
            )
            .hint("push to one target after the other"));
        }
        Ok(RelayUrl { source, targets })
    }
}

fn usage(message: String) -> Error {
    Error::new(Kind::Usage, message)
}

/// Where one side is.
#[derive(Debug, Clone)]
pub enum Address {
    /// A repository behind a web server.
    Http(HttpAddress),
    /// A repository in the local file system.
    Local(PathBuf),
}

/// An http or https URL, with what stood in its userinfo kept apart from it.
#[derive(Clone)]
pub struct HttpAddress {
    /// The URL without userinfo.
    pub url: gix_url::Url,
    /// User name and password, where the URL had them.
    pub userinfo: Option<(String, Option<String>)>,
}

impl fmt::Debug for HttpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpAddress")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Address {
    /// The address that `text` stands for on `side`, if git's policy allows to go there.
    ///
    /// # Errors
    /// Those of [`Address::parse`], [`resolve()`] and [`check_allowed`].
    pub fn find(text: &str, side: Side, config: &Config) -> Result<Address> {
        let url = resolve(text, side, config)?;
        let var = |name: &str| std::env::var(name).ok();
        check_allowed(scheme(&url), &url, config, var)
            .and_then(|()| Address::parse(&url))
            .map_err(|err| err.on(side))
    }

    /// Understand `text` as git would understand it on its command line.
    pub fn parse(text: &str) -> Result<Address> {
        if let Some((helper, _)) = text.split_once("::").filter(|(name, _)| is_helper_name(name)) {
            return Err(Error::new(
                Kind::Unsupported,
                format!("'{helper}::' URLs are not supported inside a relay URL yet"),
            ));
        }
        if !text.contains("://") && Path::new(text).exists() {
            return Ok(Address::Local(text.into()));
        }
        let mut url = gix_url::parse(text.as_bytes().as_bstr()).map_err(|err| {
            usage(format!("'{}' is not a URL or path", redact(text))).caused_by(err.to_string())
        })?;
        match url.scheme {
            Scheme::Http | Scheme::Https => {
                let userinfo = url
                    .user()
                    .map(|user| (user.to_owned(), url.password().map(str::to_owned)));
                url.set_user(None);
                url.set_password(None);
                Ok(Address::Http(HttpAddress { url, userinfo }))
            }
            Scheme::File => Ok(Address::Local(gix_path(&url.path))),
            other => {
                let message = format!("the {} transport is not supported yet", other.as_str());
                Err(Error::new(Kind::Unsupported, message).hint("use an http(s) URL or a local path"))
            }
        }
    }

    /// Whether this is a local repository whose history has holes. A server tells it only when history is asked for.
    pub fn is_known_to_be_shallow(&self) -> bool {
        match self {
            Address::Local(path) => git_dir(path)
                .join("shallow")
                .metadata()
                .is_ok_and(|file| file.len() > 0),
            Address::Http(_) => false,
        }
    }

    /// Whether both name the same repository, as far as can be told without asking.
    pub fn is_same_as(&self, other: &Address) -> bool {
        match (self, other) {
            (Address::Local(one), Address::Local(two)) => git_dir(one) == git_dir(two),
            (Address::Http(one), Address::Http(two)) => comparable(&one.url) == comparable(&two.url),
            _ => false,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Http(address) => write!(f, "{}", address.url.to_bstring()),
            Address::Local(path) => write!(f, "{}", path.display()),
        }
    }
}

fn gix_path(path: &bstr::BString) -> PathBuf {
    path.to_path()
        .map_or_else(|_| path.to_str_lossy().into_owned().into(), Path::to_path_buf)
}

/// The name of the transport behind `url`, as git's `protocol.<name>.allow` knows it.
fn scheme(url: &str) -> &str {
    if let Some((helper, _)) = url.split_once("::").filter(|(name, _)| is_helper_name(name)) {
        return helper;
    }
    match url.split_once("://") {
        Some((scheme, _)) => scheme,
        // In `host:path` no slash stands before the colon (git's `url_is_local_not_ssh`).
        None if url.find(':') < url.find('/').or(Some(usize::MAX)) && url.contains(':') => "ssh",
        None => "file",
    }
}

/// As in git's `transport_get`: letters, digits and a few signs in front of `::`.
fn is_helper_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// Hosts ignore the case of their name, a default port, a final slash, and nearly all of them a final `.git`.
fn comparable(url: &gix_url::Url) -> (String, Option<u16>, Vec<u8>) {
    let host = url.host().unwrap_or_default().to_ascii_lowercase();
    let path = url.path.trim_end_with(|c| c == '/');
    let path = path.strip_suffix(b".git").unwrap_or(path);
    (host, url.port_or_default(), path.to_vec())
}

/// The directory that git's services would enter for `path` (`enter_repo` in git's `path.c`).
fn git_dir(path: &Path) -> PathBuf {
    let suffixed = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let candidates = [
        suffixed("/.git"),
        path.to_owned(),
        suffixed(".git/.git"),
        suffixed(".git"),
    ];
    let found = candidates.into_iter().find(|dir| dir.join("HEAD").exists());
    let found = found.unwrap_or_else(|| path.to_owned());
    found.canonicalize().unwrap_or(found)
}

/// `text` without the password of a URL in it.
pub fn redact(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_end);
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://***@{host}{path}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_error(url: &str) -> String {
        let err = RelayUrl::parse(url).unwrap_err();
        format!("{err} ({})", err.hint_text().unwrap_or_default())
    }

    #[test]
    fn both_sides_may_hold_anything_but_the_arrow() {
        let url = RelayUrl::parse("https://a/x.git?y=1=>../b c").unwrap();
        assert_eq!(
            (url.source.as_str(), url.targets),
            ("https://a/x.git?y=1", vec!["../b c".to_owned()])
        );
    }

    #[test]
    fn what_a_shell_leaves_of_an_unquoted_url_is_recognised() {
        assert!(parse_error("https://u:secret@a/x=").contains("quote the URL"));
        assert!(!parse_error("https://u:secret@a/x=").contains("secret"));
        assert!(parse_error("https://a/x").contains("has no '=>'"));
        assert!(parse_error("=>b").contains("no source"));
        assert!(parse_error("a=>").contains("no target"));
        assert!(parse_error("a=>b=>c").contains("more than one target"));
    }

    #[test]
    fn userinfo_is_kept_apart() {
        let Address::Http(address) = Address::parse("https://me:pw@host/x.git").unwrap() else {
            panic!()
        };
        assert_eq!(address.userinfo, Some(("me".into(), Some("pw".into()))));
        assert_eq!(Address::Http(address).to_string(), "https://host/x.git");
    }

    #[test]
    fn the_same_repository_is_recognised_under_other_spellings() {
        let same = |a: &str, b: &str| Address::parse(a).unwrap().is_same_as(&Address::parse(b).unwrap());
        assert!(same("https://Host/x.git", "https://host:443/x/"));
        assert!(!same("https://host/x", "https://host:444/x"));
        assert!(!same("https://host/x", "https://host/y"));
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("r.git")).unwrap();
        std::fs::write(dir.path().join("r.git/HEAD"), "ref: refs/heads/main\n").unwrap();
        let path = |tail: &str| format!("{}/{tail}", dir.path().display());
        assert!(same(&path("r"), &path("r.git")));
        assert!(same(&format!("file://{}", path("r.git")), &path("./r.git/")));
    }

    #[test]
    fn other_transports_are_named_in_the_refusal() {
        for (url, word) in [
            ("ssh://h/x", "ssh"),
            ("h:x", "ssh"),
            ("git://h/x", "git"),
            ("ext::sh", "ext::"),
        ] {
            let err = Address::parse(url).unwrap_err().to_string();
            assert!(err.contains(word), "{err}");
        }
    }
}
