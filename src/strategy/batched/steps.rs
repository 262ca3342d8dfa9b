//! Moving the pushed refs themselves forward, step by step: for targets that take no refs of our own. Pure.

use std::collections::HashMap;

use gix_hash::ObjectId;

use super::graph::Tags;
use crate::plan::Row;
use crate::wire::changes::{Change, Commands};
use crate::wire::ref_name::RefName;

/// Places in a row of commits at which refs can be set so that they hold all that was sent by then.
pub(super) struct Steps {
    /// The refs that are created or moved.
    refs: Vec<Step>,
    /// By place: the branch that can be moved there, or else a ref that belongs there, by its number in `refs`.
    holders: Vec<Option<u32>>,
    /// How many commits may be taken from the start of the row.
    stops: Vec<usize>,
}

/// One ref on its way.
struct Step {
    name: RefName,
    /// The value that it has by now.
    old: Option<ObjectId>,
    /// The value that it shall get.
    new: ObjectId,
    is_branch: bool,
    /// How many commits of the row its last value needs; `None` if it needs none.
    end: Option<usize>,
    /// It has another value than at the start.
    has_moved: bool,
    is_done: bool,
}

impl Steps {
    /// For those of `commands` that create or move refs, and the row for them. What was rewritten cannot go step by step
    /// and comes first, so that it shows at once if it is too large.
    pub(super) fn new<'a>(commands: impl Iterator<Item = Change<'a>>, tags: &Tags, row: Row) -> (Steps, Row) {
        let step = |change: Change<'_>| Step::new(change.name.into(), change.old, change.new?).into();
        let mut refs: Vec<Step> = commands.filter_map(step).collect();
        refs.sort_by_cached_key(|step| {
            let moves = step.old.is_some() && row.end_at(&tags.peel(step.new)).is_some();
            !(moves && step.line(&row).is_empty())
        });
        let tips: Vec<_> = refs.iter().map(|step| tags.peel(step.new)).collect();
        let row = Row::new(row.into_history(), tips.iter().copied());
        let mut holders = vec![None; row.len()];
        for (number, step) in (0..).zip(&refs) {
            for place in step.line(&row) {
                if let Some(holder) = holders.get_mut(place) {
                    // The first one has it: on an empty target that is the default branch.
                    holder.get_or_insert(number);
                }
            }
        }
        for ((number, step), tip) in (0..).zip(&mut refs).zip(tips) {
            step.end = row.end_at(&tip);
            if let Some(holder) = step.end.and_then(|end| holders.get_mut(end - 1)) {
                holder.get_or_insert(number);
            }
        }
        let stops = row.stops(|place| holders.get(place).is_some_and(Option::is_some));
        let steps = Steps { refs, holders, stops };
        (steps, row)
    }

    /// The place to stop at behind `from` that comes closest to `wanted` without going beyond it, or else the next one.
    pub(super) fn fit(&self, from: usize, wanted: usize) -> Option<usize> {
        let next = self.stops.partition_point(|stop| *stop <= from);
        let beyond = self.stops.partition_point(|stop| *stop <= wanted);
        self.stops.get(next.max(beyond.saturating_sub(1))).copied()
    }

    /// The commands that hold what lies between two stops.
    pub(super) fn commands(&self, row: &Row, from: usize, to: usize) -> Commands {
        let mut values: Vec<Option<ObjectId>> = vec![None; self.refs.len()];
        for tip in row.tips_between(from, to) {
            let holder = row.end_at(&tip).and_then(|end| *self.holders.get(end - 1)?);
            if let Some(value) = holder.and_then(|number| values.get_mut(number as usize)) {
                *value = Some(tip);
            }
        }
        let value = |step: &Step, value: Option<ObjectId>| {
            // Tags that hold nothing can wait: there may be more of them than fit.
            match step.is_branch {
                true if step.is_due(to) => Some(step.new),
                true => value.filter(|_| !step.is_done),
                false => value.map(|_| step.new),
            }
        };
        let pairs = self.refs.iter().zip(values);
        let commands = pairs.filter_map(|(step, held)| Some(step.change_to(value(step, held)?)));
        commands.collect()
    }

    /// `commands` were carried out, and what is up to `to` is on the target. Gives the refs that are on their way, with
    /// the values that they have now.
    pub(super) fn have(&mut self, commands: &Commands, to: usize) -> HashMap<RefName, ObjectId> {
        let values: HashMap<_, _> = commands
            .iter()
            .map(|command| (command.name, command.new))
            .collect();
        for step in &mut self.refs {
            step.is_done |= step.is_branch && step.is_due(to);
            if let Some(value) = values.get(&*step.name) {
                step.is_done |= *value == Some(step.new);
                step.has_moved = true;
                step.old = *value;
            }
        }
        let on_their_way = self.refs.iter().filter(|step| step.has_moved && !step.is_done);
        on_their_way
            .filter_map(|step| Some((step.name.clone(), step.old?)))
            .collect()
    }

    /// What is left to do.
    pub(super) fn left(&self) -> impl Iterator<Item = Change<'_>> {
        let left = self.refs.iter().filter(|step| !step.is_done);
        left.map(|step| step.change_to(step.new))
    }
}

impl Step {
    fn new(name: RefName, old: Option<ObjectId>, new: ObjectId) -> Step {
        Step {
            is_branch: name.starts_with(b"refs/heads/"),
            name,
            old,
            new,
            end: None,
            has_moved: false,
            is_done: false,
        }
    }

    fn change_to(&self, new: ObjectId) -> Change<'_> {
        Change {
            name: &self.name,
            old: self.old,
            new: Some(new),
        }
    }

    /// The places that the ref can be moved to one after the other; none if it is no branch, or was rewritten.
    fn line(&self, row: &Row) -> Vec<usize> {
        match self.is_branch {
            true => row.main_line(&self.new, self.old.as_deref()),
            false => Vec::new(),
        }
    }

    /// Whether its last value is held by so many commits, and it does not have it yet.
    fn is_due(&self, to: usize) -> bool {
        !self.is_done && self.end.is_some_and(|end| end <= to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::history::History;

    fn oid(name: char) -> ObjectId {
        ObjectId::from_hex(format!("{:040x}", u32::from(name)).as_bytes()).unwrap()
    }

    /// A main line a-b-c-M-d, where M merges x-y; `commands` are `name old new`, with `-` for no value.
    fn steps(commands: &[&'static str]) -> (Steps, Row) {
        let mut history = History::new(gix_hash::Kind::Sha1);
        for commit in ["a:", "b:a", "c:b", "x:a", "y:x", "M:cy", "d:M"] {
            let (child, parents) = commit.split_once(':').unwrap();
            let parents: Vec<_> = parents.chars().map(oid).collect();
            history
                .insert(&oid(child.chars().next().unwrap()), &parents)
                .unwrap();
        }
        let command = |line: &&'static str| {
            let [name, old, new] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!()
            };
            let value = |text: &str| match text {
                "-" => None,
                name => name.chars().next().map(oid),
            };
            Change {
                name: name.into(),
                old: value(old),
                new: value(new),
            }
        };
        let commands: Vec<_> = commands.iter().map(command).collect();
        let row = Row::new(history, commands.iter().filter_map(|command| command.new));
        Steps::new(commands.into_iter(), &Tags::default(), row)
    }

    fn told(commands: &Commands) -> Vec<String> {
        let name = |id: Option<ObjectId>| {
            let digits = id.map(|id| u32::from_str_radix(&id.to_string()[32..], 16).unwrap());
            digits.and_then(char::from_u32).unwrap_or('-')
        };
        let line = |c: Change<'_>| format!("{} {} {}", c.name, name(c.old), name(c.new));
        commands.iter().map(line).collect()
    }

    #[test]
    fn a_branch_goes_where_all_before_it_is_held() {
        let (steps, _) = steps(&["refs/heads/main - d"]);
        assert_eq!(steps.stops, [1, 2, 3, 6, 7]);
        assert_eq!(
            (steps.fit(0, 2), steps.fit(0, 5), steps.fit(3, 5)),
            (Some(2), Some(3), Some(6))
        );
        assert_eq!((steps.fit(6, 99), steps.fit(7, 99)), (Some(7), None));
    }

    #[test]
    fn branches_that_were_merged_hold_their_own_commits() {
        let commands = ["refs/heads/main - d", "refs/heads/side - y", "refs/tags/t - c"];
        let (mut steps, row) = steps(&commands);
        assert_eq!(steps.stops, [1, 2, 3, 4, 5, 6, 7]);
        let first = steps.commands(&row, 0, 4);
        assert_eq!(told(&first), ["refs/heads/main - c", "refs/heads/side - x"]);
        let half_way = steps.have(&first, 4);
        assert_eq!(half_way.get(&RefName::from("refs/heads/main")), Some(&oid('c')));
        assert_eq!(half_way.len(), 2);
        let second = steps.commands(&row, 4, 6);
        assert_eq!(told(&second), ["refs/heads/main c M", "refs/heads/side x y"]);
        steps.have(&second, 6);
        let left: Commands = steps.left().collect();
        assert_eq!(told(&left), ["refs/heads/main M d", "refs/tags/t - c"]);
    }

    #[test]
    fn a_tag_holds_what_no_branch_does() {
        let (mut steps, row) = steps(&["refs/heads/main - c", "refs/tags/t - y", "refs/tags/u - b"]);
        assert_eq!(steps.stops, [1, 2, 3, 5]);
        steps.have(&steps.commands(&row, 0, 3), 3);
        assert_eq!(told(&steps.commands(&row, 3, 5)), ["refs/tags/t - y"]);
    }

    #[test]
    fn what_was_rewritten_comes_first_and_whole() {
        let (steps, row) = steps(&["refs/heads/main - d", "refs/heads/other q y"]);
        // The first commit is one of main's as well.
        assert_eq!(steps.stops, [1, 3, 4, 5, 6, 7]);
        assert_eq!(told(&steps.commands(&row, 1, 3)), ["refs/heads/other q y"]);
    }
}
