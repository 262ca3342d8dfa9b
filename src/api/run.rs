//! What came of a request.

use std::time::Duration;

use bstr::BString;

use super::ProbeReport;
use super::entries::{Entries, Entry, EntryAction, Status};
use crate::error::{Error, Kind};
use crate::strategy::{Mode, Moved, Route};

/// Which command a [`Run`] belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Plan and relay.
    Sync,
    /// Plan only.
    Plan,
    /// Create-only seeding.
    Bootstrap,
    /// Look at both sides.
    Probe,
    /// Count what a sync would move.
    Fetch,
    /// `git push` through the helper.
    Push,
}

impl Operation {
    /// The name of the command, as it stands in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Sync => "sync",
            Operation::Plan => "plan",
            Operation::Bootstrap => "bootstrap",
            Operation::Probe => "probe",
            Operation::Fetch => "fetch",
            Operation::Push => "push",
        }
    }
}

/// Everything about one run, whether it went well, was refused or broke off.
#[derive(Debug)]
pub struct Run {
    /// What was asked for.
    pub operation: Operation,
    /// The source as the user named it, without passwords.
    pub source: String,
    /// The target as the user named it, without passwords; only a probe can do without.
    pub target: Option<String>,
    /// The version of the source's protocol (`v0`, `v1`, `v2`), once it is known.
    pub protocol: Option<&'static str>,
    /// Nothing was to be changed.
    pub dry_run: bool,
    /// The way the objects went or would go, once that is decided.
    pub route: Option<Route>,
    /// None of the refs that the run answers for exists on the target, so [`bootstrap`](super::bootstrap) is the route.
    pub bootstrap_suggested: bool,
    /// The ref that the source's HEAD names.
    pub source_head: Option<BString>,
    /// One for each ref that the run answers for.
    pub refs: Entries,
    /// What moved.
    pub pack: Moved,
    /// The traffic with the source.
    pub source_stats: SourceStats,
    /// The traffic with the target.
    pub target_stats: TargetStats,
    /// The answer to a probe.
    pub probe: Option<ProbeReport>,
    /// What stopped the run, or spoiled it.
    pub error: Option<Error>,
    /// The pushed content uses Git LFS, whose files did not travel.
    pub uses_lfs: bool,
    /// What the user might want to know.
    pub hints: Vec<String>,
    /// How long it took from the first connection on.
    pub elapsed: Duration,
}

/// What went over the link to the source. Over HTTP, bytes are those of heads and bodies, without TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceStats {
    /// HTTP requests, or commands to a process.
    pub requests: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// How often a request or connection was tried again.
    pub retries: u64,
    /// Objects that were asked for.
    pub wants: u64,
    /// Objects that the target was said to have.
    pub haves: u64,
}

/// What went over the link to the target. Over HTTP, bytes are those of heads and bodies, without TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TargetStats {
    /// HTTP requests, or commands to a process.
    pub requests: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// How often a request or connection was tried again.
    pub retries: u64,
    /// Ref updates that were sent.
    pub commands: u64,
}

/// How many refs ended in which way. For refs that were only planned, their planned action counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// New on the target.
    pub created: u64,
    /// Fast-forwarded.
    pub updated: u64,
    /// Overwritten.
    pub forced: u64,
    /// Removed.
    pub deleted: u64,
    /// Nothing to do.
    pub up_to_date: u64,
    /// Refused by the target, or lost with the run.
    pub rejected: u64,
    /// Not allowed.
    pub blocked: u64,
    /// Refused and tolerated.
    pub warned: u64,
}

impl Run {
    /// A run of which nothing is known yet.
    pub(crate) fn new(operation: Operation, source: &str, target: Option<&str>) -> Self {
        Run {
            operation,
            source: crate::url::redact(source),
            target: target.map(crate::url::redact),
            protocol: None,
            dry_run: operation == Operation::Plan,
            route: None,
            bootstrap_suggested: false,
            source_head: None,
            refs: Entries::default(),
            pack: Moved::default(),
            source_stats: SourceStats::default(),
            target_stats: TargetStats::default(),
            probe: None,
            error: None,
            uses_lfs: false,
            hints: Vec::new(),
            elapsed: Duration::ZERO,
        }
    }

    /// 0 when all is well, 1 when a ref was blocked, refused or lost to another writer, 2 for a wrong request, 128 when
    /// the run could not go on.
    pub fn exit_code(&self) -> u8 {
        let bad = |entry: Entry<'_>| entry.status.is_bad();
        match &self.error {
            Some(err) if err.kind() == Kind::Usage => 2,
            Some(err) if err.kind() == Kind::Moved => 1,
            Some(_) => 128,
            None if self.refs.iter().any(bad) => 1,
            None => 0,
        }
    }

    /// How many refs ended in which way.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for entry in self.refs.iter() {
            let count = match (entry.status, entry.action) {
                (Status::UpToDate, _) | (_, EntryAction::UpToDate) => &mut counts.up_to_date,
                (Status::Blocked, _) | (_, EntryAction::Blocked) => &mut counts.blocked,
                (Status::Rejected | Status::Failed, _) => &mut counts.rejected,
                (Status::Warned, _) => &mut counts.warned,
                (_, EntryAction::Create) => &mut counts.created,
                (_, EntryAction::Update) => &mut counts.updated,
                (_, EntryAction::Force) => &mut counts.forced,
                (_, EntryAction::Delete) => &mut counts.deleted,
            };
            *count += 1;
        }
        counts
    }

    /// Whether pack bytes passed, or would pass, untouched.
    pub fn is_relay(&self) -> bool {
        self.route.is_some_and(|route| match route.mode {
            Mode::Bootstrap | Mode::Incremental | Mode::Batched => true,
            Mode::None | Mode::Materialized => false,
        })
    }

    /// Source and target, to tell runs apart in a log.
    pub fn pair(&self) -> String {
        match &self.target {
            Some(target) => format!("{} => {target}", self.source),
            None => self.source.clone(),
        }
    }
}
