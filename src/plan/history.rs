//! Who descends from whom, as far as a pile of commits can tell.
//!
//! Is the commit *old* an ancestor of the commit *new*? A source answers `want new, have old` with commits: those that
//! new reaches and old does not, sometimes with more. Old is an ancestor exactly if it is a parent of one that new
//! reaches among them. That holds as long as old was the only have: the walk can also end at another one, before it
//! comes to old, and then nothing is known.

use std::collections::HashSet;

use gix_hash::{Kind as Format, ObjectId, oid};

use crate::error::{Error, Kind, Result};
use crate::wire::ids::IdTable;

#[cfg(test)]
mod tests;

/// Whether one commit is an ancestor of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ancestry {
    /// It is, or both are the same.
    Yes,
    /// It is not.
    No,
    /// The commits at hand do not tell.
    Unknown,
}

/// Where the commits lie that are reached but not at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Beyond {
    /// Each of them is reached by the old commit too: it was the only have of a request that was answered in full.
    Old,
    /// Anywhere.
    Anywhere,
}

/// Commits and their parents, in any order of arrival. For each commit some 40 bytes in SHA-1 and 52 in SHA-256.
pub struct History {
    ids: IdTable,
    /// By number: where the commit's parents stand in `links`, plus one; 0 while only its id is known.
    starts: Vec<u32>,
    /// For each commit the count of its parents, then their numbers.
    links: Vec<u32>,
    commits: usize,
    grafts: HashSet<u32>,
}

impl History {
    /// No commits yet.
    pub fn new(format: Format) -> Self {
        History {
            ids: IdTable::new(format),
            starts: Vec::new(),
            links: Vec::new(),
            commits: 0,
            grafts: HashSet::new(),
        }
    }

    /// Add a commit with the parents that stand in it. A second time changes nothing.
    ///
    /// # Errors
    ///
    /// [`Kind::Limit`] beyond four thousand million commits and parents, [`Kind::Internal`] for ids of another format.
    pub fn insert(&mut self, commit: &oid, parents: &[ObjectId]) -> Result<()> {
        let commit = self.number(commit)?;
        if self.parents(commit).is_some() {
            return Ok(());
        }
        let too_many = || Error::new(Kind::Limit, "too many commits");
        let start = u32::try_from(self.links.len() + 1).map_err(|_| too_many())?;
        self.links
            .push(u32::try_from(parents.len()).map_err(|_| too_many())?);
        for parent in parents {
            let parent = self.number(parent)?;
            self.links.push(parent);
        }
        if let Some(place) = self.starts.get_mut(commit as usize) {
            *place = start;
            self.commits += 1;
        }
        Ok(())
    }

    /// Say that the other side does not have this commit's parents, as a `shallow` line of its answer does.
    ///
    /// # Errors
    ///
    /// As for [`insert`](Self::insert).
    pub fn graft(&mut self, commit: &oid) -> Result<()> {
        let commit = self.number(commit)?;
        self.grafts.insert(commit);
        Ok(())
    }

    /// The object format of the ids.
    pub fn format(&self) -> Format {
        self.ids.format()
    }

    /// How many commits are at hand.
    pub fn len(&self) -> usize {
        self.commits
    }

    /// Whether no commit is at hand.
    pub fn is_empty(&self) -> bool {
        self.commits == 0
    }

    /// Whether `old` is an ancestor of `new` (both commits), in a time that grows with the whole history.
    pub fn is_ancestor(&self, old: &oid, new: &oid, beyond: Beyond) -> Ancestry {
        if old == new {
            return Ancestry::Yes;
        }
        let Some(new) = self.ids.get(new) else {
            return match beyond {
                Beyond::Old => Ancestry::No,
                Beyond::Anywhere => Ancestry::Unknown,
            };
        };
        // An id that was never seen is nobody's parent: any number that is not in use stands for it.
        let old = self.ids.get(old).unwrap_or(u32::MAX);
        let walks = self.walk(&[Pair { old, new }]);
        walks
            .first()
            .map_or(Ancestry::Unknown, |walk| walk.conclude(beyond))
    }

    fn number(&mut self, id: &oid) -> Result<u32> {
        let number = self.ids.intern(id)?;
        if number as usize == self.starts.len() {
            self.starts.push(0);
        }
        Ok(number)
    }

    /// The number of a commit whose id has been seen; numbers are given in the order of sight, from 0 on.
    pub(super) fn find(&self, id: &oid) -> Option<u32> {
        self.ids.get(id)
    }

    /// The id that has this number.
    pub(super) fn id(&self, number: u32) -> Option<ObjectId> {
        self.ids.id(number)
    }

    /// How many ids have been seen, of commits at hand and of others.
    pub(super) fn seen(&self) -> usize {
        self.starts.len()
    }

    /// Whether this commit is at hand, not just its id.
    pub fn contains(&self, id: &oid) -> bool {
        self.find(id).is_some_and(|number| self.parents(number).is_some())
    }

    /// The numbers of a commit's parents; `None` for one that is not at hand.
    pub(super) fn parents(&self, commit: u32) -> Option<&[u32]> {
        let start = self.starts.get(commit as usize)?.checked_sub(1)?;
        let (count, rest) = self.links.get(start as usize..)?.split_first()?;
        rest.get(..*count as usize)
    }

    /// Walk from every `new` to all that it reaches.
    fn walk(&self, pairs: &[Pair]) -> Vec<Walk> {
        let order = self.children_first();
        let groups = pairs.chunks(u64::BITS as usize);
        groups.flat_map(|group| self.walk_group(&order, group)).collect()
    }

    /// The commits at hand, each after all of its children.
    fn children_first(&self) -> Vec<u32> {
        let mut children = vec![0u32; self.starts.len()];
        let numbers = 0..self.starts.len() as u32;
        for parent in numbers.clone().filter_map(|nr| self.parents(nr)).flatten() {
            if let Some(count) = children.get_mut(*parent as usize) {
                *count += 1;
            }
        }
        let is_tip = |nr: &u32| children.get(*nr as usize) == Some(&0) && self.parents(*nr).is_some();
        let mut order: Vec<u32> = numbers.filter(is_tip).collect();
        let mut next = 0;
        while let Some(commit) = order.get(next) {
            next += 1;
            for parent in self.parents(*commit).unwrap_or_default() {
                let Some(count) = children.get_mut(*parent as usize) else {
                    continue;
                };
                *count -= 1;
                if *count == 0 && self.parents(*parent).is_some() {
                    order.push(*parent);
                }
            }
        }
        order
    }

    /// Up to 64 walks at once: a bit for each at every commit that it reaches.
    fn walk_group(&self, order: &[u32], group: &[Pair]) -> Vec<Walk> {
        let mut reached = vec![0u64; self.starts.len()];
        for (bit, pair) in group.iter().enumerate() {
            mark(&mut reached, pair.new, 1 << bit);
        }
        let mut cut = 0;
        for commit in order {
            let by = reached.get(*commit as usize).copied().unwrap_or_default();
            if by == 0 {
                continue;
            }
            if self.grafts.contains(commit) {
                cut |= by;
            }
            for parent in self.parents(*commit).unwrap_or_default() {
                mark(&mut reached, *parent, by);
            }
        }
        let absent = reached.iter().zip(&self.starts).filter(|(_, start)| **start == 0);
        let left = absent.fold(0, |left, (by, _)| left | by);
        let walk = |(bit, pair): (usize, &Pair)| Walk {
            found: reached
                .get(pair.old as usize)
                .is_some_and(|by| by & (1 << bit) != 0),
            left: left & (1 << bit) != 0,
            cut: cut & (1 << bit) != 0 || order.len() != self.commits,
        };
        group.iter().enumerate().map(walk).collect()
    }
}

fn mark(reached: &mut [u64], number: u32, by: u64) {
    if let Some(bits) = reached.get_mut(number as usize) {
        *bits |= by;
    }
}

/// A question, in numbers.
#[derive(Debug, Clone, Copy)]
struct Pair {
    old: u32,
    new: u32,
}

/// How a walk from the new commit went.
#[derive(Debug, Clone, Copy)]
struct Walk {
    /// It came to the old commit.
    found: bool,
    /// It came to a commit that is not at hand.
    left: bool,
    /// It came to a commit whose parents the other side lacks. (Or there are circles, which only forged ids can make.)
    cut: bool,
}

impl Walk {
    fn conclude(self, beyond: Beyond) -> Ancestry {
        if self.found {
            Ancestry::Yes
        } else if self.cut || (self.left && beyond == Beyond::Anywhere) {
            Ancestry::Unknown
        } else {
            Ancestry::No
        }
    }
}

/// One request that asks about several pairs of commits at once, answered while its commits arrive.
///
/// With more than one have, a pair without a yes is mostly [`Ancestry::Unknown`], and has to be asked alone.
pub struct ForwardQuestion {
    history: History,
    asked: Vec<Asked>,
    /// Old commits that have not shown as anyone's parent: while there is one, not everything can be proven.
    unseen: HashSet<u32>,
    /// How many commits were at hand when the proofs were last tried.
    tried_at: Option<usize>,
}

struct Asked {
    pair: Pair,
    /// The old commit was the only have.
    alone: bool,
    proven: bool,
}

impl ForwardQuestion {
    /// Ask whether the first of each of `pairs` is an ancestor of the second (both commits).
    ///
    /// `haves` are all that the request names, whether the source knows them or not.
    ///
    /// # Errors
    ///
    /// [`Kind::Internal`] for ids of another format.
    pub fn new(format: Format, pairs: &[(ObjectId, ObjectId)], haves: &[ObjectId]) -> Result<Self> {
        let mut history = History::new(format);
        let mut asked = Vec::with_capacity(pairs.len());
        for (old, new) in pairs {
            let pair = Pair {
                old: history.number(old)?,
                new: history.number(new)?,
            };
            asked.push(Asked {
                pair,
                alone: !haves.is_empty() && haves.iter().all(|have| have == old),
                proven: old == new,
            });
        }
        let unproven = asked.iter().filter(|asked| !asked.proven);
        Ok(ForwardQuestion {
            unseen: unproven.map(|asked| asked.pair.old).collect(),
            history,
            asked,
            tried_at: None,
        })
    }

    /// Take in the next commit; true if every pair has been proven to be a yes, so that the rest need not be read.
    ///
    /// # Errors
    ///
    /// As for [`History::insert`].
    pub fn feed(&mut self, commit: &oid, parents: &[ObjectId]) -> Result<bool> {
        self.history.insert(commit, parents)?;
        for parent in parents {
            if let Some(number) = self.history.ids.get(parent) {
                self.unseen.remove(&number);
            }
        }
        if self.unseen.is_empty() && self.is_due() {
            self.try_proofs();
        }
        Ok(self.is_proven())
    }

    /// The source says that it lacks this commit's parents (a `shallow` line of its answer).
    ///
    /// # Errors
    ///
    /// As for [`History::insert`].
    pub fn graft(&mut self, commit: &oid) -> Result<()> {
        self.history.graft(commit)
    }

    /// Whether every pair has been proven to be a yes.
    pub fn is_proven(&self) -> bool {
        self.asked.iter().all(|asked| asked.proven)
    }

    /// The answers, in the order of the pairs. `complete` says that the whole answer of the source was read and
    /// understood; without that, what did not arrive can be anything.
    pub fn answers(&self, complete: bool) -> Vec<Ancestry> {
        let pairs: Vec<_> = self.asked.iter().map(|asked| asked.pair).collect();
        let walks = self.history.walk(&pairs);
        let answer = |(asked, walk): (&Asked, Walk)| {
            let told = complete && asked.alone;
            walk.conclude(if told { Beyond::Old } else { Beyond::Anywhere })
        };
        self.asked.iter().zip(walks).map(answer).collect()
    }

    /// The commits that have arrived.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Commits mostly come with their children before them, and the first try succeeds. When it does not, the next
    /// ones wait for a quarter more commits each, so that all of them together stay linear.
    fn is_due(&self) -> bool {
        let at = self.tried_at.map_or(0, |at| at + at / 4 + 1);
        !self.is_proven() && self.history.len() >= at
    }

    fn try_proofs(&mut self) {
        self.tried_at = Some(self.history.len());
        let unproven = || self.asked.iter().filter(|asked| !asked.proven);
        let pairs: Vec<_> = unproven().map(|asked| asked.pair).collect();
        let walks = self.history.walk(&pairs);
        let unproven = self.asked.iter_mut().filter(|asked| !asked.proven);
        for (asked, walk) in unproven.zip(walks) {
            asked.proven = walk.found;
        }
    }
}
