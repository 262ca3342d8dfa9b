//! The temporary repository: made bare and empty, filled by `index-pack`, gone with its owner.

use std::io::BufRead;
use std::path::PathBuf;

use super::super::local::LocalWork;
use crate::error::{Error, Kind, Result, Side};
use crate::git::Git;
use crate::git::pack::PackName;
use crate::git::scratch::{Scratch, is_full};
use crate::progress::Progress;
use crate::pump::{self, PackCheck};

/// The repository, within the temporary directory.
const DIR: &str = "objects.git";

/// A repository for the length of one push.
pub(super) struct Repository {
    pub(super) git: Git,
    scratch: Scratch,
}

impl Repository {
    /// An empty repository, which borrows the objects of the local one if `local` is to go along.
    pub(super) fn create(format: gix_hash::Kind, local: Option<&LocalWork>) -> Result<Repository> {
        // Killed runs leave children that end by themselves, as soon as they notice.
        let scratch = Scratch::new("pack", |_| false)?;
        let dir: PathBuf = scratch.path().join(DIR);
        let mut git = Git::at(&dir);
        if let Some(local) = local {
            git = git.with_var("GIT_ALTERNATE_OBJECT_DIRECTORIES", local.object_directories()?);
        }
        let repository = Repository { git, scratch };
        // Without a template: none of the user's hooks.
        let format = format!("--object-format={format}");
        let made = repository
            .git
            .command(["init", "-q", "--bare", "--template=", &format])
            .run();
        made.map_err(|err| repository.failed(err))?;
        Ok(repository)
    }

    /// Store `pack` while it arrives.
    ///
    /// # Errors
    /// The source's, those of `check`, and `Internal` when git cannot store it.
    pub(super) fn store(
        &self,
        pack: &mut dyn BufRead,
        check: PackCheck,
        fsck: bool,
        progress: &dyn Progress,
    ) -> Result<PackName> {
        let mut indexing = self.git.index_pack(fsck)?;
        let mut on_bytes = |bytes, objects| progress.pack_bytes(bytes, objects);
        match pump::relay(pack, &mut [&mut indexing.stdin], check, &mut on_bytes) {
            Ok(_) => {
                progress.pack_sent();
                indexing.finish().map_err(|err| self.failed(err))
            }
            // Git has stopped reading, and knows why.
            Err(err) if err.side() == Some(Side::Target) => {
                let why = indexing
                    .why()
                    .unwrap_or_else(|| Error::new(err.kind(), err.message()));
                Err(self.failed(why))
            }
            Err(err) => Err(err),
        }
    }

    /// Whether the stored pack `name` keeps to `limit`.
    ///
    /// # Errors
    /// `Limit` when it does not.
    pub(super) fn check_size(&self, name: &PackName, limit: Option<u64>) -> Result<()> {
        let path = self.scratch.path().join(DIR).join("objects/pack").join(name);
        let found = path
            .metadata()
            .map_err(|err| Error::from_io(err, "looking at the pack"));
        let bytes = found.map_err(|err| self.failed(err))?.len();
        match limit.filter(|limit| bytes > *limit) {
            None => Ok(()),
            Some(limit) => {
                let message =
                    format!("the pack of local work has {bytes} bytes, more than the limit of {limit}");
                Err(Error::new(Kind::Limit, message))
            }
        }
    }

    /// `err`, with the place where it happened: on neither side, but here.
    pub(super) fn failed(&self, err: Error) -> Error {
        let place = self.scratch.path().parent().unwrap_or(self.scratch.path());
        let message = format!(
            "here: in a temporary repository in {}: {}",
            place.display(),
            err.message()
        );
        let is_full = is_full(err.message());
        let told = Error::new(Kind::Internal, message).caused_by(err);
        match is_full {
            true => told.hint("TMPDIR names another place for temporary files"),
            false => told,
        }
    }
}
