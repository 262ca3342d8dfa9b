//! What stands before an entry's deflated bytes, and before the first entry.

use std::io::BufRead;

use gix_hash::{Kind as Format, ObjectId};

use super::damaged;
use super::input::Input;
use crate::error::{Error, Kind, Result};
use crate::wire::object::ObjectKind;

/// How an entry holds its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As it is.
    Whole(ObjectKind),
    /// As a delta against the entry that begins at this offset of the pack.
    OnOffset(u64),
    /// As a delta against this object, wherever that is.
    OnId(ObjectId),
}

/// Where an entry begins, what it is, and how large its content claims to be when inflated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) offset: u64,
    pub(super) form: Form,
    pub(super) size: u64,
}

/// Read the pack's header; yields the object count.
pub(super) fn read_header(input: &mut Input<impl BufRead>) -> Result<u32> {
    let (mut magic, mut version, mut count) = ([0; 4], [0; 4], [0; 4]);
    input.exact(&mut magic)?;
    if magic != *b"PACK" {
        return Err(Error::new(Kind::Corrupt, "what arrived is not a pack"));
    }
    input.exact(&mut version)?;
    if !matches!(u32::from_be_bytes(version), 2 | 3) {
        return Err(damaged("it has a version that git does not know"));
    }
    input.exact(&mut count)?;
    Ok(u32::from_be_bytes(count))
}

/// Read all of an entry that stands before its deflated bytes.
pub(super) fn read_entry(input: &mut Input<impl BufRead>, format: Format) -> Result<Entry> {
    let offset = input.bytes();
    let first = input.byte()?;
    let size = read_size(input, first)?;
    let form = match (first >> 4) & 7 {
        1 => Form::Whole(ObjectKind::Commit),
        2 => Form::Whole(ObjectKind::Tree),
        3 => Form::Whole(ObjectKind::Blob),
        4 => Form::Whole(ObjectKind::Tag),
        6 => {
            let back = read_distance(input)?;
            let base = offset.checked_sub(back).filter(|_| back > 0);
            Form::OnOffset(base.ok_or_else(|| damaged("a delta's base lies outside"))?)
        }
        7 => Form::OnId(read_id(input, format)?),
        _ => return Err(damaged("an entry has an unknown type")),
    };
    Ok(Entry { offset, form, size })
}

/// Four bits of the first byte, then seven of each that follows, the lowest first.
fn read_size(input: &mut Input<impl BufRead>, first: u8) -> Result<u64> {
    let mut size = u64::from(first & 0x0f);
    let (mut byte, mut shift) = (first, 4);
    while byte & 0x80 != 0 {
        if shift > 56 {
            return Err(damaged("an entry has an impossible size"));
        }
        byte = input.byte()?;
        size |= u64::from(byte & 0x7f) << shift;
        shift += 7;
    }
    Ok(size)
}

/// Seven bits of each byte, the highest first, where each continuation adds one.
fn read_distance(input: &mut Input<impl BufRead>) -> Result<u64> {
    let mut byte = input.byte()?;
    let mut distance = u64::from(byte & 0x7f);
    while byte & 0x80 != 0 {
        byte = input.byte()?;
        if distance >= 1 << 56 {
            return Err(damaged("a delta's base lies outside"));
        }
        distance = ((distance + 1) << 7) | u64::from(byte & 0x7f);
    }
    Ok(distance)
}

fn read_id(input: &mut Input<impl BufRead>, format: Format) -> Result<ObjectId> {
    let mut buf = [0; 32];
    let id = buf.get_mut(..format.len_in_bytes()).unwrap_or_default();
    input.exact(id)?;
    ObjectId::try_from(&*id).map_err(|_| damaged("a delta's base has no id"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(data: &[u8]) -> Input<&[u8]> {
        Input::new(data, Format::Sha1)
    }

    #[test]
    fn sizes_and_distances_are_those_of_the_format() {
        // The low four bits come first: 1104 is 0x450.
        assert_eq!(read_size(&mut input(b"\x45"), 0x90).unwrap(), 1104);
        assert_eq!(read_size(&mut input(b""), 0x1f).unwrap(), 15);
        assert_eq!(read_distance(&mut input(b"\x7f")).unwrap(), 127);
        assert_eq!(read_distance(&mut input(b"\x80\x00")).unwrap(), 128);
        assert_eq!(read_distance(&mut input(b"\x81\x00")).unwrap(), 256);
    }

    #[test]
    fn impossible_numbers_are_corrupt() {
        let endless = [0xff; 12];
        let err = read_size(&mut input(&endless), 0xff).unwrap_err();
        assert_eq!(err.kind(), Kind::Corrupt);
        let err = read_distance(&mut input(&endless)).unwrap_err();
        assert_eq!(err.kind(), Kind::Corrupt);
    }

    #[test]
    fn unknown_types_and_bases_outside_the_pack_are_corrupt() {
        for bad in [b"\x00".as_slice(), b"\x50", b"\x60\x01", b"\x60\x00"] {
            let err = read_entry(&mut input(bad), Format::Sha1).unwrap_err();
            assert_eq!(err.kind(), Kind::Corrupt, "{bad:?}");
        }
    }
}
