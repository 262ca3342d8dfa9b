//! From a plan to what became of it.

use std::collections::HashMap;
use std::time::Instant;

use bstr::BStr;
use gix_hash::ObjectId;

use super::aftermath::{self, Seen};
use super::{Outcome, Plan, Policy, RefOutcome, RefStatus, Session, changes, planned};
use crate::error::{Error, Result, Side};
use crate::plan::{Action, Update};
use crate::progress::Progress;
use crate::receive_pack::{Command, PushRequest};
use crate::strategy::{self, Course, Ends, Job, Mode, Pins, lfs};
use crate::url::RetryPolicy;
use crate::wire::report::{RefReport, Report};

impl Session {
    /// Carry `plan` out, unless `policy` wants a dry run.
    ///
    /// # Errors
    /// Whatever stops the run as a whole; refs that are rejected or refused are part of the [`Outcome`].
    pub fn execute(&mut self, plan: &Plan, policy: &Policy, progress: &dyn Progress) -> Result<Outcome> {
        let started = Instant::now();
        let commands = self.commands(&plan.updates, &plan.actions);
        if commands.is_empty() && !policy.dry_run && is_in_step(&plan.actions) {
            self.tidy_pins(progress);
        }
        if policy.dry_run || commands.is_empty() {
            return Ok(Outcome {
                refs: plan.outcomes(),
                route: plan.route,
                moved: None,
                elapsed: started.elapsed(),
                uses_lfs: false,
            });
        }
        let (local, wants) = match &self.local {
            Some(local) => local.split(&plan.wants),
            None => (None, plan.wants.clone()),
        };
        let job = Job {
            push: PushRequest {
                commands,
                atomic: policy.atomic,
                push_options: policy.push_options.clone(),
                quiet: !policy.progress,
            },
            haves: self.haves(plan),
            wants,
            local,
            terms: policy.terms.clone(),
            progress: policy.progress,
        };
        let ends = Ends {
            source: &mut self.source,
            target: &mut self.target,
        };
        let mut course = Course::begin(plan.route);
        let refs = match strategy::deliver(ends, &job, &mut course, progress) {
            Ok(report) => {
                let mut refs = outcomes(&plan.updates, &plan.actions, &report);
                aftermath::of_refusals(&mut self.target, (&plan.updates, &course.half_way), &mut refs);
                refs
            }
            Err(err) if self.target.owes_an_answer() && err.side() == Some(Side::Target) => {
                self.find_out(plan, (&job, &course, policy.retry), err, progress)?
            }
            Err(err) => return Err(err),
        };
        let Course { route, moved, .. } = course;
        let elapsed = started.elapsed();
        let uses_lfs = moved.is_some() && self.uses_lfs(&plan.updates, &refs, plan.route.mode);
        Ok(Outcome {
            refs,
            route,
            moved,
            elapsed,
            uses_lfs,
        })
    }

    /// The answer to `job` was lost by `err`: ask the target's refs instead.
    fn find_out(
        &mut self,
        plan: &Plan,
        (job, course, retry): (&Job, &Course, RetryPolicy),
        err: Error,
        progress: &dyn Progress,
    ) -> Result<Vec<RefOutcome>> {
        let why = err.message().to_owned();
        let sent = (job.push.commands.as_slice(), &course.half_way);
        let seen = aftermath::of_lost_answer(&mut self.target, sent, err, retry)?;
        progress.warning(&format!(
            "the target's answer was lost ({why}); its refs show what has arrived"
        ));
        let outcome = |(update, action): (&Update, &Action)| {
            let mut outcome = planned(update, action);
            match seen.get(&update.target).filter(|_| changes(action)) {
                Some(Seen::New) | None => {}
                Some(Seen::Old) => outcome.status = RefStatus::Unanswered,
                Some(Seen::Other) => outcome.status = RefStatus::Moved(why.clone()),
            }
            outcome
        };
        Ok(plan.updates.iter().zip(&plan.actions).map(outcome).collect())
    }

    /// Nothing is left to do, so what an earlier run has left for a later one is of no use any more.
    fn tidy_pins(&mut self, progress: &dyn Progress) {
        let pins = Pins::find(&self.source, &self.target);
        let mut ends = Ends {
            source: &mut self.source,
            target: &mut self.target,
        };
        pins.tidy(&mut ends, [], progress);
    }

    /// Look at one of the pushed tips, HEAD's if it is among them.
    fn uses_lfs(&mut self, updates: &[Update], refs: &[RefOutcome], mode: Mode) -> bool {
        if !self.source.can_filter() && mode != Mode::Bootstrap {
            // Such a source prepares the whole tree to answer: too dear for a small push.
            return false;
        }
        let pushed = updates.iter().zip(refs).filter(|(update, outcome)| {
            update.new_is_commit && matches!(outcome.status, RefStatus::Done { new: Some(_), .. })
        });
        let head = self.source.advertisement().head.as_ref();
        let tip = pushed.min_by_key(|(update, _)| head.is_none_or(|head| update.target != *head));
        let Some(commit) = tip.and_then(|(update, _)| update.new_commit) else {
            return false;
        };
        lfs::is_used(&mut self.source, commit).unwrap_or_else(|err| {
            log::debug!(target: "relay::source", "cannot tell whether Git LFS is used: {err}");
            false
        })
    }

    /// Deletes first, so that their names are free; then the branch that HEAD shall name, because hosts make the first
    /// branch they get the default one.
    fn commands(&self, updates: &[Update], actions: &[Action]) -> Vec<Command> {
        let null = ObjectId::null(self.target.format());
        let head = self.source.advertisement().head.as_ref();
        let mut commands: Vec<_> = updates
            .iter()
            .zip(actions)
            .filter(|(_, action)| changes(action))
            .map(|(update, _)| Command {
                name: update.target.clone(),
                old: update.old.unwrap_or(null),
                new: update.new.unwrap_or(null),
            })
            .collect();
        commands.sort_by_key(|command| {
            (
                !command.new.is_null(),
                head.is_none_or(|head| command.name != *head),
            )
        });
        commands
    }
}

fn is_in_step(actions: &[Action]) -> bool {
    actions.iter().all(|action| *action == Action::UpToDate)
}

fn outcomes(updates: &[Update], actions: &[Action], report: &Report) -> Vec<RefOutcome> {
    let reports: HashMap<&BStr, &RefReport> = report.refs.iter().map(|r| (r.name.as_ref(), r)).collect();
    let outcome = |(update, action): (&Update, &Action)| {
        let mut outcome = planned(update, action);
        if changes(action) {
            let name: &BStr = update.target.as_ref();
            outcome.status = reported(update, reports.get(name).copied(), report);
        }
        outcome
    };
    updates.iter().zip(actions).map(outcome).collect()
}

fn reported(update: &Update, verdict: Option<&RefReport>, report: &Report) -> RefStatus {
    match (verdict, &report.unpack_error) {
        (
            Some(RefReport {
                error: Some(words), ..
            }),
            _,
        ) => RefStatus::Refused(words.clone()),
        (Some(RefReport { options, .. }), _) => RefStatus::Done {
            old: update.old,
            new: update.new,
            options: options.clone(),
        },
        (None, Some(words)) => RefStatus::Refused(format!("unpacker error: {words}")),
        (None, None) => RefStatus::Refused("the target did not report what became of it".into()),
    }
}
