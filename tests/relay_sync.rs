//! `git relay sync` and `plan`: what is selected, what moves, and what is said about it.

#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]
#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]

mod support;

use support::pair::WAYS;
use support::relay::{json, refs};
use support::repo::assert_same_refs;
use support::{Options, Pair, gits, relay, relay_in, scenes};

#[test]
fn all_branches_from_nothing_then_the_difference_then_nothing() {
    for git in gits() {
        for (from, to) in WAYS {
            let pair = Pair::new(git).reached(from, to);
            scenes::fresh(&pair);
            let output = relay(&pair, "sync", &[]).ok();
            assert!(output.out().contains("created  refs/heads/main"), "{output}");
            let names: Vec<_> = pair.target.refs().into_keys().collect();
            assert_eq!(names.len(), 5, "{output}");
            pair.target.fsck();
            scenes::grow(&pair.source, "main", 2);
            let output = relay(&pair, "sync", &["--json", "--tags"]).ok();
            let report = json(&output);
            assert_eq!(report["relay_mode"], "incremental", "{output}");
            assert_eq!(report["relay"], true);
            assert_eq!(report["counts"]["updated"], 1);
            assert_eq!(report["counts"]["created"], 3);
            assert_same_refs(&pair.source, &pair.target);
            let report = json(&relay(&pair, "sync", &["--json", "--tags"]).ok());
            assert_eq!(
                (&report["relay_mode"], &report["relay"]),
                (&"none".into(), &false.into())
            );
            assert_eq!(report["counts"]["up_to_date"], 8);
        }
    }
}

#[test]
fn plans_and_dry_runs_write_nothing() {
    for git in gits() {
        for args in [&["plan"][..], &["sync", "--dry-run"], &["sync", "-n"]] {
            let pair = Pair::new(git);
            scenes::behind(&pair);
            let before = pair.target.refs();
            pair.server.forget();
            let output = relay(
                &pair,
                args[0],
                &[&args[1..], &["--json", "--tags", "--prune"]].concat(),
            )
            .ok();
            let report = json(&output);
            assert_eq!(report["dry_run"], true);
            assert_eq!(report["relay_mode"], "incremental");
            assert_eq!(report["bootstrap_suggested"], false);
            let refs = refs(&report);
            for line in [
                "heads/dev: create planned",
                "heads/main: update planned",
                "heads/old: delete planned",
                "heads/side: up-to-date up-to-date",
                "tags/v0: delete planned",
            ] {
                assert!(refs.contains(&line.to_owned()), "no {line:?} in {output}");
            }
            assert_eq!(pair.target.refs(), before);
            let lines = pair.server.lines();
            assert!(
                !lines.iter().any(|line| line.starts_with("POST /target.git")),
                "{lines:?}"
            );
        }
    }
}

#[test]
fn a_plan_says_when_bootstrap_is_the_route() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        let report = json(&relay(&pair, "plan", &["--json"]).ok());
        assert_eq!(report["bootstrap_suggested"], true);
        assert_eq!(report["relay_mode"], "bootstrap");
        assert_eq!(report["relay_reason"], "empty-target");
        assert_eq!(report["source_head"], "refs/heads/main");
        assert_eq!(report["counts"]["created"], 5);
    }
}

#[test]
fn prune_stays_inside_the_managed_namespaces() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::behind(&pair);
        pair.target
            .git(&["update-ref", "refs/notes/x", "refs/heads/old"])
            .ok();
        let report = json(&relay(&pair, "sync", &["--prune", "--json"]).ok());
        assert_eq!(report["counts"]["deleted"], 1, "{report}");
        assert_eq!(pair.target.get("refs/heads/old"), None);
        assert!(pair.target.get("refs/tags/v0").is_some());
        relay(&pair, "sync", &["--branch", "main", "--tags", "--prune"]).ok();
        assert_eq!(pair.target.get("refs/tags/v0"), None);
        assert!(pair.target.get("refs/notes/x").is_some());
        relay(
            &pair,
            "sync",
            &["--all-refs", "--prune", "--exclude-ref-prefix", "refs/notes/"],
        )
        .ok();
        assert!(pair.target.get("refs/notes/x").is_some());
        relay(&pair, "sync", &["--all-refs", "--prune"]).ok();
        assert_same_refs(&pair.source, &pair.target);
    }
}

/// What hosts keep for themselves is neither mirrored nor pruned; `relay.exclude` says what else.
#[test]
fn excluded_namespaces() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        for name in ["refs/pull/1/head", "refs/relay/batch/1", "refs/notes/n"] {
            pair.source.git(&["update-ref", name, "main"]).ok();
        }
        relay(&pair, "sync", &["--all-refs"]).ok();
        assert_eq!(pair.target.get("refs/pull/1/head"), None);
        assert_eq!(pair.target.get("refs/relay/batch/1"), None);
        assert!(pair.target.get("refs/notes/n").is_some());
        let sides = [pair.source_url(), pair.target_url()];
        let command = git
            .cmd(pair.world.path())
            .args(["-c", "relay.exclude=refs/x", "relay", "sync"]);
        command.args(&sides).arg("--all-refs").ok();
        assert!(pair.target.get("refs/pull/1/head").is_some());
        assert_eq!(pair.target.get("refs/relay/batch/1"), None);
    }
}

/// What is reported is what the host has seen.
#[test]
fn statistics_are_true() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::behind(&pair);
        pair.server.forget();
        let report = json(&relay(&pair, "sync", &["--json", "--stats"]).ok());
        let requests = pair.server.requests();
        let to = |side: &str| {
            let of_side = requests
                .iter()
                .filter(|r| r.path.starts_with(&format!("/{side}.git")));
            let of_side: Vec<_> = of_side.collect();
            let received: u64 = of_side.iter().map(|r| r.received).sum();
            (of_side.len() as u64, received)
        };
        for side in ["source", "target"] {
            let stats = &report["stats"][side];
            assert_eq!(
                stats["requests"].as_u64().unwrap(),
                to(side).0,
                "{side}: {report}"
            );
            // The host counts bodies; heads and chunks come on top.
            let (told, bodies) = (stats["bytes_received"].as_u64().unwrap(), to(side).1);
            let most = bodies + 500 * to(side).0;
            assert!(
                told > bodies && told < most,
                "{side}: {bodies} {report}\n{requests:#?}"
            );
        }
        assert_eq!(report["stats"]["target"]["commands"], 4);
        assert_eq!(report["stats"]["source"]["wants"], 4);
        assert!(report["stats"]["source"]["haves"].as_u64().unwrap() >= 3);
        assert_eq!(report["pack"]["batches"], 1);
        assert!(report["pack"]["objects"].as_u64().unwrap() > 5);
        let plain = json(&relay(&pair, "sync", &["--json"]).ok());
        assert!(plain.get("stats").is_none() && plain.get("measurement").is_none());
    }
}

/// One new annotated tag costs next to nothing, also with `--prune`.
#[test]
fn a_new_tag_is_cheap() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        relay(&pair, "sync", &["--tags", "--prune", "--json"]).ok();
        pair.source.git(&["tag", "-a", "-m", "new", "v3", "main"]).ok();
        let report = json(&relay(&pair, "sync", &["--tags", "--prune", "--json"]).ok());
        assert_eq!(report["counts"]["created"], 1);
        assert!(report["pack"]["bytes"].as_u64().unwrap() < 1024, "{report}");
    }
}

#[test]
fn sha256_when_both_sides_use_it() {
    for git in gits() {
        let pair = Pair::with(git, &["--object-format=sha256"], Options::default());
        scenes::behind(&pair);
        relay(&pair, "sync", &["--tags", "--prune"]).ok();
        assert_same_refs(&pair.source, &pair.target);
        pair.target.fsck();
        let other = pair.world.init("sha1.git", &["--bare", "--object-format=sha1"]);
        let args = ["sync", &pair.source_url(), &other.at(), "--json"];
        let output = relay_in(git, pair.world.path(), &args)
            .exits(128)
            .says("object format");
        assert_eq!(json(&output)["error"]["kind"], "unsupported");
    }
}

#[test]
fn each_protocol_can_be_asked_for() {
    for git in gits() {
        for (asked, spoken) in [("v1", "v0"), ("v2", "v2"), ("auto", "v2")] {
            let pair = Pair::new(git);
            scenes::behind(&pair);
            let report = json(&relay(&pair, "sync", &["--protocol", asked, "--json"]).ok());
            assert_eq!(report["protocol"], spoken, "{asked}");
        }
    }
}

/// Names that are not UTF-8 are told the way git tells them.
#[test]
fn names_that_are_not_utf8() {
    for git in gits() {
        let pair = Pair::local(git);
        scenes::fresh(&pair);
        let mut line = b"create refs/heads/gr\xfcn ".to_vec();
        line.extend_from_slice(format!("{}\n", pair.source.id("main")).as_bytes());
        pair.source.cmd().args(["update-ref", "--stdin"]).input(line).ok();
        let report = json(&relay(&pair, "sync", &["--json"]).ok());
        let told = refs(&report);
        assert!(
            told.contains(&r#""heads/gr\374n": create ok"#.to_owned()),
            "{told:?}"
        );
        assert!(pair.target.refs().contains_key(&b"refs/heads/gr\xfcn"[..]));
    }
}
