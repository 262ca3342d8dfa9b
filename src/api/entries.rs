//! What a run has to say about each ref.

use std::borrow::Cow;
use std::sync::Arc;

use bstr::BStr;
use gix_hash::ObjectId;

use crate::wire::changes::{Change, Changes};
use crate::wire::columns::Sparse;
use crate::wire::ref_name::RefName;

/// One ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The source's ref; `None` for a ref that only the target has.
    pub source: Option<&'a BStr>,
    /// The target's ref.
    pub target: &'a BStr,
    /// The target's value before.
    pub old: Option<ObjectId>,
    /// The value that it got or was to get.
    pub new: Option<ObjectId>,
    /// What was to be done.
    pub action: EntryAction,
    /// What became of that.
    pub status: Status,
    /// Why, in words, where that does not go without saying.
    pub reason: Option<Cow<'a, str>>,
}

/// What is to be done about a ref.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryAction {
    /// The target has no such ref yet.
    Create,
    /// A fast-forward.
    Update,
    /// Overwritten, whatever it was.
    Force,
    /// Removed.
    Delete,
    /// Both sides have the same.
    UpToDate,
    /// A rule forbids it.
    Blocked,
}

impl EntryAction {
    /// The name in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            EntryAction::Create => "create",
            EntryAction::Update => "update",
            EntryAction::Force => "force",
            EntryAction::Delete => "delete",
            EntryAction::UpToDate => "up-to-date",
            EntryAction::Blocked => "blocked",
        }
    }
}

/// What became of a ref.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Ok,
    /// There was nothing to do.
    UpToDate,
    /// Not done, but nothing about this ref stands in the way.
    Planned,
    /// Not allowed.
    Blocked,
    /// Refused by the target.
    Rejected,
    /// Refused by the target, and that is tolerated.
    Warned,
    /// The run broke off; it is not known whether the target has done it.
    Failed,
}

impl Status {
    /// Whether the ref is not as it was to be.
    pub fn is_bad(self) -> bool {
        matches!(self, Status::Blocked | Status::Rejected | Status::Failed)
    }

    /// The name in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::UpToDate => "up-to-date",
            Status::Planned => "planned",
            Status::Blocked => "blocked",
            Status::Rejected => "rejected",
            Status::Warned => "warned",
            Status::Failed => "failed",
        }
    }
}

/// Entries in the order of the request. In little memory, for there can be hundreds of thousands of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entries {
    rows: Vec<Row>,
    /// What was planned, shared with the plan.
    planned: Arc<Changes>,
    /// Name and values of the other entries.
    others: Changes,
    /// The source's refs, where they have another name or there is none.
    sources: Sparse<Option<RefName>>,
    /// New values that are not those of the plan.
    new: Sparse<Option<ObjectId>>,
    reasons: Sparse<Box<str>>,
}

/// What an entry has for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    place: Place,
    action: EntryAction,
    status: Status,
}

/// Where name and values of an entry are, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Planned(u32),
    Other(u32),
}

impl Entries {
    /// None so far, about what was `planned` among others.
    pub(crate) fn about(planned: Arc<Changes>) -> Self {
        Entries {
            planned,
            ..Entries::default()
        }
    }

    /// Append `entry`.
    pub fn push(&mut self, entry: Entry<'_>) {
        // Nobody has more refs than there are numbers: see `RefList::push`.
        let place = Place::Other(self.others.len() as u32);
        self.others.push(Change {
            name: entry.target,
            old: entry.old,
            new: entry.new,
        });
        self.push_row(place, entry);
    }

    /// Append `entry`, which is about the planned change with this `number`.
    pub(crate) fn push_planned(&mut self, number: u32, entry: Entry<'_>) {
        let planned = self.planned.get(number as usize).and_then(|change| change.new);
        if entry.new != planned {
            self.new.push(self.len(), entry.new);
        }
        self.push_row(Place::Planned(number), entry);
    }

    fn push_row(&mut self, place: Place, entry: Entry<'_>) {
        let number = self.len();
        if entry.source != Some(entry.target) {
            self.sources.push(number, entry.source.map(RefName::from));
        }
        let reason = entry.reason.into_iter();
        reason.for_each(|words| self.reasons.push(number, words.into()));
        self.rows.push(Row {
            place,
            action: entry.action,
            status: entry.status,
        });
    }

    /// The entry with this number, counted from zero.
    pub fn get(&self, number: usize) -> Option<Entry<'_>> {
        let row = self.rows.get(number)?;
        let change = match row.place {
            Place::Planned(number) => self.planned.get(number as usize)?,
            Place::Other(number) => self.others.get(number as usize)?,
        };
        let reason = self.reasons.get(number);
        Some(Entry {
            source: self
                .sources
                .get(number)
                .map_or(Some(change.name), Option::as_deref),
            target: change.name,
            old: change.old,
            new: self.new.get(number).copied().unwrap_or(change.new),
            action: row.action,
            status: row.status,
            reason: reason.map(|words| Cow::Borrowed(&**words)),
        })
    }

    /// All of them in order.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'_>> + Clone {
        (0..self.len()).filter_map(|number| self.get(number))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl<'a> FromIterator<Entry<'a>> for Entries {
    fn from_iter<I: IntoIterator<Item = Entry<'a>>>(entries: I) -> Self {
        let mut list = Entries::default();
        entries.into_iter().for_each(|entry| list.push(entry));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_as_they_went_in() {
        let oid = |digit: &str| ObjectId::from_hex(digit.repeat(40).as_bytes()).ok();
        let plain = Entry {
            source: Some("refs/heads/a".into()),
            target: "refs/heads/a".into(),
            old: None,
            new: oid("1"),
            action: EntryAction::Create,
            status: Status::Ok,
            reason: None,
        };
        let all = [
            plain.clone(),
            Entry {
                source: Some("refs/heads/b".into()),
                old: oid("2"),
                reason: Some("diverged".into()),
                status: Status::Blocked,
                ..plain.clone()
            },
            Entry {
                source: None,
                new: None,
                action: EntryAction::Delete,
                ..plain
            },
        ];
        let mut entries: Entries = all.iter().cloned().collect();
        assert!(entries.iter().eq(all.iter().cloned()));
        assert_eq!((entries.len(), entries.get(3)), (3, None));

        let mut planned = Changes::default();
        for entry in &all {
            planned.push(Change {
                name: entry.target,
                old: entry.old,
                new: entry.new,
            });
        }
        entries = Entries::about(Arc::new(planned));
        let [first, second, last] = all;
        let other = Entry {
            new: oid("3"),
            ..first.clone()
        };
        let mixed = [last.clone(), first.clone(), other.clone(), second.clone()];
        entries.push_planned(2, last);
        entries.push(first);
        entries.push_planned(0, other);
        entries.push_planned(1, second);
        assert!(entries.iter().eq(mixed));
    }
}
