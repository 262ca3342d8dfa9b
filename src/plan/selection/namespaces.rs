//! Namespaces: what is managed, and what is left alone.

use std::collections::BTreeSet;

use bstr::{BStr, BString};

use super::Selection;
use crate::git::Config;
use crate::wire::ref_name::RefName;

/// Where branches live.
pub(super) const HEADS: &str = "refs/heads/";
/// Where tags live.
pub(super) const TAGS: &str = "refs/tags/";

/// Namespaces that hosts keep for themselves: no push can write them. `relay.exclude` replaces the list.
pub const READ_ONLY_NAMESPACES: [&str; 6] = [
    "refs/pull/",
    "refs/merge-requests/",
    "refs/changes/",
    "refs/keep-around/",
    "refs/pipelines/",
    "refs/environments/",
];

/// Ours, on any server.
pub const OUR_NAMESPACE: &str = "refs/relay/";

/// The namespaces to leave alone: [`READ_ONLY_NAMESPACES`] or what `relay.exclude` says instead, and always
/// [`OUR_NAMESPACE`].
pub fn excluded_namespaces(config: &Config) -> Vec<BString> {
    let configured = config.list("relay.exclude");
    let namespaces: Vec<BString> = if configured.is_empty() {
        READ_ONLY_NAMESPACES.iter().map(|name| (*name).into()).collect()
    } else {
        configured.into_iter().map(|name| name.to_owned()).collect()
    };
    namespaces
        .into_iter()
        .filter(|name| !name.is_empty())
        .chain([OUR_NAMESPACE.into()])
        .collect()
}

/// Whether `name` lies in one of `namespaces`, which may be written with or without their final slash.
pub fn is_excluded(namespaces: &[BString], name: &BStr) -> bool {
    namespaces.iter().any(|namespace| {
        let namespace = namespace.strip_suffix(b"/").unwrap_or(namespace);
        name.strip_prefix(namespace)
            .is_some_and(|rest| rest.starts_with(b"/"))
    })
}

/// The part of a target that a run answers for.
#[derive(Debug, Clone)]
pub(super) struct Managed {
    namespaces: Vec<&'static str>,
    exclude: Vec<BString>,
    exclude_prefixes: Vec<BString>,
    names: BTreeSet<RefName>,
}

impl Managed {
    /// The namespaces that `selection` takes whole.
    pub(super) fn of(selection: &Selection) -> Self {
        let named = !selection.branches.is_empty() || !selection.maps.is_empty();
        let namespaces = [
            (selection.all_refs, "refs/"),
            (!named && !selection.all_refs, HEADS),
            (selection.tags && !selection.all_refs, TAGS),
        ];
        Managed {
            namespaces: namespaces
                .into_iter()
                .filter(|(taken, _)| *taken)
                .map(|(_, name)| name)
                .collect(),
            exclude: selection.exclude.clone(),
            exclude_prefixes: selection.exclude_prefixes.clone(),
            names: BTreeSet::new(),
        }
    }

    /// The same, with refs of the target that were named one by one.
    pub(super) fn with_names(mut self, names: BTreeSet<RefName>) -> Self {
        self.names = names;
        self
    }

    /// Whether `name` lies in a namespace that is taken whole.
    pub(super) fn has_namespace(&self, name: &BStr) -> bool {
        let excluded = || {
            is_excluded(&self.exclude, name)
                || is_excluded(&[OUR_NAMESPACE.into()], name)
                || self
                    .exclude_prefixes
                    .iter()
                    .any(|prefix| name.starts_with(prefix))
        };
        self.namespaces
            .iter()
            .any(|space| name.starts_with(space.as_bytes()))
            && !excluded()
    }

    /// Whether the run answers for the target's ref `name`.
    pub(super) fn contains(&self, name: &BStr) -> bool {
        self.names.contains(name) || self.has_namespace(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_match_whole_components() {
        let excluded = excluded_namespaces(&Config::default());
        assert!(is_excluded(&excluded, "refs/pull/1/head".into()));
        assert!(is_excluded(&excluded, "refs/relay/batch/1".into()));
        assert!(!is_excluded(&excluded, "refs/pullover".into()));
        assert!(!is_excluded(&excluded, "refs/heads/pull/1".into()));
    }

    #[test]
    fn the_configured_list_replaces_ours_but_not_our_own_namespace() {
        let config = Config::parse(b"relay.exclude\nrefs/x\0");
        let excluded = excluded_namespaces(&config);
        assert_eq!(excluded, ["refs/x", OUR_NAMESPACE]);
    }
}
