//! One push: commands, push options and a pack out, the report and the hooks' words back.

use std::io::{self, BufRead, Read, Write};

use bstr::{BStr, BString, ByteSlice};
use gix_hash::ObjectId;
use gix_transport::Protocol;
use gix_transport::client::blocking_io::{ExtendedBufRead, Transport};
use gix_transport::client::{MessageKind, WriteMode};

use super::Target;
use crate::error::{Error, Kind, Result, Side};
use crate::progress::Progress;
use crate::pump;
use crate::transport::sideband::SideBand;
use crate::upload_pack::AGENT;
use crate::wire::changes::Commands;
use crate::wire::report::Report;

const DOING: &str = "cannot push to it";

/// A report has a line or two for each command; a target that sends more than this is broken or hostile.
const REPORT_LIMIT: u64 = 64 * 1024 * 1024;

/// What to push.
#[derive(Debug, Clone, Default)]
pub struct PushRequest {
    /// The updates, in the order in which the target shall carry them out.
    pub commands: Commands,
    /// All or nothing.
    pub atomic: bool,
    /// `--push-option` values.
    pub push_options: Vec<BString>,
    /// Ask the target to keep its progress to itself.
    pub quiet: bool,
}

/// What follows the commands.
pub enum Body<'a> {
    /// Nothing: all commands are deletions.
    Nothing,
    /// A pack of known bytes, sent with a length and replayable.
    Whole(&'a [u8]),
    /// A pack of any size, sent as it comes.
    Stream(&'a mut dyn Read),
    /// A pack of so many bytes, sent with its length, but only once.
    Sized(u64, &'a mut dyn Read),
}

impl Target {
    /// Push. Rejected refs are part of the report; an error means that the outcome as a whole is not known or nothing.
    pub fn push(&mut self, request: &PushRequest, body: Body<'_>, progress: &dyn Progress) -> Result<Report> {
        let result = self
            .exchange(request, body, progress)
            .map_err(|err| err.on(Side::Target));
        match &result {
            // `receive-pack` takes one push and ends.
            Ok(_) => self.link.end_conversation(),
            // Whatever is left of the exchange is of no use any more.
            Err(_) => self.link.abandon_response().unwrap_or_default(),
        }
        result
    }

    fn exchange(&mut self, request: &PushRequest, body: Body<'_>, progress: &dyn Progress) -> Result<Report> {
        self.owes_an_answer = false;
        let header = self.header(request)?;
        if matches!(body, Body::Stream(_) | Body::Sized(..)) {
            self.settle_authentication()?;
        }
        if let Body::Sized(pack, _) = &body {
            self.link.announce_length(pack.saturating_add(header.length()));
        }
        let cutter = self.link.cutter();
        let uploader = self.link.uploader();
        let banded = self.offers("side-band-64k");
        let commands = &request.commands;
        let request = self
            .link
            .request(WriteMode::Binary, MessageKind::Flush, false)
            .map_err(|err| Error::from_transport(err, DOING))?;
        let (mut writer, reader) = request.into_parts();
        let sent = match (uploader, body) {
            // An upload ends with the beginning of the answer, and it may take the target a while to have one.
            (Some(uploader), Body::Stream(pack)) => {
                let pack = pack.chain(AtEnd(|| progress.pack_sent()));
                uploader.upload(&mut header.read().chain(pack))
            }
            (Some(uploader), Body::Whole(pack)) => {
                send(&mut *writer, &header, Body::Nothing).and_then(|()| {
                    progress.pack_sent();
                    uploader.upload_whole(pack)
                })
            }
            (Some(uploader), Body::Sized(_, pack)) => {
                let sent = uploader.upload(&mut header.read().chain(pack));
                sent.inspect(|()| progress.pack_sent())
            }
            (_, body) => send(&mut *writer, &header, body).inspect(|()| progress.pack_sent()),
        };
        if sent.is_err() {
            cutter.cut();
        }
        drop(writer);
        let answer = read_report((reader, banded), commands, progress);
        self.owes_an_answer = sent.is_ok() && answer.as_ref().err().is_some_and(may_be_done);
        match (sent, answer) {
            (Ok(()), report) => report,
            // The source's fault is the cause; the target only saw the request break off.
            (Err(err), _) if err.side() == Some(Side::Source) => Err(err),
            // A target that stops listening often says why.
            (Err(_), Ok(report)) if report.unpack_error.is_some() => Ok(report),
            (Err(broken), Err(answer)) if broken.kind() == Kind::Network => Err(answer),
            (Err(broken), _) => Err(broken),
        }
    }

    /// A streamed body cannot be sent twice, so a server that wants credentials must say so before: git sends a lone
    /// flush for that, too (`probe_rpc` in `remote-curl.c`).
    fn settle_authentication(&mut self) -> Result<()> {
        if self.link.connection_persists_across_multiple_requests() {
            return Ok(());
        }
        let request = self
            .link
            .request(
                WriteMode::OneLfTerminatedLinePerWriteCall,
                MessageKind::Flush,
                false,
            )
            .map_err(|err| Error::from_transport(err, DOING))?;
        let mut answer = request.into_read().map_err(|err| Error::from_io(err, DOING))?;
        match io::copy(&mut answer, &mut io::sink()) {
            // The answer to nothing is nothing, not even a flush.
            Err(err) if err.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            Err(err) => Err(Error::from_io(err, DOING)),
            Ok(_) => Ok(()),
        }
    }

    fn header<'a>(&self, request: &'a PushRequest) -> Result<Header<'a>> {
        let features = self.features(request)?;
        let header = Header {
            request,
            features,
            format: self.format,
        };
        let fits = header.lines().all(|line| line.length() <= 4 + MAX_DATA);
        if fits { Ok(header) } else { Err(too_long()) }
    }

    fn features(&self, request: &PushRequest) -> Result<String> {
        let mut features = Vec::new();
        let status = ["report-status-v2", "report-status"]
            .into_iter()
            .find(|name| self.offers(name));
        let status = status.ok_or_else(|| unsupported("does not offer report-status"))?;
        features.push(format!(" {status}"));
        let optional = [
            ("side-band-64k", true),
            ("quiet", request.quiet),
            ("atomic", request.atomic),
            ("push-options", !request.push_options.is_empty()),
            ("object-format", true),
            ("agent", true),
        ];
        for (name, _) in optional.into_iter().filter(|(_, wanted)| *wanted) {
            match (name, self.offers(name)) {
                ("object-format", true) => features.push(format!("object-format={}", self.format)),
                ("agent", true) => features.push(format!("agent={AGENT}")),
                (_, true) => features.push(name.to_owned()),
                ("atomic", false) => return Err(unsupported("does not support --atomic push")),
                ("push-options", false) => return Err(unsupported("does not support push options")),
                (_, false) => {}
            }
        }
        Ok(features.join(" "))
    }
}

/// Whether a push may have been carried out although its answer is `err`: not if a server refused the request itself.
fn may_be_done(err: &Error) -> bool {
    match err.kind() {
        Kind::Network | Kind::Timeout | Kind::Peer | Kind::Corrupt | Kind::Internal => true,
        Kind::Limit
        | Kind::Auth
        | Kind::Unsupported
        | Kind::Policy
        | Kind::Moved
        | Kind::Usage
        | Kind::Config => false,
    }
}

fn unsupported(message: &str) -> Error {
    Error::new(Kind::Unsupported, message)
}

/// pkt-lines hold at most so many bytes of data (`gitprotocol-common`).
const MAX_DATA: usize = 65516;

fn too_long() -> Error {
    Error::new(
        Kind::Usage,
        "a ref name or push option is too long for the protocol",
    )
}

fn pkt_line(out: &mut Vec<u8>, line: &[u8]) -> Result<()> {
    if line.len() > MAX_DATA {
        return Err(too_long());
    }
    out.extend_from_slice(format!("{:04x}", line.len() + 4).as_bytes());
    out.extend_from_slice(line);
    Ok(())
}

/// The commands and push options as pkt-lines, of which none is too long. For many refs that is megabytes, which are
/// never in memory as a whole.
struct Header<'a> {
    request: &'a PushRequest,
    features: String,
    format: gix_hash::Kind,
}

impl Header<'_> {
    fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let commands = self.request.commands.iter().enumerate();
        let id = |id: Option<ObjectId>| id.unwrap_or(ObjectId::null(self.format));
        let commands = commands.map(move |(number, change)| {
            Line::Command(Command {
                name: change.name,
                old: id(change.old),
                new: id(change.new),
                features: (number == 0).then_some(self.features.as_str()),
            })
        });
        let options = self.request.push_options.iter().map(Line::Option);
        let end = (!self.request.push_options.is_empty()).then_some(Line::Flush);
        commands.chain([Line::Flush]).chain(options).chain(end)
    }

    fn length(&self) -> u64 {
        self.lines().map(|line| line.length() as u64).sum()
    }

    fn read(&self) -> HeaderReader<impl Iterator<Item = Line<'_>>> {
        HeaderReader {
            lines: self.lines(),
            text: io::Cursor::default(),
        }
    }
}

/// The text of a [`Header`].
struct HeaderReader<I> {
    lines: I,
    /// A part of it.
    text: io::Cursor<Vec<u8>>,
}

impl<'a, I: Iterator<Item = Line<'a>>> Read for HeaderReader<I> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.text.fill_buf()?.is_empty() {
            let mut text = std::mem::take(&mut self.text).into_inner();
            text.clear();
            while text.len() < HEADER_PART
                && let Some(line) = self.lines.next()
            {
                line.write_to(&mut text)?;
            }
            self.text = io::Cursor::new(text);
        }
        self.text.read(buf)
    }
}

/// The end of what is read, at which something is done.
struct AtEnd<F>(F);

impl<F: Fn()> Read for AtEnd<F> {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        (self.0)();
        Ok(0)
    }
}

/// So much of the commands is written at once.
const HEADER_PART: usize = 16 * 1024;

/// A ref update; the null id stands for no value, and the first one has the features behind it.
struct Command<'a> {
    name: &'a BStr,
    old: ObjectId,
    new: ObjectId,
    features: Option<&'a str>,
}

/// One pkt-line of a [`Header`].
enum Line<'a> {
    Command(Command<'a>),
    Option(&'a BString),
    Flush,
}

impl Line<'_> {
    /// With the four digits.
    fn length(&self) -> usize {
        4 + match self {
            Line::Command(line) => {
                let ids = line.old.kind().len_in_hex() + line.new.kind().len_in_hex() + 2;
                ids + line.name.len() + line.features.map_or(0, |features| 1 + features.len())
            }
            Line::Option(option) => option.len(),
            Line::Flush => 0,
        }
    }

    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Line::Flush => out.write_all(b"0000"),
            Line::Option(option) => {
                write!(out, "{:04x}", self.length())?;
                out.write_all(option)
            }
            Line::Command(line) => {
                write!(out, "{:04x}{} {} ", self.length(), line.old, line.new)?;
                out.write_all(line.name)?;
                line.features
                    .map_or(Ok(()), |features| write!(out, "\0{features}"))
            }
        }
    }
}

fn send(writer: &mut dyn Write, header: &Header<'_>, body: Body<'_>) -> Result<()> {
    let broken = |err| Error::from_io(err, "the connection broke while sending");
    io::copy(&mut header.read(), writer).map_err(broken)?;
    match body {
        Body::Nothing => {}
        Body::Whole(pack) => writer.write_all(pack).map_err(broken)?,
        Body::Stream(pack) => pump::pass_on(pack, &mut [writer])?,
        Body::Sized(_, pack) => io::copy(pack, writer).map(drop).map_err(broken)?,
    }
    writer.flush().map_err(broken)
}

/// Read what `receive-pack` answers, with or without a side-band around the report.
fn read_report<'a>(
    (mut reader, banded): (Box<dyn ExtendedBufRead<'a> + Unpin + 'a>, bool),
    commands: &Commands,
    progress: &'a dyn Progress,
) -> Result<Report> {
    if banded {
        let mut band = SideBand::new(reader, |text| progress.target_text(text)).take(REPORT_LIMIT);
        let report = Report::read(&mut band, commands)?;
        // Hooks go on talking behind the report.
        io::copy(&mut band, &mut io::sink()).map_err(|err| Error::from_io(err, "no answer to the push"))?;
        return Ok(report);
    }
    let mut body = Vec::new();
    reader.reset(Protocol::V1);
    while let Some(line) = reader.readline() {
        let line = line
            .map_err(|err| Error::from_io(err, "no answer to the push"))?
            .map_err(|err| Error::from_transport(err, "no answer to the push"))?;
        let Some(line) = line.as_bstr() else { break };
        if body.len() as u64 > REPORT_LIMIT {
            return Err(Error::new(Kind::Peer, "sends a report without an end"));
        }
        pkt_line(&mut body, line.trim_end_with(|c| c == '\n').as_bytes())?;
    }
    Report::parse(&body, commands)
}
