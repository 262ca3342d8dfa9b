//! Questions about objects.

use std::collections::HashSet;

use bstr::{BString, ByteSlice};
use gix_hash::ObjectId;

use super::Git;
use crate::error::{Error, Kind, Result, printable};

/// An object that a name or id stands for, and what it peels to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// The object itself, perhaps a tag.
    pub oid: ObjectId,
    /// What is behind a tag, else the same.
    pub peeled: ObjectId,
    /// Whether that is a commit.
    pub is_commit: bool,
}

impl Git {
    /// What `names` (revisions, gitrevisions(7)) stand for, in their order.
    ///
    /// # Errors
    /// `Usage` for a name that stands for nothing here, `Internal` when git fails.
    pub fn look_up(&self, names: &[BString]) -> Result<Vec<Named>> {
        let input: Vec<u8> = names
            .iter()
            .flat_map(|name| [name.as_slice(), b"\n", name.as_slice(), b"^{}\n"].concat())
            .collect();
        let args = ["cat-file", "--batch-check=%(objectname) %(objecttype)"];
        let limit = input.len() as u64 * 2 + names.len() as u64 * 200;
        let out = self.command(args).input(input).limit(limit).run()?;
        let mut lines = out.lines();
        let mut entry = || {
            let (oid, kind) = lines.next()?.split_once_str(" ")?;
            Some((ObjectId::from_hex(oid).ok()?, kind == b"commit"))
        };
        let named = |name: &BString| match (entry(), entry()) {
            (Some((oid, _)), Some((peeled, is_commit))) => Ok(Named {
                oid,
                peeled,
                is_commit,
            }),
            _ => Err(Error::new(
                Kind::Usage,
                format!("'{}' names no object here", printable(name)),
            )),
        };
        names.iter().map(named).collect()
    }

    /// Which of `oids` exist in the repository, packed or loose, here or in an alternate.
    ///
    /// # Errors
    /// `Internal` when git fails.
    pub fn existing_objects(&self, oids: impl Iterator<Item = ObjectId>) -> Result<HashSet<ObjectId>> {
        let input: Vec<u8> = oids.flat_map(|oid| format!("{oid}\n").into_bytes()).collect();
        // The answer is `<oid>` or `<oid> missing`.
        let limit = input.len() as u64 * 2;
        let args = ["cat-file", "--batch-check=%(objectname)"];
        let out = self.command(args).input(input).limit(limit).run()?;
        Ok(out
            .lines()
            .filter_map(|line| ObjectId::from_hex(line).ok())
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_and_tags_peeled() {
        let tmp = tempfile::tempdir().unwrap();
        Git::here()
            .command(["init", "-q", "--bare"])
            .arg(tmp.path())
            .run()
            .unwrap();
        let git = Git::at(tmp.path());
        let import = "commit refs/heads/main\ncommitter a <a@b> 1700000000 +0000\ndata 0\n\
                      tag v1\nfrom refs/heads/main\ntagger a <a@b> 1700000000 +0000\ndata 0\n\
                      reset refs/tags/light\nfrom refs/heads/main\n";
        git.command(["fast-import", "--quiet"])
            .input(import.into())
            .run()
            .unwrap();
        let found = git
            .look_up(&["refs/heads/main".into(), "refs/tags/v1".into()])
            .unwrap();
        assert!(found[0].is_commit && found[0].oid == found[0].peeled);
        assert!(found[1].is_commit && found[1].oid != found[1].peeled);
        assert_eq!(found[0].oid, found[1].peeled);
        assert!(git.look_up(&["nosuch".into()]).is_err());
    }

    #[test]
    fn only_what_exists_is_named() {
        let tmp = tempfile::tempdir().unwrap();
        Git::here()
            .command(["init", "-q", "--bare"])
            .arg(tmp.path())
            .run()
            .unwrap();
        let git = Git::at(tmp.path());
        let blob = git
            .command(["hash-object", "-w", "--stdin"])
            .input(b"x".to_vec())
            .run()
            .unwrap();
        let blob = ObjectId::from_hex(blob.trim_end()).unwrap();
        let other = ObjectId::from_bytes_or_panic(&[1; 20]);
        let found = git.existing_objects([blob, other].into_iter()).unwrap();
        assert_eq!(found, HashSet::from([blob]));
    }
}
