//! Runs that compare source and target: sync, plan, bootstrap, fetch.

mod count;
pub(crate) mod entries;
mod execute;
mod head;

use std::time::Instant;

use entries::Deed;
pub(crate) use execute::{Telling, execute};
use head::HeadLook;

use super::ends::Ends;
use super::request::{BootstrapRequest, FetchRequest, Options, Protocol, SyncRequest};
use super::run::{Operation, Run, TargetStats};
use crate::error::{Error, Kind, Result, Side};
use crate::git::{Config, Git};
use crate::plan::selection::excluded_namespaces;
use crate::plan::{Choice, Overwrite, Selection, Update, Updates, select};
use crate::progress::Progress;
use crate::receive_pack::Target;
use crate::session::{Policy, Session};
use crate::strategy::Route;
use crate::strategy::ancestry::KnownParents;
use crate::upload_pack::Source;
use crate::url::{Family, RetryPolicy};
use crate::wire::object::{Commit, ObjectKind};

/// Bring the target's refs in step with the source's. If one ref is blocked, none is pushed, unless
/// [`best_effort`](SyncRequest::best_effort).
pub fn sync(request: &SyncRequest, progress: &dyn Progress) -> Run {
    Job::of_sync(request, Operation::Sync).run(progress)
}

/// What [`sync`](sync()) would do, without a write on either side.
pub fn plan(request: &SyncRequest, progress: &dyn Progress) -> Run {
    let mut job = Job::of_sync(request, Operation::Plan);
    job.dry_run = true;
    job.run(progress)
}

/// Create all refs on a target that has none of them; otherwise fail before any transfer.
pub fn bootstrap(request: &BootstrapRequest, progress: &dyn Progress) -> Run {
    let job = Job {
        operation: Operation::Bootstrap,
        source: &request.pair.source,
        target: Some(&request.pair.target),
        selection: Selection {
            prune: false,
            ..request.selection.clone()
        },
        overwrite: Overwrite::FastForward,
        best_effort: request.best_effort,
        dry_run: false,
        options: &request.options,
    };
    job.run(progress)
}

/// Ask the source for what a [`sync`](sync()) would move, count it and throw it away.
pub fn fetch(request: &FetchRequest, progress: &dyn Progress) -> Run {
    let job = Job {
        operation: Operation::Fetch,
        source: &request.source,
        target: request.target.as_deref(),
        selection: request.selection.clone(),
        overwrite: request.overwrite,
        best_effort: false,
        dry_run: true,
        options: &request.options,
    };
    job.run(progress)
}

/// The common form of all requests.
struct Job<'a> {
    operation: Operation,
    source: &'a str,
    target: Option<&'a str>,
    selection: Selection,
    overwrite: Overwrite,
    best_effort: bool,
    dry_run: bool,
    options: &'a Options,
}

impl<'a> Job<'a> {
    fn of_sync(request: &'a SyncRequest, operation: Operation) -> Self {
        Job {
            operation,
            source: &request.pair.source,
            target: Some(&request.pair.target),
            selection: request.selection.clone(),
            overwrite: request.overwrite,
            best_effort: request.best_effort,
            dry_run: request.dry_run,
            options: &request.options,
        }
    }

    fn run(self, progress: &dyn Progress) -> Run {
        let started = Instant::now();
        let mut run = Run::new(self.operation, self.source, self.target);
        run.dry_run = self.dry_run;
        if let Err(err) = self.attempt(&mut run, progress) {
            run.error = Some(err);
        }
        run.elapsed = started.elapsed();
        run
    }

    fn attempt(&self, run: &mut Run, progress: &dyn Progress) -> Result<()> {
        let config = configuration(self.options)?;
        let ends = Ends::connect(self.source, self.target, &config, self.dry_run)?;
        let (source, target, place, made) = ends.into_parts();
        if let Ok(source) = &source {
            note_source(run, source);
        }
        let is_empty = |target: &Target| target.advertisement().refs.is_empty();
        let ours = made.is_new() || made.is_stand_in();
        let may_fill = target.as_ref().is_ok_and(is_empty) && !ours && !self.dry_run;
        let look = may_fill.then(|| HeadLook::begin(place));
        let result = (|| {
            let mut session = Session::new(source?, target?)?;
            run.hints.extend(session.notices());
            let result = self.with_session(run, &mut session, &config, progress);
            note_traffic(run, &session);
            session.take_notes().iter().for_each(|note| progress.note(note));
            result
        })();
        if let Some(look) = look.filter(|_| result.is_ok()) {
            look.end(run);
        }
        if made.is_stand_in() {
            run.target_stats = TargetStats::default();
        }
        Ends::tidy(made);
        result
    }

    fn with_session(
        &self,
        run: &mut Run,
        session: &mut Session,
        config: &Config,
        progress: &dyn Progress,
    ) -> Result<()> {
        let selection = with_excluded(&self.selection, config);
        let (source, target) = (session.source.advertisement(), session.target.advertisement());
        let choice = select(&selection, source, target)?;
        run.bootstrap_suggested = !target.refs.iter().any(|entry| choice.manages(entry.name));
        if self.operation == Operation::Bootstrap && !run.bootstrap_suggested {
            run.refs = entries::not_a_bootstrap(&choice, target);
            return Ok(());
        }
        if self.options.atomic && !session.target.offers("atomic") {
            return Err(Error::new(Kind::Unsupported, "does not support --atomic push").on(Side::Target));
        }
        let policy = Policy {
            atomic: self.options.atomic,
            dry_run: false,
            push_options: Vec::new(),
            progress: self.options.progress,
            terms: self.options.terms.clone().with_config(config)?,
            retry: RetryPolicy::new(config)?,
        };
        self.plan_and_go(run, session, (&choice, &policy), progress)
    }

    fn plan_and_go(
        &self,
        run: &mut Run,
        session: &mut Session,
        (choice, policy): (&Choice, &Policy),
        progress: &dyn Progress,
    ) -> Result<()> {
        let obstacles = choice.obstacles(session.target.advertisement());
        let mut updates = choice.updates(session.target.advertisement(), self.overwrite, &obstacles);
        let known = look_at_odd_refs(session, &mut updates)?;
        let plan = session.plan(updates, policy, &known)?;
        run.route = Some(plan.route);
        let blocked = entries::any_blocked(&obstacles, &plan);
        if plan.route.reason == "up-to-date" && blocked {
            run.route = Some(Route {
                reason: "blocked",
                ..plan.route
            });
        }
        let entries = |deed: Deed<'_>| entries::entries(choice, &obstacles, &plan, deed);
        if self.operation == Operation::Fetch || self.dry_run || (blocked && !self.best_effort) {
            let is_withheld = self.operation != Operation::Fetch && !self.dry_run;
            run.refs = entries(if is_withheld {
                Deed::Withheld
            } else {
                Deed::Planned
            });
            return match self.operation {
                Operation::Fetch => count::fetch(run, session, &plan, policy, progress),
                _ => Ok(()),
            };
        }
        let telling = Telling {
            entries: &entries,
            tolerant: self.best_effort,
            progress,
        };
        execute(run, session, &plan, policy, &telling).map(drop)
    }
}

/// The configuration that git sees here, with the protocol that was asked for.
pub(super) fn configuration(options: &Options) -> Result<Config> {
    let mut config = Git::here().config()?.clone();
    match options.protocol {
        Protocol::Auto => {}
        Protocol::V1 => config.set("protocol.version", "1"),
        Protocol::V2 => config.set("protocol.version", "2"),
    }
    if let Some(family) = options.family {
        config.set(Family::KEY, family.name());
    }
    for (key, name) in options.tokens.settings() {
        config.set(key, name);
    }
    Ok(config)
}

fn with_excluded(selection: &Selection, config: &Config) -> Selection {
    let mut selection = selection.clone();
    if selection.exclude.is_empty() {
        selection.exclude = excluded_namespaces(config);
    }
    selection
}

pub(super) fn note_source(run: &mut Run, source: &Source) {
    run.protocol = Some(source.protocol_name());
    run.source_head = source.advertisement().head.clone();
    let traffic = source.link().traffic();
    run.source_stats.requests = traffic.requests;
    run.source_stats.bytes_sent = traffic.bytes_sent;
    run.source_stats.bytes_received = traffic.bytes_received;
    run.source_stats.retries = traffic.retries;
}

pub(crate) fn note_traffic(run: &mut Run, session: &Session) {
    note_source(run, &session.source);
    let traffic = session.target.link().traffic();
    run.target_stats.requests = traffic.requests;
    run.target_stats.bytes_sent = traffic.bytes_sent;
    run.target_stats.bytes_received = traffic.bytes_received;
    run.target_stats.retries = traffic.retries;
}

/// Branches are commits. What other refs name has to be looked at before fast-forwards can be judged.
fn look_at_odd_refs(session: &mut Session, updates: &mut Updates) -> Result<KnownParents> {
    let mut known = KnownParents::new();
    let odd = |update: &Update<'_>| {
        let changes = update.old.is_some() && update.new.is_some() && update.old != update.new;
        let judged = !update.force && update.lease.is_none();
        let usual = update.target.starts_with(b"refs/heads/") || update.target.starts_with(b"refs/tags/");
        changes && judged && !usual
    };
    let wants: Vec<_> = updates
        .iter()
        .filter(|update| odd(update))
        .filter_map(|update| update.new_commit)
        .collect();
    if wants.is_empty() {
        return Ok(known);
    }
    for object in session.source.fetch_tips(&wants)?.objects {
        if object.kind == ObjectKind::Commit {
            let commit = Commit::parse(object.id.kind(), &object.data).map_err(|err| err.on(Side::Source))?;
            known.insert(object.id, commit.parents);
        }
    }
    let is_known = |update: &Update<'_>| update.new_commit.is_some_and(|oid| known.contains_key(&oid));
    updates.mark_commits(|update| {
        if odd(update) {
            is_known(update)
        } else {
            update.new_is_commit
        }
    });
    Ok(known)
}
