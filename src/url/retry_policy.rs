//! How often and how long to try to reach a side: `relay.retries` and `relay.retryDelay`. Pure.
//!
//! What may be tried again is decided in [`crate::transport`].

use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::git::Config;

/// Waiting and trying may take so long together; whoever needs more is better served by a later run.
const TOTAL: Duration = Duration::from_secs(60);

/// When to try again what failed for a reason that may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How many tries there are, the first included; 0 counts as 1.
    pub tries: u32,
    /// The pause after the first try; each that follows is twice as long.
    pub delay: Duration,
    /// No try begins later than this after the first.
    pub total: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            tries: 3,
            delay: Duration::from_secs(1),
            total: TOTAL,
        }
    }
}

/// What to do after a try that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Try again after this pause.
    Wait(Duration),
    /// That was the last one.
    Enough,
    /// The other side wants us to wait for this long, which is too long.
    TooLong(Duration),
}

impl RetryPolicy {
    /// A single try.
    #[must_use]
    pub fn none() -> Self {
        RetryPolicy {
            tries: 1,
            ..RetryPolicy::default()
        }
    }

    /// What `config` says: `relay.retries` (tries, the first included) and `relay.retryDelay` (milliseconds).
    ///
    /// # Errors
    /// [`Kind::Config`] for what is no number, or too large a one.
    pub fn new(config: &Config) -> Result<Self> {
        let number = |key: &str| match config.number(key)? {
            None => Ok(None),
            Some(value) => u32::try_from(value).map(Some).map_err(|_| {
                let message = format!("bad numeric config value '{value}' for '{key}': out of range");
                Error::new(Kind::Config, message)
            }),
        };
        let usual = RetryPolicy::default();
        Ok(RetryPolicy {
            tries: number("relay.retries")?.unwrap_or(usual.tries),
            delay: number("relay.retryDelay")?
                .map_or(usual.delay, |millis| Duration::from_millis(millis.into())),
            total: usual.total,
        })
    }

    /// What to do when `made` tries have failed, the first of which began `elapsed` ago. `asked` is how long the other
    /// side wants us to wait, `dice` a number from 0 to 1 that keeps many clients from coming back at the same time.
    #[must_use]
    pub fn after(&self, made: u32, elapsed: Duration, asked: Option<Duration>, dice: f64) -> Verdict {
        if made >= self.tries {
            return Verdict::Enough;
        }
        let doublings = made.saturating_sub(1).min(16);
        let backoff = self.delay.saturating_mul(1 << doublings);
        // At least the pause, at most half as long again.
        let pause = asked
            .unwrap_or(Duration::ZERO)
            .max(backoff.mul_f64(1.0 + dice / 2.0));
        if elapsed.saturating_add(pause) <= self.total {
            Verdict::Wait(pause)
        } else {
            asked.map_or(Verdict::Enough, Verdict::TooLong)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn after(made: u32, elapsed: u32, asked: Option<u64>) -> Verdict {
        RetryPolicy::default().after(made, SECOND * elapsed, asked.map(Duration::from_secs), 0.0)
    }

    #[test]
    fn pauses_double_and_end() {
        assert_eq!(after(1, 0, None), Verdict::Wait(SECOND));
        assert_eq!(after(2, 1, None), Verdict::Wait(SECOND * 2));
        assert_eq!(after(3, 3, None), Verdict::Enough);
        assert_eq!(after(1, 60, None), Verdict::Enough);
        assert_eq!(RetryPolicy::none().after(1, SECOND, None, 0.0), Verdict::Enough);
    }

    #[test]
    fn a_pause_is_spread_over_half_its_length() {
        let pause = |dice| RetryPolicy::default().after(1, SECOND, None, dice);
        assert_eq!(pause(1.0), Verdict::Wait(SECOND * 3 / 2));
        assert_eq!(pause(0.5), Verdict::Wait(SECOND * 5 / 4));
    }

    #[test]
    fn a_server_gets_the_time_it_asks_for_unless_that_is_too_long() {
        assert_eq!(after(1, 0, Some(7)), Verdict::Wait(SECOND * 7));
        assert_eq!(after(2, 50, Some(10)), Verdict::Wait(SECOND * 10));
        assert_eq!(after(2, 51, Some(10)), Verdict::TooLong(SECOND * 10));
        assert_eq!(after(1, 0, Some(3600)), Verdict::TooLong(SECOND * 3600));
        assert_eq!(after(3, 0, Some(3600)), Verdict::Enough);
        // Asking for less than our own pause does not shorten it.
        assert_eq!(after(1, 0, Some(0)), Verdict::Wait(SECOND));
    }

    #[test]
    fn the_configuration_decides() {
        let of = |list: &[u8]| RetryPolicy::new(&Config::parse(list));
        assert_eq!(of(b"").unwrap(), RetryPolicy::default());
        let set = of(b"relay.retries\n5\0relay.retrydelay\n20\0").unwrap();
        assert_eq!((set.tries, set.delay), (5, Duration::from_millis(20)));
        assert_eq!(of(b"relay.retries\n-1\0").unwrap_err().kind(), Kind::Config);
    }
}
