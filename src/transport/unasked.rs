//! A limit on what a peer says before it is asked anything: capabilities, and refs in protocol v0.
//!
//! gix keeps all capabilities in memory, so a peer that names them without an end would take all of it. Answers to
//! requests are bounded by those who read them.

use std::io;

use crate::error::{Error, Kind};

/// The refs of some ten million branches.
const MAX_BYTES: u64 = 1 << 30;

/// What a peer may still say.
pub(super) struct Unasked(u64);

impl Unasked {
    /// For what comes before a request.
    pub(super) fn new() -> Self {
        Unasked(MAX_BYTES)
    }

    /// For the answer to a request, which has no limit here: packs are as large as they are.
    pub(super) fn answer() -> Self {
        Unasked(u64::MAX)
    }

    /// So many bytes have been read.
    pub(super) fn spend(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(bytes as u64);
    }

    /// # Errors
    /// [`Kind::Limit`] when nothing more may be read.
    pub(super) fn check(&self) -> io::Result<()> {
        match self.0 {
            0 => Err(Error::new(
                Kind::Limit,
                format!("says more than {MAX_BYTES} bytes without being asked"),
            )
            .into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_may_say_so_much_and_no_more() {
        let mut unasked = Unasked::new();
        unasked.spend(usize::try_from(MAX_BYTES - 1).unwrap());
        unasked.check().unwrap();
        unasked.spend(2);
        let err = Error::from_io(unasked.check().unwrap_err(), "reading");
        assert_eq!(err.kind(), Kind::Limit);
    }
}
