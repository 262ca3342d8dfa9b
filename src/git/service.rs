//! git's own `upload-pack` and `receive-pack`, run as local processes.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use gix_transport::Service;

use super::LOCAL_ENV_VARS;

/// A command that serves the repository at `path`; `protocol` is the version to ask for, 0 for none.
pub fn command(service: Service, path: &Path, protocol: usize) -> Command {
    let mut command = Command::new("git");
    command.arg(service.as_git_subcommand()).arg(not_an_option(path));
    for name in LOCAL_ENV_VARS {
        command.env_remove(name);
    }
    match protocol {
        0 => command.env_remove("GIT_PROTOCOL"),
        version => command.env("GIT_PROTOCOL", format!("version={version}")),
    };
    command
}

/// `upload-pack` knows no `--`.
fn not_an_option(path: &Path) -> PathBuf {
    if AsRef::<OsStr>::as_ref(path).as_encoded_bytes().starts_with(b"-") {
        Path::new(".").join(path)
    } else {
        path.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_never_reads_as_an_option() {
        let command = command(Service::UploadPack, Path::new("--strict"), 2);
        assert_eq!(command.get_args().last(), Some(OsStr::new("./--strict")));
    }
}
