//! The gits of this machine, each in a closed environment: nothing of the user's configuration or environment gets in.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use super::process::Cmd;

/// Written to the global configuration of every git that the tests run.
///
/// Housekeeping is off (it would change repositories behind a test's back) and so is fsync (tests survive no power cut).
const CONFIG: &str = "[user]\n\tname = A U Thor\n\temail = author@example.com\n\
    [init]\n\tdefaultBranch = main\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n\
    [receive]\n\tautogc = false\n[core]\n\tfsync = none\n\
    [relay]\n\tretryDelay = 5\n";

/// One git binary.
#[derive(Clone)]
pub struct Git {
    inner: Arc<Inner>,
}

struct Inner {
    program: PathBuf,
    exec_path: PathBuf,
    version: (u32, u32),
    home: PathBuf,
}

/// All distinct git versions of this machine, newest layout first; at least one.
pub fn gits() -> &'static [Git] {
    static GITS: OnceLock<Vec<Git>> = OnceLock::new();
    GITS.get_or_init(|| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let on_path = std::env::split_paths(&path).map(|dir| dir.join("git"));
        let known = ["/usr/local/bin/git", "/usr/bin/git"].map(PathBuf::from);
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        for program in known.into_iter().chain(on_path) {
            let Some((git, version)) = Git::find(program) else {
                continue;
            };
            if seen.insert(version.clone()) {
                eprintln!("using {} ({version})", git.inner.program.display());
                found.push(git);
            }
        }
        assert!(!found.is_empty(), "the tests need git");
        found
    })
}

/// The same home serves every test process, so the file must never be seen half written.
fn write_config(home: &Path) {
    std::fs::create_dir_all(home).unwrap();
    let mut file = tempfile::NamedTempFile::new_in(home).unwrap();
    file.write_all(CONFIG.as_bytes()).unwrap();
    file.persist(home.join("gitconfig")).unwrap();
}

impl Git {
    fn find(program: PathBuf) -> Option<(Git, String)> {
        let ask = |arg: &str| {
            let out = Command::new(&program).env_clear().arg(arg).output().ok()?;
            Some(String::from_utf8_lossy(&out.stdout).trim().to_owned())
        };
        let version = ask("--version")?.strip_prefix("git version ")?.to_owned();
        let mut numbers = version.split('.').map_while(|part| part.parse().ok());
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("home-{version}"));
        write_config(&home);
        let inner = Inner {
            exec_path: ask("--exec-path")?.into(),
            version: (numbers.next()?, numbers.next()?),
            program,
            home,
        };
        Some((
            Git {
                inner: Arc::new(inner),
            },
            version,
        ))
    }

    pub fn program(&self) -> &Path {
        &self.inner.program
    }

    pub fn at_least(&self, major: u32, minor: u32) -> bool {
        self.inner.version >= (major, minor)
    }

    /// Whether this git can keep refs in a reftable.
    pub fn has_reftable(&self) -> bool {
        self.at_least(2, 45)
    }

    /// `git` in `dir`, with nothing around it but what is set here.
    pub fn cmd(&self, dir: &Path) -> Cmd {
        let mut command = Command::new(&self.inner.program);
        self.close_in(&mut command);
        command.current_dir(dir);
        Cmd::new(command)
    }

    /// The same, for tests that send it signals: `env` undoes an ignored SIGINT, as whatever is started in the background
    /// has it.
    pub fn cmd_for_signals(&self, dir: &Path) -> Cmd {
        let env = self.program_in(dir, "/usr/bin/env");
        env.arg("--default-signal=INT,TERM").arg(self.program())
    }

    /// The program `git http-backend`.
    pub fn http_backend_path(&self) -> PathBuf {
        self.inner.exec_path.join("git-http-backend")
    }

    /// `git http-backend`, run straight, as a web server runs it.
    pub fn http_backend(&self) -> Command {
        let mut command = Command::new(self.http_backend_path());
        self.close_in(&mut command);
        command
    }

    /// `git daemon`, whose children find this git as plain `git`.
    pub fn daemon(&self) -> Command {
        let mut command = Command::new(self.inner.exec_path.join("git-daemon"));
        self.close_in(&mut command);
        command
    }

    /// The global configuration that every command of this git reads.
    pub fn global_config(&self) -> PathBuf {
        self.inner.home.join("gitconfig")
    }

    /// Any other program in the same environment.
    pub fn program_in(&self, dir: &Path, program: impl AsRef<std::ffi::OsStr>) -> Cmd {
        let mut command = Command::new(program);
        self.close_in(&mut command);
        command.current_dir(dir);
        Cmd::new(command)
    }

    fn close_in(&self, command: &mut Command) {
        let home = &self.inner.home;
        command
            .env_clear()
            .env("PATH", self.path())
            .env("HOME", home)
            .env("XDG_CONFIG_HOME", home.join("xdg"))
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", home.join("gitconfig"))
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_AUTHOR_DATE", "1700000000 +0000")
            .env("GIT_COMMITTER_DATE", "1700000000 +0000");
        // Without these, coverage and sanitizer runs of the helper lose their settings.
        for kept in ["LLVM_PROFILE_FILE", "RUST_BACKTRACE", "TMPDIR"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
    }

    /// The helper under test first, then this git, then the rest of the system.
    pub fn path(&self) -> std::ffi::OsString {
        let helper = Path::new(env!("CARGO_BIN_EXE_git-remote-relay"));
        let dirs = [
            helper.parent().unwrap(),
            self.inner.program.parent().unwrap(),
            Path::new("/usr/bin"),
            Path::new("/bin"),
        ];
        std::env::join_paths(dirs).unwrap()
    }
}

impl std::fmt::Display for Git {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (major, minor) = self.inner.version;
        write!(f, "{} ({major}.{minor})", self.inner.program.display())
    }
}
