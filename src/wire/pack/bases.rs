//! What deltas may build on: the objects read so far, found by offset or id, and the deltas that wait for theirs.

use std::collections::HashMap;

use gix_hash::{Kind as Format, ObjectId};

use super::reader::Limits;
use super::store::{Span, Store};
use crate::error::{Error, Kind, Result};
use crate::wire::ids::IdTable;
use crate::wire::object::{ObjectKind, hash};

/// What a waiting delta costs in memory besides its own bytes, roughly.
const WAITING_COST: u64 = 160;

/// What is known of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The object is in the store.
    There(ObjectKind),
    /// Its delta is in the store; the base is not known yet.
    Waiting,
    /// It was passed over, for its size or for want of a base.
    Absent,
}

/// The base that a delta waits for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Awaited {
    Slot(u32),
    Id(ObjectId),
}

/// There may be millions of these, so the fields of [`Span`] are laid out here to save its padding.
struct Slot {
    offset: u64,
    at: u64,
    len: u32,
    state: State,
}

pub(super) struct Bases {
    format: Format,
    store: Store,
    /// In the order of the pack, that is, by offset.
    slots: Vec<Slot>,
    /// Made only when the first delta names its base by id; servers that know `ofs-delta` never do so.
    ids: Option<Ids>,
    on_slot: HashMap<u32, Vec<u32>>,
    on_id: HashMap<ObjectId, Vec<u32>>,
    waiting: u64,
    waiting_cost: u64,
}

struct Ids {
    table: IdTable,
    slots: Vec<u32>,
}

impl Bases {
    pub(super) fn new(format: Format, limits: Limits) -> Self {
        Bases {
            format,
            store: Store::new(limits),
            slots: Vec::new(),
            ids: None,
            on_slot: HashMap::new(),
            on_id: HashMap::new(),
            waiting: 0,
            waiting_cost: 0,
        }
    }

    /// How many deltas wait for a base.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting
    }

    /// What the waiting deltas cost, in bytes of memory and file.
    pub(super) fn waiting_cost(&self) -> u64 {
        self.waiting_cost
    }

    /// The objects that deltas wait for.
    pub(super) fn awaited_ids(&self) -> impl Iterator<Item = &ObjectId> {
        self.on_id.keys()
    }

    pub(super) fn at_offset(&self, offset: u64) -> Option<u32> {
        let found = self.slots.binary_search_by_key(&offset, |slot| slot.offset);
        found.ok().and_then(|slot| u32::try_from(slot).ok())
    }

    pub(super) fn with_id(&mut self, id: &ObjectId) -> Result<Option<u32>> {
        if self.ids.is_none() {
            self.ids = Some(self.collect_ids()?);
        }
        let ids = self.ids.as_ref();
        let slot = ids.and_then(|ids| ids.slots.get(ids.table.get(id)? as usize));
        Ok(slot.copied())
    }

    pub(super) fn state(&self, slot: u32) -> State {
        let slot = self.slots.get(slot as usize);
        slot.map_or(State::Absent, |slot| slot.state)
    }

    /// The object of an entry, or its delta while that waits.
    pub(super) fn body(&mut self, slot: u32) -> Result<Vec<u8>> {
        let slot = self.slots.get(slot as usize).ok_or_else(no_slot)?;
        self.store.get(Span {
            at: slot.at,
            len: slot.len,
        })
    }

    /// Make room for the next entry of the pack, which is absent so far.
    pub(super) fn add(&mut self, offset: u64) -> Result<u32> {
        let slot = u32::try_from(self.slots.len()).map_err(|_| no_slot())?;
        self.slots.push(Slot {
            offset,
            at: 0,
            len: 0,
            state: State::Absent,
        });
        Ok(slot)
    }

    /// Put an entry's object in; yields the entries whose deltas waited for it.
    pub(super) fn settle(
        &mut self,
        slot: u32,
        kind: ObjectKind,
        id: &ObjectId,
        data: &[u8],
    ) -> Result<Vec<u32>> {
        self.fill(slot, State::There(kind), data)?;
        if let Some(ids) = &mut self.ids {
            ids.add(id, slot)?;
        }
        let mut ready = self.on_slot.remove(&slot).unwrap_or_default();
        ready.extend(self.on_id.remove(id).unwrap_or_default());
        self.waiting = self.waiting.saturating_sub(ready.len() as u64);
        Ok(ready)
    }

    /// Put an entry's delta in until its base is there.
    pub(super) fn wait(&mut self, slot: u32, base: Awaited, delta: &[u8]) -> Result<()> {
        self.fill(slot, State::Waiting, delta)?;
        let waiters = match base {
            Awaited::Slot(base) => self.on_slot.entry(base).or_default(),
            Awaited::Id(base) => self.on_id.entry(base).or_default(),
        };
        waiters.push(slot);
        self.waiting += 1;
        self.waiting_cost += delta.len() as u64 + WAITING_COST;
        Ok(())
    }

    fn fill(&mut self, slot: u32, state: State, body: &[u8]) -> Result<()> {
        let span = self.store.put(body)?;
        let slot = self.slots.get_mut(slot as usize).ok_or_else(no_slot)?;
        (slot.at, slot.len, slot.state) = (span.at, span.len, state);
        Ok(())
    }

    fn collect_ids(&mut self) -> Result<Ids> {
        let mut ids = Ids {
            table: IdTable::new(self.format),
            slots: Vec::new(),
        };
        for nr in 0..self.slots.len() as u32 {
            if let State::There(kind) = self.state(nr) {
                let id = hash(self.format, kind, &self.body(nr)?);
                ids.add(&id, nr)?;
            }
        }
        Ok(ids)
    }
}

impl Ids {
    /// An object can be in a pack twice; then the first stays.
    fn add(&mut self, id: &ObjectId, slot: u32) -> Result<()> {
        let nr = self.table.intern(id)?;
        if nr as usize == self.slots.len() {
            self.slots.push(slot);
        }
        Ok(())
    }
}

fn no_slot() -> Error {
    Error::new(Kind::Internal, "an entry of the pack was not put aside")
}
