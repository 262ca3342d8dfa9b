//! Faults of servers and connections in the middle of a push: nothing half may land, and the words must name the right
//! side.

#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]

mod support;

use std::time::{Duration, Instant};

use support::history::noise;
use support::http::Answer;
use support::process::Running;
use support::repo::assert_refs;
use support::{Fault, Git, Import, Options, Output, Pair, Proxy, gits, scenes};

/// Some hundred kilobytes of history at the source, a small part of it at the target.
fn sizeable(pair: &Pair) {
    let mut import = Import::new();
    let first = import.commit("refs/heads/main", &[], &[("a", &noise(1, 20_000))]);
    let mut last = first;
    for n in 0..10u32 {
        last = import.commit("refs/heads/main", &[&last], &[("a", &noise(n + 2, 60_000))]);
    }
    import.into_repo(&pair.source);
    let push = ["push", "--quiet", &pair.target.at(), "main~9:refs/heads/main"];
    pair.source.git(&push).ok();
}

const FETCH: &str = "POST /source.git/git-upload-pack";
const PUSH: &str = "POST /target.git/git-receive-pack";

/// Push with the source (or both sides) behind `proxy`. The view's own fetch comes before the pack of the push, so that
/// is the second pack (`nth` 1).
fn through(pair: &Pair, proxy: &Proxy, args: &[&str]) -> Output {
    let url = format!("relay::{}=>{}", proxy.url("source.git"), proxy.url("target.git"));
    pair.run(pair.here.cmd().arg("push").arg(url).args(args))
}

/// Whatever happens to the pack of the source: no ref of the target moves, nothing incomplete lands, and the next push
/// works.
#[test]
fn a_damaged_pack_never_lands() {
    let faults = [
        Fault::CutInPack(0),
        Fault::CutInPack(6),
        Fault::CutInPack(11),
        Fault::CutInPack(250_000),
        Fault::CutBeforeEnd(20),
        Fault::CutBeforeEnd(1),
        Fault::FlipInPack(5),
        Fault::FlipInPack(11),
        Fault::FlipInPack(14),
        Fault::FlipInPack(200_000),
        Fault::FlipInPack(-1),
        Fault::FlipInPack(-20),
        Fault::ShortPack(1),
        Fault::ShortPack(20),
        Fault::ShortPack(100_000),
    ];
    for git in gits() {
        let pair = Pair::new(git);
        sizeable(&pair);
        let proxy = Proxy::start(pair.server.address());
        let (refs, objects) = (pair.target.refs(), pair.target.objects());
        for fault in faults {
            proxy.arm(FETCH, pack_of_the_push(&pair, &proxy), fault);
            let output = through(&pair, &proxy, &["main"]);
            assert!(proxy.hit(), "{fault:?} did not happen: {output}");
            assert_ne!(output.code(), 0, "{fault:?}: {output}");
            assert_refs(&refs, &pair.target.refs());
            pair.target.fsck();
            assert_eq!(
                pair.target.objects(),
                objects,
                "{fault:?} left objects on the target"
            );
            assert!(output.err().contains("source"), "{fault:?}: {output}");
            assert!(!output.err().contains("panicked"), "{fault:?}: {output}");
        }
        proxy.disarm();
        through(&pair, &proxy, &["main"]).ok();
        assert_eq!(pair.source.id("main"), pair.target.id("main"));
    }
}

/// How many packs with objects the source sends before the one that is relayed: a dry run sends all of those.
fn pack_of_the_push(pair: &Pair, proxy: &Proxy) -> usize {
    proxy.arm(FETCH, usize::MAX, Fault::ShortPack(0));
    through(pair, proxy, &["--dry-run", "main"]).ok();
    proxy.count()
}

/// The same in the view's fetch: the push fails before anything else happens.
#[test]
fn a_damaged_view_stops_the_push() {
    for git in gits() {
        let pair = Pair::new(git);
        sizeable(&pair);
        let proxy = Proxy::start(pair.server.address());
        let refs = pair.target.refs();
        for fault in [
            Fault::CutInPack(20),
            Fault::CutInPack(4),
            Fault::CutResponse(3),
            Fault::FlipInPack(30),
        ] {
            proxy.arm(FETCH, 0, fault);
            let output = through(&pair, &proxy, &["refs/heads/*"]);
            assert!(proxy.hit() && output.code() != 0, "{fault:?}: {output}");
            assert_refs(&refs, &pair.target.refs());
            assert!(output.err().contains("source"), "{fault:?}: {output}");
        }
    }
}

/// A target that goes away in the middle of the upload: everything lands (where the request could be sent once more), or
/// nothing does and the target gets the blame.
#[test]
fn a_broken_upload() {
    for git in gits() {
        let pair = Pair::new(git);
        sizeable(&pair);
        let proxy = Proxy::start(pair.server.address());
        let start = pair.world.copy(&pair.target, "start.git");
        for at in [0, 100, 200_000] {
            pair.reset_target(&start);
            proxy.arm(PUSH, 0, Fault::CutRequest(at));
            let output = through(&pair, &proxy, &["main"]);
            assert!(proxy.hit(), "{at}: {output}");
            pair.target.fsck();
            if output.code() == 0 {
                assert_eq!(pair.source.id("main"), pair.target.id("main"), "{at}: {output}");
            } else {
                assert_refs(&start.refs(), &pair.target.refs());
                assert!(output.err().contains("target"), "{at}: {output}");
            }
        }
    }
}

/// A target that refuses the upload before it has seen all of it: its answer counts, not the broken pipe.
#[test]
fn an_early_refusal_is_told() {
    for git in gits() {
        for (status, words) in [(413, "413"), (403, "403"), (500, "500")] {
            let mut options = Options::default();
            let mut answer = Answer::new(PUSH, status);
            answer.early = true;
            options.answers.push(answer);
            let pair = Pair::with(git, &[], options);
            sizeable(&pair);
            let refs = pair.target.refs();
            let output = pair.push(&["main"]);
            assert_ne!(output.code(), 0, "{output}");
            output.says("target").says(words);
            assert_refs(&refs, &pair.target.refs());
        }
    }
}

/// Hooks decide ref by ref, and what they say comes through, without power over the terminal.
#[test]
fn an_update_hook_rejects_one_ref() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::behind(&pair);
        let script = "#!/bin/sh\nprintf 'about %s \\033[2J \\007 now\\n' \"$1\" >&2\n\
                      test \"$1\" != refs/heads/dev\n";
        pair.target.hook("update", script);
        let output = pair.compare(&["refs/heads/*"]).exits(1);
        assert!(
            output
                .out()
                .contains("refs/heads/dev:refs/heads/dev\t[remote rejected] (hook declined)")
        );
        let output = output.says("remote: about refs/heads/main");
        assert!(
            !output.stderr.contains(&0x1b) && !output.stderr.contains(&7),
            "{output}"
        );
        output.says("\\033[2J").says("\\007");
    }
}

#[test]
fn a_pre_receive_hook_rejects_all() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::behind(&pair);
        pair.target
            .hook("pre-receive", "#!/bin/sh\necho 'not on a Friday'\nexit 1\n");
        let before = pair.target.refs();
        let output = pair.compare(&["refs/heads/*"]).exits(1);
        assert!(
            output
                .out()
                .contains("[remote rejected] (pre-receive hook declined)")
        );
        output.says("remote: not on a Friday");
        assert_refs(&before, &pair.target.refs());
        assert!(
            !pair.target.has(&pair.source.id("dev")),
            "objects of a rejected push stayed"
        );
    }
}

/// With `--atomic` one refused ref takes all others with it.
#[test]
fn an_update_hook_and_atomic() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::behind(&pair);
        pair.target
            .hook("update", "#!/bin/sh\ntest \"$1\" != refs/heads/dev\n");
        let before = pair.target.refs();
        pair.compare(&["--atomic", "refs/heads/*"]).exits(1);
        assert_refs(&before, &pair.target.refs());
    }
}

/// A target that does not know `atomic`.
#[test]
fn atomic_where_there_is_no_atomic() {
    for git in gits() {
        let mut options = Options::default();
        options
            .config
            .push(("receive.advertiseAtomic", "false".to_owned()));
        let pair = Pair::with(git, &[], options);
        scenes::behind(&pair);
        let before = pair.target.refs();
        let output = pair.push(&["--atomic", "refs/heads/*"]);
        assert_ne!(output.code(), 0);
        output.says("atomic");
        assert_refs(&before, &pair.target.refs());
    }
}

/// Somebody else pushes between the listing and the update: their work stays.
#[test]
fn a_racing_writer_is_not_overwritten() {
    for git in gits() {
        let pair = Pair::local(git);
        scenes::behind(&pair);
        let theirs = pair.source.id("main~1");
        // Runs when the commands and the pack are in, before the refs are checked against them.
        let script = format!(
            "#!/bin/sh\nunset GIT_QUARANTINE_PATH GIT_QUARANTINE_ENVIRONMENT\n\
             test -e raced || {{ : >raced; git update-ref refs/heads/main {theirs}; }}\n"
        );
        pair.target.hook("pre-receive", &script);
        // The racing commit has to be there for that.
        let push = ["push", "--quiet", &pair.target.at(), "main~1:refs/heads/theirs"];
        pair.source.git(&push).ok();
        std::fs::remove_file(pair.target.path.join("raced")).unwrap();
        pair.target.update_refs("delete refs/heads/theirs\n");
        let old = pair.source.id("main~2");
        pair.target
            .update_refs(&format!("update refs/heads/main {old}\n"));
        let output = pair.push(&["--force", "main", "dev"]).exits(1);
        assert_eq!(pair.target.id("main"), theirs, "{output}");
        assert_eq!(pair.target.id("dev"), pair.source.id("dev"), "{output}");
        output.says("rejected").never_says("panicked");
    }
}

/// Ctrl-C and kill while the source is silent in the middle of the pack.
#[test]
fn interrupted() {
    for git in gits() {
        let pair = Pair::new(git);
        sizeable(&pair);
        let proxy = Proxy::start(pair.server.address());
        let refs = pair.target.refs();
        let nth = pack_of_the_push(&pair, &proxy);
        for at in [nth, 0] {
            for signal in ["INT", "TERM"] {
                let running = stalled(&pair, &proxy, at);
                running.signal_group(signal);
                let output = running.finish();
                assert_ne!(output.code(), 0, "{output}");
                pair.assert_clean();
                assert_refs(&refs, &pair.target.refs());
                pair.target.fsck();
            }
        }
        proxy.disarm();
        through(&pair, &proxy, &["main"]).ok();
    }
}

/// After kill -9 the next run cleans up, whatever command it is.
#[test]
fn killed() {
    for git in gits() {
        let pair = Pair::new(git);
        sizeable(&pair);
        let proxy = Proxy::start(pair.server.address());
        let nth = pack_of_the_push(&pair, &proxy);
        for at in [nth, 0] {
            for next in ["push", "ls-remote"] {
                let running = stalled(&pair, &proxy, at);
                running.signal_group("KILL");
                running.finish();
                proxy.disarm();
                let next = match next {
                    "push" => pair.command(&["--dry-run", "refs/heads/*"]),
                    _ => pair.here.cmd().args(["ls-remote", &pair.url()]),
                };
                pair.run(next).ok();
            }
        }
        pair.target.fsck();
    }
}

/// A push that hangs in the `nth` pack of the source.
fn stalled(pair: &Pair, proxy: &Proxy, nth: usize) -> Running {
    proxy.arm(FETCH, nth, Fault::Stall(60));
    let url = format!("relay::{}=>{}", proxy.url("source.git"), pair.target_url());
    let git: &Git = &pair.world.git;
    let command = git.cmd_for_signals(&pair.here.path);
    let running = command.args(["push", &url, "main"]).spawn();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !proxy.hit() {
        assert!(Instant::now() < deadline, "the fault did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
    // The bytes before the stall get a moment to arrive.
    std::thread::sleep(Duration::from_millis(50));
    running
}
