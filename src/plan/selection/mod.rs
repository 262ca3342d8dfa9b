//! Which refs a run is about: from `--branch`, `--map`, `--tags`, `--all-refs` and `--prune` to pairs of refs.
//!
//! Everything here is decided from the two advertisements. Whether an update is allowed is judged elsewhere
//! ([`crate::plan::judge`]); `git push` does not come through here, because git matches its refspecs itself.

mod names;
mod namespaces;
mod obstacles;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;
use std::sync::Arc;

use bstr::{BStr, BString};
use gix_hash::ObjectId;

use super::{Update, Updates};
use crate::error::{Error, Kind, Result, Side, printable};
use crate::wire::columns::Names;
use crate::wire::ref_name::RefName;
use crate::wire::refs::{Advertisement, RemoteRef};
use namespaces::{HEADS, Managed, TAGS};
pub use namespaces::{OUR_NAMESPACE, READ_ONLY_NAMESPACES, excluded_namespaces, is_excluded};
pub use obstacles::Obstacles;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefPair<'a> {
    /// The source's ref.
    pub source: RemoteRef<'a>,
    /// The target's ref, in full.
    pub target: &'a BStr,
}

/// What a [`Selection`] means for one source and one target.
#[derive(Debug, Clone)]
pub struct Choice {
    source: Arc<Advertisement>,
    pairs: Vec<Pair>,
    /// Names that differ from those of their source.
    targets: Names,
    /// The target's refs that shall go, in the target's order. Empty unless pruning was asked for.
    pub prunes: Vec<RefName>,
    managed: Managed,
}

/// A [`RefPair`] that fits in a long list.
#[derive(Debug, Clone)]
struct Pair {
    /// By number in the source's list.
    source: u32,
    /// How many of [`Choice::targets`] there are up to its own, unless it has the same name.
    target: Option<NonZeroU32>,
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
pub fn select(selection: &Selection, source: &Arc<Advertisement>, target: &Advertisement) -> Result<Choice> {
    check_prefixes(&selection.exclude_prefixes)?;
    if source.refs.is_empty() {
        let message = "the repository is empty, there is nothing to push from it";
        return Err(Error::new(Kind::Peer, message)
            .on(Side::Source)
            .hint("nothing was changed on the target"));
    }
    let mut choice = Choice {
        source: source.clone(),
        pairs: Vec::new(),
        targets: Names::default(),
        prunes: Vec::new(),
        managed: Managed::of(selection),
    };
    for branch in &selection.branches {
        let name = names::branch(branch, &source.refs)?;
        choice.add(name.as_ref(), None);
    }
    for map in &selection.maps {
        let (name, target) = names::map(map, source)?;
        choice.add(name.as_ref(), Some(target.as_ref()));
    }
    let named = choice.wanted().map(|pair| pair.target.into()).collect();
    let whole = (0..).zip(source.refs.iter());
    let whole = whole.filter(|(_, entry)| choice.managed.has_namespace(entry.name));
    let whole: Vec<_> = whole.map(|(source, _)| Pair { source, target: None }).collect();
    choice.pairs.extend(whole);
    choice.settle_targets()?;
    if choice.pairs.is_empty() {
        return Err(nothing_selected(selection));
    }
    choice.managed = choice.managed.with_names(named);
    if selection.prune {
        choice.prunes = choice.prunes_on(target);
    }
    Ok(choice)
}

impl Choice {
    /// What shall be on the target afterwards: the explicitly named first, then by the source's order.
    pub fn wanted(&self) -> impl Iterator<Item = RefPair<'_>> + Clone {
        self.pairs.iter().filter_map(|pair| self.pair(pair))
    }

    /// Whether this run may create, change or delete the target's ref `name`.
    pub fn manages(&self, name: &BStr) -> bool {
        self.managed.contains(name)
    }

    /// The updates for the engine, in the order of [`wanted`](Choice::wanted) and then [`prunes`](Choice::prunes). What
    /// the target has already is left out, and so is what has an obstacle.
    pub fn updates(&self, target: &Advertisement, overwrite: Overwrite, obstacles: &Obstacles) -> Updates {
        let old = |name: &BStr| target.find(name).map(|entry| entry.oid);
        let wanted = self.wanted().filter_map(|pair| {
            let old = old(pair.target);
            let is_there = old == Some(pair.source.oid) || obstacles.contains_key(pair.target);
            (!is_there).then(|| update(pair.target, (old, Some(pair.source)), overwrite))
        });
        let prunes = self.prunes.iter();
        let prunes = prunes.map(|name| update(name, (old(name), None), overwrite));
        wanted.chain(prunes).collect()
    }

    fn pair<'a>(&'a self, pair: &'a Pair) -> Option<RefPair<'a>> {
        Some(RefPair {
            source: self.source.refs.get(pair.source as usize)?,
            target: self.target(pair)?,
        })
    }

    fn target<'a>(&'a self, pair: &'a Pair) -> Option<&'a BStr> {
        match pair.target {
            None => self.source.refs.name(pair.source as usize),
            Some(count) => self.targets.get(count.get() as usize - 1),
        }
    }

    fn add(&mut self, source: &BStr, target: Option<&BStr>) {
        target.into_iter().for_each(|name| self.targets.push(name));
        // Neither list has more members than there are numbers.
        let count = NonZeroU32::new(self.targets.len() as u32);
        self.pairs.push(Pair {
            source: self.source.refs.position(source) as u32,
            target: count.filter(|_| target.is_some()),
        });
    }

    /// Naming the same pair twice is harmless, naming two sources for one target is not; and `a` and `a/b` cannot both
    /// exist in one repository.
    fn settle_targets(&mut self) -> Result<()> {
        let target = |number: u32| self.target(self.pairs.get(number as usize)?);
        let mut by_target: Vec<u32> = (0..).zip(&self.pairs).map(|(number, _)| number).collect();
        by_target.sort_unstable_by_key(|number| (target(*number), *number));
        let source = |number: u32| self.pairs.get(number as usize).map(|pair| pair.source);
        let name = |number: u32| Some(printable(self.source.refs.name(source(number)? as usize)?));
        let mut twice = Vec::new();
        for (one, two) in by_target.iter().zip(by_target.iter().skip(1)) {
            let Some(same) = target(*one).filter(|name| target(*two) == Some(*name)) else {
                continue;
            };
            if source(*one) == source(*two) {
                twice.push(*two);
                continue;
            }
            let [one, two] = [one, two].map(|number| name(*number).unwrap_or_default());
            let message = format!("'{}' is the target of both '{one}' and '{two}'", printable(same));
            return Err(Error::new(Kind::Usage, message));
        }
        // Neighbours have the same parents as a rule.
        let mut looked_up = None;
        for name in by_target.iter().filter_map(|number| target(*number)) {
            let parent = obstacles::parents(name).last();
            if std::mem::replace(&mut looked_up, parent) == parent {
                continue;
            }
            let place =
                |parent: &BStr| by_target.binary_search_by_key(&Some(parent), |number| target(*number));
            if let Some(parent) = obstacles::parents(name).find(|parent| place(parent).is_ok()) {
                let (parent, name) = (printable(parent), printable(name));
                let message = format!("'{parent}' and '{name}' cannot both exist on the target");
                return Err(Error::new(Kind::Usage, message));
            }
        }
        twice.sort_unstable();
        let mut number = 0..;
        self.pairs.retain(|_| {
            number
                .next()
                .is_none_or(|number| twice.binary_search(&number).is_err())
        });
        Ok(())
    }

    fn prunes_on(&self, target: &Advertisement) -> Vec<RefName> {
        let mut wanted: Vec<&BStr> = self.wanted().map(|pair| pair.target).collect();
        wanted.sort_unstable();
        let names = target.refs.iter().map(|entry| entry.name);
        names
            .filter(|name| self.managed.contains(name) && wanted.binary_search(name).is_err())
            .map(RefName::from)
            .collect()
    }
}

/// The ref `name` of the target, with its old value and what it shall be in step with.
fn update<'a>(
    name: &'a BStr,
    (old, new): (Option<ObjectId>, Option<RemoteRef<'_>>),
    overwrite: Overwrite,
) -> Update<'a> {
    Update {
        target: name,
        old,
        new: new.map(|entry| entry.oid),
        new_commit: new.map(|entry| entry.peeled_or_oid()),
        new_is_commit: true,
        on_source: true,
        force: overwrite == Overwrite::Force,
        lease: (overwrite == Overwrite::Lease).then_some(old),
    }
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
