//! Carrying a job out by the route that was chosen, and by another one where that one turns out not to be open.

use std::collections::HashMap;

use gix_hash::ObjectId;

use super::batched::Pins;
use super::local::LocalWork;
use super::refusal::{Listening, TooMuch, wants_length};
use super::{Mode, Route, Strategy, Terms, batched, lfs, materialized, relay};
use crate::error::{Error, Kind, Result};
use crate::progress::Progress;
use crate::pump::Summary;
use crate::receive_pack::{PushRequest, Target};
use crate::upload_pack::Source;
use crate::wire::object_list::ObjectList;
use crate::wire::ref_name::RefName;
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
    pub wants: ObjectList,
    /// Those that only the local repository has.
    pub local: Option<LocalWork>,
    /// The objects that the target has, with all they reach.
    pub haves: ObjectList,
    /// How.
    pub terms: Terms,
    /// Ask both sides for words about their progress.
    pub progress: bool,
    /// Whether the content uses Git LFS, to be found out where that costs no time.
    pub lfs: lfs::Look,
}

/// How far a [`Job`] has come; true also if it fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// The route that was taken in the end.
    pub route: Route,
    /// What moved, if anything had to.
    pub moved: Option<Moved>,
    /// Refs that have a value on the way from the old to the new one.
    pub half_way: HashMap<RefName, ObjectId>,
}

impl Course {
    /// Nothing has moved yet on `route`.
    pub fn begin(route: Route) -> Course {
        Course {
            route,
            moved: None,
            half_way: HashMap::new(),
        }
    }

    /// One pack more has moved.
    pub(super) fn add(&mut self, pack: Summary) {
        self.moved.get_or_insert_default().add(pack);
    }
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

/// Carry `job` out on the route of `course`, or on another where that one turns out not to be open.
///
/// # Errors
/// Whatever stops the run as a whole; what the target says about each ref is in the [`Report`].
pub fn deliver(
    mut ends: Ends<'_>,
    job: &Job,
    course: &mut Course,
    progress: &dyn Progress,
) -> Result<Report> {
    let mut pins = Pins::find(ends.source, ends.target);
    let listening = Listening::to(progress);
    let report = match attempt(&mut ends, job, course, &listening) {
        Err(err) if wants_length(&err) => with_length(&mut ends, job, (course, err), &listening),
        result => result,
    };
    let report = match too_much(ends.target, job, &report, &listening) {
        Some(why) if course.route.mode != Mode::Materialized => {
            progress.remark(why.0.remark());
            course.moved = None;
            course.route = Route {
                mode: Mode::Batched,
                reason: why.0.reason,
            };
            batched::run(&mut ends, job, (course, &mut pins), why, progress)?
        }
        _ => another_way(&mut ends, job, (course, report), &listening)?,
    };
    if !pins.is_empty() && report.did_all() {
        pins.tidy(
            &mut ends,
            job.push.commands.iter().filter_map(|command| command.new),
            progress,
        );
    }
    Ok(report)
}

/// The target takes no upload without a length, as it said by `err`.
fn with_length(
    ends: &mut Ends<'_>,
    job: &Job,
    (course, err): (&mut Course, Error),
    progress: &dyn Progress,
) -> Result<Report> {
    if job.terms.strategy == Strategy::Relay {
        return Err(err.hint("with --strategy auto the pack is stored first, and sent with its length"));
    }
    progress.remark("the target wants to know the length of the pack, storing it first");
    ends.target.reconnect()?;
    ends.target.announce_lengths();
    let result = attempt(ends, job, course, progress);
    if course.route.mode != Mode::Materialized {
        course.route = by_way_of_here("length-required");
    }
    result
}

/// A target that does not take the pack as the source made it gets one that was made here, unless it was or may not be.
fn another_way(
    ends: &mut Ends<'_>,
    job: &Job,
    (course, result): (&mut Course, Result<Report>),
    listening: &Listening<'_>,
) -> Result<Report> {
    let report = match result {
        Ok(report) => report,
        Err(err) => {
            if ends.target.owes_an_answer() {
                course.moved = listening.moved();
            }
            return Err(explain(err, listening.passed()));
        }
    };
    let is_as_made = course.moved.is_some() && course.route.mode != Mode::Materialized;
    if !is_as_made || job.terms.strategy == Strategy::Relay || !listening.could_be_the_pack(&report) {
        return Ok(report);
    }
    listening.remark("the target does not take the pack as the source made it, packing it anew");
    ends.source.reconnect()?;
    ends.target.reconnect()?;
    course.route = by_way_of_here("relayed-pack-refused");
    attempt(ends, job, course, listening)
}

fn attempt(ends: &mut Ends<'_>, job: &Job, course: &mut Course, progress: &dyn Progress) -> Result<Report> {
    let (report, pack) = match course.route.mode {
        Mode::Materialized => materialized::run(ends, job, progress)?,
        _ => relay::run(ends.source, ends.target, job, progress)?,
    };
    course.moved = None;
    if let Some(pack) = pack {
        course.add(pack);
    }
    Ok(report)
}

fn by_way_of_here(reason: &'static str) -> Route {
    Route {
        mode: Mode::Materialized,
        reason,
    }
}

/// Whether the target refused so much at once, and how many bytes that was. What was carried out after all, with nobody
/// waiting for it any more, was not too much.
fn too_much(
    target: &mut Target,
    job: &Job,
    result: &Result<Report>,
    listening: &Listening<'_>,
) -> Option<(TooMuch, u64)> {
    let over_http = !target.link().connection_persists_across_multiple_requests();
    let passed = over_http.then(|| listening.passed());
    let why = listening.too_much(result.as_ref(), passed)?;
    match result {
        // The target was not asked: the pack outgrew what the user knows of it.
        Err(err) if err.kind() == Kind::Limit && err.status().is_none() => {
            job.terms.target_max_pack_bytes.map(|_| (why, u64::MAX))
        }
        Err(_) if target.owes_an_answer() && target.shows(&job.push.commands) => None,
        // All of it was sent, and how far the target has come with it is found out elsewhere.
        Err(err) if target.owes_an_answer() && err.kind() == Kind::Network => None,
        // So little is refused for another reason, whatever the server says.
        _ if why.limit.is_none() && listening.likely_size() < LEAST_TO_CUT => None,
        _ => Some((why, listening.likely_size())),
    }
}

/// What else could be tried after `err`, which came when so many bytes had `passed`.
fn explain(err: Error, passed: u64) -> Error {
    /// So much is worth an upload that can be gone on with.
    const LARGE: u64 = 64 << 20;
    match err.kind() {
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
            explain(err, passed).hint_text().map(str::to_owned)
        };
        assert!(hint(Kind::Network, 65 << 20).is_some_and(|hint| hint.contains("--target-max-pack-bytes")));
        assert!(hint(Kind::Timeout, 65 << 20).is_some());
        assert_eq!(hint(Kind::Network, 64 << 20), None);
        assert_eq!(hint(Kind::Auth, 65 << 20), None);
    }
}
