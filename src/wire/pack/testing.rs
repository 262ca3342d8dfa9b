//! Repositories and packs made by the real git, for tests that take their expectations from it.

use std::io::Write;
use std::process::{Command, Stdio};

use gix_hash::{Kind as Format, ObjectId};
use tempfile::TempDir;

/// A bare repository in a temporary directory; nothing from the machine's git configuration reaches it.
pub(crate) struct Repo {
    dir: TempDir,
}

impl Repo {
    /// An empty repository.
    pub(crate) fn new(format: Format) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let repo = Repo { dir };
        repo.git(&["init", "-q", "--bare", &format!("--object-format={format}"), "."]);
        repo
    }

    /// A repository with `count` commits on `main` and a tag on each tenth, all much alike.
    pub(crate) fn with_history(format: Format, count: usize) -> Self {
        let repo = Repo::new(format);
        let mut stream = String::new();
        for nr in 0..count {
            let message = format!("{}change {nr}\n", "The same words in each message. ".repeat(20));
            let content = format!("{}{nr}\n", "some line of a file\n".repeat(40));
            let (message_len, content_len) = (message.len(), content.len());
            stream += &format!(
                "commit refs/heads/main\ncommitter A <a@example.org> {} +0000\ndata {message_len}\n{message}\n\
                 M 100644 inline file\ndata {content_len}\n{content}\n",
                1_700_000_000 + nr * 60
            );
            if nr % 10 == 0 {
                stream += &format!(
                    "tag v{nr}\nfrom refs/heads/main\ntagger A <a@example.org> 1700000000 +0000\n\
                     data {message_len}\n{message}\n"
                );
            }
        }
        repo.git_with(&["fast-import", "--quiet"], stream.as_bytes());
        repo
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// The output of `git <args>`.
    pub(crate) fn git(&self, args: &[&str]) -> Vec<u8> {
        self.git_with(args, b"")
    }

    /// The output of `git <args>` with `input` on its standard input.
    pub(crate) fn git_with(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        let mut command = Command::new("git");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GIT_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(args)
            .current_dir(self.dir.path())
            .env("HOME", self.dir.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_DIR", self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            // git may have no use for its input and be gone: that is for its exit status to say.
            scope.spawn(move || stdin.write_all(input).ok());
            child.wait_with_output().unwrap()
        });
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {stderr}");
        output.stdout
    }

    /// A pack of `objects`, made by `git pack-objects <args>`.
    pub(crate) fn pack(&self, args: &[&str], objects: &[ObjectId]) -> Vec<u8> {
        let list: String = objects.iter().map(|id| format!("{id}\n")).collect();
        let command = [
            "pack-objects",
            "--stdout",
            "-q",
            "--no-reuse-delta",
            "--threads=1",
        ];
        self.git_with(&[&command, args].concat(), list.as_bytes())
    }

    /// Every object of the kinds in `kinds`, from git's own list.
    pub(crate) fn objects(&self, kinds: &[&str]) -> Vec<ObjectId> {
        let out = self.git(&[
            "cat-file",
            "--batch-all-objects",
            "--batch-check=%(objectname) %(objecttype)",
        ]);
        let out = String::from_utf8(out).unwrap();
        let lines = out.lines().filter_map(|line| line.split_once(' '));
        let wanted = lines.filter(|(_, kind)| kinds.contains(kind));
        wanted
            .map(|(hex, _)| ObjectId::from_hex(hex.as_bytes()).unwrap())
            .collect()
    }
}
