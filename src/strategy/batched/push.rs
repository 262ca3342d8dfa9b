//! Pieces on their way to the target, and the refs that hold them there.

use bstr::BStr;
use bytesize::ByteSize;

use super::super::refusal::{Listening, TooMuch};
use super::super::spool::Stored;
use super::steps::Steps;
use super::{Batches, Pushed, pins};
use crate::error::{Error, Kind, Result, Side};
use crate::plan::Row;
use crate::receive_pack::{Body, PushRequest};
use crate::wire::changes::Commands;
use crate::wire::pack::empty_pack;
use crate::wire::ref_name::RefName;
use crate::wire::report::{Report, Verdict};

impl Batches<'_, '_> {
    /// Whether the target takes pins shows before anything is uploaded, if it has an object already.
    pub(super) fn try_pins(&mut self) -> Result<()> {
        let tip = self.ends.target.tips().next();
        let Some(tip) = tip.filter(|_| self.pins.is_empty() && !self.row.is_empty()) else {
            return Ok(());
        };
        let commands = self.pins.commands(&[tip]);
        let request = self.request_to(commands.clone());
        let target = &mut *self.ends.target;
        let pack = empty_pack(target.format());
        let report = target.push(&request, Body::Whole(&pack), self.progress)?;
        if let Some((_, words)) = refusal(&report, &commands).filter(|_| !target.shows(&commands)) {
            return self.go_in_steps(&words);
        }
        let made = commands.names().map(|name| (name.into(), tip));
        if let Err(words) = pins::remove(self.ends.target, &made.collect::<Vec<_>>()) {
            log::warn!(target: "relay::target", "cannot remove the ref that was made to try it: {words}");
        }
        Ok(())
    }

    /// Push a piece, and have `commands` hold it.
    pub(super) fn push(&mut self, commands: &Commands, piece: &mut Stored) -> Result<Pushed> {
        let request = self.request_to(commands.clone());
        self.send(&request, piece)
    }

    fn request_to(&self, commands: Commands) -> PushRequest {
        // These are the user's own branches, or else none of theirs.
        let options = self.steps.as_ref().map(|_| self.job.push.push_options.clone());
        PushRequest {
            commands,
            quiet: self.job.push.quiet,
            push_options: options.unwrap_or_default(),
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
            target.needs_no_answer();
            let why = err.message();
            let told =
                format!("the target's answer was lost ({why}); its refs show that a batch has arrived");
            self.progress.warning(&told);
            return Ok(Pushed::Landed(Report::all_done(request.commands.len())));
        }
        let over_http = !target.link().connection_persists_across_multiple_requests();
        let passed = over_http.then_some(piece.summary.bytes);
        if let Some(why) = listening.too_much(result.as_ref(), passed) {
            return Ok(Pushed::TooMuch(why));
        }
        if target.owes_an_answer() {
            // It may have arrived.
            self.course.add(piece.summary);
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
        commands: &Commands,
        (piece, report): (&Stored, &Report),
    ) -> Result<Option<Report>> {
        // A run for the same pair that was faster has set the same refs.
        let refused = refusal(report, commands).filter(|_| !self.ends.target.shows(commands));
        if let Some((name, words)) = refused {
            if self.at > 0 || self.steps.is_some() {
                return Ok(Some(self.give_up(&name, &words)));
            }
            return self.go_in_steps(&words).map(|()| None);
        }
        match &mut self.steps {
            Some(steps) => self.course.half_way = steps.have(commands, to),
            None => self.pins.have(commands),
        }
        self.haves
            .extend(commands.iter().filter_map(|command| command.new));
        self.course.add(piece.summary);
        let packs = self.course.moved.unwrap_or_default().packs;
        let commits = to - self.at;
        let size = ByteSize::b(piece.summary.bytes).display().iec();
        self.progress
            .note(&format!("batch {packs} has arrived: {commits} commits, {size}"));
        self.at = to;
        self.sizes.taken(piece.summary.bytes);
        Ok(None)
    }

    /// A report of which nothing was done that is not done yet, because the ref `refused` was refused in these `words`.
    fn give_up(&self, refused: &BStr, words: &str) -> Report {
        let left = self.commands_left();
        let why = |name: &BStr| match name == refused {
            true => words.into(),
            false => format!("a batch was refused: {words}").into(),
        };
        let report = Report {
            unpack_error: None,
            verdicts: left.names().map(|name| Verdict::Refused(why(name))).collect(),
        };
        self.about_all(&left, report)
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
        if self.job.push.atomic {
            let message = format!(
                "it takes no refs below refs/relay/ ({words}), which would hold the batches, and --atomic forbids to \
                 move the branches step by step"
            );
            return Err(Error::new(Kind::Unsupported, message).on(Side::Target));
        }
        let row = std::mem::replace(&mut self.row, Row::empty(self.ends.source.format()));
        let (steps, row) = Steps::new(self.job.push.commands.iter(), &self.tags, row);
        self.row = row;
        self.steps = Some(steps);
        self.progress.remark(&format!(
            "the target takes no refs below refs/relay/ ({words}), moving the branches step by step instead"
        ));
        Ok(())
    }
}

/// The first of the refs in `commands` that `report` does not call done, and why.
fn refusal(report: &Report, commands: &Commands) -> Option<(RefName, String)> {
    let mut verdicts = commands.names().zip(&report.verdicts);
    verdicts.find_map(|(name, verdict)| Some((name.into(), verdict.refusal()?.to_owned())))
}
