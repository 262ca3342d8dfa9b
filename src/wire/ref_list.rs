//! Many refs in little memory: a mirror can have hundreds of thousands on each side.

use std::fmt;

use bstr::{BStr, ByteSlice};
use gix_hash::{Kind as Format, ObjectId, oid};

use super::refs::RemoteRef;
use crate::error::{Error, Kind, Result};

/// Refs in the order in which they came, until they are [sorted](RefList::sort). Apart from its name a ref takes some 25
/// bytes, in four allocations for all of them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RefList {
    names: Vec<u8>,
    /// Where each name ends.
    ends: Vec<u32>,
    /// The ids in one row; an [`ObjectId`] has room for the longest hash.
    values: Vec<u8>,
    /// That of all values.
    format: Option<Format>,
    /// What the few tag objects among the values peel to, by number.
    peeled: Vec<(u32, ObjectId)>,
}

impl RefList {
    /// Append `entry`.
    ///
    /// # Errors
    /// [`Kind::Limit`] when all names together have more than 4 GiB, [`Kind::Peer`] when its value has another format than
    /// those before.
    pub fn push(&mut self, entry: RemoteRef<'_>) -> Result<()> {
        let too_many = |_| Error::new(Kind::Limit, "too many refs");
        let end = u32::try_from(self.names.len() + entry.name.len()).map_err(too_many)?;
        let number = u32::try_from(self.len()).map_err(too_many)?;
        if *self.format.get_or_insert(entry.oid.kind()) != entry.oid.kind() {
            let message = format!("advertises {} among ids of another format", entry.oid);
            return Err(Error::new(Kind::Peer, message));
        }
        self.names.extend_from_slice(entry.name);
        self.ends.push(end);
        self.values.extend_from_slice(entry.oid.as_slice());
        self.peeled.extend(entry.peeled.map(|oid| (number, oid)));
        Ok(())
    }

    /// Say what the last ref peels to, if that is the one called `name`.
    pub(super) fn peel_last(&mut self, name: &BStr, oid: ObjectId) -> bool {
        let last = self.len().checked_sub(1).and_then(|number| self.get(number));
        if last.is_none_or(|last| last.name != name || last.peeled.is_some()) {
            return false;
        }
        // There are not more refs than fit: `push` has seen to that.
        let number = u32::try_from(self.len() - 1);
        self.peeled.extend(number.into_iter().map(|number| (number, oid)));
        true
    }

    /// How many refs there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The ref with this number, counted from zero.
    pub fn get(&self, number: usize) -> Option<RemoteRef<'_>> {
        let peeled = self
            .peeled
            .binary_search_by_key(&number, |(of, _)| *of as usize)
            .ok()
            .and_then(|at| self.peeled.get(at));
        Some(RemoteRef {
            name: self.name(number)?,
            oid: self.value(number)?,
            peeled: peeled.map(|(_, oid)| *oid),
        })
    }

    /// All refs in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = RemoteRef<'_>> + Clone {
        let mut start = 0;
        let mut peeled = self.peeled.iter().peekable();
        let width = self.format.map_or(1, |format| format.len_in_bytes());
        let named = self.ends.iter().zip(self.values.chunks_exact(width)).enumerate();
        named.map(move |(number, (end, oid))| {
            let end = *end as usize;
            let name = self.names.get(std::mem::replace(&mut start, end)..end);
            let peels_to = peeled.next_if(|(of, _)| *of as usize == number);
            RemoteRef {
                name: name.unwrap_or_default().as_bstr(),
                oid: id(oid),
                peeled: peels_to.map(|(_, oid)| *oid),
            }
        })
    }

    /// The number of the first ref that is not before `name`. Only in a [sorted](RefList::sort) list.
    pub fn position(&self, name: &BStr) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.name(middle).is_some_and(|other| other < name) {
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
            order.sort_by_key(|number| self.name(*number));
            let sorted = order.into_iter().filter_map(|number| self.get(number));
            // What fitted once fits again.
            *self = sorted.collect();
        }
        self.names.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.values.shrink_to_fit();
    }

    fn value(&self, number: usize) -> Option<ObjectId> {
        let width = self.format?.len_in_bytes();
        let start = number.checked_mul(width)?;
        self.values.get(start..start.checked_add(width)?).map(id)
    }

    fn name(&self, number: usize) -> Option<&BStr> {
        let end = *self.ends.get(number)? as usize;
        let start = match number.checked_sub(1) {
            Some(last) => *self.ends.get(last)? as usize,
            None => 0,
        };
        Some(self.names.get(start..end)?.as_bstr())
    }
}

/// The id in `bytes`, which are as many as one has.
fn id(bytes: &[u8]) -> ObjectId {
    oid::try_from_bytes(bytes).map_or(ObjectId::null(Format::Sha1), ToOwned::to_owned)
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
        assert_eq!((list.len(), list.iter().len()), (4, 4));
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
