//! What `receive-pack` reports, and the stream of packets by itself.

use std::io::{BufReader, Read};

use bstr::ByteSlice;
use git_remote_sync::receive_pack::{Body, PushRequest, Target};
use git_remote_sync::wire::changes::{Change, Commands};
use git_remote_sync::wire::report::{RefOption, Report, Verdict};
use gix_hash::ObjectId;
use gix_transport::Protocol;

use super::checks::{assert_printable, same_in_pieces, told};
use super::peer::{Pieces, Words, piped};
use super::refs::pkt;
use super::stateless::WithoutResponseEnds;

/// A report, by itself, inside a side-band, and behind a push.
pub fn report_status(data: &[u8]) {
    let commands = deletions();
    let alone = Report::parse(data, &commands).map_err(|err| told(&err));
    if let Ok(report) = &alone {
        check(report);
        let again = Report::parse(&written(report, &commands), &commands);
        assert_eq!(again.as_ref().ok(), Some(report));
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

/// The commands that are reported on.
fn deletions() -> Commands {
    let deletion = |name: &'static str| Change {
        name: name.into(),
        old: ObjectId::from_hex(&[b'1'; 40]).ok(),
        new: None,
    };
    ["refs/heads/main", "refs/heads/x", "refs/for/main"]
        .map(deletion)
        .into_iter()
        .collect()
}

fn push(capabilities: &str, answer: &[u8], step: usize) -> Result<Report, String> {
    let main = ObjectId::from_hex(&[b'1'; 40]).unwrap();
    let line = format!("{main} refs/heads/main\0delete-refs {capabilities}\n");
    let all = [&pkt(line.as_bytes()), b"0000".as_slice(), answer].concat();
    let mut target = Target::connect(piped(&all, Protocol::V1, step)).unwrap();
    let request = PushRequest {
        commands: deletions(),
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
    for verdict in &report.verdicts {
        verdict.refusal().into_iter().for_each(assert_printable);
        let Verdict::Done(options) = verdict else { continue };
        for option in options {
            if let RefOption::Refname(name) = option {
                // It goes to git in a line of its own.
                gix_validate::reference::name(name.as_bstr()).unwrap();
            }
        }
    }
}

fn written(report: &Report, commands: &Commands) -> Vec<u8> {
    let unpacked = report.unpack_error.as_deref().unwrap_or("ok");
    let mut lines = vec![format!("unpack {unpacked}").into_bytes()];
    for (name, verdict) in commands.names().zip(&report.verdicts) {
        let options = match verdict {
            Verdict::Silence => continue,
            Verdict::Refused(why) => {
                lines.push([b"ng ", name.as_bytes(), b" ", why.as_bytes()].concat());
                continue;
            }
            Verdict::Done(options) => options,
        };
        lines.push([b"ok ", name.as_bytes()].concat());
        lines.extend(options.iter().map(|option| match option {
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
