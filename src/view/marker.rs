//! The marker: a text file that says what the view put into the repository, and so what has to go again.
//!
//! It is complete before anything else is written, and removed last. Lines are `<word> <value>`; bytes that a line
//! cannot hold are percent-encoded. The last line is `end`, so a torn file is known as one.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice};
use gix_hash::{Kind as Hash, ObjectId};

use super::files;
use crate::error::{Error, Kind, Result, printable};

const FIRST_LINE: &[u8] = b"relay view 1";

/// Everything needed to undo a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marker {
    /// The hash that names the objects.
    pub(super) format: Hash,
    /// The directory of the worktree whose `HEAD` was changed.
    pub(super) git_dir: PathBuf,
    /// The object directory that was written to.
    pub(super) objects: PathBuf,
    /// What `HEAD` was and became; `None` when it was left alone.
    pub(super) head: Option<Head>,
    /// The `packed-refs` file without any ref in it that was there before.
    pub(super) packed_refs: Option<BString>,
    /// Whether `HEAD` had a reflog.
    pub(super) head_log: bool,
    /// Directories below `refs` and `logs` that were there before, relative to the common directory.
    pub(super) kept_dirs: Vec<BString>,
    /// Where git may write tracking refs during the push: right sides of fetch refspecs.
    pub(super) tracking: Vec<BString>,
    /// Our refs, sorted by name.
    pub(super) refs: Vec<(BString, ObjectId)>,
    /// The commits in our `shallow` file.
    pub(super) shallow: Vec<ObjectId>,
    /// Our loose objects.
    pub(super) loose: Vec<ObjectId>,
    /// The directories for loose objects that we made, by the first byte of the names in them.
    pub(super) fan_outs: Vec<u8>,
    /// The checksum that names our pack.
    pub(super) pack: Option<ObjectId>,
}

/// A change of `HEAD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// What it was: the content of the file, or with reftables the ref it pointed to.
    pub(super) old: BString,
    /// The ref it points to now.
    pub(super) new: BString,
}

impl Marker {
    /// The content of the marker file.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = FIRST_LINE.to_vec();
        out.push(b'\n');
        line(&mut out, "format", &[self.format.to_string().as_bytes()]);
        line(&mut out, "git-dir", &[self.git_dir.as_os_str().as_bytes()]);
        line(&mut out, "objects", &[self.objects.as_os_str().as_bytes()]);
        if let Some(head) = &self.head {
            line(&mut out, "head", &[&head.old, &head.new]);
        }
        if let Some(content) = &self.packed_refs {
            line(&mut out, "packed-refs", &[content]);
        }
        if self.head_log {
            line(&mut out, "head-log", &[]);
        }
        self.lists(&mut out);
        line(&mut out, "end", &[]);
        out
    }

    /// The lines that there can be several of.
    fn lists(&self, out: &mut Vec<u8>) {
        self.kept_dirs.iter().for_each(|dir| line(out, "dir", &[dir]));
        self.tracking
            .iter()
            .for_each(|pattern| line(out, "tracking", &[pattern]));
        self.refs
            .iter()
            .for_each(|(name, oid)| line(out, "ref", &[oid.to_string().as_bytes(), name]));
        self.shallow
            .iter()
            .for_each(|oid| line(out, "shallow", &[oid.to_string().as_bytes()]));
        self.loose
            .iter()
            .for_each(|oid| line(out, "loose", &[oid.to_string().as_bytes()]));
        self.fan_outs
            .iter()
            .for_each(|byte| line(out, "fan-out", &[format!("{byte:02x}").as_bytes()]));
        self.pack
            .iter()
            .for_each(|oid| line(out, "pack", &[oid.to_string().as_bytes()]));
    }

    /// Read a marker file at `path`. Ref names are checked, since they become paths.
    ///
    /// # Errors
    /// `Corrupt` when it is not one of ours, or one of a newer version.
    pub(super) fn parse(content: &[u8], path: &Path) -> Result<Self> {
        let mut marker = Marker::empty(Hash::Sha1);
        let mut lines = content.lines();
        if lines.next() != Some(FIRST_LINE) {
            return Err(unknown(path, b"its first line"));
        }
        for line in lines {
            let mut fields = line.split(|byte| *byte == b' ').map(unescape);
            let word = fields.next().flatten().unwrap_or_default();
            if word == "end" {
                return Ok(marker);
            }
            let (first, second) = (fields.next().flatten(), fields.next().flatten());
            marker
                .take(&word, first, second)
                .ok_or_else(|| unknown(path, line))?;
        }
        Err(unknown(path, b"its missing end"))
    }

    pub(super) fn empty(format: Hash) -> Self {
        Marker {
            format,
            git_dir: PathBuf::new(),
            objects: PathBuf::new(),
            head: None,
            packed_refs: None,
            head_log: false,
            kept_dirs: Vec::new(),
            tracking: Vec::new(),
            refs: Vec::new(),
            shallow: Vec::new(),
            loose: Vec::new(),
            fan_outs: Vec::new(),
            pack: None,
        }
    }

    fn take(&mut self, word: &[u8], first: Option<BString>, second: Option<BString>) -> Option<()> {
        let oid = |hex: Option<BString>| {
            let oid = ObjectId::from_hex(&hex?).ok()?;
            (oid.kind() == self.format).then_some(oid)
        };
        let path = |bytes: Option<BString>| Some(crate::git::os_str(&bytes?).into());
        match word {
            b"format" => {
                self.format = match first?.as_slice() {
                    b"sha1" => Hash::Sha1,
                    b"sha256" => Hash::Sha256,
                    _ => return None,
                }
            }
            b"git-dir" => self.git_dir = path(first)?,
            b"objects" => self.objects = path(first)?,
            b"head" => {
                self.head = Some(Head {
                    old: first?,
                    new: second.filter(|name| files::is_ref_name(name))?,
                });
            }
            b"packed-refs" => self.packed_refs = Some(first?),
            b"head-log" => self.head_log = true,
            b"dir" => self.kept_dirs.push(first?),
            b"tracking" => self.tracking.push(first?),
            b"ref" => self
                .refs
                .push((second.filter(|name| files::is_ref_name(name))?, oid(first)?)),
            b"shallow" => self.shallow.push(oid(first)?),
            b"loose" => self.loose.push(oid(first)?),
            b"fan-out" => self
                .fan_outs
                .push(u8::from_str_radix(first?.to_str().ok()?, 16).ok()?),
            b"pack" => self.pack = Some(oid(first)?),
            _ => return None,
        }
        Some(())
    }
}

fn unknown(path: &Path, line: &[u8]) -> Error {
    let message = format!(
        "{} is not a marker this version knows: {}",
        path.display(),
        printable(line)
    );
    Error::new(Kind::Corrupt, message)
        .hint("the newer program that wrote it can clean up: run any push with that one")
}

fn line(out: &mut Vec<u8>, word: &str, values: &[&[u8]]) {
    out.extend_from_slice(word.as_bytes());
    for value in values {
        out.push(b' ');
        escape(value, out);
    }
    out.push(b'\n');
}

fn escape(value: &[u8], out: &mut Vec<u8>) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    for &byte in value {
        if byte.is_ascii_graphic() && byte != b'%' {
            out.push(byte);
        } else {
            let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
            out.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

fn unescape(value: &[u8]) -> Option<BString> {
    let mut parts = value.split(|byte| *byte == b'%');
    let mut out = BString::from(parts.next()?);
    for part in parts {
        let (hex, rest) = part.split_at_checked(2)?;
        out.push(u8::from_str_radix(hex.to_str().ok()?, 16).ok()?);
        out.extend_from_slice(rest);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Marker {
        let oid = |byte: u8| ObjectId::from_bytes_or_panic(&[byte; 32]);
        Marker {
            format: Hash::Sha256,
            git_dir: "/a b/100%".into(),
            objects: "/o\n\u{fc}".into(),
            head: Some(Head {
                old: "ref: refs/heads/main\n".into(),
                new: "refs/heads/x".into(),
            }),
            packed_refs: Some("# pack-refs with: \n".into()),
            head_log: true,
            kept_dirs: vec!["refs".into(), "refs/heads".into()],
            tracking: vec!["refs/remotes/x/*".into()],
            refs: vec![(b"refs/heads/\xff%".as_slice().into(), oid(1))],
            shallow: vec![oid(2)],
            loose: vec![oid(3), oid(4)],
            fan_outs: vec![3, 255],
            pack: Some(oid(5)),
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        let marker = full();
        let content = marker.to_bytes();
        assert_eq!(Marker::parse(&content, Path::new("m")).unwrap(), marker);
        assert!(
            content
                .lines()
                .any(|line| line == b"head ref:%20refs/heads/main%0a refs/heads/x")
        );
    }

    #[test]
    fn a_torn_or_foreign_marker_is_refused() {
        let content = full().to_bytes();
        for len in 0..content.len() - 1 {
            assert!(Marker::parse(&content[..len], Path::new("m")).is_err(), "{len}");
        }
        let content = content.replace(b"view 1", b"view 2");
        assert!(Marker::parse(&content, Path::new("m")).is_err());
    }

    #[test]
    fn names_that_would_leave_the_repository_are_refused() {
        for line in [
            "ref 01 refs/heads/a",
            "loose ../../x",
            "fan-out ../x",
            "pack ..",
            "head x HEAD",
            "what is this",
        ] {
            let content = format!("relay view 1\nformat sha1\n{line}\nend\n");
            assert!(
                Marker::parse(content.as_bytes(), Path::new("m")).is_err(),
                "{line}"
            );
        }
        let zeros = "0".repeat(40);
        let content = format!("relay view 1\nformat sha1\nref {zeros} refs/heads/../../x\nend\n");
        assert!(Marker::parse(content.as_bytes(), Path::new("m")).is_err());
    }
}
