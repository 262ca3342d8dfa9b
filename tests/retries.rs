//! What is tried again, how often, and what never is; the pauses are short here by `relay.retryDelay` in the
//! configuration of all tests.

#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]

mod support;

use std::net::TcpListener;

use support::http::{Answer, Request};
use support::relay::{json, relay, relay_in};
use support::{Options, Output, Pair, gits, scenes};

const PUSH: &str = "POST /target.git/git-receive-pack";

/// A host that gives `answers` before it does what it is asked for.
fn pair(answers: Vec<Answer>) -> Pair {
    let options = Options {
        answers,
        ..Options::default()
    };
    let pair = Pair::with(&gits()[0], &[], options);
    scenes::behind(&pair);
    pair
}

fn answer(to: &'static str, status: u16, times: usize) -> Answer {
    Answer {
        times,
        ..Answer::new(to, status)
    }
}

fn count(pair: &Pair, of: impl Fn(&Request) -> bool) -> usize {
    pair.server
        .requests()
        .iter()
        .filter(|request| of(request))
        .count()
}

/// Two tries in vain and one that works, at every request of a push; each is told with -v and counted.
#[test]
fn a_server_that_is_busy_for_a_moment() {
    for (to, status, side) in [
        ("GET /source.git/info/refs", 503, "source"),
        ("GET /target.git/info/refs", 429, "target"),
        ("POST /source.git/git-upload-pack", 500, "source"),
        ("POST /source.git/git-upload-pack", 502, "source"),
        ("POST /source.git/git-upload-pack", 504, "source"),
        // A push that fits into one request and was refused is safe to send again.
        (PUSH, 503, "target"),
        (PUSH, 429, "target"),
    ] {
        let by_git = pair(vec![answer(to, status, 2)]);
        let words = by_git.push(&["-v", "main", "dev"]).ok().err();
        let told = words.lines().filter(|line| {
            let start = format!("relay: {side}: the server ");
            line.starts_with(&start)
                && line.contains(&format!("HTTP {status}"))
                && line.contains("; trying again in 0.0 s (try ")
        });
        assert_eq!(told.count(), 2, "{to}: {words}");
        assert_eq!(by_git.source.id("dev"), by_git.target.id("dev"));
        by_git.target.fsck();

        let by_relay = pair(vec![answer(to, status, 2)]);
        let output = relay(&by_relay, "sync", &["--json", "--stats", "--branch", "main,dev"]).ok();
        let stats = &json(&output)["stats"];
        let other = if side == "source" { "target" } else { "source" };
        assert_eq!(stats[side]["retries"], 2, "{to}: {output}");
        assert_eq!(stats[other]["retries"], 0, "{to}: {output}");
        let _ = output.never_says("trying again");
    }
}

/// It is not tried for ever, the words say how often, and a configuration can forbid it.
#[test]
fn a_server_that_stays_away() {
    let pair = pair(vec![Answer::new("GET /source.git/info/refs", 503)]);
    let asked = || count(&pair, |request| request.path.starts_with("/source.git/info/refs"));
    pair.push(&["main"])
        .exits(128)
        .says("source")
        .says("HTTP 503 (Service Unavailable) (3 tries)");
    assert_eq!(asked(), 3);
    for (retries, tries) in [("1", 1), ("0", 1), ("4", 4)] {
        pair.server.forget();
        let config = format!("relay.retries={retries}");
        let command = pair.here.cmd().args(["-c", &config, "push", &pair.url(), "main"]);
        let output = pair.run(command).exits(128).says("HTTP 503");
        assert_eq!(asked(), tries, "{output}");
    }
    let command = pair
        .here
        .cmd()
        .args(["-c", "relay.retries=some", "push", &pair.url(), "main"]);
    pair.run(command)
        .exits(128)
        .says("bad numeric config value 'some' for 'relay.retries'");
}

/// Nobody waits for an hour, and nobody comes back before the time.
#[test]
fn a_server_that_says_when() {
    let with = |value: &str| Answer {
        headers: vec![("Retry-After".to_owned(), value.to_owned())],
        ..answer("GET /target.git/info/refs", 429, 1)
    };
    for value in ["3600", "Fri, 31 Dec 2100 12:00:00 GMT"] {
        let pair = pair(vec![with(value)]);
        let output = relay(&pair, "sync", &["--json"]).exits(128);
        let output =
            output.says("target: the server answered HTTP 429 (Too Many Requests); it asks to wait for ");
        assert_eq!(
            count(&pair, |r| r.path.starts_with("/target.git/info/refs")),
            1,
            "{output}"
        );
    }
    let pair = pair(vec![with("1")]);
    let begun = std::time::Instant::now();
    pair.push(&["-v", "main"]).ok().says("trying again in 1.0 s");
    assert!(begun.elapsed().as_millis() >= 1000);
}

/// A request that may have changed something is never sent twice.
#[test]
fn what_may_have_happened_is_not_repeated() {
    for status in [500, 502, 504] {
        let pair = pair(vec![answer(PUSH, status, 1)]);
        let output = pair.push(&["main", "dev"]);
        assert_ne!(output.code(), 0, "{output}");
        let pushes = |request: &Request| request.line() == PUSH;
        assert_eq!(count(&pair, pushes), 1, "{output}");
        let _ = output
            .says("target")
            .says(&status.to_string())
            .says("its refs are as they were");
    }
}

/// What will not change by itself is not asked again.
#[test]
fn what_is_final_is_not_repeated() {
    for status in [400, 401, 403, 404, 410, 501] {
        let pair = pair(vec![Answer::new("GET /source.git/info/refs", status)]);
        let output = pair
            .push(&["main"])
            .exits(128)
            .says("source")
            .never_says("tries)");
        assert_eq!(
            count(&pair, |r| r.path.starts_with("/source.git/info/refs")),
            1,
            "{output}"
        );
    }
}

/// Nobody listens on either side.
#[test]
fn a_host_that_is_down() {
    let pair = pair(Vec::new());
    let port = |listener: TcpListener| listener.local_addr().unwrap().port();
    let free = port(TcpListener::bind("127.0.0.1:0").unwrap());
    for scheme in ["http", "git"] {
        let nobody = format!("{scheme}://127.0.0.1:{free}/x.git");
        let there = pair.source_url();
        for (source, target, side) in [(&nobody, &there, "source"), (&there, &nobody, "target")] {
            let words = ["sync", "--json", source, target];
            let output: Output = relay_in(&pair.world.git, pair.world.path(), &words).exits(128);
            let error = &json(&output)["error"];
            assert_eq!(
                (&error["kind"], &error["side"]),
                (&"network".into(), &side.into()),
                "{output}"
            );
            let _ = output.says("onnect").says("(3 tries)");
        }
    }
}
