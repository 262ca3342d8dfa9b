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
use super::proxy::{ProxyServer, Scheme};
use crate::error::{Error, Kind, Result};
use crate::url::Family;

/// Decrypting costs more than what a larger buffer saves, and there are two of them.
const INPUT_TLS: usize = 64 * 1024;
/// A packet in chunks, with room to spare; TLS has such a buffer twice, and another one to read into.
const OUTPUT: usize = 66 * 1024;
/// The most that the headers of a response may take. Less than a buffer: a full one would look like a hang-up.
const HEADERS: usize = 60 * 1024;

/// An agent for `options` that goes through `proxy`, if there is one; certificates are only loaded for `https`, for they take a while.
pub(super) fn build(
    options: &Options,
    link: &Arc<Link>,
    https: bool,
    proxy: Option<ProxyServer>,
) -> Result<Agent> {
    let proxy_tls = proxy.as_ref().is_some_and(|proxy| proxy.scheme == Scheme::Https);
    let connect_proxy = proxy.as_ref().map(connect_proxy).transpose()?.flatten();
    let proxy = proxy.map(Arc::new);
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
        .input_buffer_size(if https { INPUT_TLS } else { options.input_buffer })
        .output_buffer_size(OUTPUT)
        .max_response_header_size(HEADERS)
        .tls_config(tls(options, https || proxy_tls)?)
        .proxy(connect_proxy)
        .build();
    Ok(Agent::with_parts(
        config.clone(),
        layers(&config, options, link, proxy.clone()),
        Names::new(proxy),
    ))
}

/// The layers that ureq has by default, with ours at both ends.
fn layers(
    config: &Config,
    options: &Options,
    link: &Arc<Link>,
    proxy: Option<Arc<ProxyServer>>,
) -> impl Connector {
    ().chain(ConnectProxyConnector::default())
        .chain(Tcp {
            link: link.clone(),
            low_speed: options.low_speed,
            proxy,
        })
        .chain(RustlsConnector::default())
        .chain(Watch {
            link: link.clone(),
            proxy: config.proxy().and_then(|proxy| proxy.uri().authority().cloned()),
        })
}

/// What ureq needs to know of a proxy that it speaks to by itself.
fn connect_proxy(proxy: &ProxyServer) -> Result<Option<Proxy>> {
    let protocol = match proxy.scheme {
        Scheme::Http => ProxyProtocol::Http,
        Scheme::Https => ProxyProtocol::Https,
        _ => return Ok(None),
    };
    let host = match proxy.host.contains(':') {
        true => format!("[{}]", proxy.host),
        false => proxy.host.clone(),
    };
    let mut builder = Proxy::builder(protocol).host(&host).port(proxy.port);
    if let Some(username) = &proxy.username {
        builder = builder.username(username);
    }
    if let Some(password) = &proxy.password {
        builder = builder.password(password);
    }
    // The error may repeat the URL, password included.
    let built = builder.build();
    built
        .map(Some)
        .map_err(|_| Error::new(Kind::Config, "the proxy URL is not valid"))
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
