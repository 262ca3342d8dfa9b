//! The ref commands that the view needs: is there any ref, what is HEAD, and one transaction.

use std::path::Path;

use bstr::{BStr, BString, ByteSlice, ByteVec};
use gix_hash::ObjectId;

use super::Git;
use crate::error::{Error, Kind, Result};

/// Settings for commands that change refs for a moment only: no reflogs and no `reference-transaction` hook, which
/// would take our refs for the user's.
const QUIETLY: [&str; 4] = [
    "-c",
    "core.logAllRefUpdates=false",
    "-c",
    "core.hooksPath=/dev/null",
];

/// The most that a listing of all refs may take, in bytes: some ten million refs.
const LISTING_LIMIT: u64 = 1 << 30;

/// What [`Git::list_refs`] found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Names and values, in git's order.
    pub refs: Vec<(BString, ObjectId)>,
    /// Whether there are symbolic refs besides; `HEAD` is not one of them.
    pub has_symbolic: bool,
}

/// One line of a ref transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The ref must not exist yet.
    Create(BString, ObjectId),
    /// The ref must still have this value.
    Delete(BString, ObjectId),
}

impl Git {
    /// The first ref of the worktree at `git_dir` that git lists, shared refs included.
    ///
    /// # Errors
    /// `Internal` when git fails.
    pub fn first_ref(&self, git_dir: &Path) -> Result<Option<BString>> {
        let args = ["for-each-ref", "--count=1", "--format=%(refname)"];
        let out = self.command_in(git_dir, args).run()?;
        let name = out.trim_end();
        Ok((!name.is_empty()).then(|| name.into()))
    }

    /// All refs that hold a value of their own; of the symbolic ones, only that there are some.
    ///
    /// # Errors
    /// `Internal` when git fails or prints something else.
    pub fn list_refs(&self) -> Result<Listing> {
        let format = "--format=%(objectname) %(refname) %(symref)";
        let out = self
            .command(["for-each-ref", format])
            .limit(LISTING_LIMIT)
            .run()?;
        let mut listing = Listing::default();
        for line in out.lines() {
            let mut fields = line.splitn_str(3, b" ");
            match (
                fields.next().map(ObjectId::from_hex),
                fields.next(),
                fields.next(),
            ) {
                (Some(Ok(oid)), Some(name), Some(b"")) => listing.refs.push((name.into(), oid)),
                (Some(Ok(_)), Some(_), Some(_)) => listing.has_symbolic = true,
                _ => {
                    return Err(Error::new(
                        Kind::Internal,
                        "git for-each-ref printed a line that is no ref",
                    ));
                }
            }
        }
        Ok(listing)
    }

    /// The ref that `HEAD` of the worktree at `git_dir` points to; `None` when it is detached.
    ///
    /// # Errors
    /// `Internal` when git fails.
    pub fn head_target(&self, git_dir: &Path) -> Result<Option<BString>> {
        let out = self
            .command_in(git_dir, ["symbolic-ref", "-q", "HEAD"])
            .or_exit(1)
            .run()?;
        let name = out.trim_end();
        Ok((!name.is_empty()).then(|| name.into()))
    }

    /// Point `HEAD` of the worktree at `git_dir` to the ref `target`, without a reflog entry.
    ///
    /// # Errors
    /// `Internal` when git fails.
    pub fn set_head_target(&self, git_dir: &Path, target: &BStr) -> Result<()> {
        let name = crate::git::os_str(target);
        self.command_in(git_dir, QUIETLY)
            .args(["symbolic-ref", "HEAD"])
            .arg(name)
            .run()
            .map(drop)
    }

    /// Bring the stored refs into their most compact form; with reftables, deleted refs are forgotten only then.
    ///
    /// # Errors
    /// When git fails.
    pub fn pack_refs(&self) -> Result<()> {
        self.command(["pack-refs", "--all"]).run().map(drop)
    }

    /// Make all `changes` or none, without reflogs and hooks.
    ///
    /// # Errors
    /// `Internal` when git refuses, in its words.
    pub fn update_refs(&self, changes: &[Change]) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let input = transaction(changes);
        self.command(QUIETLY)
            .args(["update-ref", "--no-deref", "--stdin", "-z"])
            .input(input)
            .run()
            .map(drop)
    }
}

/// The `-z` format of git-update-ref(1). Without `start` and `commit` git would take half an input, cut off because we
/// were killed, for all of it.
fn transaction(changes: &[Change]) -> Vec<u8> {
    let mut out = Vec::with_capacity(changes.len() * 96);
    out.push_str("start\0");
    for change in changes {
        let (verb, name, oid) = match change {
            Change::Create(name, oid) => ("create ", name, oid),
            Change::Delete(name, oid) => ("delete ", name, oid),
        };
        out.push_str(verb);
        out.push_str(name);
        out.push(0);
        out.push_str(oid.to_string());
        out.push(0);
    }
    out.push_str("commit\0");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_in_gits_format() {
        let oid = ObjectId::null(gix_hash::Kind::Sha1);
        let changes = [
            Change::Create("refs/heads/a".into(), oid),
            Change::Delete("refs/heads/b".into(), oid),
        ];
        let zeros = "0".repeat(40);
        let expected = format!("start\0create refs/heads/a\0{zeros}\0delete refs/heads/b\0{zeros}\0commit\0");
        assert_eq!(transaction(&changes), expected.as_bytes());
    }

    #[test]
    fn refs_come_and_go_by_transaction() {
        let tmp = tempfile::tempdir().unwrap();
        Git::here()
            .command(["init", "-q", "--bare"])
            .arg(tmp.path())
            .run()
            .unwrap();
        let git = Git::at(tmp.path());
        assert_eq!(git.first_ref(tmp.path()).unwrap(), None);
        let blob = git.command(["hash-object", "-w", "--stdin"]).run().unwrap();
        let blob = ObjectId::from_hex(blob.trim_end()).unwrap();
        let name = BString::from("refs/tags/x");
        git.update_refs(&[Change::Create(name.clone(), blob)]).unwrap();
        assert_eq!(git.first_ref(tmp.path()).unwrap(), Some(name.clone()));
        assert_eq!(git.list_refs().unwrap().refs, [(name.clone(), blob)]);
        git.command(["symbolic-ref", "refs/tags/sym", "refs/tags/x"])
            .run()
            .unwrap();
        let listing = git.list_refs().unwrap();
        assert_eq!((listing.refs.len(), listing.has_symbolic), (1, true));
        git.command(["symbolic-ref", "-d", "refs/tags/sym"])
            .run()
            .unwrap();
        assert!(
            git.update_refs(&[Change::Create(name.clone(), blob)]).is_err(),
            "it exists"
        );
        git.update_refs(&[Change::Delete(name, blob)]).unwrap();
        assert_eq!(git.list_refs().unwrap(), Listing::default());

        git.set_head_target(tmp.path(), "refs/heads/-odd".into()).unwrap();
        assert_eq!(
            git.head_target(tmp.path()).unwrap(),
            Some("refs/heads/-odd".into())
        );
    }
}
