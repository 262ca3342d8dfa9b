//! Packs: into a repository (`index-pack`), out of it again (`pack-objects`), and which commits are to go into one
//! (`rev-list`). Which of it when, and what to make of a failure, is decided elsewhere.

use std::io::{self, BufReader, Read};
use std::process::{ChildStdin, ChildStdout};

use bstr::{BString, ByteSlice};
use gix_hash::ObjectId;

use super::Git;
use super::run::Running;
use crate::error::{Error, Kind, Result};

/// The file name of a pack in `objects/pack`, as git wants to be told it: `pack-<checksum>.pack`.
pub type PackName = String;

/// Enough for the names of commits that are asked for, each 65 bytes at most.
const MANY_IDS: u64 = 1 << 30;

/// A pack on its way into a repository.
#[derive(Debug)]
pub struct Indexing {
    running: Running,
    /// Where the pack is written to.
    pub stdin: ChildStdin,
}

impl Indexing {
    /// The pack is complete. Its name, once git has stored it.
    ///
    /// # Errors
    /// `Internal`, with git's own words, when git could not store it.
    pub fn finish(self) -> Result<PackName> {
        drop(self.stdin);
        let said = self.running.finish()?;
        pack_name(&said)
    }

    /// Git stopped reading: why?
    pub fn why(self) -> Option<Error> {
        drop(self.stdin);
        self.running.finish().err()
    }
}

/// A pack that git makes while it is read. A read fails rather than end when git did not end well.
#[derive(Debug)]
pub struct Packing {
    running: Option<Running>,
    stdout: ChildStdout,
}

impl Git {
    /// Store a pack, which may leave out what its objects refer to. With `fsck`, the objects themselves are checked.
    ///
    /// # Errors
    /// `Internal` when git cannot be started.
    pub fn index_pack(&self, fsck: bool) -> Result<Indexing> {
        let mut command = self.command(["index-pack", "--stdin"]);
        if fsck {
            command = command.arg("--fsck-objects");
        }
        let (running, stdin) = command.start_fed()?;
        Ok(Indexing { running, stdin })
    }

    /// Make one pack of all objects in `packs`, complete in itself.
    ///
    /// # Errors
    /// `Internal` when git cannot be started.
    pub fn repack(&self, packs: &[PackName]) -> Result<BufReader<Packing>> {
        // `--stdin-packs` came with git 2.32. It keeps the order of the packs and finds names for the delta search, and
        // does not mind that history ends somewhere.
        let args = [
            "pack-objects",
            "-q",
            "--stdin-packs",
            "--stdout",
            "--delta-base-offset",
        ];
        let input = packs.iter().flat_map(|name| format!("{name}\n").into_bytes());
        let (running, stdout) = self.command(args).input(input.collect()).start_read()?;
        let packing = Packing {
            running: Some(running),
            stdout,
        };
        Ok(BufReader::with_capacity(64 * 1024, packing))
    }

    /// Store one pack with all that `wanted` reach and `unwanted` do not. Nothing is stored when there is nothing.
    ///
    /// # Errors
    /// `Internal`, with git's own words, when something is missing or there is no room.
    pub fn pack_between(&self, wanted: &[ObjectId], unwanted: &[ObjectId]) -> Result<Option<PackName>> {
        let dir = self.git_dir().unwrap_or_default().join("objects/pack/pack");
        // A limit that the user has set for packs on disk would make several.
        let settings = ["-c", "pack.packSizeLimit=0", "pack-objects", "-q", "--revs"];
        let command = self
            .command(settings)
            .args(["--delta-base-offset", "--non-empty"]);
        let said = command.arg(dir).input(revisions(wanted, unwanted)).run()?;
        match said.trim().is_empty() {
            true => Ok(None),
            false => pack_name(&said).map(Some),
        }
    }

    /// The commits that `wanted` reach and `unwanted` do not, newest first, at most `limit` of them.
    ///
    /// # Errors
    /// `Internal`, with git's own words, when a commit is missing.
    pub fn commits_between(
        &self,
        wanted: &[ObjectId],
        unwanted: &[ObjectId],
        limit: usize,
    ) -> Result<Vec<ObjectId>> {
        let args = ["rev-list", "--stdin", &format!("--max-count={limit}")];
        let command = self.command(args).input(revisions(wanted, unwanted));
        let out = command.limit(MANY_IDS).run()?;
        Ok(ids(&out).collect())
    }

    /// The commits that `unwanted` reach and that are parents of those that only `wanted` reach.
    ///
    /// # Errors
    /// Those of [`Git::commits_between`].
    pub fn boundary(&self, wanted: &[ObjectId], unwanted: &[ObjectId]) -> Result<Vec<ObjectId>> {
        let args = ["rev-list", "--stdin", "--boundary"];
        let command = self.command(args).input(revisions(wanted, unwanted));
        let out = command.limit(MANY_IDS).run()?;
        let lines = out.lines().filter_map(|line| line.strip_prefix(b"-"));
        Ok(lines.filter_map(|line| ObjectId::from_hex(line).ok()).collect())
    }

    /// Whether `old` is an ancestor of `new`, by the history in this repository.
    ///
    /// # Errors
    /// `Internal`, with git's own words, when a commit is missing.
    pub fn is_ancestor(&self, old: &ObjectId, new: &ObjectId) -> Result<bool> {
        // 1 says that they have nothing in common.
        let args = ["merge-base".to_owned(), old.to_string(), new.to_string()];
        let bases = self.command(args).or_exit(1).run()?;
        Ok(ids(&bases).any(|base| base == *old))
    }
}

fn revisions(wanted: &[ObjectId], unwanted: &[ObjectId]) -> Vec<u8> {
    let wanted = wanted.iter().map(|oid| format!("{oid}\n"));
    let unwanted = unwanted.iter().map(|oid| format!("^{oid}\n"));
    wanted.chain(unwanted).flat_map(String::into_bytes).collect()
}

fn ids(out: &[u8]) -> impl Iterator<Item = ObjectId> {
    out.lines().filter_map(|line| ObjectId::from_hex(line).ok())
}

/// `index-pack --stdin` says `pack<TAB><checksum>`, `pack-objects` the checksum alone.
fn pack_name(said: &[u8]) -> Result<PackName> {
    let checksum = said.trim().rsplit_str(b"\t").next().map(ObjectId::from_hex);
    match checksum {
        Some(Ok(checksum)) => Ok(format!("pack-{checksum}.pack")),
        _ => {
            let said = BString::from(said);
            Err(Error::new(Kind::Internal, format!("git named no pack: {said:?}")))
        }
    }
}

impl Read for Packing {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.stdout.read(buf)?;
        if count == 0
            && !buf.is_empty()
            && let Some(running) = self.running.take()
        {
            running.finish()?;
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn init(dir: &std::path::Path) -> Git {
        let git = Git::here().command(["init", "-q", "--bare"]).arg(dir);
        git.run().unwrap();
        Git::at(dir)
    }

    /// Four commits in a row, newest first.
    fn history(git: &Git) -> Vec<ObjectId> {
        let commit = |n: u64| {
            let (mark, from) = (
                n + 1,
                if n > 0 {
                    format!("from :{n}\n")
                } else {
                    String::new()
                },
            );
            format!(
                "commit refs/heads/main\nmark :{mark}\ncommitter a <a@b> {} +0000\ndata 1\n{n}\n{from}\
                 M 100644 inline f\ndata 2\n{n}\n\n",
                1_700_000_000 + n
            )
        };
        let stream: String = (0..4).map(commit).collect();
        git.command(["fast-import", "--quiet"])
            .input(stream.into())
            .run()
            .unwrap();
        ids(&git.command(["rev-list", "main"]).run().unwrap()).collect()
    }

    #[test]
    fn history_is_walked_by_git() {
        let tmp = tempfile::tempdir().unwrap();
        let git = init(tmp.path());
        let ids = history(&git);
        assert_eq!(git.commits_between(&ids[..1], &ids[2..3], 9).unwrap(), ids[..2]);
        assert_eq!(git.commits_between(&ids[..1], &[], 1).unwrap(), ids[..1]);
        assert_eq!(git.boundary(&ids[..1], &ids[2..3]).unwrap(), ids[2..3]);
        assert!(git.is_ancestor(&ids[3], &ids[0]).unwrap());
        assert!(!git.is_ancestor(&ids[0], &ids[3]).unwrap());
        assert!(
            git.is_ancestor(&ids[0], &ObjectId::null(gix_hash::Kind::Sha1))
                .is_err()
        );
    }

    /// Through a repository that holds nothing but the packs.
    #[test]
    fn packs_go_in_and_come_out_as_one_though_history_has_holes() {
        let tmp = tempfile::tempdir().unwrap();
        let (from, via) = (init(&tmp.path().join("from")), init(&tmp.path().join("via")));
        let ids = history(&from);
        let args = ["pack-objects", "-q", "--revs", "--stdout"];
        let part = |wanted: &[ObjectId], unwanted: &[ObjectId]| {
            let pack = from
                .command(args)
                .input(revisions(wanted, unwanted))
                .run()
                .unwrap();
            let mut indexing = via.index_pack(true).unwrap();
            indexing.stdin.write_all(&pack).unwrap();
            indexing.finish().unwrap()
        };
        let packs = [part(&ids[..1], &ids[1..2]), part(&ids[1..2], &ids[2..3])];
        let mut whole = Vec::new();
        via.repack(&packs).unwrap().read_to_end(&mut whole).unwrap();
        assert_eq!(whole.get(..12), Some(b"PACK\0\0\0\x02\0\0\0\x06".as_slice()));
        assert!(
            via.repack(&["pack-none.pack".into()])
                .unwrap()
                .read_to_end(&mut whole)
                .is_err()
        );
        assert!(via.pack_between(&ids[..1], &[]).is_err());
        assert_eq!(from.pack_between(&ids[..1], &ids[..1]).unwrap(), None);
        let name = from.pack_between(&ids[..1], &ids[1..2]).unwrap().unwrap();
        assert!(tmp.path().join("from/objects/pack").join(name).exists());
    }

    #[test]
    fn damaged_packs_are_refused_in_gits_words() {
        let tmp = tempfile::tempdir().unwrap();
        let mut indexing = init(tmp.path()).index_pack(false).unwrap();
        indexing.stdin.write_all(b"PACX").unwrap();
        let err = indexing.finish().unwrap_err();
        assert!(err.message().starts_with("git index-pack failed: "), "{err}");
    }
}
