//! Pieces on their way to the target, and the refs that hold them there.

use bstr::{BStr, BString, ByteSlice};
use bytesize::ByteSize;

use super::super::refusal::{Listening, TooMuch};
use super::super::spool::Stored;
use super::steps::Steps;
use super::{Batches, Pins, Pushed};
use crate::error::{Error, Kind, Result, Side, printable};
use crate::plan::Row;
use crate::progress::{Progress, Silent};
use crate::receive_pack::{Body, Command, PushRequest, Target};
use crate::wire::pack::empty_pack;
use crate::wire::report::{RefReport, Report};

impl Batches<'_, '_> {
    /// Whether the target takes pins shows before anything is uploaded, if it has an object already.
    pub(super) fn try_pins(&mut self) -> Result<()> {
        let tip = self.ends.target.tips().next();
        let Some(tip) = tip.filter(|_| self.pins.is_empty() && !self.row.is_empty()) else {
            return Ok(());
        };
        let commands = self.pins.commands(&[tip]);
        let request = self.request_to(commands.clone());
        let pack = empty_pack(self.ends.target.format());
        let report = self
            .ends
            .target
            .push(&request, Body::Whole(&pack), self.progress)?;
        match refusal(&report) {
            None => self.pins.have(&commands),
            Some((_, words)) => self.go_in_steps(&words)?,
        }
        Ok(())
    }

    /// Push a piece, and have `commands` hold it.
    pub(super) fn push(&mut self, commands: &[Command], piece: &mut Stored) -> Result<Pushed> {
        let request = self.request_to(commands.to_vec());
        self.send(&request, piece)
    }

    fn request_to(&self, commands: Vec<Command>) -> PushRequest {
        PushRequest {
            commands,
            quiet: self.job.push.quiet,
            ..PushRequest::default()
        }
    }

    /// Push, and find out what an answer would have said that was lost.
    pub(super) fn send(&mut self, request: &PushRequest, piece: &mut Stored) -> Result<Pushed> {
        let listening = Listening::to(self.progress);
        let target = &mut *self.ends.target;
        let result = target.push(request, piece.body()?, &listening);
        if let Err(err) = &result
            && target.owes_an_answer()
            && target.shows(&request.commands)
        {
            let why = err.message();
            let told =
                format!("the target's answer was lost ({why}); its refs show that a batch has arrived");
            self.progress.warning(&told);
            return Ok(Pushed::Landed(Report::all_done(
                request.commands.iter().map(|c| &*c.name),
            )));
        }
        let over_http = !target.link().connection_persists_across_multiple_requests();
        let passed = over_http.then_some(piece.summary.bytes);
        if let Some(why) = listening.too_much(result.as_ref(), passed) {
            return Ok(Pushed::TooMuch(why));
        }
        let report = result?;
        match &report.unpack_error {
            None => Ok(Pushed::Landed(report)),
            Some(words) if self.thin => {
                log::warn!(target: "relay::target", "a thin pack was refused ({words}), sending self-contained ones");
                self.thin = false;
                Ok(Pushed::NotThin)
            }
            Some(words) => {
                Err(Error::new(Kind::Peer, format!("could not unpack a batch: {words}")).on(Side::Target))
            }
        }
    }

    /// The piece up to `to` is on the target, if `commands` were carried out. If not, and there is no other way, the push
    /// ends here, and the report about it is returned.
    pub(super) fn landed(
        &mut self,
        to: usize,
        commands: &[Command],
        (piece, report): (&Stored, &Report),
    ) -> Result<Option<Report>> {
        // A run for the same pair that was faster has set the same refs.
        let refused = refusal(report).filter(|_| !self.ends.target.shows(commands));
        if let Some((name, words)) = refused {
            if self.at > 0 || self.steps.is_some() {
                return Ok(Some(self.give_up(name.as_bstr(), &words)));
            }
            return self.go_in_steps(&words).map(|()| None);
        }
        match &mut self.steps {
            Some(steps) => steps.have(commands, to),
            None => self.pins.have(commands),
        }
        self.haves.extend(commands.iter().map(|command| command.new));
        self.moved.add(piece.summary);
        let (packs, commits) = (self.moved.packs, to - self.at);
        let size = ByteSize::b(piece.summary.bytes).display().iec();
        self.progress
            .note(&format!("batch {packs} has arrived: {commits} commits, {size}"));
        self.at = to;
        self.sizes.taken(piece.summary.bytes);
        Ok(None)
    }

    /// A report of which nothing was done that is not done yet, because the ref `refused` was refused in these `words`.
    fn give_up(&self, refused: &BStr, words: &str) -> Report {
        let mut report = Report::default();
        for command in self.commands_left() {
            let why = match *command.name == *refused {
                true => words.to_owned(),
                false => format!("a batch was refused: {words}"),
            };
            report.refs.push(RefReport {
                name: command.name.as_bstr().to_owned(),
                error: Some(why),
                options: Vec::new(),
            });
        }
        self.add_finished(&mut report);
        report
    }

    /// The target has refused the piece up to `to`, because its `bytes` were too much.
    pub(super) fn refused(&mut self, to: usize, bytes: u64, why: TooMuch) -> Result<()> {
        let commits = to - self.at;
        if self.is_least(to) {
            return Err(self.cannot_fit(to, Some(bytes)));
        }
        if !self.sizes.refused(commits, bytes, why) {
            let message = format!("it refuses a batch of no more than {bytes} bytes as well");
            return Err(Error::new(Kind::Limit, message).on(Side::Target));
        }
        let limit = ByteSize::b(self.sizes.limit()).display().iec();
        self.progress.remark(&format!(
            "the target refused a batch, going on with at most {limit} at once"
        ));
        Ok(())
    }

    /// The target has refused pins in these `words`: move the pushed refs themselves.
    fn go_in_steps(&mut self, words: &str) -> Result<()> {
        let refuses = format!("it takes no refs below refs/relay/ ({words}), which would hold the batches");
        let unsupported =
            |why: &str| Err(Error::new(Kind::Unsupported, format!("{refuses}, and {why}")).on(Side::Target));
        if self.job.push.atomic {
            return unsupported("--atomic forbids to move the branches step by step");
        }
        let commands = self
            .job
            .push
            .commands
            .iter()
            .filter(|command| !command.new.is_null());
        let row = std::mem::replace(&mut self.row, Row::empty(self.ends.source.format()));
        let (steps, row) = Steps::new(commands.cloned().collect(), &self.tags, row);
        self.row = row;
        if steps.fit(0, 1).is_none_or(|end| end == self.row.len()) {
            return unsupported("no branch can be moved there step by step");
        }
        self.steps = Some(steps);
        self.progress.remark(&format!(
            "the target takes no refs below refs/relay/ ({words}), moving the branches step by step instead"
        ));
        Ok(())
    }
}

/// The first ref that was refused, and why.
fn refusal(report: &Report) -> Option<(BString, String)> {
    let refused = |entry: &RefReport| Some((entry.name.clone(), entry.error.clone()?));
    report.refs.iter().find_map(refused)
}

/// Remove the pins that an earlier run has left, now that the pushed refs hold what they held. They can also go with the
/// next run, so a failure is only told.
pub(in crate::strategy) fn sweep(target: &mut Target, pins: &Pins, progress: &dyn Progress) {
    if pins.is_empty() || !target.offers("delete-refs") {
        return;
    }
    let request = PushRequest {
        commands: pins.removals(),
        quiet: true,
        ..PushRequest::default()
    };
    let refused = match target.push(&request, Body::Nothing, &Silent) {
        Ok(report) => refusal(&report).map(|(name, words)| format!("{}: {words}", printable(&name))),
        Err(err) => Some(err.to_string()),
    };
    if let Some(words) = refused {
        progress.warning(&format!(
            "could not remove temporary refs below refs/relay/batch/: {words}"
        ));
    }
}
