//! Trying again: the record of it, the pauses, and when a server wants us back (`Retry-After`, RFC 9110, 10.2.3).
//!
//! How often and how long is told by [`RetryPolicy`]; what may be tried again is known where it is done.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::error::{Error, Kind, Result};
use crate::url::{RetryPolicy, Verdict};

/// What is tried again on one link, and how often that has happened. Clones count together.
#[derive(Debug, Clone, Default)]
pub(super) struct Retries {
    pub(super) policy: RetryPolicy,
    pub(super) log_target: &'static str,
    record: Arc<Mutex<Record>>,
}

#[derive(Debug, Default)]
struct Record {
    count: u64,
    untold: Vec<String>,
}

/// The tries of one thing.
#[derive(Debug)]
pub(super) struct Tries<'a> {
    retries: &'a Retries,
    began: Instant,
    made: u32,
}

impl Retries {
    pub(super) fn new(policy: RetryPolicy, log_target: &'static str) -> Self {
        Retries {
            policy,
            log_target,
            record: Arc::default(),
        }
    }

    /// How often something was tried again.
    pub(super) fn count(&self) -> u64 {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).count
    }

    /// What was tried again and why, as far as nobody has asked before.
    pub(super) fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut self.record.lock().unwrap_or_else(PoisonError::into_inner).untold)
    }

    /// The first try begins.
    pub(super) fn begin(&self) -> Tries<'_> {
        Tries {
            retries: self,
            began: Instant::now(),
            made: 0,
        }
    }

    /// Do `connect` until it works, as long as what hinders it may pass.
    pub(super) fn connect<T>(&self, connect: impl Fn() -> Result<T>) -> Result<T> {
        let mut tries = self.begin();
        loop {
            match connect() {
                Err(err) if matches!(err.kind(), Kind::Network | Kind::Timeout) => {
                    tries.again(err, None)?;
                }
                result => return result,
            }
        }
    }
}

impl Tries<'_> {
    /// After a try that failed by `err`: wait for the next. `asked` is how long the server wants us to stay away.
    ///
    /// # Errors
    /// `err`, with a word about the tries, when there is no next.
    pub(super) fn again(&mut self, err: Error, asked: Option<Duration>) -> Result<()> {
        self.made += 1;
        let policy = &self.retries.policy;
        match policy.after(self.made, self.began.elapsed(), asked, dice()) {
            Verdict::Wait(pause) => {
                let (try_number, seconds) = (self.made + 1, pause.as_secs_f64());
                let of = policy.tries;
                self.note(format!(
                    "{}; trying again in {seconds:.1} s (try {try_number} of {of})",
                    err.message()
                ));
                std::thread::sleep(pause);
                Ok(())
            }
            Verdict::TooLong(wait) => {
                Err(err.with_note(&format!("; it asks to wait for {} s", wait.as_secs())))
            }
            Verdict::Enough if self.made > 1 => Err(err.with_note(&format!(" ({} tries)", self.made))),
            Verdict::Enough => Err(err),
        }
    }

    fn note(&self, text: String) {
        log::info!(target: self.retries.log_target, "{text}");
        let mut record = self.retries.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.count += 1;
        record.untold.push(text);
    }
}

/// A number from 0 to 1. The keys of the standard library's hash maps are random.
fn dice() -> f64 {
    f64::from(RandomState::new().hash_one(0) as u32) / f64::from(u32::MAX)
}

/// How long to wait by a `Retry-After` header: seconds, or a date, which is compared to `now`.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    // A date that has passed asks for no wait at all.
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn servers_say_when_in_seconds_or_by_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_770);
        assert_eq!(retry_after(" 120 ", now), Some(Duration::from_secs(120)));
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        // The obsolete forms of RFC 9110, 5.6.7, have to be understood as well.
        for date in [date, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(retry_after(date, now), Some(Duration::from_secs(7)), "{date}");
        }
        let later = now + Duration::from_secs(60);
        assert_eq!(retry_after(date, later), Some(Duration::ZERO));
        for text in [
            "-3",
            "soon",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Now 1994 08:49:37 GMT",
            "",
        ] {
            assert_eq!(retry_after(text, now), None, "{text}");
        }
    }

    #[test]
    fn each_retry_is_told_once_and_counted() {
        let policy = RetryPolicy {
            delay: Duration::ZERO,
            ..RetryPolicy::default()
        };
        let retries = Retries::new(policy, "relay::source");
        let mut tries = retries.begin();
        let down = || Error::new(Kind::Network, "down");
        assert!(tries.again(down(), None).is_ok());
        assert_eq!(retries.take_notes(), ["down; trying again in 0.0 s (try 2 of 3)"]);
        assert!(tries.again(down(), None).is_ok() && retries.take_notes().len() == 1);
        let err = tries.again(down(), None).unwrap_err();
        assert_eq!(err.message(), "down (3 tries)");
        assert_eq!((retries.count(), retries.take_notes().len()), (2, 0));
        let err = retries
            .begin()
            .again(down(), Some(Duration::from_secs(999)))
            .unwrap_err();
        assert_eq!(err.message(), "down; it asks to wait for 999 s");
    }
}
