//! The lock that keeps two views out of one repository: an OS lock on a small file with our process id in it.
//!
//! The OS frees it when a process dies, so a lock that can be had together with a marker means a run that was killed.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{disk, fault};
use crate::error::{Error, Kind, Result};

/// How often a taken lock is tried again.
const POLL: Duration = Duration::from_millis(50);

/// The lock, held. Dropping it removes the file and lets the next one in.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    /// Holds the OS lock until it is closed.
    file: File,
}

impl Lock {
    /// Take the lock, waiting at most `wait` for its holder.
    ///
    /// # Errors
    /// `Timeout` when the holder keeps it; `Internal` when the file cannot be written or locked.
    pub(super) fn take(path: &Path, wait: Duration) -> Result<Lock> {
        let deadline = Instant::now() + wait;
        let mut told = false;
        loop {
            if let Some(lock) = try_take(path)? {
                return Ok(lock);
            }
            if Instant::now() >= deadline {
                return Err(busy(path, wait));
            }
            if !told {
                log::info!(target: "relay::helper", "waiting for the push of process {} in this repository", holder(path));
                told = true;
            }
            std::thread::sleep(POLL);
        }
    }

    /// Put our process id into the file. It is for people only.
    fn sign(&mut self) -> std::io::Result<()> {
        let id = format!("{}\n", std::process::id());
        self.file.set_len(0)?;
        self.file.write_all(id.as_bytes())
    }
}

fn try_take(path: &Path) -> Result<Option<Lock>> {
    fault::point()?;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    let file = file.map_err(|err| disk::failed("write", path, err))?;
    match file.try_lock() {
        Ok(()) => (),
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(err)) => return Err(disk::failed("lock", path, err)),
    }
    // Its last holder removed the file before it let go: then we hold the lock of a file without a name.
    let ours = file.metadata().map_err(|err| disk::failed("lock", path, err))?;
    match fs::metadata(path) {
        Ok(named) if disk::same_file(&ours, &named) => (),
        _ => return Ok(None),
    }
    // From here on the file goes when this fails, for instance on a full disk.
    let mut lock = Lock {
        path: path.to_owned(),
        file,
    };
    lock.sign().map_err(|err| disk::failed("write", path, err))?;
    Ok(Some(lock))
}

/// Whether somebody holds the lock at `path`; looks only.
pub(super) fn is_held(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn busy(path: &Path, wait: Duration) -> Error {
    let message = format!(
        "another relay push (process {}) is still at work in this repository after {} s",
        holder(path),
        wait.as_secs()
    );
    Error::new(Kind::Timeout, message).hint("wait for it, or push from a repository of its own")
}

fn holder(path: &Path) -> String {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(20).read_to_string(&mut text));
    match read {
        Ok(_) if text.trim().parse::<u32>().is_ok() => text.trim().to_owned(),
        _ => "?".to_owned(),
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While we still hold the OS lock: nobody can take a file that is about to vanish for a free lock, see above.
        disk::unlink(&self.path).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_waits_and_then_says_who_is_first() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("lock");
        let first = Lock::take(&path, Duration::ZERO).unwrap();
        assert!(is_held(&path));
        let err = Lock::take(&path, Duration::from_millis(60)).unwrap_err();
        assert_eq!(err.kind(), Kind::Timeout);
        assert!(
            err.message().contains(&format!("process {}", std::process::id())),
            "{err}"
        );

        let waiter = std::thread::spawn({
            let path = path.clone();
            move || Lock::take(&path, Duration::from_secs(20)).map(drop)
        });
        std::thread::sleep(Duration::from_millis(100));
        drop(first);
        waiter.join().unwrap().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_dead_holders_file_is_taken_over() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("lock");
        fs::write(&path, "99999999 and more\n").unwrap();
        assert!(!is_held(&path));
        let lock = Lock::take(&path, Duration::ZERO).unwrap();
        assert_eq!(holder(&path), std::process::id().to_string());
        drop(lock);
        assert!(!path.exists());
    }

    #[test]
    fn only_one_of_many_has_it() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("lock");
        let inside = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        let lock = Lock::take(&path, Duration::from_secs(60)).unwrap();
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
    }
}
