//! `git relay fetch`.

use std::process::ExitCode;

use super::args::FetchArgs;
use super::output::Output;
use crate::api::{self, FetchRequest};
use crate::error::Result;

pub(super) fn run(args: &FetchArgs, output: &Output) -> ExitCode {
    match request(args, output.wants_progress()) {
        Ok(request) => output.tell(|progress| api::fetch(&request, progress)),
        Err(err) => output.usage(&err),
    }
}

fn request(args: &FetchArgs, progress: bool) -> Result<FetchRequest> {
    let (source, target) = args.pair.sides()?;
    Ok(FetchRequest {
        source,
        target,
        selection: args.selection.selection(false),
        overwrite: args.overwrite.overwrite(),
        options: args.transfer.options(progress),
    })
}
