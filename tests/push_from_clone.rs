//! Pushes from a repository that has refs of its own: git matches against those, the objects come from the source.
#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]

mod support;

use support::repo::{assert_refs, assert_same_refs};
use support::{Git, Pair, Repo, gits, scenes};

/// An ordinary clone of the source that pushes over `there`, its relay remote.
fn ordinary_clone(git: &Git, pair: &Pair, options: &[&str]) -> Repo {
    let source = format!("file://{}", pair.source.at());
    git.cmd(pair.world.path())
        .args(["clone", "--quiet"])
        .args(options)
        .args([&source, "clone"])
        .ok();
    let clone = pair.world.open("clone");
    clone.git(&["remote", "add", "there", &pair.url()]).ok();
    clone
}

#[test]
fn a_mirror_clone_pushes_as_to_the_target_itself() {
    for git in gits() {
        for scene in [scenes::behind, scenes::diverged] {
            let mut pair = Pair::new(git);
            scene(&pair);
            let here = pair.world.mirror(&pair.source, "full.git");
            pair.push_from(here);
            pair.compare(&["refs/heads/*"]);
            pair.compare(&["+refs/heads/*", "refs/tags/*"]);
            pair.push(&["refs/heads/*"]).ok().says("Everything up-to-date");
        }
    }
}

#[test]
fn a_clone_with_a_relay_remote_keeps_its_tracking_refs() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::behind(&pair);
        let clone = ordinary_clone(git, &pair, &[]);
        clone.git(&["push", "there", "main"]).ok();
        assert_eq!(pair.target.id("main"), pair.source.id("main"));
        assert_eq!(clone.id("refs/remotes/there/main"), pair.source.id("main"));
        pair.target.fsck();
    }
}

#[test]
fn local_work_is_not_published_by_surprise() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::behind(&pair);
        let clone = ordinary_clone(git, &pair, &[]);
        scenes::grow(&clone, "main", 1);
        let before = pair.target.refs();
        let refused = clone.cmd().args(["push", "there", "main"]).run().exits(1);
        refused
            .says("(not on the source)")
            .says("hint: A relay sends only what the source has.");
        assert_refs(&before, &pair.target.refs());
        // Other refs of the same push are not held up, unless they shall all go together.
        let mixed = ["push", "there", "main", "origin/dev:refs/heads/dev"];
        clone
            .cmd()
            .args([&mixed[..], &["--atomic"]].concat())
            .run()
            .exits(1)
            .says("atomic push failed");
        assert_refs(&before, &pair.target.refs());
        clone.cmd().args(mixed).run().exits(1).says("[new branch]");
        assert_eq!(pair.target.id("dev"), pair.source.id("dev"));
    }
}

/// The objects that a shallow or partial clone lacks come from the source, and not into the clone.
#[test]
fn clones_push_what_they_do_not_hold() {
    let kinds: [&[&str]; 2] = [
        &["--depth=1", "--no-single-branch"],
        &["--filter=tree:0", "--bare"],
    ];
    for (git, kind) in gits().iter().flat_map(|git| kinds.map(|kind| (git, kind))) {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        pair.source.config("uploadpack.allowFilter", "true");
        let clone = ordinary_clone(git, &pair, kind);
        if kind.contains(&"--bare") {
            // A bare clone has its branches where the others have their remote's.
            clone.git(&["push", "there", "refs/heads/*"]).ok();
            let missing = ["rev-list", "--objects", "--all", "--missing=print"];
            assert!(
                clone.read(&missing).contains("\n?"),
                "nothing is missing from the clone"
            );
            pair.target.fsck();
            assert_eq!(pair.target.id("main^{tree}"), pair.source.id("main^{tree}"));
            continue;
        }
        clone
            .git(&["push", "there", "refs/remotes/origin/*:refs/heads/*"])
            .ok();
        pair.target.fsck();
        pair.target.git(&["update-ref", "-d", "refs/heads/HEAD"]).ok();
        pair.source.git(&["push", &pair.target.at(), "refs/tags/*"]).ok();
        assert_same_refs(&pair.source, &pair.target);
    }
}

#[test]
fn branches_that_git_did_not_look_at_are_counted() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::behind(&pair);
        let clone = ordinary_clone(git, &pair, &[]);
        let told = clone.cmd().args(["push", "there", "main", "main:copy"]).ok();
        // dev, feature/one and feature/two; `side` is on the target.
        told.says("hint: 3 branches of the source are neither here nor on the target");
        scenes::grow(&pair.source, "main", 1);
        clone.git(&["pull", "--quiet", "origin", "main"]).ok();
        clone.config("advice.relayView", "false");
        clone
            .cmd()
            .args(["push", "there", "main"])
            .ok()
            .never_says("hint:");
    }
}

#[test]
fn a_target_that_is_ahead_of_the_clone_is_judged_by_the_source() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::behind(&pair);
        let clone = ordinary_clone(git, &pair, &[]);
        // The clone has never seen what the target has, and the source has gone on from there.
        scenes::grow(&pair.source, "main", 1);
        pair.source.git(&["push", &pair.target.at(), "main"]).ok();
        clone
            .cmd()
            .args(["push", "there", "main"])
            .run()
            .exits(1)
            .says("non-fast-forward");
        scenes::grow(&pair.source, "main", 1);
        let tip = pair.source.id("main");
        clone
            .git(&[
                "fetch",
                "--quiet",
                "--depth=1",
                &format!("file://{}", pair.source.at()),
                &tip,
            ])
            .ok();
        clone
            .git(&["push", "there", &format!("{tip}:refs/heads/main")])
            .ok();
        assert_eq!(pair.target.id("main"), tip);
        pair.target.fsck();
    }
}

/// What cannot be advised does not make a push fail that has happened.
#[test]
fn a_setting_that_makes_no_sense_does_not_turn_success_into_failure() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::behind(&pair);
        let clone = ordinary_clone(git, &pair, &[]);
        clone.config("advice.relayView", "sometimes");
        clone.git(&["push", "there", "main", "main:copy"]).ok();
        assert_eq!(pair.target.id("copy"), pair.source.id("main"));
    }
}
