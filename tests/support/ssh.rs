//! A real `sshd` for the user that runs the tests: its own port, keys and configuration, all in a temporary directory.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::daemon::start_on_free_port;
use super::git::Git;
use super::process::kill;

/// Where distributions put what is not on every user's `PATH`.
const PLACES: [&str; 4] = [
    "/usr/sbin/sshd",
    "/usr/local/sbin/sshd",
    "/usr/bin/sshd",
    "/sbin/sshd",
];

/// Serves logins of this user until it is dropped.
pub struct Sshd {
    child: Child,
    port: u16,
    dir: TempDir,
    user: String,
}

impl Sshd {
    /// `None` on a machine without OpenSSH's server, unless `RELAY_TESTS_REQUIRE_ALL` is set: then that is a failure.
    /// On the host side, plain `git` is `git`.
    pub fn start(git: &Git) -> Option<Sshd> {
        match Sshd::try_start(git) {
            Ok(sshd) => Some(sshd),
            Err(why) if std::env::var_os("RELAY_TESTS_REQUIRE_ALL").is_some() => panic!("no sshd: {why}"),
            Err(why) => {
                eprintln!("skipped, no sshd: {why}");
                None
            }
        }
    }

    fn try_start(git: &Git) -> Result<Sshd, String> {
        let program = PLACES
            .iter()
            .map(PathBuf::from)
            .find(|path| path.exists())
            .ok_or("it is not installed (package openssh-server)")?;
        let dir = TempDir::with_prefix("relay-sshd-").unwrap();
        for name in ["host", "user", "stranger"] {
            keygen(&dir.path().join(name))?;
        }
        let at = |name: &str| dir.path().join(name).display().to_string();
        std::fs::copy(at("user.pub"), at("authorized_keys")).unwrap();
        // Root's sshd wants this directory; packages make it when the service starts.
        std::fs::create_dir_all("/run/sshd").ok();
        let path = git.program().parent().unwrap().display().to_string();
        let config = format!(
            "ListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\nStrictModes no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nAcceptEnv GIT_PROTOCOL\n\
             MaxStartups 100\nSetEnv PATH={path}:/usr/bin:/bin GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL={}\n",
            at("host"),
            at("authorized_keys"),
            git.global_config().display(),
        );
        std::fs::write(at("sshd_config"), config).unwrap();
        let (child, port) = start_on_free_port(|port| {
            let mut command = Command::new(&program);
            command
                .args(["-D", "-f", &at("sshd_config")])
                .arg(format!("-p{port}"));
            command
        })?;
        let host_key = std::fs::read_to_string(at("host.pub")).unwrap();
        std::fs::write(at("known_hosts"), format!("[127.0.0.1]:{port} {host_key}")).unwrap();
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        Ok(Sshd {
            child,
            port,
            user: String::from_utf8(user).unwrap().trim().to_owned(),
            dir,
        })
    }

    pub fn url(&self, path: &Path) -> String {
        format!("ssh://{}@127.0.0.1:{}{}", self.user, self.port, path.display())
    }

    /// The form that looks like a path of `scp`; only ssh's brackets let it have a port.
    pub fn scp_like(&self, path: &Path) -> String {
        format!("[{}@127.0.0.1:{}]:{}", self.user, self.port, path.display())
    }

    /// What `ssh` needs to be told to log in, beside [`Sshd::command`].
    pub fn login(&self) -> String {
        format!("-p {} {}@127.0.0.1", self.port, self.user)
    }

    /// A value for `GIT_SSH_COMMAND` that logs in.
    pub fn command(&self) -> String {
        self.command_as("user", "known_hosts")
    }

    /// The same with a key that the server does not know.
    pub fn command_of_stranger(&self) -> String {
        self.command_as("stranger", "known_hosts")
    }

    /// The same where nobody has seen the host before.
    pub fn command_without_known_hosts(&self) -> String {
        self.command_as("user", "nothing-known")
    }

    fn command_as(&self, key: &str, hosts: &str) -> String {
        let dir = self.dir.path().display();
        format!(
            "ssh -F none -i {dir}/{key} -o IdentitiesOnly=yes -o IdentityAgent=none \
             -o UserKnownHostsFile={dir}/{hosts} -o GlobalKnownHostsFile=none -o StrictHostKeyChecking=yes"
        )
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        kill("TERM", &self.child.id().to_string());
        self.child.wait().ok();
    }
}

fn keygen(path: &Path) -> Result<(), String> {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(path)
        .stdin(Stdio::null())
        .status()
        .map_err(|err| format!("ssh-keygen: {err}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("ssh-keygen: {status}")),
    }
}
