//! A pack that is checked while somebody reads it.

use std::io::{self, BufRead, ErrorKind, Read};

use super::check::{PackCheck, Summary, Tail};
use crate::error::{Error, Result, Side};

/// The bytes of a pack as they come from its source, of which the trailer is held back until it has proved right.
///
/// # Errors
///
/// Reading fails with an [`Error`] of the source's side: [`Network`](crate::error::Kind::Network) and whatever its reader
/// reports if it broke off, [`Corrupt`](crate::error::Kind::Corrupt) and [`Limit`](crate::error::Kind::Limit) as
/// [`PackCheck`] says. After any error the trailer is never given out.
pub struct Passing<'a> {
    source: &'a mut dyn BufRead,
    /// Gone once the pack has ended.
    check: Option<PackCheck>,
    progress: &'a mut dyn FnMut(u64, u32),
    has_more: &'a dyn Fn() -> bool,
    summary: Option<Summary>,
    /// What was held back and goes next, and how much of it has gone.
    older: Tail,
    gone: usize,
    /// So much of what `source` has in its buffer goes behind it,
    newer: usize,
    /// and so much is held back.
    held: usize,
}

impl<'a> Passing<'a> {
    /// The pack from `source`, which must end where the pack ends. `progress` is told for each slice of it how many bytes
    /// have arrived, and the object count in the pack's header (objects are not counted as they pass).
    pub fn new(source: &'a mut dyn BufRead, check: PackCheck, progress: &'a mut dyn FnMut(u64, u32)) -> Self {
        Passing {
            source,
            check: Some(check),
            progress,
            has_more: &|| false,
            summary: None,
            older: Tail::default(),
            gone: 0,
            newer: 0,
            held: 0,
        }
    }

    /// Whoever [reads](Read::read) gets all that fits as long as `has_more` says that the source could give more without
    /// delay. Slices can be small, and what is sent of them should not be.
    #[must_use]
    pub fn while_more(mut self, has_more: &'a dyn Fn() -> bool) -> Self {
        self.has_more = has_more;
        self
    }

    /// What the pack turned out to be, once all of it has been read.
    pub fn summary(&self) -> Option<Summary> {
        self.summary
    }

    /// Have something at hand, unless the pack has ended.
    fn advance(&mut self) -> Result<()> {
        while self.older.as_slice().len() == self.gone && self.newer == 0 {
            self.source.consume(std::mem::take(&mut self.held));
            let Some(check) = &mut self.check else {
                return Ok(());
            };
            let data = match self.source.fill_buf() {
                Ok(data) => data,
                Err(err) if err.kind() == ErrorKind::Interrupted => continue,
                Err(err) => return Err(broken_source(err, check.bytes())),
            };
            let released = if data.is_empty() {
                let Some(check) = self.check.take() else { continue };
                let (trailer, summary) = check.finish()?;
                log::debug!(target: "relay::source", "pack of {} objects, {} bytes", summary.objects, summary.bytes);
                self.summary = Some(summary);
                trailer
            } else {
                let released = check.feed(data)?;
                (self.progress)(check.bytes(), check.objects().unwrap_or_default());
                released
            };
            (self.older, self.gone) = (released.older, 0);
            self.newer = released.newer.len();
            self.held = data.len() - self.newer;
        }
        Ok(())
    }
}

impl BufRead for Passing<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.advance().map_err(|err| err.on(Side::Source))?;
        match self.older.as_slice().get(self.gone..) {
            Some(older) if !older.is_empty() => Ok(older),
            _ if self.newer == 0 => Ok(&[]),
            _ => Ok(self.source.fill_buf()?.get(..self.newer).unwrap_or_default()),
        }
    }

    fn consume(&mut self, amount: usize) {
        if self.gone < self.older.as_slice().len() {
            self.gone += amount;
        } else {
            self.source.consume(amount);
            self.newer = self.newer.saturating_sub(amount);
        }
    }
}

impl Read for Passing<'_> {
    /// As much as is at hand: what was held back and what has come go together.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        loop {
            let room = buf.get_mut(filled..).unwrap_or_default();
            let count = self.fill_buf()?.read(room)?;
            self.consume(count);
            filled += count;
            let is_at_hand = self.newer > 0 && self.gone == self.older.as_slice().len();
            let goes_on = is_at_hand || self.check.is_some() && (self.has_more)();
            if count == 0 || !goes_on || filled == buf.len() {
                return Ok(filled);
            }
        }
    }
}

fn broken_source(err: io::Error, bytes: u64) -> Error {
    Error::from_io(err, &format!("the pack broke off after {bytes} bytes")).on(Side::Source)
}
