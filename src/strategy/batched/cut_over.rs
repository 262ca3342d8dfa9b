//! The commands of the push, when all that they need is on the target or comes with them.

use std::collections::{HashMap, HashSet};

use bstr::BStr;
use gix_hash::ObjectId;

use super::super::spool::Stored;
use super::{Batches, Pushed};
use crate::error::Result;
use crate::receive_pack::{Body, PushRequest};
use crate::wire::changes::Commands;
use crate::wire::pack::empty_pack;
use crate::wire::report::{Report, Verdict};

impl Batches<'_, '_> {
    /// All commits are on the target: bring what hangs behind them, and set the refs.
    pub(super) fn cut_over_alone(&mut self) -> Result<Report> {
        let mut most = usize::MAX;
        loop {
            let Some((objects, mut piece)) = self.next_of_tail(most)? else {
                match self.cut_over(None)? {
                    Pushed::Landed(report) => return Ok(report),
                    Pushed::NotThin | Pushed::TooMuch(_) => continue,
                }
            };
            let commands = self.holders_of(&objects);
            match self.push(&commands, &mut piece)? {
                Pushed::Landed(report) => {
                    if let Some(end) = self.landed(self.at, &commands, (&piece, &report))? {
                        return Ok(end);
                    }
                    self.haves.extend(objects);
                }
                Pushed::TooMuch(why) if objects.len() > 1 => {
                    self.sizes.refused(objects.len(), piece.summary.bytes, why);
                    most = objects.len() / 2;
                }
                Pushed::TooMuch(_) => return Err(self.cannot_fit(self.at, Some(piece.summary.bytes))),
                Pushed::NotThin => {}
            }
        }
    }

    /// The commands for refs that hold `objects`, which are no commits of the row.
    fn holders_of(&self, objects: &[ObjectId]) -> Commands {
        match &self.steps {
            None => self.pins.commands(objects),
            Some(steps) => {
                let objects: HashSet<&ObjectId> = objects.iter().collect();
                let is_one = |oid: ObjectId| objects.contains(&oid);
                steps
                    .left()
                    .filter(|command| command.new.is_some_and(is_one))
                    .collect()
            }
        }
    }

    /// Set the refs, in one step where the target can. If one ref is refused then, and the user
    /// did not ask for all or none, each ref stands for itself.
    pub(super) fn cut_over(&mut self, mut piece: Option<&mut Stored>) -> Result<Pushed> {
        let commands = self.commands_left();
        let could = self.ends.target.offers("atomic") && commands.len() > 1;
        let mut pushed = self.set_refs(&commands, could || self.job.push.atomic, piece.as_deref_mut())?;
        let is_refused = |pushed: &Pushed| match pushed {
            Pushed::Landed(report) => !report.did_all(),
            Pushed::TooMuch(_) | Pushed::NotThin => false,
        };
        if is_refused(&pushed) && could && !self.job.push.atomic {
            log::info!(target: "relay::target", "not all refs can be set in one step, trying each");
            pushed = self.set_refs(&commands, false, piece.as_deref_mut())?;
        }
        let Pushed::Landed(report) = pushed else {
            return Ok(pushed);
        };
        if let Some(piece) = piece {
            self.course.add(piece.summary);
        }
        Ok(Pushed::Landed(self.about_all(&commands, report)))
    }

    pub(super) fn commands_left(&self) -> Commands {
        let all = &self.job.push.commands;
        match &self.steps {
            None => all.clone(),
            Some(steps) => {
                let deletes = all.iter().filter(|command| command.new.is_none());
                deletes.chain(steps.left()).collect()
            }
        }
    }

    fn set_refs(&mut self, commands: &Commands, atomic: bool, piece: Option<&mut Stored>) -> Result<Pushed> {
        let request = PushRequest {
            commands: commands.clone(),
            atomic,
            ..self.job.push.clone()
        };
        match piece {
            Some(piece) => self.send(&request, piece),
            None => {
                let pack = empty_pack(self.ends.target.format());
                let report = self
                    .ends
                    .target
                    .push(&request, Body::Whole(&pack), self.progress)?;
                Ok(Pushed::Landed(report))
            }
        }
    }

    /// From a report about `commands`, those that were left, to one about all of the push: the others have their last
    /// value already.
    pub(super) fn about_all(&self, commands: &Commands, report: Report) -> Report {
        let mut left: HashMap<&BStr, Verdict> = commands.names().zip(report.verdicts).collect();
        let done = Verdict::Done(Vec::new());
        let verdict = |name| left.remove(name).unwrap_or(done.clone());
        Report {
            unpack_error: report.unpack_error,
            verdicts: self.job.push.commands.names().map(verdict).collect(),
        }
    }
}
