//! A pack that waits here until it is complete: for targets that want to know its length beforehand, and for those that
//! take only so much at once.

use std::fmt;
use std::io::{self, BufRead, BufWriter, Seek, SeekFrom, Write};

use tempfile::SpooledTempFile;

use super::relay::HELD_PACK;
use crate::error::{Error, Kind, Result, Side};
use crate::pump::{self, PackCheck, Summary};
use crate::receive_pack::Body;

/// A whole pack: in memory while it is small, else in a file without a name, so that nothing is left of it whatever
/// happens.
pub(super) struct Stored {
    pub(super) summary: Summary,
    data: SpooledTempFile,
    small: Vec<u8>,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.summary.fmt(f)
    }
}

impl Stored {
    /// Store the whole of `pack`; large ones go to `$TMPDIR`.
    ///
    /// # Errors
    /// The source's, those of `check`, and `Internal`, with the place in its words, when there is no room.
    pub(super) fn new(
        pack: &mut dyn BufRead,
        check: PackCheck,
        on_bytes: &mut dyn FnMut(u64, u32),
    ) -> Result<Stored> {
        let held = usize::try_from(HELD_PACK).unwrap_or_default();
        let data = Storing(tempfile::spooled_tempfile(held));
        let mut writer = BufWriter::with_capacity(256 * 1024, data);
        let summary = match pump::relay(pack, &mut [&mut writer], check, on_bytes) {
            Err(err) if err.side() == Some(Side::Target) => {
                // It is not the target that could not take it. What is buffered has no place to go.
                drop(writer.into_parts());
                return Err(Error::new(err.kind(), err.message()).hint(HINT));
            }
            done => done?,
        };
        let writer = writer.into_inner();
        let data = writer.map_err(|err| cannot_store(err.into_error()))?.0;
        Ok(Stored {
            summary,
            data,
            small: Vec::new(),
        })
    }

    /// The pack as it is to be sent, from its first byte on; as often as is needed.
    ///
    /// # Errors
    /// `Internal` when it cannot be read again.
    pub(super) fn body(&mut self) -> Result<Body<'_>> {
        self.data.seek(SeekFrom::Start(0)).map_err(cannot_store)?;
        if self.data.is_rolled() {
            return Ok(Body::Sized(self.summary.bytes, &mut self.data));
        }
        self.small.clear();
        io::copy(&mut self.data, &mut self.small).map_err(cannot_store)?;
        Ok(Body::Whole(&self.small))
    }
}

const HINT: &str = "TMPDIR names another place for temporary files";

struct Storing(SpooledTempFile);

impl Write for Storing {
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
