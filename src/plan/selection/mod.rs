//! Which refs a run is about: from `--branch`, `--map`, `--tags`, `--all-refs` and `--prune` to pairs of refs.
//!
//! Everything here is decided from the two advertisements. Whether an update is allowed is judged elsewhere
//! ([`crate::plan::judge`]); `git push` does not come through here, because git matches its refspecs itself.

mod names;
mod namespaces;
mod obstacles;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bstr::{BStr, BString, ByteSlice};
use gix_hash::ObjectId;

use super::Update;
use crate::error::{Error, Kind, Result, Side, printable};
use crate::wire::refs::{Advertisement, RemoteRef};
use namespaces::{HEADS, Managed, TAGS};
pub use namespaces::{OUR_NAMESPACE, READ_ONLY_NAMESPACES, excluded_namespaces, is_excluded};

/// What the user selected. With neither branches, maps nor [`all_refs`](Selection::all_refs): all branches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Branches to carry over under their own name; short (`main`) or in full (`refs/heads/main`).
    pub branches: Vec<BString>,
    /// `src:dst` pairs as they were written, each name short or in full. `HEAD` stands for the source's default branch.
    pub maps: Vec<BString>,
    /// All tags as well.
    pub tags: bool,
    /// Everything below `refs/` that is not excluded.
    pub all_refs: bool,
    /// Namespaces that are left alone, such as `refs/pull/`; see [`excluded_namespaces`].
    pub exclude: Vec<BString>,
    /// Full names that begin so are left alone, too.
    pub exclude_prefixes: Vec<BString>,
    /// Delete what the source lacks, inside the selected namespaces.
    pub prune: bool,
}

/// A ref of the source and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefPair {
    /// The source's ref, in full.
    pub source: BString,
    /// The target's ref, in full.
    pub target: BString,
    /// The object that the source's ref names.
    pub oid: ObjectId,
    /// What that peels to; the same unless it is a tag object.
    pub peeled: ObjectId,
}

/// What a [`Selection`] means for one source and one target.
#[derive(Debug, Clone)]
pub struct Choice {
    /// What shall be on the target afterwards: the explicitly named first, then by the source's order.
    pub wanted: Vec<RefPair>,
    /// The target's refs that shall go, in the target's order. Empty unless pruning was asked for.
    pub prunes: Vec<BString>,
    managed: Managed,
}

/// How far a run may go in overwriting what is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Overwrite {
    /// Only what is an ancestor of the new value.
    #[default]
    FastForward,
    /// Whatever it is.
    Force,
    /// Whatever it is, as long as it is still what the target advertised.
    Lease,
}

/// Decide what `selection` means for `source` and `target`.
///
/// # Errors
/// [`Kind::Usage`], naming the culprit: a malformed name, a branch that the source lacks, two sources for one target, a
/// branch mapped to a tag or back, nothing selected. [`Kind::Peer`] when the source has no refs at all, so that an empty
/// source never prunes everything.
pub fn select(selection: &Selection, source: &Advertisement, target: &Advertisement) -> Result<Choice> {
    check_prefixes(&selection.exclude_prefixes)?;
    if source.refs.is_empty() {
        let message = "the repository is empty, there is nothing to push from it";
        return Err(Error::new(Kind::Peer, message)
            .on(Side::Source)
            .hint("nothing was changed on the target"));
    }
    let managed = Managed::of(selection);
    let mut wanted = Wanted::default();
    let refs: HashMap<&BStr, &RemoteRef> = source.refs.iter().map(|r| (r.name.as_ref(), r)).collect();
    for branch in &selection.branches {
        let (name, entry) = names::branch(branch, &refs)?;
        wanted.add(entry, name)?;
    }
    for map in &selection.maps {
        let (entry, name) = names::map(map, &refs, source.head.as_ref())?;
        wanted.add(entry, name)?;
    }
    for entry in source.refs.iter().filter(|r| managed.has_namespace(&r.name)) {
        wanted.add(entry, entry.name.clone())?;
    }
    let pairs = wanted.finish()?;
    if pairs.is_empty() {
        return Err(nothing_selected(selection));
    }
    let managed = managed.with_names(pairs.iter().map(|pair| pair.target.clone()));
    let prunes = if selection.prune {
        prunes(&managed, &pairs, target)
    } else {
        Vec::new()
    };
    Ok(Choice {
        wanted: pairs,
        prunes,
        managed,
    })
}

impl Choice {
    /// Whether this run may create, change or delete the target's ref `name`.
    pub fn manages(&self, name: &BStr) -> bool {
        self.managed.contains(name)
    }

    /// The updates for the engine, in the order of [`wanted`](Choice::wanted) and then [`prunes`](Choice::prunes).
    pub fn updates(&self, target: &Advertisement, overwrite: Overwrite) -> Vec<Update> {
        let values: HashMap<&BStr, ObjectId> = target.refs.iter().map(|r| (r.name.as_ref(), r.oid)).collect();
        let old = |name: &BString| values.get(name.as_bstr()).copied();
        let update = |name: &BString, pair: Option<&RefPair>| {
            let old = old(name);
            Update {
                target: name.clone(),
                old,
                new: pair.map(|pair| pair.oid),
                new_commit: pair.map(|pair| pair.peeled),
                new_is_commit: true,
                on_source: true,
                force: overwrite == Overwrite::Force,
                lease: (overwrite == Overwrite::Lease).then_some(old),
            }
        };
        let wanted = self.wanted.iter().map(|pair| update(&pair.target, Some(pair)));
        let prunes = self.prunes.iter().map(|name| update(name, None));
        wanted.chain(prunes).collect()
    }
}

/// The pairs found so far, and which source each target has.
#[derive(Default)]
struct Wanted {
    pairs: Vec<RefPair>,
    by_target: BTreeMap<BString, BString>,
}

impl Wanted {
    /// Naming the same pair twice is harmless, naming two sources for one target is not.
    fn add(&mut self, entry: &RemoteRef, target: BString) -> Result<()> {
        if let Some(other) = self.by_target.get(&target) {
            if *other == entry.name {
                return Ok(());
            }
            let (target, one, two) = (printable(&target), printable(other), printable(&entry.name));
            let message = format!("'{target}' is the target of both '{one}' and '{two}'");
            return Err(Error::new(Kind::Usage, message));
        }
        self.by_target.insert(target.clone(), entry.name.clone());
        self.pairs.push(RefPair {
            source: entry.name.clone(),
            target,
            oid: entry.oid,
            peeled: entry.peeled_or_oid(),
        });
        Ok(())
    }

    /// `a` and `a/b` cannot both exist in one repository.
    fn finish(self) -> Result<Vec<RefPair>> {
        for name in self.by_target.keys() {
            let parents = name.iter().enumerate().filter(|(_, byte)| **byte == b'/');
            for (end, _) in parents {
                let parent = name.get(..end).unwrap_or_default().as_bstr();
                if self.by_target.contains_key(parent) {
                    let (parent, name) = (printable(parent), printable(name));
                    let message = format!("'{parent}' and '{name}' cannot both exist on the target");
                    return Err(Error::new(Kind::Usage, message));
                }
            }
        }
        Ok(self.pairs)
    }
}

fn prunes(managed: &Managed, pairs: &[RefPair], target: &Advertisement) -> Vec<BString> {
    let wanted: HashSet<&BStr> = pairs.iter().map(|pair| pair.target.as_ref()).collect();
    let names: BTreeSet<&BString> = target
        .refs
        .iter()
        .map(|r| &r.name)
        .filter(|name| managed.contains(name.as_bstr()) && !wanted.contains(name.as_bstr()))
        .collect();
    names.into_iter().cloned().collect()
}

fn check_prefixes(prefixes: &[BString]) -> Result<()> {
    match prefixes.iter().find(|prefix| !prefix.starts_with(b"refs/")) {
        None => Ok(()),
        Some(prefix) => {
            let message = format!("--exclude-ref-prefix '{}' begins no ref name", printable(prefix));
            Err(Error::new(Kind::Usage, message).hint("write it in full, as in refs/heads/tmp/"))
        }
    }
}

fn nothing_selected(selection: &Selection) -> Error {
    let what = match (selection.all_refs, selection.tags) {
        (true, _) => "refs that are not excluded",
        (false, true) => "branches or tags",
        (false, false) => "branches",
    };
    Error::new(Kind::Usage, format!("has no {what}, so nothing is selected"))
        .on(Side::Source)
        .hint("nothing was changed on the target; --tags or --all-refs select more")
}

fn is_tag(name: &[u8]) -> bool {
    name.starts_with(TAGS.as_bytes())
}

fn is_branch(name: &[u8]) -> bool {
    name.starts_with(HEADS.as_bytes())
}
