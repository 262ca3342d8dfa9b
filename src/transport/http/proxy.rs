//! Which proxy leads to a URL: `http.proxy`, else the environment, unless `no_proxy` names the host. Chosen and read the
//! way git and its curl do it (`get_curl_handle()` in git's `http.c`, `lib/noproxy.c` in curl). No I/O.

use std::net::IpAddr;

use super::options::Options;
use super::url::{Origin, host_name};
use crate::error::{Error, Kind, Result, printable};

/// Curl's port for proxies that are named without one.
const DEFAULT_PORT: u16 = 1080;

/// How a proxy is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// `CONNECT` over HTTP (RFC 9110, 9.3.6).
    Http,
    /// The same over TLS.
    Https,
    /// SOCKS 4: addresses only.
    Socks4,
    /// SOCKS 4a: the proxy looks up names.
    Socks4a,
    /// SOCKS 5 (RFC 1928), names are looked up here.
    Socks5,
    /// SOCKS 5, the proxy looks up names.
    Socks5h,
}

/// A proxy and who we are to it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ProxyServer {
    pub(super) scheme: Scheme,
    /// The host; an IPv6 address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
}

impl std::fmt::Debug for ProxyServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {}", self.scheme, self.authority())
    }
}

impl ProxyServer {
    /// The proxy for `url`, if it is not to be reached straight; `var` looks up an environment variable.
    ///
    /// # Errors
    /// `Config` when the proxy's URL makes no sense. It may hold a password and is not repeated.
    pub(super) fn find(
        options: &Options,
        url: &str,
        var: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>> {
        let is_https = Origin::of(url).is_some_and(|origin| origin.is_https());
        let configured = options.proxy.as_ref().map(|proxy| proxy.0.clone());
        let Some(text) = configured.or_else(|| from_environment(is_https, &var)) else {
            return Ok(None);
        };
        // An empty value stands for no proxy at all.
        if text.is_empty() {
            return Ok(None);
        }
        let exceptions = var("no_proxy").or_else(|| var("NO_PROXY")).unwrap_or_default();
        let host = host_name(url).unwrap_or_default();
        if is_exception(host, &exceptions) {
            return Ok(None);
        }
        Self::parse(&text).map(Some)
    }

    /// `[<scheme>://][<user>[:<password>]@]<host>[:<port>]`, userinfo percent-encoded.
    fn parse(text: &str) -> Result<Self> {
        let invalid = || Error::new(Kind::Config, "the proxy URL is not valid");
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            // Version 4, says git.
            "socks" | "socks4" => Scheme::Socks4,
            "socks4a" => Scheme::Socks4a,
            "socks5" => Scheme::Socks5,
            "socks5h" => Scheme::Socks5h,
            other => {
                let other = printable(other.as_bytes());
                return Err(Error::new(
                    Kind::Config,
                    format!("the proxy URL has an unsupported scheme '{other}'"),
                ));
            }
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if !path.is_empty() {
            return Err(Error::new(
                Kind::Unsupported,
                "proxy URLs with a path are not supported",
            ));
        }
        let (userinfo, place) = match authority.rsplit_once('@') {
            Some((userinfo, place)) => (Some(userinfo), place),
            None => (None, authority),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port),
            _ => (place, ""),
        };
        let port = match port {
            "" if scheme == Scheme::Https => 443,
            "" => DEFAULT_PORT,
            port => port.parse().map_err(|_| invalid())?,
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains(|ch: char| ch.is_whitespace() || ch.is_control()) {
            return Err(invalid());
        }
        let decoded = |text: &str| percent_decoded(text).ok_or_else(invalid);
        let (username, password) = match userinfo.map(|info| info.split_once(':').ok_or(info)) {
            None => (None, None),
            Some(Err(name)) => (Some(decoded(name)?), None),
            Some(Ok((name, password))) => (Some(decoded(name)?), Some(decoded(password)?)),
        };
        Ok(ProxyServer {
            scheme,
            host: host.to_owned(),
            port,
            username,
            password,
        })
    }

    /// `host:port`, safe to print.
    pub(super) fn authority(&self) -> String {
        let host = printable(self.host.as_bytes());
        match host.contains(':') {
            true => format!("[{host}]:{}", self.port),
            false => format!("{host}:{}", self.port),
        }
    }

    /// What `git credential` is asked about: the proxy's URL without userinfo.
    pub(super) fn url(&self) -> String {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::Socks4 => "socks4",
            Scheme::Socks4a => "socks4a",
            Scheme::Socks5 => "socks5",
            Scheme::Socks5h => "socks5h",
        };
        format!("{scheme}://{}", self.authority())
    }

    pub(super) fn is_socks(&self) -> bool {
        !matches!(self.scheme, Scheme::Http | Scheme::Https)
    }

    /// Whether the proxy gets to see names, so that none is looked up here.
    pub(super) fn looks_up_names(&self) -> bool {
        !matches!(self.scheme, Scheme::Socks4 | Scheme::Socks5)
    }
}

/// Not `HTTP_PROXY`: a web server gives that name to a header of its client's choice.
fn from_environment(is_https: bool, var: impl Fn(&str) -> Option<String>) -> Option<String> {
    let names: &[&str] = if is_https {
        &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
    } else {
        &["http_proxy", "all_proxy", "ALL_PROXY"]
    };
    names.iter().find_map(|name| var(name))
}

/// Whether `host` is one of `exceptions`: names that stand for themselves and everything below them, addresses, and
/// networks such as `10.0.0.0/8`, between commas or blanks; or a lone `*` for all.
fn is_exception(host: &str, exceptions: &str) -> bool {
    if exceptions == "*" {
        return true;
    }
    let host = host.trim_end_matches('.');
    let address: Option<IpAddr> = host.parse().ok();
    exceptions
        .split(|ch: char| ch == ',' || ch.is_whitespace())
        .filter(|entry| !entry.is_empty())
        .any(|entry| match address {
            Some(address) => covers_address(entry, address),
            None => covers_name(entry, host),
        })
}

fn covers_name(entry: &str, host: &str) -> bool {
    let entry = entry
        .strip_prefix('.')
        .unwrap_or(entry)
        .trim_end_matches('.')
        .to_ascii_lowercase();
    let host = host.to_ascii_lowercase();
    match host.strip_suffix(&entry) {
        Some(rest) => !entry.is_empty() && (rest.is_empty() || rest.ends_with('.')),
        None => false,
    }
}

fn covers_address(entry: &str, address: IpAddr) -> bool {
    let (network, bits) = match entry.split_once('/') {
        Some((network, bits)) => (network, bits.parse().ok()),
        None => (entry, Some(u32::MAX)),
    };
    let network = network.trim_start_matches('[').trim_end_matches(']').parse();
    let (Ok(network), Some(bits)) = (network, bits) else {
        return false;
    };
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let (network, address): (u32, u32) = (network.into(), address.into());
            (network ^ address).leading_zeros() >= bits.min(32)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let (network, address): (u128, u128) = (network.into(), address.into());
            (network ^ address).leading_zeros() >= bits.min(128)
        }
        _ => false,
    }
}

/// `None` for what is not UTF-8 then, or has a NUL or line break in it, which no proxy protocol can carry safely.
fn percent_decoded(text: &str) -> Option<String> {
    let text = percent_encoding::percent_decode_str(text).decode_utf8().ok()?;
    (!text.contains(['\0', '\r', '\n'])).then(|| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::super::options::Secret;
    use super::*;

    fn find(proxy: Option<&str>, url: &str, vars: &[(&str, &str)]) -> Option<String> {
        let options = Options {
            proxy: proxy.map(|proxy| Secret(proxy.into())),
            ..Options::default()
        };
        let var = |name: &str| {
            let (_, value) = vars.iter().find(|(key, _)| *key == name)?;
            Some((*value).to_owned())
        };
        let found = ProxyServer::find(&options, url, var).unwrap();
        found.map(|proxy| proxy.authority())
    }

    #[test]
    fn the_proxy_is_chosen_as_curl_chooses_it() {
        let vars = [
            ("http_proxy", "http://a:1"),
            ("HTTP_PROXY", "http://b:1"),
            ("ALL_PROXY", "c:1"),
        ];
        assert_eq!(find(None, "http://h/x", &vars).as_deref(), Some("a:1"));
        assert_eq!(find(None, "https://h/x", &vars).as_deref(), Some("c:1"));
        assert_eq!(find(None, "https://h/x", &vars[..2]), None);
        assert_eq!(
            find(Some("u:p@d:3128"), "https://h/x", &vars).as_deref(),
            Some("d:3128")
        );
        assert_eq!(find(Some(""), "http://h/x", &vars), None);
        let empty = [("https_proxy", ""), ("HTTPS_PROXY", "http://a:1")];
        assert_eq!(find(None, "https://h/x", &empty), None);
    }

    #[test]
    fn exceptions_are_curls() {
        let direct = |list: &str, url: &str| find(Some("p:1"), url, &[("no_proxy", list)]).is_none();
        assert!(direct("*", "http://h/"));
        assert!(!direct("a,*", "http://h/"));
        for url in [
            "http://corp.example/",
            "http://git.Corp.Example:8080/x",
            "http://a.b.corp.example./",
        ] {
            assert!(direct("localhost, .corp.example", url), "{url}");
            assert!(direct("corp.example", url), "{url}");
        }
        assert!(!direct("corp.example", "http://notcorp.example/"));
        assert!(!direct("127.0.0.1", "http://127.0.0.12/"));
        assert!(direct("10.0.0.0/8 127.0.0.1", "http://u@127.0.0.1:81/"));
        assert!(direct("10.0.0.0/8", "http://10.9.8.7/") && !direct("10.0.0.0/8", "http://11.0.0.1/"));
        assert!(direct("::1", "http://[::1]:8080/") && direct("fe80::/10", "http://[fe80::1]/"));
        let vars = [("NO_PROXY", "h"), ("no_proxy", "k")];
        assert!(
            find(Some("p:1"), "http://h/", &vars).is_some(),
            "the lower case one counts"
        );
    }

    #[test]
    fn urls_of_proxies_are_read_as_git_reads_them() {
        let parsed = |text: &str| ProxyServer::parse(text).unwrap();
        let proxy = parsed("http://u%40x:p%3a@h:3128/");
        assert_eq!(proxy.username.as_deref(), Some("u@x"));
        assert_eq!(proxy.password.as_deref(), Some("p:"));
        assert_eq!(
            (proxy.scheme, proxy.url().as_str()),
            (Scheme::Http, "http://h:3128")
        );
        assert_eq!(parsed("user@h").password, None);
        assert_eq!((parsed("h").port, parsed("https://h").port), (1080, 443));
        assert_eq!(parsed("socks://h").scheme, Scheme::Socks4);
        assert_eq!(parsed("SOCKS5h://[::1]:9").authority(), "[::1]:9");
        for bad in [
            "",
            "http://",
            "http://h:x",
            "http://a b",
            "ftp://h",
            "http://u%0a@h",
            "socks5://localhost/run/x",
        ] {
            let err = ProxyServer::parse(bad).unwrap_err();
            assert!(matches!(err.kind(), Kind::Config | Kind::Unsupported), "{bad}");
        }
    }

    #[test]
    fn secrets_stay_out_of_debug_output_and_of_errors() {
        assert!(!format!("{:?}", ProxyServer::parse("http://u:hunter2@h").unwrap()).contains("hunter2"));
        let err = ProxyServer::parse("http://u:hunter2@h:port").unwrap_err();
        assert!(!err.to_string().contains("hunter2"));
    }
}
