//! `relay.report=FILE`: the JSON of `git relay` for a push that git runs.

use std::path::PathBuf;
use std::time::Instant;

use bstr::ByteSlice;

use super::command::PushSpec;
use super::view::Prepared;
use crate::api::{self, Deed, Entries, Operation, Pair, Run};
use crate::error::{Error, Result};
use crate::git::{Git, os_str};
use crate::plan::Updates;
use crate::progress::Progress;
use crate::report::{json, say};
use crate::session::{Outcome, Plan, Policy};

/// What is told about one run of the helper.
pub(super) struct Report {
    pub(super) run: Run,
    started: Instant,
    wanted: bool,
}

impl Report {
    /// For a run on `url`.
    pub(super) fn new(url: &str) -> Self {
        let pair = Pair::from_url(url).ok();
        let run = match &pair {
            Some(pair) => Run::new(Operation::Push, &pair.source, Some(&pair.target)),
            None => Run::new(Operation::Push, url, None),
        };
        Report {
            run,
            started: Instant::now(),
            wanted: true,
        }
    }

    /// This is no push.
    pub(super) fn forget(&mut self) {
        self.wanted = false;
    }

    /// Write the file, if the configuration of `git` names one. `err` is what stopped the run. A report that cannot be
    /// written is no reason to call a push failed that was none.
    pub(super) fn write(&mut self, git: &Git, err: Option<&Error>) {
        let Some(path) = self.path(git) else { return };
        self.run.elapsed = self.started.elapsed();
        if let Some(err) = err {
            self.run.error = Some(err.duplicate());
        }
        let text = format!("{}\n", json::render(&self.run, true, None));
        if let Err(err) = std::fs::write(&path, text) {
            say(&format!("warning: cannot write {}: {err}", path.display()));
        }
    }

    fn path(&self, git: &Git) -> Option<PathBuf> {
        let value = git
            .config()
            .ok()?
            .string("relay.report")
            .filter(|_| self.wanted)?;
        let home = || std::env::var_os("HOME").map(PathBuf::from);
        match value.strip_prefix(b"~/") {
            Some(rest) => home().map(|home| home.join(os_str(rest))),
            None if value.is_empty() => None,
            None => Some(os_str(value).into()),
        }
    }
}

/// Plan and push `updates`, which git asked for by `specs`, and put down what comes of it. The plan comes back with the
/// outcome.
pub(super) fn carry_out(
    prepared: &mut Prepared,
    (specs, updates): (&[PushSpec], Updates),
    policy: &Policy,
    progress: &dyn Progress,
    report: &mut Run,
) -> Result<(Plan, Outcome)> {
    let session = &mut prepared.session;
    report.dry_run = policy.dry_run;
    report.protocol = Some(session.source.protocol_name());
    report.source_head = session.source.advertisement().head.clone();
    let plan = session.plan(updates, policy, &prepared.known_parents)?;
    report.route = Some(plan.route);
    let entries = |deed: Deed<'_>| {
        let mut entries = Entries::about(plan.updates.changes());
        let judged = plan.updates.iter().zip(&plan.actions).zip(specs);
        for (number, (judged, spec)) in (0..).zip(judged) {
            let source = spec.src.as_ref().filter(|src| src.starts_with(b"refs/"));
            let source = source.map(|src| src.as_bstr());
            entries.push_planned(number, api::judged_entry(source, judged, deed, number));
        }
        entries
    };
    let telling = api::Telling {
        entries: &entries,
        tolerant: false,
        progress,
    };
    let result = api::execute(report, session, &plan, policy, &telling);
    api::note_traffic(report, session);
    session.take_notes().iter().for_each(|note| progress.note(note));
    result.map(|outcome| (plan, outcome))
}
