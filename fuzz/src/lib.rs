//! What the fuzz targets do with one input; `tests/fuzz_smoke.rs` does the same with the seeds and variations of them.

// The files of the crate that the bodies include say `crate::error`, `crate::url` and `crate::wire`.
pub(crate) use git_remote_sync::{error, url, wire};

pub mod bodies;
