//! Git over HTTP: a backend for gix-transport on ureq.
//!
//! gix-transport speaks git's smart HTTP protocol (gitprotocol-http); this module is its [`Http`] trait: connections,
//! TLS, proxies, redirects, authentication, uploads of any size, and errors in words that a git user knows. It knows
//! nothing about packet lines.
//!
//! The layers of a connection, from the socket up: `connect` and `socket` (TCP), ureq's TLS, `early` (answers during an
//! upload), ureq's HTTP/1.1, `client` (requests). ureq's own log targets (`ureq`, `ureq_proto`) may print secrets:
//! a logger must filter them out.

mod agent;
mod auth;
mod certificates;
mod client;
mod connect;
mod cookies;
mod early;
mod head;
mod link;
mod login;
mod netrc;
mod options;
mod proxy;
mod proxy_login;
mod response;
mod socket;
mod socks;
mod speed;
mod status;
#[cfg(test)]
mod tests;
mod upload;
mod url;
mod way;

use std::any::Any;
use std::sync::{Arc, Mutex};

use gix_transport::client::blocking_io::http::{GetResponse, Http, PostBodyDataKind, PostResponse};
use ureq::http::Method;
use ureq::http::header::{self, HeaderName, HeaderValue};

pub use self::auth::{Authenticate, Credentials};
pub use self::link::{AbortHandle, Arrived, Length, Stats};
pub use self::login::{Login, token_variable};
pub use self::options::{Options, Secret, Secrets, ignored};
pub use self::response::{Headers, ResponseBody};
pub use self::upload::{PostBody, Uploader};

use self::client::{Client, Prepared};
use self::link::lock;
use self::response::{Exchange, Stage};
use self::upload::Collected;
use super::retry::Retries;
use crate::error::Result;

/// An HTTP backend for one repository: one request at a time, connections kept between them.
///
/// Its errors hold a [`crate::error::Error`], which [`Error::from_io`](crate::error::Error::from_io) and
/// [`Error::from_transport`](crate::error::Error::from_transport) find again. Clones share connections, credentials and
/// counters.
#[derive(Debug, Clone)]
pub struct HttpBackend {
    client: Arc<Client>,
    redirected: Option<String>,
    uploader: Uploader,
}

impl HttpBackend {
    /// A backend with `options` that knows no credentials. Fails if an extra header is not valid.
    pub fn new(options: Options) -> Result<Self> {
        Ok(HttpBackend {
            client: Arc::new(Client::new(options)?),
            redirected: None,
            uploader: Uploader::default(),
        })
    }

    /// Ask `source` when a server wants credentials.
    #[must_use]
    pub fn with_authenticate(self, source: Box<dyn Authenticate>) -> Self {
        lock(&self.client.auth).source = Some(source);
        self
    }

    /// A handle to cut the exchange under way; take it before gix gets the backend.
    pub fn abort_handle(&self) -> AbortHandle {
        AbortHandle(self.client.link.clone())
    }

    /// A handle to see how much of a response has arrived; take it before gix gets the backend.
    pub fn arrived(&self) -> Arrived {
        Arrived(self.client.link.clone())
    }

    /// A handle to send bodies of any length; take it before gix gets the backend.
    pub fn uploader(&self) -> Uploader {
        self.uploader.clone()
    }

    /// A handle to announce the length of an upload; take it before gix gets the backend.
    pub fn length(&self) -> Length {
        Length(self.client.link.clone())
    }

    /// The record of what had to be tried again; take it before gix gets the backend.
    pub(super) fn retries(&self) -> Retries {
        self.client.retries.clone()
    }

    /// The counters of this backend; take them before gix gets it.
    pub fn stats(&self) -> Stats {
        self.client.link.stats.clone()
    }
}

/// The request that gix describes. Its user agent and its idea of who we are give way to ours.
fn prepare(
    method: Method,
    url: &str,
    base: &str,
    lines: impl IntoIterator<Item = impl AsRef<str>>,
) -> Result<Prepared> {
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) = head::parse_header(line.as_ref())?;
        if name != header::USER_AGENT && name != header::AUTHORIZATION {
            headers.push((name, value));
        }
    }
    let wanted = wanted(&method, url, &headers);
    if method == Method::GET {
        headers.push((header::PRAGMA, HeaderValue::from_static("no-cache")));
    }
    Ok(Prepared {
        method,
        url: url::without_userinfo(url),
        base: url::without_userinfo(base),
        headers,
        wanted,
    })
}

/// The content type that a smart server gives to its answer (gitprotocol-http).
fn wanted(method: &Method, url: &str, headers: &[(HeaderName, HeaderValue)]) -> Option<String> {
    if method == Method::GET {
        let service = url.rsplit_once("/info/refs?service=")?.1;
        return Some(format!("application/x-{service}-advertisement"));
    }
    let (_, sent) = headers.iter().find(|(name, _)| name == header::CONTENT_TYPE)?;
    Some(format!(
        "{}-result",
        sent.to_str().ok()?.strip_suffix("-request")?
    ))
}

impl Http for HttpBackend {
    type Headers = Headers;
    type ResponseBody = ResponseBody;
    type PostBody = PostBody;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix_error::Result<GetResponse<Headers, ResponseBody>> {
        let (answer, moved) = prepare(Method::GET, url, base_url, headers)
            .and_then(|request| self.client.get(request))
            .map_err(status::into_gix)?;
        self.redirected = moved;
        let exchange = Exchange::new(Stage::Here(Some(answer.head), Some(answer.body)));
        Ok(GetResponse {
            headers: Headers::new(exchange.clone()),
            body: ResponseBody::new(exchange),
        })
    }

    fn post(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        _body: PostBodyDataKind,
    ) -> gix_error::Result<PostResponse<Headers, ResponseBody, PostBody>> {
        let request = prepare(Method::POST, url, base_url, headers).map_err(status::into_gix)?;
        let collected = Arc::new(Mutex::new(Collected::new(client::is_fetch(&request))));
        let exchange = Exchange::new(Stage::Unsent(self.client.clone(), request, collected.clone()));
        self.uploader.follow(&exchange);
        Ok(PostResponse {
            post_body: PostBody(collected),
            headers: Headers::new(exchange.clone()),
            body: ResponseBody::new(exchange),
        })
    }

    /// Options are set when the backend is made; gix's own have no meaning here.
    fn configure(&mut self, _config: &dyn Any) -> gix_error::Result {
        Ok(())
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.redirected.clone()
    }
}
