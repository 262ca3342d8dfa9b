//! The table for people, on standard output: what became of each ref, and how many ended in which way.

use std::io::{self, Write};

use gix_hash::ObjectId;

use super::quote::ref_name;
use crate::api::{Counts, Entry, EntryAction, Run, Status};
use crate::error::printable;

/// How wide a column gets. Longer names push the columns behind them aside instead of widening all lines.
const MOST: [usize; 3] = [usize::MAX, 40, usize::MAX];

/// How to draw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// With colours.
    pub color: bool,
    /// Also refs that are up to date.
    pub verbose: bool,
}

/// Write the refs of `run` and their count. There can be many: rows are made twice, once for the widths, and not kept.
///
/// # Errors
/// When it cannot be written.
pub fn write(out: &mut dyn Write, run: &Run, style: Style) -> io::Result<()> {
    let mut out = io::BufWriter::new(out);
    let shown = run.refs.iter();
    let rows = shown
        .filter(|entry| style.verbose || entry.status != Status::UpToDate)
        .map(|entry| Row::new(&entry));
    let mut widths = [0; 3];
    for row in rows.clone() {
        let cells = [&row.word, &row.name, &row.change].map(|cell| cell.chars().count());
        for ((width, cell), most) in widths.iter_mut().zip(cells).zip(MOST) {
            *width = if cell <= most { cell.max(*width) } else { *width };
        }
    }
    rows.into_iter()
        .try_for_each(|row| writeln!(out, "{}", row.draw(widths, style.color)))?;
    writeln!(out, "{}", summary(run))?;
    out.flush()
}

struct Row {
    word: String,
    color: &'static str,
    name: String,
    change: String,
    reason: String,
}

impl Row {
    fn new(entry: &Entry<'_>) -> Self {
        let (word, color) = word(entry);
        let target = ref_name(entry.target);
        let name = match entry.source.filter(|source| *source != entry.target) {
            Some(source) => format!("{} -> {target}", ref_name(source)),
            None => target.into_owned(),
        };
        Row {
            word: word.into(),
            color,
            name,
            change: change(entry),
            reason: entry
                .reason
                .as_deref()
                .map(|why| printable(why.as_bytes()))
                .unwrap_or_default(),
        }
    }

    fn draw(&self, [word, name, change]: [usize; 3], color: bool) -> String {
        let mut line = format!(
            "{:word$}  {:name$}  {:change$}  {}",
            self.word, self.name, self.change, self.reason
        );
        line.truncate(line.trim_end().len());
        let (on, off) = if color { (self.color, RESET) } else { ("", "") };
        let (first, rest) = line.split_at_checked(self.word.len()).unwrap_or((&line, ""));
        format!("{on}{first}{off}{rest}")
    }
}

const RESET: &str = "\x1b[m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const RED: &str = "\x1b[31m";

/// What became of it in a word, and the colour of that.
fn word(entry: &Entry<'_>) -> (&'static str, &'static str) {
    match (entry.status, entry.action) {
        (Status::Ok, EntryAction::Create) => ("created", GREEN),
        (Status::Ok, EntryAction::Force) => ("forced", YELLOW),
        (Status::Ok, EntryAction::Delete) => ("deleted", YELLOW),
        (Status::Ok, _) => ("updated", GREEN),
        (Status::Planned, action) => (action.as_str(), ""),
        (Status::UpToDate, _) => ("up to date", ""),
        (Status::Blocked, _) => ("blocked", RED),
        (Status::Rejected, _) => ("rejected", RED),
        (Status::Failed, _) => ("failed", RED),
        (Status::Warned, _) => ("warned", YELLOW),
    }
}

/// As git shows ranges: `..` along history, `...` across it.
fn change(entry: &Entry<'_>) -> String {
    let short = |oid: ObjectId| oid.to_hex_with_len(9).to_string();
    let dots = if entry.action == EntryAction::Update {
        ".."
    } else {
        "..."
    };
    match (entry.old, entry.new) {
        (Some(old), Some(new)) if old == new => short(new),
        (Some(old), Some(new)) => format!("{}{dots}{}", short(old), short(new)),
        (None, Some(new)) => short(new),
        (Some(old), None) => short(old),
        (None, None) => String::new(),
    }
}

/// `2 created, 1 blocked, 40 up to date`.
fn summary(run: &Run) -> String {
    let Counts {
        created,
        updated,
        forced,
        deleted,
        up_to_date,
        rejected,
        blocked,
        warned,
    } = run.counts();
    let planned = run.refs.iter().any(|entry| entry.status == Status::Planned);
    let (create, update, force, delete) = match planned {
        true => ("to create", "to update", "to force", "to delete"),
        false => ("created", "updated", "forced", "deleted"),
    };
    let parts: Vec<_> = [
        (created, create),
        (updated, update),
        (forced, force),
        (deleted, delete),
        (blocked, "blocked"),
        (rejected, "rejected"),
        (warned, "warned"),
        (up_to_date, "up to date"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    if parts.is_empty() {
        return "no refs".into();
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Entries, Operation};

    fn render(run: &Run, style: Style) -> String {
        let mut out = Vec::new();
        write(&mut out, run, style).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn entry<'a>(name: &'a str, action: EntryAction, status: Status, reason: Option<&'a str>) -> Entry<'a> {
        let oid = |digit: &str| ObjectId::from_hex(digit.repeat(40).as_bytes()).ok();
        Entry {
            source: Some(name.into()),
            target: name.into(),
            old: (action != EntryAction::Create).then(|| oid("1")).flatten(),
            new: (action != EntryAction::Delete).then(|| oid("2")).flatten(),
            action,
            status,
            reason: reason.map(Into::into),
        }
    }

    fn run() -> Run {
        let mut run = Run::new(Operation::Sync, "a", Some("b"));
        run.refs = [
            entry("refs/heads/main", EntryAction::Update, Status::Ok, None),
            entry(
                "refs/heads/x",
                EntryAction::Blocked,
                Status::Blocked,
                Some("diverged"),
            ),
            entry("refs/heads/same", EntryAction::UpToDate, Status::UpToDate, None),
            Entry {
                source: Some("refs/tags/v0".into()),
                ..entry("refs/tags/v1", EntryAction::Create, Status::Ok, None)
            },
        ]
        .into_iter()
        .collect();
        run
    }

    #[test]
    fn columns_are_aligned_and_what_did_not_change_is_only_counted() {
        assert_eq!(
            render(&run(), Style::default()),
            "updated  refs/heads/main               111111111..222222222\n\
             blocked  refs/heads/x                  111111111...222222222  diverged\n\
             created  refs/tags/v0 -> refs/tags/v1  222222222\n\
             1 created, 1 updated, 1 blocked, 1 up to date\n"
        );
        let verbose = Style {
            verbose: true,
            ..Style::default()
        };
        assert!(render(&run(), verbose).contains("up to date  refs/heads/same"));
    }

    #[test]
    fn only_the_first_word_has_a_colour() {
        let drawn = render(
            &run(),
            Style {
                color: true,
                ..Style::default()
            },
        );
        assert!(drawn.contains("\x1b[31mblocked\x1b[m  refs/heads/x"), "{drawn:?}");
        assert!(!render(&run(), Style::default()).contains('\x1b'));
    }

    #[test]
    fn plans_are_told_from_deeds() {
        let mut run = run();
        run.refs = [
            entry("refs/heads/a", EntryAction::Create, Status::Planned, None),
            entry("refs/heads/b", EntryAction::Delete, Status::Planned, None),
        ]
        .into_iter()
        .collect();
        let drawn = render(&run, Style::default());
        assert!(drawn.ends_with("1 to create, 1 to delete\n"), "{drawn}");
        run.refs = Entries::default();
        assert_eq!(render(&run, Style::default()), "no refs\n");
    }
}
