//! Giving up on a connection that is too slow: `http.lowSpeedLimit` and `http.lowSpeedTime` (git-config(1)).

use std::time::Duration;

use crate::error::{Error, Kind};

/// Measures one connection.
///
/// Only the time spent waiting for the server counts: a relay also waits for its other side, which is not this
/// server's fault.
#[derive(Debug)]
pub(super) struct Speed {
    /// Bytes a second, and for how long there may be fewer.
    floor: Option<(u64, Duration)>,
    waited: Duration,
    passed: u64,
}

impl Speed {
    pub(super) fn new(floor: Option<(u64, Duration)>) -> Self {
        Speed {
            floor,
            waited: Duration::ZERO,
            passed: 0,
        }
    }

    /// How long to wait before the next [`Speed::note`] at most.
    pub(super) fn patience(&self) -> Option<Duration> {
        let (_, time) = self.floor?;
        Some(time.saturating_sub(self.waited))
    }

    /// `bytes` came or went after `waited`.
    pub(super) fn note(&mut self, waited: Duration, bytes: usize) -> Result<(), ureq::Error> {
        let Some((limit, time)) = self.floor else {
            return Ok(());
        };
        self.waited += waited;
        self.passed = self.passed.saturating_add(bytes as u64);
        if self.waited < time {
            return Ok(());
        }
        let needed = limit.saturating_mul(time.as_secs());
        let passed = std::mem::take(&mut self.passed);
        self.waited = Duration::ZERO;
        if passed >= needed {
            return Ok(());
        }
        let seconds = time.as_secs();
        let message = format!("less than {limit} bytes a second for {seconds} seconds");
        let err =
            Error::new(Kind::Timeout, message).hint("http.lowSpeedLimit and http.lowSpeedTime ask for more");
        Err(ureq::Error::Io(err.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(speed: &mut Speed, bytes: usize) -> bool {
        speed.note(Duration::from_secs(1), bytes).is_ok()
    }

    #[test]
    fn only_a_lasting_slowness_is_one() {
        let mut speed = Speed::new(Some((100, Duration::from_secs(3))));
        assert!(second(&mut speed, 0) && second(&mut speed, 0) && second(&mut speed, 300));
        assert_eq!(speed.patience(), Some(Duration::from_secs(3)));
        assert!(second(&mut speed, 99) && second(&mut speed, 100));
        assert_eq!(speed.patience(), Some(Duration::from_secs(1)));
        assert!(!second(&mut speed, 100));
        let mut patient = Speed::new(None);
        assert!(second(&mut patient, 0) && patient.patience().is_none());
    }
}
