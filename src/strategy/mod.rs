//! The ways to carry out a plan: which route to take, and each route.

pub mod ancestry;
mod batched;
mod deliver;
pub mod lfs;
pub mod local;
mod materialized;
pub mod presence;
mod refusal;
pub mod relay;
mod route;
mod spool;
mod terms;

pub use batched::Pins;
pub use deliver::{Course, Ends, Job, Moved, deliver};
pub use route::{Mode, Route, Strategy, choose};
pub use terms::Terms;
