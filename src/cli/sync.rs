//! `git relay sync`.

use std::process::ExitCode;

use super::args::SyncArgs;
use super::output::Output;
use crate::api::{self, SyncRequest};
use crate::error::Result;

pub(super) fn run(args: &SyncArgs, output: &Output) -> ExitCode {
    match request(args, output.wants_progress()) {
        Ok(request) => output.tell(|progress| api::sync(&request, progress)),
        Err(err) => output.usage(&err),
    }
}

/// What `sync` and `plan` ask for.
pub(super) fn request(args: &SyncArgs, progress: bool) -> Result<SyncRequest> {
    let mut options = args.transfer.options(progress);
    args.policy.apply(&mut options);
    Ok(SyncRequest {
        pair: args.pair.pair()?,
        selection: args.selection.selection(args.prune),
        overwrite: args.overwrite.overwrite(),
        best_effort: args.policy.best_effort(),
        dry_run: args.dry_run,
        options,
    })
}
