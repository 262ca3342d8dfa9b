//! What the end-to-end tests stand on: real git in a closed environment, repositories made quickly, a small HTTP host
//! around `git http-backend`, and a proxy that breaks things on purpose.
//!
//! No test of the product lives here; `tests/support_selftest.rs` checks these parts with plain git.

#![allow(
    dead_code,
    unused_imports,
    reason = "every test file compiles this module and uses a part of it"
)]
#![allow(unreachable_pub, reason = "`pub` here means: for the test files")]
#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]
#![allow(clippy::print_stderr, reason = "libtest shows it when a test fails")]

pub mod apache;
pub mod cgi;
pub mod credentials;
pub mod daemon;
pub mod faults;
pub mod git;
pub mod history;
pub mod http;
pub mod http1;
pub mod pair;
pub mod pki;
pub mod process;
pub mod proxies;
pub mod reading;
pub mod relay;
pub mod repo;
pub mod rewrite;
pub mod scenes;
pub mod scripted;
pub mod snapshot;
pub mod ssh;

pub use apache::Apache;
pub use daemon::Daemon;
pub use faults::{Fault, Proxy};
pub use git::{Git, gits};
pub use history::Import;
pub use http::{Options, Server};
pub use pair::Pair;
pub use pki::Pki;
pub use process::Output;
pub use reading::Readings;
pub use relay::{relay, relay_in};
pub use repo::{Repo, World};
pub use ssh::Sshd;
