//! Lists that keep each property of many refs in a row of its own, for a mirror can have hundreds of thousands of them.
//!
//! A struct for each ref would have room for the longest hash, pointers to its name and padding: some five times as much.

use bstr::{BStr, ByteSlice};
use gix_hash::{Kind as Format, ObjectId, oid};

/// Names, one behind the other. Each takes its length and 4 bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    bytes: Vec<u8>,
    /// The lower 32 bits of where each name ends.
    ends: Vec<u32>,
    /// The numbers of the names whose end is the first with other higher bits than the one before.
    carries: Vec<usize>,
}

impl Names {
    /// Append `name`.
    pub fn push(&mut self, name: &BStr) {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(name);
        let carried = (before as u64 >> 32)..(self.bytes.len() as u64 >> 32);
        self.carries.extend(carried.map(|_| self.ends.len()));
        // The rest is in `carries`.
        self.ends.push(self.bytes.len() as u32);
    }

    /// The name with this number, counted from zero.
    pub fn get(&self, number: usize) -> Option<&BStr> {
        let start = match number.checked_sub(1) {
            Some(last) => self.end(last)?,
            None => 0,
        };
        Some(self.bytes.get(start..self.end(number)?)?.as_bstr())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// No more are coming: give back what memory was kept for them.
    pub fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    fn end(&self, number: usize) -> Option<usize> {
        let low = *self.ends.get(number)?;
        if self.carries.is_empty() {
            return Some(low as usize);
        }
        let carries = self.carries.partition_point(|carry| *carry <= number) as u64;
        usize::try_from(carries << 32 | u64::from(low)).ok()
    }
}

/// Object ids, each of which may be missing. Each takes as many bytes as its hash has; those that are missing at the
/// beginning take none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ids {
    /// How many are missing before the first one.
    missing: usize,
    /// That of the first one.
    format: Option<Format>,
    /// What is missing here is the null id.
    bytes: Vec<u8>,
    /// Those of another format, which are missing in `bytes`.
    others: Sparse<ObjectId>,
}

impl Ids {
    /// Append `id`. The null id is none.
    pub fn push(&mut self, id: Option<ObjectId>) {
        let id = id.filter(|id| !id.is_null());
        match (id, self.format) {
            (None, None) => self.missing += 1,
            (Some(id), None) => {
                self.format = Some(id.kind());
                self.bytes.extend_from_slice(id.as_slice());
            }
            (Some(id), Some(format)) if id.kind() == format => self.bytes.extend_from_slice(id.as_slice()),
            (id, Some(format)) => {
                let number = self.len();
                id.into_iter().for_each(|id| self.others.push(number, id));
                self.bytes.extend_from_slice(ObjectId::null(format).as_slice());
            }
        }
    }

    /// The id with this number, counted from zero.
    pub fn get(&self, number: usize) -> Option<ObjectId> {
        let width = self.format?.len_in_bytes();
        let start = number.checked_sub(self.missing)?.checked_mul(width)?;
        let id = oid::try_from_bytes(self.bytes.get(start..start.checked_add(width)?)?).ok()?;
        match id.is_null() {
            true => self.others.get(number).copied(),
            false => Some(id.to_owned()),
        }
    }

    /// How many there are, with those that are missing.
    pub fn len(&self) -> usize {
        let width = self.format.map_or(1, |format| format.len_in_bytes());
        self.missing + self.bytes.len() / width
    }

    /// Whether there is none, not even a missing one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// No more are coming: give back what memory was kept for them.
    pub fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
    }
}

/// What only few members of a list have, by their number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sparse<T>(Vec<(usize, T)>);

impl<T> Default for Sparse<T> {
    fn default() -> Self {
        Sparse(Vec::new())
    }
}

impl<T> Sparse<T> {
    /// The member `number`, which comes behind all that were pushed before, has `value`.
    pub fn push(&mut self, number: usize, value: T) {
        self.0.push((number, value));
    }

    /// What the member `number` has, if it has one.
    pub fn get(&self, number: usize) -> Option<&T> {
        let place = self.0.binary_search_by_key(&number, |(of, _)| *of).ok()?;
        self.0.get(place).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oid(digit: char, format: Format) -> ObjectId {
        ObjectId::from_hex(digit.to_string().repeat(format.len_in_hex()).as_bytes()).unwrap()
    }

    #[test]
    fn names_come_back_as_they_went_in() {
        let mut names = Names::default();
        for name in ["refs/heads/a", "", "refs/tags/ü"] {
            names.push(name.into());
        }
        assert_eq!(names.get(0), Some("refs/heads/a".into()));
        assert_eq!(names.get(1), Some("".into()));
        assert_eq!(names.get(2), Some("refs/tags/ü".into()));
        assert_eq!((names.get(3), names.len()), (None, 3));
    }

    #[test]
    fn ends_beyond_32_bits_are_told_apart() {
        let names = Names {
            bytes: Vec::new(),
            ends: vec![10, 5, 7, 3],
            carries: vec![1, 3],
        };
        let ends: Vec<_> = (0..5).map(|number| names.end(number)).collect();
        let beyond = |times: usize, low| Some((times << 32) + low);
        assert_eq!(ends, [Some(10), beyond(1, 5), beyond(1, 7), beyond(2, 3), None]);
    }

    #[test]
    fn ids_come_back_as_they_went_in() {
        let (one, two) = (oid('1', Format::Sha1), oid('2', Format::Sha1));
        let long = oid('3', Format::Sha256);
        let rows: [&[Option<ObjectId>]; 4] = [
            &[None, None, Some(one), None, Some(two)],
            &[Some(one), Some(long), None, Some(two)],
            &[None, Some(long), Some(one)],
            &[None, None],
        ];
        for row in rows {
            let mut ids = Ids::default();
            row.iter().for_each(|id| ids.push(*id));
            assert_eq!((ids.len(), ids.is_empty()), (row.len(), false));
            let back: Vec<_> = (0..row.len()).map(|number| ids.get(number)).collect();
            assert_eq!(back, row);
            assert_eq!(ids.get(row.len()), None);
        }
        let mut null = Ids::default();
        null.push(Some(ObjectId::null(Format::Sha1)));
        assert_eq!((null.get(0), null.len(), null.bytes.len()), (None, 1, 0));
    }

    #[test]
    fn few_members_have_what_is_sparse() {
        let mut sparse = Sparse::default();
        sparse.push(3, "c");
        sparse.push(7, "g");
        assert_eq!((sparse.get(3), sparse.get(7)), (Some(&"c"), Some(&"g")));
        assert_eq!((sparse.get(0), sparse.get(5), sparse.get(8)), (None, None, None));
    }
}
