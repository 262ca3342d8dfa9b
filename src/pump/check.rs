//! Judging a pack while it passes, without looking at its entries.

use gix_hash::{Kind as Format, ObjectId};

use crate::error::{Error, Kind, Result};
use crate::wire::object::Hasher;
use crate::wire::pack::{HEADER_BYTES, object_count};

/// The longest trailer, that of SHA-256.
const TAIL_BYTES: usize = 32;

/// No entry is shorter: a byte of type and size, and the zlib stream of nothing.
const LEAST_ENTRY: u64 = 9;

/// What a pack turned out to be once all of it had passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The size of the pack with header and trailer.
    pub bytes: u64,
    /// The number of objects that its header counts.
    pub objects: u32,
}

/// A pack that is fed in slices and let go again, except for the last bytes: those stay here until the end shows that
/// the trailer is the checksum of all before it.
///
/// A receiver never takes a pack without its trailer, so what is cut or damaged on the way cannot complete at the
/// receiver. (Bytes *behind* a whole pack are an error too, but by then that pack may have gone through.)
pub struct PackCheck {
    format: Format,
    max_bytes: Option<u64>,
    bytes: u64,
    header: [u8; HEADER_BYTES],
    hasher: Hasher,
    tail: Tail,
}

impl PackCheck {
    /// A check on a pack in `format`, which may have `max_bytes` bytes at most.
    pub fn new(format: Format, max_bytes: Option<u64>) -> Self {
        PackCheck {
            format,
            max_bytes,
            bytes: 0,
            header: [0; HEADER_BYTES],
            hasher: Hasher::new(format),
            tail: Tail::default(),
        }
    }

    /// Take the next `data` in and say what may be let go: the older bytes first, then a part of `data` itself.
    ///
    /// # Errors
    ///
    /// [`Kind::Corrupt`] if this is no pack, [`Kind::Limit`] if it outgrows the limit. Nothing may be fed after that.
    pub fn feed<'d>(&mut self, data: &'d [u8]) -> Result<Released<'d>> {
        self.read_header(data)?;
        self.bytes = self.bytes.saturating_add(data.len() as u64);
        if let Some(max) = self.max_bytes.filter(|max| self.bytes > *max) {
            let message = format!("the pack is larger than the limit of {max} bytes");
            return Err(Error::new(Kind::Limit, message));
        }
        self.check_objects()?;
        let released = self.tail.push(data, self.format.len_in_bytes());
        for part in released.parts() {
            self.hasher.update(part);
        }
        Ok(released)
    }

    /// The bytes fed so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The object count in the header, once the header has been fed.
    pub fn objects(&self) -> Option<u32> {
        (self.bytes >= HEADER_BYTES as u64).then(|| object_count(&self.header))
    }

    /// The stream has ended: check the trailer and let it go.
    ///
    /// # Errors
    ///
    /// [`Kind::Network`] if there is not even an empty pack, [`Kind::Corrupt`] if the checksum is wrong. A stream that
    /// ends in the middle, without its transport noticing, shows as a wrong checksum.
    pub fn finish(self) -> Result<(Released<'static>, Summary)> {
        let least = HEADER_BYTES + self.format.len_in_bytes();
        let Some(objects) = self.objects().filter(|_| self.bytes >= least as u64) else {
            let message = format!("the pack broke off after {} bytes", self.bytes);
            return Err(Error::new(Kind::Network, message));
        };
        let checksum: ObjectId = self.hasher.finish();
        if checksum.as_slice() != self.tail.as_slice() {
            let message = format!(
                "the pack is damaged or cut short: its {} bytes do not end in their checksum",
                self.bytes
            );
            return Err(Error::new(Kind::Corrupt, message));
        }
        let summary = Summary {
            bytes: self.bytes,
            objects,
        };
        let released = Released {
            older: self.tail,
            newer: &[],
        };
        Ok((released, summary))
    }

    /// So many objects can be too much for the limit before their bytes have come.
    fn check_objects(&self) -> Result<()> {
        let (Some(max), Some(objects)) = (self.max_bytes, self.objects()) else {
            return Ok(());
        };
        if u64::from(objects) * LEAST_ENTRY <= max {
            return Ok(());
        }
        let message = format!("a pack of {objects} objects is larger than the limit of {max} bytes");
        Err(Error::new(Kind::Limit, message))
    }

    /// Keep the header and refuse, as soon as it shows, what does not begin like a pack of version 2 or 3.
    fn read_header(&mut self, data: &[u8]) -> Result<()> {
        let have = usize::try_from(self.bytes).unwrap_or(usize::MAX);
        let Some(missing) = self.header.get_mut(have..).filter(|rest| !rest.is_empty()) else {
            return Ok(());
        };
        for (to, from) in missing.iter_mut().zip(data) {
            *to = *from;
        }
        let seen = self.header.get(..have.saturating_add(data.len()).min(8));
        let seen = seen.unwrap_or_default();
        if b"PACK\0\0\0\x02".starts_with(seen) || b"PACK\0\0\0\x03".starts_with(seen) {
            return Ok(());
        }
        Err(match seen.strip_prefix(b"PACK") {
            Some(_) => Error::new(Kind::Corrupt, "the pack has a version that git does not know"),
            None => Error::new(Kind::Corrupt, "what arrived is not a pack"),
        })
    }
}

/// What [`PackCheck`] lets go: bytes to be passed on in this order.
#[derive(Debug, Clone, Copy)]
pub struct Released<'d> {
    pub(super) older: Tail,
    pub(super) newer: &'d [u8],
}

impl Released<'_> {
    /// The slices to write, one after the other; either may be empty.
    pub fn parts(&self) -> [&[u8]; 2] {
        [self.older.as_slice(), self.newer]
    }
}

/// Up to [`TAIL_BYTES`] bytes, kept in place.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tail {
    bytes: [u8; TAIL_BYTES],
    len: usize,
}

impl Tail {
    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Append, for as much as there is room.
    fn extend(&mut self, data: &[u8]) {
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        for (to, from) in room.iter_mut().zip(data) {
            *to = *from;
            self.len += 1;
        }
    }

    /// Keep the last `keep` bytes of what is here and `data`, and release what is older.
    fn push<'d>(&mut self, data: &'d [u8], keep: usize) -> Released<'d> {
        let go = (self.len + data.len()).saturating_sub(keep);
        let (old, stay) = self.as_slice().split_at(go.min(self.len));
        let (newer, stay_new) = data.split_at(go.saturating_sub(self.len));
        let (mut older, mut tail) = (Tail::default(), Tail::default());
        older.extend(old);
        tail.extend(stay);
        tail.extend(stay_new);
        *self = tail;
        Released { older, newer }
    }
}
