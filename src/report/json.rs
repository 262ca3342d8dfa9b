//! The one JSON object that scripts read. Its keys never change their meaning; `docs/report.schema.json` has them all.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::{Serialize, Serializer};

use super::measure::Measurement;
use super::quote::ref_name;
use crate::api::{Counts, Entries, Entry, ProbeReport, Run, SideReport, SourceStats, TargetStats};
use crate::error::Error;

/// Write `run` as one line of JSON. Statistics and measurement are there only if they were asked for.
///
/// # Errors
/// When it cannot be written.
pub fn write(
    out: &mut dyn Write,
    run: &Run,
    with_stats: bool,
    measurement: Option<&Measurement>,
) -> io::Result<()> {
    let mut out = io::BufWriter::new(out);
    serde_json::to_writer(&mut out, &Document::new(run, with_stats, measurement))?;
    out.write_all(b"\n")?;
    out.flush()
}

/// [`write()`] into a string.
pub fn render(run: &Run, with_stats: bool, measurement: Option<&Measurement>) -> String {
    let mut line = Vec::new();
    // Memory takes it all.
    write(&mut line, run, with_stats, measurement).unwrap_or_default();
    String::from_utf8_lossy(line.trim_ascii_end()).into_owned()
}

#[derive(Serialize)]
struct Document<'a> {
    command: &'static str,
    source: &'a str,
    target: Option<&'a str>,
    protocol: Option<&'static str>,
    dry_run: bool,
    relay: bool,
    relay_mode: Option<String>,
    relay_reason: Option<&'static str>,
    bootstrap_suggested: bool,
    source_head: Option<String>,
    #[serde(serialize_with = "in_turn")]
    refs: &'a Entries,
    counts: CountsOut,
    pack: Pack,
    #[serde(skip_serializing_if = "Option::is_none")]
    stats: Option<Stats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    measurement: Option<Measured>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<Probe<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure<'a>>,
}

#[derive(Serialize)]
struct Ref {
    source_ref: Option<String>,
    target_ref: String,
    old_oid: Option<String>,
    new_oid: Option<String>,
    action: &'static str,
    status: &'static str,
    reason: Option<String>,
}

#[derive(Serialize)]
struct CountsOut {
    created: u64,
    updated: u64,
    forced: u64,
    deleted: u64,
    up_to_date: u64,
    rejected: u64,
    blocked: u64,
    warned: u64,
}

#[derive(Serialize)]
struct Pack {
    bytes: u64,
    objects: u64,
    batches: u64,
}

#[derive(Serialize)]
struct Stats {
    source: SourceOut,
    target: TargetOut,
}

#[derive(Serialize)]
struct SourceOut {
    requests: u64,
    bytes_sent: u64,
    bytes_received: u64,
    retries: u64,
    wants: u64,
    haves: u64,
}

#[derive(Serialize)]
struct TargetOut {
    requests: u64,
    bytes_sent: u64,
    bytes_received: u64,
    retries: u64,
    commands: u64,
}

#[derive(Serialize)]
struct Measured {
    elapsed_millis: u64,
    peak_rss_bytes: Option<u64>,
    peak_alloc_bytes: Option<u64>,
    total_alloc_bytes: Option<u64>,
    user_cpu_millis: Option<u64>,
    system_cpu_millis: Option<u64>,
}

#[derive(Serialize)]
struct Probe<'a> {
    source: Side<'a>,
    target: Option<Side<'a>>,
}

#[derive(Serialize)]
struct Side<'a> {
    reachable: bool,
    error: Option<&'a str>,
    protocol: Option<&'static str>,
    object_format: Option<&'a str>,
    agent: Option<&'a str>,
    head: Option<String>,
    capabilities: &'a BTreeMap<&'static str, bool>,
    max_input_size: Option<u64>,
    refs: BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct Failure<'a> {
    kind: &'static str,
    side: Option<String>,
    message: &'a str,
    hint: Option<&'a str>,
}

impl<'a> Document<'a> {
    fn new(run: &'a Run, with_stats: bool, measurement: Option<&Measurement>) -> Self {
        Document {
            command: run.operation.as_str(),
            source: &run.source,
            target: run.target.as_deref(),
            protocol: run.protocol,
            dry_run: run.dry_run,
            relay: run.is_relay(),
            relay_mode: run.route.map(|route| route.mode.to_string()),
            relay_reason: run.route.map(|route| route.reason),
            bootstrap_suggested: run.bootstrap_suggested,
            source_head: run.source_head.as_ref().map(|head| ref_name(head).into_owned()),
            refs: &run.refs,
            counts: run.counts().into(),
            pack: Pack {
                bytes: run.pack.bytes,
                objects: run.pack.objects,
                batches: run.pack.packs,
            },
            stats: with_stats.then(|| Stats {
                source: run.source_stats.into(),
                target: run.target_stats.into(),
            }),
            measurement: measurement.map(Measured::new),
            probe: run.probe.as_ref().map(Probe::new),
            error: run.error.as_ref().map(Failure::new),
        }
    }
}

/// One entry after the other: there can be many.
fn in_turn<S: Serializer>(refs: &Entries, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(refs.iter().map(Ref::new))
}

impl Ref {
    fn new(entry: Entry<'_>) -> Self {
        Ref {
            source_ref: entry.source.map(|name| ref_name(name).into_owned()),
            target_ref: ref_name(entry.target).into_owned(),
            old_oid: entry.old.map(|oid| oid.to_string()),
            new_oid: entry.new.map(|oid| oid.to_string()),
            action: entry.action.as_str(),
            status: entry.status.as_str(),
            reason: entry.reason.map(Cow::into_owned),
        }
    }
}

impl From<Counts> for CountsOut {
    fn from(counts: Counts) -> Self {
        CountsOut {
            created: counts.created,
            updated: counts.updated,
            forced: counts.forced,
            deleted: counts.deleted,
            up_to_date: counts.up_to_date,
            rejected: counts.rejected,
            blocked: counts.blocked,
            warned: counts.warned,
        }
    }
}

impl From<SourceStats> for SourceOut {
    fn from(stats: SourceStats) -> Self {
        SourceOut {
            requests: stats.requests,
            bytes_sent: stats.bytes_sent,
            bytes_received: stats.bytes_received,
            retries: stats.retries,
            wants: stats.wants,
            haves: stats.haves,
        }
    }
}

impl From<TargetStats> for TargetOut {
    fn from(stats: TargetStats) -> Self {
        TargetOut {
            requests: stats.requests,
            bytes_sent: stats.bytes_sent,
            bytes_received: stats.bytes_received,
            retries: stats.retries,
            commands: stats.commands,
        }
    }
}

impl Measured {
    fn new(measurement: &Measurement) -> Self {
        let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Measured {
            elapsed_millis: millis(measurement.elapsed),
            peak_rss_bytes: measurement.peak_rss_bytes,
            peak_alloc_bytes: measurement.peak_alloc_bytes,
            total_alloc_bytes: measurement.total_alloc_bytes,
            user_cpu_millis: measurement.user_cpu.map(millis),
            system_cpu_millis: measurement.system_cpu.map(millis),
        }
    }
}

impl<'a> Probe<'a> {
    fn new(report: &'a ProbeReport) -> Self {
        Probe {
            source: Side::new(&report.source),
            target: report.target.as_ref().map(Side::new),
        }
    }
}

impl<'a> Side<'a> {
    fn new(side: &'a SideReport) -> Self {
        Side {
            reachable: side.unreachable.is_none(),
            error: side.unreachable.as_deref(),
            protocol: side.protocol,
            object_format: side.object_format.as_deref(),
            agent: side.agent.as_deref(),
            head: side.head.as_ref().map(|head| ref_name(head).into_owned()),
            capabilities: &side.capabilities,
            max_input_size: side.max_input_size,
            refs: side
                .refs
                .iter()
                .map(|(space, count)| (ref_name(space).into_owned(), *count))
                .collect(),
        }
    }
}

impl<'a> Failure<'a> {
    fn new(err: &'a Error) -> Self {
        Failure {
            kind: err.kind().as_str(),
            side: err.side().map(|side| side.to_string()),
            message: err.message(),
            hint: err.hint_text(),
        }
    }
}
