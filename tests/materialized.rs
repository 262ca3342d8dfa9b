//! The way through a temporary repository: packs stored here, packed anew by git, and nothing left of it.

#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]
#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]

mod support;

use std::path::PathBuf;

use support::pair::WAYS;
use support::relay::{json, refs};
use support::repo::{assert_refs, assert_same_refs};
use support::{Output, Pair, gits, scenes};

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
