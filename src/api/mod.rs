//! The operations of `git relay` as a library: typed requests in, a typed [`Run`] out.
//!
//! - [`sync`](sync()), [`plan`], [`bootstrap`], [`fetch`]: a source, a target, and a [`Selection`] of refs.
//! - [`probe`](probe()): what a repository is and offers.
//! - [`push`](push()): plain `git push`, with git's own words on standard error.
//!
//! They block until the work is done and tell a [`Progress`] how it goes. Names of remotes,
//! `url.*.insteadOf`, `http.*` and the like come from the git configuration of the current directory.
//!
//! A [`Run`] is there whatever happens: what was planned, what became of each ref, and what stopped it. What is
//! printed of it is decided in [`crate::report`].
//!
//! ```no_run
//! use git_remote_sync::api::{self, Pair, SyncRequest};
//! use git_remote_sync::progress::Silent;
//!
//! let pair = Pair::new("https://example.com/project.git", "/srv/mirror/project.git");
//! let run = api::sync(&SyncRequest::new(pair), &Silent);
//! assert_eq!(run.exit_code(), 0, "{:?}", run.error);
//! ```

mod ends;
mod entries;
mod pair;
mod probe;
mod push;
mod request;
mod run;
mod sync;

pub use crate::plan::{Overwrite, Selection};
pub use crate::progress::{Progress, Silent};
pub use crate::strategy::{Moved, Strategy, Terms};
pub use crate::url::Family;
pub use entries::{Entries, Entry, EntryAction, Status};
pub use pair::Pair;
pub use probe::{ProbeReport, ProbeRequest, SideReport, probe};
pub use push::push;
pub use request::{BootstrapRequest, FetchRequest, Options, Protocol, SyncRequest, TokenNames};
pub use run::{Counts, Operation, Run, SourceStats, TargetStats};
pub(crate) use sync::entries::{Deed, judged_entry};
pub(crate) use sync::{Telling, execute, note_traffic};
pub use sync::{bootstrap, fetch, plan, sync};
