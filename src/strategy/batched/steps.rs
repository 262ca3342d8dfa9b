//! Moving the pushed refs themselves forward, step by step: for targets that take no refs of our own. Pure.

use std::collections::HashMap;

use gix_hash::ObjectId;

use super::graph::Tags;
use crate::plan::Row;
use crate::receive_pack::Command;
use crate::wire::ref_name::RefName;

/// Places in a row of commits at which refs can be set so that they hold all that was sent by then.
pub(super) struct Steps {
    /// The commands that create or move a ref, with the value that each ref has by now.
    commands: Vec<Step>,
    /// By place: the branch that can be moved there, or else a ref that belongs there, by its number in `commands`.
    holders: Vec<Option<u32>>,
    /// How many commits may be taken from the start of the row.
    stops: Vec<usize>,
}

/// One ref on its way.
struct Step {
    command: Command,
    is_branch: bool,
    /// How many commits of the row its last value needs; `None` if it needs none.
    end: Option<usize>,
    /// It has another value than at the start.
    has_moved: bool,
    is_done: bool,
}

impl Steps {
    /// Those of `commands`, which create or move refs, and the row for them. What was rewritten cannot go step by step
    /// and comes first, so that it shows at once if it is too large.
    pub(super) fn new(mut commands: Vec<Command>, tags: &Tags, row: Row) -> (Steps, Row) {
        commands.sort_by_cached_key(|command| {
            let moves = !command.old.is_null() && row.end_at(&tags.peel(command.new)).is_some();
            !(moves && line(&row, command).is_empty())
        });
        let tips: Vec<_> = commands.iter().map(|command| tags.peel(command.new)).collect();
        let row = Row::new(row.into_history(), tips.iter().copied());
        let mut holders = vec![None; row.len()];
        for (number, command) in (0..).zip(&commands) {
            for place in line(&row, command) {
                if let Some(holder) = holders.get_mut(place) {
                    // The first one has it: on an empty target that is the default branch.
                    holder.get_or_insert(number);
                }
            }
        }
        let steps = (0..).zip(commands).zip(tips).map(|((number, command), tip)| {
            let end = row.end_at(&tip);
            if let Some(holder) = end.and_then(|end| holders.get_mut(end - 1)) {
                holder.get_or_insert(number);
            }
            Step {
                is_branch: command.name.starts_with(b"refs/heads/"),
                command,
                end,
                has_moved: false,
                is_done: false,
            }
        });
        let commands = steps.collect();
        let stops = row.stops(|place| holders.get(place).is_some_and(Option::is_some));
        let steps = Steps {
            commands,
            holders,
            stops,
        };
        (steps, row)
    }

    /// The place to stop at behind `from` that comes closest to `wanted` without going beyond it, or else the next one.
    pub(super) fn fit(&self, from: usize, wanted: usize) -> Option<usize> {
        let next = self.stops.partition_point(|stop| *stop <= from);
        let beyond = self.stops.partition_point(|stop| *stop <= wanted);
        self.stops.get(next.max(beyond.saturating_sub(1))).copied()
    }

    /// The commands that hold what lies between two stops.
    pub(super) fn commands(&self, row: &Row, from: usize, to: usize) -> Vec<Command> {
        let mut values: Vec<Option<ObjectId>> = vec![None; self.commands.len()];
        for tip in row.tips_between(from, to) {
            let holder = row.end_at(&tip).and_then(|end| *self.holders.get(end - 1)?);
            if let Some(value) = holder.and_then(|number| values.get_mut(number as usize)) {
                *value = Some(tip);
            }
        }
        let pairs = self.commands.iter().zip(values);
        let command = |(step, value): (&Step, Option<ObjectId>)| {
            // Tags that hold nothing can wait: there may be more of them than fit.
            let new = match step.is_branch {
                true if step.is_due(to) => step.command.new,
                true => value.filter(|_| !step.is_done)?,
                false => value.map(|_| step.command.new)?,
            };
            Some(Command {
                new,
                ..step.command.clone()
            })
        };
        pairs.filter_map(command).collect()
    }

    /// `commands` were carried out, and what is up to `to` is on the target. Gives the refs that are on their way, with
    /// the values that they have now.
    pub(super) fn have(&mut self, commands: &[Command], to: usize) -> HashMap<RefName, ObjectId> {
        let values: HashMap<&RefName, ObjectId> = commands
            .iter()
            .map(|command| (&command.name, command.new))
            .collect();
        for step in &mut self.commands {
            step.is_done |= step.is_branch && step.is_due(to);
            if let Some(value) = values.get(&step.command.name) {
                step.is_done |= *value == step.command.new;
                step.has_moved = true;
                step.command.old = *value;
            }
        }
        let on_their_way = self
            .commands
            .iter()
            .filter(|step| step.has_moved && !step.is_done);
        on_their_way
            .map(|step| (step.command.name.clone(), step.command.old))
            .collect()
    }

    /// What is left to do.
    pub(super) fn left(&self) -> impl Iterator<Item = &Command> {
        let left = self.commands.iter().filter(|step| !step.is_done);
        left.map(|step| &step.command)
    }

    /// The refs that have their last value.
    pub(super) fn finished(&self) -> impl Iterator<Item = &Command> {
        let done = self.commands.iter().filter(|step| step.is_done);
        done.map(|step| &step.command)
    }
}

impl Step {
    /// Whether its last value is held by so many commits, and it does not have it yet.
    fn is_due(&self, to: usize) -> bool {
        !self.is_done && self.end.is_some_and(|end| end <= to)
    }
}

/// The places that the ref can be moved to one after the other; none if it is no branch, or was rewritten.
fn line(row: &Row, command: &Command) -> Vec<usize> {
    let old = (!command.old.is_null()).then_some(&*command.old);
    match command.name.starts_with(b"refs/heads/") {
        true => row.main_line(&command.new, old),
        false => Vec::new(),
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
    fn steps(commands: &[&str]) -> (Steps, Row) {
        let mut history = History::new(gix_hash::Kind::Sha1);
        for commit in ["a:", "b:a", "c:b", "x:a", "y:x", "M:cy", "d:M"] {
            let (child, parents) = commit.split_once(':').unwrap();
            let parents: Vec<_> = parents.chars().map(oid).collect();
            history
                .insert(&oid(child.chars().next().unwrap()), &parents)
                .unwrap();
        }
        let command = |line: &&str| {
            let [name, old, new] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!()
            };
            let value = |text: &str| match text {
                "-" => ObjectId::null(gix_hash::Kind::Sha1),
                name => oid(name.chars().next().unwrap()),
            };
            Command {
                name: name.into(),
                old: value(old),
                new: value(new),
            }
        };
        let commands: Vec<Command> = commands.iter().map(command).collect();
        let row = Row::new(history, commands.iter().map(|command| command.new));
        Steps::new(commands, &Tags::default(), row)
    }

    fn told(commands: &[Command]) -> Vec<String> {
        let name = |id: &ObjectId| {
            let digits = u32::from_str_radix(&id.to_string()[32..], 16).unwrap();
            char::from_u32(digits).filter(|_| digits != 0).unwrap_or('-')
        };
        let line = |c: &Command| format!("{} {} {}", c.name, name(&c.old), name(&c.new));
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
        let left: Vec<_> = steps.left().cloned().collect();
        assert_eq!(told(&left), ["refs/heads/main M d", "refs/tags/t - c"]);
        assert_eq!(steps.finished().count(), 1);
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
