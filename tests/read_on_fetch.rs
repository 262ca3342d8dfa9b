//! `remote.<name>.relayOnFetch`: reading through a remote brings its target in step first.

#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]

mod support;

use support::repo::{assert_refs, assert_same_refs};
use support::{Pair, Repo, gits, scenes};

/// A clone through the relay whose remote drives the target.
fn driving_clone(pair: &Pair) -> Repo {
    let clone = pair.world.git.cmd(pair.world.path()).args(["clone", "-q", "-c"]);
    let clone = clone.arg("remote.origin.relayOnFetch=true");
    clone.arg(pair.url()).arg("work").ok();
    pair.world.open("work")
}

#[test]
fn every_reading_command_drives_the_target() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        let work = driving_clone(&pair);
        assert_same_refs(&pair.source, &pair.target);
        for command in [
            &["fetch", "--all"][..],
            &["ls-remote", "origin"],
            &["remote", "show", "origin"],
            &["fetch", "--dry-run"],
            &["pull"],
        ] {
            scenes::grow(&pair.source, "main", 1);
            work.git(command).ok().says("relay: incremental");
            assert_same_refs(&pair.source, &pair.target);
            work.git(&["fetch", "--quiet"]).ok().never_says("relay:");
        }
        work.fsck();
        pair.target.fsck();
    }
}

/// Nothing is ever overwritten or deleted, and what cannot follow fails the command before git is answered.
#[test]
fn only_creates_and_fast_forwards() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::diverged(&pair);
        let before = pair.target.refs();
        let work = pair.world.init("work", &[]);
        work.git(&["remote", "add", "origin", &pair.url()]).ok();
        work.config("remote.origin.relayOnFetch", "true");
        let failed = work.git(&["fetch", "origin"]).exits(128);
        failed
            .says("refs/heads/main")
            .says("refs/tags/v1")
            .says("not in step");
        assert!(work.refs().is_empty());
        let after = pair.target.refs();
        for (name, value) in &before {
            assert_eq!(after.get(name), Some(value), "{}", String::from_utf8_lossy(name));
        }
        assert_eq!(pair.target.id("dev"), pair.source.id("dev"));
    }
}

#[test]
fn refspecs_of_its_own() {
    for git in gits() {
        let pair = Pair::local(git);
        scenes::fresh(&pair);
        let work = driving_clone(&pair);
        pair.target.git(&["update-ref", "-d", "refs/tags/v1"]).ok();
        pair.target.git(&["update-ref", "-d", "refs/heads/dev"]).ok();
        let key = "remote.origin.relayRefspec";
        work.config(key, "refs/heads/feature/*:refs/heads/copy/*");
        work.git(&["config", "--add", key, "refs/heads/main"]).ok();
        let main = scenes::grow(&pair.source, "main", 1);
        work.git(&["fetch"]).ok();
        assert_eq!(pair.target.id("copy/one"), pair.source.id("feature/one"));
        assert_eq!(pair.target.id("main"), main);
        assert_eq!(pair.target.get("refs/heads/dev"), None);
        assert_eq!(pair.target.get("refs/tags/v1"), None);
        work.config("remote.origin.relayOnFetch", "false");
        scenes::grow(&pair.source, "main", 1);
        work.git(&["fetch"]).ok();
        assert_eq!(pair.target.id("main"), main);
        work.git(&["config", "--replace-all", key, "+refs/heads/*:refs/heads/*"])
            .ok();
        work.config("remote.origin.relayOnFetch", "true");
        work.git(&["fetch"]).exits(128).says("relayRefspec");
    }
}

/// A target that is out of reach fails the command, and git is not answered.
#[test]
fn a_target_out_of_reach() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        let work = driving_clone(&pair);
        let before = work.refs();
        scenes::grow(&pair.source, "main", 1);
        std::fs::remove_dir_all(&pair.target.path).unwrap();
        work.git(&["fetch"]).exits(128).says("target");
        assert_refs(&before, &work.refs());
    }
}

/// Objects that a partial clone lacks come without a look at the target.
#[test]
fn lazy_objects_do_not_wait_for_the_target() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        pair.source.config("uploadpack.allowFilter", "true");
        pair.source.config("uploadpack.allowAnySHA1InWant", "true");
        let clone = git.cmd(pair.world.path()).args(["clone", "-q", "--no-checkout"]);
        let clone = clone.args(["--filter=blob:none", "-c", "remote.origin.relayOnFetch=true"]);
        clone.arg(pair.url()).arg("work").ok();
        let work = pair.world.open("work");
        pair.server.forget();
        work.git(&["cat-file", "-p", "HEAD:side.txt"]).ok();
        let asked = pair.server.lines();
        assert!(!asked.is_empty());
        assert!(
            asked.iter().all(|line| line.contains("/source.git/")),
            "{asked:?}"
        );
    }
}

/// An empty source has nothing to keep in step with.
#[test]
fn an_empty_source() {
    for git in gits() {
        let pair = Pair::new(git);
        driving_clone(&pair);
        assert!(pair.target.refs().is_empty());
    }
}
