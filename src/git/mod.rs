//! The only place that spawns git.
//!
//! - here: [`Git`], the repository that git started us in (or one of our own), and the environment its children get.
//! - [`run`]: spawning git with bounded output, and errors that quote its stderr.
//! - [`config`]: `git config --list` as values, with git's own rules.
//! - [`credential`]: `git credential fill`, `approve` and `reject`.
//! - [`foreground`]: git on the user's terminal.
//! - [`inherit`]: settings for a repository of our own.
//! - [`layout`]: where the repository keeps its parts.
//! - [`objects`]: which objects exist.
//! - [`pack`]: packs into a repository, out of it, and what is to go into them.
//! - [`refs`]: the few ref commands that the view needs.
//! - [`scratch`]: directories for the length of a run.
//! - [`service`]: `upload-pack` and `receive-pack` as local processes.
//! - [`urlmatch`]: the settings that apply to a URL.
//! - [`version`]: which git this is.
//!
//! What does not live here: decisions. The parsers are pure, and nothing here knows about sources and targets.

pub mod config;
pub mod credential;
pub mod foreground;
pub mod inherit;
pub mod layout;
pub mod objects;
pub mod pack;
pub mod refs;
pub mod run;
pub mod scratch;
pub mod service;
pub mod urlmatch;
pub mod version;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

pub use config::Config;
pub use layout::{Layout, RefStorage};
pub use run::Invocation;
pub use version::Version;

use crate::error::Result;

/// What `git rev-parse --local-env-vars` names: variables that tie a process to one repository. They must go before
/// git is pointed at another one.
pub const LOCAL_ENV_VARS: [&str; 16] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// The repository at hand, as git commands see it, and the facts about it that were asked for already.
///
/// Git runs helpers with `GIT_DIR` set and its own exec-path first in `PATH`, so plain `git` is the git that runs us.
#[derive(Debug, Clone)]
pub struct Git {
    place: Place,
    /// Settings on top of those that git reads.
    overrides: Vec<(&'static str, &'static str)>,
    layout: OnceLock<Layout>,
    config: OnceLock<Config>,
}

/// Which repository the spawned commands work on.
#[derive(Debug, Clone)]
enum Place {
    /// Whatever our own environment and directory say.
    Here,
    /// A git directory of our choice; `vars` are set on top of a clean environment.
    At {
        dir: PathBuf,
        vars: Vec<(&'static str, OsString)>,
    },
}

impl Git {
    /// The repository that the environment names, if any.
    pub fn here() -> Self {
        Git::new(Place::Here)
    }

    /// The repository whose git directory is `git_dir`, whatever the environment says.
    pub fn at(git_dir: impl Into<PathBuf>) -> Self {
        Git::new(Place::At {
            dir: git_dir.into(),
            vars: Vec::new(),
        })
    }

    /// Set a variable for the commands in a repository chosen with [`Git::at`]; without effect on [`Git::here`].
    #[must_use]
    pub fn with_var(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        if let Place::At { vars, .. } = &mut self.place {
            vars.push((name, value.into()));
        }
        self
    }

    fn new(place: Place) -> Self {
        Git {
            place,
            overrides: Vec::new(),
            layout: OnceLock::new(),
            config: OnceLock::new(),
        }
    }

    /// Let `value` be the one of `key` that counts in [`Git::config`]. Spawned commands do not see it.
    pub fn override_setting(&mut self, key: &'static str, value: &'static str) {
        self.overrides.push((key, value));
        if let Some(config) = self.config.get_mut() {
            config.set(key, value);
        }
    }

    fn parse_config(&self, list: &[u8]) -> Config {
        let mut config = Config::parse(list);
        for (key, value) in &self.overrides {
            config.set(key, value);
        }
        config
    }

    /// The value that a spawned git sees for one of the [`LOCAL_ENV_VARS`] or any other `GIT_…` variable.
    pub fn var(&self, name: &str) -> Option<OsString> {
        match &self.place {
            Place::Here => std::env::var_os(name),
            Place::At { dir, .. } if name == "GIT_DIR" => Some(dir.clone().into_os_string()),
            Place::At { vars, .. } => {
                let own = vars
                    .iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| value.clone());
                let foreign = || std::env::var_os(name).filter(|_| !LOCAL_ENV_VARS.contains(&name));
                own.or_else(foreign)
            }
        }
    }

    /// The git directory that was named to us; `None` outside of a repository. Nothing is spawned and nothing checked.
    pub fn git_dir(&self) -> Option<PathBuf> {
        self.var("GIT_DIR")
            .filter(|dir| !dir.is_empty())
            .map(PathBuf::from)
    }

    /// The directory that all worktrees share, found as gitrepository-layout(5) says and without spawning git; `None`
    /// outside of a repository. Good enough to look whether a file of ours lies there.
    pub fn common_dir(&self) -> Option<PathBuf> {
        if let Some(layout) = self.layout.get() {
            return Some(layout.common_dir.clone());
        }
        let git_dir = self.git_dir()?;
        if let Some(common) = self.var("GIT_COMMON_DIR").filter(|dir| !dir.is_empty()) {
            return Some(PathBuf::from(common));
        }
        Some(layout::common_dir_of(&git_dir))
    }

    /// Where the parts of the repository are.
    ///
    /// # Errors
    /// `Config` when there is no repository here or git refuses it (`safe.directory`, an unknown extension).
    pub fn layout(&self) -> Result<&Layout> {
        match self.layout.get() {
            Some(layout) => Ok(layout),
            None => self.discover().map(|(layout, _)| layout),
        }
    }

    /// The configuration that git commands see here: system, global, repository, `-c` and the environment.
    ///
    /// # Errors
    /// `Config` when git cannot read it.
    pub fn config(&self) -> Result<&Config> {
        match self.config.get() {
            Some(config) => Ok(config),
            None => {
                let config = self.command(Config::ARGS).fails_as_config().run()?;
                Ok(self.config.get_or_init(|| self.parse_config(&config)))
            }
        }
    }

    /// [`Git::layout`] and [`Git::config`] at once: the two commands run side by side, which halves the wait.
    ///
    /// # Errors
    /// Those of [`Git::layout`] and [`Git::config`].
    pub fn discover(&self) -> Result<(&Layout, &Config)> {
        let config = match self.config.get() {
            Some(_) => None,
            None => Some(self.command(Config::ARGS).fails_as_config().start()?),
        };
        let facts = match self.layout.get() {
            Some(_) => None,
            None => Some(self.command(Layout::ARGS).fails_as_config().start()?),
        };
        let facts = facts.map(run::Running::finish).transpose();
        let config = config.map(run::Running::finish).transpose();
        let (facts, config) = (facts?, config?);
        let config = self
            .config
            .get_or_init(|| self.parse_config(&config.unwrap_or_default()));
        if let Some(facts) = facts {
            let layout = Layout::parse(&facts, config, self.var("GIT_REFERENCE_BACKEND").is_some())?;
            self.layout.get_or_init(|| layout);
        }
        match self.layout.get() {
            Some(layout) => Ok((layout, config)),
            None => Err(layout::unreadable()),
        }
    }

    /// A git command in this repository: `git <args>`.
    pub fn command<I>(&self, args: I) -> Invocation
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        let mut command = self.bare_command();
        command.args(args);
        Invocation::new(command)
    }

    /// The same as [`Git::command`], but in the worktree or repository whose git directory is `git_dir`.
    pub fn command_in<I>(&self, git_dir: &Path, args: I) -> Invocation
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        let mut command = self.bare_command();
        command
            .env("GIT_DIR", git_dir)
            .env_remove("GIT_WORK_TREE")
            .env_remove("GIT_COMMON_DIR")
            .args(args);
        Invocation::new(command)
    }

    /// The configuration as `git config --list -z` prints it: that of the repository at hand, or what commands in the
    /// repository `git_dir` see if they are run with [`Git::command_for_view`].
    ///
    /// # Errors
    /// `Config` when git cannot read it.
    pub fn settings(&self, git_dir: Option<&Path>) -> Result<Vec<u8>> {
        let mut command = match git_dir {
            Some(git_dir) => self.command_for_view(git_dir),
            None => self.bare_command(),
        };
        command.args(Config::ARGS);
        Invocation::new(command).fails_as_config().run()
    }

    /// `git` in the repository `git_dir` with the `-c` settings that we were given, but with nothing else of the
    /// repository that we are in. Its streams are not set up yet.
    pub fn command_for_view(&self, git_dir: &Path) -> Command {
        const SETTINGS: [&str; 2] = ["GIT_CONFIG_COUNT", "GIT_CONFIG_PARAMETERS"];
        let mut command = Command::new("git");
        for name in LOCAL_ENV_VARS.iter().filter(|name| !SETTINGS.contains(name)) {
            command.env_remove(name);
        }
        command.env("GIT_DIR", git_dir);
        command
    }

    /// `git` with the environment all our children get, its streams not set up yet.
    pub fn bare_command(&self) -> Command {
        let mut command = Command::new("git");
        if let Place::At { dir, vars } = &self.place {
            for name in LOCAL_ENV_VARS {
                command.env_remove(name);
            }
            command
                .env("GIT_DIR", dir)
                .envs(vars.iter().map(|(name, value)| (name, value)));
        }
        // It would make `git config` read that one file instead of what every other command reads.
        command.env_remove("GIT_CONFIG");
        // A question about an object must never turn into a fetch (git 2.45 and newer obey).
        command.env("GIT_NO_LAZY_FETCH", "1");
        command
    }
}

/// Bytes from git as an argument or path: on Unix they are the same.
pub(crate) fn os_str(bytes: &[u8]) -> &OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(bytes)
}
