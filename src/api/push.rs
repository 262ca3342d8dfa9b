//! `git push` from anywhere: in an empty repository of our own, which the helper turns into a view of the source.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::Pair;
use super::ends;
use super::request::TokenNames;
use crate::error::{Error, Result, Side};
use crate::git::foreground::{exit_code, foreground};
use crate::git::inherit::settings_to_inherit;
use crate::git::scratch::Scratch;
use crate::git::{Config, Git};
use crate::url::Family;
use crate::{session, view};

/// The repository in which git pushes.
const VIEW: &str = "view.git";

/// Run plain `git push <arguments>` from `pair`'s source to its target, on our own standard streams, and return git's
/// exit code. The repository around us lends its configuration, but neither refs nor objects nor hooks.
/// `tokens` says where tokens are.
///
/// # Errors
/// When there is no place to run git in, or no git.
pub fn push(pair: &Pair, arguments: &[OsString], tokens: &TokenNames) -> Result<u8> {
    let here = Git::here();
    let mut config = here.config()?.clone();
    match Family::of_push(arguments.iter().map(|word| word.as_encoded_bytes())) {
        Family::All => {}
        family => config.set(Family::KEY, family.name()),
    }
    for (key, name) in tokens.settings() {
        config.set(key, name);
    }
    // When we are killed, the push goes on without us.
    let scratch = Scratch::new("view", |left| view::is_locked(&left.join(VIEW)))?;
    let git_dir = scratch.path().join(VIEW);
    create(&git_dir, pair, &config)?;
    lend_configuration(&here, &git_dir)?;
    let made = match is_dry_run(arguments) {
        true => None,
        false => make_target(pair, &config),
    };
    let mut command = here.command_for_view(&git_dir);
    for (key, name) in tokens.settings() {
        command.arg("-c").arg(format!("{key}={name}"));
    }
    command
        .arg("push")
        .arg(format!("relay::{}=>{}", pair.source, pair.target))
        .args(arguments);
    find_helper_beside_us(&mut command);
    let status = foreground(command);
    remove(scratch, &git_dir);
    if let Some(path) = made {
        ends::remove_if_empty(&path);
    }
    status.map(exit_code)
}

/// As in a [`sync`](super::sync()), a local target that does not exist is created. What cannot be done here is the
/// push's to complain about.
fn make_target(pair: &Pair, config: &Config) -> Option<PathBuf> {
    let path = ends::missing(&ends::find(&pair.target, Side::Target, config).ok()?)?;
    let source = ends::find(&pair.source, Side::Source, config).ok()?;
    let source = session::connect_source(&source, session::protocol_version(config).ok()?).ok()?;
    if source.advertisement().refs.is_empty() {
        return None;
    }
    match ends::create(&path, &source) {
        Ok(()) => Some(path),
        Err(err) => {
            log::info!(target: "relay::target", "{err}");
            None
        }
    }
}

fn is_dry_run(arguments: &[OsString]) -> bool {
    arguments.iter().any(|word| word == "-n" || word == "--dry-run")
}

/// The view must have the source's object format. A source that cannot be asked is the push's to complain about.
fn create(git_dir: &Path, pair: &Pair, config: &Config) -> Result<()> {
    let format = ends::find(&pair.source, Side::Source, config)
        .and_then(|address| session::object_format(&address))
        .unwrap_or(gix_hash::Kind::Sha1);
    let format = format!("--object-format={format}");
    // Without a template: no hooks of the user's, nothing that would count as content.
    Git::at(git_dir)
        .command(["init", "-q", "--bare", "--template=", &format])
        .run()
        .map(drop)
}

fn lend_configuration(here: &Git, git_dir: &Path) -> Result<()> {
    let theirs = here.settings(None)?;
    let ours = here.settings(Some(git_dir))?;
    let inherited = settings_to_inherit(&theirs, &ours, ends::top()?.as_deref());
    let path = git_dir.join("config");
    let write = || -> std::io::Result<()> {
        let mut content = std::fs::read(&path)?;
        content.extend_from_slice(&inherited);
        std::fs::write(&path, content)
    };
    write().map_err(|err| Error::from_io(err, "cannot write the configuration of the view"))
}

/// A program that was not installed has its helper next to itself. Behind everything else in `PATH`, because a git may
/// lie there, too.
fn find_helper_beside_us(command: &mut Command) {
    let beside = std::env::current_exe().ok();
    let Some(dir) = beside.as_deref().and_then(Path::parent) else {
        return;
    };
    if !dir.join("git-remote-relay").exists() {
        return;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain([PathBuf::from(dir)]);
    if let Ok(path) = std::env::join_paths(dirs) {
        command.env("PATH", path);
    }
}

/// After a signal the helper may still be busy taking its view away.
fn remove(scratch: Scratch, git_dir: &Path) {
    const PATIENCE: Duration = Duration::from_secs(5);
    const POLL: Duration = Duration::from_millis(20);
    let deadline = Instant::now() + PATIENCE;
    while view::is_in_use(git_dir) && Instant::now() < deadline {
        std::thread::sleep(POLL);
    }
    drop(scratch);
}
