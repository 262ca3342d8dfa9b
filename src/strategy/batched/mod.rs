//! Several packs in a row, each small enough for the target, and then the refs.
//!
//! The commits that are to move are put in a row ([`crate::plan::Row`]), and the row is cut where a pack is full. The
//! source packs each piece, with all that came before it as haves; it waits here until it is complete, so that nothing is
//! sent that cannot land, and refs on the target hold it. The last piece goes together with the commands of the push.
//!
//! - here: what a run in batches knows, and its loop.
//! - [`graph`]: the commits, read from the source without their content.
//! - [`fetch`]: pieces of the right size; [`sizes`]: how many commits that is; [`limit`]: how much the target takes.
//! - [`push`]: pieces on their way to the target; [`pins`], [`steps`]: the refs that hold them there, our own or the
//!   pushed ones themselves.
//! - [`cut_over`]: the commands of the push, and the end of the pins.
//!
//! Which push goes this way is told in [`super::deliver`].

mod cut_over;
mod fetch;
mod graph;
mod limit;
mod pins;
mod push;
mod sizes;
mod steps;

pub use pins::Pins;

use gix_hash::ObjectId;

use super::refusal::TooMuch;
use super::{Course, Ends, Job};
use crate::error::{Error, Kind, Result, Side};
use crate::plan::Row;
use crate::progress::Progress;
use crate::wire::changes::Commands;
use crate::wire::report::Report;
use graph::{Graph, Tags};
use limit::Limit;
use sizes::Sizes;
use steps::Steps;

/// Carry `job` out in pieces. `why` and `bytes` tell of the pack that was too much; `pins` are those of earlier runs, to
/// which those of this run are added.
///
/// # Errors
/// `Limit` when a single commit is too large for the target. After an error some pieces may be on the target, from which
/// the next run goes on; no ref that was pushed has changed then, unless the target takes no others.
pub(super) fn run(
    ends: &mut Ends<'_>,
    job: &Job,
    (course, pins): (&mut Course, &mut Pins),
    (why, bytes): (TooMuch, u64),
    progress: &dyn Progress,
) -> Result<Report> {
    if !ends.source.serves_any_commit() {
        return Err(serves_only_tips());
    }
    let graph = Graph::read(ends.source, job, progress)?;
    let new = job.push.commands.iter().filter_map(|command| command.new);
    let tips: Vec<ObjectId> = new.map(|oid| graph.tags.peel(oid)).collect();
    let target = &ends.target;
    let mut batches = Batches {
        thin: !target.offers("no-thin") && target.advertisement().shallow.is_empty(),
        steps: None,
        haves: job.haves.iter().collect(),
        row: Row::new(graph.history, tips),
        tags: graph.tags,
        sizes: Sizes::new(Limit::after(bytes, job.terms.target_max_pack_bytes, why)),
        at: 0,
        tail_apart: false,
        ends,
        job,
        course,
        pins,
        progress,
    };
    let result = batches.run();
    let arrived = batches.course.moved.unwrap_or_default().packs;
    match result {
        Ok(report) if report.did_all() || batches.pins.is_empty() => Ok(report),
        Ok(report) => {
            progress.remark(
                "the batches stay on the target below refs/relay/batch/, for the refs that were refused",
            );
            Ok(report)
        }
        Err(err) if arrived == 0 => Err(err),
        Err(err) => Err(tell_what_stays(err, arrived, progress)),
    }
}

/// Say with `err` that what was sent is not lost. Where the error has advice of its own, that goes first.
fn tell_what_stays(err: Error, arrived: u64, progress: &dyn Progress) -> Error {
    let stays = format!(
        "what has arrived stays on the target (batches: {arrived}), and the same command goes on from there"
    );
    if err.hint_text().is_some() {
        progress.remark(&stays);
    }
    err.hint(stays)
}

fn serves_only_tips() -> Error {
    let message = "by this version of the protocol it sends the history of its refs whole, and a push in batches needs parts";
    Error::new(Kind::Unsupported, message)
        .on(Side::Source)
        .hint("version 2 of the protocol can do it: git config protocol.version 2")
}

/// A run in batches.
struct Batches<'a, 'e> {
    ends: &'a mut Ends<'e>,
    job: &'a Job,
    progress: &'a dyn Progress,
    course: &'a mut Course,
    row: Row,
    tags: Tags,
    /// So many commits of the row are on the target.
    at: usize,
    /// What the target has by now.
    haves: Vec<ObjectId>,
    pins: &'a mut Pins,
    /// In the place of pins, where the target takes none.
    steps: Option<Steps>,
    sizes: Sizes,
    thin: bool,
    /// What hangs behind the commits (tags, for instance) does not fit into the last piece with them.
    tail_apart: bool,
}

/// What came of pushing a piece.
enum Pushed {
    /// It is on the target; what the target said about the refs.
    Landed(Report),
    /// It was too much at once.
    TooMuch(TooMuch),
    /// The target could not complete a thin pack; from now on none are sent.
    NotThin,
}

impl Batches<'_, '_> {
    fn run(&mut self) -> Result<Report> {
        self.try_pins()?;
        while self.at < self.row.len() {
            let (to, mut piece) = self.next_piece()?;
            let commands = self.holders(to);
            let pushed = match self.is_last(to) {
                true => self.cut_over(Some(&mut piece))?,
                false => self.push(&commands, &mut piece)?,
            };
            match pushed {
                Pushed::Landed(report) if self.is_last(to) => return Ok(report),
                Pushed::Landed(report) => {
                    if let Some(end) = self.landed(to, &commands, (&piece, &report))? {
                        return Ok(end);
                    }
                }
                Pushed::TooMuch(why) if self.is_least(to) && self.has_tail(to) => {
                    self.tail_apart = true;
                    self.sizes.refused(usize::MAX, piece.summary.bytes, why);
                }
                Pushed::TooMuch(why) => self.refused(to, piece.summary.bytes, why)?,
                Pushed::NotThin => {}
            }
        }
        self.cut_over_alone()
    }

    /// Whether the piece up to `to` goes together with the commands of the push.
    fn is_last(&self, to: usize) -> bool {
        to == self.row.len() && !self.tail_apart
    }

    /// The commands for refs that hold the piece up to `to`.
    fn holders(&self, to: usize) -> Commands {
        match &self.steps {
            Some(steps) => steps.commands(&self.row, self.at, to),
            None => self.pins.commands(&self.row.tips_between(self.at, to)),
        }
    }
}
