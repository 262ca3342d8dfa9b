//! One `fetch`: wants and haves out, acknowledgments and a pack back.

use std::collections::HashSet;
use std::io::{self, BufRead, Read, Write};

use bstr::{BString, ByteSlice};
use gix_hash::{Kind as Format, ObjectId};
use gix_protocol::fetch::response::{Acknowledgement, ShallowUpdate, shallow_update_from_line};
use gix_transport::Protocol;
use gix_transport::client::blocking_io::{ExtendedBufRead, Transport, TransportV2Ext};
use gix_transport::client::{MessageKind, WriteMode};

use super::{AGENT, Source, v2_features};
use crate::error::{Error, Kind, Result, Side};
use crate::progress::Progress;
use crate::transport::sideband::SideBand;
use crate::wire::object_list::ObjectList;
use crate::wire::refs::excerpt;

const DOING: &str = "cannot fetch from it";

/// How many bytes of lines in front of a pack a server may send: those of some ten million refs. Without an end an
/// answer would take all memory.
const MAX_LISTED_BYTES: usize = 1 << 30;

/// So many bytes are read sooner than a connection is made.
const NEAR: u64 = 64 * 1024;

/// What to ask of `upload-pack`; the names are those of `gitprotocol-v2`.
#[derive(Debug, Clone, Default)]
pub struct FetchRequest {
    /// Objects to send, with all they reach.
    pub wants: ObjectList,
    /// Objects that the other side has already, with all they reach.
    pub haves: ObjectList,
    /// Send the pack at once, without waiting for agreement about the haves.
    pub done: bool,
    /// Deltas may build on objects that only the haves promise.
    pub thin_pack: bool,
    /// Deltas may name their base by its distance in the pack.
    pub ofs_delta: bool,
    /// Send words about the progress.
    pub progress: bool,
    /// Send only this many commits of history from each want.
    pub deepen: Option<u32>,
    /// Leave objects out, for instance `tree:0`. Ignored unless the source [can](Source::can_filter).
    pub filter: Option<&'static str>,
}

/// The beginning of an answer; the pack, if there is one, is still to be read.
#[derive(Default)]
pub struct FetchResponse<'a> {
    /// The haves that the source knows, as far as it said so.
    pub acknowledged: HashSet<ObjectId>,
    /// Commits that the source sends without their parents.
    pub shallow: Vec<ObjectId>,
    /// The pack.
    pub pack: Option<PackStream<'a>>,
    /// The bytes of the lines so far.
    listed: usize,
}

/// Bytes of a pack as they arrive, freed from their side-band.
pub struct PackStream<'a> {
    reader: SideBand<'a>,
    unfinished: &'a mut bool,
    /// The service ends with the pack, so the next request needs another.
    is_last: bool,
}

impl Source {
    /// Ask for what `request` says. An answer that is not read to its end is abandoned by the next request.
    pub fn fetch<'a>(
        &'a mut self,
        request: &FetchRequest,
        progress: &'a dyn Progress,
    ) -> Result<FetchResponse<'a>> {
        let format = self.format;
        self.begin(request, progress)
            .and_then(|response| response.check_format(format))
            .map_err(|err| err.on(Side::Source))
    }

    fn begin<'a>(
        &'a mut self,
        request: &FetchRequest,
        progress: &'a dyn Progress,
    ) -> Result<FetchResponse<'a>> {
        log::debug!(
            target: "relay::source",
            "fetch: {} wants, {} haves, thin {}, deepen {:?}, filter {:?}",
            request.wants.len(), request.haves.len(), request.thin_pack, request.deepen, request.filter
        );
        if std::mem::replace(&mut self.unfinished, true) {
            self.link.abandon_response()?;
        }
        let filter = request.filter.filter(|_| self.can_filter());
        let is_persistent = self.link.connection_persists_across_multiple_requests();
        if self.protocol == Protocol::V2 {
            let features = v2_features(&self.capabilities);
            let reader = self
                .link
                .invoke(
                    "fetch",
                    features.into_iter(),
                    Some(v2_arguments(request, filter)),
                    false,
                )
                .map_err(|err| Error::from_transport(err, DOING))?;
            read_v2(reader, &mut self.unfinished, progress)
        } else {
            let features = self.v0_features(request, filter.is_some())?;
            let end = if request.done {
                MessageKind::Text(b"done")
            } else {
                MessageKind::Flush
            };
            let mut writer = self
                .link
                .request(WriteMode::OneLfTerminatedLinePerWriteCall, end, false)
                .map_err(|err| Error::from_transport(err, DOING))?;
            let sent = (|| {
                write_v0_wants(&mut writer, request, &features, filter)?;
                writer.write_message(MessageKind::Flush)?;
                request
                    .haves
                    .iter()
                    .try_for_each(|have| writer.write_all(format!("have {have}").as_bytes()))?;
                writer.into_read()
            })();
            let reader = sent.map_err(|err| Error::from_io(err, DOING))?;
            let mut response = read_v0(reader, request.deepen.is_some(), &mut self.unfinished, progress)?;
            if let Some(pack) = &mut response.pack {
                pack.is_last = is_persistent;
            }
            Ok(response)
        }
    }

    fn v0_features(&self, request: &FetchRequest, filtered: bool) -> Result<String> {
        if !self.capabilities.contains("side-band-64k") {
            return Err(Error::new(
                Kind::Unsupported,
                "does not offer side-band-64k, which every git since 2006 does",
            ));
        }
        let mut features = vec!["side-band-64k".to_owned(), format!("agent={AGENT}")];
        let mut offer = |name: &str, wanted: bool| {
            if wanted && self.capabilities.contains(name) {
                features.push(name.to_owned());
            }
        };
        offer("thin-pack", request.thin_pack);
        offer("ofs-delta", request.ofs_delta);
        offer("no-progress", !request.progress);
        offer("filter", filtered);
        if let Some(format) = self
            .capabilities
            .capability("object-format")
            .and_then(|c| c.value())
        {
            features.push(format!("object-format={}", format.to_str_lossy()));
        }
        Ok(features.join(" "))
    }
}

fn v2_arguments(request: &FetchRequest, filter: Option<&str>) -> impl Iterator<Item = BString> {
    let flags = [
        ("thin-pack", request.thin_pack),
        ("ofs-delta", request.ofs_delta),
        ("no-progress", !request.progress),
    ];
    let flags = flags
        .into_iter()
        .filter(|(_, set)| *set)
        .map(|(name, _)| name.into());
    let filter = filter.map(|spec| format!("filter {spec}").into());
    let deepen = request.deepen.map(|depth| format!("deepen {depth}").into());
    let wants = request.wants.iter().map(|oid| format!("want {oid}").into());
    let haves = request.haves.iter().map(|oid| format!("have {oid}").into());
    let done = request.done.then(|| "done".into());
    flags
        .chain(filter)
        .chain(deepen)
        .chain(wants)
        .chain(haves)
        .chain(done)
}

fn write_v0_wants(
    writer: &mut dyn Write,
    request: &FetchRequest,
    features: &str,
    filter: Option<&str>,
) -> io::Result<()> {
    for (index, want) in request.wants.iter().enumerate() {
        let line = if index == 0 {
            format!("want {want} {features}")
        } else {
            format!("want {want}")
        };
        writer.write_all(line.as_bytes())?;
    }
    if let Some(depth) = request.deepen {
        writer.write_all(format!("deepen {depth}").as_bytes())?;
    }
    if let Some(spec) = filter {
        writer.write_all(format!("filter {spec}").as_bytes())?;
    }
    Ok(())
}

type Reader<'a> = Box<dyn ExtendedBufRead<'a> + Unpin + 'a>;

/// `acknowledgments`, `shallow-info` and `packfile`, each a section of its own.
fn read_v2<'a>(
    mut reader: Reader<'a>,
    unfinished: &'a mut bool,
    progress: &'a dyn Progress,
) -> Result<FetchResponse<'a>> {
    let mut response = FetchResponse::default();
    loop {
        reader.reset(Protocol::V2);
        let Some(header) = read_line(&mut reader)? else {
            break;
        };
        response.count(header.len())?;
        match header.as_slice() {
            b"packfile" => {
                response.pack = Some(PackStream::new(reader, unfinished, progress));
                return Ok(response);
            }
            b"acknowledgments" | b"shallow-info" => {
                while let Some(line) = read_line(&mut reader)? {
                    response.add(&line)?;
                }
            }
            // `wanted-refs` and `packfile-uris` are never asked for.
            other => return Err(malformed(other)),
        }
        if reader.stopped_at() != Some(MessageKind::Delimiter) {
            break;
        }
    }
    *unfinished = false;
    Ok(response)
}

/// Shallow lines up to a flush if `deepen` was asked for, an ACK or a NAK, then the pack. `gitprotocol-pack` knows of one
/// ACK, but `upload-pack` repeats it for further haves that the first one has as parents (`get_common_commits()`).
fn read_v0<'a>(
    mut reader: Reader<'a>,
    deepened: bool,
    unfinished: &'a mut bool,
    progress: &'a dyn Progress,
) -> Result<FetchResponse<'a>> {
    let mut response = FetchResponse::default();
    if deepened {
        while let Some(line) = read_line(&mut reader)? {
            response.add(&line)?;
        }
        reader.reset(Protocol::V1);
    }
    loop {
        let line = read_line(&mut reader)?.ok_or_else(|| malformed(b""))?;
        response.add(&line)?;
        match reader.peek_data_line() {
            // No packet of a pack begins so: they have the number of a side-band there.
            Some(Ok(Ok(next))) if next.starts_with(b"ACK ") => {}
            Some(Err(err)) => return Err(Error::from_io(err, DOING)),
            Some(Ok(Err(err))) => return Err(Error::from_transport(err, DOING)),
            _ => break,
        }
    }
    response.pack = Some(PackStream::new(reader, unfinished, progress));
    Ok(response)
}

impl FetchResponse<'_> {
    /// The ids end up in files of repositories of the source's format.
    fn check_format(self, format: Format) -> Result<Self> {
        let mut all = self.shallow.iter().chain(&self.acknowledged);
        match all.find(|oid| oid.kind() != format) {
            None => Ok(self),
            Some(oid) => Err(malformed(oid.to_string().as_bytes())),
        }
    }

    /// So much has been said before the pack.
    fn count(&mut self, bytes: usize) -> Result<()> {
        self.listed += bytes;
        match self.listed > MAX_LISTED_BYTES {
            true => Err(Error::new(
                Kind::Limit,
                format!("sent more than {MAX_LISTED_BYTES} bytes in front of the pack"),
            )),
            false => Ok(()),
        }
    }

    fn add(&mut self, line: &[u8]) -> Result<()> {
        self.count(line.len())?;
        let text = line.to_str().map_err(|_| malformed(line))?;
        if let Ok(ShallowUpdate::Shallow(oid)) = shallow_update_from_line(text) {
            self.shallow.push(oid);
            return Ok(());
        }
        match Acknowledgement::from_line(text).map_err(|_| malformed(line))? {
            Acknowledgement::Common(oid) => {
                self.acknowledged.insert(oid);
            }
            Acknowledgement::Ready | Acknowledgement::Nak => {}
        }
        Ok(())
    }
}

/// One data line without its newline; `None` at a delimiter or flush.
fn read_line(reader: &mut Reader<'_>) -> Result<Option<Vec<u8>>> {
    let Some(line) = reader.readline() else {
        return Ok(None);
    };
    let line = line
        .map_err(|err| Error::from_io(err, DOING))?
        .map_err(|err| Error::from_transport(err, DOING))?;
    Ok(line
        .as_bstr()
        .map(|line| line.trim_end_with(|c| c == '\n').to_vec()))
}

fn malformed(line: &[u8]) -> Error {
    Error::new(
        Kind::Peer,
        format!(
            "sent an unexpected line in answer to a fetch: '{}'",
            excerpt(line)
        ),
    )
}

impl<'a> PackStream<'a> {
    fn new(reader: Reader<'a>, unfinished: &'a mut bool, progress: &'a dyn Progress) -> Self {
        PackStream {
            reader: SideBand::new(reader, |text| progress.source_text(text)),
            unfinished,
            is_last: false,
        }
    }

    /// Read to the end if that is near, so that the connection can take the next request. The rest of a long pack stays
    /// unread, and takes the connection with it.
    pub fn finish(mut self) {
        // What goes wrong now is no loss: nobody wants these bytes.
        let _ = io::copy(&mut self.by_ref().take(NEAR), &mut io::sink());
    }
}

impl Read for PackStream<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buf)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for PackStream<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let buf = self.reader.fill_buf()?;
        if buf.is_empty() && !self.is_last {
            *self.unfinished = false;
        }
        Ok(buf)
    }

    fn consume(&mut self, amount: usize) {
        self.reader.consume(amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_in_front_of_the_pack_have_an_end_and_ids_of_one_format() {
        let oid = "1".repeat(40);
        let mut response = FetchResponse::default();
        response.add(format!("shallow {oid}").as_bytes()).unwrap();
        response.add(format!("ACK {oid} common").as_bytes()).unwrap();
        assert!(response.check_format(Format::Sha256).is_err());
        let mut response = FetchResponse {
            listed: MAX_LISTED_BYTES - 3,
            ..FetchResponse::default()
        };
        response.add(b"NAK").unwrap();
        assert_eq!(response.add(b"NAK").unwrap_err().kind(), Kind::Limit);
    }
}
