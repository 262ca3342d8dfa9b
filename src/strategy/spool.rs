//! A pack that waits in a file without a name, for targets that want to know its length beforehand.

use std::fs::File;
use std::io::{self, BufRead, BufWriter, Seek, Write};

use crate::error::{Error, Kind, Result, Side};
use crate::pump::{self, PackCheck, Summary};

/// Store the whole of `pack` in `$TMPDIR`. The file has no name, so that nothing is left of it whatever happens.
///
/// # Errors
/// The source's, those of `check`, and `Internal`, with the place in its words, when there is no room.
pub(super) fn spool(
    pack: &mut dyn BufRead,
    check: PackCheck,
    on_bytes: &mut dyn FnMut(u64, u32),
) -> Result<(File, Summary)> {
    let file = tempfile::tempfile().map_err(cannot_store)?;
    let mut writer = BufWriter::with_capacity(256 * 1024, Stored(file));
    let summary = match pump::relay(pack, &mut [&mut writer], check, on_bytes) {
        Err(err) if err.side() == Some(Side::Target) => {
            // It is not the target that could not take it. What is buffered has no place to go.
            drop(writer.into_parts());
            return Err(Error::new(err.kind(), err.message()).hint(HINT));
        }
        done => done?,
    };
    let mut file = writer
        .into_inner()
        .map_err(|err| cannot_store(err.into_error()))?
        .0;
    file.rewind().map_err(cannot_store)?;
    Ok((file, summary))
}

const HINT: &str = "TMPDIR names another place for temporary files";

struct Stored(File);

impl Write for Stored {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf).map_err(|err| cannot_store(err).into())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(|err| cannot_store(err).into())
    }
}

fn cannot_store(err: io::Error) -> Error {
    let err = match err.downcast::<Error>() {
        Ok(ours) => return ours,
        Err(err) => err,
    };
    let place = std::env::temp_dir();
    Error::new(
        Kind::Internal,
        format!("here: cannot keep the pack in {}: {err}", place.display()),
    )
    .hint(HINT)
    .caused_by(err)
}
