//! The empty repository that pushes run in: it borrows the source's refs for a moment, and is as empty as before
//! afterwards. (All other push tests check the latter too.)

#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]

mod support;

use support::pair::Reach;
use support::repo::{assert_refs, assert_same_refs};
use support::{Import, Options, Pair, gits, scenes};

#[test]
fn ten_thousand_refs() {
    for git in gits() {
        let mut formats = vec!["files"];
        if git.has_reftable() {
            formats.push("reftable");
        }
        for format in formats {
            let mut pair = Pair::with(git, &[], Options::default()).reached(Reach::Http, Reach::Path);
            if format == "reftable" {
                // Only where the view goes: git itself takes a minute to write as many refs there one by one.
                let option = format!("--ref-format={format}");
                pair.push_from(pair.world.init("tables.git", &["--bare", &option]));
            }
            let mut import = Import::new();
            let main = import.line_of("refs/heads/main", None, "main", 10_001);
            for (n, mark) in main.iter().enumerate() {
                import.reference(format!("refs/heads/b/{}/{n}", n % 100), mark);
            }
            import.into_repo(&pair.source);
            pair.source.git(&["pack-refs", "--all"]).ok();
            pair.push(&["--quiet", "refs/heads/*"]).ok();
            assert_same_refs(&pair.source, &pair.target);
            pair.push(&["refs/heads/*"]).ok().says("Everything up-to-date");
        }
    }
}

/// Reading through a relay URL leaves nothing in the empty repository, and the target alone.
#[test]
fn commands_that_do_not_push() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::behind(&pair);
        let before = pair.target.refs();
        let listed = pair.run(pair.here.cmd().args(["ls-remote", &pair.url()])).ok();
        assert!(listed.out().contains(&pair.source.id("dev")));
        let clone = git.cmd(pair.world.path()).args(["clone", "--mirror"]);
        pair.run(clone.arg(pair.url()).arg("clone.git")).ok();
        assert_same_refs(&pair.source, &pair.world.open("clone.git"));
        assert_refs(&before, &pair.target.refs());
        let asked = pair.server.lines();
        assert!(
            asked.iter().all(|line| line.contains("/source.git/")),
            "{asked:?}"
        );
    }
}

/// Objects, configuration and hooks that are in the repository already stay.
#[test]
fn what_was_there_stays() {
    for git in gits() {
        let mut pair = Pair::new(git);
        scenes::behind(&pair);
        let here = pair.world.bare("own.git");
        // An object of its own, one that a tip of the source has too, and a pack.
        here.cmd()
            .args(["hash-object", "-w", "--stdin"])
            .input("mine")
            .ok();
        let tip = pair.source.git(&["cat-file", "commit", "main"]).ok().stdout;
        let write = here
            .cmd()
            .args(["hash-object", "-w", "-t", "commit", "--stdin", "--literally"]);
        assert_eq!(write.input(tip).ok().out().trim(), pair.source.id("main"));
        let list = pair.source.read(&["rev-list", "--objects", "side"]);
        let pack = pair.source.cmd().args(["pack-objects", "--stdout"]);
        let ids: String = list.lines().map(|line| format!("{}\n", &line[..40])).collect();
        let pack = pack.input(ids).ok().stdout;
        here.cmd().args(["index-pack", "--stdin"]).input(pack).ok();
        here.config("some.key", "value");
        pair.push_from(here);
        pair.compare(&["refs/heads/*"]).ok();
        pair.push(&["refs/heads/*"]).ok().says("Everything up-to-date");
        assert_eq!(pair.here.read(&["config", "some.key"]), "value");
    }
}

/// A repository with a work tree and an unborn branch is empty as well.
#[test]
fn with_a_work_tree() {
    for git in gits() {
        let mut pair = Pair::new(git);
        scenes::behind(&pair);
        let here = pair.world.init("work", &["--initial-branch=trunk"]);
        std::fs::write(here.path.join("untracked"), "x").unwrap();
        pair.push_from(here);
        pair.compare(&["refs/heads/*"]).ok();
        assert_eq!(pair.here.read(&["status", "--porcelain"]), "?? untracked");
        assert_eq!(pair.here.read(&["symbolic-ref", "HEAD"]), "refs/heads/trunk");
    }
}

/// Two pushes at once in one repository: both work, or one says why not.
#[test]
fn two_at_once() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        let other = pair.world.bare("other.git");
        let second = format!("relay::{}=>{}", pair.source_url(), other.at());
        let one = pair.command(&["refs/heads/*"]).spawn();
        let two = pair.here.cmd().args(["push", &second, "refs/heads/*"]).spawn();
        // Both have to be over before either may end the test.
        let ends = [one.finish(), two.finish()];
        for end in ends {
            end.ok();
        }
        pair.assert_clean();
        assert_eq!(other.id("dev"), pair.source.id("dev"));
        assert_eq!(pair.target.id("dev"), pair.source.id("dev"));
    }
}

/// The source's default branch is what `HEAD` means, whatever the empty repository's own is.
#[test]
fn head_is_the_sources() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::behind(&pair);
        pair.source.git(&["symbolic-ref", "HEAD", "refs/heads/dev"]).ok();
        pair.compare(&["HEAD"]).ok();
        assert_eq!(pair.target.id("dev"), pair.source.id("dev"));
    }
}

/// A source whose HEAD names a branch that does not exist.
#[test]
fn a_source_with_an_unborn_head() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::behind(&pair);
        pair.source
            .git(&["symbolic-ref", "HEAD", "refs/heads/nosuch"])
            .ok();
        pair.compare(&["refs/heads/*"]).ok();
    }
}

/// A pre-push hook sees the true values.
#[test]
fn a_pre_push_hook_sees_true_values() {
    for git in gits() {
        let mut pair = Pair::new(git);
        scenes::diverged(&pair);
        pair.here.hook("pre-push", "#!/bin/sh\ncat >../seen\n");
        pair.push_from(pair.here.clone());
        pair.push(&["+main", "dev", ":old"]).ok();
        let seen = std::fs::read_to_string(pair.world.path().join("seen")).unwrap();
        assert_eq!(seen.lines().count(), 3, "{seen}");
        let line = format!("refs/heads/main {} refs/heads/main ", pair.source.id("main"));
        let line = seen.lines().find(|l| l.starts_with(&line)).unwrap();
        assert!(!line.ends_with(&"0".repeat(40)), "{line}");
    }
}

/// A pre-push hook that says no.
#[test]
fn a_pre_push_hook_that_refuses() {
    for git in gits() {
        let mut pair = Pair::new(git);
        scenes::behind(&pair);
        pair.here.hook("pre-push", "#!/bin/sh\nexit 1\n");
        pair.push_from(pair.here.clone());
        let before = pair.target.refs();
        pair.push(&["refs/heads/*"]).exits(1);
        assert_refs(&before, &pair.target.refs());
    }
}

/// The next push from the same repository may have another source.
#[test]
fn one_repository_for_many_pairs() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        let (a, b) = (pair.world.bare("a.git"), pair.world.bare("b.git"));
        let push = |from: &support::Repo, to: &support::Repo| {
            let url = format!("relay::{}=>{}", from.at(), to.at());
            pair.run(pair.here.cmd().args(["push", &url, "refs/heads/*"]))
                .ok();
        };
        push(&pair.source, &a);
        push(&a, &b);
        push(&b, &pair.target);
        assert_same_refs(&b, &pair.target);
    }
}
