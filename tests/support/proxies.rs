//! Real forward proxies: `tinyproxy` for HTTP, and OpenSSH's client for SOCKS.

use std::process::{Child, Command};

use tempfile::TempDir;

use super::apache::required;
use super::daemon::start_on_free_port;
use super::process::kill;
use super::ssh::Sshd;

/// A `tinyproxy` on a port of its own, until it is dropped.
pub struct HttpProxy {
    child: Child,
    port: u16,
    dir: TempDir,
}

impl HttpProxy {
    /// For everybody, or for one user with a password. `None` on a machine without the program, unless
    /// `RELAY_TESTS_REQUIRE_ALL` is set: then that is a failure.
    pub fn start(user: Option<(&str, &str)>) -> Option<HttpProxy> {
        required("tinyproxy", HttpProxy::try_start(user))
    }

    fn try_start(user: Option<(&str, &str)>) -> Result<HttpProxy, String> {
        let dir = TempDir::with_prefix("relay-proxy-").unwrap();
        let (file, log) = (dir.path().join("conf"), dir.path().join("log"));
        let auth = user.map(|(name, password)| format!("BasicAuth {name} {password}\n"));
        let (child, port) = start_on_free_port(|port| {
            // It resolves no names: with the loopback addresses the tests use there is nothing to resolve.
            let text = format!(
                "Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 50\nLogLevel Connect\nLogFile \"{}\"\n{}",
                log.display(),
                auth.as_deref().unwrap_or_default()
            );
            std::fs::write(&file, text).unwrap();
            let mut command = Command::new("tinyproxy");
            command.arg("-d").arg("-c").arg(&file);
            command
        })
        .map_err(|why| format!("{why} (package tinyproxy-bin)"))?;
        Ok(HttpProxy { child, port, dir })
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The proxy's URL with `userinfo` (`name` or `name:password`, may be empty) in it.
    pub fn url(&self, userinfo: &str) -> String {
        match userinfo {
            "" => format!("http://{}", self.address()),
            userinfo => format!("http://{userinfo}@{}", self.address()),
        }
    }

    /// How many requests for a connection (or a page) it has had.
    pub fn requests(&self) -> usize {
        let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        log.lines()
            .filter(|line| line.contains("Request (file descriptor"))
            .count()
    }
}

impl Drop for HttpProxy {
    fn drop(&mut self) {
        kill("TERM", &self.child.id().to_string());
        self.child.wait().ok();
    }
}

/// A SOCKS proxy (versions 4, 4a and 5, without passwords): `ssh -D` through a test's `sshd`.
pub struct SocksProxy {
    child: Child,
    port: u16,
}

impl SocksProxy {
    /// The proxy, until it is dropped.
    pub fn start(sshd: &Sshd) -> SocksProxy {
        let started = start_on_free_port(|port| {
            let mut command = Command::new("/bin/sh");
            let line = format!("exec {} -N -D 127.0.0.1:{port} {}", sshd.command(), sshd.login());
            command.arg("-c").arg(line);
            command
        });
        let (child, port) = started.unwrap();
        SocksProxy { child, port }
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for SocksProxy {
    fn drop(&mut self) {
        kill("TERM", &self.child.id().to_string());
        self.child.wait().ok();
    }
}
