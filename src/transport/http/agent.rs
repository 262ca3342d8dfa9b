//! Builds the ureq agent: connection layers, proxy, time-outs, TLS.

use std::sync::Arc;

use ureq::config::{Config, IpFamily};
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, RustlsConnector};
use ureq::{Agent, Proxy, ProxyProtocol};

use super::certificates;
use super::connect::{Names, Tcp};
use super::early::Watch;
use super::link::Link;
use super::options::Options;
use crate::error::{Error, Kind, Result};
use crate::url::Family;

/// Enough to keep the network busy; TLS has such a pair of buffers twice.
const BUFFER: usize = 64 * 1024;

/// An agent for `options`; certificates are only loaded for `https`, for they take a while.
pub(super) fn build(options: &Options, link: &Arc<Link>, https: bool) -> Result<Agent> {
    let proxy = proxy(options, https, |name| std::env::var(name).ok())?;
    let proxy_tls = proxy
        .as_ref()
        .is_some_and(|proxy| proxy.protocol() == ProxyProtocol::Https);
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(options.user_agent.as_str())
        .timeout_connect(Some(options.connect_timeout))
        .timeout_per_read(options.stall_timeout)
        .timeout_per_write(options.stall_timeout)
        .ip_family(match options.family {
            Family::All => IpFamily::Any,
            Family::V4 => IpFamily::Ipv4Only,
            Family::V6 => IpFamily::Ipv6Only,
        })
        .input_buffer_size(BUFFER)
        .output_buffer_size(BUFFER)
        .max_response_header_size(BUFFER)
        .tls_config(tls(options, https || proxy_tls)?)
        .proxy(proxy)
        .build();
    Ok(Agent::with_parts(
        config.clone(),
        layers(&config, options, link),
        Names::default(),
    ))
}

/// The layers that ureq has by default, with ours at both ends.
fn layers(config: &Config, options: &Options, link: &Arc<Link>) -> impl Connector {
    ().chain(ConnectProxyConnector::default())
        .chain(Tcp {
            link: link.clone(),
            low_speed: options.low_speed,
        })
        .chain(RustlsConnector::default())
        .chain(Watch {
            link: link.clone(),
            proxy: config.proxy().and_then(|proxy| proxy.uri().authority().cloned()),
        })
}

/// The proxy for a URL, chosen as curl does for git: `http.proxy`, else the environment.
fn proxy(options: &Options, https: bool, var: impl Fn(&str) -> Option<String>) -> Result<Option<Proxy>> {
    let configured = options.proxy.as_ref().map(|proxy| proxy.0.clone());
    let Some(url) = configured.or_else(|| proxy_from_env(https, &var)) else {
        return Ok(None);
    };
    if url.is_empty() {
        return Ok(None);
    }
    // The URL may hold a password: it is not repeated.
    let invalid = |_| Error::new(Kind::Config, "the proxy URL is not valid");
    let proxy = Proxy::new(&url).map_err(invalid)?;
    if !matches!(proxy.protocol(), ProxyProtocol::Http | ProxyProtocol::Https) {
        return Err(
            Error::new(Kind::Unsupported, "SOCKS proxies are not supported").hint("use an HTTP proxy")
        );
    }
    let Some(exceptions) = var("no_proxy").or_else(|| var("NO_PROXY")) else {
        return Ok(Some(proxy));
    };
    let mut builder = Proxy::builder(proxy.protocol())
        .host(proxy.host())
        .port(proxy.port());
    if let Some(username) = proxy.username() {
        builder = builder.username(username);
    }
    if let Some(password) = proxy.password() {
        builder = builder.password(password);
    }
    for host in exceptions
        .split(',')
        .map(str::trim)
        .filter(|host| !host.is_empty())
    {
        builder = builder.no_proxy(host);
    }
    builder.build().map(Some).map_err(invalid)
}

/// Not `HTTP_PROXY`: a web server gives that name to a header of its client's choice.
fn proxy_from_env(https: bool, var: impl Fn(&str) -> Option<String>) -> Option<String> {
    let names: &[&str] = if https {
        &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
    } else {
        &["http_proxy", "all_proxy", "ALL_PROXY"]
    };
    names.iter().find_map(|name| var(name))
}

fn tls(options: &Options, load: bool) -> Result<TlsConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut builder = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(provider)
        .disable_verification(!options.ssl_verify);
    let mut roots = Vec::new();
    if load && options.ssl_verify {
        roots = certificates::roots(options.ca_info.as_deref(), options.ca_path.as_deref())?;
    }
    if load && let Some(cert) = &options.client_cert {
        let key = options.client_key.as_ref().unwrap_or(cert);
        builder = builder.client_cert(Some(certificates::client(cert, key)?));
    }
    Ok(builder.root_certs(RootCerts::Specific(Arc::new(roots))).build())
}

#[cfg(test)]
mod tests {
    use super::super::options::Secret;
    use super::*;

    fn chosen(options: &Options, https: bool, vars: &[(&str, &str)]) -> Option<String> {
        let var = |name: &str| {
            let (_, value) = vars.iter().find(|(key, _)| *key == name)?;
            Some((*value).to_owned())
        };
        let proxy = proxy(options, https, var).unwrap()?;
        Some(proxy.host().to_owned())
    }

    #[test]
    fn the_proxy_is_chosen_as_curl_chooses_it() {
        let vars = [
            ("http_proxy", "http://a:1"),
            ("HTTP_PROXY", "http://b:1"),
            ("ALL_PROXY", "c:1"),
        ];
        let options = Options::default();
        assert_eq!(chosen(&options, false, &vars).as_deref(), Some("a"));
        assert_eq!(chosen(&options, true, &vars).as_deref(), Some("c"));
        assert_eq!(chosen(&options, true, &vars[..2]), None);
        let set = |proxy: &str| Options {
            proxy: Some(Secret(proxy.into())),
            ..Options::default()
        };
        assert_eq!(
            chosen(&set("http://u:p@d:3128"), true, &vars).as_deref(),
            Some("d")
        );
        assert_eq!(chosen(&set(""), false, &vars), None);
    }

    #[test]
    fn exceptions_hold_for_a_configured_proxy_too() {
        let options = Options {
            proxy: Some(Secret("http://p:3128".into())),
            ..Options::default()
        };
        let var = |name: &str| (name == "no_proxy").then(|| "localhost, .corp.example".to_owned());
        let proxy = proxy(&options, true, var).unwrap().unwrap();
        let direct = |url: &str| proxy.is_no_proxy(&url.parse().unwrap());
        assert!(direct("https://localhost/x") && direct("https://git.corp.example/x"));
        assert!(!direct("https://example.com/x"));
    }

    #[test]
    fn proxies_that_we_cannot_use_are_refused() {
        let options = Options {
            proxy: Some(Secret("socks5://p:1080".into())),
            ..Options::default()
        };
        let err = proxy(&options, true, |_| None).unwrap_err();
        assert_eq!(err.kind(), Kind::Unsupported);
    }
}
