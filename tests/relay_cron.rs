//! Unattended use: targets that do not exist yet, lists of pairs, the manual and completions that come along.

#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]
#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]

mod support;

use std::collections::BTreeSet;

use support::repo::assert_same_refs;
use support::{Options, Pair, gits, relay, relay_in, scenes};

#[test]
fn a_missing_local_target_is_created_like_the_source() {
    for git in gits() {
        for command in ["sync", "bootstrap", "push"] {
            let pair = Pair::with(git, &["--object-format=sha256"], Options::default());
            scenes::fresh(&pair);
            pair.source.git(&["symbolic-ref", "HEAD", "refs/heads/dev"]).ok();
            let new = pair.world.open("deep/new.git");
            let dir = pair.world.path();
            let source = pair.source_url();
            let args = [command, &source, "deep/new.git"];
            let (selection, dry) = match command {
                "push" => (
                    vec!["refs/heads/*", "refs/tags/*"],
                    vec!["push", &source, "deep/new.git", "-n", "dev"],
                ),
                _ => (vec!["--tags"], vec!["plan", &source, "deep/new.git"]),
            };
            relay_in(git, dir, &dry);
            assert!(!new.path.exists(), "{command} -n has created the target");
            relay_in(git, dir, &[&args[..], &selection].concat()).ok();
            assert_same_refs(&pair.source, &new);
            assert_eq!(new.read(&["symbolic-ref", "HEAD"]), "refs/heads/dev");
            assert_eq!(new.read(&["rev-parse", "--show-object-format"]), "sha256");
        }
    }
}

/// A target that was created for a run that came to nothing goes again.
#[test]
fn nothing_is_left_of_a_target_that_got_nothing() {
    for git in gits() {
        let pair = Pair::local(git);
        scenes::fresh(&pair);
        let new = pair.world.open("new.git");
        let run = |args: &[&str]| {
            let source = pair.source.at();
            relay_in(
                git,
                pair.world.path(),
                &[&["sync", &source, "new.git"], args].concat(),
            )
        };
        run(&["--max-pack-bytes", "10"]).exits(128);
        assert!(!new.path.exists());
        run(&["--branch", "gone"]).exits(2);
        assert!(!new.path.exists());
        let empty = pair.world.bare("empty.git").at();
        relay_in(git, pair.world.path(), &["sync", &empty, "new.git"]).exits(128);
        assert!(!new.path.exists());
        run(&["--dry-run"]).ok();
        assert!(!new.path.exists());
    }
}

/// A HEAD that names nothing is said, with the way out; one that names a branch is not.
#[test]
fn a_target_head_that_points_nowhere() {
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        pair.target
            .git(&["symbolic-ref", "HEAD", "refs/heads/trunk"])
            .ok();
        let output = relay(&pair, "sync", &[])
            .ok()
            .says("git symbolic-ref HEAD refs/heads/main");
        // A server tells an unborn HEAD's name only if it is new enough.
        output.says("hint: the target's HEAD names");
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        relay(&pair, "sync", &[]).ok().never_says("hint");
    }
}

/// The recipe in `docs/scripts.md`, on a short list with one pair that fails.
#[test]
fn a_list_of_pairs() {
    let doc = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/scripts.md")).unwrap();
    let recipe = doc.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    for git in gits() {
        let pair = Pair::new(git);
        scenes::fresh(&pair);
        let dir = pair.world.path();
        std::fs::write(dir.join("mirror-all"), recipe).unwrap();
        let source = pair.source_url();
        let gone = pair.server.url("gone.git");
        let list = format!("{source} one.git\n{gone} two.git\n{source} three.git\n{source} four.git\n");
        std::fs::write(dir.join("pairs.txt"), list).unwrap();
        let run = || git.program_in(dir, "sh").args(["mirror-all", "pairs.txt"]).run();
        for _ in 0..2 {
            let output = run();
            assert_ne!(output.code(), 0, "{output}");
            assert_eq!(output.out(), "", "{output}");
            let lines: Vec<_> = output.err().lines().map(str::to_owned).collect();
            assert_eq!(
                lines.iter().filter(|line| line.starts_with("fatal: ")).count(),
                1,
                "{output}"
            );
            assert!(
                output.err().contains(&format!("fatal: {gone} => two.git: ")),
                "{output}"
            );
            for name in ["one.git", "three.git", "four.git"] {
                assert_same_refs(&pair.source, &pair.world.open(name));
            }
            scenes::grow(&pair.source, "main", 1);
        }
    }
}

/// Every long option of the program stands in the manual, and every one in the manual exists.
#[test]
fn the_manual_knows_every_option() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/man/git-relay.1")).unwrap();
    let (options, rest) = page.split_once(".SH OPTIONS").unwrap();
    let (described, _) = rest.split_once("\n.SH ").unwrap();
    assert!(!options.is_empty());
    let described: BTreeSet<String> = described
        .replace("\\-", "-")
        .lines()
        .filter(|line| line.starts_with(".B"))
        .flat_map(|line| {
            let words = line
                .split([' ', ',', '=', '"'])
                .filter(|word| word.starts_with("--"));
            words.map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    let command = git_remote_sync::cli::command();
    let mut known = BTreeSet::new();
    let mut names = Vec::new();
    for part in std::iter::once(&command).chain(command.get_subcommands()) {
        known.extend(
            part.get_arguments()
                .filter_map(|arg| arg.get_long())
                .map(|long| format!("--{long}")),
        );
    }
    for part in command.get_subcommands() {
        names.push(part.get_name().to_owned());
    }
    known.extend(["--help".to_owned(), "--version".to_owned()]);
    assert_eq!(described, known);
    for name in names {
        assert!(
            page.contains(&format!(".B {name}\n")) || page.contains(&format!("git relay {name}")),
            "{name}"
        );
    }
}

#[test]
fn help_goes_to_standard_output() {
    for git in gits().iter().take(1) {
        let pair = Pair::local(git);
        let dir = pair.world.path();
        for args in [&["-h"][..], &["sync", "-h"], &["push", "-h"]] {
            let output = relay_in(git, dir, args).ok();
            assert!(output.out().contains("Usage: git relay"), "{output}");
        }
        let program = env!("CARGO_BIN_EXE_git-relay");
        let output = git.program_in(dir, program).arg("--help").ok();
        assert!(output.out().contains("git relay sync https://"), "{output}");
        relay_in(git, dir, &[]).exits(2).says("Usage: git relay");
        relay_in(git, dir, &["--version"]).ok();
    }
}

/// The script for bash completes after `git-relay`, and after `git relay` through git's own completion.
#[test]
fn completions_for_bash() {
    for git in gits().iter().take(1) {
        let pair = Pair::local(git);
        let dir = pair.world.path();
        for shell in ["bash", "zsh", "fish"] {
            let output = relay_in(git, dir, &["completions", shell]).ok();
            assert!(output.out().contains("max-pack-bytes"), "{shell}");
        }
        let script = r#"
            eval "$(git relay completions bash)"
            COMP_WORDS=(git-relay boot) COMP_CWORD=1
            _git__relay git-relay boot git-relay
            echo "${COMPREPLY[@]}"
            words=(git -C x relay sync --max) cword=5 cur=--max prev=sync __git_cmd_idx=3
            _git_relay
            echo "${COMPREPLY[@]}"
        "#;
        let output = git.program_in(dir, "bash").args(["-c", script]).ok();
        assert_eq!(output.out(), "bootstrap\n--max-pack-bytes\n", "{output}");
    }
}

/// Everything is where programs look for it, and goes again. (`.ci/run` builds and installs for real.)
#[test]
fn the_installer_brings_completions_and_takes_them_away() {
    let git = &gits()[0];
    let pair = Pair::local(git);
    let dir = pair.world.path();
    let built = dir.join("target/release");
    std::fs::create_dir_all(&built).unwrap();
    for program in [
        env!("CARGO_BIN_EXE_git-remote-relay"),
        env!("CARGO_BIN_EXE_git-relay"),
    ] {
        let name = std::path::Path::new(program).file_name().unwrap();
        std::os::unix::fs::symlink(program, built.join(name)).unwrap();
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/install.sh");
    let run = |args: &[&str]| {
        let install = git
            .program_in(dir, script)
            .env("CARGO_TARGET_DIR", dir.join("target"));
        install.args(["--prefix", "to"]).args(args).run()
    };
    let there = |name: &str| dir.join("to/share").join(name);
    let completions = [
        "bash-completion/completions/git-relay",
        "zsh/site-functions/_git-relay",
        "fish/vendor_completions.d/git-relay.fish",
    ];
    // Somebody else's file stays, and so does its directory.
    std::fs::create_dir_all(there("zsh/site-functions")).unwrap();
    std::fs::write(there("zsh/site-functions/_other"), "").unwrap();
    for _ in 0..2 {
        run(&["--no-build"]).ok();
        for name in completions {
            let text = std::fs::read_to_string(there(name)).unwrap();
            assert!(text.contains("max-pack-bytes"), "{name}");
        }
    }
    run(&["--uninstall"]).ok();
    for name in completions {
        assert!(!there(name).exists(), "{name}");
    }
    assert!(there("zsh/site-functions/_other").exists());
    assert!(!dir.join("to/bin").exists() && !there("fish").exists() && !there("bash-completion").exists());
}
