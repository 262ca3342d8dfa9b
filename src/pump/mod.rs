//! The pump: a pack on its way from the source to the target, untouched and unstored.
//!
//! Here are the loop that moves the bytes ([`relay`]) and the check that watches them ([`PackCheck`]). Where the bytes
//! come from and go to is the business of whoever calls; so is aborting the target's request after an error. Entries
//! of the pack are not looked at: the target's `index-pack` does that.

mod check;
#[cfg(test)]
mod tests;

use std::io::{BufRead, ErrorKind, Write};

pub use check::{PackCheck, Released, Summary};

use crate::error::{Error, Result, Side};

/// Move a whole pack from `source` to every one of `targets`, as large as the slices of `source` are.
///
/// `source` must end where the pack ends. `progress` is told after each slice how many bytes have arrived, and the
/// object count in the pack's header (objects are not counted as they pass).
///
/// # Errors
///
/// On the source's side: [`Network`](crate::error::Kind::Network) and whatever its reader reports if it broke off, [`Corrupt`](crate::error::Kind::Corrupt) and
/// [`Limit`](crate::error::Kind::Limit) as [`PackCheck`] says. On the target's side: a write failed; the target may have said why, so look at
/// its answer. After any error nothing more was written, the trailer least of all, and the caller must abort the
/// targets' requests.
pub fn relay(
    source: &mut dyn BufRead,
    targets: &mut [&mut dyn Write],
    mut check: PackCheck,
    progress: &mut dyn FnMut(u64, u32),
) -> Result<Summary> {
    loop {
        let data = match source.fill_buf() {
            Ok([]) => break,
            Ok(data) => data,
            Err(err) if err.kind() == ErrorKind::Interrupted => continue,
            Err(err) => return Err(broken_source(err, check.bytes())),
        };
        let len = data.len();
        let released = check.feed(data).map_err(|err| err.on(Side::Source))?;
        let passed = pass_on(&released, targets);
        // Also if that failed: a target may have refused just this slice.
        progress(check.bytes(), check.objects().unwrap_or_default());
        passed?;
        source.consume(len);
    }
    let (trailer, summary) = check.finish().map_err(|err| err.on(Side::Source))?;
    pass_on(&trailer, targets)?;
    log::debug!(target: "relay::source", "pack of {} objects, {} bytes", summary.objects, summary.bytes);
    Ok(summary)
}

/// Flushed, for the source may take its time before more comes.
fn pass_on(released: &Released<'_>, targets: &mut [&mut dyn Write]) -> Result<()> {
    for target in targets.iter_mut() {
        for part in released.parts().into_iter().filter(|part| !part.is_empty()) {
            target.write_all(part).map_err(broken_target)?;
        }
        target.flush().map_err(broken_target)?;
    }
    Ok(())
}

fn broken_source(err: std::io::Error, bytes: u64) -> Error {
    Error::from_io(err, &format!("the pack broke off after {bytes} bytes")).on(Side::Source)
}

fn broken_target(err: std::io::Error) -> Error {
    Error::from_io(err, "sending the pack").on(Side::Target)
}
