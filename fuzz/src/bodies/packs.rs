//! A pack that is read, and a pack that is passed on.

use std::io::BufReader;

use git_remote_sync::pump::{PackCheck, relay};
use git_remote_sync::wire::object::{Commit, Hasher, ObjectKind, Tag, hash, tree_entry};
use git_remote_sync::wire::pack::{Keep, Limits, Object, PackReader};
use gix_hash::Kind as Format;

use super::super::error::Error;
use super::checks::{same_in_pieces, told};
use super::peer::Pieces;

/// Small, so that a few bytes of input reach them.
const LIMITS: Limits = Limits {
    object_bytes: 64 * 1024,
    memory_bytes: 4 * 1024,
    stored_bytes: 256 * 1024,
};

/// A pack out of which objects are taken: as it is, and with the checksum that it should have.
pub fn pack(data: &[u8]) {
    for format in [Format::Sha1, Format::Sha256] {
        let mended = with_checksum(data, format);
        for input in [data, mended.as_slice()] {
            for keep in [Keep::History, Keep::All] {
                read(input, format, keep);
            }
        }
    }
}

fn read(data: &[u8], format: Format, keep: Keep) {
    let (objects, end) = same_in_pieces(|step| objects(data, format, keep, step));
    let total: u64 = objects.iter().map(|object| object.data.len() as u64).sum();
    // Each object is stored, and the last may be the one that was too much.
    assert!(total <= LIMITS.stored_bytes + LIMITS.object_bytes as u64);
    for object in &objects {
        assert_eq!(object.id, hash(format, object.kind, &object.data));
        match object.kind {
            ObjectKind::Commit => drop(Commit::parse(format, &object.data)),
            ObjectKind::Tag => drop(Tag::parse(format, &object.data)),
            ObjectKind::Tree => drop(tree_entry(format, &object.data, b".gitattributes")),
            ObjectKind::Blob => {}
        }
    }
    if let Some((complete, read)) = end {
        let passed = usize::try_from(read)
            .ok()
            .and_then(|read| data.get(..read))
            .unwrap();
        assert!(
            pass_on(passed, format, None, usize::MAX).is_ok(),
            "a whole pack is passed on"
        );
        let expected = objects.len() as u64;
        let said = u64::from(u32::from_be_bytes(data[8..12].try_into().unwrap()));
        assert!(!complete || keep == Keep::History || said == expected);
    }
}

/// The objects, and then why it ended: whether all could be told and how many bytes were read, or nothing after an error.
fn objects(data: &[u8], format: Format, keep: Keep, step: usize) -> (Vec<Object>, Option<(bool, u64)>) {
    // What is damaged and cut short can be called either, and which shows first depends on the pieces.
    let failed = |err: Error| {
        told(&err);
        None
    };
    let mut objects = Vec::new();
    let input = BufReader::with_capacity(512, Pieces::new(data, step));
    let mut reader = match PackReader::with_limits(input, format, keep, LIMITS) {
        Ok(reader) => reader,
        Err(err) => return (objects, failed(err)),
    };
    for object in &mut reader {
        match object {
            Ok(object) => objects.push(object),
            Err(err) => return (objects, failed(err)),
        }
    }
    (objects, Some((reader.is_complete(), reader.bytes())))
}

/// A pack on its way: what arrives is what was sent, or lacks its end.
pub fn pump(data: &[u8]) {
    for format in [Format::Sha1, Format::Sha256] {
        let mended = with_checksum(data, format);
        for input in [data, mended.as_slice()] {
            for limit in [None, Some(100)] {
                // An error may come later or sooner; which one it is depends on what has been seen by then.
                let passed = same_in_pieces(|step| pass_on(input, format, limit, step).is_ok());
                assert!(!passed || limit.is_none_or(|max| input.len() as u64 <= max));
            }
        }
    }
}

/// Pass a pack on; yields what is said when that fails.
fn pass_on(data: &[u8], format: Format, max: Option<u64>, step: usize) -> Result<(), String> {
    let mut out = Vec::new();
    let check = PackCheck::new(format, max);
    let result = relay(
        &mut Pieces::new(data, step),
        &mut [&mut out],
        check,
        &mut |_, _| {},
    );
    assert!(data.starts_with(&out));
    match result {
        Ok(summary) => {
            assert_eq!((summary.bytes, out.len()), (data.len() as u64, data.len()));
            Ok(())
        }
        Err(err) => {
            let held_back = data.len() - out.len();
            assert!(
                held_back >= format.len_in_bytes().min(data.len()),
                "only {held_back} were held back"
            );
            assert!(max.is_none_or(|max| out.len() as u64 <= max));
            Err(told(&err))
        }
    }
}

/// `data`, followed by the checksum that makes a pack of what begins like one.
fn with_checksum(data: &[u8], format: Format) -> Vec<u8> {
    let mut hasher = Hasher::new(format);
    hasher.update(data);
    [data, hasher.finish().as_slice()].concat()
}
