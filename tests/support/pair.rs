//! A source, a target and an empty repository between them, and the measure: what plain git does from a full clone.

use std::cell::Cell;

use super::git::Git;
use super::http::{Options, Server};
use super::process::{Cmd, Output};
use super::repo::{Repo, World, assert_same_refs};
use super::snapshot::{Snapshot, snapshot};

/// How a side is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    Http,
    Path,
}

/// All ways to reach both sides.
pub const WAYS: [(Reach, Reach); 4] = [
    (Reach::Http, Reach::Http),
    (Reach::Path, Reach::Path),
    (Reach::Http, Reach::Path),
    (Reach::Path, Reach::Http),
];

/// `source.git` and `target.git` on one host, and `here.git`, the empty repository that pushes run in.
pub struct Pair {
    pub world: World,
    pub server: Server,
    pub source: Repo,
    pub target: Repo,
    pub here: Repo,
    before: Snapshot,
    from: Reach,
    to: Reach,
    copies: Cell<u32>,
}

impl Pair {
    /// Both sides over HTTP.
    pub fn new(git: &Git) -> Pair {
        Pair::with(git, &[], Options::default())
    }

    /// Both sides as local paths.
    pub fn local(git: &Git) -> Pair {
        Pair::new(git).reached(Reach::Path, Reach::Path)
    }

    /// With `git init` options for all three repositories, and options of the host.
    pub fn with(git: &Git, init: &[&str], options: Options) -> Pair {
        let world = World::new(git);
        let bare = |name| world.init(name, &[&["--bare"], init].concat());
        let (source, target, here) = (bare("source.git"), bare("target.git"), bare("here.git"));
        let server = Server::start(git, world.path(), options);
        Pair {
            before: snapshot(&here),
            world,
            server,
            source,
            target,
            here,
            from: Reach::Http,
            to: Reach::Http,
            copies: Cell::new(0),
        }
    }

    pub fn reached(mut self, from: Reach, to: Reach) -> Pair {
        (self.from, self.to) = (from, to);
        self
    }

    /// Push from another repository than an empty bare one; its present state is what must be there afterwards.
    pub fn push_from(&mut self, here: Repo) {
        self.before = snapshot(&here);
        self.here = here;
    }

    pub fn source_url(&self) -> String {
        self.side(self.from, &self.source)
    }

    pub fn target_url(&self) -> String {
        self.side(self.to, &self.target)
    }

    fn side(&self, reach: Reach, repo: &Repo) -> String {
        match reach {
            Reach::Path => repo.at(),
            Reach::Http => {
                let name = repo.path.file_name().unwrap();
                self.server.url(name.to_str().unwrap())
            }
        }
    }

    pub fn url(&self) -> String {
        format!("relay::{}=>{}", self.source_url(), self.target_url())
    }

    /// `git push <url> <args>`, not started yet.
    pub fn command(&self, args: &[&str]) -> Cmd {
        self.here.cmd().arg("push").arg(self.url()).args(args)
    }

    /// `git push <url> <args>`, which must leave the repository as it was.
    #[track_caller]
    pub fn push(&self, args: &[&str]) -> Output {
        self.run(self.command(args))
    }

    /// Any command in the empty repository, which must leave it as it was.
    #[track_caller]
    pub fn run(&self, command: Cmd) -> Output {
        let output = command.run();
        eprintln!("{output}\n{}", self.server.log());
        self.assert_clean();
        output
    }

    #[track_caller]
    pub fn assert_clean(&self) {
        self.before.assert_unchanged(&self.here);
    }

    /// Push, and let plain git push the same from a full mirror of the source to a copy of the target: exit code, refs
    /// and status lines must be the same. Gives what the relay said.
    #[track_caller]
    pub fn compare(&self, args: &[&str]) -> Output {
        self.compare_with(args, |status| status.to_owned())
    }

    /// The same, with the status lines of both passed through `blur` first.
    #[track_caller]
    pub fn compare_with(&self, args: &[&str], blur: impl Fn(&str) -> String) -> Output {
        let (plain, twin) = self.plain(args);
        let relayed = self.push(&[&["--porcelain"], args].concat());
        assert!(
            plain.code() == relayed.code(),
            "{args:?}: exit codes differ\ngit: {plain}\nrelay: {relayed}"
        );
        let (by_git, by_relay) = (status_lines(&plain), status_lines(&relayed));
        assert!(
            blur(&by_git) == blur(&by_relay),
            "{args:?}: status lines differ\ngit: {plain}\nrelay: {relayed}"
        );
        assert_same_refs(&twin, &self.target);
        self.target.fsck();
        relayed
    }

    /// What plain git does: its output, and the copy of the target that it pushed to.
    pub fn plain(&self, args: &[&str]) -> (Output, Repo) {
        let n = self.copies.get();
        self.copies.set(n + 1);
        let mirror = self.world.mirror(&self.source, &format!("mirror-{n}.git"));
        let twin = self.world.copy(&self.target, &format!("twin-{n}.git"));
        let push = mirror.cmd().arg("push").arg(self.side(self.to, &twin));
        let output = push.arg("--porcelain").args(args).run();
        (output, twin)
    }

    /// Put the target back to the state of `like`.
    pub fn reset_target(&self, like: &Repo) {
        std::fs::remove_dir_all(&self.target.path).unwrap();
        let name = self.target.path.file_name().unwrap();
        self.world.copy(like, name.to_str().unwrap());
    }
}

/// The lines of `--porcelain` without the one that names the target.
fn status_lines(output: &Output) -> String {
    let text = output.out();
    let lines = text.lines().filter(|line| !line.starts_with("To "));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Status lines without `(forced update)` and what goes with it: git prints it for every allowed update whose old
/// object it cannot see, and no helper can unsay that.
pub fn without_forced(status: &str) -> String {
    let lines = status.lines().map(|line| {
        let line = line.replace("...", "..").replace(" (forced update)", "");
        match line.strip_prefix('+') {
            Some(rest) => format!(" {rest}\n"),
            None => format!("{line}\n"),
        }
    });
    lines.collect()
}
