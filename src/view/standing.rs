//! May a view be built here? Looks only, apart from the lock that it hands on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bstr::{BString, ByteSlice};

use super::files::{self, Packed};
use super::lock::Lock;
use super::{Paths, Repository, disk, undo};
use crate::error::{Error, Kind, Result};
use crate::git::{Config, Git, Layout, RefStorage};

/// Where `clone` points `HEAD` while it does not know yet what to put there.
const PLACEHOLDER: &[u8] = b"refs/heads/.invalid";

/// What the repository at hand is, as far as a view is concerned.
#[derive(Debug)]
pub enum Standing {
    /// Nothing in the way; the repository is locked against other views until this value is dropped.
    Empty(Box<Repository>),
    /// It has refs of its own, and pushes those.
    HasRefs,
    /// Git runs us outside of any repository.
    NoRepository,
    /// It has no refs, but a view cannot or must not be built; why.
    Unusable(Error),
}

/// What an empty repository is like: all that a view needs to know and to put back.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// The content of `HEAD`, or with reftables the ref it points to.
    pub(super) head: BString,
    /// The ref that `HEAD` points to.
    pub(super) head_target: BString,
    pub(super) packed_refs: Option<BString>,
    pub(super) head_log: bool,
    pub(super) kept_dirs: Vec<BString>,
    pub(super) tracking: Vec<BString>,
}

enum Verdict {
    Empty(Found),
    HasRefs,
    Unusable(Error),
}

/// Find out whether a view may be built in the repository at hand, after cleaning up behind a killed run. Waits at
/// most `wait` for another view to go.
///
/// A repository that has refs costs no spawn where `packed-refs` or a loose ref shows it.
///
/// # Errors
/// When git or the disk fails. What keeps a readable repository from being viewed is [`Standing::Unusable`].
pub fn standing(git: &Git, wait: Duration) -> Result<Standing> {
    let Some(common) = git.common_dir() else {
        return Ok(Standing::NoRepository);
    };
    let paths = Paths::new(&common);
    if !paths.traces()? {
        if plainly_has_refs(&common)? {
            return Ok(Standing::HasRefs);
        }
        match inspect(git)? {
            Verdict::Empty(_) => (),
            Verdict::HasRefs => return Ok(Standing::HasRefs),
            Verdict::Unusable(why) => return Ok(Standing::Unusable(why)),
        }
    }
    let lock = match Lock::take(&paths.lock, wait) {
        Ok(lock) => lock,
        Err(why) => return Ok(Standing::Unusable(why)),
    };
    undo::recover_locked(git, &paths)?;
    // Again, now that nobody else's view can come or go.
    Ok(match inspect(git)? {
        Verdict::Empty(found) => Standing::Empty(Box::new(Repository::new(git, paths, found, lock)?)),
        Verdict::HasRefs => Standing::HasRefs,
        Verdict::Unusable(why) => Standing::Unusable(why),
    })
}

/// The quick way to see that a repository is not empty. With reftables `refs/heads` is a file that only looks like
/// a ref.
fn plainly_has_refs(common: &Path) -> Result<bool> {
    if common.join("reftable").is_dir() {
        return Ok(false);
    }
    Ok(
        std::matches!(files::packed(&common.join("packed-refs"))?, Packed::SomeRef)
            || files::any_loose(&common.join("refs"))?,
    )
}

fn inspect(git: &Git) -> Result<Verdict> {
    let (layout, config) = git.discover()?;
    let verdict = match layout.refs {
        RefStorage::Files => in_files(layout)?,
        RefStorage::Reftable => in_tables(git, layout)?,
        RefStorage::Unknown => unusable("its refs are stored in a way this version does not know"),
    };
    Ok(match verdict {
        Verdict::Empty(found) => match obstacle(git, layout, config) {
            Some(why) => Verdict::Unusable(why),
            None => Verdict::Empty(Found {
                tracking: tracking(config),
                ..found
            }),
        },
        other => other,
    })
}

fn reason(why: &str) -> Error {
    Error::new(
        Kind::Unsupported,
        format!("this repository has no refs, and the source cannot be viewed in it: {why}"),
    )
    .hint("push from a fresh repository (git init --bare)")
}

fn unusable(why: &str) -> Verdict {
    Verdict::Unusable(reason(why))
}

/// What stands in the way in any repository, whatever its refs.
fn obstacle(git: &Git, layout: &Layout, config: &Config) -> Option<Error> {
    let promisors = config.subsections("remote", "promisor").next().is_some();
    let why = if git.var("GIT_QUARANTINE_PATH").is_some() {
        "a hook runs us while a push into it is not accepted yet"
    } else if git.var("GIT_SHALLOW_FILE").is_some() {
        "GIT_SHALLOW_FILE is set"
    } else if promisors || config.string("extensions.partialClone").is_some() {
        "it is a partial clone, and git would try to fetch what is missing"
    } else if std::fs::symlink_metadata(&layout.shallow).is_ok() {
        "it is shallow already"
    } else {
        return None;
    };
    Some(reason(why))
}

/// The git directories of all worktrees, that of the main one first.
fn worktrees(layout: &Layout) -> Result<Vec<PathBuf>> {
    let linked = disk::list(&layout.common_dir.join("worktrees"))?;
    let mut dirs = vec![layout.common_dir.clone()];
    dirs.extend(
        linked
            .iter()
            .map(std::fs::DirEntry::path)
            .filter(|dir| dir.join("gitdir").exists()),
    );
    Ok(dirs)
}

fn in_files(layout: &Layout) -> Result<Verdict> {
    let packed_refs = match files::packed(&layout.packed_refs)? {
        Packed::Absent => None,
        Packed::NoRef(content) => Some(content),
        Packed::SomeRef => return Ok(Verdict::HasRefs),
    };
    for dir in worktrees(layout)? {
        if files::any_loose(&dir.join("refs"))? {
            return Ok(Verdict::HasRefs);
        }
        let head = files::read_loose(&dir.join("HEAD"))?;
        let target = head.as_ref().and_then(|head| files::symbolic_target(head));
        if let Some(why) = bad_head(target.map(|target| target.as_bytes())) {
            return Ok(unusable(why));
        }
    }
    let path = layout.git_dir.join("HEAD");
    if path.is_symlink() {
        return Ok(unusable("its HEAD is a symbolic link"));
    }
    let head = files::read_loose(&path)?.unwrap_or_default();
    let target = files::symbolic_target(&head).unwrap_or_default().to_owned();
    found(layout, head, target, packed_refs)
}

fn in_tables(git: &Git, layout: &Layout) -> Result<Verdict> {
    let mut own = None;
    for dir in worktrees(layout)? {
        if git.first_ref(&dir)?.is_some() {
            return Ok(Verdict::HasRefs);
        }
        let target = git.head_target(&dir)?;
        if let Some(why) = bad_head(target.as_ref().map(|target| target.as_bytes())) {
            return Ok(unusable(why));
        }
        if dir.canonicalize().ok() == layout.git_dir.canonicalize().ok() {
            own = target;
        }
    }
    let head = own.unwrap_or_default();
    found(layout, head.clone(), head, None)
}

fn bad_head(target: Option<&[u8]>) -> Option<&'static str> {
    match target {
        None => Some("a HEAD in it is detached"),
        Some(PLACEHOLDER) => Some("it is being cloned"),
        Some(name) if !files::is_ref_name(name) => Some("a HEAD in it points to no ref"),
        Some(_) => None,
    }
}

fn found(
    layout: &Layout,
    head: BString,
    head_target: BString,
    packed_refs: Option<BString>,
) -> Result<Verdict> {
    let mut kept_dirs = Vec::new();
    for name in ["refs", "logs"] {
        files::directories(&layout.common_dir, Path::new(name), &mut kept_dirs)?;
    }
    let head_log = layout.git_dir.join("logs/HEAD").exists();
    Ok(Verdict::Empty(Found {
        head,
        head_target,
        packed_refs,
        head_log,
        kept_dirs,
        tracking: Vec::new(),
    }))
}

/// The right sides of all fetch refspecs: where git may note what was pushed.
fn tracking(config: &Config) -> Vec<BString> {
    let remotes = config.subsections("remote", "fetch");
    let keys = remotes.filter_map(|remote| Some(format!("remote.{}.fetch", remote.to_str().ok()?)));
    let specs = keys.flat_map(|key| {
        config
            .all(&key)
            .into_iter()
            .map(ToOwned::to_owned)
            .collect::<Vec<_>>()
    });
    let mut out: Vec<BString> = specs
        .filter_map(|spec| Some(spec.rsplit_once_str(b":")?.1.into()))
        .filter(|right: &BString| right.starts_with(b"refs/"))
        .collect();
    out.sort();
    out.dedup();
    out
}
