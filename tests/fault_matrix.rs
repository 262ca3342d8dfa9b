//! Every route against every fault: afterwards the target is whole, each ref has its old or its new value, the words
//! name the side and the cause, and nothing is left on this side.
//!
//! Both sides are real gits behind a proxy that breaks one exchange. Each case is run by `git relay sync` and, where
//! git can ask for the route, by `git push`.

#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]
#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]

mod support;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::history::noise;
use support::process::{Cmd, Running};
use support::relay::json;
use support::repo::{Refs, Repo, World};
use support::snapshot::{Snapshot, snapshot};
use support::{Fault, Import, Options, Output, Proxy, Server, gits};

/// A way for the objects, and how to have it chosen.
#[derive(Clone, Copy)]
struct Route {
    /// Its name in reports.
    mode: &'static str,
    /// Options of `git relay sync`.
    options: &'static [&'static str],
    /// The setting with which `git push` takes this route; `None` if it cannot ask for it.
    config: Option<&'static str>,
    /// How many packs of the source, and how many pushes, there are before those that are to fail.
    before: (usize, usize),
    /// What `main` of the target is at the start, if it is there.
    main: Option<&'static str>,
}

/// The pack of a bootstrap is sent while it comes, that of the incremental push is small enough to be held.
const ROUTES: &[Route] = &[
    Route {
        mode: "bootstrap",
        options: &[],
        config: Some("relay.local=false"),
        before: (0, 0),
        main: None,
    },
    Route {
        mode: "incremental",
        options: &[],
        config: Some("relay.local=false"),
        before: (0, 0),
        main: Some("main~6"),
    },
    Route {
        mode: "batched",
        options: &["--target-max-pack-bytes", "500k"],
        config: Some("relay.targetMaxPackBytes=500k"),
        // What is too large, the history, a sample and the first batch.
        before: (4, 1),
        main: None,
    },
    Route {
        mode: "materialized",
        options: &["--strategy", "materialized"],
        config: None,
        before: (0, 0),
        main: Some("main~6"),
    },
];

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// In the source's pack.
    Source(Fault),
    /// In the request that carries the push.
    Target(Fault),
    /// The target's hook of this name is this script.
    Hook(&'static str, &'static str),
    /// This signal, while the source is silent in the middle of its pack.
    Signal(&'static str),
}

/// What must come of it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// No ref has changed, and the run failed.
    Fails,
    /// All is done, and the run knows.
    Succeeds,
    /// The same, by another route than was begun with.
    By(&'static str),
    /// One of the two.
    Either,
    /// No ref has changed, by the target's rules.
    Refused,
    /// `main` has somebody else's value, and the run knows.
    Moved,
    /// No ref has changed, and nobody is asked what the run thinks.
    Stopped,
}

type Row = (Trouble, End, &'static str);

fn rows(route: Route) -> Vec<Row> {
    use Fault::*;
    use Trouble::*;
    let mut rows = vec![
        (Source(CutResponse(0)), End::Fails, "source"),
        (Source(CutInPack(0)), End::Fails, "source"),
        (Source(CutInPack(7)), End::Fails, "source"),
        (Source(CutInPack(100_000)), End::Fails, "source"),
        (Source(CutBeforeEnd(20)), End::Fails, "source"),
        (Source(ShortPack(20)), End::Fails, "source"),
        (Source(FlipInPack(2)), End::Fails, "source"),
        (Source(FlipInPack(50_000)), End::Fails, "source"),
        (Source(FlipInPack(-1)), End::Fails, "source"),
        (Source(Stall(0)), End::Fails, "source"),
        (Source(Stall(100_000)), End::Fails, "source"),
        (Target(CutRequest(0)), End::Either, "target"),
        (Target(CutRequest(1000)), End::Either, "target"),
        (Target(CutRequest(200_000)), End::Either, "target"),
        (Target(StallRequest(0)), End::Fails, "target"),
        (Target(StallRequest(100_000)), End::Fails, "target"),
        (Target(LoseAnswer), End::Succeeds, "answer was lost"),
        (Target(HideAnswer(500)), End::Succeeds, "HTTP 500"),
        (Target(HideAnswer(502)), End::Succeeds, "HTTP 502"),
        (Target(HideAnswer(504)), End::Succeeds, "HTTP 504"),
        (Target(ReplaceAnswer("")), End::Succeeds, "answer was lost"),
        (Target(ReplaceAnswer("0000")), End::Succeeds, "answer was lost"),
        (Target(ReplaceAnswer("<html>")), End::Succeeds, "answer was lost"),
        (
            Target(ReplaceAnswer("0009\u{1}nonsense")),
            End::Succeeds,
            "answer was lost",
        ),
        (
            Hook("pre-receive", "#!/bin/sh\nexit 1\n"),
            End::Refused,
            "hook declined",
        ),
        (Hook("pre-receive", RACE), End::Moved, "remote ref moved"),
        (Signal("INT"), End::Stopped, ""),
        (Signal("KILL"), End::Stopped, ""),
    ];
    rows.extend(statuses(route));
    rows
}

/// What a web server says in the place of the target.
fn statuses(route: Route) -> Vec<Row> {
    let mut rows: Vec<(u16, End, &'static str)> = vec![
        (401, End::Fails, "authentication"),
        (403, End::Fails, "HTTP 403"),
        (404, End::Fails, "HTTP 404"),
        (500, End::Fails, "HTTP 500"),
        (502, End::Fails, "HTTP 502"),
        // Tried again where the request is at hand still.
        (429, End::Either, "HTTP 429"),
    ];
    rows.extend(match route.mode {
        // What was packed here is not cut.
        "materialized" => [
            (408, End::Fails, "HTTP 408"),
            (413, End::Fails, "HTTP 413"),
            (504, End::Fails, "HTTP 504"),
        ],
        "batched" => [408, 413, 504].map(|status| (status, End::Succeeds, "refused a batch")),
        _ => [
            (408, End::By("batched"), "out of time"),
            (413, End::By("batched"), "takes at once"),
            (504, End::By("batched"), "out of time"),
        ],
    });
    rows.push(match route.mode {
        // Each batch has its length with it already.
        "batched" => (411, End::Fails, "HTTP 411"),
        _ => (411, End::By("materialized"), "wants to know the length"),
    });
    let both = |(status, end, words)| {
        [Fault::RefuseEarly(status), Fault::RefuseLate(status)]
            .map(|fault| (Trouble::Target(fault), end, words))
    };
    rows.into_iter().flat_map(both).collect()
}

/// Somebody else writes `main` after the commands have come and before they are carried out.
const RACE: &str = "#!/bin/sh\n\
    unset GIT_QUARANTINE_PATH GIT_QUARANTINE_ENVIRONMENT GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES\n\
    export GIT_AUTHOR_NAME=x GIT_AUTHOR_EMAIL=x GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x\n\
    git update-ref refs/heads/main $(git commit-tree -m theirs $(git mktree </dev/null))\n";

const FETCH: &str = "/git-upload-pack HTTP";
const PUSH: &str = "/git-receive-pack HTTP";

/// What all cases of a route share.
struct Scene {
    world: World,
    server: Server,
    route: Route,
    source: Repo,
    target: Repo,
    here: Repo,
}

impl Scene {
    fn new(route: Route) -> Scene {
        let world = World::new(&gits()[0]);
        let bare = |name| world.bare(name);
        let (source, target, here) = (bare("source.git"), bare("target.git"), bare("here.git"));
        let mut import = Import::new();
        let mut last = import.commit("refs/heads/main", &[], &[("a", &noise(1, 60_000))]);
        for n in 2..25u32 {
            last = import.commit("refs/heads/main", &[&last], &[("a", &noise(n, 60_000))]);
        }
        import.line_of("refs/heads/dev", Some(&last), "dev", 2);
        import.into_repo(&source);
        if let Some(old) = route.main {
            let spec = format!("{old}:refs/heads/main");
            source.git(&["push", "--quiet", &target.at(), &spec]).ok();
        }
        let server = Server::start(&gits()[0], world.path(), Options::default());
        Scene {
            world,
            server,
            route,
            source,
            target,
            here,
        }
    }

    /// All cases, some at a time: most of them wait.
    fn run(&self, by_push: bool) {
        let packs = Case::new(self, 1000, by_push).packs_before();
        let rows = rows(self.route);
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Some(row) = rows.get(next.fetch_add(1, Ordering::SeqCst)) {
                        Case::new(self, next.fetch_add(0, Ordering::SeqCst), by_push).check(row, packs);
                    }
                });
            }
        });
    }
}

/// One run with a target and a local repository of its own.
struct Case<'a> {
    scene: &'a Scene,
    name: String,
    by_push: bool,
    proxy: Proxy,
    target: Repo,
    here: Repo,
    before: Snapshot,
    temporary: PathBuf,
}

impl<'a> Case<'a> {
    fn new(scene: &'a Scene, number: usize, by_push: bool) -> Case<'a> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("case-{number}-{}", COUNT.fetch_add(1, Ordering::SeqCst));
        let temporary = scene.world.path().join(&name).join("tmp");
        std::fs::create_dir_all(&temporary).unwrap();
        let here = scene.world.copy(&scene.here, &format!("{name}/here.git"));
        Case {
            scene,
            by_push,
            proxy: Proxy::start(scene.server.address()),
            target: scene.world.copy(&scene.target, &format!("{name}/target.git")),
            before: snapshot(&here),
            here,
            name,
            temporary,
        }
    }

    /// The run.
    fn command(&self, dry: bool) -> Cmd {
        self.command_with(dry, 30)
    }

    /// With a limit for stalls, in seconds. A busy machine needs some before the first byte.
    fn command_with(&self, dry: bool, limit: u32) -> Cmd {
        let git = &self.scene.world.git;
        let source = self.proxy.url("source.git");
        let target = self.proxy.url(&format!("{}/target.git", self.name));
        let command = git
            .cmd_for_signals(&self.here.path)
            .env("TMPDIR", &self.temporary)
            .args([
                "-c",
                "http.lowSpeedLimit=1000",
                "-c",
                &format!("http.lowSpeedTime={limit}"),
            ]);
        if self.by_push {
            let url = format!("relay::{source}=>{target}");
            let dry: &[&str] = if dry { &["--dry-run"] } else { &[] };
            let config = self.scene.route.config.unwrap_or_default();
            return command
                .args(["-c", config, "push"])
                .args(dry)
                .arg(url)
                .arg("refs/heads/*");
        }
        let verb = if dry { "plan" } else { "sync" };
        let command = command.args(["relay", verb, "--json", &source, &target]);
        command.args(self.scene.route.options)
    }

    /// How many packs with objects the source sends before the one that counts.
    fn packs_before(&self) -> usize {
        self.proxy.arm(FETCH, usize::MAX, Fault::ShortPack(0));
        self.command(true).ok();
        self.proxy.count()
    }

    fn check(&self, row: &Row, packs: usize) {
        let (trouble, end, words) = *row;
        let before = self.scene.route.before;
        let old = self.target.refs();
        let (output, hit) = match trouble {
            Trouble::Source(fault) => self.with_fault(FETCH, packs + before.0, fault),
            Trouble::Target(fault) => self.with_fault(PUSH, before.1, fault),
            Trouble::Hook(name, script) => {
                self.target.hook(name, script);
                (self.command(false).run(), true)
            }
            Trouble::Signal(signal) => self.with_signal(signal, packs),
        };
        let about = format!("{} {trouble:?}: {output}", self.scene.route.mode);
        assert!(hit, "did not happen: {about}");
        assert!(!output.err().contains("panicked"), "{about}");
        self.target.fsck();
        self.judge(&old, end, &output, &about);
        if end != End::Either || output.code() != 0 {
            assert!(
                output.err().contains(words) || output.out().contains(words),
                "no word of {words:?}: {about}"
            );
        }
        if end == End::Fails {
            let side = if matches!(trouble, Trouble::Source(_)) {
                "source"
            } else {
                "target"
            };
            assert!(output.err().contains(side), "does not name the {side}: {about}");
        }
        self.leaves_nothing(trouble, &about);
    }

    fn with_fault(&self, matching: &'static str, nth: usize, fault: Fault) -> (Output, bool) {
        self.proxy.arm(matching, nth, fault);
        let limit = match fault {
            Fault::Stall(_) | Fault::StallRequest(_) => 3,
            _ => 30,
        };
        let output = self.command_with(false, limit).run();
        (output, self.proxy.hit())
    }

    fn with_signal(&self, signal: &str, packs: usize) -> (Output, bool) {
        let packs = packs + self.scene.route.before.0;
        self.proxy.arm(FETCH, packs, Fault::Stall(60_000));
        let running: Running = self.command(false).spawn();
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.proxy.hit() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        running.signal_group(signal);
        (running.finish(), self.proxy.hit())
    }

    /// The refs, and whether the run tells the truth about them.
    fn judge(&self, old: &Refs, end: End, output: &Output, about: &str) {
        let (mut now, new) = (self.target.refs(), self.scene.source.refs());
        let is_new = now == new;
        // Batches that have arrived stay for the next run.
        now.retain(|name, _| !name.starts_with(b"refs/relay/batch/"));
        let is_old = now == *old;
        let stopped = if self.by_push { 1 } else { 128 };
        let good = match end {
            End::Fails => is_old && output.code() == stopped,
            End::Succeeds | End::By(_) => is_new && output.code() == 0,
            End::Either => is_new && output.code() == 0 || is_old && output.code() == stopped,
            End::Refused => is_old && output.code() == 1,
            End::Stopped => is_old && output.code() != 0,
            End::Moved => {
                let main = &b"refs/heads/main"[..];
                let theirs = now.get(main) != old.get(main) && now.get(main) != new.get(main);
                theirs
                    && now.get(&b"refs/heads/dev"[..]) == new.get(&b"refs/heads/dev"[..])
                    && output.code() == 1
            }
        };
        assert!(good, "{end:?} was expected, refs are {now:?}: {about}");
        if !self.by_push && end != End::Stopped {
            self.judge_report(end, output, about);
        }
    }

    fn judge_report(&self, end: End, output: &Output, about: &str) {
        let report = json(output);
        let mode = match (end, self.scene.route.mode) {
            (End::By(mode), _) => mode,
            // It may end before it is cut, and says when it is.
            (End::Fails | End::Either, "batched") if !output.err().contains("sending it in batches") => {
                "bootstrap"
            }
            (_, mode) => mode,
        };
        assert_eq!(report["relay_mode"], mode, "{about}");
        let kind = report["error"]["kind"].as_str();
        match end {
            End::Fails => assert!(kind.is_some(), "{about}"),
            End::Moved => assert_eq!(kind, Some("moved"), "{about}"),
            End::Succeeds | End::By(_) | End::Refused => assert_eq!(kind, None, "{about}"),
            End::Either | End::Stopped => {}
        }
        let status = |wanted: &str| {
            report["refs"]
                .as_array()
                .unwrap()
                .iter()
                .all(|r| r["status"] == wanted)
        };
        match end {
            End::Succeeds | End::By(_) => {
                assert!(status("ok") && report["pack"]["objects"] != 0, "{about}");
            }
            End::Fails => assert!(status("failed"), "{about}"),
            End::Refused => assert!(status("rejected"), "{about}"),
            End::Either | End::Stopped | End::Moved => {}
        }
    }

    /// After a kill the next run cleans up.
    fn leaves_nothing(&self, trouble: Trouble, about: &str) {
        if matches!(trouble, Trouble::Signal("KILL")) {
            self.proxy.disarm();
            self.command(false).ok();
        }
        self.before.assert_unchanged(&self.here);
        let left: Vec<_> = std::fs::read_dir(&self.temporary)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(left.is_empty(), "left behind: {left:?}: {about}");
    }
}

#[test]
fn git_relay_sync() {
    for route in ROUTES {
        Scene::new(*route).run(false);
    }
}

#[test]
fn git_push() {
    for route in ROUTES.iter().filter(|route| route.config.is_some()) {
        Scene::new(*route).run(true);
    }
}
