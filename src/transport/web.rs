//! A link to a repository behind a web server: gix's smart HTTP on our own backend.

use std::any::Any;
use std::borrow::Cow;
use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bstr::BStr;
use gix_transport::client::blocking_io::http::{self, GetResponse, Http, PostBodyDataKind, PostResponse};
use gix_transport::client::blocking_io::{RequestWriter, SetServiceResponse, Transport};
use gix_transport::client::{self, MessageKind, TransportWithoutIO, WriteMode};
use gix_transport::{Protocol, Service};

use super::http::{
    AbortHandle, Credentials, Headers, HttpBackend, Options, PostBody, ResponseBody, Stats, UserInfo,
};
use super::{Cutter, Link, Traffic};
use crate::error::Result;
use crate::url::HttpAddress;

/// A link over http or https.
pub struct WebLink {
    transport: http::Transport<Abandonable>,
    abort: AbortHandle,
    abandoned: Arc<AtomicBool>,
    stats: Stats,
}

impl WebLink {
    /// Prepare a link to `service` of the repository at `address`; nothing is sent yet.
    ///
    /// # Errors
    /// When an option is not valid.
    pub fn new(address: &HttpAddress, service: Service, version: Protocol) -> Result<Self> {
        let log_target = match service {
            Service::UploadPack => "relay::source",
            Service::ReceivePack => "relay::target",
        };
        let mut backend = HttpBackend::new(Options {
            log_target,
            ..Options::from_env()
        })?;
        if let Some((username, Some(password))) = address.userinfo.clone() {
            let url = address.url.to_bstring().to_string();
            let known = UserInfo::new(&url, Credentials { username, password });
            backend = backend.with_authenticate(Box::new(known));
        }
        let (abort, stats) = (backend.abort_handle(), backend.stats());
        let abandoned = Arc::new(AtomicBool::new(false));
        let http = Abandonable {
            backend,
            abandoned: abandoned.clone(),
        };
        let transport = http::Transport::new_http(http, address.url.clone(), version, false);
        Ok(WebLink {
            transport,
            abort,
            abandoned,
            stats,
        })
    }
}

impl Link for WebLink {
    fn abandon_response(&mut self) -> Result<()> {
        self.abandoned.store(true, Ordering::SeqCst);
        self.abort.abort();
        Ok(())
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
        }
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
struct Abandonable {
    backend: HttpBackend,
    abandoned: Arc<AtomicBool>,
}

struct Body {
    inner: ResponseBody,
    abandoned: Arc<AtomicBool>,
}

impl Abandonable {
    fn body(&self, inner: ResponseBody) -> Body {
        Body {
            inner,
            abandoned: self.abandoned.clone(),
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
            Ok(0)
        } else {
            self.inner.read(buf)
        }
    }
}

impl BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.abandoned.load(Ordering::SeqCst) {
            Ok(&[])
        } else {
            self.inner.fill_buf()
        }
    }

    fn consume(&mut self, amount: usize) {
        self.inner.consume(amount);
    }
}
