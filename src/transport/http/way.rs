//! How servers are reached: which proxy, who we are to it, and the agent that goes there. Made once for each server in a
//! row, because loading certificates takes a while.

use std::sync::{Arc, Mutex};

use ureq::Agent;

use super::link::{Link, lock};
use super::options::Options;
use super::proxy::ProxyServer;
use super::proxy_login::ProxyLogin;
use super::status;
use super::url::Origin;
use crate::error::{Error, Kind, Result};

/// How the server of one origin is reached.
#[derive(Debug, Clone)]
pub(super) struct Way {
    origin: Origin,
    pub(super) agent: Agent,
    proxy: Option<ProxyServer>,
}

/// The way that was used last, and what is known about proxies.
#[derive(Debug, Default)]
pub(super) struct Ways {
    last: Mutex<Option<Way>>,
    proxy_login: Mutex<ProxyLogin>,
}

impl Ways {
    /// The way to the server of `url`.
    ///
    /// # Errors
    /// When settings make no sense, or nobody knows a proxy's password.
    pub(super) fn find(&self, url: &str, options: &Options, link: &Arc<Link>) -> Result<Way> {
        let origin = Origin::of(url).ok_or_else(|| Error::new(Kind::Usage, "not a valid HTTP URL"))?;
        let mut last = lock(&self.last);
        if let Some(way) = last.as_ref().filter(|way| way.origin == origin) {
            return Ok(way.clone());
        }
        let mut proxy = ProxyServer::find(options, url, |name| std::env::var(name).ok())?;
        if let Some(proxy) = &mut proxy {
            lock(&self.proxy_login).complete(proxy)?;
            log::debug!(target: options.log_target, "through the proxy {proxy:?}");
        }
        let way = Way {
            agent: super::agent::build(options, link, origin.is_https(), proxy.clone())?,
            origin,
            proxy,
        };
        Ok(last.insert(way).clone())
    }

    /// `way` led to an answer of the server.
    pub(super) fn accepted(&self, way: &Way) {
        if way.proxy.is_some() {
            lock(&self.proxy_login).accepted();
        }
    }

    /// The proxy on the last way did not make a connection; `why` is what ureq says about it.
    pub(super) fn refused(&self, why: &str) -> Error {
        let proxy = lock(&self.last).as_ref().and_then(|way| way.proxy.clone());
        let Some(proxy) = proxy else {
            return super::response::internal("a proxy that is none has refused a connection");
        };
        // `proxy server responded 407/407`.
        let status = why.rsplit('/').next().and_then(|code| code.parse().ok());
        if matches!(status, Some(401 | 407)) {
            lock(&self.proxy_login).refused();
        }
        status::from_proxy(status, &proxy.authority(), proxy.username.is_some())
    }
}
