//! A bound on what a peer may say before it is asked for objects: its capabilities and its list of refs, which are kept
//! in memory. Packs have bounds of their own, in [`crate::pump`].

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Kind};

/// No bound at all.
const UNLIMITED: u64 = u64::MAX;

/// How many bytes a peer may still send, uncompressed. Clones count together.
#[derive(Debug, Clone)]
pub struct Budget {
    left: Arc<AtomicU64>,
    limit: u64,
}

impl Budget {
    /// At most `limit` bytes; 0 is no limit, as for `receive.maxInputSize`.
    pub fn new(limit: u64) -> Self {
        let limit = if limit == 0 { UNLIMITED } else { limit };
        Budget {
            left: Arc::new(AtomicU64::new(limit)),
            limit,
        }
    }

    /// Another list comes: as many bytes as at first.
    pub fn renew(&self) {
        self.left.store(self.limit, Ordering::Relaxed);
    }

    /// The list has been read: what comes now is bounded by others.
    pub fn lift(&self) {
        self.left.store(UNLIMITED, Ordering::Relaxed);
    }

    /// Count `bytes` that have arrived.
    ///
    /// # Errors
    /// With an [`Error`] of kind `Limit` inside, when they are too many.
    pub(super) fn spend(&self, bytes: usize) -> io::Result<()> {
        let left = self.left.load(Ordering::Relaxed);
        if left == UNLIMITED {
            return Ok(());
        }
        // One thread reads from a peer at a time.
        match left.checked_sub(bytes as u64) {
            Some(left) => {
                self.left.store(left, Ordering::Relaxed);
                Ok(())
            }
            None => {
                let message = format!("its list of refs is longer than {} bytes", self.limit);
                Err(Error::new(Kind::Limit, message)
                    .hint("relay.maxRefListSize sets the limit")
                    .into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_holds_until_it_is_lifted() {
        let budget = Budget::new(10);
        budget.spend(9).unwrap();
        let err = Error::from_io(budget.clone().spend(2).unwrap_err(), "x");
        assert_eq!(
            (err.kind(), err.message()),
            (Kind::Limit, "its list of refs is longer than 10 bytes")
        );
        budget.lift();
        budget.spend(usize::MAX).unwrap();
        budget.renew();
        budget.spend(10).unwrap();
        budget.spend(1).unwrap_err();
        Budget::new(0).spend(1 << 40).unwrap();
    }
}
