//! How a push through a temporary repository ends when it is not let be: signals, kill -9, a full disk, many refs.

#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]
#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]

mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use support::history::{Import, noise};
use support::process::Running;
use support::relay::json;
use support::repo::{assert_refs, assert_same_refs};
use support::{Fault, Options, Pair, Proxy, Repo, gits, scenes};

const ASKED: &str = "--strategy=materialized";

/// The source of [`scenes::behind`], with a blob that is more than is held in memory.
fn sizeable(pair: &Pair) {
    scenes::behind(pair);
    let mut import = Import::since(1_700_000_000);
    let content = noise(1, 3 << 20);
    import.commit("refs/heads/main", &["refs/heads/main^0"], &[("noise", &content)]);
    import.into_repo(&pair.source);
}

fn tmp(pair: &Pair) -> PathBuf {
    let path = pair.world.path().join("tmp");
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn left(tmp: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(tmp).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.collect()
}

/// `git <words>` that hangs when so many bytes of the source's pack have come.
fn stalled(pair: &Pair, proxy: &Proxy, dir: &Path, words: &[&str]) -> Running {
    // A push asks first what the source has of the history, which is answered with the beginning of a pack, too.
    let nth = usize::from(words.contains(&"push"));
    proxy.arm("POST /source.git/git-upload-pack", nth, Fault::Stall(200_000));
    let git = &pair.world.git;
    let running = git
        .cmd_for_signals(dir)
        .args(words)
        .env("TMPDIR", tmp(pair))
        .spawn();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !proxy.hit() {
        assert!(Instant::now() < deadline, "the fault did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(100));
    running
}

/// A clone with a commit of its own on `dev`, and one of the source's in FETCH_HEAD that has to be fetched again.
fn with_work(pair: &Pair) -> Repo {
    let url = format!("file://{}", pair.source.at());
    let git = pair.world.git.cmd(pair.world.path());
    git.args(["clone", "-q", "-b", "dev", "--single-branch", &url, "work"])
        .ok();
    let work = pair.world.open("work");
    scenes::own_work(&work, "dev", 1);
    scenes::grow(&pair.source, "dev", 2);
    work.git(&["fetch", "-q", "--depth=1", &url, "main"]).ok();
    work
}

/// Of all the ways to be stopped, only kill -9 leaves something, for the next run to clean.
#[test]
fn stopped_in_the_middle() {
    for git in gits() {
        let pair = Pair::new(git);
        sizeable(&pair);
        let work = with_work(&pair);
        let proxy = Proxy::start(pair.server.address());
        let (source, target) = (proxy.url("source.git"), pair.target_url());
        let url = format!("relay::{source}=>{target}");
        let before = pair.target.refs();
        let sync = ["relay", "sync", ASKED, &source, &target];
        let push = [
            "-c",
            "relay.local=true",
            "push",
            &url,
            "dev:refs/heads/mine",
            "FETCH_HEAD:refs/heads/copy",
        ];
        for words in [&sync[..], &push] {
            for signal in ["INT", "TERM", "KILL"] {
                let running = stalled(&pair, &proxy, &work.path, words);
                assert_eq!(
                    left(&tmp(&pair)).len(),
                    1,
                    "{signal}: no repository to begin with"
                );
                running.signal_group(signal);
                let output = running.finish();
                assert_ne!(output.code(), 0, "{output}");
                assert_refs(&pair.target.refs(), &before);
                assert_eq!(
                    left(&tmp(&pair)).len(),
                    usize::from(signal == "KILL"),
                    "{signal}: {output}"
                );
            }
            // The next one cleans, even though it hangs itself.
            let running = stalled(&pair, &proxy, &work.path, words);
            assert_eq!(left(&tmp(&pair)).len(), 1);
            running.signal_group("TERM");
            running.finish();
            assert_eq!(left(&tmp(&pair)).len(), 0);
        }
        proxy.disarm();
        let push = git.cmd(&work.path).args(push).env("TMPDIR", tmp(&pair));
        push.ok();
        assert_eq!(pair.target.id("mine"), work.id("dev"));
        pair.target.fsck();
    }
}

/// The message names the place, and no side.
#[test]
fn no_room_for_the_pack() {
    for git in gits() {
        for (strategy, reason) in [
            (ASKED, "in a temporary repository in"),
            ("--strategy=auto", "cannot keep the pack in"),
        ] {
            let options = Options {
                wants_length: true,
                ..Options::default()
            };
            let pair = Pair::with(git, &[], options);
            sizeable(&pair);
            let before = pair.target.refs();
            // As on a disk with half a MiB left.
            let limited = "trap '' XFSZ; ulimit -f 1024; exec \"$@\"";
            let words = [
                "-c",
                limited,
                "sh",
                git.program().to_str().unwrap(),
                "relay",
                "sync",
                "--json",
                strategy,
            ];
            let sh = git.program_in(pair.world.path(), "/bin/sh").args(words);
            let output = sh
                .args([pair.source_url(), pair.target_url()])
                .env("TMPDIR", tmp(&pair))
                .run();
            eprintln!("{output}");
            let report = json(&output.exits(128));
            let error = &report["error"];
            let message = error["message"].as_str().unwrap();
            assert!(
                message.starts_with("here: ") && message.contains(reason),
                "{message}"
            );
            assert!(
                message.contains(tmp(&pair).to_str().unwrap()) && message.contains("File too large"),
                "{message}"
            );
            assert!(error["side"].is_null() && error["kind"] == "internal", "{error}");
            assert!(error["hint"].as_str().unwrap().contains("TMPDIR"), "{error}");
            assert_refs(&pair.target.refs(), &before);
            assert_eq!(left(&tmp(&pair)), Vec::<String>::new());
        }
    }
}

/// `git push` takes half a minute for so many.
#[test]
fn ten_thousand_refs() {
    let git = &gits()[0];
    let pair = Pair::local(git);
    let mut import = Import::new();
    let marks = import.line_of("refs/heads/main", None, "main", 100);
    for n in 0..10_000 {
        import.reference(format!("refs/heads/b{n}"), &marks[n % 100]);
    }
    import.into_repo(&pair.source);
    pair.source.git(&["pack-refs", "--all"]).ok();
    let started = Instant::now();
    let words = ["relay", "sync", "--json", "--measure-memory", ASKED];
    let relay = git
        .cmd(pair.world.path())
        .args(words)
        .args([pair.source_url(), pair.target_url()]);
    let report = json(&relay.env("TMPDIR", tmp(&pair)).ok());
    let took = started.elapsed();
    eprintln!("{took:?} {}", report["measurement"]);
    assert_eq!(report["counts"]["created"], 10_001);
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert!(report["measurement"]["peak_alloc_bytes"].as_u64().unwrap() < 64 << 20);
    assert_same_refs(&pair.source, &pair.target);
}
