//! How many bytes a target takes at once, from what it has taken and refused. Pure.

use super::super::refusal::TooMuch;

/// No guess goes below this many bytes.
const LEAST_GUESS: u64 = 16 * 1024;

/// The most bytes that a pack may have, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    bytes: u64,
    /// The smallest pack that was refused for its size, while the limit itself is a guess.
    refused: Option<u64>,
    /// The largest pack that was taken.
    taken: u64,
}

impl Limit {
    /// The limit that the user `knows` of, or else what it tells about it that a pack of so many `bytes` was refused.
    pub(super) fn after(bytes: u64, knows: Option<u64>, why: TooMuch) -> Limit {
        match knows.filter(|limit| bytes > *limit) {
            Some(limit) => Limit::of(limit),
            None => {
                let mut limit = Limit::of(bytes);
                limit.refuse(bytes, why);
                limit
            }
        }
    }

    /// A limit that is known.
    pub(super) fn of(bytes: u64) -> Limit {
        Limit {
            bytes: bytes.max(1),
            refused: None,
            taken: 0,
        }
    }

    pub(super) fn bytes(self) -> u64 {
        self.bytes
    }

    /// A pack of so many `bytes` was refused. False if it is no use to guess on.
    pub(super) fn refuse(&mut self, bytes: u64, why: TooMuch) -> bool {
        if let Some(named) = why.limit.filter(|named| *named < bytes) {
            *self = Limit {
                taken: self.taken,
                ..Limit::of(named.min(self.bytes))
            };
            return true;
        }
        // Half of it, or what has gone through before.
        let guess = (bytes / 2).max(self.taken.min(bytes / 8 * 7));
        self.bytes = self.bytes.min(guess).max(1);
        // A size is refused at once. How long a pack takes shows when all of it was sent, which is too dear to find out.
        self.refused = Some(bytes).filter(|_| why.is_about_size());
        self.bytes >= LEAST_GUESS
    }

    /// A pack of so many `bytes` was taken. If it was about as large as the guess, the next one may be larger, until
    /// the guess is close to what was refused.
    pub(super) fn take(&mut self, bytes: u64) {
        self.taken = self.taken.max(bytes);
        let Some(refused) = self.refused else { return };
        if bytes > self.bytes / 8 * 5 && refused / 5 * 4 > self.bytes {
            self.bytes += (refused - self.bytes) / 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::refusal::{SIZE, TIME};
    use super::*;

    fn because(reason: &'static str, limit: Option<u64>) -> TooMuch {
        TooMuch { reason, limit }
    }

    #[test]
    fn what_the_user_knows_goes_before_what_a_refusal_tells() {
        let limit = |bytes, knows, named| Limit::after(bytes, knows, because(SIZE, named)).bytes();
        assert_eq!(limit(101, Some(100), None), 100);
        // It was within that limit and refused all the same.
        assert_eq!(limit(90, Some(100), None), 45);
        assert_eq!((limit(90, None, Some(80)), limit(90, None, Some(95))), (80, 45));
    }

    #[test]
    fn a_limit_that_is_not_named_is_found_by_halves() {
        let refused = because(SIZE, None);
        let mut limit = Limit::after(1_000_000, None, refused);
        assert_eq!(limit.bytes(), 500_000);
        limit.take(450_000);
        assert_eq!(limit.bytes(), 750_000);
        // A small one proves nothing.
        limit.take(100_000);
        assert_eq!(limit.bytes(), 750_000);
        assert!(limit.refuse(700_000, refused));
        assert_eq!(limit.bytes(), 450_000);
        limit.take(440_000);
        assert_eq!(limit.bytes(), 575_000);
        limit.take(570_000);
        // Close enough.
        assert_eq!(limit.bytes(), 575_000);
    }

    #[test]
    fn neither_a_named_limit_nor_one_of_time_is_stretched() {
        let mut limit = Limit::after(1_000_000, None, because(SIZE, Some(800_000)));
        limit.take(800_000);
        assert_eq!(limit.bytes(), 800_000);
        let mut limit = Limit::after(1_000_000, None, because(TIME, None));
        limit.take(500_000);
        assert_eq!(limit.bytes(), 500_000);
    }

    #[test]
    fn guesses_end() {
        let refused = because(SIZE, None);
        let mut limit = Limit::after(70_000, None, refused);
        assert!(limit.refuse(35_000, refused));
        assert!(!limit.refuse(17_500, refused));
        assert!(limit.refuse(8_000, because(SIZE, Some(2_000))));
        assert_eq!(limit.bytes(), 2_000);
    }
}
