//! A real Apache httpd around `git http-backend`: its own configuration, port, users and certificates, all in a
//! temporary directory.
//!
//! Started by root, Apache serves as another user. So the repositories it is given are made writable for everybody, and
//! its git trusts them whoever owns them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use tempfile::TempDir;

use super::daemon::start_on_free_port;
use super::git::Git;
use super::pki::{Pki, openssl};
use super::process::kill;

/// Where distributions put what is not on every user's `PATH`.
const PROGRAMS: [&str; 4] = [
    "/usr/sbin/apache2",
    "/usr/sbin/httpd",
    "/usr/local/sbin/httpd",
    "/usr/bin/httpd",
];
const MODULES: [&str; 3] = [
    "/usr/lib/apache2/modules",
    "/usr/lib64/httpd/modules",
    "/usr/lib/httpd/modules",
];
/// What we need of Apache; some builds have a part of it built in.
const WANTED: [(&str, &str); 13] = [
    ("mpm_event_module", "mod_mpm_event.so"),
    ("authn_core_module", "mod_authn_core.so"),
    ("authn_file_module", "mod_authn_file.so"),
    ("authz_core_module", "mod_authz_core.so"),
    ("authz_user_module", "mod_authz_user.so"),
    ("auth_basic_module", "mod_auth_basic.so"),
    ("alias_module", "mod_alias.so"),
    ("env_module", "mod_env.so"),
    ("cgid_module", "mod_cgid.so"),
    ("setenvif_module", "mod_setenvif.so"),
    ("unixd_module", "mod_unixd.so"),
    ("log_config_module", "mod_log_config.so"),
    ("ssl_module", "mod_ssl.so"),
];

/// What the server is to do; nothing but serving repositories if nothing is said.
#[derive(Default)]
pub struct Builder<'a> {
    directives: String,
    users: Vec<(String, String)>,
    pki: Option<&'a Pki>,
}

impl<'a> Builder<'a> {
    /// Serve https, with a certificate of `pki`.
    #[must_use]
    pub fn tls(mut self, pki: &'a Pki) -> Self {
        self.pki = Some(pki);
        self
    }

    /// Talk to nobody without a client certificate (after [`Builder::tls`]).
    #[must_use]
    pub fn client_certificates(self) -> Self {
        let ca = self.pki.unwrap().file("ca.pem");
        let lines = format!("SSLCACertificateFile {}\nSSLVerifyClient require", ca.display());
        self.directive(&lines)
    }

    /// Paths that start with `path` are for `user` alone.
    #[must_use]
    pub fn basic(mut self, path: &str, user: &str, password: &str) -> Self {
        self.users.push((user.to_owned(), password.to_owned()));
        self.directive(&format!(
            "<Location {path}>\nAuthType Basic\nAuthName \"test\"\nAuthBasicProvider file\n\
             AuthUserFile %DIR%/users\nRequire user {user}\n</Location>"
        ))
    }

    /// Send requests for paths that start with `from` to the same below `to`, a path or a URL.
    #[must_use]
    pub fn redirect(self, from: &str, to: &str) -> Self {
        self.directive(&format!("Redirect 301 {from} {to}"))
    }

    /// Refuse request bodies of more than `bytes` by 413.
    #[must_use]
    pub fn limit_body(self, bytes: u64) -> Self {
        self.directive(&format!("LimitRequestBody {bytes}"))
    }

    /// Any other line of configuration; `%DIR%` is the server's own directory.
    #[must_use]
    pub fn directive(mut self, line: &str) -> Self {
        self.directives += &format!("{line}\n");
        self
    }

    /// Serve the repositories that are below `root` now. `None` on a machine without Apache, unless
    /// `RELAY_TESTS_REQUIRE_ALL` is set: then that is a failure.
    pub fn start(self, git: &Git, root: &Path) -> Option<Apache> {
        required("apache", self.try_start(git, root))
    }

    fn try_start(self, git: &Git, root: &Path) -> Result<Apache, String> {
        let program = existing(&PROGRAMS).ok_or("it is not installed (package apache2)")?;
        let modules = existing(&MODULES).ok_or("its modules are not where we look")?;
        let dir = TempDir::with_prefix("relay-apache-").unwrap();
        open_to_all(dir.path());
        open_to_all(root);
        self.write_users(dir.path())?;
        let git_config = "[safe]\n\tdirectory = *\n[http]\n\treceivepack = true\n[core]\n\tfsync = none\n\
                          [receive]\n\tautogc = false\n";
        std::fs::write(dir.path().join("gitconfig"), git_config).unwrap();
        let built_in = Command::new(&program).arg("-l").output();
        let built_in = built_in.map_err(|err| format!("{}: {err}", program.display()))?;
        let built_in = String::from_utf8_lossy(&built_in.stdout).into_owned();
        let common = self.configuration(git, root, dir.path(), (&modules, &built_in));
        let file = dir.path().join("httpd.conf");
        let (child, port) = start_on_free_port(|port| {
            let listen = format!("Listen 127.0.0.1:{port}\n{common}");
            std::fs::write(&file, listen).unwrap();
            let mut command = Command::new(&program);
            command
                .arg("-DFOREGROUND")
                .arg("-f")
                .arg(&file)
                .arg("-d")
                .arg(dir.path());
            command
        })
        .map_err(|why| format!("{why}: {}", read(&dir.path().join("error.log"))))?;
        Ok(Apache {
            child,
            port,
            scheme: if self.pki.is_some() { "https" } else { "http" },
            dir,
        })
    }

    fn write_users(&self, dir: &Path) -> Result<(), String> {
        let mut lines = String::new();
        for (user, password) in &self.users {
            let hash = openssl(&["passwd", "-apr1", password])?;
            lines += &format!("{user}:{}\n", hash.trim());
        }
        std::fs::write(dir.join("users"), lines).unwrap();
        Ok(())
    }

    fn configuration(&self, git: &Git, root: &Path, dir: &Path, modules: (&Path, &str)) -> String {
        let mut text = String::new();
        for (name, file) in WANTED {
            let at = modules.0.join(file);
            if !modules.1.contains(&file.replace(".so", ".c")) && at.exists() {
                text += &format!("LoadModule {name} {}\n", at.display());
            }
        }
        if let Some(pki) = self.pki {
            let (cert, key) = (pki.file("server.pem"), pki.file("server.key"));
            text += &format!(
                "SSLEngine on\nSSLCertificateFile {}\nSSLCertificateKeyFile {}\n",
                cert.display(),
                key.display()
            );
        }
        let backend = git.http_backend_path();
        let path = git.program().parent().unwrap().display();
        text += &format!(
            "ServerName localhost\nPidFile %DIR%/pid\nErrorLog %DIR%/error.log\nScriptSock %DIR%/cgid.sock\n\
             DefaultRuntimeDir %DIR%\nMutex file:%DIR%\nStartServers 1\nServerLimit 2\nThreadsPerChild 8\n\
             MaxRequestWorkers 16\nTimeout 60\nKeepAlive On\n{USER}\
             LogFormat \"%m %U%q %>s %u\" lines\nCustomLog %DIR%/access.log lines\n\
             SetEnv GIT_PROJECT_ROOT {root}\nSetEnv GIT_HTTP_EXPORT_ALL 1\nSetEnv GIT_CONFIG_NOSYSTEM 1\n\
             SetEnv GIT_CONFIG_GLOBAL %DIR%/gitconfig\nSetEnv PATH {path}:/usr/bin:/bin\n\
             SetEnvIf Git-Protocol \".*\" GIT_PROTOCOL=$0\n\
             ScriptAlias / {backend}/\n<Directory />\nAllowOverride None\nRequire all granted\n</Directory>\n",
            root = root.display(),
            backend = backend.display(),
        );
        text += &self.directives;
        text.replace("%DIR%", &dir.display().to_string())
    }
}

/// Whom root's Apache serves as; anybody else's serves as who started it.
const USER: &str = "User nobody\nGroup #65534\n";

/// A running server, until it is dropped.
pub struct Apache {
    child: Child,
    port: u16,
    scheme: &'static str,
    dir: TempDir,
}

impl Apache {
    pub fn builder<'a>() -> Builder<'a> {
        Builder::default()
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}://127.0.0.1:{}/{path}", self.scheme, self.port)
    }

    /// The same with a user, and a password if there is one, in the URL.
    pub fn url_for(&self, userinfo: &str, path: &str) -> String {
        format!("{}://{userinfo}@127.0.0.1:{}/{path}", self.scheme, self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `METHOD path?query status user` of every request so far.
    pub fn lines(&self) -> Vec<String> {
        let text = read(&self.dir.path().join("access.log"));
        text.lines().map(str::to_owned).collect()
    }

    pub fn error_log(&self) -> String {
        read(&self.dir.path().join("error.log"))
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        // It ends its children too.
        kill("TERM", &self.child.id().to_string());
        self.child.wait().ok();
    }
}

/// What a test stands on that not every machine has: without it the test is skipped, or fails where all must run.
pub fn required<T>(what: &str, result: Result<T, String>) -> Option<T> {
    match result {
        Ok(there) => Some(there),
        Err(why) if std::env::var_os("RELAY_TESTS_REQUIRE_ALL").is_some() => panic!("no {what}: {why}"),
        Err(why) => {
            eprintln!("skipped, no {what}: {why}");
            None
        }
    }
}

fn existing(places: &[&str]) -> Option<PathBuf> {
    places.iter().map(PathBuf::from).find(|path| path.exists())
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Let everybody in, and write.
pub fn open_to_all(path: &Path) {
    let status = Command::new("chmod").arg("-R").arg("a+rwX").arg(path).status();
    assert!(status.unwrap().success());
}
