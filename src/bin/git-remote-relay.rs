//! The remote helper that git runs for `relay::` URLs.

fn main() -> std::process::ExitCode {
    git_remote_sync::helper::main()
}
