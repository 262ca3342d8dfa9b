//! Small file operations with git's habits: `<file>.lock` before a file changes, and names that tell what is ours.
//!
//! A lock file of git says nothing about its owner. Ours are hard links to a scratch file of our own, so that after a
//! crash [`Scratch::clear_lock`] knows them from locks of other programs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::fault;
use crate::error::{Error, Kind, Result};

/// How long to wait for another program's lock on a file: git's default for `core.packedRefsTimeout`.
const LOCK_WAIT: Duration = Duration::from_secs(1);

/// A failure on the local disk: not a peer's fault, and nothing a retry would cure.
pub(super) fn failed(doing: &str, path: &Path, err: io::Error) -> Error {
    let message = format!("cannot {doing} {}: {}", path.display(), plain(&err));
    let hint = match err.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Some(
            "a push from an empty repository needs to write to it; try one of your own (git init --bare)",
        ),
        _ => None,
    };
    let err = Error::new(Kind::Internal, message).caused_by(err);
    match hint {
        Some(hint) => err.hint(hint),
        None => err,
    }
}

/// The system's words without Rust's `(os error 13)`, in the lower case of our messages.
fn plain(err: &io::Error) -> String {
    let text = err.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// What a file says; `None` when there is none. At most `limit` bytes, more is an error.
pub(super) fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(err) if err.kind() == ErrorKind::NotFound => return Ok(None),
        Err(err) => return Err(failed("open", path, err)),
    };
    let mut content = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut content)
        .map_err(|err| failed("read", path, err))?;
    if content.len() as u64 > limit {
        let message = format!("{} has more than {limit} bytes", path.display());
        return Err(Error::new(Kind::Limit, message));
    }
    Ok(Some(content))
}

/// Remove a file; that it is gone already is as good.
pub(super) fn unlink(path: &Path) -> Result<()> {
    fault::point()?;
    match fs::remove_file(path) {
        Err(err) if err.kind() != ErrorKind::NotFound => Err(failed("remove", path, err)),
        _ => Ok(()),
    }
}

/// Remove a directory if nothing is in it.
pub(super) fn rmdir_if_empty(path: &Path) -> Result<()> {
    fault::point()?;
    match fs::remove_dir(path) {
        Err(err) if !matches!(err.kind(), ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty) => {
            Err(failed("remove", path, err))
        }
        _ => Ok(()),
    }
}

/// Write a file that must not exist yet, readable for all and writable for none, as git's objects are.
pub(super) fn write_new(path: &Path, content: &[u8]) -> Result<()> {
    fault::point()?;
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o444)
        .open(path);
    file.and_then(|mut file| file.write_all(content))
        .map_err(|err| failed("write", path, err))
}

/// The names in a directory; none when it does not exist.
pub(super) fn list(dir: &Path) -> Result<Vec<fs::DirEntry>> {
    match fs::read_dir(dir) {
        Ok(entries) => entries
            .collect::<io::Result<_>>()
            .map_err(|err| failed("list", dir, err)),
        Err(err) if matches!(err.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(err) => Err(failed("list", dir, err)),
    }
}

/// The file whose hard links our lock files are.
#[derive(Debug, Clone)]
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new(path: PathBuf) -> Self {
        Scratch(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Write `content` durably and make it `path` in one step.
    pub(super) fn put(&self, path: &Path, content: &[u8]) -> Result<()> {
        let mut file = self.fresh()?;
        let written = file.write_all(content).and_then(|()| file.sync_all());
        written.map_err(|err| failed("write", &self.0, err))?;
        fault::point()?;
        fs::rename(&self.0, path).map_err(|err| failed("write", path, err))?;
        // Not every file system can sync a directory; the rename is then as durable as it gets.
        if let Some(Ok(dir)) = path.parent().map(File::open) {
            dir.sync_all().ok();
        }
        Ok(())
    }

    /// Take git's lock on `path`, that is, create `<path>.lock`, waiting a little for whoever has it.
    pub(super) fn lock(&self, path: &Path) -> Result<Held> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let lock = PathBuf::from(name);
        let file = self.fresh()?;
        let deadline = Instant::now() + LOCK_WAIT;
        fault::point()?;
        loop {
            let err = match fs::hard_link(&self.0, &lock) {
                Ok(()) => break,
                Err(err) => err,
            };
            if err.kind() != ErrorKind::AlreadyExists || Instant::now() > deadline {
                return Err(failed("lock", path, err));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Held {
            file,
            path: path.to_owned(),
            lock: Some(lock),
        })
    }

    /// Remove `lock` if it is a link to our scratch file.
    pub(super) fn clear_lock(&self, lock: &Path) -> Result<()> {
        match (fs::symlink_metadata(&self.0), fs::symlink_metadata(lock)) {
            (Ok(ours), Ok(other)) if same_file(&ours, &other) => unlink(lock),
            _ => Ok(()),
        }
    }

    fn fresh(&self) -> Result<File> {
        // It may still be linked to what it became last time.
        unlink(&self.0)?;
        fault::point()?;
        let file = OpenOptions::new().write(true).create_new(true).open(&self.0);
        file.map_err(|err| failed("write", &self.0, err))
    }
}

pub(super) fn same_file(a: &fs::Metadata, b: &fs::Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// A lock on a file, given back when dropped.
#[derive(Debug)]
pub(super) struct Held {
    file: File,
    path: PathBuf,
    lock: Option<PathBuf>,
}

impl Held {
    /// Replace the file's content, and its permissions where `like` has some.
    pub(super) fn replace(mut self, content: &[u8], like: Option<fs::Permissions>) -> Result<()> {
        let written = self.file.write_all(content).and_then(|()| match like {
            Some(mode) => self.file.set_permissions(mode),
            None => Ok(()),
        });
        written.map_err(|err| failed("write", &self.path, err))?;
        fault::point()?;
        if let Some(lock) = &self.lock {
            fs::rename(lock, &self.path).map_err(|err| failed("write", &self.path, err))?;
            self.lock = None;
        }
        Ok(())
    }

    /// Remove the file.
    pub(super) fn delete(self) -> Result<()> {
        unlink(&self.path)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(lock) = &self.lock {
            // What stays behind is known as ours by its link and goes with the next clean-up.
            unlink(lock).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_exclusive_and_known_as_ours() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("HEAD");
        fs::write(&path, "old").unwrap();
        let scratch = Scratch::new(tmp.path().join("scratch"));
        let held = scratch.lock(&path).unwrap();
        assert!(fs::hard_link(&path, tmp.path().join("HEAD.lock")).is_err());
        held.replace(b"new", None).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(!tmp.path().join("HEAD.lock").exists());

        let theirs = tmp.path().join("shallow.lock");
        fs::write(&theirs, "").unwrap();
        scratch.clear_lock(&theirs).unwrap();
        assert!(theirs.exists());
        std::mem::forget(scratch.lock(&path).unwrap());
        scratch.clear_lock(&tmp.path().join("HEAD.lock")).unwrap();
        assert!(!tmp.path().join("HEAD.lock").exists());
    }

    #[test]
    fn a_lock_that_is_taken_is_an_error_after_a_while() {
        let tmp = tempfile::tempdir().unwrap();
        fs::write(tmp.path().join("HEAD.lock"), "").unwrap();
        let scratch = Scratch::new(tmp.path().join("scratch"));
        let err = scratch.lock(&tmp.path().join("HEAD")).unwrap_err();
        assert!(err.message().contains("HEAD: file exists"), "{err}");
        assert!(tmp.path().join("HEAD.lock").exists());
    }

    #[test]
    fn reading_is_bounded() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("x");
        assert_eq!(read(&path, 3).unwrap(), None);
        fs::write(&path, "abc").unwrap();
        assert_eq!(read(&path, 3).unwrap(), Some(b"abc".to_vec()));
        assert!(read(&path, 2).is_err());
    }
}
