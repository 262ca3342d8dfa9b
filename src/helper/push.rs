//! One batch of `push` lines: from git's words to updates, and from the outcome back to git's words.

use std::collections::HashMap;

use bstr::{BStr, BString, ByteSlice};
use gix_hash::ObjectId;

use super::command::PushSpec;
use super::view::Prepared;
use crate::error::{Error, Kind, Result};
use crate::git::Git;
use crate::plan::Update;
use crate::report::{Terminal, Verbosity};
use crate::session::{Policy, RefOutcome, RefStatus};
use crate::wire::refs::{RemoteRef, parse_oid};
use crate::wire::report::RefOption;

/// What git said before the batch.
#[derive(Debug, Default)]
pub(super) struct PushOptions {
    pub(super) policy: Policy,
    /// The values that `--force-with-lease` expects.
    pub(super) leases: HashMap<BString, Option<ObjectId>>,
    /// `--signed=if-asked` was given, and no signature will be made.
    pub(super) unsigned: bool,
}

/// Push `specs` and return the lines that tell git what became of each.
pub(super) fn run(
    git: &Git,
    prepared: &mut Prepared,
    specs: &[PushSpec],
    options: PushOptions,
    verbosity: Verbosity,
) -> Result<Vec<u8>> {
    let terminal = Terminal::new(verbosity);
    if options.unsigned && prepared.session.target.offers("push-cert") {
        terminal.warning("the target would take a signed push, but a relay cannot sign: pushing unsigned");
    }
    let updates = specs
        .iter()
        .map(|spec| update(git, prepared, spec, &options))
        .collect::<Result<Vec<_>>>()?;
    let policy = Policy {
        progress: verbosity.progress,
        ..options.policy
    };
    let outcome = prepared
        .session
        .run(&updates, &policy, &prepared.known_parents, &terminal)?;
    prepared.show_shared_tips()?;
    terminal.summary(&outcome);
    if outcome.uses_lfs {
        terminal.warning(
            "the pushed content uses Git LFS; its large files stay where they are \
             (git lfs fetch --all && git lfs push --all moves them)",
        );
    }
    let mut answer = Vec::new();
    for (entry, update) in outcome.refs.iter().zip(&updates) {
        answer.extend_from_slice(&status_lines(entry, update));
    }
    answer.push(b'\n');
    Ok(answer)
}

fn update(git: &Git, prepared: &Prepared, spec: &PushSpec, options: &PushOptions) -> Result<Update> {
    let target = &prepared.session.target;
    let new = spec
        .src
        .as_ref()
        .map(|src| resolve(git, prepared, src.as_ref()))
        .transpose()?;
    let new_commit = new.as_ref().map(|entry| entry.1);
    Ok(Update {
        target: spec.dst.clone(),
        old: target.find(spec.dst.as_ref()).map(|entry| entry.oid),
        new: new.map(|entry| entry.0),
        new_commit,
        new_is_commit: new_commit.is_some_and(|oid| prepared.is_commit(&oid)),
        force: spec.force,
        lease: options.leases.get(&spec.dst).copied(),
    })
}

/// The object that `src` names, and what it peels to. Almost always `src` is a ref of the view, which is one of the
/// source.
fn resolve(git: &Git, prepared: &Prepared, src: &BStr) -> Result<(ObjectId, ObjectId)> {
    let source = prepared.session.source.advertisement();
    let name = if src == "HEAD" {
        source.head.as_ref().map_or(src, |head| head.as_ref())
    } else {
        src
    };
    let pair = |entry: &RemoteRef| (entry.oid, entry.peeled_or_oid());
    if let Some(entry) = source.find(name) {
        return Ok(pair(entry));
    }
    let oid = match parse_oid(src) {
        Ok(oid) => oid,
        Err(_) => rev_parse(git, src)?,
    };
    Ok(source
        .refs
        .iter()
        .find(|entry| entry.oid == oid)
        .map_or((oid, oid), pair))
}

fn rev_parse(git: &Git, src: &BStr) -> Result<ObjectId> {
    let args = [
        BStr::new("rev-parse"),
        BStr::new("--verify"),
        BStr::new("--end-of-options"),
        src,
    ];
    let printed = git
        .command(args.iter().map(|arg| crate::git::os_str(arg)))
        .run()?;
    parse_oid(printed.trim()).map_err(|_| Error::new(Kind::Usage, format!("'{src}' names no object")))
}

/// What to tell git about each of `specs` when the run as a whole has failed.
pub(super) fn failure_lines(specs: &[PushSpec], err: &Error) -> Vec<u8> {
    let line = |spec: &PushSpec| [b"error ", spec.dst.as_slice(), format!(" {err}\n").as_bytes()].concat();
    specs.iter().flat_map(line).chain(*b"\n").collect()
}

/// `ok` with what git needs to print true values, or `error` with the reason.
fn status_lines(outcome: &RefOutcome, update: &Update) -> Vec<u8> {
    let error = |why: &str| [b"error ", outcome.target.as_slice(), b" ", why.as_bytes(), b"\n"].concat();
    match &outcome.status {
        RefStatus::UpToDate => error("up to date"),
        RefStatus::Rejected(why) => error(why.as_str()),
        RefStatus::Refused(words) => error(words),
        RefStatus::Done { old, new, options } => {
            let mut lines = [b"ok ", outcome.target.as_slice(), b"\n"].concat();
            if new.is_some() {
                lines.extend_from_slice(&option_lines(*old, *new, options, update));
            }
            lines
        }
    }
}

fn option_lines(
    old: Option<ObjectId>,
    new: Option<ObjectId>,
    options: &[RefOption],
    update: &Update,
) -> Vec<u8> {
    let Some(kind) = new.or(old).map(|oid| oid.kind()) else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    let mut option = |key: &str, value: &[u8]| {
        lines.extend_from_slice(format!("option {key}").as_bytes());
        if !value.is_empty() {
            lines.push(b' ');
            lines.extend_from_slice(value);
        }
        lines.push(b'\n');
    };
    let (mut told_old, mut told_new) = (false, false);
    for entry in options {
        match entry {
            RefOption::Refname(name) => option("refname", name),
            RefOption::OldOid(oid) => {
                told_old = true;
                option("old-oid", oid.to_string().as_bytes());
            }
            RefOption::NewOid(oid) => {
                told_new = true;
                option("new-oid", oid.to_string().as_bytes());
            }
            RefOption::ForcedUpdate => option("forced-update", b""),
        }
    }
    let or_null = |oid: Option<ObjectId>| oid.unwrap_or(ObjectId::null(kind)).to_string();
    if !told_old {
        option("old-oid", or_null(old).as_bytes());
    }
    if !told_new {
        option("new-oid", or_null(new).as_bytes());
    }
    let overwrites = update.force && old.is_some();
    if options.is_empty() && overwrites {
        option("forced-update", b"");
    }
    lines
}
