//! `relay.local`: commits that only the local repository has go along, and no more than them.

#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]
#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]

mod support;

use std::path::PathBuf;

use support::history::Import;
use support::pair::Reach;
use support::repo::assert_refs;
use support::{Git, Output, Pair, Repo, Sshd, gits, scenes};

/// A clone of the source whose relay remote `there` takes local work along.
fn clone(git: &Git, pair: &Pair, options: &[&str]) -> Repo {
    let source = format!("file://{}", pair.source.at());
    let clone = git
        .cmd(pair.world.path())
        .args(["clone", "--quiet"])
        .args(options);
    clone.args([&source, "clone"]).ok();
    let clone = pair.world.open("clone");
    clone.git(&["remote", "add", "there", &pair.url()]).ok();
    clone.config("remote.there.relayLocal", "true");
    clone.config("advice.relayView", "false");
    clone
}

fn tmp(pair: &Pair) -> PathBuf {
    let path = pair.world.path().join("tmp");
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// `git push there <args>`, which leaves nothing in the directory for temporary files.
#[track_caller]
fn push(pair: &Pair, clone: &Repo, args: &[&str]) -> Output {
    let tmp = tmp(pair);
    let report = pair.world.path().join("report.json");
    let setting = format!("relay.report={}", report.display());
    let words = [&["-c", &setting, "push", "there"], args].concat();
    let output = clone.cmd().args(words).env("TMPDIR", &tmp).run();
    eprintln!("{output}\n{}", pair.server.log());
    assert_eq!(std::fs::read_dir(&tmp).unwrap().count(), 0);
    output
}

/// How the last [`push`] went: `relay_mode (relay_reason)`.
fn route(pair: &Pair) -> String {
    let report = std::fs::read(pair.world.path().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    let word = |key: &str| report[key].as_str().unwrap().to_owned();
    format!("{} ({})", word("relay_mode"), word("relay_reason"))
}

/// How many objects the last [`push`] sent.
fn sent(pair: &Pair) -> u64 {
    let report = std::fs::read(pair.world.path().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    report["pack"]["objects"].as_u64().unwrap()
}

const LOCAL: &str = "materialized (local-objects)";

#[test]
fn a_commit_on_top_of_the_source_goes_along() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::behind(&pair);
        let clone = clone(git, &pair, &[]);
        let tip = scenes::own_work(&clone, "main", 2);
        let source = pair.source.refs();
        push(
            &pair,
            &clone,
            &["main", "main~1:refs/heads/new", "origin/dev:refs/heads/dev"],
        )
        .ok();
        assert_eq!(route(&pair), LOCAL);
        assert_eq!(pair.target.id("main"), tip);
        assert_eq!(pair.target.id("new"), clone.id("main~1"));
        assert_eq!(pair.target.id("dev"), pair.source.id("dev"));
        assert_refs(&pair.source.refs(), &source);
        pair.target.fsck();
        push(&pair, &clone, &["main"]).ok().says("Everything up-to-date");
        // What the source has still goes untouched.
        push(&pair, &clone, &["origin/feature/one:refs/heads/one"]).ok();
        assert_eq!(route(&pair), "bootstrap (absent-refs)");
    }
}

/// The setting is asked for at each push, of the remote first.
#[test]
fn the_remote_decides_then_everything_else() {
    let git = &gits()[0];
    let pair = Pair::new(git);
    scenes::behind(&pair);
    let clone = clone(git, &pair, &[]);
    scenes::own_work(&clone, "main", 1);
    let before = pair.target.refs();
    clone.config("relay.local", "true");
    clone.config("remote.there.relayLocal", "false");
    push(&pair, &clone, &["main"])
        .exits(1)
        .says("(not on the source)")
        .says("relay.local=true");
    assert_refs(&pair.target.refs(), &before);
    clone.git(&["config", "--unset", "remote.there.relayLocal"]).ok();
    clone.config("relay.local", "perhaps");
    push(&pair, &clone, &["main"])
        .exits(128)
        .says("bad boolean config value 'perhaps'");
    clone.git(&["config", "--unset", "relay.local"]).ok();
    push(&pair, &clone, &["main"]).exits(1);
    assert_refs(&pair.target.refs(), &before);
    clone
        .git(&["-c", "relay.local=true", "push", "there", "main"])
        .ok();
    assert_eq!(pair.target.id("main"), clone.id("main"));
}

/// The target has commits that neither the source nor, at first, the clone has.
#[test]
fn history_is_judged_by_all_three() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::diverged(&pair);
        let clone = clone(git, &pair, &[]);
        scenes::own_work(&clone, "main", 1);
        let before = pair.target.refs();
        push(&pair, &clone, &["main"]).exits(1).says("(fetch first)");
        push(&pair, &clone, &["main", "main:refs/heads/x", "--atomic"]).exits(1);
        assert_refs(&pair.target.refs(), &before);
        // Now it has them: git itself can tell.
        clone.git(&["fetch", "-q", &pair.target.at(), "main"]).ok();
        push(&pair, &clone, &["main"]).exits(1).says("(non-fast-forward)");
        assert_refs(&pair.target.refs(), &before);
        let merge = ["merge", "-q", "-m", "both", "-X", "ours", "FETCH_HEAD"];
        clone.git(&["reset", "-q", "--hard"]).ok();
        clone.git(&merge).ok();
        push(&pair, &clone, &["main"]).ok();
        assert_eq!(pair.target.id("main"), clone.id("main"));
        pair.target.fsck();
        // And by force, over what nobody here knows.
        scenes::grow(&pair.target, "main", 1);
        push(&pair, &clone, &["main"]).exits(1).says("(fetch first)");
        push(&pair, &clone, &["+main"]).ok();
        assert_eq!(pair.target.id("main"), clone.id("main"));
        pair.target.fsck();
    }
}

/// What the source has gained since the clone was made reaches the target, but not what the target has.
#[test]
fn only_what_is_missing_is_packed() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::behind(&pair);
        let clone = clone(git, &pair, &[]);
        // The source rewinds, so that nothing which both have is a tip of it.
        scenes::grow(&pair.source, "main", 3);
        for branch in ["dev", "side"] {
            pair.source.git(&["branch", "-qf", branch, "feature/one"]).ok();
        }
        pair.source.git(&["tag", "-d", "v2", "light"]).ok();
        let known: Vec<String> = pair
            .target
            .refs()
            .into_values()
            .map(|id| format!("^{id}"))
            .collect();
        let tip = scenes::own_work(&clone, "main", 1);
        clone.git(&["tag", "-m", "local", "mine", "main~1"]).ok();
        push(&pair, &clone, &["main", "mine"]).ok();
        assert_eq!(route(&pair), LOCAL);
        assert_eq!(pair.target.id("main"), tip);
        // The clone knows all that the target has.
        let mut count = vec!["rev-list", "--objects", "--count", "main", "mine"];
        count.extend(known.iter().map(String::as_str));
        let missing = clone.read(&count);
        assert_eq!(sent(&pair).to_string(), missing);
        pair.target.fsck();
    }
}

/// The limit holds for what is packed here, too.
#[test]
fn too_much_local_work_is_not_stored() {
    let git = &gits()[0];
    let pair = Pair::new(git);
    scenes::behind(&pair);
    let clone = clone(git, &pair, &[]);
    scenes::own_work(&clone, "main", 1);
    clone.config("relay.materializedMaxBytes", "60");
    let before = pair.target.refs();
    let output = push(&pair, &clone, &["main"]).exits(1);
    output
        .says("more than the limit of 60")
        .says("hint: git config relay.materializedMaxBytes");
    assert_refs(&pair.target.refs(), &before);
}

/// A clone as CI jobs make it: without history, and what is missing is the source's to give.
#[test]
fn a_shallow_clone_adds_its_commit_to_the_sources_history() {
    for git in gits() {
        for options in [
            &["--depth=1", "--no-tags"][..],
            &["--filter=blob:none"],
            &["--filter=tree:0"],
        ] {
            let pair = Pair::new(git);
            pair.source.config("uploadpack.allowFilter", "true");
            scenes::behind(&pair);
            let clone = clone(git, &pair, options);
            let tip = scenes::own_work(&clone, "main", 1);
            push(&pair, &clone, &["main"]).ok();
            assert_eq!(route(&pair), LOCAL);
            assert_eq!(pair.target.id("main"), tip);
            pair.target.fsck();
        }
    }
}

/// History that is neither here nor there is not invented.
#[test]
fn a_history_with_holes_is_refused() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::behind(&pair);
        let other = pair.world.init("other", &[]);
        let mut import = Import::new();
        import.line_of("refs/heads/main", None, "other", 3);
        import.into_repo(&other);
        let path = format!("file://{}", other.at());
        git.cmd(pair.world.path())
            .args(["clone", "-q", "--depth=1", "-b", "main", &path, "clone"])
            .ok();
        let clone = pair.world.open("clone");
        clone.git(&["remote", "add", "there", &pair.url()]).ok();
        clone.config("relay.local", "true");
        let before = pair.target.refs();
        let output = push(&pair, &clone, &["main:refs/heads/theirs"]).exits(1);
        output
            .says("this repository lacks a part of what it is to push")
            .says("git fetch --unshallow");
        assert_refs(&pair.target.refs(), &before);
    }
}

#[test]
fn over_ssh_and_to_paths() {
    for git in gits() {
        let Some(sshd) = Sshd::start(git) else { return };
        let pair = Pair::new(git).reached(Reach::Path, Reach::Path);
        scenes::behind(&pair);
        let clone = clone(git, &pair, &[]);
        let url = format!(
            "relay::{}=>{}",
            sshd.url(&pair.source.path),
            sshd.url(&pair.target.path)
        );
        clone.git(&["remote", "set-url", "there", &url]).ok();
        clone.config("core.sshCommand", &sshd.command());
        let tip = scenes::own_work(&clone, "main", 2);
        push(&pair, &clone, &["main"]).ok();
        assert_eq!(pair.target.id("main"), tip);
        pair.target.fsck();
    }
}
