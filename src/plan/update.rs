//! One requested ref update, judged by git's rules.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use bstr::{BStr, ByteSlice};
use gix_hash::ObjectId;

use super::Updates;
use crate::wire::changes::Change;
use crate::wire::ref_name::RefName;

/// What was asked for one ref of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Update<'a> {
    /// The target's ref.
    pub target: &'a BStr,
    /// Its value in the target's advertisement; `None` when it does not exist.
    pub old: Option<ObjectId>,
    /// The value it shall get; `None` to delete it.
    pub new: Option<ObjectId>,
    /// What `new` peels to: the commit that takes part in the fast-forward rule.
    pub new_commit: Option<ObjectId>,
    /// Whether `new` peels to a commit; only commits have a history to compare.
    pub new_is_commit: bool,
    /// Whether the source has `new`, or whoever may stand in for it.
    pub on_source: bool,
    /// Overwrite even what is not a fast-forward.
    pub force: bool,
    /// Overwrite only if the target still has this value (an inner `None`: only if it has none).
    pub lease: Option<Option<ObjectId>>,
}

impl<'a> Update<'a> {
    /// What the target is asked to do.
    pub fn change(&self) -> Change<'a> {
        Change {
            name: self.target,
            old: self.old,
            new: self.new,
        }
    }
}

/// Why a ref is left alone. The words are those of `gitremote-helpers`, which git turns into its own advice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// The source has the old value, and it is not in the history of the new one.
    NonFastForward,
    /// The source lacks the old value.
    FetchFirst,
    /// Old or new value is not a commit, so there is no history to compare.
    NeedsForce,
    /// Tags are only ever created.
    AlreadyExists,
    /// The target's value is not the one that the lease expects.
    StaleInfo,
    /// The source does not have the new value: a relay sends only what the source has.
    NotOnSource,
    /// Another ref of an atomic push was rejected.
    AtomicPushFailed,
    /// A ref that the same atomic push deletes has a name that rules its own out. A box, because there can be a hundred
    /// thousand of these.
    CannotReplace(Box<RefName>),
}

impl Rejection {
    /// The text behind `error <ref>`.
    pub fn words(&self) -> Cow<'static, str> {
        let words = match self {
            Rejection::NonFastForward => "non-fast forward",
            Rejection::FetchFirst => "fetch first",
            Rejection::NeedsForce => "needs force",
            Rejection::AlreadyExists => "already exists",
            Rejection::StaleInfo => "stale info",
            Rejection::NotOnSource => "not on the source",
            Rejection::AtomicPushFailed => "atomic push failed",
            Rejection::CannotReplace(other) => {
                return format!("cannot replace '{other}' in one atomic push").into();
            }
        };
        words.into()
    }
}

/// What becomes of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The target's ref has the value already.
    UpToDate,
    /// The target has no such ref yet.
    Create,
    /// The new value has the old one in its history.
    FastForward,
    /// The old value is overwritten, whatever it is.
    Force,
    /// The ref is removed.
    Delete,
    /// The ref is left alone.
    Reject(Rejection),
    /// Only the source's history can tell: is `old` an ancestor of `new`?
    Ask(Box<Question>),
}

/// "Is `old` an ancestor of `new`?"
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Question {
    /// The supposed ancestor.
    pub old: ObjectId,
    /// The supposed descendant.
    pub new: ObjectId,
}

/// What the source's history says to a [`Question`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is an ancestor.
    Yes,
    /// The source has it, elsewhere.
    Diverged,
    /// The source does not know it.
    UnknownOld,
}

/// Judge `update` as far as that needs no history.
pub fn judge(update: &Update<'_>) -> Action {
    if update.lease.is_some_and(|expected| expected != update.old) {
        return Action::Reject(Rejection::StaleInfo);
    }
    match (update.old, update.new) {
        // Git lets the target decide about a ref that is not there: it warns and is content.
        (_, None) => Action::Delete,
        (old, new) if old == new => Action::UpToDate,
        _ if !update.on_source => Action::Reject(Rejection::NotOnSource),
        (None, Some(_)) => Action::Create,
        // A lease that holds allows what force allows.
        (Some(_), Some(_)) if update.force || update.lease.is_some() => Action::Force,
        (Some(_), Some(_)) if update.target.starts_with(b"refs/tags/") => {
            Action::Reject(Rejection::AlreadyExists)
        }
        (Some(_), Some(_)) if !update.new_is_commit => Action::Reject(Rejection::NeedsForce),
        (Some(old), Some(new)) => Action::Ask(Box::new(Question {
            old,
            new: update.new_commit.unwrap_or(new),
        })),
    }
}

/// Turn the answer to an [`Action::Ask`] into what becomes of the update.
pub fn settle(answer: &Answer) -> Action {
    match answer {
        Answer::Yes => Action::FastForward,
        Answer::Diverged => Action::Reject(Rejection::NonFastForward),
        Answer::UnknownOld => Action::Reject(Rejection::FetchFirst),
    }
}

/// Reject everything that would change the target, once one part of an atomic push is rejected.
pub fn reject_all_if_any(actions: &mut [Action]) {
    if !actions.iter().any(|action| matches!(action, Action::Reject(_))) {
        return;
    }
    for action in actions.iter_mut() {
        if !matches!(action, Action::Reject(_) | Action::UpToDate) {
            *action = Action::Reject(Rejection::AtomicPushFailed);
        }
    }
}

/// Reject creates whose name is taken by a ref that the same atomic push deletes (`a` and `a/b` cannot both exist):
/// stock git cannot do both in one transaction.
pub fn refuse_name_conflicts(updates: &Updates, actions: &mut [Action]) {
    let with = |wanted: Action, actions: &[Action]| -> HashSet<RefName> {
        let chosen = updates
            .iter()
            .zip(actions)
            .filter(|(_, action)| **action == wanted);
        chosen.map(|(update, _)| update.target.into()).collect()
    };
    let deleted = with(Action::Delete, actions);
    let created = with(Action::Create, actions);
    let mut in_the_way: HashMap<RefName, RefName> = HashMap::new();
    for name in &created {
        in_the_way.extend(
            parents(name)
                .filter(|up| deleted.contains(up))
                .map(|up| (name.clone(), up)),
        );
    }
    for name in &deleted {
        in_the_way.extend(
            parents(name)
                .filter(|up| created.contains(up))
                .map(|up| (up, name.clone())),
        );
    }
    for (update, action) in updates
        .iter()
        .zip(actions)
        .filter(|(_, action)| **action == Action::Create)
    {
        if let Some(other) = in_the_way.get(update.target) {
            *action = Action::Reject(Rejection::CannotReplace(Box::new(other.clone())));
        }
    }
}

/// `refs/heads` and `refs` for `refs/heads/a`.
fn parents(name: &RefName) -> impl Iterator<Item = RefName> {
    name.rfind_iter(b"/")
        .map(|slash| name[..slash].as_bstr().into())
        .collect::<Vec<_>>()
        .into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oid(digit: &str) -> ObjectId {
        ObjectId::from_hex(digit.repeat(40).as_bytes()).unwrap()
    }

    fn update<'a>(target: &'a str, old: Option<&str>, new: Option<&str>) -> Update<'a> {
        Update {
            target: target.into(),
            old: old.map(oid),
            new: new.map(oid),
            new_commit: new.map(oid),
            new_is_commit: true,
            on_source: true,
            force: false,
            lease: None,
        }
    }

    #[test]
    fn what_needs_no_history_is_judged_at_once() {
        use Action::*;
        let judged = |u: Update<'_>| judge(&u);
        assert_eq!(judged(update("refs/heads/a", Some("1"), Some("1"))), UpToDate);
        assert_eq!(judged(update("refs/heads/a", None, Some("1"))), Create);
        assert_eq!(judged(update("refs/heads/a", Some("1"), None)), Delete);
        assert_eq!(
            judged(update("refs/tags/a", Some("1"), Some("2"))),
            Reject(Rejection::AlreadyExists)
        );
        assert!(matches!(
            judged(update("refs/heads/a", Some("1"), Some("2"))),
            Ask(_)
        ));
        assert_eq!(
            judged(Update {
                new_is_commit: false,
                ..update("refs/x/a", Some("1"), Some("2"))
            }),
            Reject(Rejection::NeedsForce)
        );
        assert_eq!(
            judged(Update {
                force: true,
                ..update("refs/tags/a", Some("1"), Some("2"))
            }),
            Force
        );
    }

    #[test]
    fn a_lease_stands_for_force_while_it_holds_and_forbids_everything_else() {
        let held = Update {
            lease: Some(Some(oid("1"))),
            ..update("refs/heads/a", Some("1"), Some("2"))
        };
        assert_eq!(judge(&held), Action::Force);
        let stale = Update {
            lease: Some(Some(oid("3"))),
            force: true,
            ..held
        };
        assert_eq!(judge(&stale), Action::Reject(Rejection::StaleInfo));
        let must_not_exist = Update {
            lease: Some(None),
            ..held
        };
        assert_eq!(judge(&must_not_exist), Action::Reject(Rejection::StaleInfo));
    }

    #[test]
    fn an_atomic_push_stands_or_falls_as_one() {
        let mut actions = [
            Action::Create,
            Action::Reject(Rejection::FetchFirst),
            Action::UpToDate,
            Action::Delete,
        ];
        reject_all_if_any(&mut actions);
        let failed = Action::Reject(Rejection::AtomicPushFailed);
        assert_eq!(
            actions,
            [
                failed.clone(),
                Action::Reject(Rejection::FetchFirst),
                Action::UpToDate,
                failed
            ]
        );
    }

    #[test]
    fn an_atomic_push_cannot_replace_a_name_by_one_below_or_above() {
        let refused = |gone: &str, new: &str| {
            let updates = [update(gone, Some("1"), None), update(new, None, Some("2"))];
            let updates = updates.into_iter().collect();
            let mut actions = [Action::Delete, Action::Create];
            refuse_name_conflicts(&updates, &mut actions);
            matches!(
                actions,
                [Action::Delete, Action::Reject(Rejection::CannotReplace(_))]
            )
        };
        assert!(refused("refs/heads/a", "refs/heads/a/b"));
        assert!(refused("refs/heads/a/b", "refs/heads/a"));
        assert!(refused("refs/heads/a/b/c", "refs/heads/a"));
        assert!(!refused("refs/heads/a", "refs/heads/ab"));
        assert!(!refused("refs/heads/a", "refs/heads/b"));
    }
}
