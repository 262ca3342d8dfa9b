//! Commands that read through a relay URL, over http and from a local repository, in every protocol version: they do
//! what they do with the source's own URL, and the target is never asked.

#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]
#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]

mod support;

use support::pair::Reach;
use support::{Options, Pair, Readings, gits, scenes};

/// Both gits, both ways to the source, all versions; the target cannot be reached and must not be missed.
fn everywhere(test: impl Fn(&Pair, &Readings)) {
    for git in gits() {
        for reach in [Reach::Http, Reach::Path] {
            for version in 0..3 {
                eprintln!("--- {git}, {reach:?}, version {version}");
                let config = ["allowFilter", "allowAnySHA1InWant"];
                let config = config.map(|name| match name {
                    "allowFilter" => ("uploadpack.allowFilter", "true".to_owned()),
                    _ => ("uploadpack.allowAnySHA1InWant", "true".to_owned()),
                });
                let options = Options {
                    config: config.to_vec(),
                    ..Options::default()
                };
                let pair = Pair::with(git, &[], options).reached(reach, Reach::Path);
                pair.source.config("uploadpack.allowFilter", "true");
                pair.source.config("uploadpack.allowAnySHA1InWant", "true");
                scenes::fresh(&pair);
                std::fs::remove_dir_all(&pair.target.path).unwrap();
                let version = format!("protocol.version={version}");
                test(&pair, &Readings::new(&pair, &[&version]));
            }
        }
    }
}

#[test]
fn ls_remote() {
    everywhere(|pair, read| {
        read.same(&["ls-remote", "URL"]).ok();
        read.same(&["ls-remote", "--symref", "URL", "HEAD", "v*"]).ok();
        read.same(&["ls-remote", "--exit-code", "URL", "nosuch"]).exits(2);
        let here = pair.here.cmd().args(["ls-remote", &pair.url()]);
        pair.run(here).ok();
    });
}

#[test]
fn clone() {
    everywhere(|_, read| {
        read.same(&["clone", "URL", "plain"]).ok();
        read.same_repositories("plain");
        read.same(&["clone", "--mirror", "URL", "mirror"]).ok();
        read.same_repositories("mirror");
        read.same(&["clone", "--bare", "--single-branch", "-b", "dev", "URL", "dev"])
            .ok();
        read.same_repositories("dev");
        read.same(&["clone", "-q", "-b", "nosuch", "URL", "none"])
            .exits(128);
    });
}

/// What `clone` notes as its origin serves everything that comes later.
#[test]
fn life_of_a_clone() {
    everywhere(|pair, read| {
        read.same(&["clone", "-q", "URL", "work"]).ok();
        scenes::grow(&pair.source, "main", 2);
        scenes::grow(&pair.source, "side", 1);
        pair.source.git(&["branch", "-D", "feature/one"]).ok();
        read.same_in("work", &["fetch", "--dry-run"]).ok();
        read.same_in("work", &["fetch", "--prune", "origin"]).ok();
        scenes::grow(&pair.source, "main", 1);
        read.same_in("work", &["pull", "--ff-only"]).ok();
        read.same_repositories("work");
        scenes::grow(&pair.source, "dev", 1);
        read.same_in("work", &["remote", "update"]).ok();
        read.same_in("work", &["remote", "show", "origin"]).ok();
        read.same_in("work", &["remote", "set-head", "origin", "--auto"])
            .ok();
        read.same_in("work", &["fetch", "origin", "nosuch"]).exits(128);
        read.same_in("work", &["fetch", "URL", "refs/heads/*:refs/other/*"])
            .ok();
        read.same_repositories("work");
    });
}

#[test]
fn shallow() {
    everywhere(|_, read| {
        read.same(&["clone", "-q", "--depth=1", "--no-single-branch", "URL", "work"])
            .ok();
        read.same_repositories("work");
        read.same_in("work", &["fetch", "--depth=3"]).ok();
        read.same_repositories("work");
        read.same_in("work", &["fetch", "--deepen=1"]).ok();
        read.same_repositories("work");
        read.same_in("work", &["fetch", "--unshallow"]).ok();
        read.same_repositories("work");
        read.same(&["clone", "-q", "--shallow-exclude=v1", "URL", "exclude"])
            .ok();
        read.same_repositories("exclude");
        read.same(&["clone", "-q", "--shallow-since=1000000000", "URL", "since"])
            .ok();
        read.same_repositories("since");
        read.same(&["clone", "-q", "--shallow-since=2100000000", "URL", "future"])
            .exits(128);
        read.same(&["clone", "-q", "--depth=0", "URL", "zero"]).exits(128);
    });
}

/// Objects that are missing come when they are needed, one request for each command.
#[test]
fn partial() {
    everywhere(|pair, read| {
        let clone = [
            "clone",
            "-q",
            "--filter=blob:none",
            "--no-checkout",
            "URL",
            "work",
        ];
        read.same(&clone).ok();
        read.same_repositories("work");
        read.same_in("work", &["cat-file", "-p", "HEAD:side.txt"]).ok();
        read.same_in("work", &["checkout", "-q", "main"]).ok();
        let before = read.same_repositories("work").objects().len();
        scenes::grow(&pair.source, "main", 1);
        read.same_in("work", &["pull", "-q"]).ok();
        let after = read.same_repositories("work").objects().len();
        assert!(after > before);
        read.same_in("work", &["fetch", "-q", "--refetch", "--filter=tree:0"])
            .ok();
    });
}

/// In an empty repository a push would build a view; reading leaves nothing of one.
#[test]
fn into_an_empty_repository() {
    everywhere(|_, read| {
        read.same(&["init", "-q", "--bare", "new"]).ok();
        read.same_in("new", &["fetch", "URL"]).ok();
        read.same_repositories("new");
        read.same_in("new", &["remote", "add", "--mirror=fetch", "origin", "URL"])
            .ok();
        read.same_in("new", &["remote", "update", "--prune"]).ok();
        let new = read.same_repositories("new");
        assert!(!new.path.join("relay-view").exists() && !new.path.join("relay-view.lock").exists());
    });
}

#[test]
fn archive() {
    everywhere(|_, read| {
        read.same(&["archive", "--remote=URL", "--format=tar", "main"]);
    });
}

/// An empty source is no failure for a command that reads.
#[test]
fn an_empty_source() {
    everywhere(|pair, read| {
        let refs = pair.source.refs();
        for name in refs.keys() {
            let name = String::from_utf8_lossy(name);
            pair.source.git(&["update-ref", "-d", &name]).ok();
        }
        read.same(&["ls-remote", "URL"]).ok();
        read.same(&["clone", "URL", "empty"]).ok();
        read.same_in("empty", &["fetch"]);
        read.same_repositories("empty");
    });
}

/// What goes wrong is told in git's words.
#[test]
fn failures() {
    everywhere(|pair, read| {
        std::fs::remove_dir_all(&pair.source.path).unwrap();
        read.same(&["ls-remote", "URL"]).exits(128);
        read.same(&["clone", "-q", "URL", "nothing"]).exits(128);
        read.same(&["init", "-q", "new"]).ok();
        read.same_in("new", &["fetch", "URL"]).exits(128);
        let fetch = pair
            .here
            .cmd()
            .args(["fetch", "--no-write-fetch-head", &pair.url()]);
        pair.run(fetch).exits(128);
    });
}
