//! What a peer says about its refs, in every version of the protocol and on both sides.

use std::fmt::Write as _;

use bstr::ByteSlice;
use git_remote_sync::receive_pack::Target;
use git_remote_sync::transport::Link;
use git_remote_sync::upload_pack::Source;
use git_remote_sync::wire::refs::Advertisement;
use gix_transport::{Protocol, Service};

use super::checks::{assert_printable, same_in_pieces, told};
use super::peer::{by_web, piped};

/// What is learned from an advertisement, or what is said about one that is refused.
type Learned = Result<(gix_hash::Kind, Advertisement), String>;

/// The first words of a peer: `upload-pack` (v0, v1, v2 with the answer to `ls-refs` behind its capabilities, and over
/// http) or `receive-pack`.
pub fn advertisement(data: &[u8]) {
    let ways: [fn(&[u8], usize) -> Learned; 4] = [
        |data, step| source(piped(data, Protocol::V1, step)),
        |data, step| source(by_web(data, Service::UploadPack, step)),
        |data, step| target(piped(data, Protocol::V1, step)),
        |data, step| target(by_web(data, Service::ReceivePack, step)),
    ];
    for way in ways {
        if let Ok((format, ad)) = same_in_pieces(|step| way(data, step)) {
            check(&ad, format, data.len());
            assert_eq!(again_as_v0(&ad, format), ad);
        }
    }
}

/// The answer to `ls-refs`, up to its flush.
pub fn ls_refs(data: &[u8]) {
    for format in ["sha1", "sha256"] {
        let learned = same_in_pieces(|step| list(data, format, step));
        if let Ok((format, ad)) = learned {
            check(&ad, format, data.len());
            assert_eq!(
                list(&v2_lines(&ad), &format.to_string(), usize::MAX),
                Ok((format, ad))
            );
        }
    }
}

fn list(answer: &[u8], format: &str, step: usize) -> Learned {
    let capabilities = [
        "version 2\n",
        "ls-refs=unborn\n",
        &format!("object-format={format}\n"),
    ];
    let mut all: Vec<u8> = capabilities
        .iter()
        .flat_map(|line| pkt(line.as_bytes()))
        .collect();
    all.extend_from_slice(b"0000");
    all.extend_from_slice(answer);
    source(piped(&all, Protocol::V2, step))
}

fn source(link: Box<dyn Link>) -> Learned {
    let source = Source::connect(link).map_err(|err| told(&err))?;
    source.agent().iter().for_each(|agent| assert_printable(agent));
    Ok((source.format(), (**source.advertisement()).clone()))
}

fn target(link: Box<dyn Link>) -> Learned {
    let target = Target::connect(link).map_err(|err| told(&err))?;
    target
        .value_of("agent")
        .iter()
        .for_each(|agent| assert_printable(agent));
    Ok((target.format(), target.advertisement().clone()))
}

/// What everything behind the parser relies on.
fn check(ad: &Advertisement, format: gix_hash::Kind, said: usize) {
    let names = || {
        ad.refs
            .iter()
            .map(|entry| entry.name)
            .chain(ad.head.as_deref().map(|head| head.as_bstr()))
    };
    assert!(names().map(|name| name.len()).sum::<usize>() <= said);
    for name in names() {
        assert!(name.starts_with(b"refs/"), "{name}");
        gix_validate::reference::name(name.as_bstr()).unwrap();
        assert!(!name.iter().any(u8::is_ascii_control), "{name}");
    }
    let mut pairs = ad.refs.iter().zip(ad.refs.iter().skip(1));
    assert!(pairs.all(|(one, two)| one.name < two.name), "in order, each once");
    for entry in ad.refs.iter() {
        assert_eq!(ad.find(entry.name), Some(entry));
    }
    let values = ad
        .refs
        .iter()
        .flat_map(|entry| [Some(entry.oid), entry.peeled])
        .flatten();
    let others = ad.haves.iter().chain(&ad.shallow).chain(&ad.head_oid).copied();
    for oid in values.chain(others) {
        assert_eq!(oid.kind(), format);
        assert!(!oid.is_null());
    }
}

fn again_as_v0(ad: &Advertisement, format: gix_hash::Kind) -> Advertisement {
    let mut again = Advertisement {
        head: ad.head.clone(),
        ..Advertisement::default()
    };
    let mut add = |line: Vec<u8>| again.add_v0_line(line.as_bstr()).unwrap();
    let line = |oid: &gix_hash::ObjectId, name: &[u8]| [oid.to_string().as_bytes(), b" ", name].concat();
    ad.head_oid.iter().for_each(|oid| add(line(oid, b"HEAD")));
    for entry in ad.refs.iter() {
        add(line(&entry.oid, entry.name));
        if let Some(peeled) = &entry.peeled {
            add(line(peeled, &[entry.name.as_bytes(), b"^{}"].concat()));
        }
    }
    ad.haves.iter().for_each(|oid| add(line(oid, b".have")));
    ad.shallow
        .iter()
        .for_each(|oid| add(format!("shallow {oid}").into()));
    again.finish(format).unwrap();
    again
}

fn v2_lines(ad: &Advertisement) -> Vec<u8> {
    let mut lines = Vec::new();
    let mut head = match ad.head_oid {
        Some(oid) => format!("{oid} HEAD").into_bytes(),
        None => b"unborn HEAD".to_vec(),
    };
    if let Some(name) = &ad.head {
        head.extend_from_slice(b" symref-target:");
        head.extend_from_slice(name);
    }
    if ad.head.is_some() || ad.head_oid.is_some() {
        lines.extend_from_slice(&pkt(&head));
    }
    for entry in ad.refs.iter() {
        let mut line = [entry.oid.to_string().as_bytes(), b" ", entry.name.as_bytes()].concat();
        if let Some(peeled) = entry.peeled {
            let mut tail = String::new();
            write!(tail, " peeled:{peeled}").unwrap();
            line.extend_from_slice(tail.as_bytes());
        }
        line.push(b'\n');
        lines.extend_from_slice(&pkt(&line));
    }
    lines.extend_from_slice(b"0000");
    lines
}

/// `data` as one pkt-line.
pub(super) fn pkt(data: &[u8]) -> Vec<u8> {
    [format!("{:04x}", data.len() + 4).as_bytes(), data].concat()
}
