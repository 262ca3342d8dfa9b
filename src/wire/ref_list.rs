//! Many refs in little memory: a mirror can have hundreds of thousands on each side.

use std::fmt;

use bstr::BStr;
use gix_hash::{Kind as Format, ObjectId};

use super::columns::{Ids, Names, Sparse};
use super::refs::RemoteRef;
use crate::error::{Error, Kind, Result};

/// Refs in the order in which they came, until they are [sorted](RefList::sort). Apart from its name a ref takes some 25
/// bytes, in four allocations for all of them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RefList {
    names: Names,
    values: Ids,
    /// That of all values.
    format: Option<Format>,
    /// What the few tag objects among the values peel to.
    peeled: Sparse<ObjectId>,
}

impl RefList {
    /// Append `entry`.
    ///
    /// # Errors
    /// [`Kind::Limit`] when there are more than four thousand million, [`Kind::Peer`] when its value has another format
    /// than those before.
    pub fn push(&mut self, entry: RemoteRef<'_>) -> Result<()> {
        if u32::try_from(self.len()).is_err() {
            return Err(Error::new(Kind::Limit, "too many refs"));
        }
        if *self.format.get_or_insert(entry.oid.kind()) != entry.oid.kind() {
            let message = format!("advertises {} among ids of another format", entry.oid);
            return Err(Error::new(Kind::Peer, message));
        }
        let number = self.len();
        self.names.push(entry.name);
        self.values.push(Some(entry.oid));
        entry
            .peeled
            .into_iter()
            .for_each(|oid| self.peeled.push(number, oid));
        Ok(())
    }

    /// Say what the last ref peels to, if that is the one called `name`.
    pub(super) fn peel_last(&mut self, name: &BStr, oid: ObjectId) -> bool {
        let Some(number) = self.len().checked_sub(1) else {
            return false;
        };
        let last = self.get(number);
        let fits = last.is_some_and(|last| last.name == name && last.peeled.is_none());
        if fits {
            self.peeled.push(number, oid);
        }
        fits
    }

    /// How many refs there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The ref with this number, counted from zero.
    pub fn get(&self, number: usize) -> Option<RemoteRef<'_>> {
        Some(RemoteRef {
            name: self.names.get(number)?,
            oid: self.values.get(number).or(self.format.map(ObjectId::null))?,
            peeled: self.peeled.get(number).copied(),
        })
    }

    /// The name of the ref with this number, for those who need no more.
    pub fn name(&self, number: usize) -> Option<&BStr> {
        self.names.get(number)
    }

    /// All refs in order.
    pub fn iter(&self) -> impl Iterator<Item = RemoteRef<'_>> + Clone {
        (0..self.len()).filter_map(|number| self.get(number))
    }

    /// The number of the first ref that is not before `name`. Only in a [sorted](RefList::sort) list.
    pub fn position(&self, name: &BStr) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.names.get(middle).is_some_and(|other| other < name) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The ref called `name`. Only in a [sorted](RefList::sort) list.
    pub fn find(&self, name: &BStr) -> Option<RemoteRef<'_>> {
        self.get(self.position(name)).filter(|entry| entry.name == name)
    }

    /// Order by name, as git's own servers do already.
    pub fn sort(&mut self) {
        if !self.iter().is_sorted_by_key(|entry| entry.name) {
            let mut order: Vec<usize> = (0..self.len()).collect();
            order.sort_by_key(|number| self.names.get(*number));
            let sorted = order.into_iter().filter_map(|number| self.get(number));
            // What fitted once fits again.
            *self = sorted.collect();
        }
        self.names.shrink();
        self.values.shrink();
    }
}

/// What does not fit any more is left out.
impl<'a> FromIterator<RemoteRef<'a>> for RefList {
    fn from_iter<I: IntoIterator<Item = RemoteRef<'a>>>(refs: I) -> Self {
        let mut list = RefList::default();
        refs.into_iter().try_for_each(|entry| list.push(entry)).ok();
        list
    }
}

impl fmt::Debug for RefList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oid(digit: char) -> ObjectId {
        ObjectId::from_hex(digit.to_string().repeat(40).as_bytes()).unwrap()
    }

    fn entry(name: &str, value: char, peeled: Option<char>) -> RemoteRef<'_> {
        RemoteRef {
            name: name.into(),
            oid: oid(value),
            peeled: peeled.map(oid),
        }
    }

    #[test]
    fn refs_come_back_as_they_went_in() {
        let refs = [
            entry("refs/heads/a", 'a', None),
            entry("refs/tags/v1", 'b', Some('c')),
            entry("refs/tags/v2", 'd', None),
            entry("refs/tags/v3", 'e', Some('f')),
        ];
        let list: RefList = refs.into_iter().collect();
        assert!(list.iter().eq(refs));
        assert_eq!(list.len(), 4);
        assert!(
            (0..5)
                .map(|at| list.get(at))
                .eq(refs.map(Some).into_iter().chain([None]))
        );
    }

    #[test]
    fn sorting_keeps_names_values_and_peeled_values_together() {
        let (a, b, c) = (
            entry("refs/heads/a", '1', None),
            entry("refs/heads/a-b", '2', Some('3')),
            entry("refs/heads/a/b", '4', Some('5')),
        );
        let mut list: RefList = [c, a, b].into_iter().collect();
        list.sort();
        assert!(list.iter().eq([a, b, c]));
        assert_eq!(list.find("refs/heads/a-b".into()), Some(b));
        assert_eq!(list.find("refs/heads/a.".into()), None);
        assert_eq!(list.position("refs/heads/a.".into()), 2);
        assert_eq!(list.position("refs/heads/z".into()), 3);
    }
}
