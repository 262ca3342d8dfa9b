//! From plans and outcomes to what is reported about each ref.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bstr::BStr;

use super::super::entries::{Entries, Entry, EntryAction, Status};
use crate::error::{Error, Kind, Side, printable};
use crate::plan::{Action, Choice, Obstacles, RefPair, Rejection, Update};
use crate::session::{Plan, REF_MOVED, RefStatus, UNANSWERED};
use crate::wire::refs::{Advertisement, RemoteRef};
use crate::wire::report::RefOption;

/// What became of a plan.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Deed<'a> {
    /// It is only a plan so far.
    Planned,
    /// Nothing is pushed, because some refs are blocked.
    Withheld,
    /// The run broke off, and it is not known what became of what was under way.
    BrokenOff,
    /// It was carried out.
    Done {
        /// What became of each update.
        statuses: &'a [RefStatus],
        /// Refusals are only warned about.
        tolerant: bool,
    },
}

/// An entry for each ref of the choice, in its order. `plan` answers for what has no obstacle and is not up to date, in
/// the same order.
pub(super) fn entries(choice: &Choice, obstacles: &Obstacles, plan: &Plan, deed: Deed<'_>) -> Entries {
    let mut judged = (0..).zip(plan.updates.iter().zip(&plan.actions)).peekable();
    let mut entries = Entries::about(plan.updates.changes());
    for pair in choice.wanted() {
        match judged.next_if(|(_, (update, _))| update.target == pair.target) {
            Some((number, judged)) => {
                let source = Some(pair.source.name);
                entries.push_planned(number, judged_entry(source, judged, deed, number));
            }
            None => entries.push(not_judged(pair, obstacles)),
        }
    }
    // What is left are the deletions.
    for (number, judged) in judged {
        entries.push_planned(number, judged_entry(None, judged, deed, number));
    }
    entries
}

fn not_judged<'a>(pair: RefPair<'a>, obstacles: &Obstacles) -> Entry<'a> {
    let obstacle = obstacles.get(pair.target);
    let (action, status) = match obstacle {
        Some(_) => (EntryAction::Blocked, Status::Blocked),
        None => (EntryAction::UpToDate, Status::UpToDate),
    };
    Entry {
        source: Some(pair.source.name),
        target: pair.target,
        old: obstacle.is_none().then_some(pair.source.oid),
        new: Some(pair.source.oid),
        action,
        status,
        reason: obstacle.map(|other| format!("'{}' on the target is in the way", printable(other)).into()),
    }
}

/// What was judged about the update with this `number`, for which `source` is the source's ref, and what became of it.
pub(crate) fn judged_entry<'a>(
    source: Option<&'a BStr>,
    (update, action): (Update<'a>, &'a Action),
    deed: Deed<'a>,
    number: u32,
) -> Entry<'a> {
    let (action, status, reason) = match action {
        Action::UpToDate => (EntryAction::UpToDate, Status::UpToDate, None),
        Action::Create => (EntryAction::Create, Status::Planned, None),
        Action::FastForward => (EntryAction::Update, Status::Planned, None),
        Action::Force => (EntryAction::Force, Status::Planned, None),
        Action::Delete => (EntryAction::Delete, Status::Planned, None),
        Action::Reject(why) => (EntryAction::Blocked, Status::Blocked, Some(words(why))),
        Action::Ask(_) => (EntryAction::Blocked, Status::Blocked, Some("not judged".into())),
    };
    let planned = Entry {
        source,
        target: update.target,
        old: update.old,
        new: update.new,
        action,
        status,
        reason,
    };
    match deed {
        _ if status != Status::Planned => planned,
        Deed::Planned => planned,
        Deed::Withheld => Entry {
            reason: Some(NOT_PUSHED.into()),
            ..planned
        },
        Deed::BrokenOff => Entry {
            status: Status::Failed,
            ..planned
        },
        Deed::Done { statuses, tolerant } => done(planned, statuses.get(number as usize), tolerant),
    }
}

/// Enter into `planned` what the target did.
fn done<'a>(planned: Entry<'a>, became: Option<&'a RefStatus>, tolerant: bool) -> Entry<'a> {
    let (status, reason): (_, Option<Cow<'a, str>>) = match became {
        Some(RefStatus::Done(options)) => {
            let new = options.iter().rev().find_map(|option| match option {
                RefOption::NewOid(oid) => Some(*oid),
                _ => None,
            });
            return Entry {
                status: Status::Ok,
                new: new.or(planned.new),
                ..planned
            };
        }
        Some(RefStatus::UpToDate) => (Status::UpToDate, None),
        Some(RefStatus::Rejected(why)) => (Status::Blocked, Some(words(why))),
        Some(RefStatus::Refused(why)) if tolerant => (Status::Warned, Some((&**why).into())),
        Some(RefStatus::Refused(why)) => (Status::Rejected, Some((&**why).into())),
        Some(RefStatus::Moved(why)) => (Status::Rejected, Some(format!("{REF_MOVED} ({why})").into())),
        Some(RefStatus::Unanswered) => (Status::Failed, Some(UNANSWERED.into())),
        None => (Status::Failed, None),
    };
    Entry {
        status,
        reason,
        ..planned
    }
}

/// Words for people who did not type `git push`.
fn words(why: &Rejection) -> Cow<'static, str> {
    match why {
        Rejection::NonFastForward => "diverged".into(),
        Rejection::FetchFirst => "diverged: the target has commits that the source lacks".into(),
        Rejection::NeedsForce => "not a commit, so there is no fast-forward".into(),
        Rejection::AlreadyExists => "tag exists with another value".into(),
        Rejection::StaleInfo => "stale info".into(),
        Rejection::NotOnSource => "not on the source".into(),
        Rejection::AtomicPushFailed => "another ref of the atomic push is blocked".into(),
        Rejection::CannotReplace(_) => why.words(),
    }
}

/// The refs that forbid a bootstrap, and with them all that was to be created.
pub(super) fn not_a_bootstrap(choice: &Choice, target: &Advertisement) -> Entries {
    let existing = target.refs.iter().filter(|entry| choice.manages(entry.name));
    let mut there: BTreeMap<&BStr, RemoteRef<'_>> = existing.map(|entry| (entry.name, entry)).collect();
    let mut entries = Entries::default();
    for pair in choice.wanted() {
        let old = there.remove(pair.target);
        entries.push(Entry {
            source: Some(pair.source.name),
            target: pair.target,
            old: old.map(|entry| entry.oid),
            new: Some(pair.source.oid),
            action: old.map_or(EntryAction::Create, |_| EntryAction::Blocked),
            status: old.map_or(Status::Planned, |_| Status::Blocked),
            reason: Some(old.map_or(NOT_PUSHED, |_| EXISTS).into()),
        });
    }
    for other in there.into_values() {
        entries.push(Entry {
            source: None,
            target: other.name,
            old: Some(other.oid),
            new: None,
            action: EntryAction::Blocked,
            status: Status::Blocked,
            reason: Some(EXISTS.into()),
        });
    }
    entries
}

const EXISTS: &str = "exists on the target already";
const NOT_PUSHED: &str = "not pushed, because another ref is blocked";

/// Whether one of the refs may not be changed.
pub(super) fn any_blocked(obstacles: &Obstacles, plan: &Plan) -> bool {
    let is_blocked = |action: &Action| matches!(action, Action::Reject(_) | Action::Ask(_));
    !obstacles.is_empty() || plan.actions.iter().any(is_blocked)
}

/// What scripts should know about refs that another run may bring through.
pub(super) fn spoiled(plan: &Plan, statuses: &[RefStatus]) -> Option<Error> {
    let names = |which: fn(&RefStatus) -> bool| {
        let all = plan.updates.iter().zip(statuses);
        let those = all.filter(|(_, status)| which(status));
        those
            .map(|(update, _)| printable(update.target))
            .collect::<Vec<_>>()
    };
    let moved = names(|status| matches!(status, RefStatus::Moved(_)));
    let unanswered = names(|status| matches!(status, RefStatus::Unanswered));
    let (kind, names, what, hint) = match (&moved[..], &unanswered[..]) {
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
