//! What may go wrong on this side: no room, and an end at any moment. No ref of the target is wrong afterwards, and
//! nothing stays here that the next run does not clear away.

#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]
#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]

mod support;

use std::time::Duration;

use support::process::Cmd;
use support::{Pair, gits, scenes};

/// A command of git in the empty repository.
fn git(pair: &Pair, args: &[&str]) -> Cmd {
    pair.world.git.cmd_for_signals(&pair.here.path).args(args)
}

fn temporary(pair: &Pair) -> std::path::PathBuf {
    let dir = pair.world.path().join("tmp");
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// Files may not grow beyond so many blocks of 512 bytes, from none at all to enough.
#[test]
fn no_room_for_files() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        for number in 0..200 {
            let name = format!("update refs/heads/many/{number:03} {}\n", pair.source.id("main"));
            if number % 50 == 0 {
                pair.source.update_refs(&name);
            }
        }
        let (mut failed, mut passed) = (0, 0);
        for blocks in [0, 1, 2, 3, 4, 8, 64] {
            let before = pair.target.refs();
            let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
            let shell = git
                .program_in(&pair.here.path, "/bin/sh")
                .args(["-c", &script, "sh"]);
            let push = shell
                .arg(git.program())
                .arg("push")
                .arg(pair.url())
                .arg("refs/heads/*");
            let output = pair.run(push.env("TMPDIR", temporary(&pair)));
            let now = pair.target.refs();
            if output.code() == 0 {
                passed += 1;
            } else {
                failed += 1;
                assert!(now == before, "{blocks} blocks: {output}");
            }
            let _ = output.never_says("panicked");
            pair.target.fsck();
        }
        assert!(failed > 0 && passed > 0, "{failed} failed, {passed} passed");
        assert_eq!(pair.source.id("dev"), pair.target.id("dev"));
    }
}

/// `git relay push` has its view in a temporary repository, which goes at once or by the next run.
#[test]
fn a_temporary_repository_does_not_stay() {
    let pair = Pair::new(&gits()[0]);
    scenes::behind(&pair);
    let (source, target) = (pair.source_url(), pair.target_url());
    let dry = ["relay", "push", &source, &target, "--dry-run", "main"];
    let there = || std::fs::read_dir(temporary(&pair)).unwrap().count();
    let mut left = 0;
    for moment in 1..10 {
        let push = ["relay", "push", &source, &target, "refs/heads/*"];
        let running = git(&pair, &push).env("TMPDIR", temporary(&pair)).spawn();
        std::thread::sleep(Duration::from_millis(25 * moment));
        running.signal_group("KILL");
        running.finish();
        left += there();
        pair.run(git(&pair, &dry).env("TMPDIR", temporary(&pair))).ok();
        assert_eq!(there(), 0);
    }
    assert!(left > 0, "it was never there");
    pair.server.requests();
    pair.target.fsck();
}

/// Stopped after 0, 15, 30, … milliseconds, in whatever it is doing then.
#[test]
fn the_end_may_come_at_any_moment() {
    let pair = Pair::new(&gits()[0]);
    scenes::behind(&pair);
    let start = pair.world.copy(&pair.target, "start.git");
    let url = pair.url();
    let push = ["push", &url, "refs/heads/*"];
    let sync = ["relay", "sync", &pair.source_url(), &pair.target_url()];
    let mut landed = 0;
    for (signal, args) in [
        ("KILL", &push[..]),
        ("INT", &push),
        ("KILL", &sync),
        ("INT", &sync),
    ] {
        for moment in 0..14 {
            pair.reset_target(&start);
            let running = git(&pair, args).env("TMPDIR", temporary(&pair)).spawn();
            std::thread::sleep(Duration::from_millis(15 * moment));
            running.signal_group(signal);
            let output = running.finish().never_says("panicked");
            // The host goes on with what it has got.
            pair.server.requests();
            let (old, now, new) = (start.refs(), pair.target.refs(), pair.source.refs());
            for (name, value) in &now {
                let either = Some(value) == old.get(name) || Some(value) == new.get(name);
                assert!(either, "{}: {output}", String::from_utf8_lossy(name));
            }
            assert!(old.keys().all(|name| now.contains_key(name)), "{output}");
            landed += u32::from(now != old);
            pair.target.fsck();
            if signal == "KILL" {
                pair.run(git(&pair, &["push", "--dry-run", &url, "main"])).ok();
            }
            pair.assert_clean();
        }
        let left = std::fs::read_dir(temporary(&pair)).unwrap().count();
        assert_eq!(left, 0, "something stayed in TMPDIR after {signal} of {args:?}");
    }
    eprintln!("{landed} of 56 had pushed already");
}
