//! `remote.<name>.relayOnFetch`: whoever reads through this remote first brings the target in step with the source.
//!
//! Only creates and fast-forwards, so that a job that merely fetches can never destroy anything.

use std::collections::HashMap;
use std::time::Instant;

use bstr::{BStr, BString, ByteSlice};
use gix_hash::ObjectId;
use tokio::runtime::Handle;

use crate::error::{Error, Kind, Result, printable};
use crate::git::Config;
use crate::plan::selection::{excluded_namespaces, is_excluded};
use crate::plan::{Update, Updates};
use crate::progress::Progress;
use crate::report::{Terminal, Verbosity};
use crate::session::{self, Connected, Outcome, Plan, Policy, REF_MOVED, RefStatus, Session, UNANSWERED};
use crate::strategy::Terms;
use crate::strategy::ancestry::KnownParents;
use crate::url::{RelayUrl, RetryPolicy};
use crate::wire::ref_name::RefName;
use crate::wire::refs::{Advertisement, RemoteRef};

/// What is kept in step unless `remote.<name>.relayRefspec` says otherwise.
const DEFAULT: [&str; 2] = ["refs/heads/*", "refs/tags/*"];

/// Whether reading through `remote` brings the target in step.
///
/// # Errors
/// `Config` when the setting is no boolean.
pub(super) fn is_wanted(remote: &str, config: &Config) -> Result<bool> {
    let wanted = config.bool(&format!("remote.{remote}.relayOnFetch"))?;
    Ok(wanted.unwrap_or(false))
}

/// Bring the target of `url` in step with the source.
///
/// # Errors
/// When a side cannot be reached, and when a ref of the target could not follow; which, has been said then.
pub(super) fn bring(remote: &str, url: &RelayUrl, config: &Config, verbosity: Verbosity) -> Result<()> {
    let specs = refspecs(remote, config)?;
    let Connected { source, target } = Handle::current().block_on(session::connect(url, config))?;
    let mut session = Session::new(source?, target?)?;
    let excluded = excluded_namespaces(config);
    let updates = updates(
        &specs,
        &excluded,
        session.source.advertisement(),
        session.target.advertisement(),
    )?;
    log::info!(target: "relay::helper", "bringing the target in step, {} refs", updates.len());
    let terminal = Terminal::new(verbosity);
    let policy = Policy {
        progress: verbosity.progress,
        terms: Terms::default().with_config(config)?,
        retry: RetryPolicy::new(config)?,
        ..Policy::default()
    };
    let started = Instant::now();
    let result = (|| {
        let plan = session.plan(updates, &policy, &KnownParents::new())?;
        let outcome = session.execute(&plan, &policy, &terminal)?;
        Ok((plan, outcome))
    })();
    session.take_notes().iter().for_each(|note| terminal.note(note));
    let (plan, mut outcome) = result?;
    outcome.elapsed = started.elapsed();
    terminal.summary(&outcome);
    judge(&plan, &outcome, &terminal)
}

fn judge(plan: &Plan, outcome: &Outcome, terminal: &Terminal) -> Result<()> {
    let mut left = 0;
    for (update, status) in plan.updates.iter().zip(&outcome.refs) {
        let why = match status {
            RefStatus::UpToDate | RefStatus::Done(_) => continue,
            RefStatus::Rejected(why) => why.words(),
            RefStatus::Refused(words) => (&**words).into(),
            RefStatus::Moved(_) => REF_MOVED.into(),
            RefStatus::Unanswered => UNANSWERED.into(),
        };
        left += 1;
        terminal.warning(&format!("target: {}: {why}", printable(update.target)));
    }
    match left {
        0 => Ok(()),
        left => {
            let message =
                format!("the target is not in step with the source, {left} of its refs cannot follow");
            Err(Error::new(Kind::Policy, message)
                .hint("remote.<name>.relayOnFetch creates and fast-forwards only; git push can do more"))
        }
    }
}

/// `<source ref>:<target ref>` in full, each with a `*` or neither: git-push(1), "refspec".
#[derive(Debug, PartialEq, Eq)]
struct Refspec {
    source: BString,
    target: BString,
}

fn refspecs(remote: &str, config: &Config) -> Result<Vec<Refspec>> {
    let key = format!("remote.{remote}.relayRefspec");
    let configured = config.list(&key);
    if configured.is_empty() {
        return DEFAULT
            .iter()
            .map(|spec| Refspec::parse(spec.as_bytes().as_bstr(), &key))
            .collect();
    }
    configured
        .into_iter()
        .map(|spec| Refspec::parse(spec, &key))
        .collect()
}

impl Refspec {
    fn parse(spec: &BStr, key: &str) -> Result<Self> {
        let (source, target) = spec.split_once_str(":").unwrap_or((spec, spec));
        let stars = |name: &[u8]| name.iter().filter(|byte| **byte == b'*').count();
        let sound = |name: &[u8]| name.starts_with(b"refs/") && stars(name) <= 1;
        if sound(source) && sound(target) && stars(source) == stars(target) {
            return Ok(Refspec {
                source: source.into(),
                target: target.into(),
            });
        }
        let message = format!("bad value for config '{key}': '{}'", printable(spec));
        Err(Error::new(Kind::Config, message).hint(
            "write refs/heads/*:refs/heads/*, with names in full; a '+' is not possible, nothing is overwritten",
        ))
    }

    /// Where the source's ref `name` goes, if anywhere.
    fn map(&self, name: &BStr) -> Option<BString> {
        let Some((before, after)) = self.source.split_once_str("*") else {
            return (self.source == name).then(|| self.target.clone());
        };
        let middle = name.strip_prefix(before)?.strip_suffix(after)?;
        Some(self.target.replacen("*", middle, 1).into())
    }
}

fn updates(
    specs: &[Refspec],
    excluded: &[BString],
    source: &Advertisement,
    target: &Advertisement,
) -> Result<Updates> {
    let mut followed: HashMap<RefName, &BStr> = HashMap::new();
    let mut updates = Updates::default();
    let of_use = |name: &BStr| !is_excluded(excluded, name);
    for entry in source.refs.iter().filter(|entry| of_use(entry.name)) {
        let names = specs.iter().filter_map(|spec| spec.map(entry.name));
        for name in names.filter(|name| of_use(name.as_ref())).map(RefName::from) {
            match followed.insert(name.clone(), entry.name) {
                None => updates.push(update(entry, target.find(&name).map(|there| there.oid), &name)),
                Some(other) if other == entry.name => {}
                Some(other) => return Err(ambiguous(&name, other, entry.name)),
            }
        }
    }
    Ok(updates)
}

fn update<'a>(entry: RemoteRef<'_>, old: Option<ObjectId>, target: &'a BStr) -> Update<'a> {
    Update {
        target,
        old,
        new: Some(entry.oid),
        new_commit: Some(entry.peeled_or_oid()),
        new_is_commit: true,
        on_source: true,
        force: false,
        lease: None,
    }
}

fn ambiguous(name: &BStr, one: &BStr, two: &BStr) -> Error {
    let (name, one, two) = (printable(name), printable(one), printable(two));
    Error::new(
        Kind::Config,
        format!("'{name}' would follow both '{one}' and '{two}'"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(spec: &str) -> Option<Refspec> {
        Refspec::parse(spec.into(), "key").ok()
    }

    fn map(spec: &str, name: &str) -> Option<String> {
        parse(spec).unwrap().map(name.into()).map(|name| name.to_string())
    }

    #[test]
    fn a_star_stands_for_the_same_on_both_sides() {
        assert_eq!(
            map("refs/heads/*", "refs/heads/a/b"),
            Some("refs/heads/a/b".into())
        );
        assert_eq!(
            map("refs/heads/*:refs/x/*", "refs/heads/a"),
            Some("refs/x/a".into())
        );
        assert_eq!(
            map("refs/heads/r-*-x:refs/y/*", "refs/heads/r-1-x"),
            Some("refs/y/1".into())
        );
        assert_eq!(map("refs/heads/*", "refs/tags/a"), None);
        assert_eq!(
            map("refs/heads/a:refs/heads/b", "refs/heads/a"),
            Some("refs/heads/b".into())
        );
        assert_eq!(map("refs/heads/a:refs/heads/b", "refs/heads/ab"), None);
    }

    #[test]
    fn what_could_overwrite_or_mislead_is_refused() {
        for spec in [
            "+refs/heads/*:refs/heads/*",
            "main",
            "refs/heads/*:refs/heads/a",
            ":refs/heads/a",
            "^refs/heads/a",
        ] {
            assert_eq!(parse(spec), None, "{spec}");
        }
    }

    #[test]
    fn it_is_off_unless_the_remote_says_so() {
        let config = Config::parse(b"remote.a.relayonfetch\ntrue\0remote.b.relayonfetch\nmaybe\0");
        assert!(is_wanted("a", &config).unwrap());
        assert!(!is_wanted("c", &config).unwrap());
        assert!(is_wanted("b", &config).is_err());
    }
}
