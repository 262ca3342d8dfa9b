//! Looking at repositories: what each side is and offers.

use std::collections::BTreeMap;
use std::time::Instant;

use bstr::{BStr, BString, ByteSlice};

use super::ends;
use super::request::{Options, Protocol, TokenNames};
use super::run::{Operation, Run};
use crate::error::{Error, Result, Side};
use crate::receive_pack::Target;
use crate::session;
use crate::transport::{Link, Traffic};
use crate::upload_pack::Source;
use crate::url::Family;
use crate::wire::refs::Advertisement;

/// Look at a source, and at a target if there is one.
#[derive(Debug, Clone)]
pub struct ProbeRequest {
    /// Where one would fetch from.
    pub source: String,
    /// Where one would push to.
    pub target: Option<String>,
    /// Which protocol to speak with the source.
    pub protocol: Protocol,
    /// Which addresses of both hosts may be used; `None` for what `relay.family` says.
    pub family: Option<Family>,
    /// Where tokens are.
    pub tokens: TokenNames,
}

/// What was found on both sides.
#[derive(Debug)]
pub struct ProbeReport {
    /// The side that one would fetch from.
    pub source: SideReport,
    /// The side that one would push to.
    pub target: Option<SideReport>,
}

/// What one side is and offers.
#[derive(Debug, Default)]
pub struct SideReport {
    /// Why it could not be looked at, in words.
    pub unreachable: Option<String>,
    /// `v0`, `v1` or `v2`; pushes know only v0.
    pub protocol: Option<&'static str>,
    /// The hash of its object ids: `sha1` or `sha256`.
    pub object_format: Option<String>,
    /// What it calls itself.
    pub agent: Option<String>,
    /// The ref that HEAD names.
    pub head: Option<BString>,
    /// The capabilities that matter to a relay, and whether it has them.
    pub capabilities: BTreeMap<&'static str, bool>,
    /// The size that a push may have, in bytes, if it is announced.
    pub max_input_size: Option<u64>,
    /// How many refs there are in each namespace, such as `refs/heads/`.
    pub refs: BTreeMap<BString, u64>,
}

/// Connect to each side and look; nothing is fetched or pushed. A side that cannot be reached is part of the report and
/// makes the run fail.
pub fn probe(request: &ProbeRequest) -> Run {
    let started = Instant::now();
    let mut run = Run::new(Operation::Probe, &request.source, request.target.as_deref());
    run.dry_run = true;
    if let Err(err) = attempt(request, &mut run) {
        run.error = Some(err);
    }
    run.elapsed = started.elapsed();
    run
}

fn attempt(request: &ProbeRequest, run: &mut Run) -> Result<()> {
    let options = Options {
        protocol: request.protocol,
        family: request.family,
        tokens: request.tokens.clone(),
        ..Options::default()
    };
    let config = super::sync::configuration(&options)?;
    let version = session::protocol_version(&config)?;
    let find = |text: &str, side| ends::find(text, side, &config);
    let (source, target) = std::thread::scope(|scope| {
        let source = scope.spawn(|| session::connect_source(&find(&request.source, Side::Source)?, version));
        let target = request
            .target
            .as_ref()
            .map(|target| session::connect_target(&find(target, Side::Target)?));
        (source.join().unwrap_or_else(|_| Err(ends::crashed())), target)
    });
    if let Ok(source) = &source {
        super::sync::note_source(run, source);
    }
    if let Some(Ok(target)) = &target {
        note_target(run, &target.link().traffic());
    }
    let links = [
        source.as_ref().ok().map(Source::link),
        target
            .as_ref()
            .and_then(|target| target.as_ref().ok())
            .map(Target::link),
    ];
    for notice in links.into_iter().flatten().flat_map(Link::notices) {
        if !run.hints.contains(notice) {
            run.hints.push(notice.clone());
        }
    }
    let report = ProbeReport {
        source: describe(source.as_ref(), of_source),
        target: target.as_ref().map(|target| describe(target.as_ref(), of_target)),
    };
    run.probe = Some(report);
    source?;
    target.transpose()?;
    Ok(())
}

fn note_target(run: &mut Run, traffic: &Traffic) {
    run.target_stats.requests = traffic.requests;
    run.target_stats.bytes_sent = traffic.bytes_sent;
    run.target_stats.bytes_received = traffic.bytes_received;
}

fn describe<T>(side: Result<&T, &Error>, describe: impl Fn(&T) -> SideReport) -> SideReport {
    match side {
        Ok(side) => describe(side),
        Err(err) => SideReport {
            unreachable: Some(err.message().to_owned()),
            ..SideReport::default()
        },
    }
}

fn of_source(source: &Source) -> SideReport {
    SideReport {
        protocol: Some(source.protocol_name()),
        object_format: Some(source.format().to_string()),
        agent: source.agent(),
        head: source.advertisement().head.clone(),
        capabilities: [("filter", source.can_filter()), ("shallow", source.can_deepen())].into(),
        refs: by_namespace(source.advertisement()),
        ..SideReport::default()
    }
}

fn of_target(target: &Target) -> SideReport {
    const MATTER: [&str; 9] = [
        "atomic",
        "delete-refs",
        "no-thin",
        "ofs-delta",
        "push-cert",
        "push-options",
        "quiet",
        "report-status-v2",
        "side-band-64k",
    ];
    SideReport {
        protocol: Some("v0"),
        object_format: Some(target.format().to_string()),
        agent: target.value_of("agent"),
        capabilities: MATTER.map(|name| (name, target.offers(name))).into(),
        max_input_size: target
            .value_of("max-input-size")
            .and_then(|size| size.parse().ok()),
        refs: by_namespace(target.advertisement()),
        ..SideReport::default()
    }
}

/// Count by the first two parts of the name.
fn by_namespace(advertisement: &Advertisement) -> BTreeMap<BString, u64> {
    let mut counts = BTreeMap::new();
    for entry in advertisement.refs.iter() {
        *counts.entry(namespace(entry.name).to_owned()).or_default() += 1;
    }
    counts
}

fn namespace(name: &BStr) -> &BStr {
    let second = name.find_iter("/").nth(1);
    second
        .and_then(|end| name.get(..=end))
        .map_or(name, |space| space.as_bstr())
}
