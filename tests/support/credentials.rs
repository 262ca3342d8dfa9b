//! Two sides with a lock each, and a credential helper that keeps a record.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::git::Git;
use super::http::Options;
use super::pair::Pair;
use super::process::Cmd;
use super::scenes;

/// Both sides on one host, each behind its own lock.
pub fn locked(git: &Git, source: &str, target: &str) -> Pair {
    let options = Options {
        locks: vec![
            ("/source.git", source.to_owned()),
            ("/target.git", target.to_owned()),
        ],
        ..Options::default()
    };
    let pair = Pair::with(git, &[], options);
    scenes::fresh(&pair);
    pair
}

/// A credential helper that notes what it is asked and told, and answers with what lies in a file.
pub struct Helper {
    pub dir: PathBuf,
}

impl Helper {
    pub fn new(pair: &Pair) -> Helper {
        let dir = pair.world.path().join("helper");
        std::fs::create_dir(&dir).unwrap();
        let script = format!(
            "#!/bin/sh\ncd '{}'\ninput=$(cat)\nprintf '%s\\n%s\\n' \"$1\" \"$input\" >>log\n\
             test \"$1\" = get || exit 0\npath=$(printf '%s\\n' \"$input\" | sed -n 's/^path=//p')\n\
             cat \"answer-$path\"\ntest ! -f \"next-$path\" || mv \"next-$path\" \"answer-$path\"\n",
            dir.display()
        );
        std::fs::write(dir.join("run"), script).unwrap();
        std::fs::set_permissions(dir.join("run"), PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::write(dir.join("log"), "").unwrap();
        Helper { dir }
    }

    pub fn answers(&self, path: &str, lines: &str) {
        std::fs::write(self.dir.join(format!("answer-{path}")), lines).unwrap();
    }

    pub fn answers_next(&self, path: &str, lines: &str) {
        std::fs::write(self.dir.join(format!("next-{path}")), lines).unwrap();
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap()
    }

    /// What it was asked to do about `path`, in order.
    pub fn actions(&self, path: &str) -> Vec<String> {
        let log = self.log();
        let mut actions = Vec::new();
        let mut last = "";
        for line in log.lines() {
            match line {
                "get" | "store" | "erase" => last = line,
                line if line.strip_prefix("path=") == Some(path) => actions.push(last.to_owned()),
                _ => {}
            }
        }
        actions
    }

    /// `git push` with this helper, which gets to see paths.
    pub fn push(&self, pair: &Pair, args: &[&str]) -> Cmd {
        let helper = format!("credential.helper={}", self.dir.join("run").display());
        let here = pair
            .here
            .cmd()
            .args(["-c", &helper, "-c", "credential.useHttpPath=true"]);
        here.arg("push").arg(pair.url()).args(args)
    }
}
