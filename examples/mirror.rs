//! Mirror all branches and tags of one repository to another: `cargo run --example mirror <source> <target>`.

use std::cell::Cell;
use std::process::ExitCode;

use git_remote_sync::api::{self, Pair, Progress, SyncRequest};

/// Counts what passes.
#[derive(Default)]
struct Counter {
    bytes: Cell<u64>,
}

impl Progress for Counter {
    fn pack_bytes(&self, bytes: u64, _objects: u32) {
        self.bytes.set(bytes);
    }
}

#[allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks")]
fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(source), Some(target)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: mirror <source> <target>");
        return ExitCode::from(2);
    };
    let mut request = SyncRequest::new(Pair::new(source, target));
    request.selection.tags = true;
    request.selection.prune = true;
    let plan = api::plan(&request, &api::Silent);
    println!("{} refs to look at", plan.refs.len());
    let counter = Counter::default();
    let run = api::sync(&request, &counter);
    for entry in run.refs.iter() {
        println!("{} {}", entry.status.as_str(), entry.target);
    }
    if let Some(err) = &run.error {
        eprintln!("{}: {err}", err.kind().as_str());
    }
    println!("{} bytes", counter.bytes.get());
    ExitCode::from(run.exit_code())
}
