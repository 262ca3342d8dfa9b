//! What is to become of refs: name, old value, new value, as in the commands of `receive-pack`.

use std::sync::Arc;

use bstr::BStr;
use gix_hash::ObjectId;

use super::columns::{Ids, Names};

/// One ref that gets another value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change<'a> {
    /// The full name of the ref.
    pub name: &'a BStr,
    /// Its value before; `None` when it does not exist.
    pub old: Option<ObjectId>,
    /// Its value afterwards; `None` when it is deleted.
    pub new: Option<ObjectId>,
}

/// Many of them in little memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    names: Names,
    old: Ids,
    new: Ids,
}

impl Changes {
    /// Append `change`.
    pub fn push(&mut self, change: Change<'_>) {
        self.names.push(change.name);
        self.old.push(change.old);
        self.new.push(change.new);
    }

    /// The change with this number, counted from zero.
    pub fn get(&self, number: usize) -> Option<Change<'_>> {
        Some(Change {
            name: self.names.get(number)?,
            old: self.old.get(number),
            new: self.new.get(number),
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// No more are coming: give back what memory was kept for them.
    pub fn shrink(&mut self) {
        self.names.shrink();
        self.old.shrink();
        self.new.shrink();
    }
}

/// Changes for a target to carry out, in this order. They may be some of a longer list, which is not copied for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commands {
    list: Arc<Changes>,
    /// By number in `list`.
    order: Vec<u32>,
}

impl Commands {
    /// Those of `list` with the numbers in `order`.
    pub fn of(list: Arc<Changes>, order: Vec<u32>) -> Commands {
        Commands { list, order }
    }

    /// All of them in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Change<'_>> + Clone {
        let change = |number: &u32| self.list.get(*number as usize);
        self.order.iter().filter_map(change)
    }

    /// The one with this number in the order.
    pub fn get(&self, number: usize) -> Option<Change<'_>> {
        self.list.get(*self.order.get(number)? as usize)
    }

    /// The name of each.
    pub fn names(&self) -> impl Iterator<Item = &BStr> {
        self.iter().map(|change| change.name)
    }

    /// The number of each in the list that they are from.
    pub fn numbers(&self) -> impl Iterator<Item = usize> {
        self.order.iter().map(|number| *number as usize)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

/// All of them in order.
impl From<Changes> for Commands {
    fn from(list: Changes) -> Self {
        let order = (0..).zip(0..list.len()).map(|(number, _)| number).collect();
        Commands::of(Arc::new(list), order)
    }
}

impl<'a> FromIterator<Change<'a>> for Commands {
    fn from_iter<I: IntoIterator<Item = Change<'a>>>(changes: I) -> Self {
        let mut list = Changes::default();
        changes.into_iter().for_each(|change| list.push(change));
        list.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_some_of_a_list_in_an_order_of_their_own() {
        let oid = |digit: &str| ObjectId::from_hex(digit.repeat(40).as_bytes()).ok();
        let change = |name: &'static str, old, new| Change {
            name: name.into(),
            old,
            new,
        };
        let all = [
            change("refs/heads/a", None, oid("1")),
            change("refs/heads/b", oid("1"), oid("2")),
            change("refs/heads/c", oid("3"), None),
        ];
        let whole: Commands = all.into_iter().collect();
        assert!(whole.iter().eq(all));
        let some = Commands::of(whole.list.clone(), vec![2, 0]);
        assert!(some.iter().eq([all[2], all[0]]));
        assert_eq!((some.len(), some.numbers().collect()), (2, vec![2, 0]));
    }
}
