//! What the fuzz targets do with one input; `tests/fuzz_smoke.rs` does the same with the seeds and variations of them.

// The files of the crate that the bodies include say `crate::error` and `crate::wire`.
pub(crate) use git_remote_sync::{error, wire};

pub mod bodies;
