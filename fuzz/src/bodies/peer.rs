//! A peer that says what it is told to say and listens to nothing.

use std::any::Any;
use std::borrow::Cow;
use std::io::{self, BufRead, Read, Sink};

use bstr::BStr;
use git_remote_sync::progress::Progress;
use git_remote_sync::transport::{Budget, Cutter, Link, Traffic};
use gix_transport::client::blocking_io::http::{self, GetResponse, Http, PostBodyDataKind, PostResponse};
use gix_transport::client::blocking_io::{RequestWriter, SetServiceResponse, Transport};
use gix_transport::client::git::ConnectMode;
use gix_transport::client::git::blocking_io::Connection;
use gix_transport::client::{self, MessageKind, TransportWithoutIO, WriteMode};
use gix_transport::{Protocol, Service};

use super::super::error::Result;

/// Bytes that arrive in pieces of at most `step` bytes.
#[derive(Clone, Default)]
pub(super) struct Pieces {
    data: Vec<u8>,
    at: usize,
    step: usize,
}

impl Pieces {
    pub(super) fn new(data: &[u8], step: usize) -> Self {
        let (data, at) = (data.to_vec(), 0);
        Pieces { data, at, step }
    }
}

impl Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buf)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let rest = &self.data[self.at..];
        Ok(&rest[..rest.len().min(self.step)])
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount;
        assert!(self.at <= self.data.len());
    }
}

/// A link to such a peer, over any transport of gix.
struct Canned<T>(T, Budget);

/// A link on which `answers` comes, as from a process.
pub(super) fn piped(answers: &[u8], protocol: Protocol, step: usize) -> Box<dyn Link> {
    Box::new(Canned(
        connection(Pieces::new(answers, step), protocol),
        Budget::new(0),
    ))
}

/// A link whose first answer over http is `answer`.
pub(super) fn by_web(answer: &[u8], service: Service, step: usize) -> Box<dyn Link> {
    let web = Web {
        answer: Some(Pieces::new(answer, step)),
        service,
    };
    let url = gix_url::parse("http://h/r").unwrap();
    let web = http::Transport::new_http(web, url, Protocol::V2, false);
    Box::new(Canned(web, Budget::new(0)))
}

/// gix's reader of pkt-lines over `input`.
pub(super) fn connection<R: Read>(input: R, protocol: Protocol) -> Connection<R, Sink> {
    let none = None::<(String, _)>;
    Connection::new(input, io::sink(), protocol, "", none, ConnectMode::Process, false)
}

impl<T: Transport + Send> Link for Canned<T> {
    fn abandon_response(&mut self) -> Result<()> {
        Ok(())
    }

    fn reopen(&mut self) -> Result<()> {
        Ok(())
    }

    fn budget(&self) -> &Budget {
        &self.1
    }

    fn cutter(&self) -> Cutter {
        Cutter::new(|| {})
    }

    fn traffic(&self) -> Traffic {
        Traffic::default()
    }
}

impl<T: Transport> TransportWithoutIO for Canned<T> {
    fn to_url(&self) -> Cow<'_, BStr> {
        self.0.to_url()
    }

    fn connection_persists_across_multiple_requests(&self) -> bool {
        true
    }

    fn configure(&mut self, config: &dyn Any) -> gix_error::Result {
        self.0.configure(config)
    }
}

impl<T: Transport> Transport for Canned<T> {
    fn handshake<'a>(
        &mut self,
        service: Service,
        extra: &'a [(&'a str, Option<&'a str>)],
    ) -> Result<SetServiceResponse<'_>, client::Error> {
        self.0.handshake(service, extra)
    }

    fn request(
        &mut self,
        mode: WriteMode,
        end: MessageKind,
        trace: bool,
    ) -> Result<RequestWriter<'_>, client::Error> {
        self.0.request(mode, end, trace)
    }
}

/// One answer to a GET, nothing to a POST.
struct Web {
    answer: Option<Pieces>,
    service: Service,
}

impl Http for Web {
    type Headers = io::Cursor<Vec<u8>>;
    type ResponseBody = Pieces;
    type PostBody = Sink;

    fn get(
        &mut self,
        _url: &str,
        _base_url: &str,
        _headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix_error::Result<GetResponse<Self::Headers, Self::ResponseBody>> {
        let kind = format!(
            "content-type: application/x-{}-advertisement\n",
            self.service.as_str()
        );
        Ok(GetResponse {
            headers: io::Cursor::new(kind.into_bytes()),
            body: self.answer.take().unwrap_or_default(),
        })
    }

    fn post(
        &mut self,
        _url: &str,
        _base_url: &str,
        _headers: impl IntoIterator<Item = impl AsRef<str>>,
        _body: PostBodyDataKind,
    ) -> gix_error::Result<PostResponse<Self::Headers, Self::ResponseBody, Self::PostBody>> {
        let kind = format!("content-type: application/x-{}-result\n", self.service.as_str());
        Ok(PostResponse {
            post_body: io::sink(),
            headers: io::Cursor::new(kind.into_bytes()),
            body: Pieces::default(),
        })
    }

    fn configure(&mut self, _config: &dyn Any) -> gix_error::Result {
        Ok(())
    }
}

/// Keeps the peer's words.
#[derive(Default)]
pub(super) struct Words(std::sync::Mutex<Vec<u8>>);

impl Words {
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Words {
    pub(super) fn add(&self, text: &[u8]) {
        self.0.lock().unwrap().extend_from_slice(text);
    }
}

impl Progress for Words {
    fn source_text(&self, text: &[u8]) {
        self.add(text);
    }

    fn target_text(&self, text: &[u8]) {
        self.add(text);
    }
}
