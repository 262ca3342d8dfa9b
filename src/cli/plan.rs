//! `git relay plan`.

use std::process::ExitCode;

use super::args::SyncArgs;
use super::output::Output;
use super::sync::request;
use crate::api;

pub(super) fn run(args: &SyncArgs, output: &Output) -> ExitCode {
    match request(args, output.wants_progress()) {
        Ok(request) => output.tell(|progress| api::plan(&request, progress)),
        Err(err) => output.usage(&err),
    }
}
