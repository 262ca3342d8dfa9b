//! `git relay`, for scripts and for people without a repository at hand.

use git_remote_sync::report::measure::{CountingAllocator, counting_allocator};

#[global_allocator]
static ALLOCATOR: CountingAllocator = counting_allocator();

fn main() -> std::process::ExitCode {
    git_remote_sync::cli::main(Some(&ALLOCATOR))
}
