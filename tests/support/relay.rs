//! `git relay` on the two sides of a [`Pair`].

use std::path::Path;

use serde_json::Value;

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

/// The one JSON object on standard output.
pub fn json(output: &Output) -> Value {
    serde_json::from_str(&output.out()).unwrap_or_else(|err| panic!("{err}: {output}"))
}

/// `target_ref: action status reason` of all refs in a JSON report.
pub fn refs(report: &Value) -> Vec<String> {
    let refs = report["refs"].as_array().unwrap().iter();
    let mut lines: Vec<_> = refs
        .map(|entry| {
            let word = |key: &str| entry[key].as_str().unwrap_or("").to_owned();
            let name = word("target_ref").replacen("refs/", "", 1);
            format!("{name}: {} {} {}", word("action"), word("status"), word("reason"))
                .trim_end()
                .to_owned()
        })
        .collect();
    lines.sort();
    lines
}
