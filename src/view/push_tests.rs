//! The view under a real `git push`. This test binary plays the remote helper: a script that git finds as
//! `git-remote-viewtest` runs the one test [`helper`] with its streams at hand under other numbers.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use bstr::ByteSlice;
use tempfile::TempDir;

use super::*;
use crate::git::Version;
use crate::wire::object::ObjectKind;
use crate::wire::pack::Object;

/// Set by the script: the directory with `source` and `target`, two bare repositories.
const ENDS: &str = "VIEW_TEST_ENDS";

/// Set by the script: the URL that git gave it; `second` stands for another target.
const URL_OF_PUSH: &str = "VIEW_TEST_URL";

/// What the helper shall do otherwise: `no-hide`, or `die-at-list`, as `kill -9` would.
const MANNER: &str = "VIEW_TEST_MANNER";

#[test]
fn helper() {
    let Some(ends) = std::env::var_os(ENDS).map(PathBuf::from) else {
        return;
    };
    let manner = std::env::var(MANNER).unwrap_or_default();
    let commands = BufReader::new(File::open("/dev/fd/3").unwrap());
    let mut out = fs::OpenOptions::new().write(true).open("/dev/fd/4").unwrap();
    let target = if std::env::var(URL_OF_PUSH).unwrap() == "second" {
        "second"
    } else {
        "target"
    };
    let git = Git::here();
    recover(&git).unwrap();
    let Standing::Empty(repo) = standing(&git, Duration::from_secs(30)).unwrap() else {
        panic!("not empty")
    };
    let (source, target) = (Git::at(ends.join("source")), Git::at(ends.join(target)));
    let mut view = View::build(*repo, picture(&source, &target)).unwrap();
    let mut log = File::create(ends.join("log")).unwrap();
    let mut pushed = Vec::new();
    for line in commands.lines() {
        let line = line.unwrap();
        writeln!(log, "{line}").unwrap();
        match line.as_str() {
            "capabilities" => out.write_all(b"option\npush\n\n").unwrap(),
            "list for-push" => {
                if manner == "die-at-list" {
                    std::process::abort();
                }
                if manner != "no-hide" {
                    view.hide().unwrap();
                }
                let refs = target.list_refs().unwrap().refs;
                let lines: String = refs.iter().map(|(name, oid)| format!("{oid} {name}\n")).collect();
                writeln!(out, "{lines}").unwrap();
            }
            "" if pushed.is_empty() => break,
            "" => {
                view.show().unwrap();
                let lines: String = pushed
                    .drain(..)
                    .map(|name: String| format!("ok {name}\n"))
                    .collect();
                writeln!(out, "{lines}").unwrap();
            }
            _ if line.starts_with("option") => out.write_all(b"unsupported\n").unwrap(),
            _ => pushed.push(line.rsplit_once(':').unwrap().1.to_owned()),
        }
    }
    view.remove().unwrap();
}

/// What a real helper would have read from the source, taken from a local repository.
fn picture(source: &Git, target: &Git) -> Picture {
    let refs = source.list_refs().unwrap().refs;
    let mut picture = Picture::default();
    let mut objects: Vec<String> = refs.iter().map(|(_, oid)| oid.to_string()).collect();
    objects.extend(objects.clone().iter().map(|oid| format!("{oid}^{{}}")));
    for spec in objects {
        let input = format!("{spec}\n").into_bytes();
        let out = source
            .command(["cat-file", "--batch"])
            .input(input)
            .run()
            .unwrap();
        let (head, data) = out.split_once_str(b"\n").unwrap();
        let (oid, kind) = (
            ObjectId::from_hex(head.split(|b| *b == b' ').next().unwrap()).unwrap(),
            head,
        );
        let kind = if kind.contains_str(" tag ") {
            ObjectKind::Tag
        } else {
            ObjectKind::Commit
        };
        if kind == ObjectKind::Commit {
            picture.shallow.push(oid);
        }
        picture.tips.push(Object {
            kind,
            id: oid,
            data: data[..data.len() - 1].to_vec(),
        });
    }
    picture.refs = refs
        .into_iter()
        .map(|(name, oid)| ViewRef { name, oid })
        .collect();
    picture.head = source.head_target(&source.git_dir().unwrap()).unwrap();
    picture.named_by_target = target
        .list_refs()
        .unwrap()
        .refs
        .into_iter()
        .map(|(_, oid)| oid)
        .collect();
    picture
}

struct Ends(TempDir);

impl Ends {
    /// A source with `main`, two commits ahead of `prod`, and a tag; a target that has only `prod`, in step.
    fn new() -> Self {
        let ends = Ends(tempfile::tempdir().unwrap());
        let script = ends.0.path().join("git-remote-viewtest");
        let me = std::env::current_exe().unwrap();
        let run = "--quiet --exact view::push_tests::helper --nocapture";
        let text = format!(
            "#!/bin/sh\nexport {ENDS}='{}' {URL_OF_PUSH}=\"$2\"\nexec 3<&0 4>&1 </dev/null >'{0}/out'\nexec '{}' {run}\n",
            ends.0.path().display(),
            me.display()
        );
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let (source, target) = (ends.init("source", &[]), ends.init("target", &[]));
        let tree = source
            .command(["hash-object", "-t", "tree", "-w", "--stdin"])
            .run()
            .unwrap();
        let tree = tree.trim_end().to_str().unwrap();
        let mut parent = String::new();
        for (message, branch) in [("1", "old"), ("2", "prod"), ("3", "between"), ("4", "main")] {
            let mut args = vec!["commit-tree", "-m", message, tree];
            if !parent.is_empty() {
                args.extend(["-p", &parent]);
            }
            let id = ["-c", "user.name=a", "-c", "user.email=a@b"];
            let oid = source.command(id).args(args).run().unwrap();
            parent = oid.trim_end().to_str().unwrap().to_owned();
            source
                .command(["update-ref", &format!("refs/heads/{branch}"), &parent])
                .run()
                .unwrap();
            source
                .command(id)
                .args(["tag", "-f", "-m", "x", "v1", &parent])
                .run()
                .unwrap();
        }
        let path = target.git_dir().unwrap();
        source
            .command(["push", "-q"])
            .arg(path)
            .arg("prod")
            .run()
            .unwrap();
        ends
    }

    fn init(&self, name: &str, args: &[&str]) -> Git {
        let path = self.0.path().join(name);
        Git::here()
            .command(["init", "-q", "-b", "trunk"])
            .args(args)
            .arg(&path)
            .run()
            .unwrap();
        let git_dir = path.join(".git");
        let git = Git::at(&path);
        if args.is_empty() {
            fs::remove_dir_all(&path).unwrap();
            Git::here()
                .command(["init", "-q", "--bare", "-b", "main"])
                .arg(&path)
                .run()
                .unwrap();
            git
        } else {
            Git::at(git_dir)
        }
    }

    /// `git push` from `from`, and what it printed.
    fn push(&self, from: &Git, manner: &str, args: &[&str]) -> Output {
        let mut paths = vec![self.0.path().to_owned()];
        paths.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
        let dir = from.git_dir().unwrap();
        let place = if dir.ends_with(".git") {
            dir.parent().unwrap().to_owned()
        } else {
            dir
        };
        let mut command = Command::new("git");
        command
            .env("PATH", std::env::join_paths(paths).unwrap())
            .env(MANNER, manner)
            .env("LC_ALL", "C");
        command
            .args(["-c", "advice.pushUpdateRejected=false", "push", "--porcelain"])
            .args(args);
        command.current_dir(place).output().unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.0.path().join("log")).unwrap()
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", output.stdout.as_bstr(), output.stderr.as_bstr())
}

/// Every kind of repository to push from that this git knows.
fn kinds() -> Vec<Vec<&'static str>> {
    let mut kinds = vec![vec!["--ref-format=files"], vec!["--ref-format=reftable"]];
    if Git::here().version().unwrap() < Version(2, 45, 0) {
        kinds = vec![vec!["--template="]];
    }
    kinds
}

/// The files in a repository, without the tables of refs, which keep their history.
fn files_in(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut out = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.insert(path.clone(), Vec::new());
            out.extend(files_in(&path));
        } else if !path.to_string_lossy().contains("/reftable/") {
            out.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    out
}

const URL: &str = "viewtest::x";

#[test]
fn git_matches_refspecs_against_the_view() {
    for kind in kinds() {
        let ends = Ends::new();
        let from = ends.init("from", &kind);
        let before = files_in(&from.git_dir().unwrap());
        let output = ends.push(&from, "", &[URL, "refs/heads/*", "refs/tags/*"]);
        let said = text(&output);
        assert!(output.status.success(), "{kind:?}: {said}");
        for name in ["heads/main", "heads/between", "heads/old"] {
            assert!(
                said.contains(&format!("*\trefs/{name}:refs/{name}\t[new branch]")),
                "{kind:?}: {said}"
            );
        }
        assert!(
            said.contains("[new tag]") && said.contains("=\trefs/heads/prod"),
            "{kind:?}: {said}"
        );
        let output = ends.push(&from, "", &[URL, "HEAD", "between"]);
        assert!(
            text(&output).contains("*\tHEAD:refs/heads/main\t[new branch]"),
            "{}",
            text(&output)
        );
        assert!(output.status.success(), "{kind:?}: {}", text(&output));
        assert!(from.list_refs().unwrap().refs.is_empty());
        assert_eq!(
            from.head_target(&from.git_dir().unwrap()).unwrap().unwrap(),
            "refs/heads/trunk"
        );
        assert!(files_in(&from.git_dir().unwrap()) == before, "{kind:?}");
    }
}

#[test]
fn hidden_objects_make_git_leave_the_judgement_to_us() {
    for kind in kinds() {
        let ends = Ends::new();
        let from = ends.init("from", &kind);
        let output = ends.push(&from, "no-hide", &[URL, "main:prod"]);
        assert!(
            text(&output).contains("[rejected] (non-fast-forward)"),
            "{kind:?}: {}",
            text(&output)
        );
        let lease = format!("--force-with-lease=prod:{}", "1".repeat(40));
        let output = ends.push(&from, "", &[URL, "main:prod", &lease]);
        assert!(
            text(&output).contains("[rejected] (stale info)"),
            "{kind:?}: {}",
            text(&output)
        );
        let output = ends.push(&from, "", &[URL, "main:prod"]);
        assert!(output.status.success(), "{kind:?}: {}", text(&output));
        assert!(
            ends.log().contains("push refs/heads/main:refs/heads/prod\n"),
            "{kind:?}: {}",
            ends.log()
        );
    }
}

#[test]
fn what_git_notes_about_the_push_goes_too() {
    for kind in kinds() {
        let ends = Ends::new();
        let from = ends.init("from", &kind);
        from.command(["config", "remote.up.url", URL]).run().unwrap();
        from.command([
            "config",
            "remote.up.fetch",
            "+refs/heads/*:refs/remotes/up/deep/*",
        ])
        .run()
        .unwrap();
        let before = files_in(&from.git_dir().unwrap());
        let output = ends.push(&from, "", &["up", "refs/heads/*", "between:fresh"]);
        assert!(output.status.success(), "{kind:?}: {}", text(&output));
        assert!(from.list_refs().unwrap().refs.is_empty(), "{kind:?}");
        assert!(files_in(&from.git_dir().unwrap()) == before, "{kind:?}");
    }
}

/// Git runs one helper after the other from one process, which keeps what it has seen of the first view.
#[test]
fn two_push_urls_get_a_view_each() {
    for kind in kinds() {
        let ends = Ends::new();
        let second = ends.init("second", &[]);
        let source = Git::at(ends.0.path().join("source"));
        source
            .command(["push", "-q"])
            .arg(second.git_dir().unwrap())
            .arg("old:prod")
            .run()
            .unwrap();
        let from = ends.init("from", &kind);
        from.command(["config", "remote.up.url", URL]).run().unwrap();
        from.command(["config", "--add", "remote.up.pushurl", URL])
            .run()
            .unwrap();
        from.command(["config", "--add", "remote.up.pushurl", "viewtest::second"])
            .run()
            .unwrap();
        let before = files_in(&from.git_dir().unwrap());
        let output = ends.push(&from, "", &["up", "main:prod"]);
        assert!(output.status.success(), "{kind:?}: {}", text(&output));
        assert!(
            ends.log().contains("push refs/heads/main:refs/heads/prod\n"),
            "{kind:?}: {}",
            ends.log()
        );
        assert!(files_in(&from.git_dir().unwrap()) == before, "{kind:?}");
    }
}

#[test]
fn the_start_after_a_crash_cleans_up() {
    for kind in kinds() {
        let ends = Ends::new();
        let from = ends.init("from", &kind);
        let before = files_in(&from.git_dir().unwrap());
        assert!(!ends.push(&from, "die-at-list", &[URL, "main"]).status.success());
        assert_eq!(from.list_refs().unwrap().refs.len(), 5, "{kind:?}");
        let output = ends.push(&from, "", &[URL, "main"]);
        assert!(output.status.success(), "{kind:?}: {}", text(&output));
        assert!(files_in(&from.git_dir().unwrap()) == before, "{kind:?}");
    }
}

#[test]
fn two_pushes_at_once_take_turns() {
    let ends = Ends::new();
    let from = ends.init("from", &["--template="]);
    let before = files_in(&from.git_dir().unwrap());
    std::thread::scope(|scope| {
        let pushes: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| ends.push(&from, "", &[URL, "refs/heads/*"])))
            .collect();
        for push in pushes {
            let output = push.join().unwrap();
            assert!(output.status.success(), "{}", text(&output));
        }
    });
    assert!(files_in(&from.git_dir().unwrap()) == before);
}
