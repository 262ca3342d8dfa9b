//! `git relay sync`, `plan` and `bootstrap`: what moves, what is refused, and what is said about it.

#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]
#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]

mod support;

use serde_json::Value;
use support::pair::WAYS;
use support::repo::assert_same_refs;
use support::{Options, Output, Pair, gits, relay, relay_in, scenes};

fn json(output: &Output) -> Value {
    serde_json::from_str(&output.out()).unwrap_or_else(|err| panic!("{err}: {output}"))
}

/// `target_ref: status (reason)` of all refs in a JSON report.
fn refs(report: &Value) -> Vec<String> {
    let refs = report["refs"].as_array().unwrap().iter();
    let mut lines: Vec<_> = refs
        .map(|entry| {
            let word = |key: &str| entry[key].as_str().unwrap_or("").to_owned();
            let name = word("target_ref").replacen("refs/", "", 1);
            format!("{name}: {} {} {}", word("action"), word("status"), word("reason"))
                .trim_end()
                .to_owned()
        })
        .collect();
    lines.sort();
    lines
}

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
