//! What cannot work: exit code 128, and one or two lines that say why and what to do.
//!
//! The refspec is a pattern nearly everywhere. A short name that matches nothing makes git give up by itself, before it asks
//! the helper for the target's refs, so [`a_short_name_where_there_is_no_view`] looks at that.

#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]

mod support;

use support::http::Answer;
use support::pair::Reach;
use support::repo::assert_refs;
use support::{Options, Output, Pair, gits, scenes};

const ALL: &str = "refs/heads/*";

/// Push with `url` from the empty repository of `pair`, which must fail in a few words.
#[track_caller]
fn fails(pair: &Pair, url: &str, args: &[&str]) -> Output {
    let output = pair
        .run(pair.here.cmd().arg("push").arg(url).args(args))
        .exits(128);
    let lines = output.err().lines().count();
    assert!((1..=2).contains(&lines), "{lines} lines: {output}");
    output.never_says("panicked")
}

#[test]
fn urls_that_lack_a_side() {
    for git in gits() {
        let pair = Pair::local(git);
        scenes::fresh(&pair);
        let (source, target) = (pair.source.at(), pair.target.at());
        // An unquoted `>` was taken by the shell.
        fails(&pair, &format!("relay::{source}="), &[ALL]).says("quot");
        fails(&pair, &format!("relay::{source}"), &[ALL]).says("=>");
        fails(&pair, &format!("relay::=>{target}"), &[ALL]).says("source");
        fails(&pair, &format!("relay::{source}=>"), &[ALL]).says("target");
        fails(&pair, "relay::", &[ALL]).says("=>");
        assert!(pair.target.refs().is_empty());
    }
}

#[test]
fn urls_that_are_not_utf8() {
    use std::os::unix::ffi::OsStrExt;
    for git in gits() {
        let pair = Pair::local(git);
        let url = std::ffi::OsStr::from_bytes(b"relay::/x/\xff.git=>/y.git");
        for command in ["push", "ls-remote"] {
            let output = pair
                .run(pair.here.cmd().arg(command).arg(url).arg("main"))
                .exits(128);
            output
                .says("the URL 'relay::/x/\u{fffd}.git=>/y.git' is not UTF-8")
                .says("symbolic link")
                .never_says("panicked");
        }
    }
}

/// Without a view git would find no `main` and say no more than that.
#[test]
fn a_short_name_where_there_is_no_view() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        let nothing = pair.server.url("nothing.git");
        fails(
            &pair,
            &format!("relay::{nothing}=>{}", pair.target_url()),
            &["main"],
        )
        .says("source");
        fails(
            &pair,
            &format!("relay::{}=>{nothing}", pair.source_url()),
            &["main"],
        )
        .says("target");
        fails(&pair, &format!("relay::{}=", pair.source_url()), &["main"]).says("quot");
    }
}

#[test]
fn the_same_repository_on_both_sides() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        let path = pair.source.at();
        let url = pair.source_url();
        fails(&pair, &format!("relay::{url}=>{url}"), &["--mirror"]).says("same");
        fails(&pair, &format!("relay::{path}=>{path}"), &["--mirror"]).says("same");
        fails(&pair, &format!("relay::{path}=>file://{path}/"), &["--mirror"]).says("same");
        fails(&pair, &format!("relay::{url}/=>{url}"), &["--mirror"]).says("same");
    }
}

#[test]
fn nobody_there() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        // A port that was free a moment ago.
        let free = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let dead = format!("http://{free}/x.git");
        fails(&pair, &format!("relay::{dead}=>{}", pair.target_url()), &[ALL]).says("source");
        fails(&pair, &format!("relay::{}=>{dead}", pair.source_url()), &[ALL]).says("target");
        let name = "http://no-such-host.invalid/x.git";
        fails(&pair, &format!("relay::{name}=>{}", pair.target_url()), &[ALL])
            .says("source")
            .says("no-such-host.invalid");
    }
}

#[test]
fn not_a_repository() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        let nothing = pair.world.path().join("nothing");
        let nothing = nothing.to_str().unwrap();
        let here = [nothing.to_owned(), pair.server.url("nothing.git")];
        for bad in &here {
            fails(&pair, &format!("relay::{bad}=>{}", pair.target_url()), &[ALL]).says("source");
            fails(&pair, &format!("relay::{}=>{bad}", pair.source_url()), &[ALL]).says("target");
        }
        assert!(pair.target.refs().is_empty());
    }
}

/// What HTTP servers say, on either side.
#[test]
fn answers_of_servers() {
    for git in gits() {
        for (status, words) in [(401, "auth"), (403, "403"), (404, "not found"), (500, "500")] {
            for (side, path) in [("source", "GET /source.git"), ("target", "GET /target.git")] {
                let mut options = Options::default();
                let mut answer = Answer::new(path, status);
                if status == 401 {
                    let challenge = ("WWW-Authenticate".to_owned(), "Basic realm=\"x\"".to_owned());
                    answer.headers.push(challenge);
                }
                options.answers.push(answer);
                let pair = Pair::with(git, &[], options);
                scenes::fresh(&pair);
                let output = fails(&pair, &pair.url(), &[ALL]).says(side);
                let said = output.err().to_lowercase();
                assert!(said.contains(words), "{words:?} is not in {output}");
            }
        }
    }
}

/// A login page instead of a repository.
#[test]
fn a_web_page() {
    for git in gits() {
        let mut options = Options::default();
        let mut answer = Answer::new("GET /source.git", 200);
        answer
            .headers
            .push(("Content-Type".to_owned(), "text/html".to_owned()));
        answer.body = "<!DOCTYPE html>\n<p>Please sign in\n";
        options.answers.push(answer);
        let pair = Pair::with(git, &[], options);
        scenes::fresh(&pair);
        fails(&pair, &pair.url(), &[ALL])
            .says("source")
            .never_says("Please sign in");
    }
}

/// Passwords never show in errors.
#[test]
fn passwords_stay_secret() {
    for git in gits() {
        let options = Options {
            auth: Some(("someone", "other")),
            ..Options::default()
        };
        let pair = Pair::with(git, &[], options);
        scenes::fresh(&pair);
        let with = pair
            .source_url()
            .replacen("http://", "http://someone:hunter2@", 1);
        let url = format!("relay::{with}=>{}", pair.target_url());
        let push = pair.here.cmd().args(["push", &url, ALL]);
        pair.run(push).exits(128).says("source").never_says("hunter2");
    }
}

/// An empty source is a mistake and not a wish to delete everything.
#[test]
fn an_empty_source() {
    for git in gits() {
        for reach in [Reach::Http, Reach::Path] {
            let pair = Pair::new(git).reached(reach, reach);
            scenes::behind(&pair);
            let empty = pair.world.bare("empty.git");
            let empty = match reach {
                Reach::Http => pair.server.url("empty.git"),
                Reach::Path => empty.at(),
            };
            let before = pair.target.refs();
            let url = format!("relay::{empty}=>{}", pair.target_url());
            for args in [
                &["--mirror"][..],
                &["--prune", "refs/heads/*"],
                &["--prune", "--force", "refs/*:refs/*"],
                &["refs/heads/*"],
                &[":main"],
            ] {
                let output = pair.run(pair.here.cmd().arg("push").arg(&url).args(args));
                assert_refs(&before, &pair.target.refs());
                assert_eq!(output.code(), 128, "{output}");
                output.says("source").says("empty");
            }
        }
    }
}

/// A shallow source cannot vouch for what lies behind its border.
#[test]
fn a_shallow_source() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::behind(&pair);
        let url = format!("file://{}", pair.source.at());
        let clone = git
            .cmd(pair.world.path())
            .args(["clone", "--quiet", "--bare", "--depth=1"]);
        clone.args([&url, "shallow.git"]).ok();
        let before = pair.target.refs();
        let over = |source: String| format!("relay::{source}=>{}", pair.target_url());
        let local = over(pair.world.open("shallow.git").at());
        fails(&pair, &local, &[ALL]).says("source").says("shallow");
        // Over HTTP it shows only when history is asked for, when git has begun to push.
        let remote = over(pair.server.url("shallow.git"));
        pair.run(pair.here.cmd().args(["push", &remote, ALL]))
            .exits(1)
            .says("source")
            .says("shallow");
        assert_refs(&before, &pair.target.refs());
    }
}

/// Object ids of one format mean nothing in the other.
#[test]
fn different_object_formats() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        let other = pair
            .world
            .init("sha256.git", &["--bare", "--object-format=sha256"]);
        let url = pair.server.url("sha256.git");
        fails(&pair, &format!("relay::{}=>{url}", pair.source_url()), &[ALL]).says("sha256");
        assert!(other.refs().is_empty());
        // The empty repository between has to be of the source's format too.
        let mut import = support::Import::new();
        import.line_of("refs/heads/main", None, "x", 2);
        import.into_repo(&other);
        let target = pair
            .world
            .init("target256.git", &["--bare", "--object-format=sha256"]);
        let mixed = format!("relay::{url}=>{}", target.at());
        let output = pair.run(pair.here.cmd().args(["push", &mixed, ALL])).exits(128);
        output.says("--object-format=sha256");
        assert!(target.refs().is_empty());
    }
}

/// A target that takes no pushes.
#[test]
fn a_target_for_reading_only() {
    for git in gits() {
        let options = Options {
            read_only: true,
            ..Options::default()
        };
        let pair = Pair::with(git, &[], options);
        scenes::fresh(&pair);
        fails(&pair, &pair.url(), &[ALL]).says("target").says("403");
    }
}
