//! What `git relay` prints: JSON by its schema, tables, and the silence of `-q`.

#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]
#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]

mod support;

use serde_json::Value;
use support::{Output, Pair, gits, relay, relay_in, scenes};

/// The one JSON object on standard output, which must be as `docs/report.schema.json` says.
#[track_caller]
fn valid(output: &Output) -> Value {
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|err| panic!("{err}: {output}"));
    check(&report);
    report
}

#[track_caller]
fn check(report: &Value) {
    let schema =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/report.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let faults: Vec<_> = validator
        .iter_errors(report)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}\n{report:#}");
}

/// A schema that takes anything would prove nothing.
#[test]
#[should_panic(expected = "not_a_key")]
fn the_schema_refuses_unknown_keys() {
    let git = &gits()[0];
    let pair = Pair::local(git);
    scenes::fresh(&pair);
    let mut report = valid(&relay(&pair, "plan", &["--json"]));
    report["refs"][0]["not_a_key"] = Value::Null;
    check(&report);
}

#[test]
fn every_json_report_is_as_the_schema_says() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::diverged(&pair);
        let all = ["--json", "--stats", "--measure-memory"];
        for (command, args, code) in [
            ("plan", &["--tags", "--prune"][..], 1),
            ("sync", &["--tags"], 1),
            ("bootstrap", &[], 1),
            ("fetch", &["--tags"], 1),
            ("probe", &[], 0),
            ("sync", &["--branch", "gone"], 2),
            ("sync", &["--max-pack-bytes", "1", "--branch", "dev"], 128),
            ("sync", &["--tags", "--prune", "--force"], 0),
            ("sync", &["--tags"], 0),
        ] {
            let report = valid(&relay(&pair, command, &[args, &all].concat()).exits(code));
            assert_eq!(report["command"], command);
            if command == "probe" {
                assert_eq!(report["probe"]["source"]["refs"]["refs/heads/"], 5, "{report}");
                continue;
            }
            let measured = &report["measurement"];
            for key in ["peak_rss_bytes", "peak_alloc_bytes", "total_alloc_bytes"] {
                assert!(measured[key].as_u64().unwrap() > 10_000, "{key}: {measured}");
            }
            assert!(
                report["stats"]["source"]["requests"].as_u64().unwrap() >= 1,
                "{report}"
            );
        }
        let nowhere = pair.server.url("none.git");
        let target = pair.target_url();
        let args = [&["sync", &nowhere, &target], &all[..]].concat();
        let report = valid(&relay_in(git, pair.world.path(), &args).exits(128));
        assert_eq!(report["error"]["side"], "source");
        assert_eq!(report["protocol"], Value::Null);
    }
}

/// `git push` writes the same object where `relay.report` says.
#[test]
fn a_push_reports_to_a_file() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::diverged(&pair);
        let file = pair.world.path().join("report.json");
        let setting = format!("relay.report={}", file.display());
        let push = |args: &[&str]| {
            std::fs::remove_file(&file).ok();
            let command = pair
                .here
                .cmd()
                .args(["-c", &setting, "push", &pair.url()])
                .args(args);
            let output = pair.run(command);
            let report: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
            check(&report);
            (output, report)
        };
        let (output, report) = push(&["refs/heads/*"]);
        output.exits(1);
        assert_eq!(
            (&report["command"], &report["protocol"]),
            (&"push".into(), &"v2".into())
        );
        assert_eq!(report["counts"]["created"], 3, "{report}");
        assert_eq!(report["counts"]["blocked"], 2, "{report}");
        assert_eq!(report["stats"]["target"]["commands"], 3);
        let (output, report) = push(&["--dry-run", "+main"]);
        output.ok();
        assert_eq!(
            (&report["dry_run"], &report["refs"][0]["status"]),
            (&true.into(), &"planned".into())
        );
        let nowhere = format!("relay::{}=>{}", pair.server.url("none.git"), pair.target_url());
        std::fs::remove_file(&file).unwrap();
        pair.run(
            pair.here
                .cmd()
                .args(["-c", &setting, "push", &nowhere, "refs/heads/*"]),
        )
        .exits(128);
        let report: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        check(&report);
        assert_eq!(report["error"]["side"], "source");
    }
}

#[test]
fn quiet_runs_say_nothing_unless_something_is_wrong() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::behind(&pair);
        pair.target
            .hook("post-receive", "#!/bin/sh\necho hello from the hook\n");
        let output = relay(&pair, "sync", &["-q"]).ok();
        assert_eq!((output.out(), output.err()), (String::new(), String::new()));
        let nowhere = pair.server.url("none.git");
        let args = ["sync", "-q", &nowhere, &pair.target_url()];
        let output = relay_in(git, pair.world.path(), &args).exits(128);
        let first = format!("fatal: {nowhere} => {}: source: ", pair.target_url());
        assert!(output.err().starts_with(&first), "{output}");
    }
}

/// Passwords in URLs are no part of any report.
#[test]
fn passwords_are_not_repeated() {
    for git in gits().iter().take(1) {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        let secret = pair.source_url().replacen("http://", "http://me:pa55word@", 1);
        for more in [&["--json"][..], &[], &["-q", "--branch", "gone"]] {
            let target = pair.target_url();
            let args = [&["sync", &secret, &target], more].concat();
            let output = relay_in(git, pair.world.path(), &args);
            let all = output.out() + &output.err();
            assert!(!all.contains("pa55word"), "{output}");
        }
    }
}

#[test]
fn tables_have_no_colours_in_a_pipe() {
    for git in gits().iter().take(1) {
        let pair = Pair::local(git);
        scenes::diverged(&pair);
        let output = relay(&pair, "plan", &["--tags", "-v"]).exits(1);
        assert!(!output.out().contains('\x1b'), "{output}");
        assert!(output.out().contains("refs/heads/dev"), "{output}");
    }
}

/// On a terminal there are colours, unless `NO_COLOR` is set. `script` gives a terminal.
#[test]
fn tables_have_colours_on_a_terminal() {
    for git in gits().iter().take(1) {
        let pair = Pair::local(git);
        scenes::diverged(&pair);
        let on_terminal = |no_color: &str| {
            let line = format!("git relay plan '{}' '{}'", pair.source.at(), pair.target.at());
            let script = git.program_in(pair.world.path(), "script");
            let script = script.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm");
            script.env("NO_COLOR", no_color).env("SHELL", "/bin/sh").run()
        };
        let output = on_terminal("");
        assert!(output.out().contains("\x1b[31mblocked\x1b[m"), "{output}");
        let output = on_terminal("1");
        assert!(
            output.out().contains("blocked") && !output.out().contains("\x1b[3"),
            "{output}"
        );
    }
}

/// Both sides tell how far they are, and so does the pump.
#[test]
fn progress_shows_both_sides() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        // A small push would be unpacked without a word.
        pair.target.config("receive.unpackLimit", "1");
        let output = relay(&pair, "sync", &["--progress"]).ok();
        output
            .says("Enumerating objects")
            .says("Relaying")
            .says("Resolving deltas");
        scenes::grow(&pair.source, "main", 1);
        relay(&pair, "sync", &[]).ok().never_says("Enumerating");
    }
}

#[test]
fn probe_tells_what_each_side_is() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        pair.source.config("uploadpack.allowFilter", "true");
        let report = valid(&relay(&pair, "probe", &["--json"]).ok());
        let (source, target) = (&report["probe"]["source"], &report["probe"]["target"]);
        assert_eq!(source["head"], "refs/heads/main");
        assert_eq!(source["capabilities"]["filter"], true);
        assert_eq!(source["refs"]["refs/tags/"], 3);
        assert_eq!(target["capabilities"]["atomic"], true);
        assert_eq!(target["object_format"], "sha1");
        let output = relay(&pair, "probe", &[]).ok();
        assert!(
            output.out().contains("HEAD           refs/heads/main"),
            "{output}"
        );
        let nowhere = pair.server.url("none.git");
        let args = ["probe", &pair.source_url(), &nowhere, "--json"];
        let report = valid(&relay_in(git, pair.world.path(), &args).exits(128));
        assert_eq!(report["probe"]["source"]["reachable"], true);
        assert_eq!(report["probe"]["target"]["reachable"], false);
        assert_eq!(report["error"]["side"], "target");
        relay_in(git, pair.world.path(), &["probe", &pair.source_url()]).ok();
    }
}

/// What a fetch counts is what a sync moves.
#[test]
fn fetch_counts_and_stores_nothing() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::behind(&pair);
        let before = pair.target.objects();
        let counted = valid(&relay(&pair, "fetch", &["--json", "--tags"]).ok());
        assert_eq!(pair.target.objects(), before);
        let whole = ["fetch", &pair.source_url(), "--json", "--tags"];
        let whole = valid(&relay_in(git, pair.world.path(), &whole).ok());
        assert!(whole["pack"]["objects"].as_u64() > counted["pack"]["objects"].as_u64());
        assert_eq!(whole["target"], Value::Null);
        let moved = valid(&relay(&pair, "sync", &["--json", "--tags"]).ok());
        assert_eq!(counted["pack"], moved["pack"]);
    }
}
