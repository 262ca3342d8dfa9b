//! Directories of our own for the length of a run, below `$TMPDIR`, and their end, whatever ends the run.
//!
//! Each holds a file with an OS lock, which the system frees when the process dies. So a directory whose lock is free
//! was left behind by a run that was killed, and the next run removes it. What is put into the directory is the
//! business of whoever asked for it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::time::Duration;

use crate::error::{Error, Kind, Result};

/// The file with the lock.
const LOCK: &str = "lock";

/// A directory without a lock may be one that is just being made; after so long it is not.
const MAKING: Duration = Duration::from_secs(60);

/// The directories of this process, for [`remove_all`].
static LIVE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// See [`before_first`].
static PREPARE: OnceLock<fn()> = OnceLock::new();
static PREPARED: Once = Once::new();

/// A directory that is removed when this is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    /// Holds the OS lock until it is closed.
    _lock: File,
}

impl Scratch {
    /// Make a directory `git-relay-<purpose>-…`, which nobody else may read, and remove those for the same purpose
    /// that killed runs of this user have left, unless `is_busy` says that a child of such a run is still at work there.
    ///
    /// # Errors
    /// `Internal`, with the place in its message, when it cannot be made.
    pub fn new(purpose: &str, is_busy: impl Fn(&Path) -> bool) -> Result<Scratch> {
        if let Some(prepare) = PREPARE.get() {
            PREPARED.call_once(prepare);
        }
        Scratch::below(&std::env::temp_dir(), purpose, is_busy)
    }

    fn below(place: &Path, purpose: &str, is_busy: impl Fn(&Path) -> bool) -> Result<Scratch> {
        let prefix = format!("git-relay-{purpose}-");
        // Another run may take a directory for a leftover before it is locked, so a few tries are fair.
        for _ in 0..5 {
            let dir = tempfile::Builder::new()
                .prefix(&prefix)
                .permissions(fs::Permissions::from_mode(0o700))
                .tempdir_in(place);
            let path = dir.map_err(|err| cannot_make(place, err))?.keep();
            live().push(path.clone());
            match lock(&path) {
                Ok(Some(lock)) => {
                    sweep(&path, &prefix, is_busy);
                    return Ok(Scratch { path, _lock: lock });
                }
                Ok(None) => forget(&path),
                Err(err) => {
                    remove(&path).ok();
                    forget(&path);
                    return Err(cannot_make(place, err));
                }
            }
        }
        Err(cannot_make(place, io::ErrorKind::AlreadyExists.into()))
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(err) = remove(&self.path) {
            log::warn!(target: "relay::git", "cannot remove {}: {err}", self.path.display());
        }
        forget(&self.path);
    }
}

/// Remove the directories of all runs of this process, because it is about to end.
pub fn remove_all() {
    for path in live().drain(..) {
        remove(&path).ok();
    }
}

/// Whether `words`, of git or of the system, say that there is no room.
pub fn is_full(words: &str) -> bool {
    let said = ["No space left", "quota", "File too large"];
    said.iter().any(|part| words.contains(part))
}

/// Have `prepare` called before the first directory is made: by a program that does not listen for signals otherwise,
/// so that it can [clean up](remove_all) when one stops it.
pub fn before_first(prepare: fn()) {
    // Only the first to ask for it is heard; a program asks once.
    PREPARE.set(prepare).ok();
}

fn cannot_make(place: &Path, err: io::Error) -> Error {
    let message = format!(
        "here: cannot make a temporary directory in {}: {err}",
        place.display()
    );
    Error::new(Kind::Internal, message)
        .hint("TMPDIR names the place for temporary files")
        .caused_by(err)
}

/// The lock in `dir`; `None` when another run took the directory for a leftover and has removed it.
fn lock(dir: &Path) -> io::Result<Option<File>> {
    let path = dir.join(LOCK);
    let file = match File::create(&path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    file.lock()?;
    let (ours, named) = (file.metadata()?, fs::metadata(&path));
    let is_there = named.is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino()));
    Ok(is_there.then_some(file))
}

/// Remove what killed runs of the owner of `own` have left beside it. What cannot be removed is the next run's.
fn sweep(own: &Path, prefix: &str, is_busy: impl Fn(&Path) -> bool) {
    let (Some(place), Ok(own)) = (own.parent(), fs::metadata(own)) else {
        return;
    };
    let Ok(entries) = fs::read_dir(place) else { return };
    for entry in entries.flatten() {
        let named = entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(prefix.as_bytes());
        let path = entry.path();
        if !named || live().contains(&path) || is_busy(&path) {
            continue;
        }
        match remove_if_left(&path, own.uid()) {
            Ok(true) => log::info!(target: "relay::git", "removed {}, left by a killed run", path.display()),
            Ok(false) => {}
            Err(err) => log::info!(target: "relay::git", "cannot remove {}: {err}", path.display()),
        }
    }
}

/// Remove the directory `path` if it belongs to `user` and the run that made it is gone.
fn remove_if_left(path: &Path, user: u32) -> io::Result<bool> {
    let found = fs::symlink_metadata(path)?;
    if !found.is_dir() || found.uid() != user {
        return Ok(false);
    }
    match File::open(path.join(LOCK)) {
        // The lock is held until the directory is gone, so that nobody takes it into use meanwhile.
        Ok(file) if file.try_lock().is_ok() => remove(path).map(|()| true),
        Ok(_) => Ok(false),
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            let is_old = found.modified()?.elapsed().is_ok_and(|age| age > MAKING);
            if is_old {
                remove(path).map(|()| true)
            } else {
                Ok(false)
            }
        }
        Err(err) => Err(err),
    }
}

/// A git that is just dying may still add a file.
fn remove(path: &Path) -> io::Result<()> {
    const POLL: Duration = Duration::from_millis(20);
    for _ in 0..10 {
        match fs::remove_dir_all(path) {
            Err(err) if err.kind() == io::ErrorKind::DirectoryNotEmpty => std::thread::sleep(POLL),
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
            done => return done,
        }
    }
    fs::remove_dir_all(path)
}

fn forget(path: &Path) {
    live().retain(|other| other != path);
}

fn live() -> MutexGuard<'static, Vec<PathBuf>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(place: &Path) -> Scratch {
        Scratch::below(place, "test", |_| false).unwrap()
    }

    #[test]
    fn it_is_gone_with_its_owner() {
        let place = tempfile::tempdir().unwrap();
        let scratch = make(place.path());
        let path = scratch.path().to_owned();
        fs::create_dir(path.join("sub")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o077, 0);
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_killed_run_left_goes_and_what_is_in_use_stays() {
        let place = tempfile::tempdir().unwrap();
        let left = |name: &str| {
            let path = place.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join(LOCK), b"").unwrap();
            path
        };
        let (dead, foreign) = (left("git-relay-test-dead"), left("git-relay-other-dead"));
        let making = place.path().join("git-relay-test-new");
        fs::create_dir(&making).unwrap();
        // Not in the list of this process, as another process has it.
        let living = left("git-relay-test-living");
        let held = lock(&living).unwrap();
        let busy = left("git-relay-test-busy");
        let one = Scratch::below(place.path(), "test", |path| path.ends_with("git-relay-test-busy")).unwrap();
        assert!(!dead.exists());
        assert!(foreign.exists() && making.exists() && living.exists() && busy.exists() && held.is_some());
        let two = make(place.path());
        assert!(one.path().exists() && two.path().exists() && !busy.exists());
    }

    #[test]
    fn the_error_names_the_place() {
        let err = Scratch::below(Path::new("/nonexistent"), "test", |_| false).unwrap_err();
        assert!(err.message().contains("in /nonexistent: "), "{err}");
    }
}
