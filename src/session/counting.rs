//! How much has passed, remembered for when a route cannot tell because its last answer was lost.

use std::cell::Cell;

use crate::progress::Progress;
use crate::strategy::Moved;

/// Passes everything on, and remembers how much has passed.
pub(super) struct Counting<'a> {
    inner: &'a dyn Progress,
    moved: Cell<Moved>,
}

impl<'a> Counting<'a> {
    /// Pass on to `inner`.
    pub(super) fn new(inner: &'a dyn Progress) -> Self {
        Counting {
            inner,
            moved: Cell::default(),
        }
    }

    /// What was passed on, if it was anything.
    pub(super) fn moved(&self) -> Option<Moved> {
        Some(self.moved.get()).filter(|moved| moved.packs > 0)
    }
}

impl Progress for Counting<'_> {
    fn source_text(&self, text: &[u8]) {
        self.inner.source_text(text);
    }

    fn target_text(&self, text: &[u8]) {
        self.inner.target_text(text);
    }

    fn pack_bytes(&self, bytes: u64, objects: u32) {
        self.moved.set(Moved {
            bytes,
            objects: objects.into(),
            packs: 1,
        });
        self.inner.pack_bytes(bytes, objects);
    }

    fn pack_sent(&self) {
        self.inner.pack_sent();
    }

    fn remark(&self, text: &str) {
        self.inner.remark(text);
    }

    fn warning(&self, text: &str) {
        self.inner.warning(text);
    }

    fn note(&self, text: &str) {
        self.inner.note(text);
    }
}
