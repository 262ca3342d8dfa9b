//! The client of the source's `upload-pack`: its refs, and packs on request.
//!
//! gix carries the handshake, `ls-refs` and pkt-lines. The arguments of `fetch` are built here, because a relay asks
//! questions that no ordinary fetch asks; see `gitprotocol-v2` and, for protocol v0, `gitprotocol-pack`.

mod fetch;
mod tips;

pub use fetch::{FetchRequest, FetchResponse, PackStream};
pub use tips::Tips;

use gix_protocol::LsRefsCommand;
use gix_transport::Service;
use gix_transport::client::Capabilities;
use gix_transport::client::blocking_io::SetServiceResponse;

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
    advertisement: Advertisement,
    format: gix_hash::Kind,
    /// An answer was begun and not read to its end.
    unfinished: bool,
}

impl Source {
    /// Shake hands over `link` and read the refs.
    pub fn connect(mut link: Box<dyn Link>) -> Result<Source> {
        match handshake(&mut *link) {
            Ok((capabilities, protocol, advertisement)) => {
                link.budget().lift();
                let format = object_format(&capabilities)?;
                log::info!(
                    target: "relay::source",
                    "protocol {}, {} refs, {format}", protocol as usize, advertisement.refs.len()
                );
                Ok(Source {
                    link,
                    capabilities,
                    protocol,
                    advertisement,
                    format,
                    unfinished: false,
                })
            }
            Err(err) => Err(link.explain(err).on(Side::Source)),
        }
    }

    /// The source's refs and HEAD.
    pub fn advertisement(&self) -> &Advertisement {
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
        let list = LsRefsCommand::new(None, &capabilities, ("agent", Some(AGENT.into())));
        let refs = list
            .invoke_blocking(link, &mut gix_utils::progress::Discard, false)
            .map_err(|err| Error::from_transport(err, doing))?;
        refs.into_iter()
            .try_for_each(|entry| advertisement.add_v2_ref(entry))?;
    }
    advertisement.finish();
    Ok((capabilities, protocol, advertisement))
}

/// What a server says about its object format when the conversation begins; its refs are not asked for.
pub fn announced_format(link: &mut dyn Link) -> Result<gix_hash::Kind> {
    let answer = link
        .handshake(Service::UploadPack, &[])
        .map_err(|err| Error::from_transport(err, "cannot read its refs"))?;
    object_format(&answer.capabilities)
}

/// Read the ref lines of a v0 or v1 advertisement to their flush.
pub(crate) fn read_v0_refs(
    lines: &mut (dyn gix_transport::client::blocking_io::ReadlineBufRead + '_),
    into: &mut Advertisement,
) -> Result<()> {
    let doing = "cannot read its refs";
    while let Some(line) = lines.readline() {
        let line = line
            .map_err(|err| Error::from_io(err, doing))?
            .map_err(|err| Error::from_transport(err, doing))?;
        match line.as_bstr() {
            Some(line) => into.add_v0_line(line)?,
            None => break,
        }
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
