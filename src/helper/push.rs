//! One batch of `push` lines: from git's words to updates, and from the outcome back to git's words.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use bstr::{BString, ByteSlice};
use gix_hash::ObjectId;

use super::command::PushSpec;
use super::report::carry_out;
use super::view::Prepared;
use crate::api::Run;
use crate::error::{Error, Kind, Result};
use crate::git::Git;
use crate::git::objects::Named;
use crate::plan::{Rejection, Update, Updates};
use crate::report::{LFS_WARNING, Terminal, Verbosity};
use crate::session::{Outcome, Policy, REF_MOVED, RefStatus, UNANSWERED};
use crate::url::RetryPolicy;
use crate::wire::refs::{RemoteRef, parse_oid};
use crate::wire::report::RefOption;

/// What git said before the batch.
#[derive(Debug, Default)]
pub(super) struct PushOptions {
    pub(super) policy: Policy,
    /// The values that `--force-with-lease` expects.
    pub(super) leases: HashMap<BString, Option<ObjectId>>,
    /// How much to say.
    pub(super) verbosity: Verbosity,
    /// `--signed=if-asked` was given, and no signature will be made.
    pub(super) unsigned: bool,
}

/// Push `specs` and return the lines that tell git what became of each. The rest of what there is to tell goes into
/// `report`.
pub(super) fn run(
    git: &Git,
    prepared: &mut Prepared,
    specs: &[PushSpec],
    options: PushOptions,
    report: &mut Run,
) -> Result<Vec<u8>> {
    let started = Instant::now();
    let verbosity = options.verbosity;
    let terminal = Terminal::new(verbosity);
    if options.unsigned && prepared.session.target.offers("push-cert") {
        terminal.warning("the target would take a signed push, but a relay cannot sign: pushing unsigned");
    }
    // Git has judged; from here on a name may stand for any object.
    prepared.show_shared_tips()?;
    let updates = updates(git, prepared, specs, &options)?;
    let policy = Policy {
        progress: verbosity.progress,
        terms: options.policy.terms.clone().with_config(git.config()?)?,
        retry: RetryPolicy::new(git.config()?)?,
        ..options.policy
    };
    let (plan, outcome) = carry_out(prepared, (specs, updates), &policy, &terminal, report)?;
    terminal.summary(&Outcome {
        elapsed: started.elapsed(),
        ..outcome.clone()
    });
    if outcome.uses_lfs {
        terminal.warning(LFS_WARNING);
    }
    if let Err(err) = advise(git, prepared, &outcome, &terminal) {
        // The push has happened: what came of it must reach git all the same.
        terminal.warning(&err.to_string());
    }
    let mut answer = Vec::new();
    for (status, update) in outcome.refs.iter().zip(plan.updates.iter()) {
        answer.extend_from_slice(&status_lines(status, &update));
    }
    answer.push(b'\n');
    Ok(answer)
}

/// Say what the table cannot: why a ref was left alone, and what was not looked at.
fn advise(git: &Git, prepared: &Prepared, outcome: &Outcome, terminal: &Terminal) -> Result<()> {
    let refused = RefStatus::Rejected(Rejection::NotOnSource);
    if outcome.refs.contains(&refused) {
        terminal.hint(
            "A relay sends only what the source has. Push the ref to the source first,\n\
             or let the relay take it from here: git -c relay.local=true push …",
        );
    }
    // Whoever names one ref knows what they want; whoever says `refs/heads/*` may expect the source's branches.
    let may_expect_more = outcome.refs.len() > 1 && !prepared.has_view();
    if may_expect_more && git.config()?.bool("advice.relayView")? != Some(false) {
        let branches = match unseen_branches(git, prepared)? {
            0 => return Ok(()),
            1 => "A branch of the source is".to_owned(),
            many => format!("{many} branches of the source are"),
        };
        terminal.hint(&format!(
            "{branches} neither here nor on the target: git matches against\n\
             this repository's refs. 'git relay push' matches against the source's.\n\
             (git config advice.relayView false silences this)",
        ));
    }
    Ok(())
}

/// How many branches of the source this repository and the target do not have.
fn unseen_branches(git: &Git, prepared: &Prepared) -> Result<usize> {
    let local: HashSet<BString> = git.list_refs()?.refs.into_iter().map(|(name, _)| name).collect();
    let source = &prepared.session.source.advertisement().refs;
    let target = &prepared.session.target;
    let branches = source
        .iter()
        .filter(|entry| entry.name.starts_with(b"refs/heads/"));
    Ok(branches
        .filter(|entry| !local.contains(entry.name) && target.find(entry.name).is_none())
        .count())
}

/// What git asks for, with the objects that the names stand for.
fn updates(git: &Git, prepared: &mut Prepared, specs: &[PushSpec], options: &PushOptions) -> Result<Updates> {
    let names: Vec<BString> = specs.iter().filter_map(|spec| spec.src.clone()).collect();
    let mut objects = if prepared.has_view() {
        names
            .iter()
            .map(|name| in_view(git, prepared, name))
            .collect::<Result<Vec<_>>>()?
    } else {
        git.look_up(&names)?
    }
    .into_iter();
    let target = &prepared.session.target;
    let mut updates = Updates::default();
    for spec in specs {
        let new = spec.src.as_ref().and_then(|_| objects.next());
        updates.push(Update {
            target: spec.dst.as_bstr(),
            old: target.find(spec.dst.as_ref()).map(|entry| entry.oid),
            new: new.map(|named| named.oid),
            new_commit: new.map(|named| named.peeled),
            new_is_commit: new.is_some_and(|named| named.is_commit),
            on_source: true,
            force: spec.force,
            lease: options.leases.get(&spec.dst).copied(),
        });
    }
    prepared.session.mark_what_the_source_lacks(&mut updates)?;
    Ok(updates)
}

/// The object that `src` stands for; almost always it is a ref of the view, which is one of the source.
fn in_view(git: &Git, prepared: &Prepared, src: &BString) -> Result<Named> {
    let source = prepared.session.source.advertisement();
    let head = source.head.as_ref().filter(|_| src == "HEAD");
    let named = |entry: RemoteRef<'_>| {
        let peeled = entry.peeled_or_oid();
        Named {
            oid: entry.oid,
            peeled,
            is_commit: prepared.is_commit(&peeled),
        }
    };
    if let Some(entry) = source.find(head.unwrap_or(src).as_ref()) {
        return Ok(named(entry));
    }
    // A full id needs no object here, so git must not be asked for it.
    if let Ok(oid) = parse_oid(src) {
        let tip = source.refs.iter().find(|entry| entry.oid == oid).map(named);
        return Ok(tip.unwrap_or(Named {
            oid,
            peeled: oid,
            is_commit: prepared.is_commit(&oid),
        }));
    }
    let found = git.look_up(std::slice::from_ref(src))?;
    found
        .first()
        .copied()
        .ok_or_else(|| Error::new(Kind::Usage, format!("'{src}' names no object")))
}

/// What to tell git about each of `specs` when the run as a whole has failed.
pub(super) fn failure_lines(specs: &[PushSpec], err: &Error) -> Vec<u8> {
    let line = |spec: &PushSpec| [b"error ", spec.dst.as_slice(), format!(" {err}\n").as_bytes()].concat();
    specs.iter().flat_map(line).chain(*b"\n").collect()
}

/// `ok` with what git needs to print true values, or `error` with the reason.
fn status_lines(status: &RefStatus, update: &Update<'_>) -> Vec<u8> {
    let name = update.target.as_bytes();
    let error = |why: &str| [b"error ", name, b" ", why.as_bytes(), b"\n"].concat();
    match status {
        RefStatus::UpToDate => error("up to date"),
        RefStatus::Rejected(why) => error(&why.words()),
        RefStatus::Refused(words) => error(words),
        RefStatus::Moved(_) => error(REF_MOVED),
        RefStatus::Unanswered => error(UNANSWERED),
        RefStatus::Done(options) => {
            let mut lines = [b"ok ", name, b"\n"].concat();
            if update.new.is_some() {
                lines.extend_from_slice(&option_lines(options, update));
            }
            lines
        }
    }
}

fn option_lines(options: &[RefOption], update: &Update<'_>) -> Vec<u8> {
    let Update { old, new, .. } = *update;
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
