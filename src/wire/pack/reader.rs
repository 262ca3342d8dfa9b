//! Objects out of a pack, while it arrives.

use std::io::BufRead;

use gix_hash::{Kind as Format, ObjectId};

use super::bases::{Awaited, Bases, State};
use super::entry::{Entry, Form, read_entry, read_header};
use super::input::Input;
use super::{damaged, delta, too_large};
use crate::error::{Kind, Result};
use crate::wire::object::{ObjectKind, hash};

/// While only history is kept: how much may be put aside for deltas whose base has not shown, in bytes.
///
/// From a server that names bases by id, each delta of a tree or blob is one, for the base is not kept.
const MAX_WAITING_COST: u64 = 64 << 20;

/// Which objects to take out of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Commits and tags. Trees and blobs are inflated, to find where they end, and forgotten.
    History,
    /// Everything, so that trees and blobs that are deltas can be told too. For small packs.
    All,
}

/// How much a [`PackReader`] may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The largest object to rebuild, in bytes. A larger commit or tag is an error, a larger tree or blob is left out.
    pub object_bytes: usize,
    /// What possible delta bases may take in memory, in bytes; beyond that they go to a temporary file.
    pub memory_bytes: usize,
    /// What possible delta bases may take in memory and file together, in bytes.
    pub stored_bytes: u64,
}

impl Default for Limits {
    /// Room for more than ten million commits of about a kilobyte, the usual size in git's own repository.
    fn default() -> Self {
        Limits {
            object_bytes: 64 << 20,
            memory_bytes: 4 << 20,
            stored_bytes: 16 << 30,
        }
    }
}

/// An object from a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What it is.
    pub kind: ObjectKind,
    /// Its id, computed from `data`.
    pub id: ObjectId,
    /// Its content, without the header that goes into its id.
    pub data: Vec<u8>,
}

/// Iterates over the objects of a pack as they become known: in the order of the pack, save for deltas whose base comes
/// later; those follow their base.
///
/// Dropping it midway is fine. Once it has ended without an error the trailer has been checked; but look at
/// [`is_complete`](Self::is_complete) before drawing conclusions from the absence of an object.
///
/// # Errors
///
/// [`Kind::Network`] (or what the reader says) if the pack breaks off, [`Kind::Corrupt`] if it is damaged,
/// [`Kind::Limit`] beyond [`Limits`]; after an error it yields nothing more. No side is attached.
pub struct PackReader<R> {
    input: Input<R>,
    format: Format,
    keep: Keep,
    limits: Limits,
    objects: u32,
    left: u32,
    bases: Bases,
    /// Entries with a delta whose base has become known, with that base.
    ready: Vec<(u32, u32)>,
    given_up: u64,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Ahead,
    Reached,
    Failed,
}

impl<R: BufRead> PackReader<R> {
    /// Read the header of a pack in `format`.
    ///
    /// # Errors
    ///
    /// As for the iteration.
    pub fn new(input: R, format: Format, keep: Keep) -> Result<Self> {
        Self::with_limits(input, format, keep, Limits::default())
    }

    /// The same with other limits.
    ///
    /// # Errors
    ///
    /// As for the iteration.
    pub fn with_limits(input: R, format: Format, keep: Keep, limits: Limits) -> Result<Self> {
        let mut input = Input::new(input, format);
        let objects = read_header(&mut input)?;
        Ok(PackReader {
            input,
            format,
            keep,
            limits,
            objects,
            left: objects,
            bases: Bases::new(format, limits),
            ready: Vec::new(),
            given_up: 0,
            end: End::Ahead,
        })
    }

    /// How many objects the pack says it has, of all kinds.
    pub fn objects(&self) -> u32 {
        self.objects
    }

    /// How many bytes of the pack have been read.
    pub fn bytes(&self) -> u64 {
        self.input.bytes()
    }

    /// How many objects that were to be kept have not been yielded although they came: deltas whose base has not come
    /// (in a thin pack it never does), and trees and blobs that are too large. With [`Keep::History`] the deltas may be
    /// trees and blobs as well; nobody can tell.
    pub fn unresolved(&self) -> u64 {
        self.given_up + self.bases.waiting()
    }

    /// The bases, named by id, that deltas still wait for.
    pub fn missing_bases(&self) -> impl Iterator<Item = &ObjectId> {
        self.bases.awaited_ids()
    }

    /// Whether the whole pack has been read and proven, and every object that was to be kept has been yielded.
    pub fn is_complete(&self) -> bool {
        self.end == End::Reached && self.unresolved() == 0
    }

    /// The reader, which stands behind the pack if the iteration has ended.
    pub fn into_inner(self) -> R {
        self.input.into_inner()
    }

    fn advance(&mut self) -> Result<Option<Object>> {
        loop {
            let object = if let Some((slot, base)) = self.ready.pop() {
                let delta = self.bases.body(slot)?;
                self.rebuild(slot, base, &delta)?
            } else if self.left > 0 {
                self.left -= 1;
                let entry = read_entry(&mut self.input, self.format)?;
                self.read(&entry)?
            } else {
                self.input.trailer(self.format)?;
                return Ok(None);
            };
            if object.is_some() {
                return Ok(object);
            }
        }
    }

    fn read(&mut self, entry: &Entry) -> Result<Option<Object>> {
        match entry.form {
            Form::Whole(kind) if self.keep == Keep::All || is_history(kind) => self.read_whole(entry, kind),
            Form::Whole(_) => self.pass_over(entry),
            Form::OnOffset(base) => match self.bases.at_offset(base) {
                Some(base) => self.read_delta(entry, Awaited::Slot(base)),
                None if self.keep == Keep::All => Err(damaged("a delta's base is no entry")),
                // A tree or a blob, and so is this.
                None => self.pass_over(entry),
            },
            Form::OnId(base) => match self.bases.with_id(&base)? {
                Some(base) => self.read_delta(entry, Awaited::Slot(base)),
                None => self.read_delta(entry, Awaited::Id(base)),
            },
        }
    }

    fn read_whole(&mut self, entry: &Entry, kind: ObjectKind) -> Result<Option<Object>> {
        let slot = self.bases.add(entry.offset)?;
        if entry.size > self.limits.object_bytes as u64 {
            if is_history(kind) {
                return Err(too_large(self.limits.object_bytes));
            }
            return self.give_up(entry);
        }
        let data = self.body(entry)?;
        self.yield_object(slot, kind, data).map(Some)
    }

    fn read_delta(&mut self, entry: &Entry, base: Awaited) -> Result<Option<Object>> {
        let slot = self.bases.add(entry.offset)?;
        let state = match base {
            Awaited::Slot(base) => self.bases.state(base),
            Awaited::Id(_) => State::Waiting,
        };
        let too_large = entry.size > self.limits.object_bytes as u64;
        match (state, base) {
            (State::There(kind), _) if too_large && is_history(kind) => {
                Err(super::too_large(self.limits.object_bytes))
            }
            (State::There(_), Awaited::Slot(base)) if !too_large => {
                let delta = self.body(entry)?;
                self.rebuild(slot, base, &delta)
            }
            (State::Waiting, base) if !too_large && self.may_wait() => {
                let delta = self.body(entry)?;
                self.bases.wait(slot, base, &delta).map(|()| None)
            }
            _ => self.give_up(entry),
        }
    }

    fn give_up(&mut self, entry: &Entry) -> Result<Option<Object>> {
        self.given_up += 1;
        self.pass_over(entry)
    }

    fn pass_over(&mut self, entry: &Entry) -> Result<Option<Object>> {
        self.input.inflate(entry.size, None).map(|()| None)
    }

    fn may_wait(&self) -> bool {
        let max = match self.keep {
            Keep::History => MAX_WAITING_COST,
            // Small packs never get there; one that does is meant to fill the memory.
            Keep::All => MAX_WAITING_COST * 16,
        };
        self.bases.waiting_cost() < max
    }

    /// The inflated content of an entry whose size has been found bearable.
    fn body(&mut self, entry: &Entry) -> Result<Vec<u8>> {
        let mut body = Vec::with_capacity(entry.size.min(64 * 1024) as usize);
        self.input.inflate(entry.size, Some(&mut body))?;
        Ok(body)
    }

    /// Apply an entry's delta to a base that is there.
    fn rebuild(&mut self, slot: u32, base: u32, delta: &[u8]) -> Result<Option<Object>> {
        let State::There(kind) = self.bases.state(base) else {
            return Err(damaged("a delta builds on nothing"));
        };
        let base = self.bases.body(base)?;
        match delta::apply(&base, delta, self.limits.object_bytes) {
            Ok(data) => self.yield_object(slot, kind, data).map(Some),
            Err(err) if err.kind() == Kind::Limit && !is_history(kind) => {
                self.given_up += 1;
                Ok(None)
            }
            Err(err) => Err(err),
        }
    }

    fn yield_object(&mut self, slot: u32, kind: ObjectKind, data: Vec<u8>) -> Result<Object> {
        let id = hash(self.format, kind, &data);
        let ready = self.bases.settle(slot, kind, &id, &data)?;
        self.ready
            .extend(ready.into_iter().rev().map(|waiter| (waiter, slot)));
        Ok(Object { kind, id, data })
    }
}

impl<R: BufRead> Iterator for PackReader<R> {
    type Item = Result<Object>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.end != End::Ahead {
            return None;
        }
        let next = self.advance().transpose();
        match next {
            Some(Ok(_)) => {}
            Some(Err(_)) => self.end = End::Failed,
            None => self.end = End::Reached,
        }
        next
    }
}

fn is_history(kind: ObjectKind) -> bool {
    matches!(kind, ObjectKind::Commit | ObjectKind::Tag)
}
