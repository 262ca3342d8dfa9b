//! A repository on a host that is reached by ssh: which program git would run, and with which arguments
//! (`fill_ssh_args()` and `determine_ssh_variant()` in git's `connect.c`; git-config(1), `core.sshCommand` and
//! `ssh.variant`).
//!
//! ssh asks for passwords and about host keys itself, on the terminal. Nothing here forbids it to.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bstr::{BStr, BString};
use gix_transport::Service;

use super::child::{Process, Stderr};
use super::patience::{self, Patient};
use super::pipe::Pipe;
use crate::error::{Error, Kind, Result, printable};
use crate::git::{os_str, service};
use crate::url::{Family, Programs, SshAddress};

/// How long ssh may take to hang up when both pipes are closed; on a dead network it would wait for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// Held while an ssh may be asking somebody something, so that two never ask at once.
static TERMINAL: Mutex<()> = Mutex::new(());

/// Looks up an environment variable.
pub(super) type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Connect to `service`, asking for protocol `version` (0 for none).
///
/// # Errors
/// [`Kind::Policy`] for a host or path that would read as an option, [`Kind::Config`] when ssh cannot be run. That the
/// host does not let us in shows in the conversation.
pub(super) fn open(address: &SshAddress, service: Service, version: usize) -> Result<Pipe> {
    let command = command(address, service, version, &|name| std::env::var_os(name))?;
    let start = || Process::start(command, Stderr::Shown, Some(PATIENCE));
    let limit = address.reach.silence;
    let (child, input, output) = if !patience::somebody_is_there() {
        let (child, input, output) = start()?;
        (child, input, BufReader::new(Patient::new(output, limit)))
    } else {
        let _turn = TERMINAL.lock().unwrap_or_else(PoisonError::into_inner);
        let (child, input, output) = start()?;
        let mut output = BufReader::new(Patient::new(output, None));
        // With the service's first word, or the end, all questions have been answered.
        output.fill_buf().ok();
        output.get_mut().limit(limit);
        (child, input, output)
    };
    Ok(Pipe {
        input: Box::new(Patient::into_child(input, limit)),
        output: Box::new(output),
        child: Some(child),
    })
}

/// The programs that git knows to differ in their options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variant {
    /// Takes a host and a command, nothing else.
    Simple,
    Ssh,
    Plink,
    Putty,
    TortoisePlink,
}

/// What to run, and whether through a shell.
struct Client {
    line: OsString,
    shell: bool,
}

impl Client {
    fn find(address: &SshAddress, env: Env<'_>) -> Client {
        let configured = || address.command.as_ref().map(|line| os_str(line).to_owned());
        match env("GIT_SSH_COMMAND").or_else(configured) {
            Some(line) => Client { line, shell: true },
            None => Client {
                line: env("GIT_SSH").unwrap_or_else(|| "ssh".into()),
                shell: false,
            },
        }
    }

    fn command(&self, args: &[OsString]) -> Command {
        if self.shell {
            return service::shell_command(&self.line, args);
        }
        let mut command = Command::new(&self.line);
        command.args(args);
        command
    }

    /// The variant by the name of the program; `None` when it must be tried out.
    fn variant_by_name(&self) -> Option<Variant> {
        let first = match self.shell {
            true => first_word(self.line.as_encoded_bytes())?,
            false => self.line.as_encoded_bytes().to_vec(),
        };
        let name = Path::new(os_str(&first)).file_name()?.to_ascii_lowercase();
        match name.to_str()?.trim_end_matches(".exe") {
            "ssh" => Some(Variant::Ssh),
            "plink" => Some(Variant::Plink),
            "tortoiseplink" => Some(Variant::TortoisePlink),
            _ => None,
        }
    }
}

/// The command that connects to `service`, asking for protocol `version` (0 for none).
///
/// # Errors
/// Those of [`open`] that show before a connection is made.
pub(super) fn command(
    address: &SshAddress,
    service: Service,
    version: usize,
    env: Env<'_>,
) -> Result<Command> {
    refuse_option("hostname", address.host.as_ref())?;
    refuse_option("pathname", address.path.as_ref())?;
    let client = Client::find(address, env);
    let host = os_str(&address.host).to_owned();
    let chosen = variant_by_choice(address, env).or_else(|| client.variant_by_name());
    let variant = match chosen {
        Some(variant) => variant,
        None => try_out(&client, address, version)?,
    };
    log::debug!(target: "relay::git", "{} is taken for {variant:?}", Path::new(&client.line).display());
    let mut args = options(variant, address, version)?;
    args.push(host);
    args.push(os_str(&remote_command(service, &address.programs, address.path.as_ref())).to_owned());
    let mut command = client.command(&args);
    let sends_version = variant == Variant::Ssh;
    service::for_another_repository(&mut command, if sends_version { version } else { 0 });
    Ok(command)
}

/// `looks_like_command_line_option()`: ssh would obey it (CVE-2017-1000117).
fn refuse_option(what: &str, text: &BStr) -> Result<()> {
    if text.starts_with(b"-") {
        let message = format!("strange {what} '{}' blocked", printable(text));
        return Err(Error::new(Kind::Policy, message));
    }
    Ok(())
}

/// What the user says it is; `None` for `auto`, and when there is no word about it.
fn variant_by_choice(address: &SshAddress, env: Env<'_>) -> Option<Variant> {
    let from_env = env("GIT_SSH_VARIANT").map(|name| BString::from(name.into_encoded_bytes()));
    match from_env.or_else(|| address.variant.clone())?.as_slice() {
        b"auto" => None,
        b"plink" => Some(Variant::Plink),
        b"putty" => Some(Variant::Putty),
        b"tortoiseplink" => Some(Variant::TortoisePlink),
        b"simple" => Some(Variant::Simple),
        _ => Some(Variant::Ssh),
    }
}

/// OpenSSH is told from simpler programs by its `-G`, which only prints its configuration.
///
/// # Errors
/// [`Kind::Config`] when it cannot be run at all; git would blame the port.
fn try_out(client: &Client, address: &SshAddress, version: usize) -> Result<Variant> {
    let mut args = vec![OsString::from("-G")];
    args.extend(options(Variant::Ssh, address, version)?);
    args.push(os_str(&address.host).to_owned());
    let status = client
        .command(&args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let cannot = |why: &str| {
        let name = printable(client.line.as_encoded_bytes());
        Error::new(Kind::Config, format!("cannot run '{name}': {why}"))
    };
    match status {
        Ok(status) if status.success() => Ok(Variant::Ssh),
        // What a shell says of a command that it does not find.
        Ok(status) if client.shell && status.code() == Some(127) => Err(cannot("not found")),
        Ok(_) => Ok(Variant::Simple),
        Err(err) => Err(cannot(&err.to_string()).caused_by(err)),
    }
}

/// `push_ssh_options()`.
fn options(variant: Variant, address: &SshAddress, version: usize) -> Result<Vec<OsString>> {
    let mut args: Vec<OsString> = Vec::new();
    if variant == Variant::Ssh && version > 0 {
        args.extend(["-o".into(), "SendEnv=GIT_PROTOCOL".into()]);
    }
    let family = match address.reach.family {
        Family::All => None,
        Family::V4 => Some("-4"),
        Family::V6 => Some("-6"),
    };
    match family {
        Some(option) if variant == Variant::Simple => {
            return Err(too_simple_for(option));
        }
        family => args.extend(family.map(OsString::from)),
    }
    if variant == Variant::TortoisePlink {
        args.push("-batch".into());
    }
    let Some(port) = &address.port else {
        return Ok(args);
    };
    match variant {
        Variant::Simple => return Err(too_simple_for("setting port")),
        Variant::Ssh => args.push("-p".into()),
        Variant::Plink | Variant::Putty | Variant::TortoisePlink => args.push("-P".into()),
    }
    args.push(port.into());
    Ok(args)
}

fn too_simple_for(what: &str) -> Error {
    let message = format!("ssh variant 'simple' does not support {what}");
    Error::new(Kind::Config, message).hint("ssh.variant says which options your ssh takes")
}

/// The line that the shell on the host gets: `git-upload-pack '<path>'`.
fn remote_command(service: Service, programs: &Programs, path: &BStr) -> Vec<u8> {
    let program = programs.of_service(service);
    [program, b" ", &service::shell_quoted(path)].concat()
}

/// The first word of a command line, by the rules of git's `split_cmdline()`; `None` when quotes are not closed.
fn first_word(line: &[u8]) -> Option<Vec<u8>> {
    let mut words = vec![Vec::new()];
    let mut quote = None;
    let mut bytes = line.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (byte, quote) {
            (byte, None) if byte.is_ascii_whitespace() => words.push(Vec::new()),
            (b'\'' | b'"', None) => quote = Some(byte),
            (byte, Some(open)) if byte == open => quote = None,
            (b'\\', open) if open != Some(b'\'') => words.last_mut()?.push(bytes.next()?),
            _ => words.last_mut()?.push(byte),
        }
    }
    match quote {
        None => words.into_iter().next(),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests;
