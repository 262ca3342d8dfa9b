//! How many commits fit into the next pack, learned from the packs before it. Pure.

use super::super::refusal::TooMuch;
use super::limit::Limit;

/// A pack shall fill its limit to this part: some room is left for what the guess cannot know.
const FULL: f64 = 0.88;

/// A pack that fills less than this part of its limit could have held more.
const HALF_EMPTY: f64 = 0.55;

/// While nothing is known, so small a part of the commits is tried: large enough to tell something about the rest, and
/// small enough to cost little if it is dropped again.
const SAMPLE: usize = 48;

/// What the header of a pack, which tells the number of objects, says about its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forecast {
    /// Nothing speaks against it.
    Good,
    /// It will be too large.
    TooLarge,
    /// More commits would go in.
    TooSmall,
}

/// The limit, and what is known about the sizes of commits.
#[derive(Debug, Clone)]
pub(super) struct Sizes {
    limit: Limit,
    per_commit: Option<f64>,
    per_object: Option<f64>,
    /// So many commits were too many for the pack that is being made.
    too_many: Option<usize>,
}

impl Sizes {
    pub(super) fn new(limit: Limit) -> Sizes {
        Sizes {
            limit,
            per_commit: None,
            per_object: None,
            too_many: None,
        }
    }

    /// The most bytes that a pack may have, as far as is known.
    pub(super) fn limit(&self) -> u64 {
        self.limit.bytes()
    }

    /// How many of the next `left` commits to try.
    pub(super) fn guess(&self, left: usize) -> usize {
        let guess = match self.per_commit {
            None => left / SAMPLE,
            // What is left may as well go at once if it fits at all.
            Some(bytes) if bytes * left as f64 <= self.limit() as f64 * 0.97 => left,
            Some(bytes) => (self.limit() as f64 * FULL / bytes) as usize,
        };
        let guess = match self.too_many {
            Some(too_many) => guess.min(too_many * 3 / 4).min(too_many - 1),
            None => guess,
        };
        guess.clamp(1, left.max(1))
    }

    /// Look at the header of a pack of `commits`, of all `left` perhaps, with so many `objects`. A forecast other than
    /// good changes the next guess.
    pub(super) fn forecast(&mut self, commits: usize, left: usize, objects: u32) -> Forecast {
        let Some(per_object) = self.per_object else {
            return Forecast::Good;
        };
        let (bytes, limit) = (per_object * f64::from(objects), self.limit() as f64);
        let forecast = if bytes > limit * 1.25 && commits > 1 {
            self.too_many = Some(commits);
            Forecast::TooLarge
        } else if bytes < limit * HALF_EMPTY && commits < left && self.too_many.is_none() {
            Forecast::TooSmall
        } else {
            return Forecast::Good;
        };
        self.per_commit = Some(bytes / commits as f64);
        forecast
    }

    /// A pack of `commits` and `objects` has so many `bytes`. False if it could have held more commits.
    pub(super) fn learn(&mut self, commits: usize, left: usize, objects: u32, bytes: u64) -> bool {
        self.per_commit = Some(bytes as f64 / commits as f64);
        self.per_object = Some(bytes as f64 / f64::from(objects.max(1)));
        let could_hold_more = commits < left
            && (bytes as f64) < self.limit() as f64 * HALF_EMPTY
            && self.too_many.is_none_or(|too_many| too_many > commits * 3 / 2);
        !could_hold_more
    }

    /// A pack of `commits` and `objects` was cut off at the limit.
    pub(super) fn too_large(&mut self, commits: usize, objects: u32) {
        let limit = self.limit() as f64;
        let over = |known: Option<f64>, count: f64| {
            let least = limit * 1.5 / count.max(1.0);
            Some(known.map_or(least, |known| known.max(least)))
        };
        self.per_commit = over(self.per_commit, commits as f64);
        self.per_object = over(self.per_object, f64::from(objects));
        self.too_many = Some(commits);
    }

    /// The target has refused a pack of `commits` that had so many `bytes`. False if it is no use to guess on.
    pub(super) fn refused(&mut self, commits: usize, bytes: u64, why: TooMuch) -> bool {
        self.too_many = Some(commits);
        self.limit.refuse(bytes, why)
    }

    /// The target has taken a pack of so many `bytes`; the next one begins.
    pub(super) fn taken(&mut self, bytes: u64) {
        self.too_many = None;
        self.limit.take(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(limit: u64) -> Sizes {
        Sizes::new(Limit::of(limit))
    }

    #[test]
    fn the_first_try_is_a_sample_and_the_next_fills_the_limit() {
        let mut sizes = sizes(100_000);
        let sample = sizes.guess(4800);
        assert_eq!(sample, 100);
        // A hundred commits in 10,000 bytes: 880 would fill the limit.
        assert!(!sizes.learn(sample, 4800, 500, 10_000));
        assert_eq!(sizes.guess(4800), 880);
        assert!(sizes.learn(880, 4800, 4400, 88_000));
        assert_eq!((sizes.guess(970), sizes.guess(1000)), (970, 880));
        assert_eq!((self::sizes(5).guess(3), self::sizes(5).guess(0)), (1, 1));
    }

    #[test]
    fn the_number_of_objects_foretells_the_size() {
        let mut sizes = sizes(100_000);
        assert_eq!(sizes.forecast(10, 100, 4_000_000), Forecast::Good);
        assert!(!sizes.learn(10, 1000, 100, 10_000));
        assert_eq!(sizes.guess(1000), 88);
        // Twenty objects a commit instead of ten.
        assert_eq!(sizes.forecast(88, 1000, 1760), Forecast::TooLarge);
        assert_eq!(sizes.guess(1000), 44);
        assert_eq!(sizes.forecast(44, 1000, 880), Forecast::Good);
        // Having been too large once it is not made larger again.
        assert_eq!(sizes.forecast(44, 1000, 88), Forecast::Good);
        sizes.taken(88_000);
        assert_eq!(sizes.forecast(44, 1000, 88), Forecast::TooSmall);
        assert_eq!(sizes.guess(1000), 440);
        assert_eq!(sizes.forecast(44, 44, 88), Forecast::Good);
        assert_eq!(sizes.forecast(1, 1000, 9_999), Forecast::Good);
    }

    #[test]
    fn what_was_too_large_is_never_tried_again() {
        let mut sizes = sizes(100_000);
        let mut tried = vec![sizes.guess(5000)];
        while tried.last() != Some(&1) {
            sizes.too_large(*tried.last().unwrap(), 10);
            tried.push(sizes.guess(5000));
        }
        assert!(tried.is_sorted_by(|a, b| a > b) && tried.len() < 9, "{tried:?}");
        // What fits after that may grow up to there.
        assert!(!sizes.learn(1, 5000, 10, 100));
        assert_eq!(sizes.guess(5000), 2);
    }
}
