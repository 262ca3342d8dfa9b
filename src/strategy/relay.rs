//! Bootstrap and incremental: one pack, asked of the source with the target's tips as haves, passed on untouched.

use std::io::{self, BufRead, Read};

use super::Job;
use super::spool::Stored;
use crate::error::{Error, Kind, Result, Side};
use crate::progress::Progress;
use crate::pump::{self, PackCheck, Passing, Summary};
use crate::receive_pack::{Body, Target};
use crate::transport::Arrived;
use crate::upload_pack::{FetchRequest, PackStream, Source};
use crate::wire::pack::{HEADER_BYTES, empty_pack, object_count};
use crate::wire::report::Report;

/// A pack up to this size is held and sent with its length; git's `http.postBuffer` has the same default.
pub(super) const HELD_PACK: u64 = 1024 * 1024;

/// Whether a pack of so many objects has more than [`HELD_PACK`] bytes, most likely: an object hardly ever takes less than
/// 40 in the mean. At worst a small pack is sent like a large one.
pub(super) fn looks_large(objects: u32) -> bool {
    u64::from(objects) * 40 > HELD_PACK
}

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
        let only_deletes = job.push.commands.iter().all(|command| command.new.is_none());
        let body = if only_deletes {
            Body::Nothing
        } else {
            Body::Whole(&empty)
        };
        return Ok((target.push(&job.push, body, progress)?, None));
    }
    let format = source.format();
    let arrived = source.link().arrived();
    let mut pack = fetch(source, &fetch_request(target, job, thin), progress)?;
    let stored = is_stored(target, job);
    let check = PackCheck::new(format, job.terms.relayed_limit(stored));
    let sent = match hold(&mut pack)? {
        Held::Whole(bytes) => {
            drop(pack);
            // The source has nothing more to say, so it is free for a question while the target is at work.
            let push = || send_whole(&bytes, check, target, job, progress);
            job.lfs.beside(source, push)
        }
        Held::Begun(head) => send_stream((&mut head.chain(pack), &arrived), check, target, job, progress),
    };
    sent.map_err(|err| job.terms.explain_relayed(err, stored))
}

/// Whether a pack has to be complete here before it may go: the target wants its length beforehand, or takes only so
/// much.
fn is_stored(target: &Target, job: &Job) -> bool {
    target.announces_lengths() || job.terms.target_max_pack_bytes.is_some()
}

/// Ask for a pack that is sure to come, of a history without holes.
///
/// # Errors
/// The source's, and those of a source that is shallow or sends no pack.
pub fn fetch<'a>(
    source: &'a mut Source,
    request: &FetchRequest,
    progress: &'a dyn Progress,
) -> Result<PackStream<'a>> {
    let response = source.fetch(request, progress)?;
    if !response.shallow.is_empty() {
        return Err(shallow_source());
    }
    response
        .pack
        .ok_or_else(|| Error::new(Kind::Peer, "sent no pack although asked for one").on(Side::Source))
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
    match hold(pack)? {
        Held::Whole(bytes) => send_whole(&bytes, check, target, job, progress),
        Held::Begun(head) => {
            let pack = &mut head.chain(pack);
            send_stream((pack, &Arrived::default()), check, target, job, progress)
        }
    }
}

/// A pack, or as much of it as is kept before it is sent.
enum Held {
    Whole(Vec<u8>),
    Begun(Head),
}

/// The beginning of a pack, which gives its memory back once it has been read.
struct Head(io::Cursor<Vec<u8>>);

impl Read for Head {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buf)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Head {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.0.fill_buf()?.is_empty() {
            self.0 = io::Cursor::default();
        }
        self.0.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.0.consume(amount);
    }
}

/// Read up to [`HELD_PACK`] bytes, or no more than the header, where that promises a pack that is larger.
fn hold(pack: &mut dyn BufRead) -> Result<Held> {
    let mut head = Vec::new();
    let reading = |err: io::Error| Error::from_io(err, "reading the pack").on(Side::Source);
    let header = pack.take(HEADER_BYTES as u64).read_to_end(&mut head);
    header.map_err(reading)?;
    if head.first_chunk().map(object_count).is_some_and(looks_large) {
        return Ok(Held::Begun(Head(io::Cursor::new(head))));
    }
    // With some room to see the end in.
    head.reserve_exact(HELD_PACK as usize);
    let rest = HELD_PACK - head.len() as u64;
    pack.take(rest).read_to_end(&mut head).map_err(reading)?;
    match pack.fill_buf().map_err(reading)?.is_empty() {
        true => Ok(Held::Whole(head)),
        false => Ok(Held::Begun(Head(io::Cursor::new(head)))),
    }
}

fn send_whole(
    pack: &[u8],
    check: PackCheck,
    target: &mut Target,
    job: &Job,
    progress: &dyn Progress,
) -> Result<Relayed> {
    let mut on_bytes = |bytes, objects| progress.pack_bytes(bytes, objects);
    let summary = pump::relay(&mut &*pack, &mut [], check, &mut on_bytes)?;
    let report = target.push(&job.push, Body::Whole(pack), progress)?;
    Ok((report, Some(summary)))
}

fn send_stream(
    (pack, arrived): (&mut dyn BufRead, &Arrived),
    check: PackCheck,
    target: &mut Target,
    job: &Job,
    progress: &dyn Progress,
) -> Result<Relayed> {
    let mut on_bytes = |bytes, objects| progress.pack_bytes(bytes, objects);
    if is_stored(target, job) {
        let mut stored = Stored::new(pack, check, &mut on_bytes)?;
        let report = target.push(&job.push, stored.body()?, progress)?;
        return Ok((report, Some(stored.summary)));
    }
    let has_more = || arrived.bytes() > 0;
    let mut pack = Passing::new(pack, check, &mut on_bytes).while_more(&has_more);
    // What is no pack shows before the target is asked for anything, and so does how large this one is at least.
    pack.fill_buf()
        .map_err(|err| Error::from_io(err, "reading the pack"))?;
    let report = target.push(&job.push, Body::Stream(&mut pack), progress)?;
    Ok((report, pack.summary()))
}
