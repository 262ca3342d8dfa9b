//! Answers with a side-band, and the answer to `fetch`.

use std::io::Read;

use git_remote_sync::transport::sideband::SideBand;
use git_remote_sync::upload_pack::{FetchRequest, Source};
use gix_hash::ObjectId;
use gix_transport::Protocol;
use gix_transport::client::blocking_io::Transport;
use gix_transport::client::{MessageKind, WriteMode};

use super::super::error::Error;
use super::checks::{same_in_pieces, told};
use super::peer::{Pieces, Words, connection, piped};
use super::refs::pkt;

/// Packets with a band number, up to a flush.
pub fn sideband(data: &[u8]) {
    let (bytes, words, _) = same_in_pieces(|step| take_apart(data, step));
    assert!(bytes.len() + words.len() <= data.len());
}

fn take_apart(packets: &[u8], step: usize) -> (Vec<u8>, Vec<u8>, Option<String>) {
    let (mut bytes, words) = (Vec::new(), Words::default());
    let mut connection = connection(Pieces::new(packets, step), Protocol::V1);
    let request = connection
        .request(WriteMode::Binary, MessageKind::Flush, false)
        .unwrap();
    let mut band = SideBand::new(request.into_parts().1, |text| words.add(text));
    let result = band.read_to_end(&mut bytes);
    drop(band);
    let why = result.err().map(|err| told(&Error::from_io(err, "reading")));
    (bytes, words.take(), why)
}

/// The answer to a `fetch` by v2 and by v0, with and without `deepen`.
pub fn fetch_answer(data: &[u8]) {
    for protocol in [Protocol::V2, Protocol::V1] {
        for deepen in [None, Some(1)] {
            let answer = same_in_pieces(|step| fetch(data, protocol, deepen, step));
            if let Ok(answer) = answer {
                let mut ids = answer.shallow.iter().chain(&answer.acknowledged);
                assert!(ids.all(|oid| oid.kind() == have().kind()));
                assert!(answer.pack.len() + answer.words.len() <= data.len());
            }
        }
    }
}

#[derive(Debug, PartialEq)]
struct Answer {
    acknowledged: Vec<ObjectId>,
    shallow: Vec<ObjectId>,
    pack: Vec<u8>,
    words: Vec<u8>,
    broken: Option<String>,
}

fn have() -> ObjectId {
    ObjectId::from_hex(b"1111111111111111111111111111111111111111").unwrap()
}

fn fetch(answer: &[u8], protocol: Protocol, deepen: Option<u32>, step: usize) -> Result<Answer, String> {
    let mut all = match protocol {
        Protocol::V2 => [
            &pkt(b"version 2\n"),
            &pkt(b"ls-refs\n"),
            &pkt(b"fetch=shallow filter\n"),
            b"00000000".as_slice(),
        ]
        .concat(),
        _ => [
            &pkt(format!("{} refs/heads/main\0side-band-64k shallow\n", have()).as_bytes()),
            b"0000".as_slice(),
        ]
        .concat(),
    };
    all.extend_from_slice(answer);
    let mut source = Source::connect(piped(&all, protocol, step)).unwrap();
    let request = FetchRequest {
        wants: [ObjectId::null(gix_hash::Kind::Sha1)].into(),
        haves: [have()].into(),
        done: true,
        deepen,
        ..FetchRequest::default()
    };
    let words = Words::default();
    let mut response = source.fetch(&request, &words).map_err(|err| told(&err))?;
    let mut pack = Vec::new();
    let read = response
        .pack
        .take()
        .map(|mut stream| stream.read_to_end(&mut pack));
    let broken = read
        .and_then(Result::err)
        .map(|err| told(&Error::from_io(err, "reading")));
    Ok(Answer {
        acknowledged: sorted(response.acknowledged.iter().copied()),
        shallow: response.shallow.clone(),
        pack,
        words: words.take(),
        broken,
    })
}

fn sorted(ids: impl Iterator<Item = ObjectId>) -> Vec<ObjectId> {
    let mut ids: Vec<_> = ids.collect();
    ids.sort();
    ids
}
