//! The pump against packs that git made, whole and mistreated.

use std::io::{BufReader, Cursor, ErrorKind, Read};

use gix_hash::Kind as Format;

use super::*;
use crate::error::Kind;
use crate::wire::pack::testing::Repo;

/// What a relay ended with, and what the target had got by then.
struct Outcome {
    result: Result<Summary>,
    got: Vec<u8>,
}

fn run(format: Format, source: &mut dyn BufRead, max: Option<u64>) -> Outcome {
    let mut got = Vec::new();
    let check = PackCheck::new(format, max);
    let result = relay(source, &mut [&mut got], check, &mut |_, _| {});
    Outcome { result, got }
}

fn run_bytes(format: Format, data: &[u8]) -> Outcome {
    run(format, &mut &*data, None)
}

fn small_pack(format: Format) -> Vec<u8> {
    let repo = Repo::with_history(format, 2);
    repo.pack(&[], &repo.objects(&["commit", "tree", "blob", "tag"]))
}

/// Gives one byte at a time, and breaks off with `end` instead of a clean end.
struct Drip<'a> {
    data: &'a [u8],
    end: Option<ErrorKind>,
}

impl Read for Drip<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        match (self.data.split_first(), self.end) {
            (Some((first, rest)), _) => {
                buf[0] = *first;
                self.data = rest;
                Ok(1)
            }
            (None, Some(kind)) => Err(kind.into()),
            (None, None) => Ok(0),
        }
    }
}

/// Takes `room` bytes and then fails.
struct Full {
    room: usize,
}

impl Write for Full {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        match self.room.min(data.len()) {
            0 => Err(ErrorKind::BrokenPipe.into()),
            len => {
                self.room -= len;
                Ok(len)
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_whole_pack_passes_untouched_in_slices_of_any_size() {
    for format in [Format::Sha1, Format::Sha256] {
        let pack = small_pack(format);
        for size in [1, 7, 19, 20, 21, 33, 64, 4096] {
            let mut source = BufReader::with_capacity(size, Cursor::new(&pack));
            let outcome = run(format, &mut source, Some(pack.len() as u64));
            let summary = outcome.result.unwrap();
            // Two commits, two trees, two blobs and a tag.
            assert_eq!((summary.bytes, summary.objects), (pack.len() as u64, 7));
            assert!(outcome.got == pack, "{format} in slices of {size}");
        }
    }
}

#[test]
fn an_empty_pack_passes() {
    for (format, len) in [(Format::Sha1, 32), (Format::Sha256, 44)] {
        let pack = Repo::new(format).pack(&[], &[]);
        assert_eq!(pack.len(), len);
        let outcome = run_bytes(format, &pack);
        assert_eq!(outcome.result.unwrap().objects, 0);
        assert_eq!(outcome.got, pack);
    }
}

#[test]
fn progress_tells_bytes_and_the_object_count_of_the_header() {
    let pack = small_pack(Format::Sha1);
    let mut seen = Vec::new();
    let mut source = BufReader::with_capacity(100, Cursor::new(&pack));
    let check = PackCheck::new(Format::Sha1, None);
    relay(&mut source, &mut [], check, &mut |bytes, objects| {
        seen.push((bytes, objects));
    })
    .unwrap();
    assert_eq!(seen.first(), Some(&(100, 7)));
    assert_eq!(seen.last(), Some(&(pack.len() as u64, 7)));
}

#[test]
fn a_pack_cut_anywhere_never_completes() {
    for format in [Format::Sha1, Format::Sha256] {
        let pack = small_pack(format);
        let hash = format.len_in_bytes();
        for cut in 0..pack.len() {
            let outcome = run_bytes(format, &pack[..cut]);
            let err = outcome.result.unwrap_err();
            let expected = if cut < 12 + hash {
                Kind::Network
            } else {
                Kind::Corrupt
            };
            assert_eq!(
                (err.kind(), err.side()),
                (expected, Some(Side::Source)),
                "cut at {cut}"
            );
            assert_eq!(outcome.got, pack[..cut.saturating_sub(hash)], "cut at {cut}");
        }
    }
}

#[test]
fn a_connection_that_drops_is_a_network_error() {
    let pack = small_pack(Format::Sha1);
    for cut in 0..=pack.len() {
        let drip = Drip {
            data: &pack[..cut],
            end: Some(ErrorKind::UnexpectedEof),
        };
        let outcome = run(Format::Sha1, &mut BufReader::new(drip), None);
        let err = outcome.result.unwrap_err();
        assert_eq!((err.kind(), err.side()), (Kind::Network, Some(Side::Source)));
        assert!(
            err.message()
                .starts_with(&format!("the pack broke off after {cut} bytes"))
        );
        assert_eq!(outcome.got.len(), cut.saturating_sub(20));
    }
}

#[test]
fn our_own_errors_pass_through_with_their_side() {
    struct Dying;
    impl Read for Dying {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(Error::new(Kind::Peer, "out of memory, malloc failed").into())
        }
    }
    let outcome = run(Format::Sha1, &mut BufReader::new(Dying), None);
    let err = outcome.result.unwrap_err();
    assert_eq!(err.to_string(), "source: out of memory, malloc failed");
    assert_eq!(err.kind(), Kind::Peer);
}

#[test]
fn a_flipped_bit_anywhere_is_corrupt_and_holds_the_trailer_back() {
    for format in [Format::Sha1, Format::Sha256] {
        let pack = small_pack(format);
        for at in 0..pack.len() {
            let mut bad = pack.clone();
            bad[at] ^= 1 << (at % 8);
            let outcome = run_bytes(format, &bad);
            let err = outcome.result.unwrap_err();
            assert_eq!(
                (err.kind(), err.side()),
                (Kind::Corrupt, Some(Side::Source)),
                "{at}"
            );
            assert!(outcome.got.len() <= pack.len() - format.len_in_bytes());
        }
    }
}

#[test]
fn what_is_no_pack_is_refused_before_a_byte_of_it_is_let_go() {
    for data in [
        b"ERR access denied or repository not exported: and so on".as_slice(),
        b"PACK\0\0\0\x04rest of it",
    ] {
        let outcome = run(Format::Sha1, &mut BufReader::new(Drip { data, end: None }), None);
        assert_eq!(outcome.result.unwrap_err().kind(), Kind::Corrupt);
        assert!(outcome.got.is_empty());
    }
}

#[test]
fn bytes_behind_the_trailer_are_corrupt() {
    let pack = small_pack(Format::Sha1);
    for extra in [1, 19, 20, 21, 100] {
        let longer = [pack.as_slice(), &vec![0; extra]].concat();
        let err = run_bytes(Format::Sha1, &longer).result.unwrap_err();
        assert_eq!(err.kind(), Kind::Corrupt, "{extra} more");
    }
}

#[test]
fn the_limit_stops_a_pack_before_it_is_exceeded() {
    let pack = small_pack(Format::Sha1);
    let max = pack.len() as u64 - 1;
    for size in [1, 64, 4096] {
        let mut source = BufReader::with_capacity(size, Cursor::new(&pack));
        let outcome = run(Format::Sha1, &mut source, Some(max));
        assert_eq!(outcome.result.unwrap_err().kind(), Kind::Limit);
        assert!(outcome.got.len() as u64 + 20 <= max);
    }
}

/// A header that promises more than can fit is enough: nothing is let go.
#[test]
fn the_object_count_can_be_too_much_by_itself() {
    let header = |objects: u32| [b"PACK\0\0\0\x02".as_slice(), &objects.to_be_bytes()].concat();
    let fed = |objects: u32, max: u64| {
        let mut check = PackCheck::new(Format::Sha1, Some(max));
        check.feed(&header(objects)).map(drop).map_err(|err| err.kind())
    };
    assert_eq!(fed(1000, 8999), Err(Kind::Limit));
    assert_eq!(fed(1000, 9000), Ok(()));
    assert_eq!(fed(u32::MAX, 1 << 30), Err(Kind::Limit));
}

#[test]
fn a_target_that_stops_taking_is_blamed_and_gets_nothing_more() {
    let pack = small_pack(Format::Sha1);
    for room in 0..pack.len() {
        let mut full = Full { room };
        let check = PackCheck::new(Format::Sha1, None);
        let result = relay(&mut pack.as_slice(), &mut [&mut full], check, &mut |_, _| {});
        let err = result.unwrap_err();
        assert_eq!(
            (err.kind(), err.side()),
            (Kind::Network, Some(Side::Target)),
            "{room}"
        );
    }
}

/// A reader may take as little at a time as it likes, and gets at once whatever is at hand.
#[test]
fn a_passing_pack_is_read_in_pieces_of_any_size() {
    let pack = small_pack(Format::Sha1);
    for size in [1, 7, 21, 64, 4096] {
        let mut source = BufReader::with_capacity(size, pack.as_slice());
        let mut progress = |_, _| {};
        let check = PackCheck::new(Format::Sha1, None);
        let mut passing = Passing::new(&mut source, check, &mut progress);
        let mut got = Vec::new();
        let mut piece = [0; 50];
        loop {
            assert_eq!(passing.summary(), None);
            match passing.read(&mut piece).unwrap() {
                0 => break,
                count => got.extend_from_slice(&piece[..count]),
            }
            if got.len() == pack.len() {
                break;
            }
        }
        assert_eq!(passing.read(&mut piece).unwrap(), 0);
        assert!(got == pack, "slices of {size}");
        assert_eq!(passing.summary().unwrap().bytes, pack.len() as u64);
    }
    // What was held back goes together with what has come.
    let mut source = BufReader::with_capacity(64, pack.as_slice());
    let mut progress = |_, _| {};
    let check = PackCheck::new(Format::Sha1, None);
    let mut passing = Passing::new(&mut source, check, &mut progress);
    let mut piece = [0; 100];
    assert_eq!(
        [
            passing.read(&mut piece).unwrap(),
            passing.read(&mut piece).unwrap()
        ],
        [44, 64]
    );
}

/// Slices that are there anyway go together, as many as fit.
#[test]
fn small_slices_are_read_together_while_there_are_more() {
    let pack = small_pack(Format::Sha1);
    let mut source = BufReader::with_capacity(16, pack.as_slice());
    let more = std::cell::Cell::new(true);
    let has_more = || more.get();
    let mut progress = |_, _| {};
    let check = PackCheck::new(Format::Sha1, None);
    let mut passing = Passing::new(&mut source, check, &mut progress).while_more(&has_more);
    let mut piece = [0; 100];
    assert_eq!(passing.read(&mut piece).unwrap(), 100);
    more.set(false);
    assert!(passing.read(&mut piece).unwrap() <= 16);
    more.set(true);
    let mut rest = Vec::new();
    passing.read_to_end(&mut rest).unwrap();
    assert!(pack.ends_with(&rest));
    assert_eq!(passing.summary().unwrap().bytes, pack.len() as u64);
}
