//! Two gibibytes from server to server, and the memory that it takes, asked of the operating system.
//!
//! It needs some 5 GB of disk and a minute, so it runs only when asked for: `cargo test --test two_gibibytes -- --ignored`.

#![cfg(target_os = "linux")]
#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]
#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]

mod support;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::git::Git;
use support::history::noise;
use support::relay::json;
use support::repo::{Repo, World};
use support::{Options, Server, gits};

const BLOBS: usize = 64;
const BLOB: usize = 32 << 20;

/// The most that may be resident at once, in bytes. Without optimization it was 14 MB when this was written.
const BOUND: u64 = 32 << 20;

#[test]
#[ignore = "moves 2 GiB; .ci/run runs it"]
fn memory_stays_flat() {
    let git = &gits()[0];
    let world = World::new(git);
    let (source, target) = (world.bare("source.git"), world.bare("target.git"));
    for repo in [&source, &target] {
        // Neither side shall spend its time on what this test is not about: compression, deltas, loose objects.
        for (key, value) in [
            ("core.compression", "0"),
            ("core.bigFileThreshold", "1m"),
            ("pack.window", "0"),
            ("receive.unpackLimit", "1"),
            ("fastimport.unpackLimit", "1"),
        ] {
            repo.config(key, value);
        }
    }
    let started = Instant::now();
    fill(&source);
    eprintln!("the source was made in {:?}", started.elapsed());
    let server = Server::start(git, world.path(), Options::default());
    let started = Instant::now();
    let (report, resident) = relay(git, world.path(), &server);
    eprintln!(
        "relayed in {:?}, {resident} bytes resident at most",
        started.elapsed()
    );
    let moved = report["pack"]["bytes"].as_u64().unwrap();
    assert!(moved > (BLOBS * BLOB) as u64, "only {moved} bytes were moved");
    assert_eq!(source.id("main"), target.id("main"));
    assert!(
        resident > 1 << 20 && resident < BOUND,
        "{resident} bytes resident"
    );
    // What users see is what the system says; the run goes on a little after the last look.
    let told = report["measurement"]["peak_rss_bytes"].as_u64().unwrap();
    assert!(told.abs_diff(resident) < 2 << 20, "{told} told, {resident} seen");
}

/// One commit with as many files. They differ in their first bytes only, but nobody looks for that.
fn fill(source: &Repo) {
    let mut child = Command::new(source.git.program())
        .arg("-C")
        .arg(&source.path)
        .args(["fast-import", "--quiet", "--done"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stream = child.stdin.take().unwrap();
    let content = noise(1, BLOB);
    let head = "commit refs/heads/main\ncommitter C <c@example.com> 1600000000 +0000\ndata 0\n";
    stream.write_all(head.as_bytes()).unwrap();
    for number in 0..BLOBS {
        let start = format!("{number:08}");
        let line = format!("M 100644 inline {number}\ndata {}\n{start}", start.len() + BLOB);
        stream.write_all(line.as_bytes()).unwrap();
        stream.write_all(&content).unwrap();
        stream.write_all(b"\n").unwrap();
    }
    stream.write_all(b"done\n").unwrap();
    drop(stream);
    assert!(child.wait().unwrap().success());
}

/// The report, and the high-water mark of the process while it was seen.
fn relay(git: &Git, dir: &Path, server: &Server) -> (serde_json::Value, u64) {
    let (source, target) = (server.url("source.git"), server.url("target.git"));
    let running = git
        .program_in(dir, env!("CARGO_BIN_EXE_git-relay"))
        .args(["sync", "--json", "--measure-memory", &source, &target])
        .patient(Duration::from_secs(900))
        .spawn();
    let status = format!("/proc/{}/status", running.id());
    let mut resident = 0;
    while let Some(now) = high_water_mark(&status) {
        resident = now;
        std::thread::sleep(Duration::from_millis(20));
    }
    (json(&running.finish().ok()), resident)
}

/// `VmHWM`, which a process that has ended no longer has.
fn high_water_mark(status: &str) -> Option<u64> {
    let status = std::fs::read_to_string(status).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = value.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
