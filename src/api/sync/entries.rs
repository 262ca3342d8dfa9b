//! From plans and outcomes to what is reported about each ref.

use std::collections::BTreeMap;

use bstr::BStr;

use super::super::run::{Entry, EntryAction, Run, Status};
use crate::error::{Error, Kind, Side, printable};
use crate::plan::{Action, Choice, Obstacles, RefPair, Rejection, Update};
use crate::session::{Plan, REF_MOVED, RefOutcome, RefStatus, UNANSWERED};
use crate::wire::ref_name::RefName;
use crate::wire::refs::{Advertisement, RemoteRef};
use crate::wire::report::RefOption;

/// The entries of a plan that was not carried out yet, in the order of the choice. `plan` answers for what has no
/// obstacle and is not up to date, in the same order.
pub(super) fn planned(choice: &Choice, obstacles: &Obstacles, plan: &Plan) -> Vec<Entry> {
    let mut judged = plan.updates.iter().zip(&plan.actions).peekable();
    let mut entries = Vec::with_capacity(choice.wanted().count() + choice.prunes.len());
    for pair in choice.wanted() {
        entries.push(
            match judged.next_if(|(update, _)| update.target == *pair.target) {
                Some((update, action)) => {
                    let source = same_or_new(&update.target, pair.source.name);
                    judged_entry(Some(source), update, action)
                }
                None => not_judged(pair, obstacles),
            },
        );
    }
    // What is left are the deletions.
    entries.extend(judged.map(|(update, action)| judged_entry(None, update, action)));
    entries
}

fn not_judged(pair: RefPair<'_>, obstacles: &Obstacles) -> Entry {
    let target = RefName::from(pair.target);
    let obstacle = obstacles.get(&target);
    let (action, status) = match obstacle {
        Some(_) => (EntryAction::Blocked, Status::Blocked),
        None => (EntryAction::UpToDate, Status::UpToDate),
    };
    Entry {
        source: Some(same_or_new(&target, pair.source.name)),
        target,
        old: obstacle.is_none().then_some(pair.source.oid),
        new: Some(pair.source.oid),
        action,
        status,
        reason: obstacle.map(|other| format!("'{}' on the target is in the way", printable(other))),
    }
}

/// `name`, in no more memory than needed.
fn same_or_new(like: &RefName, name: &BStr) -> RefName {
    if *like == *name { like.clone() } else { name.into() }
}

/// What was judged about one update, for which `source` is the source's ref.
pub(crate) fn judged_entry(source: Option<RefName>, update: &Update, action: &Action) -> Entry {
    let (action, status, reason) = match action {
        Action::UpToDate => (EntryAction::UpToDate, Status::UpToDate, None),
        Action::Create => (EntryAction::Create, Status::Planned, None),
        Action::FastForward => (EntryAction::Update, Status::Planned, None),
        Action::Force => (EntryAction::Force, Status::Planned, None),
        Action::Delete => (EntryAction::Delete, Status::Planned, None),
        Action::Reject(why) => (EntryAction::Blocked, Status::Blocked, Some(words(why))),
        Action::Ask(_) => (EntryAction::Blocked, Status::Blocked, Some("not judged".into())),
    };
    Entry {
        source,
        target: update.target.clone(),
        old: update.old,
        new: update.new,
        action,
        status,
        reason,
    }
}

/// Words for people who did not type `git push`.
fn words(why: &Rejection) -> String {
    match why {
        Rejection::NonFastForward => "diverged".into(),
        Rejection::FetchFirst => "diverged: the target has commits that the source lacks".into(),
        Rejection::NeedsForce => "not a commit, so there is no fast-forward".into(),
        Rejection::AlreadyExists => "tag exists with another value".into(),
        Rejection::StaleInfo => "stale info".into(),
        Rejection::NotOnSource => "not on the source".into(),
        Rejection::AtomicPushFailed => "another ref of the atomic push is blocked".into(),
        Rejection::Other(words) => words.clone(),
    }
}

/// The refs that forbid a bootstrap, and with them all that was to be created.
pub(super) fn not_a_bootstrap(choice: &Choice, target: &Advertisement) -> Vec<Entry> {
    let existing = target.refs.iter().filter(|entry| choice.manages(entry.name));
    let mut there: BTreeMap<&BStr, RemoteRef<'_>> = existing.map(|entry| (entry.name, entry)).collect();
    let mut entries: Vec<Entry> = Vec::new();
    for pair in choice.wanted() {
        let old = there.remove(pair.target);
        entries.push(Entry {
            source: Some(pair.source.name.into()),
            target: pair.target.into(),
            old: old.map(|entry| entry.oid),
            new: Some(pair.source.oid),
            action: old.map_or(EntryAction::Create, |_| EntryAction::Blocked),
            status: old.map_or(Status::Planned, |_| Status::Blocked),
            reason: Some(old.map_or(NOT_PUSHED, |_| EXISTS).into()),
        });
    }
    entries.extend(there.into_values().map(|other| Entry {
        source: None,
        target: other.name.into(),
        old: Some(other.oid),
        new: None,
        action: EntryAction::Blocked,
        status: Status::Blocked,
        reason: Some(EXISTS.into()),
    }));
    entries
}

const EXISTS: &str = "exists on the target already";
const NOT_PUSHED: &str = "not pushed, because another ref is blocked";

/// Whether one of the refs may not be changed.
pub(super) fn any_blocked(obstacles: &Obstacles, plan: &Plan) -> bool {
    let is_blocked = |action: &Action| matches!(action, Action::Reject(_) | Action::Ask(_));
    !obstacles.is_empty() || plan.actions.iter().any(is_blocked)
}

/// Nothing is pushed, because of others.
pub(super) fn mark_refused(run: &mut Run) {
    for entry in run.refs.iter_mut().filter(|e| e.status == Status::Planned) {
        entry.reason = Some(NOT_PUSHED.into());
    }
}

/// Enter what the target did. With `tolerant`, refusals are only warned about.
pub(super) fn enter(run: &mut Run, outcomes: &[RefOutcome], tolerant: bool) {
    let mut by_name: Vec<&RefOutcome> = outcomes.iter().collect();
    by_name.sort_by(|one, other| one.target.cmp(&other.target));
    let status_of = |name: &RefName| {
        let found = by_name.binary_search_by(|outcome| outcome.target.cmp(name));
        Some(&by_name.get(found.ok()?)?.status)
    };
    let (mut moved, mut unanswered) = (Vec::new(), Vec::new());
    for entry in run.refs.iter_mut().filter(|e| e.status == Status::Planned) {
        match status_of(&entry.target) {
            Some(RefStatus::Done { options, .. }) => {
                entry.status = Status::Ok;
                for option in options {
                    if let RefOption::NewOid(oid) = option {
                        entry.new = Some(*oid);
                    }
                }
            }
            Some(RefStatus::UpToDate) => entry.status = Status::UpToDate,
            Some(RefStatus::Rejected(why)) => {
                entry.status = Status::Blocked;
                entry.reason = Some(words(why));
            }
            Some(RefStatus::Refused(why)) => {
                entry.status = if tolerant {
                    Status::Warned
                } else {
                    Status::Rejected
                };
                entry.reason = Some(why.clone());
            }
            Some(RefStatus::Moved(why)) => {
                entry.status = Status::Rejected;
                entry.reason = Some(format!("{REF_MOVED} ({why})"));
                moved.push(printable(&entry.target));
            }
            Some(RefStatus::Unanswered) => {
                entry.status = Status::Failed;
                entry.reason = Some(UNANSWERED.into());
                unanswered.push(printable(&entry.target));
            }
            None => entry.status = Status::Failed,
        }
    }
    if let Some(err) = spoiled(&moved, &unanswered) {
        run.error.get_or_insert(err);
    }
}

/// What scripts should know about refs that another run may bring through.
fn spoiled(moved: &[String], unanswered: &[String]) -> Option<Error> {
    let (kind, names, what, hint) = match (moved, unanswered) {
        ([], []) => return None,
        ([], names) => (
            Kind::Network,
            names,
            "did not change, and the target's answer was lost",
            "run it again; if the target is still at work on the push, later",
        ),
        (names, _) => (
            Kind::Moved,
            names,
            "moved while this run was under way",
            "run it again to judge the new value",
        ),
    };
    let message = format!("{} {what}", names.join(", "));
    Some(Error::new(kind, message).on(Side::Target).hint(hint))
}
