//! Many updates in little memory.

use std::sync::Arc;

use gix_hash::ObjectId;

use super::Update;
use crate::wire::changes::{Change, Changes, Commands};
use crate::wire::columns::Sparse;

/// The [updates](Update) of a run, in the order of the request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Updates {
    changes: Arc<Changes>,
    /// What the new values peel to, where that is something else.
    commits: Sparse<ObjectId>,
    leases: Sparse<Option<ObjectId>>,
    marks: Vec<Marks>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Marks {
    new_is_commit: bool,
    on_source: bool,
    force: bool,
}

impl Updates {
    /// Append `update`.
    pub fn push(&mut self, update: Update<'_>) {
        let number = self.len();
        let commit = update.new_commit.filter(|commit| update.new != Some(*commit));
        commit.into_iter().for_each(|oid| self.commits.push(number, oid));
        let lease = update.lease.into_iter();
        lease.for_each(|expected| self.leases.push(number, expected));
        self.marks.push(Marks {
            new_is_commit: update.new_is_commit,
            on_source: update.on_source,
            force: update.force,
        });
        Arc::make_mut(&mut self.changes).push(update.change());
    }

    /// The update with this number, counted from zero.
    pub fn get(&self, number: usize) -> Option<Update<'_>> {
        let Change { name, old, new } = self.changes.get(number)?;
        let marks = self.marks.get(number)?;
        Some(Update {
            target: name,
            old,
            new,
            new_commit: self.commits.get(number).copied().or(new),
            new_is_commit: marks.new_is_commit,
            on_source: marks.on_source,
            force: marks.force,
            lease: self.leases.get(number).copied(),
        })
    }

    /// All of them in order.
    pub fn iter(&self) -> impl Iterator<Item = Update<'_>> + Clone {
        (0..self.len()).filter_map(|number| self.get(number))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// Set [`Update::new_is_commit`] of each.
    pub fn mark_commits(&mut self, is_commit: impl Fn(&Update<'_>) -> bool) {
        self.mark(is_commit, |marks, value| marks.new_is_commit = value);
    }

    /// Set [`Update::on_source`] of each.
    pub fn mark_source(&mut self, on_source: impl Fn(&Update<'_>) -> bool) {
        self.mark(on_source, |marks, value| marks.on_source = value);
    }

    fn mark(&mut self, judge: impl Fn(&Update<'_>) -> bool, set: impl Fn(&mut Marks, bool)) {
        for number in 0..self.len() {
            let value = self.get(number).is_some_and(|update| judge(&update));
            self.marks
                .get_mut(number)
                .into_iter()
                .for_each(|marks| set(marks, value));
        }
    }

    /// Name, old and new value of each.
    pub fn changes(&self) -> Arc<Changes> {
        self.changes.clone()
    }

    /// Those with the numbers in `order`, as commands for the target.
    pub fn commands(&self, order: Vec<u32>) -> Commands {
        Commands::of(self.changes.clone(), order)
    }
}

impl<'a> FromIterator<Update<'a>> for Updates {
    fn from_iter<I: IntoIterator<Item = Update<'a>>>(updates: I) -> Self {
        let mut list = Updates::default();
        updates.into_iter().for_each(|update| list.push(update));
        Arc::make_mut(&mut list.changes).shrink();
        list.marks.shrink_to_fit();
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_come_back_as_they_went_in() {
        let oid = |digit: &str| ObjectId::from_hex(digit.repeat(40).as_bytes()).ok();
        let plain = Update {
            target: "refs/heads/a".into(),
            old: None,
            new: oid("1"),
            new_commit: oid("1"),
            new_is_commit: true,
            on_source: true,
            force: false,
            lease: None,
        };
        let all = [
            plain,
            Update {
                target: "refs/tags/b".into(),
                old: oid("2"),
                new_commit: oid("3"),
                new_is_commit: false,
                force: true,
                ..plain
            },
            Update {
                new: None,
                new_commit: None,
                lease: Some(oid("4")),
                on_source: false,
                ..plain
            },
            Update {
                lease: Some(None),
                ..plain
            },
        ];
        let mut updates: Updates = all.into_iter().collect();
        assert!(updates.iter().eq(all));
        assert_eq!((updates.len(), updates.get(4)), (4, None));
        updates.mark_source(|update| update.old.is_some());
        updates.mark_commits(|update| update.old.is_none());
        let marks: Vec<_> = updates.iter().map(|u| (u.on_source, u.new_is_commit)).collect();
        assert_eq!(
            marks,
            [(false, true), (true, false), (false, true), (false, true)]
        );
    }
}
