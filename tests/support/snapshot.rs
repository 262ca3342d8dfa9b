//! The exact state of a repository's directory, to prove that a run left it as it was.
//!
//! Every file counts with its content, every directory by its presence. Left out is only what git itself leaves behind
//! when a ref comes and goes: empty directories below `refs/` and `logs/`, and in a reftable the table files, whose number and
//! content change with every transaction (that no ref is left is checked by its own means, as is HEAD).

use std::collections::BTreeMap;
use std::path::Path;

use super::repo::Repo;

/// Paths relative to the git directory; a directory has no content.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot {
    entries: BTreeMap<String, Option<Vec<u8>>>,
    refs: super::repo::Refs,
    head: String,
}

/// Take the state of `repo` (bare or not).
pub fn snapshot(repo: &Repo) -> Snapshot {
    let git_dir = repo.read(&["rev-parse", "--absolute-git-dir"]);
    let mut entries = BTreeMap::new();
    walk(Path::new(&git_dir), "", &mut entries);
    Snapshot {
        entries,
        refs: repo.refs(),
        head: repo.read(&["symbolic-ref", "HEAD"]),
    }
}

fn walk(dir: &Path, prefix: &str, entries: &mut BTreeMap<String, Option<Vec<u8>>>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            if !git_leaves(&name) {
                entries.insert(name.clone(), None);
            }
            walk(&entry.path(), &format!("{name}/"), entries);
        } else if !is_table(&name) {
            entries.insert(name, Some(std::fs::read(entry.path()).unwrap()));
        }
    }
}

fn git_leaves(dir: &str) -> bool {
    dir == "logs" || dir.starts_with("logs/") || dir.starts_with("refs/")
}

/// A lock file left in the reftable is not a table and counts.
fn is_table(name: &str) -> bool {
    name == "reftable/tables.list"
        || (name.starts_with("reftable/") && (name.ends_with(".ref") || name.ends_with(".log")))
}

impl Snapshot {
    /// Insist that `repo` is in this state still.
    #[track_caller]
    pub fn assert_unchanged(&self, repo: &Repo) {
        let now = snapshot(repo);
        if *self == now {
            return;
        }
        let mut report = String::new();
        for name in self
            .entries
            .keys()
            .filter(|name| !now.entries.contains_key(*name))
        {
            report += &format!("gone: {name}\n");
        }
        for (name, content) in &now.entries {
            match self.entries.get(name) {
                None => report += &format!("left behind: {name}\n"),
                Some(before) if before != content => report += &format!("changed: {name}\n"),
                Some(_) => {}
            }
        }
        if self.head != now.head {
            report += &format!("HEAD: {} is now {}\n", self.head, now.head);
        }
        for name in now.refs.keys() {
            report += &format!("ref: {}\n", String::from_utf8_lossy(name));
        }
        panic!("{} is not as it was\n{report}", repo.path.display());
    }
}
