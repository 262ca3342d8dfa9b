//! Relay refs and objects from one git server to another without a clone.
//!
//! The pack that the source's `upload-pack` produces streams straight into the target's `receive-pack`. The modules,
//! from the bottom up (arrows only point downward):
//!
//! - [`error`]: the one error type.
//! - [`wire`]: bytes to values and back, no I/O policy: advertisements, packs, reports.
//! - [`plan`]: what to do, decided without asking anyone.
//! - [`git`]: the only place that spawns git.
//! - [`transport`]: connections to a peer, over HTTP or to a local process.
//! - [`pump`]: a pack on its way from the source to the target.
//! - [`view`]: the picture of the source in a repository without refs.
//! - [`api`]: whole operations, with typed requests and results; begin here to use the library.
//! - [`cli`]: `git relay`.
//!
//! Definitions: *source* and *target* are the two ends; to *relay* is to pass pack bytes on untouched; the *view* is
//! the short-lived picture of the source's refs in an empty local repository, which lets git match refspecs.

pub mod api;
pub mod cli;
pub mod error;
pub mod git;
pub mod helper;
pub mod plan;
pub mod progress;
pub mod pump;
pub mod receive_pack;
pub mod report;
pub mod session;
pub mod strategy;
pub mod transport;
pub mod upload_pack;
pub mod url;
pub mod view;
pub mod wire;
