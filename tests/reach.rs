//! How hosts are got to: `-4` and `-6`, and hosts that accept a connection and then say nothing.

#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]
#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]

mod support;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use support::process::Output;
use support::repo::{assert_refs, assert_same_refs};
use support::{Daemon, Git, Import, Pair, gits, relay_in, scenes};

/// Longer than `relay.timeout=1` and what follows it, and much shorter than five minutes.
const SOON: Duration = Duration::from_secs(30);

/// Takes connections and says nothing.
struct Silent(TcpListener);

impl Silent {
    fn start() -> Silent {
        Silent(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }
}

/// An ssh whose host runs what `service` says instead of the wanted command, which is `$last`.
fn host(pair: &Pair, name: &str, service: &str) -> PathBuf {
    let path = pair.world.path().join(name);
    let script = format!("#!/bin/sh\necho \"$*\" >>\"$0.log\"\nfor last; do :; done\n{service}\n");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

/// `git push <from>=><to> refs/heads/*` by the ssh of [`host`], waiting for `seconds`.
fn push_by(
    pair: &Pair,
    ssh: &std::path::Path,
    sides: (&str, &str),
    seconds: u32,
    vars: &[(&str, &str)],
) -> Output {
    let mut push = pair.here.cmd().env("GIT_SSH", ssh).env("GIT_SSH_VARIANT", "ssh");
    for (name, value) in vars {
        push = push.env(name, value);
    }
    let timeout = format!("relay.timeout={seconds}");
    let url = format!("relay::{}=>{}", sides.0, sides.1);
    pair.run(push.args(["-c", &timeout, "push", &url, "refs/heads/*"]))
}

#[test]
fn hosts_that_never_speak_are_given_up() {
    for git in gits() {
        let pair = Pair::local(git);
        scenes::fresh(&pair);
        let silent = Silent::start();
        let ssh = host(&pair, "silent-ssh", "exec sleep 60");
        let (source, target) = (pair.source.at(), pair.target.at());
        let daemon = format!("git://127.0.0.1:{}/x", silent.port());
        let web = format!("http://127.0.0.1:{}/x", silent.port());
        for dead in [daemon.as_str(), "host:x", &web] {
            for (side, from, to) in [("source", dead, target.as_str()), ("target", &source, dead)] {
                let started = Instant::now();
                push_by(&pair, &ssh, (from, to), 1, &[])
                    .exits(128)
                    .says(&format!("fatal: {side} {dead}: "));
                assert!(started.elapsed() < SOON, "{dead}: {:?}", started.elapsed());
            }
        }
        assert!(pair.target.refs().is_empty());
    }
}

/// In the middle of the pack, and when the target's verdict is waited for.
#[test]
fn hosts_that_fall_silent_are_given_up() {
    let pair = Pair::local(&gits()[0]);
    large_history(&pair);
    let (source, target) = (pair.source.at(), pair.target.at());
    let ssh = host(
        &pair,
        "dying-ssh",
        "case $last in\ngit-upload-pack*) sh -c \"$last\" | { stdbuf -o0 head -c 1500000; exec sleep 60; };;\n\
         *) sh -c \"$last\" </dev/null 2>/dev/null; exec sleep 60;;\nesac",
    );
    let started = Instant::now();
    push_by(&pair, &ssh, (&format!("h:{source}"), &target), 1, &[])
        .exits(1)
        .says("fatal: source h:")
        .says("no sign of life");
    assert!(pair.target.refs().is_empty() && pair.target.objects().is_empty());
    // This one takes nothing of the pack either.
    push_by(&pair, &ssh, (&source, &format!("h:{target}")), 1, &[])
        .exits(1)
        .says("fatal: target h:")
        .says("no sign of life");
    assert!(started.elapsed() < 2 * SOON, "{:?}", started.elapsed());
}

/// Some 3 MB that do not compress.
fn large_history(pair: &Pair) {
    let mut seed = 88_172_645_463_325_252_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed.to_be_bytes()
    })
    .take(400_000)
    .flatten()
    .collect();
    let mut import = Import::new();
    import.commit("refs/heads/main", &[], &[("noise", &noise)]);
    import.into_repo(&pair.source);
}

/// Services that are busy send keep-alive packets: counting objects and hooks may take longer than the limit.
#[test]
fn hosts_that_work_slowly_are_not_given_up() {
    for git in gits() {
        let pair = Pair::local(git);
        scenes::fresh(&pair);
        let slow = host(&pair, "slow", "sleep 4; exec \"$@\"");
        pair.target.hook("pre-receive", "#!/bin/sh\nsleep 4\n");
        let ssh = host(
            &pair,
            "slow-ssh",
            &format!(
                "exec sh -c \"git -c uploadpack.packObjectsHook={} -c uploadpack.keepAlive=1 \
                 -c receive.keepAlive=1 ${{last#git-}}\"",
                slow.display()
            ),
        );
        let (source, target) = (pair.source.at(), pair.target.at());
        let sides = (format!("h:{source}"), format!("h:{target}"));
        push_by(&pair, &ssh, (&sides.0, &sides.1), 3, &[]).ok();
        let log = std::fs::read_to_string(slow.with_extension("log")).unwrap();
        assert!(log.contains("pack-objects"), "{log}");
        let heads = |name: &Vec<u8>| name.starts_with(b"refs/heads/");
        let mut wanted = pair.source.refs();
        wanted.retain(|name, _| heads(name));
        assert_refs(&wanted, &pair.target.refs());
    }
}

/// A person who is asked for a password may take their time. (`SSH_ASKPASS` stands for the terminal, which tests lack.)
#[test]
fn people_are_not_hurried() {
    let pair = Pair::local(&gits()[0]);
    scenes::fresh(&pair);
    let ssh = host(&pair, "asking-ssh", "sleep 4; exec sh -c \"$last\"");
    let (source, target) = (pair.source.at(), pair.target.at());
    let asking = [("SSH_ASKPASS", "/bin/false"), ("DISPLAY", ":9")];
    let from = format!("h:{source}");
    push_by(&pair, &ssh, (&from, &target), 1, &asking).ok();
    let nobody = [("SSH_ASKPASS", ""), ("DISPLAY", "")];
    push_by(&pair, &ssh, (&from, &target), 1, &nobody)
        .exits(128)
        .says("no sign of life");
}

/// `localhost` has an address of each family on most machines, and the hosts here only listen on the older one.
#[test]
fn families_reach_every_transport() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        let daemon = Daemon::start(git, pair.world.path());
        let by_name = |url: String| url.replace("127.0.0.1", "localhost");
        let web = by_name(pair.source_url());
        let (from, to) = (
            by_name(daemon.url("source.git")),
            by_name(daemon.url("target.git")),
        );
        let git_push = |url: &str, args: &[&str]| pair.run(pair.here.cmd().arg("push").arg(url).args(args));
        let local = pair.target.at();
        for (number, url) in [format!("relay::{web}=>{local}"), format!("relay::{from}=>{to}")]
            .iter()
            .enumerate()
        {
            git_push(url, &["-6", "main"]).exits(128).never_says("too late");
            let side = if number == 0 { "main" } else { "dev" };
            git_push(url, &["-4", side]).ok().never_says("too late");
            assert_eq!(pair.target.id(side), pair.source.id(side));
        }
        // From a repository with refs git's own word comes in time.
        let clone = pair.world.mirror(&pair.source, "clone.git");
        let from_clone = |family: &str| {
            let url = format!("relay::{web}=>{local}");
            clone.git(&["push", family, &url, "side"])
        };
        from_clone("-6").exits(128);
        from_clone("-4").ok();
        // Reading: git's own helper for http, and our connection to the daemon.
        for url in [&web, &from] {
            let url = format!("relay::{url}=>{local}");
            let fetch = |family: &str| clone.git(&["fetch", family, &url, "main"]);
            assert_ne!(fetch("--ipv6").code(), 0);
            fetch("--ipv4").ok();
        }
        families_of_scripts(git, &pair, &web);
        ssh_gets_the_option(&pair);
    }
}

fn families_of_scripts(git: &Git, pair: &Pair, source: &str) {
    let dir = pair.world.path();
    let new = pair.world.open("new.git");
    for command in ["sync", "plan", "bootstrap", "fetch", "probe"] {
        relay_in(git, dir, &[command, source, "new.git", "-6"]).exits(128);
        assert!(!new.path.exists(), "{command}");
    }
    relay_in(git, dir, &["push", source, "new.git", "-6", "main"]).exits(128);
    relay_in(git, dir, &["sync", source, "new.git", "-6", "-4", "--tags"]).ok();
    assert_same_refs(&pair.source, &new);
}

fn ssh_gets_the_option(pair: &Pair) {
    let ssh = host(pair, "ssh", "exec sh -c \"$last\"");
    let url = format!("relay::h:{}=>h:{}", pair.source.at(), pair.target.at());
    let push = pair.here.cmd().env("GIT_SSH", &ssh);
    pair.run(push.args(["push", "-6", &url, "feature/one"])).ok();
    let fetch = pair.here.cmd().env("GIT_SSH", &ssh);
    fetch
        .args(["fetch", "-6", "--no-write-fetch-head", &url, "main"])
        .ok();
    let log = std::fs::read_to_string(ssh.with_extension("log")).unwrap();
    assert!(log.lines().count() >= 3, "{log}");
    assert!(log.lines().all(|line| line.contains("-6 h ")), "{log}");
    assert!(log.contains("receive-pack"), "{log}");
}

/// `git fetch` waits as it does without us.
#[test]
fn git_itself_waits_as_long_as_it_likes() {
    let pair = Pair::local(&gits()[0]);
    let silent = Silent::start();
    let url = format!("relay::git://127.0.0.1:{}/x=>{}", silent.port(), pair.target.at());
    let fetch = pair
        .here
        .cmd()
        .args(["-c", "relay.timeout=1", "ls-remote", &url])
        .spawn();
    let (connection, _) = silent.0.accept().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    let ended_by_us = std::time::Instant::now();
    drop(connection);
    let output = fetch.finish().exits(128);
    output.never_says("no sign of life");
    assert!(ended_by_us.elapsed() < SOON);
}
