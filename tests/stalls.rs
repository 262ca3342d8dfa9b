//! Sides that are slow or silent: who is waited for, how long, and what it costs in the meantime.

#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]

mod support;

use support::history::noise;
use support::relay::json;
use support::{Daemon, Fault, Import, Output, Pair, Proxy, gits};

const MIB: usize = 1 << 20;

/// A source whose pack has some `size` bytes.
fn pair(size: usize) -> Pair {
    let pair = Pair::new(&gits()[0]);
    pair.source.config("core.compression", "0");
    let mut import = Import::new();
    import.commit("refs/heads/main", &[], &[("a", &noise(1, size))]);
    import.into_repo(&pair.source);
    pair
}

/// `git relay sync` through `proxy` that gives a silent side so many seconds.
fn sync(pair: &Pair, proxy: &Proxy, seconds: u32) -> Output {
    let time = format!("http.lowSpeedTime={seconds}");
    let limit = ["-c", "http.lowSpeedLimit=1000", "-c", &time];
    let (source, target) = (proxy.url("source.git"), proxy.url("target.git"));
    let relay = ["relay", "sync", "--json", "--measure-memory", &source, &target];
    let output = pair
        .world
        .git
        .cmd(pair.world.path())
        .args(limit)
        .args(relay)
        .run();
    eprintln!("{output}");
    output
}

fn error(output: &Output) -> (String, String) {
    let report = json(output);
    let word = |key: &str| report["error"][key].as_str().unwrap_or_default().to_owned();
    (word("kind"), word("side"))
}

/// While the source counts its objects the target is left in peace: servers cut uploads that are idle.
#[test]
fn a_source_that_takes_its_time_does_not_keep_the_target_waiting() {
    let pair = pair(2 * MIB);
    let proxy = Proxy::start(pair.server.address());
    proxy.arm("/git-upload-pack HTTP", 0, Fault::Stall(0));
    let output = sync(&pair, &proxy, 2)
        .exits(128)
        .says("source: less than 1000 bytes a second for 2 seconds");
    assert_eq!(error(&output), ("timeout".into(), "source".into()));
    let lines = pair.server.lines();
    assert!(
        !lines.contains(&"POST /target.git/git-receive-pack".to_owned()),
        "{lines:?}"
    );
}

/// A target that reads no further holds the source back; nothing piles up here.
#[test]
fn a_target_that_stops_reading_costs_no_memory() {
    let pair = pair(48 * MIB);
    let proxy = Proxy::start(pair.server.address());
    proxy.arm("/git-receive-pack HTTP", 0, Fault::StallRequest(100_000));
    let output = sync(&pair, &proxy, 3).exits(128).says("target: ");
    assert_eq!(error(&output), ("timeout".into(), "target".into()));
    let peak = json(&output)["measurement"]["peak_rss_bytes"].as_u64().unwrap();
    assert!(
        peak < 32 * MIB as u64,
        "{peak} bytes for a pack that went nowhere"
    );
    assert!(pair.target.refs().is_empty());
}

/// A target that has everything and says nothing is asked for its refs.
#[test]
fn a_target_that_never_answers_is_found_out() {
    let pair = pair(2 * MIB);
    pair.target.hook("post-receive", "#!/bin/sh\nsleep 8\n");
    let proxy = Proxy::start(pair.server.address());
    let output = sync(&pair, &proxy, 3).ok();
    let _ =
        output.says("warning: the target's answer was lost (less than 1000 bytes a second for 3 seconds)");
    assert_eq!(pair.source.id("main"), pair.target.id("main"));
}

/// A connection that is closed by a pipe's other end: the same second look, over `git://`.
#[test]
fn a_daemon_that_dies_before_its_report() {
    let pair = pair(2 * MIB);
    // The hook runs when the refs are written; its grandparent is the daemon's receive-pack.
    pair.target.hook("post-update", "#!/bin/sh\nkill -9 $PPID\n");
    let daemon = Daemon::start(&pair.world.git, pair.world.path());
    let (source, target) = (pair.source.at(), daemon.url("target.git"));
    let relay = ["relay", "sync", "--json", &source, &target];
    let output = pair.world.git.cmd(pair.world.path()).args(relay).run();
    let output = output.ok().says("warning: the target's answer was lost");
    assert_eq!(pair.source.id("main"), pair.target.id("main"), "{output}");
}
