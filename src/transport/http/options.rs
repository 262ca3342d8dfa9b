//! What a user may set about HTTP, in the words of `git config http.*`. Which settings apply to a URL is found in
//! [`crate::git::urlmatch`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use bstr::{BStr, ByteSlice};

use crate::error::{Error, Kind, Result};
use crate::git::Config;
use crate::url::{Family, RetryPolicy};

/// Settings of one backend. The defaults are what git does without configuration.
#[derive(Debug, Clone)]
pub struct Options {
    /// The `User-Agent` header (`http.userAgent`). Servers look for a leading `git/`.
    pub user_agent: String,
    /// Lines `Name: value` for every request to the server of the first one (`http.extraHeader`).
    pub extra_headers: Secrets,
    /// Whether a certificate must be good (`http.sslVerify`).
    pub ssl_verify: bool,
    /// A PEM file of certificates to trust instead of the system's (`http.sslCAInfo`).
    pub ca_info: Option<PathBuf>,
    /// A directory of such files, to trust as well (`http.sslCAPath`).
    pub ca_path: Option<PathBuf>,
    /// Our own certificate, and those between it and its root, as a PEM file (`http.sslCert`).
    pub client_cert: Option<PathBuf>,
    /// The key that belongs to it, if it is not in the same file (`http.sslKey`).
    pub client_key: Option<PathBuf>,
    /// Cookies to send, in Netscape's format (`http.cookieFile`).
    pub cookie_file: Option<PathBuf>,
    /// A proxy URL (`http.proxy`); empty for none at all, `None` for what the environment says. It may hold a password.
    pub proxy: Option<Secret>,
    /// Whether to go where the first request is redirected to (`http.followRedirects`).
    pub follow_redirects: bool,
    /// Give up when fewer bytes a second arrive for this long (`http.lowSpeedLimit`, `http.lowSpeedTime`).
    pub low_speed: Option<(u64, Duration)>,
    /// How long making a connection may take, name lookup excluded.
    pub connect_timeout: Duration,
    /// How long a read or write may wait for the next byte. A server may count objects for minutes before the first.
    pub stall_timeout: Option<Duration>,
    /// Which addresses of a host may be used.
    pub family: Family,
    /// How often to try what failed for a reason that may pass.
    pub retry: RetryPolicy,
    /// How many bytes are read from the system at once. For packs, 128 KiB take half of the system calls and acknowledgements
    /// that 64 KiB do.
    pub input_buffer: usize,
    /// The `log` target, `relay::source` or `relay::target`.
    pub log_target: &'static str,
}

/// Text that no debug output shows.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub String);

/// Lines that no debug output shows.
#[derive(Clone, Default)]
pub struct Secrets(pub Vec<String>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} lines", self.0.len())
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            user_agent: concat!("git/2.0 (git-remote-sync ", env!("CARGO_PKG_VERSION"), ")").to_owned(),
            extra_headers: Secrets::default(),
            ssl_verify: true,
            ca_info: None,
            ca_path: None,
            client_cert: None,
            client_key: None,
            cookie_file: None,
            proxy: None,
            follow_redirects: true,
            low_speed: None,
            connect_timeout: Duration::from_secs(30),
            stall_timeout: Some(Duration::from_secs(300)),
            family: Family::All,
            retry: RetryPolicy::none(),
            input_buffer: 64 * 1024,
            log_target: "relay::http",
        }
    }
}

/// A setting that git would act upon and we do not.
struct Ignored {
    key: &'static str,
    /// The variable that goes before it, if there is one.
    variable: &'static str,
    /// The value that asks for nothing but what happens anyway, beside those that turn a setting off.
    harmless: &'static str,
    /// What becomes of it.
    effect: &'static str,
}

const fn setting(
    key: &'static str,
    variable: &'static str,
    harmless: &'static str,
    effect: &'static str,
) -> Ignored {
    Ignored {
        key,
        variable,
        harmless,
        effect,
    }
}

const IGNORED: [Ignored; 17] = [
    setting("http.saveCookies", "", "", "cookies are not kept"),
    setting(
        "http.sslVersion",
        "GIT_SSL_VERSION",
        "",
        "TLS 1.2 and 1.3 are offered",
    ),
    setting(
        "http.sslCipherList",
        "GIT_SSL_CIPHER_LIST",
        "",
        "rustls chooses the cipher",
    ),
    setting(
        "http.sslCertType",
        "GIT_SSL_CERT_TYPE",
        "PEM",
        "certificates must be PEM files",
    ),
    setting(
        "http.sslKeyType",
        "GIT_SSL_KEY_TYPE",
        "PEM",
        "keys must be PEM files",
    ),
    setting(
        "http.sslCertPasswordProtected",
        "GIT_SSL_CERT_PASSWORD_PROTECTED",
        "",
        "keys must have no password",
    ),
    setting("http.curloptResolve", "", "", "names are looked up as usual"),
    setting(
        "http.proxyAuthMethod",
        "GIT_HTTP_PROXY_AUTHMETHOD",
        "basic",
        "proxies get Basic authentication",
    ),
    setting(
        "http.proxySSLCert",
        "GIT_PROXY_SSL_CERT",
        "",
        "proxies get no client certificate",
    ),
    setting(
        "http.proxySSLKey",
        "GIT_PROXY_SSL_KEY",
        "",
        "proxies get no client certificate",
    ),
    setting(
        "http.proxySSLCAInfo",
        "GIT_PROXY_SSL_CAINFO",
        "",
        "a proxy is trusted as the server is",
    ),
    setting("http.sslBackend", "", "", "rustls does TLS"),
    setting(
        "http.postBuffer",
        "",
        "1048576",
        "packs of more than 1 MiB are sent in chunks, or with their length if the server wants it",
    ),
    setting("http.version", "", "HTTP/1.1", "HTTP/1.1 is spoken"),
    setting(
        "http.proactiveAuth",
        "",
        "none",
        "credentials are sent when asked for",
    ),
    setting("http.emptyAuth", "", "", "there is no Kerberos or NTLM"),
    setting("http.delegation", "", "none", "there is no Kerberos or NTLM"),
];

impl Options {
    /// What `config`, of which only the keys `http.<name>` are looked at, and the environment say.
    ///
    /// # Errors
    /// `Config` for a value that makes no sense, and for a setting that we cannot honour although it protects.
    pub fn new(config: &Config) -> Result<Self> {
        Self::from_vars(config, |name| std::env::var_os(name))
    }

    fn from_vars(config: &Config, var: impl Fn(&str) -> Option<std::ffi::OsString>) -> Result<Self> {
        if config.string("http.pinnedPubkey").is_some() {
            let message = "http.pinnedPubkey is set, but public keys cannot be checked";
            return Err(Error::new(Kind::Unsupported, message).hint("trust a certificate by http.sslCAInfo"));
        }
        let path_of = |key: &str| {
            let value = config.string(key).filter(|value| !value.is_empty());
            value.map(|value| expand(value, &var))
        };
        let path = |name: &str, key: &str| var(name).map(PathBuf::from).or_else(|| path_of(key));
        let number = |name: &str, key: &str| match var(name) {
            Some(value) => Ok(value.to_str().and_then(|value| value.parse().ok())),
            None => config.number(key),
        };
        let limit = number("GIT_HTTP_LOW_SPEED_LIMIT", "http.lowSpeedLimit")?;
        let time = number("GIT_HTTP_LOW_SPEED_TIME", "http.lowSpeedTime")?;
        let positive = |number: Option<i64>| {
            number
                .and_then(|number| u64::try_from(number).ok())
                .filter(|n| *n > 0)
        };
        let text = |key: &str| config.string(key).map(ToString::to_string);
        let headers = config.list("http.extraHeader");
        Ok(Options {
            // Any value of the variable counts, even an empty one.
            ssl_verify: var("GIT_SSL_NO_VERIFY").is_none() && config.bool("http.sslVerify")? != Some(false),
            ca_info: path("GIT_SSL_CAINFO", "http.sslCAInfo"),
            ca_path: path("GIT_SSL_CAPATH", "http.sslCAPath"),
            client_cert: path("GIT_SSL_CERT", "http.sslCert"),
            client_key: path("GIT_SSL_KEY", "http.sslKey"),
            cookie_file: path_of("http.cookieFile"),
            user_agent: var("GIT_HTTP_USER_AGENT")
                .and_then(|agent| agent.into_string().ok())
                .or_else(|| text("http.userAgent"))
                .unwrap_or_else(|| Options::default().user_agent),
            extra_headers: Secrets(headers.iter().map(ToString::to_string).collect()),
            proxy: text("http.proxy").map(Secret),
            follow_redirects: match config.string("http.followRedirects") {
                Some(value) if value == "initial" => true,
                _ => config.bool("http.followRedirects")? != Some(false),
            },
            low_speed: positive(limit).zip(positive(time).map(Duration::from_secs)),
            ..Options::default()
        })
    }
}

/// What in `config` and the environment has no effect here, in words.
pub fn ignored(config: &Config) -> Vec<String> {
    ignored_by(config, |name| std::env::var(name).ok())
}

fn ignored_by(config: &Config, var: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let is_on = |entry: &Ignored, value: &str| {
        !matches!(value, "" | "false" | "auto" | "anyauth") && !value.eq_ignore_ascii_case(entry.harmless)
    };
    let found = IGNORED.iter().filter_map(|entry| {
        let of_environment = Some(entry.variable)
            .filter(|name| !name.is_empty())
            .and_then(&var);
        let (name, value) = match of_environment {
            Some(value) => (entry.variable, value),
            None => (entry.key, config.string(entry.key)?.to_string()),
        };
        is_on(entry, &value).then(|| format!("{name} is not supported: {}", entry.effect))
    });
    found.collect()
}

/// A path in the configuration: `~/` is the user's home (`git_config_pathname()`).
fn expand(value: &BStr, var: impl Fn(&str) -> Option<std::ffi::OsString>) -> PathBuf {
    let path = |bytes: &[u8]| bytes.to_path_lossy().into_owned();
    match (value.strip_prefix(b"~/"), var("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(path(rest)),
        _ => path(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(list: &[u8], vars: &[(&str, &str)]) -> Result<Options> {
        Options::from_vars(&Config::parse(list), |name| {
            let (_, value) = vars.iter().find(|(key, _)| *key == name)?;
            Some(value.into())
        })
    }

    #[test]
    fn the_environment_is_read_as_git_reads_it() {
        let vars = [
            ("GIT_SSL_NO_VERIFY", ""),
            ("GIT_SSL_CAINFO", "/ca.pem"),
            ("GIT_SSL_CAPATH", "/ca"),
            ("GIT_SSL_CERT", "/cert.pem"),
            ("GIT_SSL_KEY", "/key.pem"),
            ("GIT_HTTP_USER_AGENT", "git/me"),
            ("GIT_HTTP_LOW_SPEED_TIME", "7"),
        ];
        let list =
            b"http.sslverify\ntrue\0http.sslcainfo\n/other\0http.sslcapath\n/other\0http.sslcert\n/other\0\
            http.sslkey\n/other\0http.useragent\nother\0http.lowspeedlimit\n1k\0http.lowspeedtime\n5\0";
        let found = options(list, &vars).unwrap();
        assert!(!found.ssl_verify);
        let paths = [found.ca_info, found.ca_path, found.client_cert, found.client_key];
        let wanted = ["/ca.pem", "/ca", "/cert.pem", "/key.pem"];
        assert_eq!(paths, wanted.map(|path| Some(PathBuf::from(path))));
        assert_eq!(found.user_agent, "git/me");
        assert!(
            options(b"", &[])
                .unwrap()
                .user_agent
                .starts_with("git/2.0 (git-remote-sync ")
        );
        assert_eq!(found.low_speed, Some((1024, Duration::from_secs(7))));
        assert!(options(b"", &[]).unwrap().ssl_verify);
    }

    #[test]
    fn the_configuration_is_read_as_git_reads_it() {
        let list = b"http.sslverify\nno\0http.sslcapath\n~/ca\0http.followredirects\ninitial\0\
            http.extraheader\nA: 1\0http.extraheader\nB: 1\0http.proxy\n\0http.useragent\nme\0";
        let found = options(list, &[("HOME", "/home/me")]).unwrap();
        assert!(!found.ssl_verify && found.follow_redirects);
        assert_eq!(found.ca_path, Some(PathBuf::from("/home/me/ca")));
        assert_eq!(found.extra_headers.0, ["A: 1", "B: 1"]);
        assert_eq!(
            (found.proxy, found.user_agent.as_str()),
            (Some(Secret::default()), "me")
        );
        assert!(
            !options(b"http.followredirects\nfalse\0", &[])
                .unwrap()
                .follow_redirects
        );
        assert!(options(b"http.followredirects\0", &[]).unwrap().follow_redirects);
        assert!(options(b"http.sslverify\nmaybe\0", &[]).is_err());
    }

    #[test]
    fn what_protects_is_refused_and_the_rest_is_told() {
        assert_eq!(
            options(b"http.pinnedpubkey\nx\0", &[]).unwrap_err().kind(),
            Kind::Unsupported
        );
        let config = Config::parse(b"http.curloptresolve\nx\0http.savecookies\nfalse\0http.sslversion\n\0");
        assert_eq!(
            ignored_by(&config, |_| None),
            ["http.curloptResolve is not supported: names are looked up as usual"]
        );
        let config = Config::parse(b"http.postbuffer\n500m\0http.sslbackend\nopenssl\0");
        assert_eq!(ignored_by(&config, |_| None).len(), 2);
        let harmless = b"http.version\nHTTP/1.1\0http.postbuffer\n1048576\0http.proxyauthmethod\nanyauth\0http.proactiveauth\nnone\0";
        assert_eq!(ignored_by(&Config::parse(harmless), |_| None), [""; 0]);
        let set = |name: &str| (name == "GIT_HTTP_PROXY_AUTHMETHOD").then(|| "ntlm".to_owned());
        assert_eq!(
            ignored_by(&Config::parse(harmless), set),
            ["GIT_HTTP_PROXY_AUTHMETHOD is not supported: proxies get Basic authentication"]
        );
    }

    /// So that a search for the warning leads somewhere.
    #[test]
    fn the_list_of_shortcomings_names_all_that_is_ignored() {
        let page = include_str!("../../../SHORTCOMINGS.md");
        for Ignored { key, .. } in &IGNORED {
            let name = key.strip_prefix("http.").unwrap();
            assert!(page.contains(&format!("`{name}`")), "{key}");
        }
    }

    #[test]
    fn secrets_stay_out_of_debug_output() {
        let list = b"http.extraheader\nA: hunter2\0http.proxy\nhttp://u:hunter2@p/\0";
        assert!(!format!("{:?}", options(list, &[])).contains("hunter2"));
    }
}
