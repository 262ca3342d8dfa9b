//! What `receive-pack` answers: `report-status` and `report-status-v2` (`gitprotocol-pack`, "Report Status").

use std::collections::HashSet;
use std::io::{self, BufRead};

use bstr::{BStr, BString, ByteSlice};
use gix_hash::ObjectId;

use crate::error::{Error, Kind, Result, printable};
use crate::wire::pkt_line;
use crate::wire::refs::{excerpt, parse_oid};

/// The target's verdict on one push.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// `None` when the pack was unpacked, else the target's words.
    pub unpack_error: Option<String>,
    /// One entry for each command, in the target's order.
    pub refs: Vec<RefReport>,
}

/// The target's verdict on one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefReport {
    /// The ref that the command named.
    pub name: BString,
    /// `None` when it was updated, else the target's words. A box, because there can be a hundred thousand of these.
    pub error: Option<Box<str>>,
    /// What a `proc-receive` hook did instead, from `option` lines; without any, the command was carried out as sent.
    pub options: Vec<RefOption>,
}

/// One `option` line below an `ok` of `report-status-v2`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefOption {
    /// The ref that was really updated.
    Refname(BString),
    /// Its value before.
    OldOid(ObjectId),
    /// Its value now.
    NewOid(ObjectId),
    /// The update was not a fast-forward.
    ForcedUpdate,
}

impl Report {
    /// [`Report::read`] from memory.
    ///
    /// # Errors
    /// Those of [`Report::read`].
    pub fn parse(mut body: &[u8]) -> Result<Report> {
        Report::read(&mut body)
    }

    /// Read pkt-lines up to the flush that ends them. For many refs they are megabytes, which are never in memory as a
    /// whole.
    ///
    /// # Errors
    /// [`Kind::Peer`] if this is no report, and what `body` says when it breaks off.
    pub fn read(body: &mut dyn BufRead) -> Result<Report> {
        let mut report = Report::default();
        let mut seen_unpack = false;
        let mut line = Vec::new();
        while read_line(body, &mut line)? {
            if let Some(status) = line.strip_prefix(b"unpack ") {
                seen_unpack = true;
                report.unpack_error = (status != b"ok").then(|| printable(status));
            } else {
                report.add_line(line.as_bstr())?;
            }
        }
        if !seen_unpack {
            let message = "closed the connection without reporting what became of the push";
            return Err(Error::new(Kind::Peer, message)
                .hint("some refs may have been updated: run the same push again to find out"));
        }
        Ok(report)
    }

    /// What a target says that has done what the commands for the refs `names` asked for.
    pub fn all_done<'a>(names: impl IntoIterator<Item = &'a BStr>) -> Report {
        let done = |name: &BStr| RefReport {
            name: name.to_owned(),
            error: None,
            options: Vec::new(),
        };
        Report {
            unpack_error: None,
            refs: names.into_iter().map(done).collect(),
        }
    }

    /// Whether the target says that it has done what was asked for each of `names`.
    pub fn did_all<'a>(&self, names: impl IntoIterator<Item = &'a BStr>) -> bool {
        let done = self.refs.iter().filter(|entry| entry.error.is_none());
        let done: HashSet<&BStr> = done.map(|entry| entry.name.as_bstr()).collect();
        self.unpack_error.is_none() && names.into_iter().all(|name| done.contains(name))
    }

    fn add_line(&mut self, line: &BStr) -> Result<()> {
        if let Some(name) = line.strip_prefix(b"ok ") {
            self.refs.push(RefReport {
                name: name.into(),
                error: None,
                options: Vec::new(),
            });
        } else if let Some(rest) = line.strip_prefix(b"ng ") {
            let (name, why) = rest.split_once_str(" ").unwrap_or((rest, b"failed"));
            self.refs.push(RefReport {
                name: name.into(),
                error: Some(printable(why).into()),
                options: Vec::new(),
            });
        } else if let Some(option) = line.strip_prefix(b"option ") {
            let last = self.refs.last_mut().ok_or_else(|| unexpected(line))?;
            last.options.extend(parse_option(option.as_bstr())?);
        } else {
            return Err(unexpected(line));
        }
        Ok(())
    }
}

fn parse_option(option: &BStr) -> Result<Option<RefOption>> {
    let (key, value) = option.split_once_str(" ").unwrap_or((option, b""));
    Ok(match key {
        // It is passed on to git in a line of its own, which must not become two.
        b"refname" if gix_validate::reference::name(value.as_bstr()).is_err() => {
            return Err(unexpected(option));
        }
        b"refname" => Some(RefOption::Refname(value.into())),
        b"old-oid" => Some(RefOption::OldOid(parse_oid(value)?)),
        b"new-oid" => Some(RefOption::NewOid(parse_oid(value)?)),
        b"forced-update" => Some(RefOption::ForcedUpdate),
        _ => None,
    })
}

fn unexpected(line: &BStr) -> Error {
    Error::new(
        Kind::Peer,
        format!("sent an unexpected report line '{}'", excerpt(line)),
    )
}

/// Read the data of the next pkt-line, without its newline. `false` at a flush and at the end.
fn read_line(from: &mut dyn BufRead, line: &mut Vec<u8>) -> Result<bool> {
    if broken(from.fill_buf())?.is_empty() {
        return Ok(false);
    }
    let mut digits = [0; 4];
    read_all(from, &mut digits)?;
    let length = pkt_line::length(&digits).ok_or_else(cut_off)?;
    if length == 0 {
        return Ok(false);
    }
    line.resize(length.checked_sub(digits.len()).ok_or_else(cut_off)?, 0);
    read_all(from, line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    Ok(true)
}

fn read_all(from: &mut dyn BufRead, mut to: &mut [u8]) -> Result<()> {
    while !to.is_empty() {
        match broken(from.read(to))? {
            0 => return Err(cut_off()),
            count => to = to.get_mut(count..).unwrap_or_default(),
        }
    }
    Ok(())
}

fn broken<T>(result: io::Result<T>) -> Result<T> {
    result.map_err(|err| Error::from_io(err, "no answer to the push"))
}

fn cut_off() -> Error {
    Error::new(Kind::Peer, "sent a report that is cut off or malformed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pkt(lines: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        for line in lines {
            out.extend_from_slice(format!("{:04x}{line}\n", line.len() + 5).as_bytes());
        }
        out.extend_from_slice(b"0000");
        out
    }

    #[test]
    fn results_and_options_are_read_for_each_ref() {
        let oid = "a".repeat(40);
        let body = pkt(&[
            "unpack ok",
            "ok refs/heads/main",
            "ok refs/for/main",
            "option refname refs/changes/1",
            &format!("option new-oid {oid}"),
            "option forced-update",
            "option of-the-future x",
            "ng refs/heads/x pre-receive hook declined",
        ]);
        let report = Report::parse(&body).unwrap();
        assert_eq!(report.unpack_error, None);
        assert_eq!(report.refs.len(), 3);
        assert_eq!(report.refs[1].options.len(), 3);
        assert_eq!(report.refs[2].error.as_deref(), Some("pre-receive hook declined"));
    }

    #[test]
    fn what_is_not_reported_was_not_done() {
        let body = pkt(&["unpack ok", "ok refs/heads/a", "ng refs/heads/b no"]);
        let report = Report::parse(&body).unwrap();
        let did = |names: &[&str]| report.did_all(names.iter().map(|name| BStr::new(*name)));
        assert!(did(&["refs/heads/a"]) && did(&[]));
        assert!(!did(&["refs/heads/a", "refs/heads/b"]) && !did(&["refs/heads/c"]));
        assert!(!Report::parse(&pkt(&["unpack failed"])).unwrap().did_all([]));
    }

    #[test]
    fn a_missing_or_broken_report_is_an_error() {
        for body in [
            &b""[..],
            b"0000",
            b"000funpack ok",
            b"zzzz",
            b"0002",
            b"+00dunpack ok0000",
            &pkt(&["hello"]),
        ] {
            assert!(Report::parse(body).is_err(), "{body:?}");
        }
    }

    /// Git gets the name in a line of the helper's answer.
    #[test]
    fn a_name_that_would_be_two_lines_to_git_is_refused() {
        for name in ["refs/x\nok refs/heads/other", "refs/\x1b[2J", ""] {
            let lines = ["unpack ok", "ok refs/for/x", &format!("option refname {name}")];
            let err = Report::parse(&pkt(&lines)).unwrap_err();
            assert_eq!(err.kind(), Kind::Peer, "{name:?}");
        }
    }

    #[test]
    fn words_of_the_target_are_made_printable() {
        let report = Report::parse(&pkt(&["unpack \x1b[2Jno", "ng refs/heads/x \x07"])).unwrap();
        assert_eq!(report.unpack_error.as_deref(), Some("\\033[2Jno"));
        assert_eq!(report.refs[0].error.as_deref(), Some("\\007"));
    }
}
