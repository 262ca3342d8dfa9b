//! Repositories in a temporary directory of their own, and questions to ask them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::git::Git;
use super::process::{Cmd, Output};

/// Refs by name; names are bytes, ids are hex.
pub type Refs = BTreeMap<Vec<u8>, String>;

/// The place where one test lives.
pub struct World {
    pub git: Git,
    dir: TempDir,
}

impl World {
    pub fn new(git: &Git) -> Self {
        World {
            git: git.clone(),
            dir: TempDir::with_prefix("relay-test-").unwrap(),
        }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// An empty bare repository.
    pub fn bare(&self, name: &str) -> Repo {
        self.init(name, &["--bare"])
    }

    /// `git init <options> <name>`.
    pub fn init(&self, name: &str, options: &[&str]) -> Repo {
        let path = self.path().join(name);
        let command = self.git.cmd(self.path()).args(["init", "--quiet"]);
        command.args(options).arg(&path).ok();
        self.open(name)
    }

    /// The repository at `name`, whatever made it.
    pub fn open(&self, name: &str) -> Repo {
        Repo {
            git: self.git.clone(),
            path: self.path().join(name),
        }
    }

    /// A full copy with every ref, as it is: the measure of what a relay must do.
    pub fn mirror(&self, of: &Repo, name: &str) -> Repo {
        let command = self.git.cmd(self.path()).args(["clone", "--quiet", "--mirror"]);
        command.arg(&of.path).arg(name).ok();
        let copy = self.open(name);
        copy.git(&["config", "--unset", "remote.origin.mirror"]).ok();
        copy
    }

    /// A byte-for-byte copy of a repository, hooks and configuration included.
    pub fn copy(&self, of: &Repo, name: &str) -> Repo {
        let to = self.path().join(name);
        copy_dir(&of.path, &to);
        self.open(name)
    }
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A repository on disk.
#[derive(Clone)]
pub struct Repo {
    pub git: Git,
    pub path: PathBuf,
}

impl Repo {
    /// A git command in this repository, still to be given its arguments.
    pub fn cmd(&self) -> Cmd {
        self.git.cmd(&self.path)
    }

    pub fn git(&self, args: &[&str]) -> Output {
        self.cmd().args(args).run()
    }

    /// The trimmed output of a git command that must succeed.
    #[track_caller]
    pub fn read(&self, args: &[&str]) -> String {
        self.git(args).ok().out().trim().to_owned()
    }

    #[track_caller]
    pub fn config(&self, key: &str, value: &str) {
        self.git(&["config", key, value]).ok();
    }

    /// The path as text, for URLs and arguments.
    pub fn at(&self) -> String {
        self.path.to_str().unwrap().to_owned()
    }

    /// The full id of a revision.
    #[track_caller]
    pub fn id(&self, revision: &str) -> String {
        self.read(&["rev-parse", "--verify", revision])
    }

    /// The id behind a ref, or nothing.
    pub fn get(&self, name: &str) -> Option<String> {
        self.refs().remove(name.as_bytes())
    }

    pub fn refs(&self) -> Refs {
        let out = self
            .git(&["for-each-ref", "--format=%(objectname) %(refname)"])
            .ok();
        out.stdout
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| {
                let space = line.iter().position(|byte| *byte == b' ').unwrap();
                let id = String::from_utf8(line[..space].to_vec()).unwrap();
                (line[space + 1..].to_vec(), id)
            })
            .collect()
    }

    /// Change many refs at once: `git update-ref --stdin` with the given lines.
    pub fn update_refs(&self, lines: &str) {
        self.cmd().args(["update-ref", "--stdin"]).input(lines).ok();
    }

    pub fn has(&self, object: &str) -> bool {
        self.git(&["cat-file", "-e", object]).code() == 0
    }

    /// The ids of all objects in the repository, reachable or not.
    pub fn objects(&self) -> Vec<String> {
        let out = self.read(&["cat-file", "--batch-all-objects", "--batch-check=%(objectname)"]);
        out.lines().map(str::to_owned).collect()
    }

    /// Insist that nothing is missing or broken.
    #[track_caller]
    pub fn fsck(&self) {
        self.git(&["fsck", "--full", "--strict", "--no-dangling"])
            .ok()
            .never_says("error")
            .never_says("missing");
    }

    /// Install an executable hook.
    pub fn hook(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path.join("hooks").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }
}

/// Insist that two repositories have the same refs, and say which differ.
#[track_caller]
pub fn assert_same_refs(left: &Repo, right: &Repo) {
    assert_refs(&left.refs(), &right.refs());
}

/// Insist that two sets of refs are equal, and say which differ.
#[track_caller]
pub fn assert_refs(left: &Refs, right: &Refs) {
    if left == right {
        return;
    }
    let mut report = String::new();
    let names: std::collections::BTreeSet<_> = left.keys().chain(right.keys()).collect();
    for name in names {
        let (a, b) = (left.get(name), right.get(name));
        if a != b {
            report += &format!("{}: {a:?} / {b:?}\n", String::from_utf8_lossy(name));
        }
    }
    panic!("refs differ (left / right):\n{report}");
}
