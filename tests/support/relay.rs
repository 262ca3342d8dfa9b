//! `git relay` on the two sides of a [`Pair`].

use std::path::Path;

use super::git::Git;
use super::pair::Pair;
use super::process::Output;

/// `git relay <command> <source> <target> <args>`, run in the directory of all repositories.
pub fn relay(pair: &Pair, command: &str, args: &[&str]) -> Output {
    let sides = [command, &pair.source_url(), &pair.target_url()];
    relay_in(&pair.world.git, pair.world.path(), &[&sides, args].concat())
}

/// `git relay <args>` in `dir`.
pub fn relay_in(git: &Git, dir: &Path, args: &[&str]) -> Output {
    let output = git.cmd(dir).arg("relay").args(args).run();
    eprintln!("{output}");
    output
}
