//! What to do, decided from what both sides have. Nothing here reads, writes or asks a peer.

pub mod history;
mod row;
pub mod selection;
mod update;
mod updates;

pub use history::{Ancestry, ForwardQuestion};
pub use row::Row;
pub use selection::{Choice, Obstacles, Overwrite, RefPair, Selection, select};
pub use update::{
    Action, Answer, Question, Rejection, Update, judge, refuse_name_conflicts, reject_all_if_any, settle,
};
pub use updates::Updates;
