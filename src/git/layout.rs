//! Where a repository keeps its parts and in which formats: the answers of one `git rev-parse`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bstr::ByteSlice;

use super::Config;
use crate::error::{Error, Kind, Result};

/// The parts of a repository that we look at or write to; absolute paths. See gitrepository-layout(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The directory of this worktree: its `HEAD` lives here.
    pub git_dir: PathBuf,
    /// The directory that all worktrees share.
    pub common_dir: PathBuf,
    /// The primary object directory (`GIT_OBJECT_DIRECTORY` counts).
    pub objects: PathBuf,
    /// The list of commits whose parents are not here.
    pub shallow: PathBuf,
    /// The packed refs of the files backend.
    pub packed_refs: PathBuf,
    /// The hash that names the objects.
    pub object_format: gix_hash::Kind,
    /// How refs are stored.
    pub refs: RefStorage,
}

/// How a repository stores its refs: `extensions.refStorage` in git-config(1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefStorage {
    /// `refs/…` files and `packed-refs`.
    Files,
    /// Tables below `reftable/`.
    Reftable,
    /// Something newer than this program, or a place of its own.
    Unknown,
}

impl Layout {
    pub(super) const ARGS: [&'static str; 10] = [
        "rev-parse",
        "--git-dir",
        "--git-common-dir",
        "--git-path",
        "objects",
        "--git-path",
        "shallow",
        "--git-path",
        "packed-refs",
        "--show-object-format",
    ];

    /// Read what [`Layout::ARGS`] made git print. A path with a line feed in it cannot be told from two paths and is
    /// an error.
    pub(super) fn parse(facts: &[u8], config: &Config, other_backend: bool) -> Result<Self> {
        let mut lines = facts
            .strip_suffix(b"\n")
            .unwrap_or(facts)
            .split(|byte| *byte == b'\n');
        let mut path = || {
            let line = lines
                .next()
                .filter(|line| !line.is_empty())
                .ok_or_else(unreadable)?;
            let path = Path::new(OsStr::from_bytes(line));
            std::path::absolute(path).map_err(|err| Error::from_io(err, "finding the current directory"))
        };
        let (git_dir, common_dir) = (path()?, path()?);
        let (objects, shallow, packed_refs) = (path()?, path()?, path()?);
        let object_format = match (lines.next(), lines.next()) {
            (Some(b"sha1"), None) => gix_hash::Kind::Sha1,
            (Some(b"sha256"), None) => gix_hash::Kind::Sha256,
            _ => return Err(unreadable()),
        };
        let refs = match config
            .string("extensions.refStorage")
            .map(|value| value.as_bytes())
        {
            _ if other_backend => RefStorage::Unknown,
            None | Some(b"files") => RefStorage::Files,
            Some(b"reftable") => RefStorage::Reftable,
            Some(_) => RefStorage::Unknown,
        };
        Ok(Layout {
            git_dir,
            common_dir,
            objects,
            shallow,
            packed_refs,
            object_format,
            refs,
        })
    }

    /// Whether this is a linked worktree, whose `HEAD` is not the repository's.
    pub fn is_linked_worktree(&self) -> bool {
        self.git_dir != self.common_dir
    }
}

pub(super) fn unreadable() -> Error {
    Error::new(
        Kind::Config,
        "cannot make sense of this repository's paths or object format",
    )
    .hint("does the path of the repository contain a line feed?")
}

/// The shared directory of the worktree at `git_dir`: the path in its `commondir` file, or itself.
pub(super) fn common_dir_of(git_dir: &Path) -> PathBuf {
    match std::fs::read(git_dir.join("commondir")) {
        Ok(path) => git_dir.join(OsStr::from_bytes(path.trim_end())),
        Err(_) => git_dir.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Git;
    use super::*;

    #[test]
    fn a_worktree_shares_all_but_its_head() {
        let tmp = tempfile::tempdir().unwrap();
        let main = tmp.path().join("main.git");
        let here = Git::here();
        here.command(["init", "-q", "--bare"]).arg(&main).run().unwrap();
        let git = Git::at(&main);
        let tree = git
            .command(["hash-object", "-t", "tree", "-w", "--stdin"])
            .run()
            .unwrap();
        let tree = tree.trim_end().to_str().unwrap();
        let id = ["-c", "user.name=a", "-c", "user.email=a@b"];
        let commit = git
            .command(id)
            .arg("commit-tree")
            .args(["-m", "x", tree])
            .run()
            .unwrap();
        let commit = commit.trim_end().to_str().unwrap();
        let linked = tmp.path().join("linked");
        git.command(["worktree", "add", "-q", "--detach"])
            .arg(&linked)
            .arg(commit)
            .run()
            .unwrap();

        let git_dir = main.join("worktrees/linked");
        let git = Git::at(&git_dir);
        assert_eq!(
            git.common_dir().unwrap().canonicalize().unwrap(),
            main.canonicalize().unwrap()
        );
        let layout = git.layout().unwrap();
        assert!(layout.is_linked_worktree());
        assert_eq!(layout.git_dir, git_dir);
        assert_eq!(layout.shallow.canonicalize().ok(), None);
        assert_eq!(
            layout.shallow.parent().unwrap().canonicalize().unwrap(),
            main.canonicalize().unwrap()
        );
        assert_eq!(
            layout.objects.canonicalize().unwrap(),
            main.join("objects").canonicalize().unwrap()
        );
        assert_eq!(
            (layout.object_format, layout.refs),
            (gix_hash::Kind::Sha1, RefStorage::Files)
        );
    }

    #[test]
    fn the_object_format_and_another_object_directory_are_seen() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("x.git");
        Git::here()
            .command(["init", "-q", "--bare", "--object-format=sha256"])
            .arg(&dir)
            .run()
            .unwrap();
        let elsewhere = tmp.path().join("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        let git = Git::at(&dir).with_var("GIT_OBJECT_DIRECTORY", &elsewhere);
        let layout = git.layout().unwrap();
        assert_eq!(layout.object_format, gix_hash::Kind::Sha256);
        assert_eq!(layout.objects, elsewhere);
        assert!(!layout.is_linked_worktree());
    }

    #[test]
    fn no_repository_is_an_error_in_gits_words() {
        let tmp = tempfile::tempdir().unwrap();
        let err = Git::at(tmp.path()).layout().unwrap_err();
        assert_eq!(err.kind(), Kind::Config);
        assert!(err.message().contains("not a git repository"), "{err}");
    }

    #[test]
    fn a_line_feed_in_a_path_is_refused() {
        let config = Config::default();
        assert!(Layout::parse(b"a\nb\na\na/o\na/s\na/p\nsha1\n", &config, false).is_err());
        assert!(Layout::parse(b"a\na\na/o\na/s\na/p\n", &config, false).is_err());
        assert!(Layout::parse(b"a\na\na/o\na/s\na/p\nsha1\n", &config, false).is_ok());
    }
}
