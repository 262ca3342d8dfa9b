//! Taking a view away again, from its marker alone: the same steps at the end of a push and after a crash.
//!
//! Every step may find its work done already, so it can be stopped anywhere and run again.

use std::path::Path;
use std::time::Duration;

use bstr::ByteSlice;

use super::disk::{self, Scratch};
use super::files::{self, Ours};
use super::lock::Lock;
use super::marker::Marker;
use super::objects::ObjectDir;
use super::{Paths, shallow_content};
use crate::error::{Error, Kind, Result};
use crate::git::refs::Change;
use crate::git::{Git, Layout, RefStorage};

/// The most that a marker may take, in bytes: some ten million refs.
const MARKER_LIMIT: u64 = 1 << 30;

/// How long a lock may outlive its process: a child that was just being started holds it until it runs its own program.
const GRACE: Duration = Duration::from_millis(200);

/// Undo what a killed run left in the repository at hand; says whether there was something. To be called first at
/// each start; without a trace of a view it costs two looks at the disk. A view that is alive is left alone.
///
/// # Errors
/// When the disk or git fails, or when the marker is not ours to understand; the marker then stays.
pub fn recover(git: &Git) -> Result<bool> {
    let Some(common) = git.common_dir() else {
        return Ok(false);
    };
    let paths = Paths::new(&common);
    if !paths.traces()? {
        return Ok(false);
    }
    match Lock::take(&paths.lock, GRACE) {
        Ok(_lock) => recover_locked(git, &paths),
        Err(err) if err.kind() == Kind::Timeout => Ok(false),
        Err(err) => Err(err),
    }
}

/// The same for whoever holds the lock.
pub(super) fn recover_locked(git: &Git, paths: &Paths) -> Result<bool> {
    let Some(content) = disk::read(&paths.marker, MARKER_LIMIT)? else {
        disk::unlink(paths.scratch.path())?;
        return Ok(false);
    };
    log::info!(target: "relay::helper", "undoing what a killed push left in this repository");
    let marker = Marker::parse(&content, &paths.marker)?;
    undo(git, paths, &marker)?;
    Ok(true)
}

/// Take the view away. The marker goes last.
///
/// # Errors
/// When a step fails: the marker stays, and the next start tries again. `Moved` when other refs came up during the
/// push: our refs and the marker are gone then, but our objects stay, because those refs may need them.
pub(super) fn undo(git: &Git, paths: &Paths, marker: &Marker) -> Result<()> {
    let layout = git.layout()?;
    let scratch = &paths.scratch;
    let head = marker.git_dir.join("HEAD");
    clear_locks(layout, &head, scratch)?;
    let mut others = clear_refs(git, layout, marker, scratch)?;
    if !others {
        others = !clear_shallow(&layout.shallow, marker, scratch)?;
    }
    if !others {
        clear_objects(marker)?;
    }
    restore_head(git, layout, marker, scratch)?;
    if !others && !marker.head_log {
        disk::unlink(&marker.git_dir.join("logs/HEAD"))?;
    }
    for name in ["refs", "logs"] {
        files::prune_directories(&layout.common_dir, Path::new(name), &marker.kept_dirs)?;
    }
    disk::unlink(scratch.path())?;
    disk::unlink(&paths.marker)?;
    if others { Err(left_behind()) } else { Ok(()) }
}

fn left_behind() -> Error {
    let message =
        "another command changed this repository's refs during the push; the source's tip objects stay in it";
    Error::new(Kind::Moved, message).hint("push from a repository of its own, where nothing else happens")
}

fn clear_locks(layout: &Layout, head: &Path, scratch: &Scratch) -> Result<()> {
    for path in [&layout.packed_refs, &layout.shallow, head] {
        let mut lock = path.as_os_str().to_owned();
        lock.push(".lock");
        scratch.clear_lock(Path::new(&lock))?;
    }
    files::clear_locks(&layout.common_dir.join("refs"), scratch)
}

/// Says whether there are refs that are not ours.
fn clear_refs(git: &Git, layout: &Layout, marker: &Marker, scratch: &Scratch) -> Result<bool> {
    let ours = Ours::new(marker);
    if layout.refs != RefStorage::Reftable {
        let packed = files::clear_packed(&layout.packed_refs, marker, &ours, scratch)?;
        let loose = files::clear_loose(&layout.common_dir, Path::new("refs"), &ours, scratch)?;
        return Ok(packed || loose);
    }
    let listing = git.list_refs()?;
    let all = listing.refs.len();
    let mine = listing
        .refs
        .into_iter()
        .filter(|(name, oid)| ours.has(name.as_bstr(), oid));
    let changes: Vec<_> = mine.map(|(name, oid)| Change::Delete(name, oid)).collect();
    super::fault::point()?;
    git.update_refs(&changes)?;
    if let Err(err) = git.pack_refs() {
        // The tombstones of ten thousand refs make the next view take a minute, yet it comes to be.
        log::debug!(target: "relay::helper", "cannot compact the reftables: {err}");
    }
    Ok(listing.has_symbolic || changes.len() < all)
}

/// Says whether the file is gone; it stays when somebody else wrote to it.
fn clear_shallow(path: &Path, marker: &Marker, scratch: &Scratch) -> Result<bool> {
    let limit = marker.shallow.len() as u64 * 65 + 4096;
    let is_ours = |content: &[u8]| content == shallow_content(&marker.shallow);
    match disk::read(path, limit.max(1 << 20))? {
        None => return Ok(true),
        Some(content) if !is_ours(&content) => return Ok(false),
        Some(_) => (),
    }
    scratch.lock(path)?.delete()?;
    Ok(true)
}

fn clear_objects(marker: &Marker) -> Result<()> {
    let objects = ObjectDir::new(marker.objects.clone());
    if !objects.exists() {
        return Ok(());
    }
    if let Some(pack) = &marker.pack {
        objects.remove_pack(pack)?;
    }
    objects.remove_loose(&marker.loose, &marker.fan_outs)
}

/// Put `HEAD` back unless somebody pointed it elsewhere meanwhile.
fn restore_head(git: &Git, layout: &Layout, marker: &Marker, scratch: &Scratch) -> Result<()> {
    let Some(change) = &marker.head else { return Ok(()) };
    if layout.refs == RefStorage::Reftable {
        let ours = git.head_target(&marker.git_dir)?.as_ref() == Some(&change.new);
        super::fault::point()?;
        return if ours {
            git.set_head_target(&marker.git_dir, change.old.as_bstr())
        } else {
            Ok(())
        };
    }
    let path = marker.git_dir.join("HEAD");
    let content = files::read_loose(&path)?.unwrap_or_default();
    if files::symbolic_target(&content) == Some(change.new.as_bstr()) {
        files::write_head(&path, &change.old, scratch)?;
    }
    Ok(())
}
