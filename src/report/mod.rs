//! What people and scripts get to see of a run. The only place that writes to standard error.

pub mod json;
pub mod measure;
mod probe;
mod quote;
mod remote_text;
pub mod table;
mod terminal;

pub use probe::render as probe_text;
pub use quote::ref_name;
pub use terminal::{LFS_WARNING, Terminal, Verbosity, bytes, fatal, hush, say};
