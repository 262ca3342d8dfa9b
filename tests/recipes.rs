//! The recipes of `docs/recipes.md` and the job in `examples/`, run as they stand there. The URLs in them lead to the test's
//! own host by `url.<base>.insteadOf`.

#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]
#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]

mod support;

use std::path::Path;

use support::process::{Cmd, Output};
use support::repo::assert_same_refs;
use support::{Git, Options, Pair, Repo, gits, scenes};

const RECIPES: &str = include_str!("../docs/recipes.md");
const JOB: &str = include_str!("../examples/mirror.yml");

/// The block behind the line `<!-- recipe: <name> -->`.
#[track_caller]
fn recipe(name: &str) -> &'static str {
    let marker = format!("<!-- recipe: {name} -->\n```");
    let Some((_, rest)) = RECIPES.split_once(&marker) else {
        panic!("docs/recipes.md has no recipe '{name}'")
    };
    let (_, block) = rest.split_once('\n').unwrap();
    block.split_once("```").unwrap().0
}

/// `-c` settings, by the environment, that make the recipes' URLs lead to `pair`.
fn with_urls(command: Cmd, pair: &Pair, settings: &[(String, String)]) -> Cmd {
    let mut all = vec![
        (
            format!("url.{}.insteadOf", pair.source_url()),
            "https://old.example/p.git".to_owned(),
        ),
        (
            format!("url.{}.insteadOf", pair.target_url()),
            "https://new.example/p.git".to_owned(),
        ),
    ];
    all.extend_from_slice(settings);
    let mut command = command.env("GIT_CONFIG_COUNT", all.len().to_string());
    for (n, (key, value)) in all.iter().enumerate() {
        command = command
            .env(&format!("GIT_CONFIG_KEY_{n}"), key)
            .env(&format!("GIT_CONFIG_VALUE_{n}"), value);
    }
    command
}

/// Run a recipe in `dir`, which is home as well.
#[track_caller]
fn run(pair: &Pair, dir: &Path, name: &str) -> Output {
    let shell = pair.world.git.program_in(dir, "sh").args(["-ec", recipe(name)]);
    let output = with_urls(shell, pair, &[]).env("HOME", pair.world.path()).run();
    eprintln!("{output}");
    output
}

/// Run the line of a crontab as cron does: in the home directory, with `sh -c` and hardly any environment.
#[track_caller]
fn run_from_cron(pair: &Pair, name: &str) -> Output {
    let git = &pair.world.git;
    let home = pair.world.path();
    install(git, home);
    let line = recipe(name).trim_end();
    let fields: Vec<_> = line.split("  ").collect();
    let [times, command] = fields.as_slice() else {
        panic!("not a line of a crontab: {line}")
    };
    assert_eq!(times.split(' ').count(), 5, "{line}");
    assert!(!command.contains('%'), "cron reads a % as a line break: {line}");
    let shell = git.program_in(home, "/bin/sh").args(["-c", command]);
    // The git under test may not be the one in /usr/bin.
    let path = format!("{}:/usr/bin:/bin", git.program().parent().unwrap().display());
    let shell = shell.env("PATH", path).env("HOME", home);
    let output = with_urls(shell, pair, &[]).run();
    eprintln!("{output}");
    output
}

/// What `install.sh` puts into a home directory, so far as it matters here.
fn install(git: &Git, home: &Path) {
    let bin = home.join(".local/bin");
    std::fs::create_dir_all(&bin).unwrap();
    for program in [
        env!("CARGO_BIN_EXE_git-remote-relay"),
        env!("CARGO_BIN_EXE_git-relay"),
    ] {
        let to = bin.join(Path::new(program).file_name().unwrap());
        if !to.exists() {
            std::os::unix::fs::symlink(program, to).unwrap();
        }
    }
    assert!(git.program().exists());
}

/// A clone of the target with the source as `upstream`, whose `main` is behind both.
fn fork(pair: &Pair) -> Repo {
    let clone = pair.world.git.cmd(pair.world.path()).args(["clone", "-q"]);
    clone.arg(pair.target_url()).arg("fork").ok();
    let fork = pair.world.open("fork");
    fork.git(&["remote", "add", "upstream", &pair.source_url()]).ok();
    fork
}

#[test]
fn a_fork_in_step() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::behind(&pair);
        let fork = fork(&pair);
        let local = fork.id("main");
        run(&pair, &fork.path, "fork, upstream's main").ok();
        assert_eq!(pair.target.id("main"), pair.source.id("main"));
        assert_eq!(fork.id("main"), local);

        // The local branch is upstream's, a commit further on.
        scenes::grow(&pair.source, "main", 2);
        fork.git(&["pull", "-q", "--ff-only", "upstream", "main"]).ok();
        let wanted = fork.id("main");
        scenes::grow(&pair.source, "main", 1);
        run(&pair, &fork.path, "fork, the local main").ok();
        assert_eq!(pair.target.id("main"), wanted);
        let commit = ["-c", "user.name=me", "-c", "user.email=me@example.com", "commit"];
        fork.git(&[&commit[..], &["-q", "--allow-empty", "-m", "mine"]].concat())
            .ok();
        run(&pair, &fork.path, "fork, the local main")
            .exits(1)
            .says("not on the source");
        assert_eq!(pair.target.id("main"), wanted);
    }
}

#[test]
fn an_alias() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        let here = pair.world.init("here", &[]);
        run(&pair, &here.path, "alias, set").ok();
        for _ in 0..2 {
            run(&pair, &here.path, "alias, use").ok();
            assert_same_refs(&pair.source, &pair.target);
            scenes::grow(&pair.source, "dev", 1);
            pair.source.git(&["branch", "-D", "feature/two"]);
        }
    }
}

#[test]
fn a_mirror_from_cron() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        run(&pair, pair.world.path(), "cron, set up").ok();
        for _ in 0..2 {
            let output = run_from_cron(&pair, "cron, line").ok();
            assert_eq!((output.out(), output.err()), (String::new(), String::new()));
            assert_same_refs(&pair.source, &pair.target);
            scenes::grow(&pair.source, "dev", 1);
        }
        pair.source.git(&["branch", "-f", "dev", "dev~5"]).ok();
        run_from_cron(&pair, "cron, line")
            .exits(1)
            .says("non-fast-forward");
    }
}

#[test]
fn a_mirror_that_a_fetch_drives() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        let clone = git.cmd(pair.world.path()).args(["clone", "-q"]);
        clone.arg(pair.source_url()).arg("project").ok();
        let project = pair.world.open("project");
        run(&pair, &project.path, "fetch, set up").ok();
        for _ in 0..2 {
            run_from_cron(&pair, "fetch, line").ok();
            for branch in ["main", "dev", "feature/one"] {
                assert_eq!(pair.target.id(branch), pair.source.id(branch));
                assert_eq!(project.id(&format!("origin/{branch}")), pair.source.id(branch));
            }
            assert_eq!(pair.target.get("refs/tags/v1"), None);
            scenes::grow(&pair.source, "dev", 1);
        }
    }
}

/// The lines behind `run: |` in the step called `name`.
#[track_caller]
fn step(name: &str) -> String {
    let start = format!("      - name: {name}\n");
    let (_, rest) = JOB.split_once(&start).unwrap();
    let step = rest.split("      - ").next().unwrap();
    let (_, lines) = step.split_once("        run: |\n").unwrap();
    let lines: Vec<_> = lines
        .lines()
        .map(|line| line.strip_prefix("          ").unwrap())
        .collect();
    lines.join("\n")
}

/// In what a CI system leaves for its jobs: a shallow checkout of one commit, with no branch, and a header for the host
/// that it came from.
#[test]
fn a_ci_job() {
    for git in gits() {
        let (theirs, ours) = ("Basic c291cmNlOng=", "Basic Z2l0OnRva2Vu");
        let options = Options {
            locks: vec![
                ("/source.git", theirs.to_owned()),
                ("/target.git", ours.to_owned()),
            ],
            ..Options::default()
        };
        let pair = Pair::with(git, &[], options);
        scenes::fresh(&pair);
        let checkout = pair.world.init("checkout", &["--initial-branch=main"]);
        checkout
            .git(&["remote", "add", "origin", &pair.source_url()])
            .ok();
        // As actions/checkout writes it.
        let key = format!("http.{}.extraheader", pair.server.url("source.git"));
        checkout.config(&key, &format!("AUTHORIZATION: {theirs}"));
        let commit = pair.source.id("main");
        let fetch = ["fetch", "-q", "--no-tags", "--prune", "--depth=1", "origin"];
        let refspec = format!("+{commit}:refs/remotes/origin/main");
        checkout.git(&[&fetch[..], &[&refspec]].concat()).ok();
        checkout.git(&["checkout", "-q", "--detach", &commit]).ok();
        let run = |token: &str| {
            // `shell: bash -e {0}` is what `run:` means there.
            let shell = git
                .program_in(&checkout.path, "bash")
                .args(["-ec", &step("Mirror")]);
            let shell = with_urls(shell, &pair, &[]).env("CI", "true");
            shell.env("GIT_RELAY_TARGET_TOKEN", token).run()
        };
        run("wrong").exits(128).never_says(theirs);
        run("token").ok();
        assert_same_refs(&pair.source, &pair.target);
        scenes::grow(&pair.source, "dev", 1);
        pair.source.git(&["branch", "-D", "feature/two"]).ok();
        run("token").ok();
        assert_same_refs(&pair.source, &pair.target);
    }
}
