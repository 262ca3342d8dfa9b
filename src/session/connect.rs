//! Finding both sides and connecting to them.

use crate::error::{Error, Kind, Result, Side};
use crate::git::Config;
use crate::receive_pack::Target;
use crate::strategy::relay;
use crate::transport;
use crate::upload_pack::{Protocol, Source, announced_format};
use crate::url::{Address, RelayUrl};

/// What came of connecting each side.
pub struct Connected {
    /// The source, which may be of use without the target.
    pub source: Result<Source>,
    /// The target.
    pub target: Result<Target>,
}

/// Connect both sides of `url` at the same time; names and rewrites come from `config`.
///
/// # Errors
/// When `url` itself is wrong: an unknown transport, one that policy forbids, the same repository on both sides.
pub async fn connect(url: &RelayUrl, config: &Config) -> Result<Connected> {
    let (source, target) = addresses(url, config)?;
    let version = protocol_version(config)?;
    if source.is_known_to_be_shallow() {
        return Err(relay::shallow_source());
    }
    let source = tokio::task::spawn_blocking(move || connect_source(&source, version));
    let target = tokio::task::spawn_blocking(move || connect_target(&target));
    let (source, target) = tokio::join!(source, target);
    Ok(Connected {
        source: source.unwrap_or_else(crashed),
        target: target.unwrap_or_else(crashed),
    })
}

/// Connect to the `upload-pack` at `address`, asking for protocol `version`.
///
/// # Errors
/// When it cannot be reached or is no repository.
pub fn connect_source(address: &Address, version: Protocol) -> Result<Source> {
    let link = transport::open_upload_pack(address, version).map_err(|err| err.on(Side::Source))?;
    Source::connect(link)
}

/// Connect to the `receive-pack` at `address`.
///
/// # Errors
/// When it cannot be reached or is no repository.
pub fn connect_target(address: &Address) -> Result<Target> {
    let link = transport::open_receive_pack(address).map_err(|err| err.on(Side::Target))?;
    Target::connect(link)
}

/// The hash function of the source at `address`, by no more than the first words of a conversation.
///
/// # Errors
/// When it cannot be reached or is no repository.
pub fn object_format(address: &Address) -> Result<gix_hash::Kind> {
    announced_format(&mut *transport::open_upload_pack(address, Protocol::V2)?)
}

/// What `protocol.version` asks for. Version 1 differs from 0 in nothing but its announcement.
///
/// # Errors
/// `Config` when there is no such version.
pub fn protocol_version(config: &Config) -> Result<Protocol> {
    match config.number("protocol.version")? {
        None | Some(2) => Ok(Protocol::V2),
        Some(0 | 1) => Ok(Protocol::V1),
        Some(other) => Err(Error::new(
            Kind::Config,
            format!("unknown value for config 'protocol.version': {other}"),
        )),
    }
}

/// Where both sides of `url` are; names and rewrites come from `config`.
///
/// # Errors
/// Those of [`connect`].
pub fn addresses(url: &RelayUrl, config: &Config) -> Result<(Address, Address)> {
    let target = url
        .targets
        .first()
        .ok_or_else(|| Error::new(Kind::Usage, "the relay URL names no target"))?;
    let source = Address::find(&url.source, Side::Source, config)?;
    let target = Address::find(target, Side::Target, config)?;
    if source.is_same_as(&target) {
        let message = format!("source and target are the same repository: {source}");
        return Err(Error::new(Kind::Usage, message));
    }
    Ok((source, target))
}

fn crashed<T>(err: tokio::task::JoinError) -> Result<T> {
    Err(Error::new(Kind::Internal, "a connection attempt crashed").caused_by(err))
}
