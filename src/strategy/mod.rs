//! The ways to carry out a plan: which route to take, and each route.

pub mod ancestry;
pub mod lfs;
pub mod presence;
pub mod relay;
mod route;

pub use route::{Mode, Route, choose};
