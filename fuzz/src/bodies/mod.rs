//! One function for each fuzz target: it takes bytes that a peer, git or a user could send, and panics if the program
//! does with them what it must not do.
//!
//! Beside "no panic" that is: what is parsed can be written and parsed again, how the bytes are cut into pieces on
//! their way makes no difference, nothing grows beyond the input, and no text for the terminal has control characters.

#![allow(clippy::unwrap_used, reason = "here a surprise is a finding")]
#![allow(
    unreachable_pub,
    reason = "`pub` here means: for the fuzz targets and the test"
)]

mod answers;
mod checks;
mod packs;
mod peer;
mod refs;
mod reports;
mod texts;

// Private to the crate, and to stay so: they are compiled once more.
#[allow(dead_code, reason = "only the parser is used")]
#[path = "../../../src/helper/command.rs"]
mod command;
#[path = "../../../src/transport/stateless.rs"]
mod stateless;

pub use answers::{fetch_answer, sideband};
pub use packs::{pack, pump};
pub use refs::{advertisement, ls_refs};
pub use reports::{pkt_lines, report_status};
pub use texts::{helper_command, url};
