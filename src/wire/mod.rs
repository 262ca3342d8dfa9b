//! Bytes to values and back. What lives here decides nothing and opens nothing.

pub mod changes;
pub mod columns;
pub mod ids;
pub mod object;
pub mod object_list;
pub mod pack;
pub mod pkt_line;
pub mod ref_list;
pub mod ref_name;
pub mod refs;
pub mod report;
