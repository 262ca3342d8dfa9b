//! Bootstrap and incremental: one pack, asked of the source with the target's tips as haves, passed on untouched.

use std::io::{self, BufRead, Read, Write};

use super::Job;
use super::spool::Stored;
use crate::error::{Error, Kind, Result, Side};
use crate::progress::Progress;
use crate::pump::{self, PackCheck, Summary};
use crate::receive_pack::{Body, Target};
use crate::upload_pack::{FetchRequest, Source};
use crate::wire::pack::empty_pack;
use crate::wire::report::Report;

/// A pack up to this size is held and sent with its length; git's `http.postBuffer` has the same default.
pub(super) const HELD_PACK: u64 = 1024 * 1024;

/// The target's verdict, and the pack that moved if one was needed.
pub type Relayed = (Report, Option<Summary>);

/// Carry `job` out. A thin pack that the target could not take is asked for once more in self-contained form.
pub fn run(source: &mut Source, target: &mut Target, job: &Job, progress: &dyn Progress) -> Result<Relayed> {
    let thin = may_be_thin(target, job);
    let (report, pack) = attempt(source, target, job, thin, progress)?;
    match &report.unpack_error {
        Some(why) if thin && pack.is_some() => {
            log::warn!(target: "relay::target", "a thin pack was refused ({why}), sending a self-contained one");
            attempt(source, target, job, false, progress)
        }
        _ => Ok((report, pack)),
    }
}

/// Whether the pack may build on objects that the haves promise.
pub fn may_be_thin(target: &Target, job: &Job) -> bool {
    !job.haves.is_empty() && !target.offers("no-thin") && target.advertisement().shallow.is_empty()
}

/// What to ask the source for.
pub fn fetch_request(target: &Target, job: &Job, thin: bool) -> FetchRequest {
    FetchRequest {
        wants: job.wants.clone(),
        haves: job.haves.clone(),
        done: true,
        thin_pack: thin,
        ofs_delta: target.offers("ofs-delta"),
        progress: job.progress,
        ..FetchRequest::default()
    }
}

fn attempt(
    source: &mut Source,
    target: &mut Target,
    job: &Job,
    thin: bool,
    progress: &dyn Progress,
) -> Result<Relayed> {
    if job.wants.is_empty() {
        let empty = empty_pack(target.format());
        let only_deletes = job.push.commands.iter().all(|command| command.new.is_null());
        let body = if only_deletes {
            Body::Nothing
        } else {
            Body::Whole(&empty)
        };
        return Ok((target.push(&job.push, body, progress)?, None));
    }
    let format = source.format();
    let request = fetch_request(target, job, thin);
    let response = source.fetch(&request, progress)?;
    if !response.shallow.is_empty() {
        return Err(shallow_source());
    }
    let mut pack = response
        .pack
        .ok_or_else(|| Error::new(Kind::Peer, "sent no pack although asked for one").on(Side::Source))?;
    let stored = is_stored(target, job);
    let check = PackCheck::new(format, job.terms.relayed_limit(stored));
    let sent = send(&mut pack, check, target, job, progress);
    sent.map_err(|err| job.terms.explain_relayed(err, stored))
}

/// Whether a pack has to be complete here before it may go: the target wants its length beforehand, or takes only so
/// much.
fn is_stored(target: &Target, job: &Job) -> bool {
    target.announces_lengths() || job.terms.target_max_pack_bytes.is_some()
}

/// The error for a source that lacks a part of its history.
pub fn shallow_source() -> Error {
    Error::new(
        Kind::Unsupported,
        "the repository is shallow, a relay would pass on a history with holes",
    )
    .on(Side::Source)
    .hint("complete it first: git fetch --unshallow")
}

/// Pass the pack on. The target's request is opened only when the source has begun to send, because counting objects
/// can take minutes and servers drop idle uploads.
///
/// # Errors
/// Those of [`pump::relay`] and [`Target::push`]; a target that wants the length beforehand can also fail for lack of
/// room here.
pub(super) fn send(
    pack: &mut dyn BufRead,
    check: PackCheck,
    target: &mut Target,
    job: &Job,
    progress: &dyn Progress,
) -> Result<Relayed> {
    let mut head = Vec::new();
    let reading = |err: io::Error| Error::from_io(err, "reading the pack").on(Side::Source);
    pack.take(HELD_PACK).read_to_end(&mut head).map_err(reading)?;
    let whole = pack.fill_buf().map_err(reading)?.is_empty();
    let mut on_bytes = |bytes, objects| progress.pack_bytes(bytes, objects);
    if whole {
        let mut held = Vec::with_capacity(head.len());
        let summary = pump::relay(&mut head.as_slice(), &mut [&mut held], check, &mut on_bytes)?;
        drop(head);
        let report = target.push(&job.push, Body::Whole(&held), progress)?;
        return Ok((report, Some(summary)));
    }
    let mut stream = io::Cursor::new(head).chain(pack);
    if is_stored(target, job) {
        let mut stored = Stored::new(&mut stream, check, &mut on_bytes)?;
        let report = target.push(&job.push, stored.body()?, progress)?;
        return Ok((report, Some(stored.summary)));
    }
    let mut check = Some(check);
    let mut summary = None;
    let mut pump = |writer: &mut dyn Write| {
        // A streamed body is written once: there is no second call.
        let check = check
            .take()
            .ok_or_else(|| Error::new(Kind::Internal, "a streamed pack was asked for twice"))?;
        summary = Some(pump::relay(&mut stream, &mut [writer], check, &mut on_bytes)?);
        Ok(())
    };
    let report = target.push(&job.push, Body::Stream(&mut pump), progress)?;
    Ok((report, summary))
}
