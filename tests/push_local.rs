//! Pushes between repositories on this machine, the ways that git lets one name them, and configured remotes.

#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]

mod support;

use support::repo::assert_same_refs;
use support::{Options, Pair, gits, scenes};

#[test]
fn bootstrap_then_difference_then_nothing() {
    for git in gits() {
        let pair = Pair::local(git);
        scenes::fresh(&pair);
        pair.compare(&["refs/heads/*"]).ok();
        scenes::grow(&pair.source, "dev", 3);
        pair.compare(&["refs/heads/*"]).ok();
        pair.push(&["refs/heads/*"]).ok().says("Everything up-to-date");
    }
}

/// Paths, `file://` URLs and relative paths name the same repositories.
#[test]
fn file_urls_and_relative_paths() {
    for git in gits() {
        for relative in [false, true] {
            let pair = Pair::local(git);
            scenes::behind(&pair);
            let url = match relative {
                true => "relay::../source.git=>../target.git".to_owned(),
                false => format!("relay::file://{}=>file://{}", pair.source.at(), pair.target.at()),
            };
            pair.run(pair.here.cmd().args(["push", &url, "refs/heads/*"]))
                .ok();
            assert_eq!(pair.target.id("dev"), pair.source.id("dev"));
        }
    }
}

/// Paths with spaces and other things that a shell would trip over.
#[test]
fn awkward_paths() {
    for git in gits() {
        let pair = Pair::local(git);
        scenes::fresh(&pair);
        let source = pair.world.copy(&pair.source, "it's a $(touch oops) `source`");
        let target = pair.world.bare("tar get;x");
        let url = format!("relay::{}=>{}", source.at(), target.at());
        pair.run(pair.here.cmd().args(["push", &url, "refs/heads/*"]))
            .ok();
        assert_eq!(target.id("dev"), source.id("dev"));
        assert!(!pair.here.path.join("oops").exists());
    }
}

/// A source with a work tree, named by its top directory as git allows.
#[test]
fn a_source_with_a_work_tree() {
    for git in gits() {
        let pair = Pair::local(git);
        scenes::fresh(&pair);
        let command = git.cmd(pair.world.path()).args(["clone", "--quiet"]);
        command.arg(pair.source.at()).arg("work").ok();
        let work = pair.world.open("work");
        let url = format!("relay::{}=>{}", work.at(), pair.target.at());
        pair.run(pair.here.cmd().args(["push", &url, "refs/heads/*"]))
            .ok();
        assert_eq!(pair.target.id("main"), pair.source.id("main"));
    }
}

/// The everyday way: a remote that mirrors.
#[test]
fn a_mirror_remote() {
    for git in gits() {
        let mut pair = Pair::local(git);
        scenes::behind(&pair);
        pair.here
            .git(&["remote", "add", "--mirror=push", "there", &pair.url()])
            .ok();
        pair.push_from(pair.here.clone());
        let push = || pair.run(pair.here.cmd().args(["push", "there"]));
        push().ok();
        assert_same_refs(&pair.source, &pair.target);
        push().ok().says("Everything up-to-date");
        pair.source.git(&["branch", "-D", "feature/one"]).ok();
        scenes::grow(&pair.source, "main", 1);
        push().ok();
        assert_same_refs(&pair.source, &pair.target);
        pair.target.fsck();
    }
}

/// A remote with a fetch refspec gets tracking refs from a push; they must not stay behind in an empty repository.
#[test]
fn a_remote_with_tracking_refs() {
    for git in gits() {
        let mut pair = Pair::local(git);
        scenes::behind(&pair);
        pair.here.git(&["remote", "add", "there", &pair.url()]).ok();
        pair.push_from(pair.here.clone());
        for _ in 0..2 {
            let push = pair.here.cmd().args(["push", "there", "refs/heads/*"]);
            pair.run(push).ok();
            assert_eq!(pair.target.id("dev"), pair.source.id("dev"));
        }
    }
}

/// Each side may be the name of a configured remote: the source's fetch URL, the target's push URL.
#[test]
fn sides_by_remote_name() {
    for git in gits() {
        let mut pair = Pair::local(git);
        scenes::behind(&pair);
        pair.here.git(&["remote", "add", "from", &pair.source.at()]).ok();
        pair.here.git(&["remote", "add", "to", "/nowhere"]).ok();
        pair.here
            .git(&["remote", "set-url", "--push", "to", &pair.target.at()])
            .ok();
        pair.push_from(pair.here.clone());
        let push = pair.here.cmd().args(["push", "relay::from=>to", "refs/heads/*"]);
        pair.run(push).ok();
        assert_eq!(pair.target.id("dev"), pair.source.id("dev"));
    }
}

/// A remote with a relay URL is read from its source and pushed to its target, so that is what its name stands for.
#[test]
fn names_of_relay_remotes() {
    for git in gits() {
        let mut pair = Pair::local(git);
        scenes::behind(&pair);
        pair.here.config(
            "remote.from.url",
            &format!("relay::{}=>/nowhere", pair.source.at()),
        );
        pair.here
            .config("remote.to.url", &format!("sync::/nowhere=>{}", pair.target.at()));
        pair.here.config("remote.loop.url", "relay::loop=>loop");
        pair.push_from(pair.here.clone());
        let run = |args: &[&str]| pair.run(pair.here.cmd().args(args));
        let read = run(&["ls-remote", "relay::from=>to", "refs/heads/dev"]).ok();
        assert_eq!(read.out(), format!("{}\trefs/heads/dev\n", pair.source.id("dev")));
        run(&["push", "relay::from=>to", "refs/heads/*"]).ok();
        assert_eq!(pair.target.id("dev"), pair.source.id("dev"));
        for side in ["relay::loop=>to", "relay::from=>loop"] {
            run(&["push", side, "main"]).exits(128).says("a relay of a relay");
        }
        run(&["ls-remote", "relay::loop=>to"])
            .exits(128)
            .says("a relay of a relay");
        // What is behind it must be allowed by itself.
        let never = [
            "-c",
            "protocol.file.allow=never",
            "push",
            "relay::from=>to",
            "main",
        ];
        run(&never).exits(128).says("'file' not allowed");
    }
}

/// `url.*.insteadOf` and `pushInsteadOf` apply to each side.
#[test]
fn rewritten_urls() {
    for git in gits() {
        let mut pair = Pair::local(git);
        scenes::behind(&pair);
        let base = pair.world.path().to_str().unwrap().to_owned();
        pair.here.config(&format!("url.{base}/source.insteadOf"), "src:");
        pair.here
            .config(&format!("url.{base}/target.pushInsteadOf"), "dst:");
        pair.push_from(pair.here.clone());
        let push = pair
            .here
            .cmd()
            .args(["push", "relay::src:.git=>dst:.git", "refs/heads/*"]);
        pair.run(push).ok();
        assert_eq!(pair.target.id("dev"), pair.source.id("dev"));
    }
}

/// Reftables in the repository between, and in all three.
#[test]
fn reftables() {
    for git in gits().iter().filter(|git| git.has_reftable()) {
        let all = Pair::with(git, &["--ref-format=reftable"], Options::default());
        let mut between = Pair::new(git);
        let here = between.world.init("rt.git", &["--bare", "--ref-format=reftable"]);
        between.push_from(here);
        for pair in [all, between] {
            scenes::behind(&pair);
            pair.compare(&["main", "dev:refs/heads/stable", "refs/tags/*"])
                .ok();
            pair.compare(&["--prune", "refs/heads/*"]).ok();
            pair.push(&["refs/heads/*"]).ok().says("Everything up-to-date");
        }
    }
}

/// The policy for protocols holds for each side: a relay URL is no way around it.
#[test]
fn protocol_policy() {
    for git in gits() {
        let pair = Pair::local(git);
        scenes::behind(&pair);
        let refused = |url: &str| {
            let push = pair.here.cmd().args(["push", url, "refs/heads/*"]);
            pair.run(push).exits(128).says("not allowed");
        };
        refused(&format!("relay::ext::sh -c 'touch oops'=>{}", pair.target.at()));
        refused(&format!("relay::{}=>ext::sh -c 'touch oops'", pair.source.at()));
        assert!(!pair.here.path.join("oops").exists());
        let push = pair
            .command(&["refs/heads/*"])
            .env("GIT_ALLOW_PROTOCOL", "relay:http");
        pair.run(push).exits(128).says("not allowed");
        assert_ne!(pair.target.id("main"), pair.source.id("main"));
    }
}
