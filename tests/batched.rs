//! Pushes that a target does not take in one piece: how they are cut, how they go on after a kill, and what is said of
//! those that cannot be cut.

#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]
#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]

mod support;

use support::history::{Import, noise};
use support::http::Request;
use support::pair::WAYS;
use support::relay::{json, refs, relay, relay_in};
use support::repo::assert_same_refs;
use support::{Apache, Fault, Git, Options, Output, Pair, Proxy, gits};

const LIMIT: u64 = 200_000;
const LIMITED: [&str; 2] = ["--target-max-pack-bytes", "200000"];

/// Some 1.6 MB, in 160 commits: a main line, a branch that was merged and one that was not, tags.
fn fill(pair: &Pair) {
    let mut import = Import::new();
    let main = grow(&mut import, "main", None, 60);
    let side = grow(&mut import, "side", Some(&main[20]), 40);
    let files: [(&str, &[u8]); 1] = [("merged", b"both\n")];
    let merge = import.commit("refs/heads/main", &[&main[59], &side[39]], &files);
    grow(&mut import, "main", Some(&merge), 30);
    grow(&mut import, "apart", Some(&main[40]), 30);
    import.tag("v1", &main[30]);
    import.tag("v2", &side[10]);
    import.reference("refs/tags/light", &merge);
    import.into_repo(&pair.source);
}

/// Commits to a branch, each with some 10 kB of its own.
fn grow(import: &mut Import, branch: &str, from: Option<&str>, count: u32) -> Vec<String> {
    let mut marks: Vec<String> = Vec::new();
    for n in 0..count {
        let seed = branch.bytes().map(u32::from).sum::<u32>() * 1000 + n + count;
        let parent = marks.last().map(String::as_str).or(from);
        let parents: Vec<&str> = parent.into_iter().collect();
        let name = format!("refs/heads/{branch}");
        let file = format!("{branch}-{}", n % 7);
        marks.push(import.commit(name, &parents, &[(&file, &noise(seed, 12_000))]));
    }
    marks
}

fn filled(git: &Git, options: Options) -> Pair {
    let pair = Pair::with(git, &[], options);
    pair.source.config("uploadpack.allowFilter", "true");
    fill(&pair);
    pair
}

/// The packs of which the report tells.
fn batches(report: &serde_json::Value) -> u64 {
    assert_eq!(report["relay_mode"], "batched", "{report}");
    assert_eq!(report["relay"], true, "{report}");
    report["pack"]["batches"].as_u64().unwrap()
}

/// The target has all of the source, and nothing of ours.
#[track_caller]
fn assert_arrived(pair: &Pair) {
    assert_same_refs(&pair.source, &pair.target);
    pair.target.fsck();
}

fn uploads(pair: &Pair) -> Vec<Request> {
    let requests = pair.server.requests().into_iter();
    let upload =
        |request: &Request| request.line() == "POST /target.git/git-receive-pack" && request.sent > 4;
    requests.filter(upload).collect()
}

#[test]
fn a_first_push_is_cut_into_few_packs_none_of_them_too_large() {
    for git in gits() {
        for (from, to) in WAYS {
            let pair = filled(git, Options::default()).reached(from, to);
            let args = [&["--tags", "--json"], &LIMITED[..]].concat();
            let report = json(&relay(&pair, "sync", &args).ok());
            assert_eq!(report["relay_reason"], "target-pack-limit");
            let (count, bytes) = (batches(&report), report["pack"]["bytes"].as_u64().unwrap());
            let fewest = bytes.div_ceil(LIMIT);
            assert!(count <= fewest + 2, "{count} batches, {fewest} would do");
            for upload in uploads(&pair) {
                assert!(upload.sent < LIMIT + 2000, "{}", upload.sent);
            }
            assert_arrived(&pair);
        }
    }
}

/// Git asks for it by its configuration, on a target that has refs already; each kind of update is there.
#[test]
fn updates_of_all_kinds_go_in_batches() {
    for git in gits() {
        let pair = filled(git, Options::default());
        let at = pair.target.at();
        let old = [
            "push",
            &at,
            "main~20:refs/heads/main",
            "v2",
            "side:refs/heads/gone",
        ];
        pair.source.git(&old).ok();
        let mut import = Import::since(1_650_000_000);
        grow(&mut import, "apart", Some("refs/heads/main^0"), 2);
        import.into_repo(&pair.target);
        let twin = pair.world.copy(&pair.target, "twin.git");
        let limit = format!("relay.targetMaxPackBytes={LIMIT}");
        let words = ["push", "--prune", "--porcelain", &pair.url()];
        let refspecs = ["refs/heads/*", "+refs/heads/apart", "refs/tags/*"];
        let command = pair.here.cmd().args(["-c", &limit]).args(words).args(refspecs);
        let by_relay = pair.run(command).ok().says("relay: batched, ");
        assert_arrived(&pair);
        pair.reset_target(&twin);
        let mirror = pair.world.mirror(&pair.source, "mirror.git");
        let by_git = mirror.git(&[&["push", "--prune", "--porcelain", &at], &refspecs[..]].concat());
        let table = |output: &Output| -> Vec<String> {
            let lines = output.out();
            let mut lines: Vec<_> = lines
                .lines()
                .filter(|l| l.contains("refs/"))
                .map(String::from)
                .collect();
            lines.sort();
            lines
        };
        assert_eq!(table(&by_relay), table(&by_git.ok()));
    }
}

/// Whatever fits goes as ever: no extra request, no other route.
#[test]
fn a_push_within_the_limit_is_none_in_batches() {
    let pair = filled(&gits()[0], Options::default());
    let report = json(&relay(&pair, "sync", &["--json", "--target-max-pack-bytes", "20m"]).ok());
    assert_eq!(
        (&report["relay_mode"], &report["pack"]["batches"]),
        (&"bootstrap".into(), &1.into())
    );
    assert_eq!(uploads(&pair).len(), 1);
}

/// The target says how much it takes, when it is too late for the pack in hand.
#[test]
fn the_limit_that_git_names_is_kept() {
    for git in gits() {
        for (from, to) in WAYS {
            let pair = filled(git, Options::default()).reached(from, to);
            pair.target.config("receive.maxInputSize", "300k");
            let report = json(
                &relay(&pair, "sync", &["--tags", "--json"])
                    .ok()
                    .says("in batches"),
            );
            assert_eq!(report["relay_reason"], "target-pack-limit");
            let fewest = report["pack"]["bytes"].as_u64().unwrap().div_ceil(300 << 10);
            assert!(batches(&report) <= fewest + 2, "{report}");
            assert_arrived(&pair);
        }
    }
}

/// A web server in front refuses by 413 and names nothing.
#[test]
fn a_limit_that_is_not_named_is_found() {
    for git in gits() {
        let pair = filled(git, Options::default());
        let Some(apache) = Apache::builder()
            .limit_body(300_000)
            .start(git, pair.world.path())
        else {
            return;
        };
        let (source, target) = (apache.url("source.git"), apache.url("target.git"));
        let words = ["sync", "--tags", "--json", &source, &target];
        let report = json(&relay_in(git, pair.world.path(), &words).ok().says("in batches"));
        let fewest = report["pack"]["bytes"].as_u64().unwrap().div_ceil(300_000);
        assert!(batches(&report) <= fewest + 4, "{report}");
        assert_arrived(&pair);
    }
}

/// The same server, whose 413 is lost because it closes the connection with bytes unread.
#[test]
fn a_limit_that_shows_as_a_broken_connection_is_found() {
    let pair = filled(&gits()[0], Options::default());
    let proxy = Proxy::start(pair.server.address());
    proxy.arm("/git-receive-pack HTTP", 0, Fault::CutAbove(1_100_000));
    let (source, target) = (proxy.url("source.git"), proxy.url("target.git"));
    let words = ["sync", "--tags", "--json", &source, &target];
    let report = json(
        &relay_in(&gits()[0], pair.world.path(), &words)
            .ok()
            .says("in batches"),
    );
    assert!((2..=5).contains(&batches(&report)), "{report}");
    assert!(proxy.hit());
    assert_arrived(&pair);
}

/// A gateway that gives up: in smaller pieces the target is faster.
#[test]
fn a_target_that_runs_out_of_time_gets_smaller_packs() {
    for status in [408, 504] {
        let pair = filled(&gits()[0], Options::default());
        let proxy = Proxy::start(pair.server.address());
        proxy.arm("/git-receive-pack HTTP", 0, Fault::RefuseLate(status));
        let (source, target) = (proxy.url("source.git"), proxy.url("target.git"));
        let words = ["sync", "--tags", "--json", &source, &target];
        let report = json(
            &relay_in(&gits()[0], pair.world.path(), &words)
                .ok()
                .says("out of time"),
        );
        assert_eq!(report["relay_reason"], "target-time-limit");
        assert!(batches(&report) >= 2, "{report}");
        assert_arrived(&pair);
    }
}

/// Killed in the middle of five batches; each run goes on where the last one stopped, and nothing is sent again.
#[test]
fn a_run_that_is_killed_again_and_again_is_finished_in_the_end() {
    let pair = filled(&gits()[0], Options::default());
    let proxy = Proxy::start(pair.server.address());
    let (source, target) = (proxy.url("source.git"), proxy.url("target.git"));
    let words = [
        &["relay", "sync", "--tags", "--json", &source, &target],
        &LIMITED[..],
    ]
    .concat();
    let command = || pair.world.git.cmd(pair.world.path()).args(&words);
    let mut pins = 0;
    for _ in 0..5 {
        // One batch, or a pin where there is an object to try it with, arrives; the next one hangs.
        proxy.arm("/git-receive-pack HTTP", 1, Fault::StallRequest(50_000));
        let mut running = command().spawn();
        while !proxy.hit() && !running.has_ended() {
            std::thread::yield_now();
        }
        running.signal_group("KILL");
        running.finish();
        pair.target.fsck();
        let refs = pair.target.refs();
        assert!(
            refs.keys().all(|name| name.starts_with(b"refs/relay/batch/")),
            "{refs:?}"
        );
        assert!(refs.len() > pins, "nothing has arrived: {refs:?}");
        pins = refs.len();
    }
    proxy.disarm();
    let report = json(&command().ok());
    assert_arrived(&pair);
    let left = report["pack"]["bytes"].as_u64().unwrap();
    assert!(left < 7 * LIMIT, "{left} bytes in the last run");
    // The whole is 1.6 MB; each kill wasted no more than one batch.
    let sent: u64 = uploads(&pair).iter().map(|upload| upload.sent).sum();
    assert!(sent < 1_700_000 + 5 * LIMIT, "{sent} bytes");
}

/// What an earlier run has left goes when it is of no use any more, even if the next push needs no batches, or nothing at
/// all; what others have left stays.
#[test]
fn temporary_refs_of_a_run_that_broke_off_go_when_they_hold_nothing_more() {
    let pair = filled(&gits()[0], Options::default());
    pair.source.git(&["branch", "early", "main~88"]).ok();
    let proxy = Proxy::start(pair.server.address());
    let (url, at) = (proxy.url("source.git"), pair.target.at());
    proxy.arm("/git-receive-pack HTTP", 2, Fault::RefuseEarly(403));
    let words = ["sync", "--json", &url, &proxy.url("target.git")];
    let output = relay_in(
        &pair.world.git,
        pair.world.path(),
        &[&words[..], &LIMITED].concat(),
    );
    let output = output
        .exits(128)
        .says("target")
        .says("stays on the target (batches: 2)");
    let ours = pair.target.refs();
    assert!(!ours.is_empty(), "{output}");
    pair.source
        .git(&["push", &at, "main~89:refs/relay/batch/0123456789abcdef/x"])
        .ok();
    proxy.disarm();
    let sync = |args: &[&str], mode: &str| {
        let words = [&["sync", "--json", &url, &at], args].concat();
        let report = json(&relay_in(&pair.world.git, pair.world.path(), &words).ok());
        assert_eq!(report["relay_mode"], mode, "{report}");
    };
    let left = || -> Vec<Vec<u8>> {
        let refs = pair.target.refs().into_keys();
        refs.filter(|name| name.starts_with(b"refs/relay/")).collect()
    };
    let theirs = [b"refs/relay/batch/0123456789abcdef/x".to_vec()];
    // They hold more of main than this branch does.
    sync(&["--branch", "early"], "bootstrap");
    assert_eq!(left().len(), ours.len() + 1);
    sync(&[], "bootstrap");
    assert_eq!(left(), theirs);
    let again = |(name, id): (&Vec<u8>, &String)| format!("create {} {id}\n", String::from_utf8_lossy(name));
    pair.target
        .update_refs(&ours.iter().map(again).collect::<String>());
    assert_eq!(left().len(), ours.len() + 1);
    sync(&[], "none");
    assert_eq!(left(), theirs);
}

#[test]
fn a_commit_that_cannot_fit_is_named() {
    for git in gits() {
        let pair = filled(git, Options::default());
        let mut import = Import::since(1_640_000_000);
        let large = import.commit(
            "refs/heads/main",
            &["refs/heads/main^0"],
            &[("x", &noise(7, 500_000))],
        );
        import.commit("refs/heads/main", &[&large], &[("x", b"small again\n")]);
        import.into_repo(&pair.source);
        let output = relay(&pair, "sync", &[&["--json"], &LIMITED[..]].concat()).exits(128);
        let report = json(&output);
        assert_eq!(report["relay_mode"], "batched");
        let error = &report["error"];
        assert_eq!(
            (&error["kind"], &error["side"]),
            (&"limit".into(), &"target".into())
        );
        let message = error["message"].as_str().unwrap();
        let start = format!(
            "the commit {} alone needs a pack that is larger than the 200000 bytes",
            pair.source.id("main~1")
        );
        assert!(
            message.starts_with(&start) && message.contains("(500"),
            "{message}"
        );
        assert!(
            pair.target
                .refs()
                .keys()
                .all(|name| name.starts_with(b"refs/relay/")),
            "{output}"
        );
        pair.target.fsck();
    }
}

/// Two runs for the same pair get in each other's way in no way that matters.
#[test]
fn two_runs_at_the_same_time() {
    let pair = filled(&gits()[0], Options::default());
    let (source, target) = (pair.source_url(), pair.target_url());
    let words = [&["relay", "sync", "--tags", &source, &target], &LIMITED[..]].concat();
    let start = || pair.world.git.cmd(pair.world.path()).args(&words).spawn();
    let runs = [start(), start()];
    for run in runs {
        run.finish().ok();
    }
    assert_arrived(&pair);
}

/// A batch waits in `$TMPDIR`, if it is no small one.
#[test]
fn no_room_for_a_batch() {
    let pair = filled(&gits()[0], Options::default());
    let (source, target) = (pair.source_url(), pair.target_url());
    let shell = pair.world.git.program_in(pair.world.path(), "/bin/sh");
    let words = [
        "relay",
        "sync",
        "--target-max-pack-bytes",
        "1500k",
        &source,
        &target,
    ];
    let limited = shell.args(["-c", "trap '' XFSZ; ulimit -f 1000; exec \"$@\"", "sh"]);
    let output = limited.arg(pair.world.git.program()).args(words).run().exits(128);
    let _ = output.says("here: cannot keep the pack in ").says("hint: TMPDIR");
    assert!(pair.target.refs().is_empty());
}

/// What a tag names besides commits goes behind them, as large as it may be.
#[test]
fn tags_of_files_go_last() {
    let pair = filled(&gits()[0], Options::default());
    let blob = |seed, name: &str, size| {
        let hash = pair.source.cmd().args(["hash-object", "-w", "--stdin"]);
        let id = hash.input(noise(seed, size)).ok().out();
        pair.source.git(&["tag", name, id.trim()]).ok();
    };
    for seed in 1..4 {
        blob(seed, &format!("file-{seed}"), 150_000);
    }
    let args = [&["--tags", "--json"], &LIMITED[..]].concat();
    batches(&json(&relay(&pair, "sync", &args).ok()));
    assert_arrived(&pair);
    blob(4, "file-4", 300_000);
    let output = relay(&pair, "sync", &args).exits(128);
    output
        .says("target")
        .says("alone needs a pack that is larger than the 200000 bytes");
    pair.target.fsck();
}

/// So many tags that they do not fit into one pack.
#[test]
fn thousands_of_tags_go_in_batches_of_their_own() {
    let pair = Pair::new(&gits()[0]);
    let mut import = Import::new();
    let mark = import.commit("refs/heads/main", &[], &[("a", b"a\n")]);
    for number in 0..1500 {
        import.tag(&format!("v{number}"), &mark);
    }
    import.into_repo(&pair.source);
    for hidden in [false, true] {
        if hidden {
            let old = pair.target.refs();
            let delete = |name: &Vec<u8>| format!("delete {}\n", String::from_utf8_lossy(name));
            pair.target
                .update_refs(&old.keys().map(delete).collect::<String>());
            pair.target.config("receive.hideRefs", "refs/relay");
        }
        let args = ["--tags", "--json", "--target-max-pack-bytes", "60k"];
        let report = json(&relay(&pair, "sync", &args).ok());
        assert!(batches(&report) > 2, "{report}");
        assert_arrived(&pair);
    }
}

/// A target that keeps `refs/relay/` to itself gets its branches moved step by step.
#[test]
fn without_temporary_refs_the_branches_move_step_by_step() {
    for git in gits() {
        for old in [None, Some("main~80")] {
            let pair = filled(git, Options::default());
            pair.target.config("receive.hideRefs", "refs/relay");
            if let Some(old) = old {
                let spec = format!("{old}:refs/heads/main");
                pair.source.git(&["push", &pair.target.at(), &spec]).ok();
            }
            let args = [&["--tags", "--json"], &LIMITED[..]].concat();
            let output = relay(&pair, "sync", &args)
                .ok()
                .says("step by step")
                .says("hidden ref");
            let report = json(&output);
            assert!(batches(&report) < 16, "{report}");
            assert!(refs(&report).iter().all(|line| line.contains(" ok")), "{report}");
            assert_arrived(&pair);
        }
    }
}

/// Said before anything is uploaded: the other ways do not exist.
#[test]
fn what_cannot_go_step_by_step_is_said_beforehand() {
    let pair = filled(&gits()[0], Options::default());
    pair.target.config("receive.hideRefs", "refs/relay");
    let mut import = Import::new();
    grow(&mut import, "main", None, 1);
    import.into_repo(&pair.target);
    let before = pair.target.refs();
    let sent = || uploads(&pair).iter().map(|upload| upload.sent).sum::<u64>();
    for (args, words) in [
        (&["--branch", "main", "--force"][..], "commits up to "),
        (
            &["--atomic", "--branch", "side"],
            "it takes no refs below refs/relay/ ",
        ),
    ] {
        let output = relay(&pair, "sync", &[args, &LIMITED[..]].concat()).exits(128);
        let _ = output.says(words).says("(deny updating a hidden ref)");
        assert!(sent() < 3000, "{} bytes", sent());
        assert_eq!(pair.target.refs(), before);
    }
}

/// Each ref stands for itself at the end, unless all or none was asked for.
#[test]
fn a_ref_that_is_refused_at_the_end_leaves_the_others_alone() {
    const HOOK: &str = "#!/bin/sh\ntest \"$1\" != refs/heads/side\n";
    for (atomic, others) in [(false, true), (true, false)] {
        let pair = filled(&gits()[0], Options::default());
        pair.target.hook("update", HOOK);
        let flags: &[&str] = if atomic { &["--atomic"] } else { &[] };
        let args = [&["--json"], &LIMITED[..], flags].concat();
        let output = relay(&pair, "sync", &args).exits(1).says("stay on the target");
        batches(&json(&output));
        assert_eq!(pair.target.get("refs/heads/side"), None);
        assert_eq!(pair.target.get("refs/heads/main").is_some(), others);
        pair.target.fsck();
        // All but the last batch are there still, and are not sent again when the hook has gone.
        pair.target.hook("update", "#!/bin/sh\n");
        pair.server.forget();
        relay(&pair, "sync", &args).ok();
        let sent: u64 = uploads(&pair).iter().map(|upload| upload.sent).sum();
        assert!(sent < LIMIT + 2000, "{sent}");
        assert_arrived_branches(&pair);
    }
}

#[track_caller]
fn assert_arrived_branches(pair: &Pair) {
    let mut wanted = pair.source.refs();
    wanted.retain(|name, _| name.starts_with(b"refs/heads/"));
    support::repo::assert_refs(&pair.target.refs(), &wanted);
    pair.target.fsck();
}

/// All of it is read once to see the commits, where the source cannot leave the rest out.
#[test]
fn a_source_without_filters_is_cut_as_well() {
    for git in gits() {
        let pair = filled(git, Options::default());
        pair.source.config("uploadpack.allowFilter", "false");
        let args = [&["--tags", "--json"], &LIMITED[..]].concat();
        let output = relay(&pair, "sync", &args).ok().says("without their content");
        batches(&json(&output));
        assert_arrived(&pair);
    }
}

/// Its tips are all that it serves by the old protocol.
#[test]
fn a_source_that_serves_only_its_tips_is_told() {
    let pair = filled(&gits()[0], Options::default());
    let args = [&["--protocol", "v1"], &LIMITED[..]].concat();
    relay(&pair, "sync", &args)
        .exits(128)
        .says("source: by this version of the protocol it sends the history of its refs whole")
        .says("hint: version 2");
    assert!(pair.target.refs().is_empty());
    for (from, to) in WAYS {
        let pair = filled(&gits()[0], Options::default()).reached(from, to);
        pair.source.config("uploadpack.allowReachableSHA1InWant", "true");
        relay(&pair, "sync", &[&args, &["--tags"][..]].concat()).ok();
        assert_arrived(&pair);
    }
}

/// What a later batch changes is sent as deltas against what the earlier ones have brought.
#[test]
fn later_batches_build_on_earlier_ones() {
    let pair = Pair::new(&gits()[0]);
    pair.source.config("uploadpack.allowFilter", "true");
    let mut import = Import::new();
    let mut content = noise(1, 60_000);
    let mut last: Option<String> = None;
    for number in 0..60u32 {
        let place = number as usize * 900;
        content[place..place + 500].copy_from_slice(&noise(100 + number, 500)[..500]);
        let parents: Vec<&str> = last.iter().map(String::as_str).collect();
        last = Some(import.commit("refs/heads/main", &parents, &[("a", &content)]));
    }
    import.into_repo(&pair.source);
    let report = json(&relay(&pair, "sync", &["--json", "--target-max-pack-bytes", "70k"]).ok());
    // The first batch has the file whole, and the others together no more than what was changed.
    let bytes = report["pack"]["bytes"].as_u64().unwrap();
    assert!(bytes < 60_000 + 60 * 1200, "{bytes} bytes");
    batches(&report);
    assert_arrived(&pair);
}

/// In steps, a branch that stops half way has no stranger's value.
#[test]
fn a_branch_that_stops_half_way_was_not_moved_by_others() {
    let pair = filled(&gits()[0], Options::default());
    pair.target.config("receive.hideRefs", "refs/relay");
    // After the first step nobody can move the branch.
    pair.target
        .hook("post-receive", "#!/bin/sh\n: >refs/heads/apart.lock\n");
    let args = [&["--branch", "apart", "--json"], &LIMITED[..]].concat();
    let output = relay(&pair, "sync", &args)
        .exits(1)
        .never_says("remote ref moved");
    let report = json(&output);
    assert_eq!(report["error"], serde_json::Value::Null);
    assert_eq!(refs(&report).len(), 1);
    assert!(
        refs(&report)[0].starts_with("heads/apart: create rejected "),
        "{report}"
    );
    let stopped_at = pair.target.id("apart");
    let reason = report["refs"][0]["reason"].as_str().unwrap();
    assert!(
        reason.ends_with(&format!("(stopped half way, at {stopped_at})")),
        "{reason}"
    );
    pair.source
        .git(&["merge-base", "--is-ancestor", &stopped_at, "apart"])
        .ok();
    std::fs::remove_file(pair.target.path.join("refs/heads/apart.lock")).unwrap();
    pair.target.hook("post-receive", "#!/bin/sh\n");
    relay(&pair, "sync", &args).ok();
    assert_eq!(pair.target.id("apart"), pair.source.id("apart"));
}

/// A ref that was made to see whether the target takes such refs does not stay when nothing follows.
#[test]
fn the_trial_leaves_nothing() {
    let pair = filled(&gits()[0], Options::default());
    let at = pair.target.at();
    pair.source.git(&["push", &at, "main~85:refs/heads/main"]).ok();
    let before = pair.target.refs();
    relay(&pair, "sync", &["--target-max-pack-bytes", "5k"])
        .exits(128)
        .says(" alone needs a pack ");
    assert_eq!(pair.target.refs(), before);
}

/// The user's limit for all packs together is named as it was set, however much of it is used up.
#[test]
fn all_batches_together_keep_to_the_limit_for_packs() {
    let pair = filled(&gits()[0], Options::default());
    let args = [&["--max-pack-bytes", "500000"], &LIMITED[..]].concat();
    relay(&pair, "sync", &args)
        .exits(128)
        .says("source: the packs together are larger than the limit of 500000 bytes");
    let refs = pair.target.refs();
    assert!(
        refs.keys().all(|name| name.starts_with(b"refs/relay/batch/")),
        "{refs:?}"
    );
}

/// In steps it is the user's own branches that are pushed, so each push has the options.
#[test]
fn push_options_go_with_each_step() {
    let pair = filled(&gits()[0], Options::default());
    pair.target.config("receive.hideRefs", "refs/relay");
    pair.target.config("receive.advertisePushOptions", "true");
    let log = pair.world.path().join("options");
    let hook = format!(
        "#!/bin/sh\necho \"$GIT_PUSH_OPTION_COUNT $GIT_PUSH_OPTION_0\" >>'{}'\n",
        log.display()
    );
    pair.target.hook("post-receive", &hook);
    let limit = format!("relay.targetMaxPackBytes={LIMIT}");
    let words = ["-c", &limit, "push", "-o", "ci.skip", &pair.url(), "apart"];
    pair.run(pair.here.cmd().args(words)).ok().says("step by step");
    let seen = std::fs::read_to_string(log).unwrap();
    assert!(
        seen.lines().count() > 2 && seen.lines().all(|line| line == "1 ci.skip"),
        "{seen}"
    );
}
