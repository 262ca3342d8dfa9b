//! Questions about objects.

use std::collections::HashSet;

use bstr::ByteSlice;
use gix_hash::ObjectId;

use super::Git;
use crate::error::Result;

impl Git {
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
