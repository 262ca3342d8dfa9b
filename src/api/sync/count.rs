//! Counting what would move, without a place to put it.

use super::super::run::Run;
use crate::error::Result;
use crate::progress::Progress;
use crate::pump::{self, PackCheck};
use crate::session::{Plan, Policy, Session};
use crate::strategy::{Job, relay};

/// Fetch the pack of `plan` and count it.
pub(super) fn fetch(
    run: &mut Run,
    session: &mut Session,
    plan: &Plan,
    policy: &Policy,
    progress: &dyn Progress,
) -> Result<()> {
    if plan.wants.is_empty() {
        return Ok(());
    }
    run.source_stats.wants = plan.wants.len() as u64;
    run.source_stats.haves = plan.haves.len() as u64;
    let job = Job {
        wants: plan.wants.clone(),
        haves: plan.haves.clone(),
        progress: policy.progress,
        ..Job::default()
    };
    let format = session.source.format();
    let request = relay::fetch_request(&session.target, &job, relay::may_be_thin(&session.target, &job));
    let mut pack = relay::fetch(&mut session.source, &request, progress)?;
    let check = PackCheck::new(format, policy.terms.max_pack_bytes);
    let mut on_bytes = |bytes, objects| progress.pack_bytes(bytes, objects);
    let summary = pump::relay(&mut pack, &mut [], check, &mut on_bytes)?;
    progress.pack_sent();
    run.pack.add(summary);
    Ok(())
}
