//! Connections to a peer: one trait, one module for each way to get there.
//!
//! What a peer says is not looked at here; see [`crate::upload_pack`] and [`crate::receive_pack`].

mod budget;
mod child;
mod daemon;
mod failure;
mod foreign;
pub mod handover;
pub mod http;
mod local;
mod patience;
mod pipe;
mod retry;
pub mod sideband;
mod ssh;
mod stateless;
pub mod web;

use std::io::Read;
use std::sync::Arc;

use gix_transport::client::blocking_io::Transport;
use gix_transport::{Protocol, Service};

pub use self::budget::Budget;
use crate::error::{Error, Result};
use crate::url::{Address, RetryPolicy};
use pipe::{Opener, PipeLink};
use retry::Retries;
use web::WebLink;

/// A connection to one service of one peer.
///
/// Above what gix asks of a [`Transport`], a link can be cut short: in the middle of an answer whose rest is of no
/// use, and in the middle of a request that must never complete.
pub trait Link: Transport + Send {
    /// Leave the rest of the present answer unread, so that the next request can be made.
    fn abandon_response(&mut self) -> Result<()>;

    /// This conversation is at its end; the next request begins another one. Where each request stands for itself, that
    /// goes without saying.
    fn end_conversation(&mut self) {}

    /// The next request has so many bytes. Only where a request says its length beforehand does that make a difference.
    fn announce_length(&mut self, _bytes: u64) {}

    /// Get ready to shake hands once more, whatever was under way.
    ///
    /// # Errors
    /// When the other side cannot be reached.
    fn reopen(&mut self) -> Result<()>;

    /// A handle that tells how much of the present answer has arrived.
    fn arrived(&self) -> Arrived {
        Arrived::default()
    }

    /// A handle that takes the rest of a request from where it is, where that can be done: without it, all of a request has
    /// to be written.
    fn uploader(&self) -> Option<Box<dyn Upload>> {
        None
    }

    /// A handle that cuts the request under way, so that the peer can tell it from a complete one.
    fn cutter(&self) -> Cutter;

    /// What went over this link so far.
    fn traffic(&self) -> Traffic;

    /// What had to be tried again since this was last asked, in words.
    fn take_notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// What the peer may say while its refs are read; to be lifted once they have been.
    fn budget(&self) -> &Budget;

    /// What the user should be warned about, known before anything was sent.
    fn notices(&self) -> &[String] {
        &[]
    }

    /// `err`, told in the words that the other side left outside the protocol (the standard error of ssh or of a local
    /// git) where those tell more. The link is at its end then.
    fn explain(&mut self, err: Error) -> Error {
        err
    }
}

/// Cuts the request that is under way on a [`Link`].
#[derive(Clone)]
pub struct Cutter(Arc<dyn Fn() + Send + Sync>);

impl Cutter {
    /// Wrap the function that does it.
    pub fn new(cut: impl Fn() + Send + Sync + 'static) -> Self {
        Cutter(Arc::new(cut))
    }

    /// Cut: nothing more is sent, and the peer sees the request break off.
    pub fn cut(&self) {
        (self.0)();
    }
}

/// Tells how much of an answer could be read from a [`Link`] without waiting.
#[derive(Clone, Default)]
pub struct Arrived(Option<Arc<dyn Fn() -> usize>>);

impl Arrived {
    /// Wrap the function that does it.
    pub fn new(bytes: impl Fn() -> usize + 'static) -> Self {
        Arrived(Some(Arc::new(bytes)))
    }

    /// So many bytes at least, or none where that is not known.
    pub fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |bytes| bytes())
    }
}

/// Sends the request that was begun on a [`Link`]. Its answer is still to be read, and if there is none although all was
/// sent, that shows then.
pub trait Upload {
    /// Send `rest` behind what was written, as it comes.
    ///
    /// # Errors
    /// What `rest` fails with, after which the peer sees the request break off; or the peer's reason to take no more.
    fn upload(&self, rest: &mut dyn Read) -> Result<()>;

    /// Send `rest` behind what was written, with its length, and again if need be.
    ///
    /// # Errors
    /// When there is no request.
    fn upload_whole(&self, rest: &[u8]) -> Result<()>;
}

/// What went over one link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests made: HTTP requests, or commands to a process.
    pub requests: u64,
    /// Bytes sent: over HTTP with heads and chunks, but without TLS.
    pub bytes_sent: u64,
    /// Bytes received, counted alike.
    pub bytes_received: u64,
    /// How often something was tried again.
    pub retries: u64,
}

/// Open a link to the `upload-pack` of the repository at `address`, asking for protocol `version` (V1 is what gix calls
/// the protocol without a version, v0).
///
/// # Errors
/// When the other side cannot be reached, or the program that leads there not be started; anything else shows in the
/// handshake.
pub fn open_upload_pack(address: &Address, version: Protocol) -> Result<Box<dyn Link>> {
    open(address, Service::UploadPack, version)
}

/// Open a link to the `receive-pack` of the repository at `address`.
///
/// # Errors
/// Those of [`open_upload_pack`].
pub fn open_receive_pack(address: &Address) -> Result<Box<dyn Link>> {
    // Only the first version of the protocol exists for pushes; gix calls it V1.
    open(address, Service::ReceivePack, Protocol::V1)
}

/// Where the talk with the peer of `service` is logged.
fn log_target(service: Service) -> &'static str {
    match service {
        Service::UploadPack => "relay::source",
        Service::ReceivePack => "relay::target",
    }
}

fn open(address: &Address, service: Service, protocol: Protocol) -> Result<Box<dyn Link>> {
    // gix calls the plain protocol V1; git speaks version 0 when no version is asked for.
    let version = if protocol == Protocol::V2 { 2 } else { 0 };
    let shown = address.to_string();
    let budget = Budget::new(address.max_ref_list());
    let retry = match address {
        Address::Daemon(address) => address.reach.retry,
        // Ssh and local programs may talk to the user, or fail for good.
        _ => RetryPolicy::none(),
    };
    let retries = Retries::new(retry, log_target(service));
    let opener: Opener = match address.clone() {
        Address::Http(address) => return Ok(Box::new(WebLink::new(&address, service, protocol, budget)?)),
        Address::Local(address) => Box::new(move || local::open(&address, service, version)),
        Address::Ssh(address) => Box::new(move || ssh::open(&address, service, version)),
        Address::Daemon(address) => Box::new(move || daemon::open(&address, service, version)),
        Address::Helper(address) => Box::new(move || foreign::open(&address, service, version)),
    };
    Ok(Box::new(PipeLink::open(
        opener,
        shown,
        (service, protocol),
        (budget, retries),
    )?))
}
