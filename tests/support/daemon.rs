//! A real `git daemon` on a port of its own.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::git::Git;
use super::process::kill;

/// Serves every repository in a directory, for reading and writing, until it is dropped.
pub struct Daemon {
    child: Child,
    port: u16,
}

impl Daemon {
    pub fn start(git: &Git, root: &Path) -> Daemon {
        Daemon::with(git, root, &["--enable=receive-pack"])
    }

    pub fn with(git: &Git, root: &Path, options: &[&str]) -> Daemon {
        let base = format!("--base-path={}", root.display());
        start_on_free_port(|port| {
            let mut command = git.daemon();
            command
                .args(["--reuseaddr", "--export-all", "--listen=127.0.0.1", &base])
                .arg(format!("--port={port}"))
                .args(options)
                .arg(root);
            command
        })
        .map(|(child, port)| Daemon { child, port })
        .unwrap()
    }

    pub fn url(&self, name: &str) -> String {
        format!("git://127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It ends its children too.
        kill("TERM", &self.child.id().to_string());
        self.child.wait().ok();
    }
}

/// Start what `command` says for a port, until it listens. Another process can take a free port first, hence the tries.
pub fn start_on_free_port(command: impl Fn(u16) -> Command) -> Result<(Child, u16), String> {
    for _ in 0..5 {
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let mut command = command(port);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|err| format!("{command:?}: {err}"))?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while child.try_wait().unwrap().is_none() && Instant::now() < deadline {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok((child, port));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        child.kill().ok();
        child.wait().ok();
    }
    Err("found no port to listen on".into())
}
