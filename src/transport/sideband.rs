//! `side-band-64k` taken apart: data for us, text for the user, errors for both (`gitprotocol-pack`).
//!
//! gix can do this too, but drops the line end of each piece of text, and a hook that writes its lines one by one would
//! be shown as one long line.

use std::io::{self, BufRead, Read};

use gix_transport::client::blocking_io::ExtendedBufRead;

use crate::error::{Error, Kind, printable};

const DATA: u8 = 1;
const TEXT: u8 = 2;
const ERROR: u8 = 3;

type OnText<'a> = Box<dyn FnMut(&[u8]) + 'a>;

/// The data band of a response, as a stream of bytes that ends at the flush.
pub struct SideBand<'a> {
    packets: Box<dyn ExtendedBufRead<'a> + Unpin + 'a>,
    on_text: OnText<'a>,
    /// What is left of the present packet's data.
    left: usize,
}

impl<'a> SideBand<'a> {
    /// Read packets with a band number from `packets`; `on_text` gets the peer's words as they come.
    pub fn new(packets: Box<dyn ExtendedBufRead<'a> + Unpin + 'a>, on_text: impl FnMut(&[u8]) + 'a) -> Self {
        SideBand {
            packets,
            on_text: Box::new(on_text),
            left: 0,
        }
    }

    /// Go to the next packet that has data; without one, the response has ended.
    fn advance(&mut self) -> io::Result<()> {
        while self.left == 0 {
            let packet = self.packets.fill_buf()?;
            let Some((band, payload)) = packet.split_first() else {
                return Ok(());
            };
            let (band, size) = (*band, payload.len());
            match band {
                DATA => {
                    self.packets.consume(1);
                    self.left = size;
                }
                TEXT => {
                    (self.on_text)(payload);
                    self.packets.consume(1 + size);
                }
                ERROR => return Err(Error::new(Kind::Peer, printable(payload.trim_ascii())).into()),
                other => {
                    let message = format!("sent data on the unknown side-band {other}");
                    return Err(Error::new(Kind::Peer, message).into());
                }
            }
        }
        Ok(())
    }
}

impl Read for SideBand<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buf)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for SideBand<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.advance()?;
        match self.left {
            0 => Ok(&[]),
            _ => self.packets.fill_buf(),
        }
    }

    fn consume(&mut self, amount: usize) {
        self.left = self.left.saturating_sub(amount);
        self.packets.consume(amount);
    }
}

#[cfg(test)]
mod tests {
    use gix_transport::Protocol;
    use gix_transport::client::blocking_io::Transport;
    use gix_transport::client::git::ConnectMode;
    use gix_transport::client::git::blocking_io::Connection;
    use gix_transport::client::{MessageKind, WriteMode};

    use super::*;

    /// What comes out of `packets`: data, text, and the error if there is one.
    fn take_apart(packets: &[u8]) -> (Vec<u8>, Vec<u8>, Option<Error>) {
        let (mut data, mut text) = (Vec::new(), Vec::new());
        let none = None::<(String, _)>;
        let mut connection = Connection::new(
            packets,
            io::sink(),
            Protocol::V1,
            "",
            none,
            ConnectMode::Process,
            false,
        );
        let request = connection
            .request(WriteMode::Binary, MessageKind::Flush, false)
            .unwrap();
        let mut band = SideBand::new(request.into_parts().1, |words| text.extend_from_slice(words));
        let result = band.read_to_end(&mut data);
        drop(band);
        (data, text, result.err().map(|err| Error::from_io(err, "reading")))
    }

    #[test]
    fn bands_are_separated_and_line_ends_kept() {
        let (data, text, err) = take_apart(b"0007\x01ab0009\x02one\n0005\x010009\x02two\n0006\x01c0000rest");
        assert_eq!(
            (data.as_slice(), text.as_slice()),
            (&b"abc"[..], &b"one\ntwo\n"[..])
        );
        assert!(err.is_none());
    }

    #[test]
    fn an_error_band_ends_the_response() {
        let (data, _, err) = take_apart(b"0006\x01a000c\x03no\x1b way0006\x01b0000");
        assert_eq!(data, b"a");
        assert_eq!(err.unwrap().message(), "no\\033 way");
        let (_, _, err) = take_apart(b"0006\x07a0000");
        assert!(err.unwrap().message().contains("unknown side-band 7"));
    }

    #[test]
    fn a_response_without_its_flush_has_broken_off() {
        let (data, _, err) = take_apart(b"0006\x01a");
        assert_eq!(data, b"a");
        assert_eq!(err.unwrap().kind(), Kind::Network);
    }
}
