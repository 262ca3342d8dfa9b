//! From a plan to what became of it.

use std::time::Instant;

use super::aftermath::{self, Seen};
use super::{Outcome, Plan, Policy, RefStatus, Session, changes};
use crate::error::{Error, Result, Side};
use crate::plan::Action;
use crate::progress::Progress;
use crate::receive_pack::PushRequest;
use crate::strategy::{self, Course, Ends, Job, Mode, Pins, lfs};
use crate::url::RetryPolicy;
use crate::wire::changes::Commands;
use crate::wire::report::{Report, Verdict};

impl Session {
    /// Carry `plan` out, unless `policy` wants a dry run.
    ///
    /// # Errors
    /// Whatever stops the run as a whole; refs that are rejected or refused are part of the [`Outcome`].
    pub fn execute(&mut self, plan: &Plan, policy: &Policy, progress: &dyn Progress) -> Result<Outcome> {
        let started = Instant::now();
        let commands = self.commands(plan);
        if commands.is_empty() && !policy.dry_run && is_in_step(&plan.actions) {
            self.tidy_pins(progress);
        }
        if policy.dry_run || commands.is_empty() {
            return Ok(Outcome {
                refs: plan.statuses(),
                route: plan.route,
                moved: None,
                elapsed: started.elapsed(),
                uses_lfs: false,
            });
        }
        let job = self.job(plan, commands, policy);
        let ends = Ends {
            source: &mut self.source,
            target: &mut self.target,
        };
        let mut course = Course::begin(plan.route);
        let delivered = strategy::deliver(ends, &job, &mut course, progress);
        self.route = Some(course.route);
        let refs = match delivered {
            Ok(report) => {
                let mut refs = statuses(plan, &job.push.commands, report);
                aftermath::of_refusals(&mut self.target, (&plan.updates, &course.half_way), &mut refs);
                aftermath::tell_where_they_are(&plan.updates, &course.half_way, &mut refs);
                refs
            }
            Err(err) if self.target.owes_an_answer() && err.side() == Some(Side::Target) => {
                self.find_out(plan, (&job, &course, policy.retry), err, progress)?
            }
            Err(err) => return Err(err),
        };
        let Course { route, moved, .. } = course;
        let elapsed = started.elapsed();
        let mut all = refs.iter().zip(plan.updates.iter());
        let any_new =
            all.any(|(status, update)| matches!(status, RefStatus::Done(_)) && update.new.is_some());
        let uses_lfs = moved.is_some() && any_new && job.lfs.answer(&mut self.source);
        Ok(Outcome {
            refs,
            route,
            moved,
            elapsed,
            uses_lfs,
        })
    }

    fn job(&self, plan: &Plan, commands: Commands, policy: &Policy) -> Job {
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
            haves: plan.haves.clone(),
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
    ) -> Result<Vec<RefStatus>> {
        let why = err.message().to_owned();
        let commands = &job.push.commands;
        let sent = (commands, &course.half_way);
        let seen = aftermath::of_lost_answer(&mut self.target, sent, err, retry)?;
        progress.warning(&format!(
            "the target's answer was lost ({why}); its refs show what has arrived"
        ));
        let mut statuses = plan.statuses();
        for (number, seen) in commands.numbers().zip(seen) {
            let Some(status) = statuses.get_mut(number) else {
                continue;
            };
            match seen {
                Seen::New => {}
                Seen::Old => *status = RefStatus::Unanswered,
                Seen::Other => *status = RefStatus::Moved(why.as_str().into()),
            }
        }
        Ok(statuses)
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
    fn commands(&self, plan: &Plan) -> Commands {
        let head = self.source.advertisement().head.as_ref();
        let changing = (0..).zip(&plan.actions).filter(|(_, action)| changes(action));
        let mut order: Vec<u32> = changing.map(|(number, _)| number).collect();
        order.sort_by_key(|number| {
            let update = plan.updates.get(*number as usize);
            let creates = update.is_some_and(|update| update.new.is_some());
            let is_head = head.is_some_and(|head| update.is_some_and(|update| update.target == *head));
            (creates, !is_head)
        });
        order.shrink_to_fit();
        plan.updates.commands(order)
    }
}

fn is_in_step(actions: &[Action]) -> bool {
    actions.iter().all(|action| *action == Action::UpToDate)
}

/// What became of each update.
fn statuses(plan: &Plan, commands: &Commands, report: Report) -> Vec<RefStatus> {
    let mut statuses = plan.statuses();
    for (number, verdict) in commands.numbers().zip(report.verdicts) {
        if let Some(status) = statuses.get_mut(number) {
            *status = status_of(verdict, report.unpack_error.as_deref());
        }
    }
    statuses
}

fn status_of(verdict: Verdict, unpack_error: Option<&str>) -> RefStatus {
    match (verdict, unpack_error) {
        (Verdict::Done(options), _) => RefStatus::Done(options),
        (Verdict::Silence, Some(words)) => RefStatus::Refused(format!("unpacker error: {words}").into()),
        (other, _) => RefStatus::Refused(other.refusal().unwrap_or_default().into()),
    }
}
