//! Carrying a job out by the route that was chosen, and by another one where that one turns out not to be open.

use gix_hash::ObjectId;

use super::{Route, Strategy, relay};
use crate::error::Result;
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

/// How the objects may travel.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// Which routes may be taken.
    pub strategy: Strategy,
    /// Stop when the packs outgrow this many bytes; nothing has changed then.
    pub max_pack_bytes: Option<u64>,
    /// No pack for the target may be larger than this many bytes.
    pub target_max_pack_bytes: Option<u64>,
}

/// What to bring to the target.
#[derive(Debug, Clone, Default)]
pub struct Job {
    /// The commands for the target.
    pub push: PushRequest,
    /// The objects that the target lacks.
    pub wants: Vec<ObjectId>,
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

/// Carry `job` out on `route`.
///
/// # Errors
/// Whatever stops the run as a whole; what the target says about each ref is in the [`Transfer`].
pub fn deliver(ends: Ends<'_>, job: &Job, route: Route, progress: &dyn Progress) -> Result<Transfer> {
    let (report, pack) = relay::run(ends.source, ends.target, job, progress)?;
    Ok(Transfer {
        report,
        moved: pack.map(Moved::from),
        route,
    })
}
