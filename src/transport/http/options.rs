//! What a user may set about HTTP, in the words of `git config http.*`.

use std::path::PathBuf;
use std::time::Duration;

/// Settings of one backend. [`Options::from_env`] is what git would do without configuration.
#[derive(Debug, Clone)]
pub struct Options {
    /// The `User-Agent` header (`http.userAgent`). Servers look for a leading `git/`.
    pub user_agent: String,
    /// Lines `Name: value` for every request to the server of the first one (`http.extraHeader`).
    pub extra_headers: Vec<String>,
    /// Whether a certificate must be good (`http.sslVerify`).
    pub ssl_verify: bool,
    /// A PEM file of certificates to trust instead of the system's (`http.sslCAInfo`).
    pub ca_info: Option<PathBuf>,
    /// A proxy URL (`http.proxy`); empty for none at all, `None` for what the environment says.
    pub proxy: Option<String>,
    /// How long making a connection may take, name lookup excluded.
    pub connect_timeout: Duration,
    /// How long a read or write may wait for the next byte. A server may count objects for minutes before the first.
    pub stall_timeout: Option<Duration>,
    /// The `log` target, `relay::source` or `relay::target`.
    pub log_target: &'static str,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            user_agent: concat!("git/2.0 (git-remote-sync ", env!("CARGO_PKG_VERSION"), ")").to_owned(),
            extra_headers: Vec::new(),
            ssl_verify: true,
            ca_info: None,
            proxy: None,
            connect_timeout: Duration::from_secs(30),
            stall_timeout: Some(Duration::from_secs(300)),
            log_target: "relay::http",
        }
    }
}

impl Options {
    /// The defaults, changed by `GIT_SSL_NO_VERIFY`, `GIT_SSL_CAINFO` and `GIT_HTTP_USER_AGENT` as git does it.
    pub fn from_env() -> Self {
        Self::from_vars(|name| std::env::var_os(name))
    }

    fn from_vars(var: impl Fn(&str) -> Option<std::ffi::OsString>) -> Self {
        Options {
            // Any value counts, even an empty one.
            ssl_verify: var("GIT_SSL_NO_VERIFY").is_none(),
            ca_info: var("GIT_SSL_CAINFO").map(PathBuf::from),
            user_agent: var("GIT_HTTP_USER_AGENT")
                .and_then(|agent| agent.into_string().ok())
                .unwrap_or_else(|| Options::default().user_agent),
            ..Options::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_read_as_git_reads_it() {
        let options = Options::from_vars(|name| match name {
            "GIT_SSL_NO_VERIFY" => Some("".into()),
            "GIT_SSL_CAINFO" => Some("/ca.pem".into()),
            _ => None,
        });
        assert!(!options.ssl_verify);
        assert_eq!(options.ca_info, Some(PathBuf::from("/ca.pem")));
        assert!(options.user_agent.starts_with("git/2.0 (git-remote-sync "));
        assert!(Options::from_vars(|_| None).ssl_verify);
    }
}
