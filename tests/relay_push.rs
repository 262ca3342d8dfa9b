//! `git relay push`: plain `git push` from any directory.

#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]
#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use support::repo::{assert_refs, assert_same_refs};
use support::{Options, Pair, gits, relay, relay_in, scenes};

/// Nothing of ours may be left in the directory for temporary files.
fn leftovers(dir: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("git-relay-")).collect()
}

/// The words and the exit code are git's.
#[test]
fn what_git_says_is_passed_on() {
    for git in gits() {
        for args in [
            &["--porcelain", "refs/heads/*"][..],
            &["--porcelain", "--dry-run", "+main", ":old"],
            &["--porcelain", "--prune", "refs/heads/*"],
            &["--porcelain", "nothing-of-that-name"],
        ] {
            let pair = Pair::new(git);
            scenes::diverged(&pair);
            let tmp = pair.world.path().join("tmp");
            std::fs::create_dir(&tmp).unwrap();
            let twin = pair.world.copy(&pair.target, "twin.git");
            let pushed = pair.command(args).run();
            let pushed_to = pair.target.refs();
            pair.reset_target(&twin);
            let command = git.cmd(pair.world.path()).args(["relay", "push"]);
            let command = command.args([pair.source_url(), pair.target_url()]).args(args);
            let relayed = command.env("TMPDIR", &tmp).run();
            assert_eq!(relayed.code(), pushed.code(), "{relayed}");
            assert_eq!(relayed.out(), pushed.out());
            assert_refs(&pair.target.refs(), &pushed_to);
            assert_eq!(leftovers(&tmp), Vec::<String>::new());
        }
    }
}

/// A repository with refs of its own lends its remotes and settings, and nothing else.
#[test]
fn a_repository_with_refs_lends_its_configuration() {
    for git in gits() {
        for linked in [false, true] {
            let pair = Pair::new(git);
            scenes::behind(&pair);
            let clone = git.cmd(pair.world.path()).args(["clone", "--quiet"]);
            clone.arg(pair.source.at()).arg("work").ok();
            let work = pair.world.open("work");
            work.git(&["remote", "add", "backup", "../target.git"]).ok();
            work.config("url.short:.insteadOf", "unused");
            work.git(&["commit", "-q", "--allow-empty", "-m", "not for others"])
                .ok();
            work.hook("../.git/hooks/pre-push", "#!/bin/sh\nexit 1\n");
            let mut dir = work.path.join("deep");
            std::fs::create_dir(&dir).unwrap();
            if linked {
                work.git(&["worktree", "add", "-q", "../linked", "-b", "linked"])
                    .ok();
                dir = pair.world.path().join("linked");
            }
            let refs = work.refs();
            let args = ["push", "origin", "backup", "refs/heads/*", "refs/tags/*"];
            relay_in(git, &dir, &args).ok();
            assert_eq!(pair.target.id("main"), pair.source.id("main"));
            assert_eq!(pair.target.get("refs/heads/linked"), None);
            assert_refs(&work.refs(), &refs);
        }
    }
}

/// Headers from a CI checkout, and from an include that only this repository gets, go once to each host.
#[test]
fn credentials_of_the_checkout_are_used() {
    for git in gits() {
        let options = Options {
            auth: Some(("me", "secret")),
            ..Options::default()
        };
        let pair = Pair::with(git, &[], options);
        scenes::behind(&pair);
        let work = pair.world.init("work", &[]);
        let url = |url: String| url.replacen("http://", "http://me:secret@", 1);
        work.git(&["remote", "add", "from", &url(pair.source_url())]).ok();
        let included = pair.world.path().join("more.config");
        let section = format!("[remote \"to\"]\n\turl = {}\n", url(pair.target_url()));
        std::fs::write(&included, section).unwrap();
        work.config("include.path", included.to_str().unwrap());
        relay_in(git, &work.path, &["push", "from", "to", "main"]).ok();
        assert_eq!(pair.target.id("main"), pair.source.id("main"));
        relay_in(git, &work.path, &["sync", "from", "to"]).ok();
        assert_eq!(pair.target.id("dev"), pair.source.id("dev"));
    }
}

#[test]
fn sha256_and_one_url_for_both_sides() {
    for git in gits() {
        let pair = Pair::with(git, &["--object-format=sha256"], Options::default());
        scenes::fresh(&pair);
        relay_in(git, pair.world.path(), &["push", &pair.url(), "--mirror"]).ok();
        assert_same_refs(&pair.source, &pair.target);
    }
}

#[test]
fn wrong_usage_is_told() {
    for git in gits().iter().take(1) {
        let pair = Pair::local(git);
        scenes::fresh(&pair);
        let dir = pair.world.path();
        relay_in(git, dir, &["push"]).exits(2);
        relay_in(git, dir, &["push", "--mirror", "a", "b"])
            .exits(2)
            .says("come first");
        relay_in(git, dir, &["push", "a"])
            .exits(2)
            .says("source and a target");
        relay_in(git, dir, &["push", "relay::a="]).exits(2).says("quot");
        relay(&pair, "push", &["--no-such-option"])
            .exits(129)
            .says("no-such-option");
    }
}

/// A signal ends git, and the temporary repository goes with it.
#[test]
fn signals_leave_nothing_behind() {
    for git in gits() {
        for signal in ["INT", "TERM"] {
            let pair = Pair::local(git);
            scenes::fresh(&pair);
            let begun = pair.world.path().join("begun");
            let hook = format!(
                "#!/bin/sh\n: >'{}'\nsleep 30 & echo $! >'{0}.pid'; wait\n",
                begun.display()
            );
            pair.target.hook("pre-receive", &hook);
            let tmp = pair.world.path().join("tmp");
            std::fs::create_dir(&tmp).unwrap();
            let sides = ["push", &pair.source.at(), &pair.target.at(), "refs/heads/*"];
            let command = git.cmd_for_signals(pair.world.path()).arg("relay").args(sides);
            let running = command.env("TMPDIR", &tmp).spawn();
            let deadline = Instant::now() + Duration::from_secs(20);
            while !begun.exists() {
                assert!(Instant::now() < deadline, "the push did not begin");
                std::thread::sleep(Duration::from_millis(10));
            }
            running.signal_group(signal);
            let output = running.finish();
            assert_ne!(output.code(), 0, "{output}");
            assert_eq!(leftovers(&tmp), Vec::<String>::new(), "{output}");
        }
    }
}

/// The same before git is there to be signalled: the source is asked what it is, and may want to know who we are.
#[test]
fn a_signal_before_the_push_leaves_nothing_behind() {
    for git in gits() {
        let options = Options {
            auth: Some(("u", "p")),
            ..Options::default()
        };
        let pair = Pair::with(git, &[], options);
        let (tmp, begun) = (pair.world.path().join("tmp"), pair.world.path().join("begun"));
        std::fs::create_dir(&tmp).unwrap();
        let askpass = pair.world.path().join("askpass");
        let script = format!("#!/bin/sh\n: >'{}'\nexec sleep 30\n", begun.display());
        std::fs::write(&askpass, script).unwrap();
        std::fs::set_permissions(&askpass, PermissionsExt::from_mode(0o755)).unwrap();
        let sides = ["relay", "push", &pair.source_url(), &pair.target_url(), "main"];
        let command = git.cmd_for_signals(pair.world.path()).args(sides);
        let command = command.env("TMPDIR", &tmp);
        let running = command.env("GIT_ASKPASS", &askpass).spawn();
        let deadline = Instant::now() + Duration::from_secs(20);
        while !begun.exists() {
            assert!(Instant::now() < deadline, "nobody was asked");
            std::thread::sleep(Duration::from_millis(10));
        }
        running.signal_group("INT");
        let output = running.finish();
        assert_eq!((output.code(), leftovers(&tmp)), (130, Vec::new()), "{output}");
    }
}
