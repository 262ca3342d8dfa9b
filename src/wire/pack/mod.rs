//! Packs as a stream of bytes: see `gitformat-pack`.
//!
//! [`PackReader`] takes objects out of a pack as it arrives, [`PackWriter`] composes a small one. Neither knows where
//! the bytes come from or go to, nor what the objects are for. A pack that is merely passed on is not read at all:
//! that is [`crate::pump`].

mod bases;
mod delta;
mod entry;
mod input;
mod reader;
mod store;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::{Keep, Limits, Object, PackReader};
pub use writer::{PackWriter, empty_pack};

use crate::error::{Error, Kind};

/// `PACK`, the version, the object count: see `gitformat-pack`.
pub const HEADER_BYTES: usize = 12;

/// The number of objects that a pack's `header` counts.
pub fn object_count(header: &[u8; HEADER_BYTES]) -> u32 {
    let [.., a, b, c, d] = *header;
    u32::from_be_bytes([a, b, c, d])
}

fn damaged(how: &str) -> Error {
    Error::new(Kind::Corrupt, format!("the pack is damaged: {how}"))
}

fn too_large(max: usize) -> Error {
    let message = format!("the pack holds an object of more than {max} bytes where a small one is needed");
    Error::new(Kind::Limit, message)
}
