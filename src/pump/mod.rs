//! The pump: a pack on its way from the source to the target, untouched and unstored.
//!
//! Here are the reader that watches a pack on its way ([`Passing`]), the loop that moves it ([`relay`]) and the check
//! behind both ([`PackCheck`]). Where the bytes come from and go to is the business of whoever calls; so is aborting the
//! target's request after an error. Entries of the pack are not looked at: the target's `index-pack` does that.

mod check;
mod passing;
#[cfg(test)]
mod tests;

use std::io::{BufRead, ErrorKind, Read, Write};

pub use check::{PackCheck, Released, Summary};
pub use passing::Passing;

use crate::error::{Error, Kind, Result, Side};

/// Move a whole pack from `source` to every one of `targets`, as large as the slices of `source` are.
///
/// `source` and `progress` are those of [`Passing::new`].
///
/// # Errors
///
/// On the source's side: those of [`Passing`]. On the target's side: a write failed; the target may have said why, so
/// look at its answer. After any error nothing more was written, the trailer least of all, and the caller must abort the
/// targets' requests.
pub fn relay(
    source: &mut dyn BufRead,
    targets: &mut [&mut dyn Write],
    check: PackCheck,
    progress: &mut dyn FnMut(u64, u32),
) -> Result<Summary> {
    let mut pack = Passing::new(source, check, progress);
    pass_on(&mut pack, targets)?;
    let unfinished = || Error::new(Kind::Internal, "a pack ended without its trailer").on(Side::Source);
    pack.summary().ok_or_else(unfinished)
}

/// Move what is left of `pack` to every one of `targets`.
///
/// # Errors
/// What `pack` says, and those of [`relay`] on the target's side.
pub fn pass_on(pack: &mut dyn Read, targets: &mut [&mut dyn Write]) -> Result<()> {
    let mut buf = vec![0; PIECE];
    loop {
        let count = match pack.read(&mut buf) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(err) if err.kind() == ErrorKind::Interrupted => continue,
            Err(err) => return Err(Error::from_io(err, "reading the pack")),
        };
        let data = buf.get(..count).unwrap_or_default();
        for target in targets.iter_mut() {
            // Flushed, for the source may take its time before more comes.
            let written = target.write_all(data).and_then(|()| target.flush());
            written.map_err(broken_target)?;
        }
    }
}

/// Room for the largest packet and what was held back before it.
const PIECE: usize = 66 * 1024;

fn broken_target(err: std::io::Error) -> Error {
    Error::from_io(err, "sending the pack").on(Side::Target)
}
