//! Refs that cannot be created because of refs that are there: `a` and `a/b` cannot both exist.

use std::collections::HashMap;

use bstr::{BStr, BString, ByteSlice};

use super::Choice;
use crate::wire::ref_name::RefName;
use crate::wire::refs::Advertisement;

/// The refs that cannot be created, and the target's ref that stands in the way of each.
pub type Obstacles = HashMap<RefName, BString>;

impl Choice {
    /// What stands in the way of creating [what is wanted](Choice::wanted). A ref that this run prunes does not.
    pub fn obstacles(&self, target: &Advertisement) -> Obstacles {
        // Both lists are in the order of their names.
        let stays = |name: &BStr| self.prunes.binary_search_by_key(&name, |gone| gone).is_err();
        let above = |name: &BStr| {
            let found = |parent: &&BStr| target.find(parent).is_some() && stays(parent);
            parents(name).find(found).map(BStr::to_owned)
        };
        let below = |name: &BStr| {
            let children = [name.as_bytes(), b"/"].concat();
            let from = target.refs.position(children.as_bstr());
            let rest = (from..).map_while(|number| Some(target.refs.get(number)?.name));
            let mut there = rest.take_while(|name| name.starts_with(&children));
            there.find(|name| stays(name)).map(BStr::to_owned)
        };
        self.wanted()
            .filter(|pair| target.find(pair.target).is_none())
            .filter_map(|pair| {
                Some((
                    pair.target.into(),
                    above(pair.target).or_else(|| below(pair.target))?,
                ))
            })
            .collect()
    }
}

/// `refs` and `refs/heads` for `refs/heads/a`.
pub(super) fn parents(name: &BStr) -> impl Iterator<Item = &BStr> {
    let slashes = name.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    slashes.filter_map(|(end, _)| Some(name.get(..end)?.as_bstr()))
}
