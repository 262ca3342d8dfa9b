//! The commands of the push, when all that they need is on the target or comes with them.

use super::super::spool::Stored;
use super::push::sweep;
use super::steps::Steps;
use super::{Batches, Pushed};
use crate::error::{Error, Kind, Result, Side};
use crate::receive_pack::{Body, Command, PushRequest};
use crate::wire::pack::empty_pack;
use crate::wire::report::Report;

impl Batches<'_, '_> {
    /// All commits are on the target: bring what hangs behind them, and set the refs.
    pub(super) fn cut_over_alone(&mut self) -> Result<Report> {
        loop {
            let mut tail = self.fetch_tail()?;
            match self.cut_over(tail.as_mut())? {
                Pushed::Landed(report) => return Ok(report),
                Pushed::NotThin => {}
                Pushed::TooMuch(_) => {
                    let message = "it refused to set the refs, with all commits in place already";
                    return Err(Error::new(Kind::Limit, message).on(Side::Target));
                }
            }
        }
    }

    /// Set the refs, in one step where the target can, and take the pins away. If one ref is refused then, and the user
    /// did not ask for all or none, each ref stands for itself.
    pub(super) fn cut_over(&mut self, mut piece: Option<&mut Stored>) -> Result<Pushed> {
        let commands = self.commands_left();
        let could = self.ends.target.offers("atomic") && commands.len() > 1;
        let mut pushed = self.set_refs(&commands, could || self.job.push.atomic, piece.as_deref_mut())?;
        let is_refused = |pushed: &Pushed| match pushed {
            Pushed::Landed(report) => !report.is_all_done(),
            Pushed::TooMuch(_) | Pushed::NotThin => false,
        };
        if is_refused(&pushed) && could && !self.job.push.atomic {
            log::info!(target: "relay::target", "not all refs can be set in one step, trying each");
            pushed = self.set_refs(&commands, false, piece.as_deref_mut())?;
        }
        if let Pushed::Landed(report) = &mut pushed {
            if let Some(piece) = piece {
                self.moved.add(piece.summary);
            }
            if report.is_all_done() {
                sweep(self.ends.target, &self.pins, self.progress);
            }
            self.add_finished(report);
        }
        Ok(pushed)
    }

    pub(super) fn commands_left(&self) -> Vec<Command> {
        let all = &self.job.push.commands;
        match &self.steps {
            None => all.clone(),
            Some(steps) => {
                let deletes = all.iter().filter(|command| command.new.is_null()).cloned();
                deletes.chain(steps.left().cloned()).collect()
            }
        }
    }

    fn set_refs(&mut self, commands: &[Command], atomic: bool, piece: Option<&mut Stored>) -> Result<Pushed> {
        let request = PushRequest {
            commands: commands.to_vec(),
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

    /// Enter the refs that had their last value before the rest.
    pub(super) fn add_finished(&self, report: &mut Report) {
        let finished = self.steps.iter().flat_map(Steps::finished);
        let done = Report::all_done(finished.map(|command| &*command.name));
        report.refs.extend(done.refs);
    }
}
