//! Commits in a row, each behind its parents, so that the row can be sent piece by piece.
//!
//! However many commits are taken from its start, everything they reach is among them, or was never in the row because
//! the target has it. So each piece can stand on the target by itself, once what came before it does.

use gix_hash::{ObjectId, oid};

use super::history::History;

/// All commits at hand that some tips reach.
pub struct Row {
    history: History,
    /// The numbers of the commits, in order.
    order: Vec<u32>,
    /// By number: the place in `order`, plus one; 0 for what is not in the row.
    places: Vec<u32>,
}

impl Row {
    /// No commits.
    pub fn empty(format: gix_hash::Kind) -> Row {
        Row::new(History::new(format), [])
    }

    /// Line up what `tips` reach: the first of them with all its history, then what the second adds to it, and so on.
    /// Of each commit, the history of its first parent comes before that of the others. Tips that are not at hand are
    /// passed over.
    pub fn new(history: History, tips: impl IntoIterator<Item = ObjectId>) -> Row {
        let mut row = Row {
            order: Vec::with_capacity(history.len()),
            places: vec![0; history.seen()],
            history,
        };
        let mut seen = Seen(vec![false; row.places.len()]);
        for tip in tips {
            if let Some(tip) = row.history.find(&tip).filter(|tip| seen.first_time(*tip)) {
                row.line_up(tip, &mut seen);
            }
        }
        row
    }

    /// The object format of the commits.
    pub fn format(&self) -> gix_hash::Kind {
        self.history.format()
    }

    /// The commits without their order.
    pub fn into_history(self) -> History {
        self.history
    }

    /// A walk that comes back to a commit when all its parents are in the row. Histories are deep, so it keeps its way in
    /// a list of its own instead of calling itself.
    fn line_up(&mut self, tip: u32, seen: &mut Seen) {
        let mut way = vec![(tip, 0u32)];
        while let Some((commit, next)) = way.last_mut() {
            let Some(parents) = self.history.parents(*commit) else {
                way.pop();
                continue;
            };
            match parents.get(*next as usize) {
                Some(parent) => {
                    *next += 1;
                    if seen.first_time(*parent) {
                        way.push((*parent, 0));
                    }
                }
                None => {
                    self.order.push(*commit);
                    // No more commits than numbers, which are 32 bits.
                    let place = self.order.len() as u32;
                    if let Some(slot) = self.places.get_mut(*commit as usize) {
                        *slot = place;
                    }
                    way.pop();
                }
            }
        }
    }

    /// How many commits it takes from the start to have this one among them.
    fn end_of(&self, commit: u32) -> Option<usize> {
        let place = *self.places.get(commit as usize)?;
        (place != 0).then_some(place as usize)
    }

    /// How many commits there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The commit at `place`, counted from 0.
    pub fn id(&self, place: usize) -> Option<ObjectId> {
        self.history.id(*self.order.get(place)?)
    }

    /// How many commits it takes from the start to have `commit` among them; `None` if it is not in the row.
    pub fn end_at(&self, commit: &oid) -> Option<usize> {
        self.end_of(self.history.find(commit)?)
    }

    /// Of the commits from place `from` to before place `to`, those that no other of them has as a parent: together they
    /// reach all of them.
    pub fn tips_between(&self, from: usize, to: usize) -> Vec<ObjectId> {
        let range = self.order.get(from..to).unwrap_or_default();
        let mut is_parent = vec![false; range.len()];
        for parent in range.iter().filter_map(|nr| self.history.parents(*nr)).flatten() {
            let place = self.end_of(*parent).and_then(|end| end.checked_sub(from + 1));
            if let Some(mark) = place.and_then(|place| is_parent.get_mut(place)) {
                *mark = true;
            }
        }
        let tips = range.iter().zip(is_parent).filter(|(_, is_parent)| !is_parent);
        tips.filter_map(|(nr, _)| self.history.id(*nr)).collect()
    }

    /// The numbers of commits to take from the start so that all tips of what is taken stand at places that are `held`.
    pub fn stops(&self, held: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut is_tip = vec![false; self.order.len()];
        let mut loose = 0usize;
        let mut stops = Vec::new();
        for (place, commit) in self.order.iter().enumerate() {
            for parent in self.history.parents(*commit).unwrap_or_default() {
                let before = self.end_of(*parent).map(|end| end - 1);
                let tip = before.and_then(|before| is_tip.get_mut(before));
                if tip.is_some_and(std::mem::take) && !before.is_some_and(&held) {
                    loose -= 1;
                }
            }
            if let Some(tip) = is_tip.get_mut(place) {
                *tip = true;
            }
            loose += usize::from(!held(place));
            stops.extend((loose == 0).then_some(place + 1));
        }
        stops
    }

    /// The places of `tip` and its first parents, in rising order, as far back as they are in the row and descend from
    /// `old`, if there is one. A branch at `old` can be moved to each of them without losing a commit.
    pub fn main_line(&self, tip: &oid, old: Option<&oid>) -> Vec<usize> {
        let descends = old.map(|old| self.descendants(old));
        let is_good = |place: usize| descends.as_ref().is_none_or(|all| all.get(place) == Some(&true));
        let mut line = Vec::new();
        let mut next = self.history.find(tip);
        let mut before = usize::MAX;
        // Towards the start only: forged ids could lead in a circle.
        while let Some(end) = next
            .and_then(|commit| self.end_of(commit))
            .filter(|end| *end < before)
        {
            line.extend(Some(end - 1).filter(|place| is_good(*place)));
            before = end;
            next = next.and_then(|commit| self.history.parents(commit)?.first().copied());
        }
        line.reverse();
        line
    }

    /// For each place whether its commit has `old` among its ancestors, as far as the commits at hand show it.
    fn descendants(&self, old: &oid) -> Vec<bool> {
        let old = self.history.find(old);
        let mut descends = vec![false; self.order.len()];
        for (place, commit) in self.order.iter().enumerate() {
            let mut parents = self.history.parents(*commit).unwrap_or_default().iter();
            let found = parents.any(|parent| {
                let does = self.end_of(*parent).and_then(|end| descends.get(end - 1));
                Some(*parent) == old || does == Some(&true)
            });
            if let Some(slot) = descends.get_mut(place) {
                *slot = found;
            }
        }
        descends
    }
}

struct Seen(Vec<bool>);

impl Seen {
    fn first_time(&mut self, number: u32) -> bool {
        let slot = self.0.get_mut(number as usize);
        slot.is_some_and(|seen| !std::mem::replace(seen, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oid(name: char) -> ObjectId {
        ObjectId::from_hex(format!("{:040x}", u32::from(name)).as_bytes()).unwrap()
    }

    /// `commits` as `child:parents`; what is only a parent is not at hand.
    fn row(commits: &[&str], tips: &str) -> Row {
        let mut history = History::new(gix_hash::Kind::Sha1);
        for commit in commits {
            let (child, parents) = commit.split_once(':').unwrap();
            let parents: Vec<_> = parents.chars().map(oid).collect();
            history
                .insert(&oid(child.chars().next().unwrap()), &parents)
                .unwrap();
        }
        Row::new(history, tips.chars().map(oid))
    }

    fn names(ids: impl IntoIterator<Item = ObjectId>) -> String {
        let name = |id: ObjectId| {
            let digits = u32::from_str_radix(&id.to_string()[32..], 16).unwrap();
            char::from_u32(digits).unwrap()
        };
        ids.into_iter().map(name).collect()
    }

    fn order(row: &Row) -> String {
        names((0..row.len()).map(|place| row.id(place).unwrap()))
    }

    /// A main line a-b-c-M-d, where M merges x-y, which left it at a; and a branch of its own from b.
    const MERGED: [&str; 8] = ["a:", "b:a", "c:b", "x:a", "y:x", "M:cy", "d:M", "z:b"];

    #[test]
    fn parents_come_first_and_the_first_of_them_before_the_others() {
        assert_eq!(order(&row(&MERGED, "dz")), "abcxyMdz");
        assert_eq!(order(&row(&MERGED, "zd")), "abzcxyMd");
        // A tip that another one reaches adds nothing, and neither does one that is not at hand.
        assert_eq!(order(&row(&MERGED, "cdyq")), "abcxyMd");
    }

    #[test]
    fn what_the_target_has_is_not_in_the_row() {
        let row = row(&["c:b", "d:cq"], "d");
        assert_eq!(order(&row), "cd");
        assert_eq!((row.end_at(&oid('d')), row.end_at(&oid('b'))), (Some(2), None));
    }

    #[test]
    fn the_tips_of_a_piece_reach_all_of_it() {
        let row = row(&MERGED, "dz");
        let tips = |from, to| names(row.tips_between(from, to));
        assert_eq!(tips(0, 8), "dz");
        assert_eq!(tips(0, 5), "cy");
        assert_eq!(tips(2, 4), "cx");
        assert_eq!(tips(3, 4), "x");
        assert_eq!(tips(5, 6), "M");
        assert_eq!((tips(4, 4), tips(7, 99)), (String::new(), String::new()));
    }

    #[test]
    fn a_branch_moves_along_its_first_parents_from_where_it_is() {
        let row = row(&MERGED, "dz");
        let line = |tip, old: Option<char>| {
            let places = row.main_line(&oid(tip), old.map(oid).as_deref());
            names(places.into_iter().map(|place| row.id(place).unwrap()))
        };
        assert_eq!(line('d', None), "abcMd");
        assert_eq!(line('d', Some('b')), "cMd");
        // y comes in with M.
        assert_eq!(line('d', Some('y')), "Md");
        assert_eq!(line('z', Some('y')), "");
        assert_eq!(line('q', None), "");
    }

    #[test]
    fn a_stop_is_where_all_tips_are_held() {
        let row = row(&MERGED, "dz");
        let stops = |held: &str| row.stops(|place| held.contains(&names(row.id(place))));
        // As long as the branch that was merged is not held, nothing between it and its merge can be.
        assert_eq!(stops("abcMdz"), [1, 2, 3, 6, 7, 8]);
        assert_eq!(stops("abcMdzxy"), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(stops("dz"), [7, 8]);
        assert_eq!(stops("d"), [7]);
    }

    #[test]
    fn circles_of_forged_commits_end() {
        let row = row(&["a:b", "b:a", "c:b"], "c");
        assert_eq!((row.len(), row.main_line(&oid('c'), None).len()), (3, 3));
    }
}
