//! What `receive-pack` reports, and the stream of packets by itself.

use std::io::{BufReader, Read};

use bstr::ByteSlice;
use git_remote_sync::receive_pack::{Body, Command, PushRequest, Target};
use git_remote_sync::wire::report::{RefOption, Report};
use gix_hash::ObjectId;
use gix_transport::Protocol;

use super::checks::{assert_printable, same_in_pieces, told};
use super::peer::{Pieces, Words, piped};
use super::refs::pkt;
use super::stateless::WithoutResponseEnds;

/// A report, by itself, inside a side-band, and behind a push.
pub fn report_status(data: &[u8]) {
    let alone = Report::parse(data).map_err(|err| told(&err));
    if let Ok(report) = &alone {
        check(report);
        assert_eq!(Report::parse(&written(report)).as_ref().ok(), Some(report));
    }
    for capabilities in ["report-status", "report-status-v2 side-band-64k"] {
        let pushed = same_in_pieces(|step| push(capabilities, data, step));
        pushed.iter().for_each(check);
    }
    if data.len() < 60_000 {
        let wrapped = [pkt(&[b"\x01", data].concat()), b"0000".to_vec()].concat();
        assert_eq!(push("report-status side-band-64k", &wrapped, usize::MAX), alone);
    }
}

/// The packets of a stateless connection lose their response-ends and nothing else.
pub fn pkt_lines(data: &[u8]) {
    let (out, _) = same_in_pieces(|step| {
        let mut out = Vec::new();
        let mut reader = WithoutResponseEnds::new(BufReader::with_capacity(8, Pieces::new(data, step)));
        let result = reader.read_to_end(&mut out);
        (out, result.map_err(|err| err.kind()))
    });
    assert!(out.len() <= data.len());
    let mut again = Vec::new();
    WithoutResponseEnds::new(out.as_slice())
        .read_to_end(&mut again)
        .ok();
    assert_eq!(again, out, "there was one left");
}

fn push(capabilities: &str, answer: &[u8], step: usize) -> Result<Report, String> {
    let main = ObjectId::from_hex(&[b'1'; 40]).unwrap();
    let line = format!("{main} refs/heads/main\0delete-refs {capabilities}\n");
    let all = [&pkt(line.as_bytes()), b"0000".as_slice(), answer].concat();
    let mut target = Target::connect(piped(&all, Protocol::V1, step)).unwrap();
    let request = PushRequest {
        commands: vec![Command {
            name: "refs/heads/main".into(),
            old: main,
            new: ObjectId::null(main.kind()),
        }],
        ..PushRequest::default()
    };
    let report = target.push(&request, Body::Nothing, &Words::default());
    report.map_err(|err| match err.side() {
        // The words are compared with those of the parser, which knows no side.
        Some(_) => told(&err).split_once(": ").unwrap().1.to_owned(),
        None => told(&err),
    })
}

fn check(report: &Report) {
    report.unpack_error.iter().for_each(|text| assert_printable(text));
    for entry in &report.refs {
        entry.error.iter().for_each(|text| assert_printable(text));
        for option in &entry.options {
            if let RefOption::Refname(name) = option {
                // It goes to git in a line of its own.
                gix_validate::reference::name(name.as_bstr()).unwrap();
            }
        }
    }
}

fn written(report: &Report) -> Vec<u8> {
    let unpacked = report.unpack_error.as_deref().unwrap_or("ok");
    let mut lines = vec![format!("unpack {unpacked}").into_bytes()];
    for entry in &report.refs {
        lines.push(match &entry.error {
            Some(why) => [b"ng ", entry.name.as_slice(), b" ", why.as_bytes()].concat(),
            None => [b"ok ", entry.name.as_slice()].concat(),
        });
        lines.extend(entry.options.iter().map(|option| match option {
            RefOption::Refname(name) => [b"option refname ", name.as_slice()].concat(),
            RefOption::OldOid(oid) => format!("option old-oid {oid}").into_bytes(),
            RefOption::NewOid(oid) => format!("option new-oid {oid}").into_bytes(),
            RefOption::ForcedUpdate => b"option forced-update".to_vec(),
        }));
    }
    let lines = lines
        .into_iter()
        .flat_map(|line| pkt(&[line.as_slice(), b"\n"].concat()));
    lines.chain(*b"0000").collect()
}
