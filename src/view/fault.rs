//! Points between two changes to the disk at which a test can stop as `kill -9` would. Nothing outside of tests.

use crate::error::Result;

#[cfg(not(test))]
pub(super) fn point() -> Result<()> {
    Ok(())
}

/// Err once the steps that the test allowed are used up; from then on nothing may touch the disk any more.
#[cfg(test)]
pub(super) fn point() -> Result<()> {
    use crate::error::{Error, Kind};
    LEFT.with(|left| match left.get() {
        None => Ok(()),
        Some(0) => Err(Error::new(Kind::Internal, "killed by the test")),
        Some(more) => {
            left.set(Some(more - 1));
            Ok(())
        }
    })
}

#[cfg(test)]
thread_local! {
    static LEFT: std::cell::Cell<Option<usize>> = const { std::cell::Cell::new(None) };
}

/// Allow this thread so many points from now on; `None` allows all.
#[cfg(test)]
pub(super) fn allow(steps: Option<usize>) {
    LEFT.with(|left| left.set(steps));
}
