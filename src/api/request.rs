//! What can be asked for.

use super::Pair;
use crate::plan::{Overwrite, Selection};
use crate::strategy::Terms;
use crate::url::Family;

/// A [`sync`](super::sync()), or with the same words a [`plan`](super::plan) or a [`fetch`](super::fetch).
#[derive(Debug, Clone)]
pub struct SyncRequest {
    /// The two ends.
    pub pair: Pair,
    /// Which refs. An empty [`exclude`](Selection::exclude) list is filled from the configuration.
    pub selection: Selection,
    /// What may be overwritten.
    pub overwrite: Overwrite,
    /// Push what can go although another ref is blocked, and take the target's refusals for warnings.
    pub best_effort: bool,
    /// Judge, but change nothing.
    pub dry_run: bool,
    /// The rest.
    pub options: Options,
}

impl SyncRequest {
    /// All branches, fast-forwards only.
    pub fn new(pair: Pair) -> Self {
        SyncRequest {
            pair,
            selection: Selection::default(),
            overwrite: Overwrite::default(),
            best_effort: false,
            dry_run: false,
            options: Options::default(),
        }
    }
}

/// A [`bootstrap`](super::bootstrap): every ref is created, none may exist.
#[derive(Debug, Clone)]
pub struct BootstrapRequest {
    /// The two ends.
    pub pair: Pair,
    /// Which refs; [`prune`](Selection::prune) has no meaning here.
    pub selection: Selection,
    /// Take the target's refusals for warnings.
    pub best_effort: bool,
    /// The rest.
    pub options: Options,
}

impl BootstrapRequest {
    /// All branches.
    pub fn new(pair: Pair) -> Self {
        BootstrapRequest {
            pair,
            selection: Selection::default(),
            best_effort: false,
            options: Options::default(),
        }
    }
}

/// A [`fetch`](super::fetch): what would move?
#[derive(Debug, Clone)]
pub struct FetchRequest {
    /// Where refs and objects come from.
    pub source: String,
    /// Where they would go; without one, everything that is selected counts.
    pub target: Option<String>,
    /// Which refs.
    pub selection: Selection,
    /// What would be overwritten.
    pub overwrite: Overwrite,
    /// The rest.
    pub options: Options,
}

impl FetchRequest {
    /// All branches of `source`.
    pub fn new(source: impl Into<String>) -> Self {
        FetchRequest {
            source: source.into(),
            target: None,
            selection: Selection::default(),
            overwrite: Overwrite::default(),
            options: Options::default(),
        }
    }
}

/// What all runs have in common.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// All refs or none, by the target's own transaction.
    pub atomic: bool,
    /// Which protocol to speak with the source.
    pub protocol: Protocol,
    /// How the objects may travel.
    pub terms: Terms,
    /// Ask both sides for words about their progress.
    pub progress: bool,
    /// Which addresses of both hosts may be used; `None` for what `relay.family` says.
    pub family: Option<Family>,
    /// Where tokens are.
    pub tokens: TokenNames,
}

/// The environment variables that tokens for the two sides are in, where those are not `GIT_RELAY_SOURCE_TOKEN` and
/// `GIT_RELAY_TARGET_TOKEN`. Names, never tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenNames {
    /// For the source.
    pub source: Option<String>,
    /// For the target.
    pub target: Option<String>,
}

impl TokenNames {
    /// The settings by which the helper knows them: key and value.
    pub(super) fn settings(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let source = self.source.as_deref().map(|name| ("relay.sourceTokenEnv", name));
        let target = self.target.as_deref().map(|name| ("relay.targetTokenEnv", name));
        source.into_iter().chain(target)
    }
}

/// The version of git's protocol to ask the source for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    /// What `protocol.version` says, 2 by default.
    #[default]
    Auto,
    /// Version 1, or what an older server makes of it.
    V1,
    /// Version 2, or what an older server makes of it.
    V2,
}
