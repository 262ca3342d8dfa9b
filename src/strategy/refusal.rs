//! What a target's refusal is about: the length of the upload, its size, or the pack as such.

use std::cell::{Cell, RefCell};

use bstr::ByteSlice;
use bytesize::ByteSize;

use super::Moved;
use super::relay::{HELD_PACK, looks_large};
use crate::error::{Error, Kind, Result, Side};
use crate::progress::Progress;
use crate::wire::report::Report;

/// The same objects may go in smaller packs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMuch {
    /// Why, in one stable word.
    pub(super) reason: &'static str,
    /// The most bytes that the target takes, where it says so.
    pub(super) limit: Option<u64>,
}

impl TooMuch {
    /// What to tell the user when a push goes in batches because of it.
    pub(super) fn remark(self) -> &'static str {
        match self.is_about_size() {
            true => "the pack is larger than the target takes at once, sending it in batches",
            false => "the target ran out of time, sending the pack in batches",
        }
    }

    /// Whether it is the size that was refused, not the time it took.
    pub(super) fn is_about_size(self) -> bool {
        self.reason == SIZE
    }
}

/// Why a push goes in batches: the size of packs, or the time they take.
pub(super) const SIZE: &str = "target-pack-limit";
pub(super) const TIME: &str = "target-time-limit";

/// HTTP 411: the target takes no upload in chunks.
pub(super) fn wants_length(err: &Error) -> bool {
    err.side() == Some(Side::Target) && err.status() == Some(411)
}

/// Keeps what the target says while it takes a pack, for its report gives no reasons, and how much it was sent.
pub(super) struct Listening<'a> {
    to: &'a dyn Progress,
    heard: RefCell<Vec<u8>>,
    passed: Cell<(u64, u32)>,
}

impl<'a> Listening<'a> {
    /// As much as tells why; the rest may be what hooks have to say.
    const KEPT: usize = 16 * 1024;

    pub(super) fn to(progress: &'a dyn Progress) -> Self {
        Listening {
            to: progress,
            heard: RefCell::default(),
            passed: Cell::default(),
        }
    }

    /// How many bytes of the pack have passed.
    pub(super) fn passed(&self) -> u64 {
        self.passed.get().0
    }

    /// How many bytes the pack has at least, most likely: it may have been refused before most of it has passed.
    pub(super) fn likely_size(&self) -> u64 {
        let (bytes, objects) = self.passed.get();
        if looks_large(objects) {
            bytes.max(HELD_PACK)
        } else {
            bytes
        }
    }

    /// The pack that has passed, if one has.
    pub(super) fn moved(&self) -> Option<Moved> {
        let (bytes, objects) = self.passed.get();
        (bytes > 0).then(|| Moved {
            bytes,
            objects: objects.into(),
            packs: 1,
        })
    }

    /// Whether the target refused so much at once, in size or in time. `passed` is how much of the pack it was sent by a
    /// way on which a refusal can get lost: an HTTP server that answers 413 and closes, with bytes still unread, often
    /// shows as a connection that broke off.
    pub(super) fn too_much(&self, result: Result<&Report, &Error>, passed: Option<u64>) -> Option<TooMuch> {
        let too_large = |words: &str| TooMuch {
            reason: SIZE,
            limit: named_size(words),
        };
        let err = match result {
            Ok(report) => {
                report.unpack_error.as_ref()?;
                let heard = self.heard.borrow();
                let heard = heard.to_str_lossy();
                let at = heard.find(EXCEEDS)?;
                return Some(too_large(heard.get(at + EXCEEDS.len()..)?));
            }
            Err(err) if err.side() == Some(Side::Target) => err,
            Err(_) => return None,
        };
        match (err.kind(), err.status()) {
            (Kind::Limit, Some(status)) => {
                let after = format!("(HTTP {status})");
                Some(too_large(
                    err.message().split_once(&after).map_or("", |(_, words)| words),
                ))
            }
            (Kind::Limit, None) => Some(too_large("")),
            (_, Some(408 | 504)) => Some(TooMuch {
                reason: TIME,
                limit: None,
            }),
            (Kind::Network, None) if passed.is_some_and(|bytes| bytes > HELD_PACK) => Some(too_large("")),
            _ => None,
        }
    }

    /// Whether the target refused the pack as such, and not because of what is in it, how much that is, who sends it,
    /// or for lack of room: other bytes with the same objects may do.
    pub(super) fn could_be_the_pack(&self, report: &Report) -> bool {
        const OTHER: [&str; 14] = [
            "maximum allowed size",
            "too large",
            "too big",
            "no space",
            "disk full",
            "quota",
            "memory",
            "timed out",
            "timeout",
            "fsck",
            "denied",
            "read-only",
            "not allowed",
            "shallow",
        ];
        let Some(why) = &report.unpack_error else {
            return false;
        };
        let heard = self.heard.borrow();
        let said = format!("{why}\n{}", heard.to_str_lossy()).to_ascii_lowercase();
        !OTHER.iter().any(|words| said.contains(words))
    }
}

/// Git's words for a pack above `receive.maxInputSize`; the size follows in brackets (since git 2.35, rounded).
const EXCEEDS: &str = "pack exceeds maximum allowed size";

/// The first size in `words`, such as `(4.88 GiB)`, `10MB` or `1048576 bytes`, less what rounding may have added. A bare
/// number is none: it can be a status, a count or a date.
fn named_size(words: &str) -> Option<u64> {
    let start = words.find(|c: char| c.is_ascii_digit())?;
    let rest = words.get(start..)?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = rest.split_at(end);
    let unit: String = rest
        .trim_start()
        .chars()
        .take_while(char::is_ascii_alphabetic)
        .collect();
    let exact = matches!(unit.to_ascii_lowercase().as_str(), "b" | "byte" | "bytes");
    let unit = if exact { "B" } else { &unit };
    let size: ByteSize = Some(format!("{number}{unit}"))
        .filter(|_| !unit.is_empty())?
        .parse()
        .ok()?;
    // Git tells two places behind the point.
    let rounded = if exact { 0 } else { size.as_u64() / 200 };
    Some(size.as_u64() - rounded).filter(|bytes| *bytes > 0)
}

impl Progress for Listening<'_> {
    fn source_text(&self, text: &[u8]) {
        self.to.source_text(text);
    }

    fn target_text(&self, text: &[u8]) {
        let mut heard = self.heard.borrow_mut();
        let room = Self::KEPT.saturating_sub(heard.len());
        heard.extend(text.iter().take(room));
        self.to.target_text(text);
    }

    fn pack_bytes(&self, bytes: u64, objects: u32) {
        self.passed.set((bytes, objects));
        self.to.pack_bytes(bytes, objects);
    }

    fn pack_sent(&self) {
        self.to.pack_sent();
    }

    fn remark(&self, text: &str) {
        self.to.remark(text);
    }

    fn warning(&self, text: &str) {
        self.to.warning(text);
    }

    fn note(&self, text: &str) {
        self.to.note(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    fn listening(heard: &str) -> Listening<'static> {
        let listening = Listening::to(&Silent);
        listening.target_text(heard.as_bytes());
        listening
    }

    fn refusal(unpack: Option<&str>) -> Report {
        Report {
            unpack_error: unpack.map(str::to_owned),
            ..Report::default()
        }
    }

    #[test]
    fn another_pack_helps_only_against_faults_of_the_pack() {
        let could = |unpack, heard: &str| listening(heard).could_be_the_pack(&refusal(unpack));
        assert!(could(Some("index-pack abnormal exit"), ""));
        assert!(could(
            Some("index-pack abnormal exit"),
            "fatal: pack has bad object at offset 12: inflate returned -3\n"
        ));
        assert!(!could(None, ""));
        let reasons = [
            "fatal: pack exceeds maximum allowed size (2.00 MiB)",
            "fatal: write error: No space left on device",
            "error: object 123: missingSpaceBeforeDate\nfatal: fsck error in packed object",
        ];
        for heard in reasons {
            assert!(!could(Some("index-pack abnormal exit"), heard), "{heard}");
        }
        assert!(!could(Some("Permission denied"), ""));
    }

    #[test]
    fn a_smaller_pack_helps_against_limits_of_size_and_time() {
        let by = |err: Error, passed| listening("").too_much(Err(&err.on(Side::Target)), Some(passed));
        let status = |kind, status, words: &str| {
            Error::new(kind, format!("no (HTTP {status}){words}")).with_status(status)
        };
        let size = |limit| Some(TooMuch { reason: SIZE, limit });
        let time = Some(TooMuch {
            reason: TIME,
            limit: None,
        });
        assert_eq!(by(status(Kind::Limit, 413, ""), 9), size(None));
        assert_eq!(
            by(status(Kind::Limit, 413, ": 5 MiB at most"), 9),
            size(Some((5 << 20) - (5 << 20) / 200))
        );
        assert_eq!(by(status(Kind::Timeout, 408, ""), 9), time);
        assert_eq!(by(status(Kind::Timeout, 504, ": 5 MiB"), 9), time);
        assert_eq!(by(status(Kind::Auth, 403, ""), 9), None);
        assert_eq!(by(Error::new(Kind::Limit, "ours"), 9), size(None));
        let reset = || Error::new(Kind::Network, "hung up");
        assert_eq!(by(reset(), HELD_PACK + 1), size(None));
        assert_eq!(by(reset(), HELD_PACK), None);
        let of = |err: Error| listening("").too_much(Err(&err), None);
        assert_eq!(of(Error::new(Kind::Limit, "x").on(Side::Source)), None);
        // Over ssh.
        assert_eq!(of(reset().on(Side::Target)), None);
    }

    #[test]
    fn git_names_the_limit_while_it_takes_the_pack() {
        let said = "remote: x 3 GiB\nfatal: pack exceeds maximum allowed size (1.00 MiB)\n";
        let refused = |heard: &str, unpack| listening(heard).too_much(Ok(&refusal(unpack)), None);
        let limit = refused(said, Some("index-pack abnormal exit")).and_then(|much| much.limit);
        assert_eq!(limit, Some((1 << 20) - (1 << 20) / 200));
        assert!(refused(said, None).is_none() && refused("x", Some("unpack failed")).is_none());
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(named_size(" (512 bytes)"), Some(512));
        assert_eq!(named_size("limit: 10MB."), Some(9_950_000));
        assert_eq!(named_size("1 GiB"), Some((1 << 30) - (1 << 30) / 200));
        assert_eq!(named_size("max 100k"), Some(99_500));
        for none in ["", "error 413", "no more than 12.", "on 2026-11-26 too large"] {
            assert_eq!(named_size(none), None, "{none}");
        }
    }
}
