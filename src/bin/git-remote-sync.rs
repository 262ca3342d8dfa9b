//! The remote helper.
fn main() {}
