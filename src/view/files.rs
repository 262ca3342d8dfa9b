//! The files backend of refs: `packed-refs`, loose refs, reflogs and `HEAD` (gitrepository-layout(5)).
//!
//! The view's refs go into `packed-refs` directly: git may have read the loose refs already when it starts us, and
//! ten thousand small files take their time. There are no peeled lines, which are only a short cut for readers.

use std::collections::HashSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bstr::{BStr, BString, ByteSlice};
use gix_hash::ObjectId;

use super::disk::{self, Scratch};
use super::marker::Marker;
use crate::error::Result;

const PACKED_HEADER: &[u8] = b"# pack-refs with: sorted \n";

/// The most that a `packed-refs` file without refs may hold, in bytes: comments that we put back afterwards.
const HEADER_LIMIT: usize = 4096;

/// The most that `packed-refs` may take while it is taken apart, in bytes: some ten million refs.
const PACKED_LIMIT: u64 = 1 << 30;

/// The most that is read of a loose ref or of `HEAD`, in bytes; git reads no more than its longest ref name either.
const LOOSE_LIMIT: u64 = 1 << 16;

/// Whether git allows a full ref of this name.
pub(super) fn is_ref_name(name: &[u8]) -> bool {
    name.starts_with(b"refs/") && gix_validate::reference::name(name.as_bstr()).is_ok()
}

/// What `packed-refs` holds.
pub(super) enum Packed {
    /// There is no such file.
    Absent,
    /// No ref: just these bytes.
    NoRef(BString),
    /// At least one ref.
    SomeRef,
}

/// Look whether there is a ref in `packed-refs`, without reading all of it.
pub(super) fn packed(path: &Path) -> Result<Packed> {
    use std::io::Read;
    let mut start = Vec::new();
    match fs::File::open(path) {
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(Packed::Absent),
        file => file.and_then(|file| file.take(HEADER_LIMIT as u64 + 1).read_to_end(&mut start)),
    }
    .map_err(|err| disk::failed("read", path, err))?;
    if start.len() > HEADER_LIMIT || start.lines().any(|line| !line.starts_with(b"#")) {
        return Ok(Packed::SomeRef);
    }
    Ok(Packed::NoRef(start.into()))
}

/// Whether there is any file below `refs`, whatever it holds. Locks are none.
pub(super) fn any_loose(refs: &Path) -> Result<bool> {
    for entry in disk::list(refs)? {
        let path = entry.path();
        let kind = entry
            .file_type()
            .map_err(|err| disk::failed("look at", &path, err))?;
        let found = if kind.is_dir() {
            any_loose(&path)?
        } else {
            !is_lock(&path)
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The directories below `base/name`, that one included, relative to `base`.
pub(super) fn directories(base: &Path, name: &Path, into: &mut Vec<BString>) -> Result<()> {
    if !base.join(name).is_dir() {
        return Ok(());
    }
    into.push(name.as_os_str().as_bytes().into());
    for entry in disk::list(&base.join(name))? {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            directories(base, &name.join(entry.file_name()), into)?;
        }
    }
    Ok(())
}

/// The content of a loose ref or `HEAD`, or `None` when there is none.
pub(super) fn read_loose(path: &Path) -> Result<Option<BString>> {
    Ok(disk::read(path, LOOSE_LIMIT)?.map(BString::from))
}

/// The ref that the content of a symbolic ref names.
pub(super) fn symbolic_target(content: &[u8]) -> Option<&BStr> {
    Some(content.strip_prefix(b"ref:")?.trim().as_bstr())
}

/// Make `packed-refs` hold just these refs, which are sorted.
pub(super) fn write_packed(path: &Path, refs: &[(BString, ObjectId)], scratch: &Scratch) -> Result<()> {
    let mut content = PACKED_HEADER.to_vec();
    for (name, oid) in refs {
        content.extend_from_slice(oid.to_string().as_bytes());
        content.push(b' ');
        content.extend_from_slice(name);
        content.push(b'\n');
    }
    scratch.lock(path)?.replace(&content, None)
}

/// Point `HEAD` to `content`, keeping the file's permissions.
pub(super) fn write_head(path: &Path, content: &[u8], scratch: &Scratch) -> Result<()> {
    let held = scratch.lock(path)?;
    let mode = fs::metadata(path).ok().map(|meta| meta.permissions());
    held.replace(content, mode)
}

/// Tells the view's refs from others.
pub(super) struct Ours<'a> {
    names: HashSet<&'a BStr>,
    values: HashSet<ObjectId>,
    tracking: &'a [BString],
}

impl<'a> Ours<'a> {
    pub(super) fn new(marker: &'a Marker) -> Self {
        let values = marker
            .refs
            .iter()
            .map(|(_, oid)| oid)
            .chain(&marker.shallow)
            .chain(&marker.loose);
        Ours {
            names: marker.refs.iter().map(|(name, _)| name.as_bstr()).collect(),
            values: values.copied().collect(),
            tracking: &marker.tracking,
        }
    }

    /// Whether a ref is one that we made, or one that git wrote when it saw ours pushed. Only values that we brought
    /// in count, so nothing is ever removed that somebody else pointed elsewhere.
    pub(super) fn has(&self, name: &BStr, value: &ObjectId) -> bool {
        let tracked = || self.tracking.iter().any(|pattern| matches(pattern, name));
        self.values.contains(value) && (self.names.contains(name) || tracked())
    }
}

/// Whether one side of a refspec, with at most one `*`, stands for `name`.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_once_str(b"*") {
        Some((before, after)) => {
            name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
        }
        None => pattern == name,
    }
}

/// Take our refs out of `packed-refs` and put back what was there before. Says whether others are left.
pub(super) fn clear_packed(path: &Path, marker: &Marker, ours: &Ours<'_>, scratch: &Scratch) -> Result<bool> {
    let before = marker.packed_refs.as_ref().map(|content| content.as_bytes());
    match packed(path)? {
        Packed::Absent if before.is_none() => return Ok(false),
        Packed::NoRef(content) if Some(content.as_bytes()) == before => return Ok(false),
        _ => (),
    }
    let held = scratch.lock(path)?;
    let content = disk::read(path, PACKED_LIMIT)?.unwrap_or_default();
    let (rest, foreign) = without_ours(&content, ours);
    match (foreign, before) {
        (true, _) if rest == content => (),
        (true, _) => held.replace(&rest, None)?,
        (false, Some(before)) => held.replace(before, None)?,
        (false, None) => held.delete()?,
    }
    Ok(foreign)
}

fn without_ours(content: &[u8], ours: &Ours<'_>) -> (Vec<u8>, bool) {
    let mut rest = Vec::new();
    let (mut foreign, mut dropped) = (false, false);
    for line in content.lines_with_terminator() {
        let is_ours = match line.first() {
            Some(b'#') => false,
            Some(b'^') => dropped,
            _ => {
                let entry = line.trim_end_with(|ch| ch == '\n').split_once_str(b" ");
                let parsed =
                    entry.and_then(|(oid, name)| Some((ObjectId::from_hex(oid).ok()?, name.as_bstr())));
                dropped = parsed.is_some_and(|(oid, name)| ours.has(name, &oid));
                foreign |= !dropped;
                dropped
            }
        };
        if !is_ours {
            rest.extend_from_slice(line);
        }
    }
    (rest, foreign)
}

/// Remove our loose refs below the directory that `name` is in `common`, with their reflogs. Says whether others are
/// left. Git writes loose refs when it notes what it pushed.
pub(super) fn clear_loose(common: &Path, name: &Path, ours: &Ours<'_>, scratch: &Scratch) -> Result<bool> {
    let mut foreign = false;
    for entry in disk::list(&common.join(name))? {
        let path = entry.path();
        let kind = entry
            .file_type()
            .map_err(|err| disk::failed("look at", &path, err))?;
        let name = name.join(entry.file_name());
        if kind.is_dir() {
            foreign |= clear_loose(common, &name, ours, scratch)?;
        } else if !is_lock(&path) {
            foreign |= !clear_one(common, &name, ours, scratch)?;
        }
    }
    Ok(foreign)
}

/// Remove a loose ref if it is ours; says so.
fn clear_one(common: &Path, name: &Path, ours: &Ours<'_>, scratch: &Scratch) -> Result<bool> {
    let path = common.join(name);
    let is_ours = || -> Result<bool> {
        let content = read_loose(&path)?;
        let value = content.and_then(|content| ObjectId::from_hex(content.trim()).ok());
        Ok(value.is_some_and(|value| ours.has(name.as_os_str().as_bytes().into(), &value)))
    };
    if !is_ours()? {
        return Ok(false);
    }
    let held = scratch.lock(&path)?;
    if !is_ours()? {
        return Ok(false);
    }
    // The reflog first: should we be stopped in between, the ref still leads to it.
    disk::unlink(&common.join("logs").join(name))?;
    held.delete()?;
    Ok(true)
}

/// Remove locks below `dir` that a killed run of ours left.
pub(super) fn clear_locks(dir: &Path, scratch: &Scratch) -> Result<()> {
    for entry in disk::list(dir)? {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            clear_locks(&path, scratch)?;
        } else if is_lock(&path) {
            scratch.clear_lock(&path)?;
        }
    }
    Ok(())
}

/// Remove the empty directories below `name` that were not there before.
pub(super) fn prune_directories(common: &Path, name: &Path, kept: &[BString]) -> Result<()> {
    let dir = common.join(name);
    for entry in disk::list(&dir)? {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            prune_directories(common, &name.join(entry.file_name()), kept)?;
        }
    }
    let known = kept
        .iter()
        .any(|kept| kept.as_bytes() == name.as_os_str().as_bytes());
    if known || !dir.is_dir() {
        Ok(())
    } else {
        disk::rmdir_if_empty(&dir)
    }
}

fn is_lock(path: &Path) -> bool {
    path.extension() == Some("lock".as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gix_hash::Kind as Hash;

    fn marker() -> Marker {
        let mut marker = Marker::empty(Hash::Sha1);
        marker.refs = vec![("refs/heads/a".into(), oid(1)), ("refs/tags/t".into(), oid(2))];
        marker.tracking = vec!["refs/remotes/x/*".into()];
        marker
    }

    fn oid(byte: u8) -> ObjectId {
        ObjectId::from_bytes_or_panic(&[byte; 20])
    }

    #[test]
    fn only_names_of_ours_with_values_of_ours_are_ours() {
        let marker = marker();
        let ours = Ours::new(&marker);
        assert!(ours.has("refs/heads/a".into(), &oid(1)));
        assert!(
            ours.has("refs/heads/a".into(), &oid(2)),
            "a mirror's fetch refspec writes what was pushed"
        );
        assert!(ours.has("refs/remotes/x/b/c".into(), &oid(2)));
        assert!(!ours.has("refs/heads/a".into(), &oid(3)));
        assert!(!ours.has("refs/heads/b".into(), &oid(1)));
        assert!(!ours.has("refs/remotes/y/a".into(), &oid(1)));
    }

    #[test]
    fn foreign_packed_refs_stay_with_their_peeled_lines() {
        let marker = marker();
        let (one, two, three) = (oid(1), oid(2), oid(3));
        let content = format!(
            "# pack-refs with: peeled\n{one} refs/heads/a\n{three} refs/tags/s\n^{one}\n{two} refs/tags/t\n^{one}\n"
        );
        let (rest, foreign) = without_ours(content.as_bytes(), &Ours::new(&marker));
        let expected = format!("# pack-refs with: peeled\n{three} refs/tags/s\n^{one}\n");
        assert_eq!((rest.as_bstr(), foreign), (expected.as_bytes().as_bstr(), true));
    }

    #[test]
    fn patterns_stand_for_names_as_in_refspecs() {
        assert!(matches(b"refs/remotes/*/x", b"refs/remotes/a/b/x"));
        assert!(!matches(b"refs/r*efs", b"refs"));
        assert!(matches(b"refs/heads/a", b"refs/heads/a"));
        assert!(!matches(b"refs/heads/a", b"refs/heads/ab"));
    }

    #[test]
    fn what_a_fresh_packed_refs_holds() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("packed-refs");
        assert!(std::matches!(packed(&path).unwrap(), Packed::Absent));
        fs::write(&path, "# pack-refs with: peeled \n").unwrap();
        assert!(std::matches!(packed(&path).unwrap(), Packed::NoRef(content) if content.len() == 26));
        fs::write(&path, format!("# pack-refs\n{} refs/heads/a\n", oid(1))).unwrap();
        assert!(std::matches!(packed(&path).unwrap(), Packed::SomeRef));
    }
}
