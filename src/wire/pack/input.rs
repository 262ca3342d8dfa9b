//! The pack's bytes as they come: counted, summed up for the trailer, and inflated.

use std::io::{BufRead, ErrorKind};

use flate2::{Decompress, FlushDecompress, Status};
use gix_hash::Kind as Format;

use super::damaged;
use crate::error::{Error, Result};
use crate::wire::object::Hasher;

/// Large enough for nearly every commit to be inflated at once.
const CHUNK_BYTES: usize = 16 * 1024;

pub(super) struct Input<R> {
    inner: R,
    bytes: u64,
    hasher: Hasher,
    inflater: Decompress,
    chunk: Box<[u8]>,
}

impl<R: BufRead> Input<R> {
    pub(super) fn new(inner: R, format: Format) -> Self {
        Input {
            inner,
            bytes: 0,
            hasher: Hasher::new(format),
            inflater: Decompress::new(true),
            chunk: vec![0; CHUNK_BYTES].into(),
        }
    }

    /// How many bytes have been read, which is also the offset of the next one.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn into_inner(self) -> R {
        self.inner
    }

    pub(super) fn byte(&mut self) -> Result<u8> {
        let mut byte = [0];
        self.exact(&mut byte)?;
        let [byte] = byte;
        Ok(byte)
    }

    pub(super) fn exact(&mut self, out: &mut [u8]) -> Result<()> {
        self.inner
            .read_exact(out)
            .map_err(|err| broken(err, self.bytes))?;
        self.hasher.update(out);
        self.bytes += out.len() as u64;
        Ok(())
    }

    /// Read the trailer and compare it with the checksum of everything before it.
    pub(super) fn trailer(&mut self, format: Format) -> Result<()> {
        let expected = self.hasher.clone().finish();
        let mut buf = [0; 32];
        let trailer = buf.get_mut(..format.len_in_bytes()).unwrap_or_default();
        self.exact(trailer)?;
        if *trailer == *expected.as_slice() {
            return Ok(());
        }
        Err(damaged("its bytes do not end in their checksum"))
    }

    /// Inflate one zlib stream, which must yield `size` bytes exactly, and append them to `out` if there is one.
    ///
    /// `out` grows with what really arrives, whatever `size` claims.
    pub(super) fn inflate(&mut self, size: u64, mut out: Option<&mut Vec<u8>>) -> Result<()> {
        self.inflater.reset(true);
        loop {
            let (status, made) = self.step()?;
            if self.inflater.total_out() > size {
                return Err(damaged("an entry is larger than it says"));
            }
            if let Some(out) = out.as_deref_mut() {
                out.extend_from_slice(self.chunk.get(..made).unwrap_or_default());
            }
            if status == Status::StreamEnd {
                break;
            }
        }
        if self.inflater.total_out() < size {
            return Err(damaged("an entry is smaller than it says"));
        }
        Ok(())
    }

    /// Inflate what is at hand; tells how many bytes are in `chunk` after that.
    fn step(&mut self) -> Result<(Status, usize)> {
        let input = match self.inner.fill_buf() {
            Ok([]) => return Err(broken(ErrorKind::UnexpectedEof.into(), self.bytes)),
            Ok(input) => input,
            Err(err) if err.kind() == ErrorKind::Interrupted => return Ok((Status::Ok, 0)),
            Err(err) => return Err(broken(err, self.bytes)),
        };
        let (read, made) = (self.inflater.total_in(), self.inflater.total_out());
        let status = self
            .inflater
            .decompress(input, &mut self.chunk, FlushDecompress::None)
            .map_err(|err| damaged("an entry cannot be inflated").caused_by(err))?;
        // Neither can exceed the length of its slice.
        let read = (self.inflater.total_in() - read) as usize;
        let made = (self.inflater.total_out() - made) as usize;
        if status != Status::StreamEnd && read == 0 && made == 0 {
            return Err(damaged("an entry cannot be inflated"));
        }
        self.hasher.update(input.get(..read).unwrap_or_default());
        self.inner.consume(read);
        self.bytes += read as u64;
        Ok((status, made))
    }
}

fn broken(err: std::io::Error, bytes: u64) -> Error {
    Error::from_io(err, &format!("the pack broke off after {bytes} bytes"))
}
