//! The way through a temporary repository: packs stored here, packed anew by git, and nothing left of it.

#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]
#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]

mod support;

use std::path::PathBuf;

use support::history::{Import, noise};
use support::pair::{Reach, WAYS};
use support::relay::{json, refs};
use support::repo::{assert_refs, assert_same_refs};
use support::{Fault, Options, Output, Pair, Proxy, gits, scenes};

/// A directory for temporary files of its own, in which nothing may be left.
struct Tmp(PathBuf);

impl Tmp {
    fn of(pair: &Pair) -> Tmp {
        let path = pair.world.path().join("tmp");
        std::fs::create_dir_all(&path).unwrap();
        Tmp(path)
    }

    fn left(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.collect()
    }

    /// `git relay <command> <source> <target> <args>`.
    #[track_caller]
    fn relay(&self, pair: &Pair, command: &str, args: &[&str]) -> Output {
        let words = ["relay", command, &pair.source_url(), &pair.target_url()];
        let git = pair.world.git.cmd(pair.world.path());
        let output = git.args([&words, args].concat()).env("TMPDIR", &self.0).run();
        eprintln!("{output}\n{}", pair.server.log());
        assert_eq!(self.left(), Vec::<String>::new());
        output
    }
}

const ASKED: &str = "--strategy=materialized";

#[test]
fn a_first_push_goes_through_a_temporary_repository() {
    for git in gits() {
        for (from, to) in WAYS {
            let pair = Pair::new(git).reached(from, to);
            scenes::fresh(&pair);
            let output = Tmp::of(&pair)
                .relay(&pair, "bootstrap", &["--tags", "--json", ASKED])
                .ok();
            let report = json(&output);
            assert_eq!(report["relay_mode"], "materialized");
            assert_eq!(report["relay_reason"], "requested");
            assert_eq!(report["relay"], false);
            assert!(report["pack"]["objects"].as_u64().unwrap() > 20, "{report}");
            assert_same_refs(&pair.source, &pair.target);
            pair.target.fsck();
        }
    }
}

/// Only what the target lacks is stored and sent, though history then ends in the middle.
#[test]
fn updates_of_all_kinds_take_only_what_is_missing() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::diverged(&pair);
        let twin = pair.world.copy(&pair.target, "twin.git");
        let args = ["--force", "--prune", "--tags", "--json"];
        let by_relay = json(&Tmp::of(&pair).relay(&pair, "sync", &args).ok());
        let (pushed, objects) = (pair.target.refs(), pair.target.objects());
        pair.reset_target(&twin);
        let report = json(
            &Tmp::of(&pair)
                .relay(&pair, "sync", &[&args[..], &[ASKED]].concat())
                .ok(),
        );
        assert_eq!(report["relay_mode"], "materialized");
        assert_eq!(refs(&report), refs(&by_relay));
        assert_refs(&pair.target.refs(), &pushed);
        assert_eq!(pair.target.objects(), objects);
        assert_eq!(report["pack"]["objects"], by_relay["pack"]["objects"]);
        pair.target.fsck();
        let again = json(
            &Tmp::of(&pair)
                .relay(&pair, "sync", &[&args[..], &[ASKED]].concat())
                .ok(),
        );
        assert_eq!(
            (&again["relay_mode"], &again["relay_reason"]),
            (&"none".into(), &"up-to-date".into())
        );
    }
}

/// What is too large is noticed before anything has changed.
#[test]
fn the_size_guard_leaves_nothing() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::behind(&pair);
        let before = pair.target.refs();
        let tmp = Tmp::of(&pair);
        let words = [
            "-c",
            "relay.materializedMaxBytes=500",
            "relay",
            "sync",
            "--json",
            ASKED,
        ];
        let git = git.cmd(pair.world.path()).args(words);
        let output = git
            .args([pair.source_url(), pair.target_url()])
            .env("TMPDIR", &tmp.0)
            .run();
        let report = json(&output.exits(128));
        assert_eq!(report["error"]["kind"], "limit", "{report}");
        let hint = report["error"]["hint"].as_str().unwrap();
        assert!(hint.contains("relay.materializedMaxBytes"), "{hint}");
        assert_refs(&pair.target.refs(), &before);
        assert_eq!(tmp.left(), Vec::<String>::new());
    }
}

/// A fault of the source is the source's, also on this way.
#[test]
fn a_source_that_breaks_off_changes_nothing() {
    let git = &gits()[0];
    let pair = Pair::new(git);
    scenes::behind(&pair);
    let proxy = Proxy::start(pair.server.address());
    proxy.arm("git-upload-pack", 0, Fault::CutBeforeEnd(40));
    let before = pair.target.refs();
    let tmp = Tmp::of(&pair);
    let words = [
        "relay",
        "sync",
        "--json",
        ASKED,
        &proxy.url("source.git"),
        &pair.target_url(),
    ];
    let output = git
        .cmd(pair.world.path())
        .args(words)
        .env("TMPDIR", &tmp.0)
        .run()
        .exits(128);
    eprintln!("{output}");
    assert!(proxy.hit());
    assert_eq!(json(&output)["error"]["side"], "source");
    assert_refs(&pair.target.refs(), &before);
    assert_eq!(tmp.left(), Vec::<String>::new());
}

/// The source of [`scenes::behind`], with a blob that is more than is held in memory.
fn with_noise(pair: &Pair) {
    scenes::behind(pair);
    let mut import = Import::since(1_700_000_000);
    let content = noise(1, 3 << 20);
    import.commit("refs/heads/main", &["refs/heads/main^0"], &[("noise", &content)]);
    import.into_repo(&pair.source);
}

#[test]
fn a_target_that_wants_the_length_gets_it() {
    for git in gits() {
        for strategy in ["--strategy=auto", ASKED, "--strategy=relay"] {
            let options = Options {
                wants_length: true,
                auth: Some(("me", "secret")),
                ..Options::default()
            };
            let pair = Pair::with(git, &[], options).reached(Reach::Path, Reach::Http);
            with_noise(&pair);
            let tmp = Tmp::of(&pair);
            let before = pair.target.refs();
            let target = pair.target_url().replacen("http://", "http://me:secret@", 1);
            let words = ["relay", "sync", "--json", strategy, &pair.source_url(), &target];
            let command = git.cmd(pair.world.path()).args(words).env("TMPDIR", &tmp.0);
            if strategy == "--strategy=relay" {
                command
                    .run()
                    .exits(128)
                    .says("(HTTP 411)")
                    .says("hint: with --strategy auto");
                assert_refs(&pair.target.refs(), &before);
                continue;
            }
            let output = command.run().ok();
            let reason = if strategy == ASKED {
                "requested"
            } else {
                "length-required"
            };
            assert_eq!(json(&output)["relay_mode"], "materialized");
            assert_eq!(json(&output)["relay_reason"], reason);
            output.says("relay: the target wants to know the length of the pack, storing it first\n");
            assert_eq!(pair.target.id("main"), pair.source.id("main"));
            assert_eq!(tmp.left(), Vec::<String>::new());
            pair.target.fsck();
        }
    }
}

/// A `receive-pack` whose unpacking fails so many times, for no reason that it would tell.
fn picky(pair: &Pair, times: u32) -> String {
    let dir = pair.world.path().join("picky");
    std::fs::create_dir(&dir).unwrap();
    let real = pair
        .world
        .git
        .cmd(pair.world.path())
        .arg("--exec-path")
        .ok()
        .out();
    let (real, count) = (real.trim(), dir.join("count").display().to_string());
    std::fs::write(&count, "").unwrap();
    let git = format!(
        "#!/bin/sh\ncase $1 in index-pack | unpack-objects)\n\
         echo >>'{count}'; test $(wc -l <'{count}') -gt {times} || {{ '{real}/git' \"$@\" >/dev/null; exit 1; }};;\nesac\n\
         GIT_EXEC_PATH='{real}' exec '{real}/git' \"$@\"\n"
    );
    let serve = format!(
        "#!/bin/sh\nGIT_EXEC_PATH='{0}' PATH='{0}':$PATH exec '{real}/git' receive-pack \"$@\"\n",
        dir.display()
    );
    for (name, script) in [("git", git), ("serve", serve)] {
        let path = dir.join(name);
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    dir.join("serve").display().to_string()
}

#[test]
fn a_pack_that_is_refused_as_it_is_goes_packed_anew() {
    for git in gits() {
        // Once for a thin pack, once for one that is complete in itself.
        for (times, strategy) in [
            (2, "--strategy=auto"),
            (2, "--strategy=relay"),
            (9, "--strategy=auto"),
        ] {
            let pair = Pair::local(git);
            scenes::behind(&pair);
            let before = pair.target.refs();
            pair.here.git(&["remote", "add", "to", &pair.target.at()]).ok();
            pair.here.config("remote.to.receivepack", &picky(&pair, times));
            let tmp = Tmp::of(&pair);
            let words = ["relay", "sync", "--json", strategy, &pair.source_url(), "to"];
            let output = pair.here.cmd().args(words).env("TMPDIR", &tmp.0).run();
            eprintln!("{output}");
            let report = json(&output);
            assert_eq!(tmp.left(), Vec::<String>::new());
            if strategy == "--strategy=relay" {
                output.exits(1);
                assert_eq!(report["relay_mode"], "incremental");
                assert_refs(&pair.target.refs(), &before);
                continue;
            }
            output.says("relay: the target does not take the pack as the source made it, packing it anew\n");
            assert_eq!(report["relay_mode"], "materialized");
            assert_eq!(report["relay_reason"], "relayed-pack-refused");
            if times == 2 {
                assert_eq!(pair.target.id("main"), pair.source.id("main"));
                pair.target.fsck();
            } else {
                // Not for ever: once.
                assert_eq!(report["refs"][0]["status"], "rejected");
                assert_refs(&pair.target.refs(), &before);
            }
        }
    }
}

/// What a target refuses for its size or its content, it would refuse in any packing.
#[test]
fn a_refusal_that_is_meant_stands() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::behind(&pair);
        pair.target.config("receive.maxInputSize", "300");
        let output = Tmp::of(&pair).relay(&pair, "sync", &["--json"]).exits(1);
        assert_eq!(json(&output)["relay_mode"], "incremental");
        output.never_says("packing it anew");
    }
}
