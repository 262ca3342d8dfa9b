//! From a plan to what became of it.

use std::time::Instant;

use bstr::{BStr, ByteSlice};
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
        let mut job = self.job(plan, commands, policy);
        let ends = Ends {
            source: &mut self.source,
            target: &mut self.target,
        };
        let mut course = Course::begin(plan.route);
        let refs = match strategy::deliver(ends, &job, &mut course, progress) {
            Ok(report) => {
                // With many refs they are large, and what follows is just as large.
                job.push.commands = Vec::new();
                job.wants = Vec::new();
                let mut refs = outcomes(&plan.updates, &plan.actions, report);
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
        let pushed = |entry: &RefOutcome| matches!(entry.status, RefStatus::Done { new: Some(_), .. });
        let uses_lfs = moved.is_some() && refs.iter().any(pushed) && job.lfs.answer(&mut self.source);
        Ok(Outcome {
            refs,
            route,
            moved,
            elapsed,
            uses_lfs,
        })
    }

    fn job(&self, plan: &Plan, commands: Vec<Command>, policy: &Policy) -> Job {
        let (local, wants) = match &self.local {
            Some(local) => local.split(&plan.wants),
            None => (None, plan.wants.clone()),
        };
        Job {
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
            lfs: self.look_for_lfs(plan),
        }
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

    /// A look at one of the new tips, HEAD's if it is among them.
    fn look_for_lfs(&self, plan: &Plan) -> lfs::Look {
        if plan.wants.is_empty() || !self.source.can_filter() && plan.route.mode != Mode::Bootstrap {
            // Without filters a source prepares the whole tree to answer: too dear for a small push.
            return lfs::Look::default();
        }
        let all = plan.updates.iter().zip(&plan.actions);
        let tips = all.filter(|(update, action)| update.new_is_commit && changes(action));
        let head = self.source.advertisement().head.as_ref();
        let tip = tips.min_by_key(|(update, _)| head.is_none_or(|head| update.target != *head));
        lfs::Look::at(tip.and_then(|(update, _)| update.new_commit))
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

/// What became of each update. The report is looked up in, not copied: both can be long.
fn outcomes(updates: &[Update], actions: &[Action], mut report: Report) -> Vec<RefOutcome> {
    report.refs.sort_by(|one, other| one.name.cmp(&other.name));
    let outcome = |(update, action): (&Update, &Action)| {
        let mut outcome = planned(update, action);
        if changes(action) {
            let name: &BStr = update.target.as_ref();
            let found = report
                .refs
                .binary_search_by(|entry| entry.name.as_bstr().cmp(name));
            let verdict = found.ok().and_then(|place| report.refs.get(place));
            outcome.status = reported(update, verdict, &report);
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
        ) => RefStatus::Refused(words.to_string()),
        (Some(RefReport { options, .. }), _) => RefStatus::Done {
            old: update.old,
            new: update.new,
            options: options.clone(),
        },
        (None, Some(words)) => RefStatus::Refused(format!("unpacker error: {words}")),
        (None, None) => RefStatus::Refused("the target did not report what became of it".into()),
    }
}
