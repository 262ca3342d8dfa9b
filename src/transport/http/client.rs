//! Requests from start to end: headers, authentication, redirects, and what counts as a success.
//!
//! One request at a time. How bytes travel is told in [`super::connect`] and [`super::upload`].

use std::io::Read;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use ureq::SendBody;
use ureq::http::header::{self, HeaderName, HeaderValue};
use ureq::http::{Method, Request, Response, StatusCode};

use super::auth::{Auth, Credentials};
use super::cookies::Cookies;
use super::head::{challenges, content_type, head_lines, location, secret_header, shown};
use super::link::{Link, lock};
use super::options::Options;
use super::response::{Answer, Body};
use super::status::{self, Refusal};
use super::upload::{Whole, aborted};
use super::url;
use super::way::Ways;
use crate::error::{Error, Kind, Result};
use crate::transport::retry::{Retries, Tries, retry_after};

/// As many redirects as we follow; git leaves it to curl, which allows many more than anyone needs.
const MAX_REDIRECTS: usize = 5;
/// More credentials than this are not tried for one request.
const MAX_CREDENTIALS: usize = 6;
/// A refusal that is longer costs a connection, not the time to read it.
const DRAIN: usize = 64 * 1024;

/// A request without its body.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) method: Method,
    /// The URL asked for, without userinfo.
    pub(super) url: String,
    /// The repository's part of the URL.
    pub(super) base: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// The content type that the answer must have.
    pub(super) wanted: Option<String>,
}

/// A request that got no response.
struct Failed {
    error: Error,
    /// The connection is to blame, and another may do better.
    transient: bool,
}

enum Payload<'a> {
    None,
    Whole(&'a Whole<'a>),
    /// With its length, if that is known.
    Stream(&'a mut dyn Read, Option<u64>),
}

/// Everything that outlives a request.
#[derive(Debug)]
pub(super) struct Client {
    options: Options,
    pub(super) retries: Retries,
    extra: Vec<(HeaderName, HeaderValue)>,
    cookies: Cookies,
    pub(super) link: Arc<Link>,
    pub(super) auth: Mutex<Auth>,
    ways: Ways,
}

impl Client {
    pub(super) fn new(options: Options) -> Result<Self> {
        let extra = options
            .extra_headers
            .0
            .iter()
            .map(|line| secret_header(line))
            .collect::<Result<_>>()?;
        let cookies = options.cookie_file.as_deref().map(Cookies::read).transpose()?;
        Ok(Client {
            retries: Retries::new(options.retry, options.log_target),
            options,
            extra,
            cookies: cookies.unwrap_or_default(),
            link: Arc::default(),
            auth: Mutex::default(),
            ways: Ways::default(),
        })
    }

    /// Perform a GET, following redirects; the second value is the new base if there were any.
    pub(super) fn get(&self, mut request: Prepared) -> Result<(Answer, Option<String>)> {
        self.link.begin_exchange();
        let tail = request
            .url
            .strip_prefix(&request.base)
            .unwrap_or_default()
            .to_owned();
        let mut moved = None;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.with_auth(&request, &Whole::default())?;
            let redirect = location(&response, &request.url).filter(|_| self.options.follow_redirects);
            let Some(location) = redirect else {
                return Ok((self.accept(&request, response)?, moved));
            };
            let base = url::redirected_base(&request.url, &location, &tail)?;
            log::debug!(target: self.options.log_target, "redirected to {}", shown(&location));
            self.drain(response, &request.url);
            request.url = location;
            request.base.clone_from(&base);
            moved = Some(base);
        }
        Err(Error::new(
            Kind::Peer,
            format!("more than {MAX_REDIRECTS} redirects"),
        ))
    }

    /// Perform a POST with a body that is at hand, and can be sent again.
    pub(super) fn send_whole(&self, request: &Prepared, body: &Whole<'_>) -> Result<Answer> {
        self.link.begin_exchange();
        let response = self.with_auth(request, body)?;
        self.accept(request, response)
    }

    /// Perform a POST with a body that is drawn while it is sent, and so cannot be sent again.
    pub(super) fn send_streamed(
        &self,
        request: &Prepared,
        body: &mut dyn Read,
        length: Option<u64>,
    ) -> Result<Answer> {
        self.link.begin_exchange();
        let credentials = lock(&self.auth).known(&request.url);
        let payload = Payload::Stream(body, length);
        let response = self
            .once(request, payload, credentials.as_ref())
            .map_err(|failed| failed.error)?;
        if response.status() == 401 && credentials.is_some() {
            lock(&self.auth).refused(&request.base);
        }
        self.accept_as(request, response, credentials.is_some())
    }

    /// Send a request that can be repeated, anonymously first, with credentials if the server wants them.
    fn with_auth(&self, request: &Prepared, body: &Whole<'_>) -> Result<Response<ureq::Body>> {
        let mut tries = self.retries.begin();
        let mut credentials = lock(&self.auth).known(&request.url);
        for _ in 0..MAX_CREDENTIALS {
            let response = self.patiently(request, body, credentials.as_ref(), &mut tries)?;
            if response.status() != 401 {
                if credentials.is_some() && response.status().is_success() {
                    lock(&self.auth).accepted(&request.base);
                }
                return Ok(response);
            }
            let authenticated = credentials.is_some() || self.brings_authorization(request);
            if credentials.is_some() {
                lock(&self.auth).refused(&request.base);
            }
            // What the user configured as a header goes before anything that we could find.
            credentials = match self.brings_authorization(request) {
                true => None,
                false => lock(&self.auth).ask(&request.base, &challenges(response.headers()))?,
            };
            if credentials.is_none() {
                return Err(self.unauthorized(request, response, authenticated));
            }
            self.drain(response, &request.url);
        }
        Err(Error::new(Kind::Auth, "authentication failed"))
    }

    fn unauthorized(&self, request: &Prepared, response: Response<ureq::Body>, authenticated: bool) -> Error {
        let hint = lock(&self.auth).hint();
        match self.accept_as(request, response, authenticated) {
            Err(err) => hint.into_iter().fold(err, Error::hint),
            Ok(_) => super::response::internal("a 401 was taken for a success"),
        }
    }

    /// [`Client::once`], and again where that is safe and may help.
    fn patiently(
        &self,
        request: &Prepared,
        body: &Whole<'_>,
        credentials: Option<&Credentials>,
        tries: &mut Tries<'_>,
    ) -> Result<Response<ureq::Body>> {
        let payload = || match request.method {
            Method::GET => Payload::None,
            _ => Payload::Whole(body),
        };
        loop {
            let sent = self.link.stats.bytes_sent();
            let result = self.once(request, payload(), credentials);
            let untouched = sent == self.link.stats.bytes_sent();
            let (err, asked) = match result {
                Ok(response) if is_refusal_for_now(response.status(), request, body) => {
                    let asked = asked_to_wait(&response);
                    match self.accept_as(request, response, credentials.is_some()) {
                        Err(err) => (err, asked),
                        Ok(_) => return Err(super::response::internal("a refusal was taken for a success")),
                    }
                }
                Ok(response) => return Ok(response),
                Err(Failed { error, transient }) if !transient || self.link.aborted() => return Err(error),
                // What reached the server may have been acted upon.
                Err(Failed { error, .. }) if !untouched && !changes_nothing(request, body) => {
                    return Err(error);
                }
                // An answer that does not come is not worth another such wait.
                Err(Failed { error, .. }) if !untouched && error.kind() == Kind::Timeout => {
                    return Err(error);
                }
                Err(Failed { error, .. }) => (error, None),
            };
            tries.again(err, asked)?;
        }
    }

    /// One request, one response, whatever its status; once more if a kept connection turned out to be closed.
    fn once(
        &self,
        request: &Prepared,
        mut payload: Payload,
        credentials: Option<&Credentials>,
    ) -> Result<Response<ureq::Body>, Failed> {
        let connects = self.link.connects();
        let received = self.link.stats.bytes_received();
        let result = self.run(request, &mut payload, credentials);
        let stale = connects == self.link.connects() && received == self.link.stats.bytes_received();
        let repeatable = match &payload {
            Payload::None => true,
            Payload::Whole(body) => changes_nothing(request, body),
            Payload::Stream(..) => false,
        };
        match result {
            // As curl does: most likely the server has closed an idle connection. But it may have seen the request.
            Err(err) if stale && status::hung_up(&err) && repeatable && !self.link.aborted() => {
                self.run(request, &mut payload, credentials)
            }
            result => result,
        }
        .map_err(|err| Failed {
            transient: status::may_pass(&err),
            error: match err {
                _ if self.link.aborted() => aborted(),
                ureq::Error::ConnectProxyFailed(why) => self.ways.refused(&why),
                err => status::from_ureq(err, &url::host(&request.url)),
            },
        })
    }

    fn run(
        &self,
        request: &Prepared,
        payload: &mut Payload,
        credentials: Option<&Credentials>,
    ) -> Result<Response<ureq::Body>, ureq::Error> {
        let way = self.ways.find(&request.url, &self.options, &self.link);
        let way = way.map_err(|err| ureq::Error::Io(err.into()))?;
        let agent = &way.agent;
        let mut builder = Request::builder()
            .method(request.method.clone())
            .uri(request.url.as_str());
        for (name, value) in self.headers(request, credentials) {
            builder = builder.header(name, value);
        }
        self.link.stats.count_request();
        self.link.begin_request(!matches!(payload, Payload::None));
        let response = match payload {
            Payload::None => agent.run(builder.body(())?),
            Payload::Stream(source, length) => {
                // Without the header, ureq sends chunks.
                if let Some(length) = length {
                    builder = builder.header(header::CONTENT_LENGTH, *length);
                }
                agent.run(builder.body(SendBody::from_reader(*source))?)
            }
            Payload::Whole(body) => {
                builder = builder.header(header::CONTENT_LENGTH, body.length());
                if body.is_gzip {
                    builder = builder.header(header::CONTENT_ENCODING, "gzip");
                }
                agent.run(builder.body(SendBody::from_reader(&mut body.read()))?)
            }
        };
        self.note(request, &response);
        if response.is_ok() {
            self.ways.accepted(&way);
        }
        response
    }

    fn headers(
        &self,
        request: &Prepared,
        credentials: Option<&Credentials>,
    ) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = request.headers.clone();
        if lock(&self.auth).at_home(&request.url) {
            headers.extend(self.extra.iter().cloned());
        }
        if let Some(value) = self.cookies.for_url(&request.url)
            && let Ok(mut value) = HeaderValue::try_from(value)
        {
            value.set_sensitive(true);
            headers.push((header::COOKIE, value));
        }
        // What the user configured goes before what we found.
        if !self.brings_authorization(request)
            && let Some(mut value) =
                credentials.and_then(|credentials| HeaderValue::try_from(credentials.header()).ok())
        {
            value.set_sensitive(true);
            headers.push((header::AUTHORIZATION, value));
        }
        headers
    }

    /// Whether the extra headers of `request` say who we are.
    fn brings_authorization(&self, request: &Prepared) -> bool {
        let mut names = self.extra.iter().map(|(name, _)| name);
        names.any(|name| name == header::AUTHORIZATION) && lock(&self.auth).at_home(&request.url)
    }

    fn note(&self, request: &Prepared, response: &Result<Response<ureq::Body>, ureq::Error>) {
        let Ok(response) = response else {
            log::debug!(target: self.options.log_target, "{} {}: no response", request.method, shown(&request.url));
            return;
        };
        let status = response.status().as_u16();
        let asked = asked_to_wait(response).map(|wait| wait.as_secs());
        self.link.stats.set_status(status, asked);
        log::debug!(
            target: self.options.log_target,
            "{} {}: {status} {} (so far {} bytes sent, {} received)",
            request.method,
            shown(&request.url),
            shown(&content_type(response.headers())),
            self.link.stats.bytes_sent(),
            self.link.stats.bytes_received(),
        );
    }

    fn accept(&self, request: &Prepared, response: Response<ureq::Body>) -> Result<Answer> {
        self.accept_as(request, response, false)
    }

    /// Turn a response into an answer if it is a success of the type we want.
    fn accept_as(
        &self,
        request: &Prepared,
        response: Response<ureq::Body>,
        authenticated: bool,
    ) -> Result<Answer> {
        if let Some(location) = location(&response, &request.url) {
            let to = shown(&location);
            return Err(
                Error::new(Kind::Peer, format!("the server redirects the request to {to}"))
                    .hint("use that URL instead"),
            );
        }
        let (parts, body) = response.into_parts();
        let got = content_type(&parts.headers);
        let mut body = Body::new(body, self.link.clone(), url::host(&request.url));
        if !parts.status.is_success() {
            let start = body.prefix(DRAIN);
            let words = (got == "text/plain").then(|| status::first_words(&start));
            return Err(Refusal {
                status: parts.status.as_u16(),
                words: words.flatten(),
                www_authenticate: challenges(&parts.headers),
                authenticated,
            }
            .into_error());
        }
        match &request.wanted {
            Some(wanted) if *wanted != got => Err(status::not_git(&got, &body.prefix(DRAIN))),
            _ => Ok(Answer {
                head: head_lines(&parts.headers, &got),
                body,
            }),
        }
    }

    /// Read the rest of a response that nobody needs, so that its connection can be used again.
    fn drain(&self, response: Response<ureq::Body>, url: &str) {
        Body::new(response.into_body(), self.link.clone(), url::host(url)).prefix(DRAIN);
    }
}

/// Whether the server says that it will do the same request later, and has not done it. A gateway that got no answer
/// cannot know that, which matters where the request changes something.
fn is_refusal_for_now(status: StatusCode, request: &Prepared, body: &Whole<'_>) -> bool {
    match status.as_u16() {
        429 | 503 => true,
        500 | 502 | 504 => changes_nothing(request, body),
        _ => false,
    }
}

/// Whether it does not matter if the server has seen the request before: it reads, or it is the lone flush that settles
/// authentication.
fn changes_nothing(request: &Prepared, body: &Whole<'_>) -> bool {
    request.method == Method::GET || is_fetch(request) || body.rest.is_empty() && body.begun == b"0000"
}

fn asked_to_wait(response: &Response<ureq::Body>) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?;
    retry_after(value.to_str().ok()?, SystemTime::now())
}

/// Whether it asks for objects.
pub(super) fn is_fetch(request: &Prepared) -> bool {
    request
        .headers
        .iter()
        .any(|(name, value)| name == header::CONTENT_TYPE && value == "application/x-git-upload-pack-request")
}
