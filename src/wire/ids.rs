//! Many object ids in little memory: each once, numbered in the order of arrival.

use std::hash::{BuildHasher, RandomState};

use gix_hash::{Kind as Format, ObjectId, oid};

use crate::error::{Error, Kind, Result};

/// A set of ids that gives each a number from 0 on.
///
/// It holds the plain ids in one row and a hash table of their numbers: 20 or 32 bytes an id and 8 more on average,
/// where a `HashMap<ObjectId, u32>` takes some 60. Ids come from peers, who can choose them to collide, hence the seeded hash.
pub struct IdTable {
    format: Format,
    bytes: Vec<u8>,
    /// Number + 1, or 0 for a free place; its length is a power of two, at most three quarters of it taken.
    places: Vec<u32>,
    seed: RandomState,
}

impl IdTable {
    /// A table for ids of `format`.
    pub fn new(format: Format) -> Self {
        IdTable {
            format,
            bytes: Vec::new(),
            places: vec![0; 64],
            seed: RandomState::new(),
        }
    }

    /// The format of the ids.
    pub fn format(&self) -> Format {
        self.format
    }

    /// How many ids there are.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.format.len_in_bytes()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The number of `id`, if it is there.
    pub fn get(&self, id: &oid) -> Option<u32> {
        self.find(id).ok()
    }

    /// The number of `id`, which is put in unless it is there.
    ///
    /// # Errors
    ///
    /// [`Kind::Internal`] for an id of another format, [`Kind::Limit`] beyond four thousand million ids.
    pub fn intern(&mut self, id: &oid) -> Result<u32> {
        let place = match self.find(id) {
            Ok(nr) => return Ok(nr),
            Err(place) => place,
        };
        if id.kind() != self.format {
            let message = format!("{id} is no id of the {} format", self.format);
            return Err(Error::new(Kind::Internal, message));
        }
        let nr = u32::try_from(self.len()).ok().filter(|nr| *nr < u32::MAX);
        let nr = nr.ok_or_else(|| Error::new(Kind::Limit, "too many objects"))?;
        self.bytes.extend_from_slice(id.as_bytes());
        if let Some(free) = self.places.get_mut(place) {
            *free = nr + 1;
        }
        if self.len() * 4 > self.places.len() * 3 {
            self.grow();
        }
        Ok(nr)
    }

    /// Put `id` in, and say whether it was not there before. One that cannot be put in never was.
    pub fn is_first(&mut self, id: &oid) -> bool {
        let before = self.len();
        self.intern(id).map_or(true, |_| self.len() > before)
    }

    /// The id that has the number `nr`.
    pub fn id(&self, nr: u32) -> Option<ObjectId> {
        ObjectId::try_from(self.slice(nr)?).ok()
    }

    fn slice(&self, nr: u32) -> Option<&[u8]> {
        let len = self.format.len_in_bytes();
        let start = (nr as usize).checked_mul(len)?;
        self.bytes.get(start..start.checked_add(len)?)
    }

    /// The number of `id`, or else the free place where it belongs.
    fn find(&self, id: &oid) -> std::result::Result<u32, usize> {
        let mut place = self.first_place(id.as_bytes());
        loop {
            match self.places.get(place) {
                Some(0) | None => return Err(place),
                Some(taken) if self.slice(taken - 1) == Some(id.as_bytes()) => return Ok(taken - 1),
                Some(_) => place = (place + 1) & (self.places.len() - 1),
            }
        }
    }

    fn first_place(&self, id: &[u8]) -> usize {
        // Only the low bits are used, so a 32-bit `usize` loses nothing.
        self.seed.hash_one(id) as usize & (self.places.len() - 1)
    }

    fn grow(&mut self) {
        self.places = vec![0; self.places.len() * 2];
        for (nr, id) in self.bytes.chunks_exact(self.format.len_in_bytes()).enumerate() {
            let mut place = self.first_place(id);
            while self.places.get(place).is_some_and(|taken| *taken != 0) {
                place = (place + 1) & (self.places.len() - 1);
            }
            if let Some(free) = self.places.get_mut(place) {
                // `intern` lets no number grow beyond 32 bits.
                *free = nr as u32 + 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(nr: u64) -> ObjectId {
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&nr.to_be_bytes());
        ObjectId::Sha1(bytes)
    }

    #[test]
    fn ids_are_numbered_once_and_found_again_as_the_table_grows() {
        let mut table = IdTable::new(Format::Sha1);
        assert!(table.is_empty());
        for round in 0..2 {
            for nr in 0..10_000 {
                assert_eq!(table.intern(&id(nr)).unwrap(), nr as u32, "round {round}");
            }
        }
        assert_eq!(table.len(), 10_000);
        for nr in 0..10_000 {
            assert_eq!(table.get(&id(nr)), Some(nr as u32));
            assert_eq!(table.id(nr as u32), Some(id(nr)));
        }
        assert_eq!((table.get(&id(10_000)), table.id(10_000)), (None, None));
    }

    #[test]
    fn ids_of_the_other_format_stay_out() {
        let mut table = IdTable::new(Format::Sha256);
        assert_eq!(table.intern(&id(1)).unwrap_err().kind(), Kind::Internal);
        assert_eq!(table.get(&id(1)), None);
        assert!(table.is_first(&id(1)) && table.is_first(&id(1)));
        let long = Format::Sha256.empty_tree();
        assert_eq!(table.intern(&long).unwrap(), 0);
        assert_eq!(table.id(0), Some(long));
        assert!(!table.is_first(&long) && table.is_first(&Format::Sha256.empty_blob()));
    }
}
