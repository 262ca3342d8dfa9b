//! What each kind of run costs, in figures that are the same on every machine: requests, connections, bytes, programs
//! started, memory allocated. Seconds are `benches/relay`'s business.
//!
//! Who makes a figure better lowers the bound; who makes one worse has to say here why that is worth it.

#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]

mod support;

use std::collections::BTreeSet;
use std::ffi::OsString;

use git_remote_sync::pump::{self, PackCheck};
use git_remote_sync::transport::sideband::SideBand;
use git_remote_sync::wire::object::Hasher;
use git_remote_sync::wire::refs::Advertisement;
use gix_transport::Protocol;
use gix_transport::client::blocking_io::Transport;
use gix_transport::client::git::ConnectMode;
use gix_transport::client::git::blocking_io::Connection;
use gix_transport::client::{MessageKind, WriteMode};
use serde_json::Value;
use support::history::noise;
use support::http::Request;
use support::relay::{json, relay};
use support::{Git, Import, Options, Pair, gits, scenes};

/// What one run did.
struct Figures {
    requests: Vec<Request>,
    report: Value,
}

/// `git relay sync` with everything that it can count.
fn sync(pair: &Pair, args: &[&str]) -> Figures {
    pair.server.forget();
    let counted = ["--json", "--stats", "--measure-memory", "--tags"];
    let output = relay(pair, "sync", &[&counted, args].concat()).ok();
    Figures {
        requests: pair.server.requests(),
        report: json(&output),
    }
}

impl Figures {
    /// What was asked of one service of a repository, in order.
    fn asked(&self, repository: &str, service: &str) -> Vec<String> {
        let of_it = |request: &&Request| {
            request.path.starts_with(&format!("/{repository}.git/")) && request.path.contains(service)
        };
        self.requests.iter().filter(of_it).map(what).collect()
    }

    fn connections(&self) -> usize {
        let ports: BTreeSet<_> = self.requests.iter().map(|request| request.port).collect();
        ports.len()
    }

    /// A number of the report, by its JSON pointer.
    fn number(&self, pointer: &str) -> i64 {
        self.report.pointer(pointer).unwrap().as_i64().unwrap()
    }

    /// The requests of this run; those to `upload-pack` of the target, which looks at its HEAD beside the push, apart.
    #[track_caller]
    fn assert_asked(&self, source: &[&str], target: &[&str], look: &[&str]) {
        assert_eq!(self.asked("source", "upload-pack"), source, "asked of the source");
        assert_eq!(
            self.asked("target", "receive-pack"),
            target,
            "asked of the target"
        );
        assert_eq!(self.asked("target", "upload-pack"), look, "asked about HEAD");
        // One for each side, however many requests there are.
        let expected = if look.is_empty() { 2 } else { 3 };
        assert_eq!(self.connections(), expected, "connections");
    }
}

fn what(request: &Request) -> String {
    let says = |words: &str| String::from_utf8_lossy(&request.body).contains(words);
    match request.command() {
        Some(_) if says("deepen 1") => "lfs".to_owned(),
        _ if request.method == "GET" => "refs".to_owned(),
        Some(command) => command,
        None if request.body == b"0000" => "flush".to_owned(),
        None => "push".to_owned(),
    }
}

/// All requests to the source wait for one another, and the push for the last of them: a bootstrap takes four round
/// trips, a fast-forward five, looking two. The look for Git LFS is made while the target is at work, see
/// `the_look_for_lfs_costs_no_round_trip`.
#[test]
fn requests_and_connections() {
    for git in gits() {
        let pair = Pair::new(git);
        pair.source.config("uploadpack.allowFilter", "true");
        scenes::fresh(&pair);
        let look: &[&str] = if tells_unborn_heads(git) {
            &["refs", "ls-refs"]
        } else {
            &["refs", "ls-refs", "refs", "ls-refs"]
        };
        sync(&pair, &[]).assert_asked(&["refs", "ls-refs", "fetch", "lfs"], &["refs", "push"], look);
        sync(&pair, &[]).assert_asked(&["refs", "ls-refs"], &["refs"], &[]);

        scenes::grow(&pair.source, "main", 1);
        let fast_forward = ["refs", "ls-refs", "fetch", "fetch", "lfs"];
        sync(&pair, &[]).assert_asked(&fast_forward, &["refs", "push"], &[]);
        for branch in ["main", "dev", "side", "feature/one", "feature/two"] {
            scenes::grow(&pair.source, branch, 2);
        }
        // One question about the history of all of them.
        sync(&pair, &[]).assert_asked(&fast_forward, &["refs", "push"], &[]);

        pair.source.git(&["branch", "-f", "dev", "side"]).ok();
        // What is overwritten needs no question, and the target has all objects.
        sync(&pair, &["--force"]).assert_asked(&["refs", "ls-refs"], &["refs", "push"], &[]);
        pair.source.git(&["branch", "-D", "side"]).ok();
        sync(&pair, &["--prune"]).assert_asked(&["refs", "ls-refs"], &["refs", "push"], &[]);
        scenes::own_work(&pair.target, "dev", 1);
        scenes::grow(&pair.source, "dev", 1);
        let forced = ["refs", "ls-refs", "fetch", "lfs"];
        sync(&pair, &["--force"]).assert_asked(&forced, &["refs", "push"], &[]);
    }
}

/// The target takes the push only once the source has been asked twice for a pack.
#[test]
fn the_look_for_lfs_costs_no_round_trip() {
    for git in gits() {
        let hooks = tempfile::tempdir().unwrap();
        let (asked, hook) = (hooks.path().join("asked"), hooks.path().join("hook"));
        let asked = asked.display();
        write_program(&hook, &format!("#!/bin/sh\necho >>'{asked}'\nexec \"$@\"\n"));
        let options = Options {
            config: vec![("uploadpack.packObjectsHook", hook.display().to_string())],
            ..Options::default()
        };
        let pair = Pair::with(git, &[], options);
        scenes::fresh(&pair);
        let patience = "for _ in $(seq 400); do";
        let seen = format!("[ \"$(wc -l <'{asked}')\" -ge 2 ] && exit 0");
        let hook =
            format!("#!/bin/sh\n{patience} {seen}; sleep 0.05; done\necho 'nobody has looked' >&2\nexit 1\n");
        pair.target.hook("pre-receive", &hook);
        sync(&pair, &[]);
        assert_eq!(pair.source.id("main"), pair.target.id("main"));
    }
}

/// `ls-refs` with `unborn`, by default since git 2.31.
fn tells_unborn_heads(git: &Git) -> bool {
    git.at_least(2, 31)
}

/// A source with `megabytes` that do not compress.
fn heavy(git: &Git, megabytes: usize) -> Pair {
    let pair = Pair::new(git);
    let mut import = Import::new();
    let data = noise(1, megabytes << 20);
    import.commit("refs/heads/main", &[], &[("big", &data)]);
    import.into_repo(&pair.source);
    pair
}

/// What cannot be sent again is preceded by a lone flush, and not by more than that. It costs memory for two buffers and
/// not for what passes through them: not even a byte for each packet.
#[test]
fn a_large_pack_takes_no_memory() {
    let git = &gits()[0];
    let [little, large] = [2, 18].map(|megabytes| {
        let figures = sync(&heavy(git, megabytes), &[]);
        let source = ["refs", "ls-refs", "fetch", "lfs"];
        figures.assert_asked(&source, &["refs", "flush", "push"], &["refs", "ls-refs"]);
        figures
    });
    let more = |key| large.number(key) - little.number(key);
    assert!(large.number("/pack/bytes") > 18 << 20);
    assert!(
        more("/measurement/total_alloc_bytes") < 64 << 10,
        "{} more in total",
        more("/measurement/total_alloc_bytes")
    );
    assert!(
        more("/measurement/peak_alloc_bytes") < 64 << 10,
        "{} more at once",
        more("/measurement/peak_alloc_bytes")
    );
}

/// A source with so many branches, each at a commit of its own.
fn branchy(git: &Git, branches: usize) -> Pair {
    let pair = Pair::new(git);
    let mut import = Import::new();
    let marks = import.line_of("refs/heads/main", None, "main", branches);
    for (number, mark) in marks.iter().enumerate() {
        import.reference(format!("refs/heads/branch-{number:05}"), mark);
    }
    import.into_repo(&pair.source);
    pair
}

/// What each ref costs when all of them are created, and when none has changed.
#[test]
fn each_ref_takes_little_memory() {
    const REFS: i64 = 1000;
    let git = &gits()[0];
    let with = |times: i64| branchy(git, usize::try_from(times * REFS).unwrap());
    let few = with(1);
    for (what, times, total, peak) in BOUNDS {
        let many = with(times);
        if what == "up to date" {
            sync(&many, &[]);
        }
        let [few, many] = [&few, &many].map(|pair| sync(pair, &[]));
        let each = |key| (many.number(key) - few.number(key)) / ((times - 1) * REFS);
        let found = (
            each("/measurement/total_alloc_bytes"),
            each("/measurement/peak_alloc_bytes"),
        );
        assert!(
            found.0 <= total && found.1 <= peak,
            "{what}: {found:?} bytes a ref"
        );
    }
}

/// Bytes allocated for each ref in total and at once, the report's included, by a run with so many thousand more than one.
/// Where refs are created there are enough of them for it not to count whether the looks beside the push have their buffers
/// at the moment of the peak.
const BOUNDS: [(&str, i64, i64, i64); 2] = [("created", 5, 1400, 340), ("up to date", 3, 800, 240)];

/// A long list of what the target has travels compressed.
#[test]
fn requests_are_small() {
    let git = &gits()[0];
    let pair = branchy(git, 2000);
    let first = sync(&pair, &[]);
    let last = |figures: &Figures| {
        let fetches = |request: &&Request| what(request) == "fetch";
        let request = figures.requests.iter().rfind(fetches).unwrap();
        (request.sent, request.body.len() as u64)
    };
    let (sent, plain) = last(&first);
    assert!(
        plain > 50 * 2000 && sent < plain * 6 / 10,
        "wants: {sent} for {plain} bytes"
    );
    scenes::grow(&pair.source, "main", 1);
    let (sent, plain) = last(&sync(&pair, &[]));
    assert!(
        plain > 50 * 2000 && sent < plain * 6 / 10,
        "haves: {sent} for {plain} bytes"
    );
    let quiet = sync(&pair, &[]);
    let asking = quiet.number("/stats/source/bytes_sent") + quiet.number("/stats/target/bytes_sent");
    assert!(asking < 1500, "{asking} bytes to find nothing to do");
}

/// Two web servers need no git but the one that knows the configuration.
#[test]
fn programs_started() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        let dir = pair.world.path().join("bin");
        std::fs::create_dir(&dir).unwrap();
        let log = pair.world.path().join("started");
        let real = git.program().display();
        let script = format!(
            "#!/bin/sh\necho \"$*\" >>'{}'\nexec '{real}' \"$@\"\n",
            log.display()
        );
        write_program(&dir.join("git"), &script);
        let mut path = OsString::from(dir);
        path.push(":");
        path.push(git.path());
        let (source, target) = (pair.source_url(), pair.target_url());
        for _ in 0..2 {
            git.program_in(pair.world.path(), env!("CARGO_BIN_EXE_git-relay"))
                .env("PATH", &path)
                .args(["sync", &source, &target])
                .ok();
            let started = std::fs::read_to_string(&log).unwrap();
            std::fs::remove_file(&log).unwrap();
            assert_eq!(started.trim_end(), "config --list -z");
        }
    }
}

fn write_program(path: &std::path::Path, script: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, script).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

/// From the source's packets to the target's request: the same few allocations however many packets there are.
#[test]
fn packets_are_passed_on_without_allocations() {
    let [few, many] = [10, 10_000].map(passing_on);
    assert_eq!(few, many, "allocations for 10 and for 10,000 packets");
    assert!(few < 10, "{few} allocations");
}

/// How many allocations it takes to pass on a pack that comes in so many packets.
fn passing_on(packets: usize) -> u64 {
    let stream = pack_in_packets(packets);
    let counted = allocation_counter::measure(|| {
        let (none, version) = (None::<(String, _)>, Protocol::V1);
        let mut connection = Connection::new(
            stream.as_slice(),
            std::io::sink(),
            version,
            "",
            none,
            ConnectMode::Process,
            false,
        );
        let request = connection.request(WriteMode::Binary, MessageKind::Flush, false);
        let mut band = SideBand::new(request.unwrap().into_parts().1, |_| ());
        let check = PackCheck::new(gix_hash::Kind::Sha1, None);
        let (mut target, mut progress) = (std::io::sink(), |_, _| ());
        let moved = pump::relay(&mut band, &mut [&mut target], check, &mut progress).unwrap();
        assert_eq!(moved.bytes, 12 + 100 * packets as u64 + 20);
    });
    counted.count_total
}

/// Something that is a pack as far as the pump looks, 100 bytes to a packet.
fn pack_in_packets(count: usize) -> Vec<u8> {
    let mut pack = b"PACK\0\0\0\x02\0\0\0\x01".to_vec();
    pack.extend(noise(1, 100 * count).iter().take(100 * count));
    let mut hasher = Hasher::new(gix_hash::Kind::Sha1);
    hasher.update(&pack);
    pack.extend_from_slice(hasher.finish().as_slice());
    let mut packets = Vec::new();
    for data in pack.chunks(100) {
        packets.extend_from_slice(format!("{:04x}\x01", data.len() + 5).as_bytes());
        packets.extend_from_slice(data);
    }
    packets.extend_from_slice(b"0000");
    packets
}

/// Refs are kept in a few growing lists, not in an allocation each.
#[test]
fn refs_are_read_without_an_allocation_for_each() {
    let lines: Vec<String> = (0..10_000)
        .map(|number| format!("{number:040x} refs/heads/branch-{number}"))
        .collect();
    let counted = allocation_counter::measure(|| {
        let mut advertisement = Advertisement::default();
        for line in lines.iter().skip(1) {
            advertisement.add_v2_line(line.as_str().into()).unwrap();
        }
        advertisement.finish(gix_hash::Kind::Sha1).unwrap();
    });
    assert!(counted.count_total < 100, "{} allocations", counted.count_total);
}
