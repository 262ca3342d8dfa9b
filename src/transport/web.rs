//! A link to a repository behind a web server: gix's smart HTTP on our own backend.

use std::any::Any;
use std::borrow::Cow;
use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bstr::{BStr, ByteSlice};
use gix_transport::client::blocking_io::http::{self, GetResponse, Http, PostBodyDataKind, PostResponse};
use gix_transport::client::blocking_io::{RequestWriter, SetServiceResponse, Transport};
use gix_transport::client::{self, MessageKind, TransportWithoutIO, WriteMode};
use gix_transport::{Protocol, Service};

use super::http as ours;
use super::http::{
    AbortHandle, Headers, HttpBackend, Length, Login, Options, PostBody, ResponseBody, Stats, ignored,
};
use super::retry::Retries;
use super::{Arrived, Budget, Cutter, Link, Traffic, Upload, log_target};
use crate::error::{Result, Side};
use crate::url::HttpAddress;

/// A link over http or https.
pub struct WebLink {
    transport: http::Transport<Abandonable>,
    /// What it takes to make another transport: gix's shakes hands only once.
    http: Abandonable,
    url: gix_url::Url,
    version: Protocol,
    abort: AbortHandle,
    arrived: ours::Arrived,
    uploader: ours::Uploader,
    stats: Stats,
    length: Length,
    retries: Retries,
    notices: Vec<String>,
}

impl WebLink {
    /// Prepare a link to `service` of the repository at `address`, whose refs fit into `budget`; nothing is sent yet.
    ///
    /// # Errors
    /// When a setting is not valid.
    pub fn new(address: &HttpAddress, service: Service, version: Protocol, budget: Budget) -> Result<Self> {
        let side = match service {
            Service::UploadPack => Side::Source,
            Service::ReceivePack => Side::Target,
        };
        let login = Login::new(
            side,
            &address.url.to_bstring().to_str_lossy(),
            address.userinfo.clone(),
            address.token_env.as_deref(),
            |name| std::env::var(name).ok(),
        );
        let backend = HttpBackend::new(Options {
            log_target: log_target(service),
            input_buffer: match service {
                Service::UploadPack => 128 * 1024,
                Service::ReceivePack => 64 * 1024,
            },
            family: address.reach.family,
            stall_timeout: address.reach.silence,
            retry: address.reach.retry,
            ..Options::new(&address.settings)?
        })?
        .with_authenticate(Box::new(login));
        let (abort, stats, length) = (backend.abort_handle(), backend.stats(), backend.length());
        let (arrived, uploader) = (backend.arrived(), backend.uploader());
        let retries = backend.retries();
        let http = Abandonable {
            backend,
            abandoned: Arc::new(AtomicBool::new(false)),
            budget,
        };
        Ok(WebLink {
            transport: http.transport(&address.url, version),
            http,
            url: address.url.clone(),
            version,
            abort,
            arrived,
            uploader,
            stats,
            length,
            retries,
            notices: notices(address, side),
        })
    }
}

/// What the user should know before anything is sent.
fn notices(address: &HttpAddress, side: Side) -> Vec<String> {
    let mut notices = ignored(&address.settings);
    if address.shows_password {
        notices.push(format!(
            "the URL of the {side} has a password in it, which git prints as part of the URL; a credential helper \
             (gitcredentials(7)) or the name of a configured remote keeps it to itself"
        ));
    }
    notices
}

impl Link for WebLink {
    fn abandon_response(&mut self) -> Result<()> {
        self.http.abandoned.store(true, Ordering::SeqCst);
        self.abort.abort();
        Ok(())
    }

    fn reopen(&mut self) -> Result<()> {
        self.abandon_response()?;
        self.transport = self.http.transport(&self.url, self.version);
        Ok(())
    }

    fn announce_length(&mut self, bytes: u64) {
        self.length.announce(bytes);
    }

    fn arrived(&self) -> Arrived {
        let arrived = self.arrived.clone();
        Arrived::new(move || arrived.bytes())
    }

    fn uploader(&self) -> Option<Box<dyn Upload>> {
        Some(Box::new(self.uploader.clone()))
    }

    fn cutter(&self) -> Cutter {
        let abort = self.abort.clone();
        Cutter::new(move || abort.abort())
    }

    fn traffic(&self) -> Traffic {
        Traffic {
            requests: self.stats.requests(),
            bytes_sent: self.stats.bytes_sent(),
            bytes_received: self.stats.bytes_received(),
            retries: self.retries.count(),
        }
    }

    fn take_notes(&self) -> Vec<String> {
        self.retries.take_notes()
    }

    fn budget(&self) -> &Budget {
        &self.http.budget
    }

    fn notices(&self) -> &[String] {
        &self.notices
    }
}

impl TransportWithoutIO for WebLink {
    fn to_url(&self) -> Cow<'_, BStr> {
        self.transport.to_url()
    }

    fn connection_persists_across_multiple_requests(&self) -> bool {
        false
    }

    fn configure(&mut self, config: &dyn Any) -> gix_error::Result {
        self.transport.configure(config)
    }
}

impl Transport for WebLink {
    fn handshake<'a>(
        &mut self,
        service: Service,
        extra_parameters: &'a [(&'a str, Option<&'a str>)],
    ) -> Result<SetServiceResponse<'_>, client::Error> {
        self.transport.handshake(service, extra_parameters)
    }

    fn request(
        &mut self,
        write_mode: WriteMode,
        on_into_read: MessageKind,
        trace: bool,
    ) -> Result<RequestWriter<'_>, client::Error> {
        self.transport.request(write_mode, on_into_read, trace)
    }
}

/// The backend, with responses that can be left unread.
///
/// gix refuses a request while the previous response has bytes left, and keeps that response to itself. So the
/// response itself has to end when it is abandoned.
#[derive(Clone)]
struct Abandonable {
    backend: HttpBackend,
    abandoned: Arc<AtomicBool>,
    budget: Budget,
}

struct Body {
    inner: ResponseBody,
    abandoned: Arc<AtomicBool>,
    budget: Budget,
    /// To be told at the next read.
    over: Option<io::Error>,
}

impl Abandonable {
    /// A transport that has not shaken hands yet.
    fn transport(&self, url: &gix_url::Url, version: Protocol) -> http::Transport<Abandonable> {
        http::Transport::new_http(self.clone(), url.clone(), version, false)
    }

    fn body(&self, inner: ResponseBody) -> Body {
        Body {
            inner,
            abandoned: self.abandoned.clone(),
            budget: self.budget.clone(),
            over: None,
        }
    }
}

impl Http for Abandonable {
    type Headers = Headers;
    type ResponseBody = Body;
    type PostBody = PostBody;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix_error::Result<GetResponse<Headers, Body>> {
        self.abandoned.store(false, Ordering::SeqCst);
        let GetResponse { headers, body } = self.backend.get(url, base_url, headers)?;
        Ok(GetResponse {
            headers,
            body: self.body(body),
        })
    }

    fn post(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        body: PostBodyDataKind,
    ) -> gix_error::Result<PostResponse<Headers, Body, PostBody>> {
        self.abandoned.store(false, Ordering::SeqCst);
        let PostResponse {
            post_body,
            headers,
            body,
        } = self.backend.post(url, base_url, headers, body)?;
        Ok(PostResponse {
            post_body,
            headers,
            body: self.body(body),
        })
    }

    fn configure(&mut self, config: &dyn Any) -> gix_error::Result<()> {
        self.backend.configure(config)
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.backend.redirected_base_url()
    }
}

impl Read for Body {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.abandoned.load(Ordering::SeqCst) {
            return Ok(0);
        }
        let read = self.inner.read(buf)?;
        self.budget.spend(read)?;
        Ok(read)
    }
}

impl BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.abandoned.load(Ordering::SeqCst) {
            return Ok(&[]);
        }
        if let Some(err) = self.over.take() {
            return Err(err);
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.inner.consume(amount);
        self.over = self.budget.spend(amount).err().or(self.over.take());
    }
}
