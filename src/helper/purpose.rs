//! What git is about to do, as far as that can be told before it says so.
//!
//! Git asks for capabilities first and says later whether it reads or pushes, but a view of the source must be in place
//! before that. Where the system shows the command line of the git that runs us (`/proc` on Linux), reading commands are
//! spared a view, connections to both sides and their failures. Nothing depends on it for the rest: a purpose that is
//! not known costs time, and reading works either way.

use std::fs::File;
use std::io::Read;

use crate::url::Family;

/// What the git that runs us does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// `git push`.
    Push,
    /// A command that only ever reads from a remote.
    Read,
    /// Anything else, or not known.
    Unknown,
}

/// Of a command line longer than this (bytes), what git is to do stands in the beginning.
const CMDLINE_LIMIT: u64 = 64 * 1024;

/// Git runs `git remote-relay`, which runs us; the rest is room for wrappers.
const GENERATIONS: usize = 4;

/// Commands that talk to remotes themselves and never push.
const READERS: [&[u8]; 6] = [b"archive", b"clone", b"fetch", b"ls-remote", b"pull", b"remote"];

/// Options of `git` itself that take the next word as their value.
const WITH_VALUE: [&[u8]; 8] = [
    b"-C",
    b"-c",
    b"--attr-source",
    b"--config-env",
    b"--git-dir",
    b"--namespace",
    b"--super-prefix",
    b"--work-tree",
];

/// What is known about the git that runs us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) purpose: Purpose,
    /// What a push says about it; others tell us before we connect.
    pub(super) family: Family,
}

impl Caller {
    /// Look at the processes that led to us.
    pub(super) fn find() -> Caller {
        let mut pid = std::os::unix::process::parent_id();
        for _ in 0..GENERATIONS {
            let Some(line) = read(pid, "cmdline") else { break };
            match of_command_line(&line) {
                Some(caller) => return caller,
                None => match read(pid, "stat").and_then(|stat| parent(&stat)) {
                    Some(parent) => pid = parent,
                    None => break,
                },
            }
        }
        Caller {
            purpose: Purpose::Unknown,
            family: Family::All,
        }
    }
}

fn read(pid: u32, what: &str) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    let file = File::open(format!("/proc/{pid}/{what}")).ok()?;
    file.take(CMDLINE_LIMIT).read_to_end(&mut content).ok()?;
    Some(content)
}

/// The fourth field of proc_pid_stat(5). The second, the program's name, may have anything in it.
fn parent(stat: &[u8]) -> Option<u32> {
    let after_name = stat.rsplit(|byte| *byte == b')').next()?;
    let text = std::str::from_utf8(after_name).ok()?;
    text.split_whitespace().nth(1)?.parse().ok()
}

/// `None` for whatever is not a git command, or one that only hands through to us.
fn of_command_line(line: &[u8]) -> Option<Caller> {
    let mut words = line.split(|byte| *byte == 0);
    let program = words.next()?.rsplit(|byte| *byte == b'/').next()?;
    let command = match program.strip_prefix(b"git-") {
        Some(command) => command,
        None if program == b"git" => subcommand(&mut words)?,
        None => return None,
    };
    let purpose = match command {
        b"push" => Purpose::Push,
        command if READERS.contains(&command) => Purpose::Read,
        command if command.starts_with(b"remote-") => return None,
        _ => Purpose::Unknown,
    };
    let family = match purpose {
        Purpose::Push => Family::of_push(words),
        Purpose::Read | Purpose::Unknown => Family::All,
    };
    Some(Caller { purpose, family })
}

fn subcommand<'a>(words: &mut impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    loop {
        let word = words.next()?;
        if WITH_VALUE.contains(&word) {
            words.next()?;
        } else if !word.starts_with(b"-") {
            return Some(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(line: &str) -> Option<Caller> {
        of_command_line(line.replace(' ', "\0").as_bytes())
    }

    fn of(line: &str) -> Option<Purpose> {
        caller(line).map(|caller| caller.purpose)
    }

    #[test]
    fn the_first_word_that_is_no_option_of_git_decides() {
        assert_eq!(of("git push x"), Some(Purpose::Push));
        assert_eq!(
            of("/usr/lib/git-core/git -c a=push --no-pager fetch x"),
            Some(Purpose::Read)
        );
        assert_eq!(of("git -C push --git-dir=clone ls-remote"), Some(Purpose::Read));
        assert_eq!(of("git-fetch x"), Some(Purpose::Read));
        assert_eq!(of("git of-the-future push"), Some(Purpose::Unknown));
    }

    #[test]
    fn a_push_says_how_to_connect() {
        let family = |line: &str| caller(line).unwrap().family;
        assert_eq!(family("git push u main"), Family::All);
        assert_eq!(family("git push --ipv4 u main"), Family::V4);
        assert_eq!(family("git -c x=-4 push u main -nq6"), Family::V6);
        assert_eq!(family("git push -4 --ipv6 u"), Family::V6);
        for line in [
            "git push -o4 u",
            "git push -qo -4 u",
            "git push --push-option -4 u",
            "git push u -- -4",
            "git fetch -4 u",
        ] {
            assert_eq!(family(line), Family::All, "{line}");
        }
    }

    #[test]
    fn processes_in_between_are_passed_over() {
        assert_eq!(of("git remote-relay origin a=>b"), None);
        assert_eq!(of("git-remote-relay push x"), None);
        assert_eq!(of("sh -c git push"), None);
        assert_eq!(of("git -c"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent(b"12 (a) b) S) R 7 12 12 0"), Some(7));
        assert_eq!(parent(b"12"), None);
        let ours = read(std::process::id(), "stat").and_then(|stat| parent(&stat));
        assert!(ours.is_none_or(|pid| pid == std::os::unix::process::parent_id()));
    }
}
