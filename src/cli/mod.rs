//! `git relay`: arguments, one file for each command, and the exit code.
//!
//! What a command does is the library's business ([`crate::api`]); what is printed of it, that of [`crate::report`].

mod args;
mod bootstrap;
mod completions;
mod fetch;
mod output;
mod plan;
mod probe;
mod push;
mod size;
mod stop;
mod sync;
#[cfg(test)]
mod tests;

use std::process::ExitCode;
use std::time::Instant;

use clap::{CommandFactory, Parser};

use crate::report::measure::CountingAllocator;
use args::{Cli, Command};
use output::Output;

/// Wrong usage.
const USAGE: u8 = 2;

/// Run `git relay` on this process's arguments and streams. `allocator` is the program's global allocator, if that
/// counts.
///
/// The exit code is 0 when all is well, 1 when a ref was rejected or blocked, 2 for wrong usage, 128 for what stops a
/// run; `git relay push` passes on git's own.
pub fn main(allocator: Option<&'static CountingAllocator>) -> ExitCode {
    let started = Instant::now();
    crate::helper::init_log();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(err) => {
            // Help that nobody reads is no failure.
            err.print().ok();
            return ExitCode::from(if err.use_stderr() { USAGE } else { 0 });
        }
    };
    let output = Output::new(&cli.output, started, allocator);
    crate::git::scratch::before_first(stop::tidily);
    match cli.command {
        Command::Sync(args) => sync::run(&args, &output),
        Command::Plan(args) => plan::run(&args, &output),
        Command::Bootstrap(args) => bootstrap::run(&args, &output),
        Command::Probe(args) => probe::run(&args, &output),
        Command::Fetch(args) => fetch::run(&args, &output),
        Command::Push(args) => push::run(&args, &output),
        Command::Completions(args) => completions::run(args.shell),
    }
}

/// The command line as clap knows it, for completions and for tests of the manual.
pub fn command() -> clap::Command {
    Cli::command()
}
