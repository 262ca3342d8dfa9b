//! Carrying a plan out.

use super::super::entries::Entries;
use super::super::run::Run;
use super::entries::{self, Deed};
use crate::error::Result;
use crate::progress::Progress;
use crate::session::{Outcome, Plan, Policy, Session, changes};

/// How to tell about what is carried out.
pub(crate) struct Telling<'a> {
    /// The entries of the plan. They are made when the push is over, for many refs take as much memory there as on their
    /// way.
    pub(crate) entries: &'a dyn Fn(Deed<'_>) -> Entries,
    /// Refusals are only warned about.
    pub(crate) tolerant: bool,
    pub(crate) progress: &'a dyn Progress,
}

/// Push what `plan` says, and enter into `run` what really happened, also when it breaks off. In a dry run nothing does.
pub(crate) fn execute(
    run: &mut Run,
    session: &mut Session,
    plan: &Plan,
    policy: &Policy,
    telling: &Telling<'_>,
) -> Result<Outcome> {
    let progress = telling.progress;
    let commands = plan.actions.iter().filter(|action| changes(action)).count();
    if commands == 0 || policy.dry_run {
        run.refs = (telling.entries)(Deed::Planned);
        return session.execute(plan, policy, progress);
    }
    let sent = |session: &Session| session.target.link().traffic().bytes_sent;
    let sent_before = sent(session);
    if !plan.wants.is_empty() {
        run.source_stats.wants = plan.wants.len() as u64;
        run.source_stats.haves = plan.haves.len() as u64;
    }
    let result = session.execute(plan, policy, progress);
    if sent(session) > sent_before {
        run.target_stats.commands = commands as u64;
    }
    run.route = session.route().or(run.route);
    match &result {
        Ok(outcome) => {
            if let Some(moved) = outcome.moved {
                run.pack = moved;
            }
            run.uses_lfs = outcome.uses_lfs;
            run.refs = (telling.entries)(Deed::Done {
                statuses: &outcome.refs,
                tolerant: telling.tolerant,
            });
            if let Some(err) = entries::spoiled(plan, &outcome.refs) {
                run.error.get_or_insert(err);
            }
        }
        Err(_) => run.refs = (telling.entries)(Deed::BrokenOff),
    }
    result
}
