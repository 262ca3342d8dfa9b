//! Which route a set of updates takes, and why.

use std::collections::HashSet;
use std::fmt;

use crate::error::{Error, Kind, Result};
use crate::plan::Action;

/// Which routes may be taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Whatever fits.
    #[default]
    Auto,
    /// Pack bytes untouched, or not at all.
    Relay,
    /// Through a temporary repository, repacked by git.
    Materialized,
}

/// The way the objects go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Commands alone: no object has to move.
    None,
    /// A first push: the target has none of the refs that are pushed.
    Bootstrap,
    /// Any other change: what the target lacks, and no more.
    Incremental,
    /// Several packs, each small enough for the target, along the history.
    Batched,
    /// Through a temporary repository, repacked by git.
    Materialized,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::None => "none",
            Mode::Bootstrap => "bootstrap",
            Mode::Incremental => "incremental",
            Mode::Batched => "batched",
            Mode::Materialized => "materialized",
        })
    }
}

/// A mode and the stable slug that says why it was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The way the objects go.
    pub mode: Mode,
    /// Why, in one stable word.
    pub reason: &'static str,
}

impl Route {
    /// The route that `strategy` leaves open, if objects have to move. `is_local` tells whether some of them are only in
    /// the local repository.
    ///
    /// # Errors
    /// `Unsupported` when none is open.
    pub fn under(self, strategy: Strategy, is_local: bool) -> Result<Route> {
        let materialized = |reason| Route {
            mode: Mode::Materialized,
            reason,
        };
        match strategy {
            _ if self.mode == Mode::None => Ok(self),
            Strategy::Relay if is_local => Err(Error::new(
                Kind::Unsupported,
                "local objects cannot be relayed: they have to be packed here",
            )),
            _ if is_local => Ok(materialized("local-objects")),
            Strategy::Materialized => Ok(materialized("requested")),
            Strategy::Auto | Strategy::Relay => Ok(self),
        }
    }
}

/// Choose by what becomes of the updates; `moves` tells whether objects have to move, and `target_is_empty` whether the
/// target has no ref at all.
pub fn choose(actions: &[Action], moves: bool, target_is_empty: bool) -> Route {
    let kinds: HashSet<_> = actions
        .iter()
        .filter(|action| !matches!(action, Action::UpToDate | Action::Reject(_)))
        .map(std::mem::discriminant)
        .collect();
    let only = |action: &Action| kinds.len() == 1 && kinds.contains(&std::mem::discriminant(action));
    let (mode, reason) = match moves {
        _ if kinds.is_empty() => (Mode::None, "up-to-date"),
        false if only(&Action::Delete) => (Mode::None, "only-deletes"),
        false => (Mode::None, "objects-present"),
        _ if only(&Action::Create) && target_is_empty => (Mode::Bootstrap, "empty-target"),
        _ if only(&Action::Create) => (Mode::Bootstrap, "absent-refs"),
        _ if only(&Action::FastForward) => (Mode::Incremental, "fast-forward"),
        _ if only(&Action::Force) => (Mode::Incremental, "forced-update"),
        _ => (Mode::Incremental, "mixed-update"),
    };
    Route { mode, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Rejection;

    #[test]
    fn each_shape_of_update_has_its_route() {
        use Action::*;
        let route = |actions: &[Action], moves, empty| {
            let route = choose(actions, moves, empty);
            (route.mode, route.reason)
        };
        assert_eq!(
            route(&[UpToDate, Reject(Rejection::FetchFirst)], false, false),
            (Mode::None, "up-to-date")
        );
        assert_eq!(
            route(&[Delete, UpToDate], false, false),
            (Mode::None, "only-deletes")
        );
        assert_eq!(
            route(&[Create, Delete], false, false),
            (Mode::None, "objects-present")
        );
        assert_eq!(
            route(&[Create, Create], true, true),
            (Mode::Bootstrap, "empty-target")
        );
        assert_eq!(
            route(&[Create, UpToDate], true, false),
            (Mode::Bootstrap, "absent-refs")
        );
        assert_eq!(
            route(&[FastForward], true, false),
            (Mode::Incremental, "fast-forward")
        );
        assert_eq!(
            route(&[FastForward, Delete], true, false),
            (Mode::Incremental, "mixed-update")
        );
    }

    #[test]
    fn what_was_asked_for_counts_only_if_something_moves() {
        let route = Route {
            mode: Mode::Incremental,
            reason: "fast-forward",
        };
        let nothing = Route {
            mode: Mode::None,
            reason: "only-deletes",
        };
        let under =
            |route: Route, strategy, is_local| route.under(strategy, is_local).ok().map(|route| route.reason);
        assert_eq!(under(route, Strategy::Auto, false), Some("fast-forward"));
        assert_eq!(under(route, Strategy::Materialized, false), Some("requested"));
        assert_eq!(under(route, Strategy::Auto, true), Some("local-objects"));
        assert_eq!(under(route, Strategy::Relay, true), None);
        assert_eq!(
            under(nothing, Strategy::Materialized, false),
            Some("only-deletes")
        );
    }
}
