//! A pack and its index, composed in memory from whole objects: gitformat-pack(5), versions 2 and 2.
//!
//! No deltas and no compression. Tips are some hundred bytes each and gone in a moment.

use gix_hash::{Kind as Hash, ObjectId};

use super::objects::hash;
use crate::error::{Error, Kind, Result};
use crate::wire::object::ObjectKind;
use crate::wire::pack::Object;

/// The largest offset in an index without its table of large ones.
const MAX_OFFSET: usize = 0x7fff_ffff;

/// The files of a pack.
#[derive(Debug, Clone)]
pub(super) struct Pack {
    /// The checksum at the pack's end, which names it.
    pub(super) checksum: ObjectId,
    /// The content of the `.pack` file.
    pub(super) data: Vec<u8>,
    /// The content of the `.idx` file.
    pub(super) index: Vec<u8>,
}

struct Entry {
    oid: ObjectId,
    crc32: u32,
    offset: u32,
}

impl Pack {
    /// Compose a pack of `tips`, each of which must be in it once only.
    ///
    /// # Errors
    /// `Limit` when they take 2 GiB or more.
    pub(super) fn compose(format: Hash, tips: &[&Object]) -> Result<Pack> {
        let too_big = || Error::new(Kind::Limit, "the tips of the source take more than 2 GiB");
        let count = u32::try_from(tips.len()).map_err(|_| too_big())?;
        let mut data = b"PACK\0\0\0\x02".to_vec();
        data.extend(count.to_be_bytes());
        let mut entries = Vec::with_capacity(tips.len());
        for tip in tips {
            let start = data.len();
            let offset = u32::try_from(start)
                .ok()
                .filter(|_| start <= MAX_OFFSET)
                .ok_or_else(too_big)?;
            let mut entry = entry_header(tip.kind, tip.data.len());
            entry.extend(stored(&[&tip.data]));
            let mut crc = flate2::Crc::new();
            crc.update(&entry);
            data.extend_from_slice(&entry);
            entries.push(Entry {
                oid: tip.id,
                crc32: crc.sum(),
                offset,
            });
        }
        let checksum = hash(format, &[&data])?;
        data.extend_from_slice(checksum.as_slice());
        let index = index(format, entries, &checksum)?;
        Ok(Pack {
            checksum,
            data,
            index,
        })
    }
}

/// The type and size in front of an object.
fn entry_header(kind: ObjectKind, size: usize) -> Vec<u8> {
    let kind = match kind {
        ObjectKind::Commit => 1,
        ObjectKind::Tree => 2,
        ObjectKind::Blob => 3,
        ObjectKind::Tag => 4,
    };
    let low = |value: usize, mask: usize| u8::try_from(value & mask).unwrap_or_default();
    let mut out = vec![(kind << 4) | low(size, 15)];
    let mut rest = size >> 4;
    while rest > 0 {
        if let Some(last) = out.last_mut() {
            *last |= 0x80;
        }
        out.push(low(rest, 0x7f));
        rest >>= 7;
    }
    out
}

fn index(format: Hash, mut entries: Vec<Entry>, pack: &ObjectId) -> Result<Vec<u8>> {
    entries.sort_by_key(|entry| entry.oid);
    let mut out = b"\xfftOc\0\0\0\x02".to_vec();
    for first in 0..=u8::MAX {
        let up_to = entries.partition_point(|entry| entry.oid.as_slice().first() <= Some(&first));
        out.extend(u32::try_from(up_to).unwrap_or(u32::MAX).to_be_bytes());
    }
    entries
        .iter()
        .for_each(|entry| out.extend_from_slice(entry.oid.as_slice()));
    entries
        .iter()
        .for_each(|entry| out.extend(entry.crc32.to_be_bytes()));
    entries
        .iter()
        .for_each(|entry| out.extend(entry.offset.to_be_bytes()));
    out.extend_from_slice(pack.as_slice());
    let checksum = hash(format, &[&out])?;
    out.extend_from_slice(checksum.as_slice());
    Ok(out)
}

/// `parts` as one zlib stream (RFC 1950) of stored blocks (RFC 1951, 3.2.4). Starting a real compressor for each
/// of ten thousand tips would take longer than writing them.
pub(super) fn stored(parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = Vec::with_capacity(content.len() + 11);
    out.extend([0x78, 0x01]);
    let mut rest = content.as_slice();
    loop {
        let (block, more) = rest.split_at(rest.len().min(0xffff));
        rest = more;
        let len = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(u8::from(rest.is_empty()));
        out.extend(len.to_le_bytes());
        out.extend((!len).to_le_bytes());
        out.extend_from_slice(block);
        if rest.is_empty() {
            break;
        }
    }
    out.extend(adler32(&content).to_be_bytes());
    out
}

fn adler32(content: &[u8]) -> u32 {
    let (mut a, mut b) = (1u32, 0u32);
    // The most bytes for which the sums stay below 2^32.
    for chunk in content.chunks(5552) {
        for byte in chunk {
            a += u32::from(*byte);
            b += a;
        }
        a %= 65521;
        b %= 65521;
    }
    (b << 16) | a
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::Git;
    use std::io::Read;

    #[test]
    fn a_stored_stream_inflates_to_its_content() {
        for len in [0, 1, 0xffff, 0x10000, 300_000] {
            let content: Vec<u8> = (0..len)
                .map(|at: u32| at.to_le_bytes()[at as usize % 3])
                .collect();
            let stream = stored(&[&content[..len as usize / 2], &content[len as usize / 2..]]);
            let mut back = Vec::new();
            flate2::read::ZlibDecoder::new(stream.as_slice())
                .read_to_end(&mut back)
                .unwrap();
            assert!(back == content, "{len}");
        }
    }

    #[test]
    fn git_accepts_the_pack_and_makes_the_same_index() {
        for format in [Hash::Sha1, Hash::Sha256] {
            let tmp = tempfile::tempdir().unwrap();
            let git = Git::here();
            let option = format!("--object-format={format}");
            git.command(["init", "-q", "--bare", &option])
                .arg(tmp.path())
                .run()
                .unwrap();
            let git = Git::at(tmp.path());
            let tips: Vec<Object> = (0..600).map(|at| blob(format, &vec![b'x'; at * 7])).collect();
            let pack = Pack::compose(format, &tips.iter().collect::<Vec<_>>()).unwrap();
            let path = tmp.path().join("x.pack");
            std::fs::write(&path, &pack.data).unwrap();
            let name = git.command(["index-pack"]).arg(&path).run().unwrap();
            assert_eq!(String::from_utf8(name).unwrap().trim(), pack.checksum.to_string());
            assert!(
                std::fs::read(tmp.path().join("x.idx")).unwrap() == pack.index,
                "{format}"
            );
        }
    }

    fn blob(format: Hash, data: &[u8]) -> Object {
        let header = format!("blob {}\0", data.len());
        let oid = hash(format, &[header.as_bytes(), data]).unwrap();
        Object {
            kind: ObjectKind::Blob,
            id: oid,
            data: data.to_vec(),
        }
    }

    #[test]
    fn an_object_that_is_not_what_its_name_says_is_refused() {
        let mut tip = blob(Hash::Sha1, b"a");
        super::super::objects::verify(&tip).unwrap();
        tip.data.push(b'b');
        assert_eq!(
            super::super::objects::verify(&tip).unwrap_err().kind(),
            Kind::Corrupt
        );
    }
}
