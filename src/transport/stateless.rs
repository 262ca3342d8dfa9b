//! The response-end packets of `stateless-connect` (gitremote-helpers(7); gitprotocol-v2, "Packet-Line Framing").
//!
//! A stateless connection ends each answer with a `0002` packet behind the last flush. The one who reads an answer stops
//! at that flush, so the packet would stand in front of the next answer: it is taken out here.

use std::io::{self, BufRead, Read};

use crate::wire::pkt_line;

/// Passes a stream of pkt-lines on without its response-end packets.
pub(super) struct WithoutResponseEnds<R> {
    inner: R,
    /// What is left of the present packet.
    left: usize,
    /// The length of the present packet, while it is handed out.
    head: [u8; 4],
    head_left: usize,
}

const RESPONSE_END: [u8; 4] = *b"0002";

impl<R: BufRead> WithoutResponseEnds<R> {
    pub(super) fn new(inner: R) -> Self {
        WithoutResponseEnds {
            inner,
            left: 0,
            head: [0; 4],
            head_left: 0,
        }
    }

    /// Read the length of the next packet. `false` at the end of the stream.
    fn next(&mut self) -> io::Result<bool> {
        loop {
            if self.inner.fill_buf()?.is_empty() {
                return Ok(false);
            }
            self.inner.read_exact(&mut self.head)?;
            if self.head == RESPONSE_END {
                continue;
            }
            let length = pkt_line::length(&self.head)
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "bad line length"))?;
            // Flush and delimiter are 0 and 1.
            self.left = length.saturating_sub(self.head.len());
            self.head_left = self.head.len();
            return Ok(true);
        }
    }
}

impl<R: BufRead> Read for WithoutResponseEnds<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() || (self.head_left == 0 && self.left == 0 && !self.next()?) {
            return Ok(0);
        }
        if self.head_left > 0 {
            let start = self.head.len() - self.head_left;
            let mut rest = self.head.get(start..).unwrap_or_default();
            let read = rest.read(buf)?;
            self.head_left -= read;
            return Ok(read);
        }
        let limit = buf.len().min(self.left);
        let read = self.inner.read(buf.get_mut(..limit).unwrap_or_default())?;
        self.left -= read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_response_ends_are_taken_out() {
        let stream: &[u8] = b"000eversion 2\n0000" as &[u8];
        let stream = [
            stream,
            b"0009a0002",
            b"0001",
            b"0006ok",
            b"0000",
            b"0002",
            b"0008done",
            b"00000002",
        ]
        .concat();
        for capacity in [1, 3, 64] {
            let mut out = Vec::new();
            let inner = io::BufReader::with_capacity(capacity, stream.as_slice());
            WithoutResponseEnds::new(inner).read_to_end(&mut out).unwrap();
            assert_eq!(
                String::from_utf8(out).unwrap(),
                "000eversion 2\n00000009a000200010006ok00000008done0000"
            );
        }
    }

    #[test]
    fn a_stream_that_is_none_of_pkt_lines_is_an_error() {
        let mut out = Vec::new();
        let mut stream = WithoutResponseEnds::new(b"<html>".as_slice());
        assert!(stream.read_to_end(&mut out).is_err());
        let mut stream = WithoutResponseEnds::new(b"+006ab".as_slice());
        assert!(stream.read_to_end(&mut out).is_err());
        let mut stream = WithoutResponseEnds::new(b"00".as_slice());
        assert_eq!(
            stream.read_to_end(&mut out).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }
}
