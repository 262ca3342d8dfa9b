//! What `git relay` refuses: blocked refs, refusals of the target, limits, wrong usage.

#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]
#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]

mod support;

use serde_json::Value;
use support::relay::{json, refs};
use support::repo::assert_same_refs;
use support::{Pair, gits, relay, relay_in, scenes};

/// One blocked ref, and nothing at all is pushed; the table has it and the rest.
#[test]
fn one_blocked_ref_refuses_the_run() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::diverged(&pair);
        let before = pair.target.refs();
        let output = relay(&pair, "sync", &["--tags"]).exits(1);
        let table = output.out();
        for line in [
            "blocked  refs/heads/main ",
            "blocked  refs/tags/v1 ",
            "create   refs/heads/dev ",
        ] {
            assert!(table.contains(line), "no {line:?} in {output}");
        }
        let output = output.says("blocked, so nothing was pushed").says("--force");
        assert!(table.contains("tag exists with another value"), "{output}");
        let report = json(&relay(&pair, "sync", &["--tags", "--json"]).exits(1));
        assert_eq!(
            refs(&report)[..3],
            [
                "heads/dev: create planned not pushed, because another ref is blocked",
                "heads/feature/one: create planned not pushed, because another ref is blocked",
                "heads/feature/two: create planned not pushed, because another ref is blocked",
            ]
        );
        assert_eq!(report["counts"]["blocked"], 3, "{report}");
        assert_eq!(pair.target.refs(), before);
        let quiet = relay(&pair, "sync", &["-q"]).exits(1);
        assert_eq!(quiet.out(), "");
        for line in quiet.err().lines() {
            assert!(line.starts_with("error: ") && line.contains(" => "), "{quiet}");
        }
        quiet.says("refs/heads/main: blocked: diverged");
    }
}

#[test]
fn best_effort_pushes_what_can_go_and_still_tells_of_blocked_refs() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::diverged(&pair);
        let main = pair.target.id("main");
        relay(&pair, "sync", &["--best-effort"]).exits(1);
        assert_eq!(pair.target.id("main"), main);
        assert_eq!(pair.target.id("dev"), pair.source.id("dev"));
    }
}

/// What the target's hook refuses is only warned about, if that is wanted.
#[test]
fn refusals_of_the_target_are_warnings_with_best_effort() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        pair.target.hook(
            "update",
            "#!/bin/sh\ncase $1 in *dev) echo no dev here; exit 1;; esac\n",
        );
        let report = json(
            &relay(&pair, "sync", &["--json"])
                .exits(1)
                .says("remote: no dev here"),
        );
        let dev = |report: &Value| {
            refs(report)
                .into_iter()
                .find(|line| line.starts_with("heads/dev"))
                .unwrap()
        };
        assert_eq!(dev(&report), "heads/dev: create rejected hook declined");
        assert_eq!(report["error"], Value::Null);
        let report = json(&relay(&pair, "sync", &["--json", "--best-effort"]).ok());
        assert_eq!(dev(&report), "heads/dev: create warned hook declined");
        assert_eq!(report["counts"]["warned"], 1);
    }
}

#[test]
fn force_and_lease_overwrite() {
    for git in gits() {
        for option in ["--force", "--force-with-lease"] {
            let pair = Pair::new(git);
            scenes::diverged(&pair);
            let output = relay(&pair, "sync", &["--tags", option, "--json"]).ok();
            assert_eq!(json(&output)["counts"]["forced"], 3, "{output}");
            assert_eq!(pair.target.id("main"), pair.source.id("main"));
            assert_eq!(pair.target.id("refs/tags/v1"), pair.source.id("refs/tags/v1"));
            pair.target.fsck();
        }
    }
}

/// Somebody else writes the ref while the pack is on its way: it is theirs, whatever we were told to overwrite.
#[test]
fn a_ref_that_moves_under_the_run_is_left_alone() {
    for git in gits() {
        for option in ["--force", "--force-with-lease"] {
            let pair = Pair::new(git);
            scenes::diverged(&pair);
            let theirs = pair.target.id("old");
            // The hook runs before any ref is looked at again.
            pair.target.hook(
                "pre-receive",
                "#!/bin/sh\nunset GIT_QUARANTINE_PATH\ngit update-ref refs/heads/main refs/heads/old\n",
            );
            let args = ["--branch", "main", option, "--best-effort", "--json"];
            let output = relay(&pair, "sync", &args).exits(1);
            let report = json(&output);
            assert_eq!(report["error"]["kind"], "moved", "{output}");
            let told = refs(&report).remove(0);
            assert!(
                told.starts_with("heads/main: force rejected remote ref moved"),
                "{told}"
            );
            assert_eq!(pair.target.id("main"), theirs);
        }
    }
}

#[test]
fn bootstrap_seeds_an_empty_target_and_no_other() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        let report = json(&relay(&pair, "bootstrap", &["--tags", "--json"]).ok());
        assert_eq!(report["counts"]["created"], 8);
        assert_same_refs(&pair.source, &pair.target);
        scenes::grow(&pair.source, "dev", 1);
        pair.server.forget();
        let output = relay(&pair, "bootstrap", &[])
            .exits(1)
            .says("blocked, so nothing was pushed");
        assert!(output.out().contains("blocked  refs/heads/dev "), "{output}");
        let lines = pair.server.lines();
        assert!(
            !lines.iter().any(|line| line.starts_with("POST /target.git")),
            "{lines:?}"
        );
        // Other refs than those that the run answers for are in nobody's way.
        relay(&pair, "bootstrap", &["--map", "dev:new"]).ok();
        assert_eq!(pair.target.id("new"), pair.source.id("dev"));
        for option in ["--force", "--force-with-lease", "--prune", "--dry-run"] {
            relay(&pair, "bootstrap", &[option]).exits(2).says(option);
        }
    }
}

#[test]
fn an_empty_source_never_prunes() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::behind(&pair);
        let empty = pair.world.bare("empty.git");
        let before = pair.target.refs();
        let args = [
            "sync",
            &empty.at(),
            &pair.target_url(),
            "--prune",
            "--all-refs",
            "--json",
        ];
        let output = relay_in(git, pair.world.path(), &args)
            .exits(128)
            .says("is empty");
        assert_eq!(json(&output)["error"]["side"], "source");
        assert_eq!(pair.target.refs(), before);
    }
}

#[test]
fn wrong_selections_name_the_culprit() {
    for git in gits().iter().take(1) {
        let pair = Pair::local(git);
        scenes::fresh(&pair);
        for (args, told) in [
            (&["--branch", "main,gone"][..], "no branch 'gone'"),
            (&["--branch", "a..b"], "'a..b' is not a valid ref name"),
            (&["--map", "main:x", "--map", "dev:x"], "'refs/heads/x'"),
            (&["--map", "main:refs/tags/x"], "maps a branch to a tag"),
            (&["--map", "main"], "--map 'main'"),
            (&["--max-pack-bytes", "1x"], "1x"),
            (&["--protocol", "v7"], "v7"),
            (&["--no-such-thing"], "--no-such-thing"),
        ] {
            let output = relay(&pair, "sync", args).exits(2).says(told);
            assert_eq!(output.out(), "");
        }
        relay_in(git, pair.world.path(), &["sync", &pair.source.at()])
            .exits(2)
            .says("target");
        relay_in(git, pair.world.path(), &["sync", "relay::x="])
            .exits(2)
            .says("quot");
        assert!(pair.target.refs().is_empty());
    }
}

/// A ref in the way of another's name is told before anything is pushed.
#[test]
fn names_that_cannot_exist_together() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        pair.source
            .git(&["push", &pair.target.at(), "main:refs/heads/feature"])
            .ok();
        let output = relay(&pair, "sync", &[]).exits(1);
        assert!(
            output
                .out()
                .contains("'refs/heads/feature' on the target is in the way"),
            "{output}"
        );
        assert_eq!(pair.target.refs().len(), 1);
        relay(&pair, "sync", &["--prune"]).ok();
        assert_eq!(pair.target.id("feature/one"), pair.source.id("feature/one"));
        relay(&pair, "sync", &["--prune", "--atomic"]).ok();
    }
}

#[test]
fn atomic_is_the_targets_affair() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        pair.target
            .hook("update", "#!/bin/sh\ncase $1 in *dev) exit 1;; esac\n");
        relay(&pair, "sync", &["--atomic"]).exits(1);
        assert!(pair.target.refs().is_empty());
        pair.target.config("receive.advertiseAtomic", "false");
        relay(&pair, "sync", &["--atomic"]).exits(128).says("atomic");
    }
}

/// The limit counts before anything lands.
#[test]
fn a_pack_that_is_too_big_changes_nothing() {
    for git in gits() {
        for limit in ["10", "1k"] {
            let pair = Pair::new(git);
            scenes::fresh(&pair);
            let args = ["--max-pack-bytes", limit, "--json", "--stats", "--measure-memory"];
            let output = relay(&pair, "sync", &args).exits(128).says("limit");
            let report = json(&output);
            assert_eq!(report["error"]["kind"], "limit");
            assert_eq!(report["counts"]["rejected"], 5);
            assert_eq!(report["stats"]["target"]["commands"], 0, "{output}");
            assert!(report["stats"]["source"]["bytes_received"].as_u64().unwrap() > 500);
            assert!(report["measurement"]["peak_rss_bytes"].as_u64().unwrap() > 1_000_000);
            assert!(pair.target.refs().is_empty());
        }
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        relay(&pair, "sync", &["--max-pack-bytes", "1m"]).ok();
    }
}
