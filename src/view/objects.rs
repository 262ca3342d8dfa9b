//! The tip objects on disk: loose ones, which can be hidden one by one, and a pack for all others.
//!
//! Everything is stored rather than compressed: it lives for the length of a push.

use std::fs;
use std::path::{Path, PathBuf};

use gix_hash::{Kind as Hash, ObjectId};

use super::{disk, fault, pack};
use crate::error::{Error, Kind, Result};
use crate::wire::pack::Object;

fn header(tip: &Object) -> Vec<u8> {
    format!("{} {}\0", tip.kind.as_str(), tip.data.len()).into_bytes()
}

/// Check that an object is what its name says, with the detection of forged SHA-1s that git has, too.
///
/// # Errors
/// `Corrupt` when it is not.
pub(super) fn verify(tip: &Object) -> Result<()> {
    let actual = hash(tip.id.kind(), &[&header(tip), &tip.data])?;
    if actual == tip.id {
        return Ok(());
    }
    let message = format!("{} {} has the content of {actual}", tip.kind.as_str(), tip.id);
    Err(Error::new(Kind::Corrupt, message))
}

/// The checksum of all `parts` together.
pub(super) fn hash(kind: Hash, parts: &[&[u8]]) -> Result<ObjectId> {
    let mut hasher = gix_hash::hasher(kind);
    parts.iter().for_each(|part| hasher.update(part));
    hasher
        .try_finalize()
        .map_err(|err| Error::new(Kind::Corrupt, format!("hashing an object: {err}")))
}

/// The object directory of a repository.
#[derive(Debug, Clone)]
pub(super) struct ObjectDir(PathBuf);

impl ObjectDir {
    pub(super) fn new(path: PathBuf) -> Self {
        ObjectDir(path)
    }

    fn fan_out(&self, first: u8) -> PathBuf {
        self.0.join(format!("{first:02x}"))
    }

    /// The path of a loose object, and the one it has while it is hidden. Git takes the latter for an unfinished
    /// object of its own, which `git gc` removes when it is old.
    fn loose_paths(&self, oid: &ObjectId) -> (PathBuf, PathBuf) {
        let hex = oid.to_string();
        let (first, rest) = hex.split_at(2);
        let dir = self.0.join(first);
        (dir.join(rest), dir.join(format!("tmp_obj_relay_{rest}")))
    }

    fn pack_path(&self, pack: &ObjectId, extension: &str) -> PathBuf {
        self.0.join("pack").join(format!("pack-{pack}.{extension}"))
    }

    /// Whether there is a loose object of this name.
    pub(super) fn has_loose(&self, oid: &ObjectId) -> bool {
        fs::symlink_metadata(self.loose_paths(oid).0).is_ok()
    }

    /// Whether there is a pack of this name.
    pub(super) fn has_pack(&self, pack: &ObjectId) -> bool {
        ["pack", "idx"]
            .iter()
            .any(|extension| fs::symlink_metadata(self.pack_path(pack, extension)).is_ok())
    }

    /// Whether objects could be anywhere but in loose files here: in packs, or in another repository.
    pub(super) fn has_packs_or_alternates(&self) -> Result<bool> {
        let packed = disk::list(&self.0.join("pack"))?
            .iter()
            .any(|entry| entry.path().extension() == Some("pack".as_ref()));
        Ok(packed || fs::symlink_metadata(self.0.join("info/alternates")).is_ok())
    }

    /// The directories that objects of these names need and that do not exist.
    pub(super) fn missing_fan_outs(&self, oids: &[ObjectId]) -> Vec<u8> {
        let mut firsts: Vec<u8> = oids
            .iter()
            .filter_map(|oid| oid.as_slice().first().copied())
            .collect();
        firsts.sort_unstable();
        firsts.dedup();
        firsts.retain(|first| fs::symlink_metadata(self.fan_out(*first)).is_err());
        firsts
    }

    /// Make a directory for loose objects.
    pub(super) fn make_fan_out(&self, first: u8) -> Result<()> {
        fault::point()?;
        let path = self.fan_out(first);
        match fs::create_dir(&path) {
            Err(err) if err.kind() != std::io::ErrorKind::AlreadyExists => {
                Err(disk::failed("make", &path, err))
            }
            _ => Ok(()),
        }
    }

    /// Write a loose object, whose directory must exist.
    pub(super) fn write_loose(&self, tip: &Object) -> Result<()> {
        let content = pack::stored(&[&header(tip), &tip.data]);
        disk::write_new(&self.loose_paths(&tip.id).0, &content)
    }

    /// Write a pack. The `.keep` comes first, so that no `git repack` ever takes its objects elsewhere; git knows the
    /// pack by its `.idx`, which therefore comes last and in one step.
    pub(super) fn write_pack(&self, pack: &pack::Pack) -> Result<()> {
        let path = |extension| self.pack_path(&pack.checksum, extension);
        disk::write_new(&path("keep"), b"relay view\n")?;
        disk::write_new(&path("pack"), &pack.data)?;
        disk::write_new(&path("idx_tmp"), &pack.index)?;
        fault::point()?;
        fs::rename(path("idx_tmp"), path("idx")).map_err(|err| disk::failed("write", &path("idx"), err))
    }

    /// Hide a loose object from git, or show it again.
    pub(super) fn hide(&self, oid: &ObjectId, hidden: bool) -> Result<()> {
        fault::point()?;
        let (shown, away) = self.loose_paths(oid);
        let (from, to) = if hidden { (shown, away) } else { (away, shown) };
        fs::rename(&from, &to).map_err(|err| disk::failed("rename", &from, err))
    }

    /// Remove our loose objects, hidden or not, and the directories we made for them.
    pub(super) fn remove_loose(&self, oids: &[ObjectId], fan_outs: &[u8]) -> Result<()> {
        for oid in oids {
            let (shown, away) = self.loose_paths(oid);
            disk::unlink(&shown)?;
            disk::unlink(&away)?;
        }
        fan_outs
            .iter()
            .try_for_each(|first| disk::rmdir_if_empty(&self.fan_out(*first)))
    }

    /// Remove our pack, the `.idx` first and the `.keep` last. Git itself may have added a `.rev`.
    pub(super) fn remove_pack(&self, pack: &ObjectId) -> Result<()> {
        let extensions = ["idx", "idx_tmp", "rev", "pack", "keep"];
        extensions
            .iter()
            .try_for_each(|extension| disk::unlink(&self.pack_path(pack, extension)))
    }

    /// Whether the directory is there at all.
    pub(super) fn exists(&self) -> bool {
        Path::new(&self.0).is_dir()
    }
}
