//! Refs that cannot be created because of refs that are there: `a` and `a/b` cannot both exist.

use std::collections::BTreeSet;

use bstr::{BStr, BString, ByteSlice};

use super::Choice;
use crate::wire::refs::Advertisement;

impl Choice {
    /// The target's ref that stands in the way of creating each of [`wanted`](Choice::wanted), in the same order. A ref
    /// that this run prunes does not.
    pub fn obstacles(&self, target: &Advertisement) -> Vec<Option<BString>> {
        let mut there: BTreeSet<&BStr> = target.refs.iter().map(|r| r.name.as_ref()).collect();
        for name in &self.prunes {
            there.remove(name.as_bstr());
        }
        let obstacle = |name: &BStr| {
            if there.contains(name) {
                return None;
            }
            above(&there, name).or_else(|| below(&there, name))
        };
        self.wanted
            .iter()
            .map(|pair| obstacle(pair.target.as_ref()))
            .collect()
    }
}

fn above(there: &BTreeSet<&BStr>, name: &BStr) -> Option<BString> {
    let slashes = name.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    slashes
        .filter_map(|(end, _)| name.get(..end))
        .find(|parent| there.contains(parent.as_bstr()))
        .map(BString::from)
}

fn below(there: &BTreeSet<&BStr>, name: &BStr) -> Option<BString> {
    let children = [name.as_bytes(), b"/"].concat();
    let first = there.range(children.as_bstr()..).next()?;
    first.starts_with(&children).then(|| (*first).to_owned())
}
