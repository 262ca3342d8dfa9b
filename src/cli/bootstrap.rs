//! `git relay bootstrap`.

use std::process::ExitCode;

use super::args::BootstrapArgs;
use super::output::Output;
use crate::api::{self, BootstrapRequest};
use crate::error::Result;

pub(super) fn run(args: &BootstrapArgs, output: &Output) -> ExitCode {
    match request(args, output.wants_progress()) {
        Ok(request) => output.tell(|progress| api::bootstrap(&request, progress)),
        Err(err) => output.usage(&err),
    }
}

fn request(args: &BootstrapArgs, progress: bool) -> Result<BootstrapRequest> {
    let mut options = args.transfer.options(progress);
    args.policy.apply(&mut options);
    Ok(BootstrapRequest {
        pair: args.pair.pair()?,
        selection: args.selection.selection(false),
        best_effort: args.policy.best_effort(),
        options,
    })
}
