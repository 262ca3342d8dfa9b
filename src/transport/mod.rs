//! Connections to a peer: one trait, one module for each way to get there.
//!
//! What a peer says is not looked at here; see [`crate::upload_pack`] and [`crate::receive_pack`].

pub mod http;
pub mod process;
pub mod sideband;
pub mod web;

use std::sync::Arc;

use gix_transport::client::blocking_io::Transport;
use gix_transport::{Protocol, Service};

use crate::error::Result;
use crate::url::Address;
use process::ProcessLink;
use web::WebLink;

/// A connection to one service of one peer.
///
/// Above what gix asks of a [`Transport`], a link can be cut short: in the middle of an answer whose rest is of no
/// use, and in the middle of a request that must never complete.
pub trait Link: Transport + Send {
    /// Leave the rest of the present answer unread, so that the next request can be made.
    fn abandon_response(&mut self) -> Result<()>;

    /// A handle that cuts the request under way, so that the peer can tell it from a complete one.
    fn cutter(&self) -> Cutter;

    /// What went over this link so far.
    fn traffic(&self) -> Traffic;

    /// The words that the other side left outside the protocol (the standard error of a local process).
    fn last_words(&mut self) -> Option<String> {
        None
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

/// What went over one link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests made: HTTP requests, or commands to a process.
    pub requests: u64,
    /// Bytes sent: over HTTP with heads and chunks, but without TLS.
    pub bytes_sent: u64,
    /// Bytes received, counted alike.
    pub bytes_received: u64,
}

/// Open a link to the `upload-pack` of the repository at `address`, asking for protocol `version` (V1 is what gix calls
/// the protocol without a version, v0).
///
/// # Errors
/// When a local git cannot be started; anything else shows in the handshake.
pub fn open_upload_pack(address: &Address, version: Protocol) -> Result<Box<dyn Link>> {
    open(address, Service::UploadPack, version)
}

/// Open a link to the `receive-pack` of the repository at `address`.
///
/// # Errors
/// When a local git cannot be started; anything else shows in the handshake.
pub fn open_receive_pack(address: &Address) -> Result<Box<dyn Link>> {
    // Only the first version of the protocol exists for pushes; gix calls it V1.
    open(address, Service::ReceivePack, Protocol::V1)
}

fn open(address: &Address, service: Service, version: Protocol) -> Result<Box<dyn Link>> {
    match address {
        Address::Local(path) => Ok(Box::new(ProcessLink::start(path, service, version)?)),
        Address::Http(address) => Ok(Box::new(WebLink::new(address, service, version)?)),
    }
}
