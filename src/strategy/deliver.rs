//! Carrying a job out by the route that was chosen, and by another one where that one turns out not to be open.

use std::cell::RefCell;

use bstr::ByteSlice;
use gix_hash::ObjectId;

use super::local::LocalWork;
use super::{Mode, Route, Strategy, Terms, lfs, materialized, relay};
use crate::error::{Error, Kind, Result, Side};
use crate::progress::Progress;
use crate::pump::Summary;
use crate::receive_pack::{PushRequest, Target};
use crate::upload_pack::Source;
use crate::wire::report::Report;

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
    /// Whether the content uses Git LFS, to be found out where that costs no time.
    pub lfs: lfs::Look,
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
    let mut taken = route;
    let listening = Listening::to(progress);
    let may_store = job.terms.strategy != Strategy::Relay;
    let mut result = attempt(&mut ends, job, route, &listening);
    if matches!(&result, Err(err) if wants_length(err)) && may_store {
        progress.remark("the target wants to know the length of the pack, storing it first");
        ends.target.reconnect()?;
        ends.target.announce_lengths();
        if taken.mode != Mode::Materialized {
            taken = by_way_of_here("length-required");
        }
        result = attempt(&mut ends, job, route, &listening);
    }
    let (mut report, mut pack) = result.map_err(|err| explain(err, may_store))?;
    let is_as_made = pack.is_some() && route.mode != Mode::Materialized;
    if is_as_made && may_store && listening.could_be_the_pack(&report) {
        progress.remark("the target does not take the pack as the source made it, packing it anew");
        ends.source.reconnect()?;
        ends.target.reconnect()?;
        taken = by_way_of_here("relayed-pack-refused");
        (report, pack) = materialized::run(&mut ends, job, progress)?;
    }
    Ok(Transfer {
        report,
        moved: pack.map(Moved::from),
        route: taken,
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

/// HTTP 411: the target takes no upload in chunks.
fn wants_length(err: &Error) -> bool {
    err.side() == Some(Side::Target)
        && err.kind() == Kind::Unsupported
        && err.message().contains("(HTTP 411)")
}

fn explain(err: Error, may_store: bool) -> Error {
    match wants_length(&err) && !may_store {
        true => err.hint("with --strategy auto the pack is stored first, and sent with its length"),
        false => err,
    }
}

/// Keeps what the target says while it takes a pack: its report gives no reasons.
struct Listening<'a> {
    to: &'a dyn Progress,
    heard: RefCell<Vec<u8>>,
}

impl<'a> Listening<'a> {
    /// As much as tells why; the rest may be what hooks have to say.
    const KEPT: usize = 16 * 1024;

    fn to(progress: &'a dyn Progress) -> Self {
        Listening {
            to: progress,
            heard: RefCell::default(),
        }
    }

    /// Whether the target refused the pack as such, and not because of what is in it, how much that is, who sends it,
    /// or for lack of room: other bytes with the same objects may do.
    fn could_be_the_pack(&self, report: &Report) -> bool {
        const OTHER: [&str; 14] = [
            "maximum allowed size",
            "too large",
            "too big",
            "no space",
            "disk full",
            "quota",
            "memory",
            "timed out",
            "timeout",
            "fsck",
            "denied",
            "read-only",
            "not allowed",
            "shallow",
        ];
        let Some(why) = &report.unpack_error else {
            return false;
        };
        let heard = self.heard.borrow();
        let said = format!("{why}\n{}", heard.to_str_lossy()).to_ascii_lowercase();
        !OTHER.iter().any(|words| said.contains(words))
    }
}

impl Progress for Listening<'_> {
    fn source_text(&self, text: &[u8]) {
        self.to.source_text(text);
    }

    fn target_text(&self, text: &[u8]) {
        let mut heard = self.heard.borrow_mut();
        let room = Self::KEPT.saturating_sub(heard.len());
        heard.extend(text.iter().take(room));
        self.to.target_text(text);
    }

    fn pack_bytes(&self, bytes: u64, objects: u32) {
        self.to.pack_bytes(bytes, objects);
    }

    fn pack_sent(&self) {
        self.to.pack_sent();
    }

    fn remark(&self, text: &str) {
        self.to.remark(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn another_pack_helps_only_against_faults_of_the_pack() {
        let could = |unpack: Option<&str>, heard: &str| {
            let listening = Listening::to(&Silent);
            listening.target_text(heard.as_bytes());
            let report = Report {
                unpack_error: unpack.map(str::to_owned),
                ..Report::default()
            };
            listening.could_be_the_pack(&report)
        };
        assert!(could(Some("index-pack abnormal exit"), ""));
        assert!(could(
            Some("index-pack abnormal exit"),
            "fatal: pack has bad object at offset 12: inflate returned -3\n"
        ));
        assert!(!could(None, ""));
        let reasons = [
            "fatal: pack exceeds maximum allowed size (2.00 MiB)",
            "fatal: write error: No space left on device",
            "error: object 123: missingSpaceBeforeDate\nfatal: fsck error in packed object",
        ];
        for heard in reasons {
            assert!(!could(Some("index-pack abnormal exit"), heard), "{heard}");
        }
        assert!(!could(Some("Permission denied"), ""));
    }
}
