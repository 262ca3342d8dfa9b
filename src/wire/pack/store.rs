//! Bodies that a later delta may build on: the newest in memory, the others in an unnamed temporary file.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use super::reader::Limits;
use crate::error::{Error, Kind, Result};

/// Where a body lies in the [`Store`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) at: u64,
    pub(super) len: u32,
}

/// Bodies in one row, of which the first part may have moved to a file.
pub(super) struct Store {
    limits: Limits,
    file: Option<File>,
    /// The length of the file; everything from there on is in memory.
    filed: u64,
    memory: Vec<u8>,
}

impl Store {
    pub(super) fn new(limits: Limits) -> Self {
        Store {
            limits,
            file: None,
            filed: 0,
            memory: Vec::new(),
        }
    }

    pub(super) fn put(&mut self, body: &[u8]) -> Result<Span> {
        let at = self.filed + self.memory.len() as u64;
        if at + body.len() as u64 > self.limits.stored_bytes {
            let max = self.limits.stored_bytes;
            let message = format!("the objects that deltas may build on take more than {max} bytes");
            return Err(Error::new(Kind::Limit, message));
        }
        let len = u32::try_from(body.len()).map_err(|_| super::too_large(u32::MAX as usize))?;
        self.memory.extend_from_slice(body);
        if self.memory.len() > self.limits.memory_bytes {
            self.spill().map_err(file_failed)?;
        }
        Ok(Span { at, len })
    }

    pub(super) fn get(&mut self, span: Span) -> Result<Vec<u8>> {
        let len = span.len as usize;
        if let Some(at) = span.at.checked_sub(self.filed) {
            let from = usize::try_from(at).ok().and_then(|at| self.memory.get(at..));
            let body = from.and_then(|from| from.get(..len)).ok_or_else(lost)?;
            return Ok(body.to_vec());
        }
        let file = self.file.as_mut().ok_or_else(lost)?;
        let mut body = vec![0; len];
        file.seek(SeekFrom::Start(span.at)).map_err(file_failed)?;
        file.read_exact(&mut body).map_err(file_failed)?;
        Ok(body)
    }

    fn spill(&mut self) -> std::io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        file.seek(SeekFrom::Start(self.filed))?;
        file.write_all(&self.memory)?;
        self.filed += self.memory.len() as u64;
        self.memory.clear();
        Ok(())
    }
}

fn file_failed(err: std::io::Error) -> Error {
    Error::new(
        Kind::Internal,
        format!("cannot keep objects in a temporary file: {err}"),
    )
    .hint("is there room in the directory that TMPDIR names?")
    .caused_by(err)
}

fn lost() -> Error {
    Error::new(Kind::Internal, "an object that was put aside is not there")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_come_back_from_memory_and_from_the_file() {
        let limits = Limits {
            memory_bytes: 100,
            stored_bytes: 3000,
            ..Limits::default()
        };
        let mut store = Store::new(limits);
        let body = |nr: u8| vec![nr; 7 + usize::from(nr % 5)];
        let spans: Vec<_> = (0..200).map(|nr| store.put(&body(nr)).unwrap()).collect();
        assert!(store.filed > 1000 && !store.memory.is_empty());
        for nr in (0..200).rev() {
            assert_eq!(store.get(spans[usize::from(nr)]).unwrap(), body(nr));
        }
        // What is put after a look back goes to the right place.
        let span = store.put(&[9; 300]).unwrap();
        assert_eq!(store.get(span).unwrap(), [9; 300]);
        let err = store.put(&[9; 3000]).unwrap_err();
        assert_eq!(err.kind(), Kind::Limit);
    }
}
