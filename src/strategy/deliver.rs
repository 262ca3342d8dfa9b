//! Carrying a job out by the route that was chosen, and by another one where that one turns out not to be open.

use gix_hash::ObjectId;

use super::batched::Pins;
use super::local::LocalWork;
use super::refusal::{Listening, TooMuch, wants_length};
use super::{Mode, Route, Strategy, Terms, batched, materialized, refusal, relay};
use crate::error::{Error, Kind, Result};
use crate::progress::Progress;
use crate::pump::Summary;
use crate::receive_pack::{PushRequest, Target};
use crate::upload_pack::Source;
use crate::wire::report::Report;

/// A pack of fewer bytes is cut only for a limit that is known.
const LEAST_TO_CUT: u64 = 64 * 1024;

/// The two ends of a delivery.
pub struct Ends<'a> {
    /// Where the objects come from.
    pub source: &'a mut Source,
    /// Where they go.
    pub target: &'a mut Target,
}

/// What to bring to the target.
#[derive(Debug, Clone, Default)]
pub struct Job {
    /// The commands for the target.
    pub push: PushRequest,
    /// The objects that the target lacks and the source has.
    pub wants: Vec<ObjectId>,
    /// Those that only the local repository has.
    pub local: Option<LocalWork>,
    /// The objects that the target has, with all they reach.
    pub haves: Vec<ObjectId>,
    /// How.
    pub terms: Terms,
    /// Ask both sides for words about their progress.
    pub progress: bool,
}

/// What came of a [`Job`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// The target's verdict.
    pub report: Report,
    /// What moved, if anything had to.
    pub moved: Option<Moved>,
    /// The route that was taken in the end.
    pub route: Route,
}

/// Packs that a target has taken, together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Bytes, headers and trailers included.
    pub bytes: u64,
    /// Objects by the packs' headers.
    pub objects: u64,
    /// How many packs.
    pub packs: u64,
}

impl Moved {
    /// One pack more.
    pub fn add(&mut self, pack: Summary) {
        self.bytes += pack.bytes;
        self.objects += u64::from(pack.objects);
        self.packs += 1;
    }
}

impl From<Summary> for Moved {
    fn from(pack: Summary) -> Self {
        let mut moved = Moved::default();
        moved.add(pack);
        moved
    }
}

/// Carry `job` out on `route`, or on another where that one turns out not to be open.
///
/// # Errors
/// Whatever stops the run as a whole; what the target says about each ref is in the [`Transfer`].
pub fn deliver(mut ends: Ends<'_>, job: &Job, route: Route, progress: &dyn Progress) -> Result<Transfer> {
    let left = Pins::find(ends.source, ends.target);
    let transfer = carry_out(&mut ends, job, route, progress)?;
    if transfer.route.mode != Mode::Batched && transfer.report.is_all_done() {
        batched::sweep(ends.target, &left, progress);
    }
    Ok(transfer)
}

fn carry_out(ends: &mut Ends<'_>, job: &Job, route: Route, progress: &dyn Progress) -> Result<Transfer> {
    let mut taken = route;
    let listening = Listening::to(progress);
    let may_store = job.terms.strategy != Strategy::Relay;
    let mut result = attempt(ends, job, route, &listening);
    if matches!(&result, Err(err) if wants_length(err)) && may_store {
        progress.remark("the target wants to know the length of the pack, storing it first");
        ends.target.reconnect()?;
        ends.target.announce_lengths();
        if taken.mode != Mode::Materialized {
            taken = by_way_of_here("length-required");
        }
        result = attempt(ends, job, route, &listening);
    }
    if let Some(why) =
        too_much(ends.target, job, &result, &listening).filter(|_| route.mode != Mode::Materialized)
    {
        return in_batches(ends, job, why, progress);
    }
    let (mut report, mut pack) = result.map_err(|err| explain(err, may_store, listening.passed()))?;
    let is_as_made = pack.is_some() && route.mode != Mode::Materialized;
    if is_as_made && may_store && listening.could_be_the_pack(&report) {
        progress.remark("the target does not take the pack as the source made it, packing it anew");
        ends.source.reconnect()?;
        ends.target.reconnect()?;
        taken = by_way_of_here("relayed-pack-refused");
        (report, pack) = materialized::run(ends, job, progress)?;
    }
    Ok(Transfer {
        report,
        moved: pack.map(Moved::from),
        route: taken,
    })
}

/// Whether the target refused so much at once, and how many bytes that was. What was carried out after all, with nobody
/// waiting for it any more, was not too much.
fn too_much(
    target: &mut Target,
    job: &Job,
    result: &Result<relay::Relayed>,
    listening: &Listening<'_>,
) -> Option<(TooMuch, u64)> {
    let over_http = !target.link().connection_persists_across_multiple_requests();
    let passed = over_http.then(|| listening.passed());
    let why = listening.too_much(result.as_ref().map(|(report, _)| report), passed)?;
    match result {
        // The target was not asked: the pack outgrew what the user knows of it.
        Err(err) if err.kind() == Kind::Limit && err.status().is_none() => Some((why, u64::MAX)),
        Err(_) if target.owes_an_answer() && target.shows(&job.push.commands) => None,
        // So little is refused for another reason, whatever the server says.
        _ if why.limit.is_none() && listening.passed() < LEAST_TO_CUT => None,
        _ => Some((why, listening.passed())),
    }
}

fn in_batches(
    ends: &mut Ends<'_>,
    job: &Job,
    (why, bytes): (TooMuch, u64),
    progress: &dyn Progress,
) -> Result<Transfer> {
    progress.remark(match why.reason {
        refusal::TIME => "the target ran out of time, sending the pack in batches",
        _ => "the pack is larger than the target takes at once, sending it in batches",
    });
    let (report, moved) = batched::run(ends, job, (why, bytes), progress)?;
    Ok(Transfer {
        report,
        moved: Some(moved),
        route: Route {
            mode: Mode::Batched,
            reason: why.reason,
        },
    })
}

fn attempt(ends: &mut Ends<'_>, job: &Job, route: Route, progress: &dyn Progress) -> Result<relay::Relayed> {
    match route.mode {
        Mode::Materialized => materialized::run(ends, job, progress),
        _ => relay::run(ends.source, ends.target, job, progress),
    }
}

fn by_way_of_here(reason: &'static str) -> Route {
    Route {
        mode: Mode::Materialized,
        reason,
    }
}

/// What else could be tried after `err`, which came when so many bytes had `passed`.
fn explain(err: Error, may_store: bool, passed: u64) -> Error {
    /// So much is worth an upload that can be gone on with.
    const LARGE: u64 = 64 << 20;
    match err.kind() {
        _ if wants_length(&err) && !may_store => {
            err.hint("with --strategy auto the pack is stored first, and sent with its length")
        }
        Kind::Network | Kind::Timeout if passed > LARGE => err.hint(
            "'git relay sync --target-max-pack-bytes 32m' (or relay.targetMaxPackBytes) sends it in batches; what has \
             arrived of them is not sent again by the next run",
        ),
        _ => err,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Side;

    #[test]
    fn a_large_push_that_broke_off_can_be_gone_on_with_in_batches() {
        let hint = |kind, passed| {
            let err = Error::new(kind, "hung up").on(Side::Target);
            explain(err, true, passed).hint_text().map(str::to_owned)
        };
        assert!(hint(Kind::Network, 65 << 20).is_some_and(|hint| hint.contains("--target-max-pack-bytes")));
        assert!(hint(Kind::Timeout, 65 << 20).is_some());
        assert_eq!(hint(Kind::Network, 64 << 20), None);
        assert_eq!(hint(Kind::Auth, 65 << 20), None);
    }
}
