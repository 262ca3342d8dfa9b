//! What people and scripts get to see of a run. The only place that writes to standard error.

mod remote_text;
mod terminal;

pub use terminal::{Terminal, Verbosity, fatal};
