//! git's own `upload-pack` and `receive-pack`, run as local processes, and the way git has a shell run what the user
//! configured in their place (`prepare_shell_cmd()` in git's `run-command.c`).

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use bstr::{BStr, ByteSlice};
use gix_transport::Service;

use super::{LOCAL_ENV_VARS, os_str};

/// A command that serves the repository at `path`; `protocol` is the version to ask for, 0 for none.
pub fn command(service: Service, path: &Path, protocol: usize) -> Command {
    let mut command = Command::new("git");
    command.arg(service.as_git_subcommand()).arg(not_an_option(path));
    for_another_repository(&mut command, protocol);
    command
}

/// The same with `program`, a shell command, in place of git's service (`remote.<name>.uploadpack`).
pub fn program(program: &BStr, path: &Path, protocol: usize) -> Command {
    let path = not_an_option(path);
    let line = [
        program,
        b" ".as_slice(),
        &shell_quoted(path.as_os_str().as_encoded_bytes()),
    ]
    .concat();
    let mut command = shell_command(os_str(&line), &[]);
    for_another_repository(&mut command, protocol);
    command
}

/// Git's own helper for `scheme`, in the environment that git runs helpers in: ours. `remote` is the name of a configured
/// remote, whose settings then apply, or the URL once more; without `url`, that of the remote is meant. `settings` go
/// before all that git reads elsewhere.
pub fn remote_helper(
    scheme: &str,
    remote: &str,
    url: Option<&str>,
    settings: &[(String, String)],
) -> Command {
    let mut command = Command::new("git");
    with_settings(&mut command, settings);
    command.arg(format!("remote-{scheme}")).arg(remote).args(url);
    command
}

/// `git -c <key>=<value>` for each of `settings`, also where a key has a `=` in it.
pub fn with_settings(command: &mut Command, settings: &[(String, String)]) {
    for (at, (key, value)) in settings.iter().enumerate() {
        let variable = format!("GIT_RELAY_SETTING_{at}");
        command
            .arg(format!("--config-env={key}={variable}"))
            .env(variable, value);
    }
}

/// Take away what ties `command` to the repository at hand, and let it ask for `protocol`.
pub fn for_another_repository(command: &mut Command, protocol: usize) {
    for name in LOCAL_ENV_VARS {
        command.env_remove(name);
    }
    match protocol {
        0 => command.env_remove("GIT_PROTOCOL"),
        version => command.env("GIT_PROTOCOL", format!("version={version}")),
    };
}

/// `line` as git runs what users configure as a command: by a shell, unless it is a plain name.
pub fn shell_command(line: &OsStr, args: &[OsString]) -> Command {
    const META: &[u8] = b"|&;<>()$`\\\"' \t\n*?[#~=%";
    let mut command;
    if line.as_encoded_bytes().find_byteset(META).is_none() {
        command = Command::new(line);
    } else {
        command = Command::new("/bin/sh");
        command.arg("-c");
        if args.is_empty() {
            command.arg(line);
        } else {
            let mut with_args = line.to_owned();
            with_args.push(" \"$@\"");
            command.arg(with_args).arg(line);
        }
    }
    command.args(args);
    command
}

/// Quoted for a shell, exactly as git does it (`sq_quote_buf()` in its `quote.c`): hosts with restricted shells parse
/// these quotes themselves.
pub fn shell_quoted(text: &[u8]) -> Vec<u8> {
    gix_quote::single(text.as_bstr()).into()
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

    /// `git rev-parse --sq-quote` is git's own `sq_quote_buf()`.
    #[test]
    fn quotes_are_gits() {
        for text in ["", "a b", "it's", "a!b!", "''", "$(x)`y`\\\"", "~/ü", "a\nb"] {
            let said = Command::new("git")
                .args(["rev-parse", "--sq-quote", text])
                .output();
            let said = said.unwrap().stdout;
            let expected = said.strip_prefix(b" ").and_then(|said| said.strip_suffix(b"\n"));
            assert_eq!(
                Some(shell_quoted(text.as_bytes()).as_slice()),
                expected,
                "{text:?}"
            );
        }
    }
}
