//! `git relay probe`.

use std::process::ExitCode;

use super::args::ProbeArgs;
use super::output::Output;
use crate::api::{self, ProbeRequest};

pub(super) fn run(args: &ProbeArgs, output: &Output) -> ExitCode {
    let (source, target) = match args.pair.sides() {
        Ok(sides) => sides,
        Err(err) => return output.usage(&err),
    };
    output.finish(&api::probe(&ProbeRequest {
        source,
        target,
        protocol: args.protocol.into(),
        family: args.family.family(),
        tokens: args.tokens.names(),
    }))
}
