//! Composing a small pack.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use gix_hash::{Kind as Format, ObjectId};

use crate::error::{Error, Kind, Result};
use crate::wire::object::{Hasher, ObjectKind};

/// Writes a pack of whole objects, without deltas.
pub struct PackWriter<W> {
    out: W,
    hasher: Hasher,
    left: u32,
}

impl<W: Write> PackWriter<W> {
    /// Begin a pack of exactly `objects` objects.
    ///
    /// # Errors
    ///
    /// Whatever `out` fails with, here and below.
    pub fn new(out: W, format: Format, objects: u32) -> Result<Self> {
        let mut writer = PackWriter {
            out,
            hasher: Hasher::new(format),
            left: objects,
        };
        writer.put(b"PACK\0\0\0\x02")?;
        writer.put(&objects.to_be_bytes())?;
        Ok(writer)
    }

    /// Add an object.
    ///
    /// # Errors
    ///
    /// [`Kind::Internal`] if there are more than were announced.
    pub fn add(&mut self, kind: ObjectKind, data: &[u8]) -> Result<()> {
        self.left = self.left.checked_sub(1).ok_or_else(miscounted)?;
        self.put(&entry_header(kind, data.len()))?;
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        let deflated = encoder.write_all(data).and_then(|()| encoder.finish());
        self.put(&deflated.map_err(failed)?)
    }

    /// Add the trailer; yields the writer and the pack's checksum.
    ///
    /// # Errors
    ///
    /// [`Kind::Internal`] if there are fewer objects than were announced.
    pub fn finish(mut self) -> Result<(W, ObjectId)> {
        if self.left != 0 {
            return Err(miscounted());
        }
        let checksum = self.hasher.finish();
        self.out.write_all(checksum.as_slice()).map_err(failed)?;
        self.out.flush().map_err(failed)?;
        Ok((self.out, checksum))
    }

    fn put(&mut self, data: &[u8]) -> Result<()> {
        self.hasher.update(data);
        self.out.write_all(data).map_err(failed)
    }
}

/// The pack without objects that `receive-pack` wants when refs are created for objects that it has.
pub fn empty_pack(format: Format) -> Vec<u8> {
    let mut pack = b"PACK\0\0\0\x02\0\0\0\0".to_vec();
    let mut hasher = Hasher::new(format);
    hasher.update(&pack);
    pack.extend_from_slice(hasher.finish().as_slice());
    pack
}

fn entry_header(kind: ObjectKind, size: usize) -> Vec<u8> {
    let number = match kind {
        ObjectKind::Commit => 1,
        ObjectKind::Tree => 2,
        ObjectKind::Blob => 3,
        ObjectKind::Tag => 4,
    };
    let mut header = vec![(number << 4) | (size & 0x0f) as u8];
    let mut rest = size >> 4;
    while rest > 0 {
        if let Some(last) = header.last_mut() {
            *last |= 0x80;
        }
        header.push((rest & 0x7f) as u8);
        rest >>= 7;
    }
    header
}

fn failed(err: std::io::Error) -> Error {
    Error::from_io(err, "writing a pack")
}

fn miscounted() -> Error {
    Error::new(
        Kind::Internal,
        "a pack was announced with another number of objects",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::object::hash;
    use crate::wire::pack::testing::Repo;

    #[test]
    fn git_takes_the_pack_and_finds_the_same_objects() {
        for format in [Format::Sha1, Format::Sha256] {
            let bodies = [0, 15, 16, 2047, 2048, 100_000].map(|len| vec![b'x'; len]);
            let mut writer = PackWriter::new(Vec::new(), format, 7).unwrap();
            for body in &bodies {
                writer.add(ObjectKind::Blob, body).unwrap();
            }
            writer.add(ObjectKind::Tree, b"").unwrap();
            let (pack, _) = writer.finish().unwrap();

            let repo = Repo::new(format);
            repo.git_with(&["index-pack", "--stdin", "--strict"], &pack);
            let mut expected: Vec<_> = bodies
                .iter()
                .map(|body| hash(format, ObjectKind::Blob, body))
                .collect();
            expected.sort();
            assert_eq!(repo.objects(&["blob"]), expected);
            assert_eq!(repo.objects(&["tree"]), [format.empty_tree()]);
        }
    }

    #[test]
    fn the_empty_pack_is_the_one_that_git_makes() {
        for format in [Format::Sha1, Format::Sha256] {
            assert_eq!(empty_pack(format), Repo::new(format).pack(&[], &[]));
            let writer = PackWriter::new(Vec::new(), format, 0).unwrap();
            assert_eq!(writer.finish().unwrap().0, empty_pack(format));
        }
    }

    #[test]
    fn a_wrong_count_is_noticed() {
        let mut writer = PackWriter::new(Vec::new(), Format::Sha1, 1).unwrap();
        writer.add(ObjectKind::Blob, b"a").unwrap();
        assert!(writer.add(ObjectKind::Blob, b"b").is_err());
        let writer = PackWriter::new(Vec::new(), Format::Sha1, 1).unwrap();
        assert!(writer.finish().is_err());
    }
}
