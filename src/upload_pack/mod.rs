//! The client of the source's `upload-pack`: its refs, and packs on request.
//!
//! gix carries the handshake and pkt-lines. The arguments of `fetch` are built here, because a relay asks
//! questions that no ordinary fetch asks; see `gitprotocol-v2` and, for protocol v0, `gitprotocol-pack`.

mod fetch;
mod tips;

pub use fetch::{FetchRequest, FetchResponse, PackStream};
pub use tips::Tips;

use std::sync::Arc;

use bstr::{BStr, ByteSlice};
use gix_transport::Service;
use gix_transport::client::Capabilities;
use gix_transport::client::blocking_io::{ReadlineBufRead, SetServiceResponse, TransportV2Ext};

use crate::error::{Error, Kind, Result, Side};
use crate::transport::Link;
use crate::wire::refs::Advertisement;

pub use gix_transport::Protocol;

/// What we call ourselves in the `agent` capability.
pub const AGENT: &str = concat!("git-remote-sync/", env!("CARGO_PKG_VERSION"));

/// A connected source.
pub struct Source {
    link: Box<dyn Link>,
    capabilities: Capabilities,
    protocol: Protocol,
    advertisement: Arc<Advertisement>,
    format: gix_hash::Kind,
    /// An answer was begun and not read to its end.
    unfinished: bool,
}

impl Source {
    /// Shake hands over `link` and read the refs.
    pub fn connect(mut link: Box<dyn Link>) -> Result<Source> {
        match handshake(&mut *link) {
            Ok((capabilities, protocol, advertisement)) => {
                let format = object_format(&capabilities)?;
                log::info!(
                    target: "relay::source",
                    "protocol {}, {} refs, {format}", protocol as usize, advertisement.refs.len()
                );
                Ok(Source {
                    link,
                    capabilities,
                    protocol,
                    advertisement: Arc::new(advertisement),
                    format,
                    unfinished: false,
                })
            }
            Err(err) => Err(link.explain(err).on(Side::Source)),
        }
    }

    /// Shake hands again, and read the refs as they are now.
    ///
    /// # Errors
    /// Those of [`Source::connect`]; what was known before stays.
    pub fn reconnect(&mut self) -> Result<()> {
        self.link.reopen().map_err(|err| err.on(Side::Source))?;
        let (capabilities, protocol, advertisement) =
            handshake(&mut *self.link).map_err(|err| self.link.explain(err).on(Side::Source))?;
        self.capabilities = capabilities;
        self.protocol = protocol;
        self.advertisement = Arc::new(advertisement);
        self.unfinished = false;
        Ok(())
    }

    /// The source's refs and HEAD.
    pub fn advertisement(&self) -> &Arc<Advertisement> {
        &self.advertisement
    }

    /// The hash function of the source's object ids.
    pub fn format(&self) -> gix_hash::Kind {
        self.format
    }

    /// The name of the protocol version that was agreed on.
    pub fn protocol_name(&self) -> &'static str {
        match self.protocol {
            Protocol::V2 => "v2",
            Protocol::V1 | Protocol::V0 => "v0",
        }
    }

    /// Whether packs without trees and blobs can be asked for.
    pub fn can_filter(&self) -> bool {
        self.fetch_feature("filter")
    }

    /// Whether `deepen` can be asked for.
    pub fn can_deepen(&self) -> bool {
        self.fetch_feature("shallow")
    }

    /// Whether commits can be asked for that no ref names, if they exist. Protocol v2 has no rule against it
    /// (`gitprotocol-v2`, "fetch"), older ones want the server's leave.
    pub fn serves_any_commit(&self) -> bool {
        const LEAVE: [&str; 2] = ["allow-reachable-sha1-in-want", "allow-any-sha1-in-want"];
        self.protocol == Protocol::V2 || LEAVE.iter().any(|name| self.capabilities.contains(name))
    }

    /// What the server calls itself.
    pub fn agent(&self) -> Option<String> {
        value_of(&self.capabilities, "agent")
    }

    /// The link, for its counters.
    pub fn link(&self) -> &dyn Link {
        &*self.link
    }

    fn fetch_feature(&self, name: &str) -> bool {
        match self.protocol {
            Protocol::V2 => self
                .capabilities
                .capability("fetch")
                .and_then(|fetch| fetch.supports(name))
                .unwrap_or(false),
            Protocol::V1 | Protocol::V0 => self.capabilities.contains(name),
        }
    }
}

fn handshake(link: &mut dyn Link) -> Result<(Capabilities, Protocol, Advertisement)> {
    let doing = "cannot read its refs";
    link.budget().renew();
    let mut advertisement = Advertisement::default();
    let SetServiceResponse {
        actual_protocol: protocol,
        capabilities,
        refs,
    } = link
        .handshake(Service::UploadPack, &[])
        .map_err(|err| Error::from_transport(err, doing))?;
    refs.map_or(Ok(()), |mut lines| read_v0_refs(&mut *lines, &mut advertisement))?;
    for symref in capabilities
        .iter()
        .filter(|c| c.name() == "symref")
        .filter_map(|c| c.value())
    {
        advertisement.set_head_from_symref(symref);
    }
    if protocol == Protocol::V2 {
        list_refs(link, &capabilities, &mut advertisement)?;
    }
    link.budget().lift();
    advertisement.finish(object_format(&capabilities)?)?;
    Ok((capabilities, protocol, advertisement))
}

/// `ls-refs` of protocol v2. gix has this too, but keeps the whole answer before the first line can be looked at, and
/// gives up at attributes of the future.
fn list_refs(mut link: &mut dyn Link, capabilities: &Capabilities, into: &mut Advertisement) -> Result<()> {
    let doing = "cannot read its refs";
    let offered = capabilities.capability("ls-refs").ok_or_else(|| {
        Error::new(
            Kind::Unsupported,
            "does not offer ls-refs, without which its refs cannot be told",
        )
    })?;
    let unborn = offered.supports("unborn").unwrap_or(false);
    let arguments = ["symrefs", "peel"].into_iter().chain(unborn.then_some("unborn"));
    let features = v2_features(capabilities);
    let mut lines = link
        .invoke("ls-refs", features, Some(arguments.map(Into::into)), false)
        .map_err(|err| Error::from_transport(err, doing))?;
    read_lines(&mut *lines, &mut |line| into.add_v2_line(line))
}

/// What goes with each command of protocol v2.
fn v2_features(capabilities: &Capabilities) -> impl Iterator<Item = (&'static str, Option<String>)> + use<> {
    let format = capabilities
        .capability("object-format")
        .and_then(|capability| Some(capability.value()?.to_str_lossy().into_owned()));
    let format = format.map(|value| ("object-format", Some(value)));
    format.into_iter().chain([("agent", Some(AGENT.to_owned()))])
}

/// What a server says about its object format when the conversation begins; its refs are not asked for.
pub fn announced_format(link: &mut dyn Link) -> Result<gix_hash::Kind> {
    let answer = link
        .handshake(Service::UploadPack, &[])
        .map_err(|err| Error::from_transport(err, "cannot read its refs"))?;
    object_format(&answer.capabilities)
}

/// Read the ref lines of a v0 or v1 advertisement to their flush.
pub(crate) fn read_v0_refs(lines: &mut (dyn ReadlineBufRead + '_), into: &mut Advertisement) -> Result<()> {
    read_lines(lines, &mut |line| into.add_v0_line(line))
}

/// Give each line to `take`, up to the flush.
fn read_lines(
    lines: &mut (dyn ReadlineBufRead + '_),
    take: &mut dyn FnMut(&BStr) -> Result<()>,
) -> Result<()> {
    let doing = "cannot read its refs";
    while let Some(line) = lines.readline() {
        let line = line
            .map_err(|err| Error::from_io(err, doing))?
            .map_err(|err| Error::from_transport(err, doing))?;
        let Some(line) = line.as_bstr() else { break };
        take(line)?;
    }
    Ok(())
}

/// The hash function that a peer announces; without a word it is SHA-1.
pub(crate) fn object_format(capabilities: &Capabilities) -> Result<gix_hash::Kind> {
    let announced = capabilities.capability("object-format");
    match announced.as_ref().and_then(|capability| capability.value()) {
        None => Ok(gix_hash::Kind::Sha1),
        Some(name) if name == "sha1" => Ok(gix_hash::Kind::Sha1),
        Some(name) if name == "sha256" => Ok(gix_hash::Kind::Sha256),
        Some(name) => {
            let name = crate::error::printable(name);
            Err(Error::new(
                Kind::Unsupported,
                format!("uses the object format '{name}', which is not known here"),
            ))
        }
    }
}

/// The value of the capability `name`, fit to be shown.
pub(crate) fn value_of(capabilities: &Capabilities, name: &str) -> Option<String> {
    let capability = capabilities.capability(name)?;
    Some(crate::error::printable(capability.value()?))
}
