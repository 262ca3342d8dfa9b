//! Rebuilding an object from its base and a delta.

use crate::error::{Error, Kind, Result};

/// The object that `delta` makes of `base`, if it has at most `max` bytes.
///
/// # Errors
///
/// [`Kind::Corrupt`] where git's `patch_delta` would fail: `base` has another size than the delta was made for, an
/// instruction reaches outside it, or the result has another size than promised. [`Kind::Limit`] above `max`.
pub(super) fn apply(base: &[u8], delta: &[u8], max: usize) -> Result<Vec<u8>> {
    let (size, mut rest) = sizes(base, delta).ok_or_else(bad)?;
    let size = usize::try_from(size).ok().filter(|size| *size <= max);
    let size = size.ok_or_else(|| super::too_large(max))?;
    // What the delta promises is not believed beforehand: a page may be a reserve, the rest comes as it fills.
    let mut out = Vec::with_capacity(size.min(4096));
    while !rest.is_empty() {
        let (piece, after) = instruction(base, rest).ok_or_else(bad)?;
        if piece.len() > size - out.len() {
            return Err(bad());
        }
        out.extend_from_slice(piece);
        rest = after;
    }
    if out.len() == size { Ok(out) } else { Err(bad()) }
}

/// The size of the result, if the delta is for a base of this size, and the instructions.
fn sizes<'d>(base: &[u8], delta: &'d [u8]) -> Option<(u64, &'d [u8])> {
    let (base_size, rest) = size(delta)?;
    let (size, rest) = size(rest)?;
    (base_size == base.len() as u64).then_some((size, rest))
}

/// A number in groups of seven bits, the lowest first.
fn size(mut data: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = data.split_first()?;
        data = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value, data));
        }
    }
    None
}

/// The bytes that the next instruction adds, and what follows it.
fn instruction<'d>(base: &'d [u8], data: &'d [u8]) -> Option<(&'d [u8], &'d [u8])> {
    let (op, mut rest) = data.split_first()?;
    if op & 0x80 == 0 {
        // Zero is reserved.
        return (*op != 0).then(|| rest.split_at_checked(usize::from(*op)))?;
    }
    let (mut offset, mut len) = (0usize, 0usize);
    for bit in 0..7 {
        if op & (1 << bit) == 0 {
            continue;
        }
        let (byte, after) = rest.split_first()?;
        rest = after;
        match bit {
            0..4 => offset |= usize::from(*byte) << (8 * bit),
            _ => len |= usize::from(*byte) << (8 * (bit - 4)),
        }
    }
    let len = if len == 0 { 0x10000 } else { len };
    Some((base.get(offset..offset.checked_add(len)?)?, rest))
}

fn bad() -> Error {
    Error::new(
        Kind::Corrupt,
        "the pack is damaged: a delta does not fit its base",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &[u8] = b"0123456789";

    #[test]
    fn copies_and_inserts_make_the_result() {
        // Copy 3 from offset 2, insert "ab", copy 1 from offset 9.
        let delta = b"\x0a\x06\x91\x02\x03\x02ab\x91\x09\x01";
        assert_eq!(apply(BASE, delta, 6).unwrap(), b"234ab9");
        assert_eq!(apply(BASE, delta, 5).unwrap_err().kind(), Kind::Limit);
    }

    #[test]
    fn a_copy_without_a_length_is_64_kib_long() {
        let base = vec![7; 0x10001];
        let delta = b"\x81\x80\x04\x80\x80\x04\x81\x01";
        assert_eq!(apply(&base, delta, 0x10000).unwrap(), vec![7; 0x10000]);
    }

    #[test]
    fn what_does_not_fit_is_corrupt() {
        let bad: [(&str, &[u8]); 10] = [
            ("empty", b""),
            ("no result size", b"\x0a"),
            ("another base", b"\x0b\x01\x01a"),
            ("a copy beyond the base", b"\x0a\x02\x91\x09\x02"),
            ("a copy from beyond the base", b"\x0a\x01\x91\x0b\x01"),
            ("a reserved instruction", b"\x0a\x01\x00\x01a"),
            ("a cut insert", b"\x0a\x02\x02a"),
            ("a cut copy", b"\x0a\x01\x91\x00"),
            ("too little", b"\x0a\x03\x02ab"),
            ("too much", b"\x0a\x01\x02ab"),
        ];
        for (what, delta) in bad {
            let err = apply(BASE, delta, 1000).unwrap_err();
            assert_eq!(err.kind(), Kind::Corrupt, "{what}");
        }
        let endless = [0xff; 20];
        assert_eq!(apply(BASE, &endless, 1000).unwrap_err().kind(), Kind::Corrupt);
    }
}
