//! The remote helper that git runs for `sync::` URLs.

fn main() -> std::process::ExitCode {
    git_remote_sync::helper::main()
}
