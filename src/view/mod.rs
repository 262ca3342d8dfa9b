//! The view: the source's refs and tip objects, put for the length of a push into a repository that has no refs, so
//! that git can match refspecs against them.
//!
//! - [`standing()`]: may a view be built here?
//! - [`recover()`]: undo what a killed run left.
//! - [`View`]: build it, hide and show what the target has as well, take it away without a trace.
//!
//! What does not live here: talking to the source, and the helper conversation. The view is told what to hold.
//!
//! # What is promised
//! A *marker* file, complete and on disk before anything else changes and removed last, lists all that the view
//! writes. A *lock* keeps a second view out and tells a killed run from a live one. Removal takes away only names the
//! marker lists, and refs only with values that the view brought in. With the files backend the repository is then
//! byte for byte what it was; with reftables no ref is left, but the tables have been written to.
//!
//! Other commands that write to the repository *during* the push are not kept out. If one makes refs, the view's
//! objects stay, since those refs may need them, and removal says so.

mod build;
mod disk;
mod fault;
mod files;
mod lock;
mod marker;
mod objects;
mod pack;
mod standing;
mod undo;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gix_hash::ObjectId;

pub use build::{Picture, View, ViewRef};
pub use standing::{Standing, standing};
pub use undo::recover;

use crate::error::{Error, Kind, Result};
use crate::git::{Git, Layout};
use disk::Scratch;
use lock::Lock;
use marker::Marker;
use standing::Found;

/// Our own files in the common directory of a repository.
#[derive(Debug, Clone)]
struct Paths {
    marker: PathBuf,
    lock: PathBuf,
    scratch: Scratch,
}

impl Paths {
    fn new(common: &Path) -> Self {
        Paths {
            marker: common.join("relay-view"),
            lock: common.join("relay-view.lock"),
            scratch: Scratch::new(common.join("relay-view.tmp")),
        }
    }

    /// Whether a view is here or was.
    fn traces(&self) -> Result<bool> {
        for path in [&self.marker, &self.lock, self.scratch.path()] {
            match std::fs::symlink_metadata(path) {
                Ok(_) => return Ok(true),
                Err(err) if err.kind() == std::io::ErrorKind::NotFound => (),
                Err(err) => return Err(disk::failed("look at", path, err)),
            }
        }
        Ok(false)
    }
}

/// Whether a run is busy with a view in the repository whose shared directory is `common`.
pub fn is_in_use(common: &Path) -> bool {
    Paths::new(common).lock.exists()
}

/// Whether a run that is still alive has locked the repository whose shared directory is `common`.
pub fn is_locked(common: &Path) -> bool {
    lock::is_held(&Paths::new(common).lock)
}

/// The content of a `shallow` file: one commit id a line (gitrepository-layout(5)).
fn shallow_content(commits: &[ObjectId]) -> Vec<u8> {
    commits
        .iter()
        .flat_map(|oid| format!("{oid}\n").into_bytes())
        .collect()
}

/// An empty repository, locked for a view. Dropping it takes away the view, if one was built, and the lock.
#[derive(Debug)]
pub struct Repository {
    cleaner: Cleaner,
    layout: Layout,
    found: Found,
}

impl Repository {
    fn new(git: &Git, paths: Paths, found: Found, lock: Lock) -> Result<Self> {
        let layout = git.layout()?.clone();
        let state = State {
            git: git.clone(),
            paths,
            lock: Some(lock),
            marker: None,
        };
        Ok(Repository {
            cleaner: Cleaner(Arc::new(Mutex::new(state))),
            layout,
            found,
        })
    }

    /// The hash that names the objects here. A view needs a source with the same one.
    pub fn object_format(&self) -> gix_hash::Kind {
        self.layout.object_format
    }

    /// A handle that takes the view away from any thread, for signals. It works from now on: a build under way is
    /// waited for, one that has not begun fails.
    pub fn cleaner(&self) -> Cleaner {
        self.cleaner.clone()
    }
}

impl Drop for Repository {
    fn drop(&mut self) {
        if let Err(err) = self.cleaner.remove() {
            log::warn!(target: "relay::helper", "cannot take the view away: {err}");
        }
    }
}

/// Takes the view away; see [`Repository::cleaner`].
#[derive(Debug, Clone)]
pub struct Cleaner(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    git: Git,
    paths: Paths,
    /// Held until the view is gone.
    lock: Option<Lock>,
    /// What is in the repository, from the moment the marker may be on disk.
    marker: Option<Marker>,
}

impl Cleaner {
    /// Remove every trace of the view and give up the lock. Once that worked, more calls do nothing.
    ///
    /// # Errors
    /// When the disk or git fails; the marker then stays for the next start. `Moved` when other refs came up during
    /// the push, so that the view's objects had to stay.
    pub fn remove(&self) -> Result<()> {
        let mut state = self.state();
        let State {
            git,
            paths,
            lock,
            marker,
        } = &mut *state;
        if let (Some(written), Some(_)) = (&*marker, &*lock) {
            let done = undo::undo(git, paths, written);
            if !std::matches!(&done, Err(err) if err.kind() != Kind::Moved) {
                *marker = None;
                *lock = None;
            }
            return done;
        }
        *lock = None;
        Ok(())
    }

    /// A panic elsewhere must not keep the view from being removed; the marker is right at any time.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error for work on a view that was taken away already.
fn gone() -> Error {
    Error::new(Kind::Internal, "the push was interrupted")
}

#[cfg(test)]
mod push_tests;
#[cfg(test)]
mod tests;
