//! The ways to carry out a plan: which route to take, and each route.

pub mod ancestry;
mod deliver;
pub mod lfs;
pub mod presence;
pub mod relay;
mod route;

pub use deliver::{Ends, Job, Moved, Terms, Transfer, deliver};
pub use route::{Mode, Route, Strategy, choose};
