//! What `receive-pack` answers: `report-status` and `report-status-v2` (`gitprotocol-pack`, "Report Status").

use std::io::{self, BufRead};

use bstr::{BStr, BString, ByteSlice};
use gix_hash::ObjectId;

use crate::error::{Error, Kind, Result, printable};
use crate::wire::changes::Commands;
use crate::wire::pkt_line;
use crate::wire::refs::{excerpt, parse_oid};

/// What the target says about one push.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// `None` when the pack was unpacked, else the target's words.
    pub unpack_error: Option<String>,
    /// One for each command, in the order of the commands.
    pub verdicts: Vec<Verdict>,
}

/// What the target says about one command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    #[default]
    Silence,
    /// It was carried out as sent, or as a `proc-receive` hook wanted it, which the options tell.
    Done(Vec<RefOption>),
    /// It was refused, in these words. A box, because there can be a hundred thousand of these.
    Refused(Box<str>),
}

impl Verdict {
    /// Why the command was not carried out, if it was not.
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Verdict::Done(_) => None,
            Verdict::Refused(words) => Some(words),
            Verdict::Silence => Some("the target did not report what became of it"),
        }
    }
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
    pub fn parse(mut body: &[u8], commands: &Commands) -> Result<Report> {
        Report::read(&mut body, commands)
    }

    /// Read what is said about `commands`, pkt-lines up to the flush that ends them. For many refs they are megabytes,
    /// which are never in memory as a whole.
    ///
    /// # Errors
    /// [`Kind::Peer`] if this is no report, and what `body` says when it breaks off.
    pub fn read(body: &mut dyn BufRead, commands: &Commands) -> Result<Report> {
        let mut reader = Reader::new(commands);
        let mut line = Vec::new();
        while read_line(body, &mut line)? {
            reader.add_line(line.as_bstr())?;
        }
        if !reader.seen_unpack {
            let message = "closed the connection without reporting what became of the push";
            return Err(Error::new(Kind::Peer, message)
                .hint("some refs may have been updated: run the same push again to find out"));
        }
        Ok(reader.report)
    }

    /// What a target says that has carried out so many commands.
    pub fn all_done(commands: usize) -> Report {
        Report {
            unpack_error: None,
            verdicts: vec![Verdict::Done(Vec::new()); commands],
        }
    }

    /// Whether the target says that it has carried out all commands.
    pub fn did_all(&self) -> bool {
        let is_done = |verdict: &Verdict| matches!(verdict, Verdict::Done(_));
        self.unpack_error.is_none() && self.verdicts.iter().all(is_done)
    }
}

/// A report as it comes.
struct Reader<'a> {
    commands: &'a Commands,
    report: Report,
    seen_unpack: bool,
    /// The command that the last line was about, if it was about one.
    last: Option<usize>,
    /// The commands by name, once a line was not about the one behind the last.
    by_name: Vec<usize>,
    /// There was a line about a ref.
    seen_ref: bool,
}

impl<'a> Reader<'a> {
    fn new(commands: &'a Commands) -> Self {
        let report = Report {
            unpack_error: None,
            verdicts: vec![Verdict::Silence; commands.len()],
        };
        Reader {
            commands,
            report,
            seen_unpack: false,
            last: None,
            by_name: Vec::new(),
            seen_ref: false,
        }
    }

    fn add_line(&mut self, line: &BStr) -> Result<()> {
        if let Some(status) = line.strip_prefix(b"unpack ") {
            self.seen_unpack = true;
            self.report.unpack_error = (status != b"ok").then(|| printable(status));
        } else if let Some(name) = line.strip_prefix(b"ok ") {
            self.enter(name.as_bstr(), Verdict::Done(Vec::new()));
        } else if let Some(rest) = line.strip_prefix(b"ng ") {
            let (name, why) = rest.split_once_str(" ").unwrap_or((rest, b"failed"));
            self.enter(name.as_bstr(), Verdict::Refused(printable(why).into()));
        } else if let Some(option) = line.strip_prefix(b"option ").filter(|_| self.seen_ref) {
            let option = parse_option(option.as_bstr())?;
            if let Some(Verdict::Done(options)) = self.verdict() {
                options.extend(option);
            }
        } else {
            return Err(unexpected(line));
        }
        Ok(())
    }

    fn enter(&mut self, name: &BStr, verdict: Verdict) {
        self.seen_ref = true;
        self.last = self.find(name);
        match self.verdict() {
            Some(place) => *place = verdict,
            None => {
                log::info!(target: "relay::target", "reports on {}, which was not pushed", printable(name));
            }
        }
    }

    fn verdict(&mut self) -> Option<&mut Verdict> {
        self.report.verdicts.get_mut(self.last?)
    }

    /// The number of the command for the ref `name`. Targets answer in the order of the commands as a rule.
    fn find(&mut self, name: &BStr) -> Option<usize> {
        let is = |number: usize| {
            self.commands
                .get(number)
                .is_some_and(|command| command.name == name)
        };
        let next = self.last.map_or(0, |last| last + 1);
        if is(next) {
            return Some(next);
        }
        let name_of = |number: usize| self.commands.get(number).map(|command| command.name);
        if self.by_name.is_empty() {
            self.by_name = (0..self.commands.len()).collect();
            self.by_name.sort_by_key(|number| name_of(*number));
        }
        let place = self
            .by_name
            .binary_search_by_key(&Some(name), |number| name_of(*number));
        self.by_name.get(place.ok()?).copied()
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
    use crate::wire::changes::Change;

    fn pkt(lines: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        for line in lines {
            out.extend_from_slice(format!("{:04x}{line}\n", line.len() + 5).as_bytes());
        }
        out.extend_from_slice(b"0000");
        out
    }

    fn commands(names: &[&str]) -> Commands {
        let change = |name| Change {
            name: BStr::new(name),
            old: None,
            new: None,
        };
        names.iter().map(change).collect()
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
        let sent = commands(&["refs/heads/main", "refs/for/main", "refs/heads/x"]);
        let report = Report::parse(&body, &sent).unwrap();
        assert_eq!(report.unpack_error, None);
        let [Verdict::Done(none), Verdict::Done(options), refused] = &report.verdicts[..] else {
            panic!("{report:?}")
        };
        assert_eq!((none.len(), options.len()), (0, 3));
        assert_eq!(refused.refusal(), Some("pre-receive hook declined"));
    }

    #[test]
    fn lines_find_their_commands_in_any_order() {
        let body = pkt(&[
            "unpack ok",
            "ng c no",
            "ok other",
            "option forced-update",
            "ok a",
            "ok b",
        ]);
        let report = Report::parse(&body, &commands(&["a", "b", "d", "c"])).unwrap();
        let refusals: Vec<_> = report.verdicts.iter().map(Verdict::refusal).collect();
        let silence = Verdict::Silence.refusal();
        assert_eq!(refusals, [None, None, silence, Some("no")]);
        let options = |verdict: &Verdict| matches!(verdict, Verdict::Done(options) if !options.is_empty());
        assert!(!report.verdicts.iter().any(options));
    }

    #[test]
    fn what_is_not_reported_was_not_done() {
        let did =
            |lines: &[&str], names: &[&str]| Report::parse(&pkt(lines), &commands(names)).unwrap().did_all();
        assert!(did(&["unpack ok", "ok refs/heads/a"], &["refs/heads/a"]));
        assert!(!did(
            &["unpack ok", "ok refs/heads/a"],
            &["refs/heads/a", "refs/heads/b"]
        ));
        assert!(!did(&["unpack ok", "ng refs/heads/b no"], &["refs/heads/b"]));
        assert!(!did(&["unpack failed"], &[]));
        assert!(Report::all_done(2).did_all());
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
            &pkt(&["unpack ok", "option forced-update"]),
        ] {
            assert!(Report::parse(body, &commands(&[])).is_err(), "{body:?}");
        }
    }

    /// Git gets the name in a line of the helper's answer.
    #[test]
    fn a_name_that_would_be_two_lines_to_git_is_refused() {
        for name in ["refs/x\nok refs/heads/other", "refs/\x1b[2J", ""] {
            let lines = ["unpack ok", "ok refs/for/x", &format!("option refname {name}")];
            let err = Report::parse(&pkt(&lines), &commands(&["refs/for/x"])).unwrap_err();
            assert_eq!(err.kind(), Kind::Peer, "{name:?}");
        }
    }

    #[test]
    fn words_of_the_target_are_made_printable() {
        let body = pkt(&["unpack \x1b[2Jno", "ng refs/heads/x \x07"]);
        let report = Report::parse(&body, &commands(&["refs/heads/x"])).unwrap();
        assert_eq!(report.unpack_error.as_deref(), Some("\\033[2Jno"));
        assert_eq!(report.verdicts[0].refusal(), Some("\\007"));
    }
}
