//! Where one side is, with the settings that say how to get there.

use std::fmt;
use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice};
use gix_transport::Service;

use super::location::{Location, Remote};
use super::{check_allowed, redact, resolve, settings};
use crate::error::{Error, Kind, Result, Side};
use crate::git::{Config, os_str};

/// Where one side is.
#[derive(Debug, Clone)]
pub enum Address {
    /// A repository behind a web server.
    Http(HttpAddress),
    /// A repository in the local file system.
    Local(LocalAddress),
    /// A repository on a host that is reached by ssh.
    Ssh(SshAddress),
    /// A repository on a host that runs `git daemon`.
    Daemon(DaemonAddress),
    /// A repository that another remote helper reaches.
    Helper(HelperAddress),
}

/// An http or https URL, with what stood in its userinfo kept apart from it.
#[derive(Clone)]
pub struct HttpAddress {
    /// The URL without userinfo.
    pub url: gix_url::Url,
    /// User name and password, where the URL had them.
    pub userinfo: Option<(String, Option<String>)>,
    /// The `http.<name>` settings that apply to it.
    pub settings: Box<Config>,
    /// A password stood in what the user typed, where git shows it to everybody.
    pub shows_password: bool,
    /// `relay.maxRefListSize`, in bytes.
    pub max_ref_list: Option<u64>,
    /// The environment variable that the token is in, if not the usual one: `relay.sourceTokenEnv`,
    /// `relay.targetTokenEnv`.
    pub token_env: Option<String>,
}

/// A local path.
#[derive(Debug, Clone)]
pub struct LocalAddress {
    /// The path, as git would get it.
    pub path: PathBuf,
    /// Other programs than git's own.
    pub programs: Programs,
}

/// What ssh needs to know. Bytes, because a URL can spell any.
#[derive(Debug, Clone)]
pub struct SshAddress {
    /// The URL as the user wrote it, without a password.
    pub shown: String,
    /// `host` or `user@host`, without brackets.
    pub host: BString,
    /// The port, if one was written.
    pub port: Option<String>,
    /// The path on that host.
    pub path: BString,
    /// Other programs than git's own.
    pub programs: Programs,
    /// `core.sshCommand`.
    pub command: Option<BString>,
    /// `ssh.variant`.
    pub variant: Option<BString>,
}

/// What the git protocol needs to know.
#[derive(Debug, Clone)]
pub struct DaemonAddress {
    /// The URL as the user wrote it, without a password.
    pub shown: String,
    /// Host and port as they stand in the URL, for the `host=` header.
    pub host_and_port: BString,
    /// The host, without brackets.
    pub host: BString,
    /// The port, if one was written.
    pub port: Option<String>,
    /// The path on that host.
    pub path: BString,
    /// Other programs than git's own.
    pub programs: Programs,
    /// All values of `core.gitProxy`.
    pub proxies: Vec<BString>,
}

/// What another remote helper needs to know.
#[derive(Debug, Clone)]
pub struct HelperAddress {
    /// The URL as the user wrote it, without a password.
    pub shown: String,
    /// The helper is `git-remote-<name>`.
    pub name: String,
    /// The name of the remote, or the URL when it has none.
    pub remote: String,
    /// The URL that the helper understands.
    pub url: String,
    /// Other programs than git's own.
    pub programs: Programs,
}

/// `remote.<name>.uploadpack` and `remote.<name>.receivepack`: shell commands in place of git's own services.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Programs {
    /// In place of `git-upload-pack`.
    pub upload_pack: Option<BString>,
    /// In place of `git-receive-pack`.
    pub receive_pack: Option<BString>,
    /// How long the list of refs may be that they send, in bytes: `relay.maxRefListSize`.
    pub max_ref_list: Option<u64>,
}

impl fmt::Debug for HttpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpAddress")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl From<PathBuf> for LocalAddress {
    fn from(path: PathBuf) -> Self {
        LocalAddress {
            path,
            programs: Programs::default(),
        }
    }
}

impl Address {
    /// The address that `text` stands for on `side`, if git's policy allows to go there.
    ///
    /// # Errors
    /// Those of [`Address::parse`], [`resolve()`] and [`check_allowed`].
    pub fn find(text: &str, side: Side, config: &Config) -> Result<Address> {
        find(text, side, config).map_err(|err| err.on(side))
    }

    /// Understand `text` as git would understand the URL of a push, without any configuration.
    ///
    /// # Errors
    /// [`Kind::Usage`] when git would not.
    pub fn parse(text: &str) -> Result<Address> {
        Address::at(Location::parse(text)?, text, text, &Config::default())
    }

    /// The address of `location`, which was read from `url`, the URL of the remote called `name`.
    fn at(location: Location, url: &str, name: &str, config: &Config) -> Result<Address> {
        let shown = redact(url);
        let programs = Programs::of(name, config);
        Ok(match location {
            Location::Web => Address::Http(web(url)?),
            Location::Local(path) => Address::Local(LocalAddress {
                path: os_str(&path).into(),
                programs,
            }),
            Location::Ssh(Remote { host, port, path, .. }) => Address::Ssh(SshAddress {
                shown,
                host,
                port,
                path,
                programs,
                command: config.string("core.sshCommand").map(BStr::to_owned),
                variant: config.string("ssh.variant").map(BStr::to_owned),
            }),
            Location::Daemon(remote) => Address::Daemon(DaemonAddress {
                shown,
                host_and_port: remote.host_and_port,
                host: remote.host,
                port: remote.port,
                path: remote.path,
                programs,
                proxies: config
                    .all("core.gitProxy")
                    .into_iter()
                    .map(BStr::to_owned)
                    .collect(),
            }),
            Location::Helper {
                name: helper,
                address,
            } => Address::Helper(HelperAddress {
                shown,
                name: helper,
                remote: name.to_owned(),
                url: address,
                programs,
            }),
        })
    }

    /// How many bytes of capabilities and refs are read from there, 0 for any number (`relay.maxRefListSize`).
    pub fn max_ref_list(&self) -> u64 {
        let set = match self {
            Address::Http(http) => http.max_ref_list,
            Address::Local(local) => local.programs.max_ref_list,
            Address::Ssh(ssh) => ssh.programs.max_ref_list,
            Address::Daemon(daemon) => daemon.programs.max_ref_list,
            Address::Helper(helper) => helper.programs.max_ref_list,
        };
        set.unwrap_or(settings::DEFAULT_MAX_REF_LIST)
    }

    fn set_max_ref_list(&mut self, bytes: Option<u64>) {
        let place = match self {
            Address::Http(http) => &mut http.max_ref_list,
            Address::Local(local) => &mut local.programs.max_ref_list,
            Address::Ssh(ssh) => &mut ssh.programs.max_ref_list,
            Address::Daemon(daemon) => &mut daemon.programs.max_ref_list,
            Address::Helper(helper) => &mut helper.programs.max_ref_list,
        };
        *place = bytes;
    }

    /// Whether this is a local repository whose history has holes. A server tells it only when history is asked for.
    pub fn is_known_to_be_shallow(&self) -> bool {
        match self {
            Address::Local(local) => git_dir(&local.path)
                .join("shallow")
                .metadata()
                .is_ok_and(|file| file.len() > 0),
            _ => false,
        }
    }

    /// Whether both name the same repository, as far as can be told without asking.
    pub fn is_same_as(&self, other: &Address) -> bool {
        match (self, other) {
            (Address::Local(one), Address::Local(two)) => git_dir(&one.path) == git_dir(&two.path),
            (Address::Http(one), Address::Http(two)) => comparable(&one.url) == comparable(&two.url),
            (Address::Ssh(one), Address::Ssh(two)) => {
                let key = |ssh: &SshAddress| place_on_host(&ssh.host, ssh.port.as_deref(), "22", &ssh.path);
                key(one) == key(two)
            }
            (Address::Daemon(one), Address::Daemon(two)) => {
                let key =
                    |git: &DaemonAddress| place_on_host(&git.host, git.port.as_deref(), "9418", &git.path);
                key(one) == key(two)
            }
            (Address::Helper(one), Address::Helper(two)) => (&one.name, &one.url) == (&two.name, &two.url),
            _ => false,
        }
    }
}

impl Programs {
    fn of(remote: &str, config: &Config) -> Programs {
        let program = |key: &str| {
            let name = format!("remote.{remote}.{key}");
            config.string(&name).map(BStr::to_owned)
        };
        Programs {
            upload_pack: program("uploadpack"),
            receive_pack: program("receivepack"),
            max_ref_list: None,
        }
    }

    /// The command for `service`.
    pub fn of_service(&self, service: Service) -> &[u8] {
        let (chosen, usual) = match service {
            Service::UploadPack => (&self.upload_pack, "git-upload-pack"),
            Service::ReceivePack => (&self.receive_pack, "git-receive-pack"),
        };
        chosen
            .as_ref()
            .map_or(usual.as_bytes(), |program| program.as_slice())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Http(address) => write!(f, "{}", address.url.to_bstring()),
            Address::Local(local) => write!(f, "{}", local.path.display()),
            Address::Ssh(SshAddress { shown, .. })
            | Address::Daemon(DaemonAddress { shown, .. })
            | Address::Helper(HelperAddress { shown, .. }) => f.write_str(shown),
        }
    }
}

fn find(text: &str, side: Side, config: &Config) -> Result<Address> {
    let url = resolve(text, side, config)?;
    let location = match config.string(&format!("remote.{text}.vcs")) {
        Some(vcs) => Location::Helper {
            name: vcs.to_string(),
            address: url.clone(),
        },
        None => Location::parse(&url)?,
    };
    let var = |name: &str| std::env::var(name).ok();
    check_allowed(location.scheme(&url), &url, config, var)?;
    let mut address = Address::at(location, &url, text, config)?;
    address.set_max_ref_list(settings::max_ref_list(config)?);
    if let Address::Http(http) = &mut address {
        http.shows_password = has_password(text);
        http.token_env = settings::token_env(side, config)?;
        *http.settings = config.http_for(&url);
        if let Some(proxy) = config.string(&format!("remote.{text}.proxy")) {
            http.settings.set("http.proxy", &proxy.to_str_lossy());
        }
    }
    Ok(address)
}

/// Whether `text` is a URL with a password in it.
fn has_password(text: &str) -> bool {
    let authority = text.split_once("://").map(|(_, rest)| rest);
    let authority = authority.and_then(|rest| rest.split(['/', '?', '#']).next());
    let userinfo = authority.and_then(|authority| authority.rsplit_once('@'));
    userinfo.is_some_and(|(userinfo, _)| userinfo.split_once(':').is_some_and(|(_, word)| !word.is_empty()))
}

fn web(text: &str) -> Result<HttpAddress> {
    let mut url = gix_url::parse(text.as_bytes().as_bstr()).map_err(|err| {
        Error::new(Kind::Usage, format!("'{}' is not a URL", redact(text))).caused_by(err.to_string())
    })?;
    let userinfo = url
        .user()
        .map(|user| (user.to_owned(), url.password().map(str::to_owned)));
    url.set_user(None);
    url.set_password(None);
    Ok(HttpAddress {
        url,
        userinfo,
        settings: Box::default(),
        shows_password: false,
        max_ref_list: None,
        token_env: None,
    })
}

/// Hosts ignore the case of their name, a default port, a final slash, and nearly all of them a final `.git`.
fn comparable(url: &gix_url::Url) -> (String, Option<u16>, Vec<u8>) {
    let host = url.host().unwrap_or_default().to_ascii_lowercase();
    (host, url.port_or_default(), comparable_path(&url.path))
}

/// The same for other transports. Users may see different repositories under one path, so the user counts.
fn place_on_host(host: &[u8], port: Option<&str>, default: &str, path: &[u8]) -> (Vec<u8>, String, Vec<u8>) {
    let user_end = host.rfind_byte(b'@').map_or(0, |at| at + 1);
    let (user, name) = host.split_at_checked(user_end).unwrap_or_default();
    let host = [user, &name.to_ascii_lowercase()].concat();
    (host, port.unwrap_or(default).to_owned(), comparable_path(path))
}

fn comparable_path(path: &[u8]) -> Vec<u8> {
    let path = path.trim_end_with(|c| c == '/');
    path.strip_suffix(b".git").unwrap_or(path).to_vec()
}

/// The directory that git's services would enter for `path` (`enter_repo` in git's `path.c`).
fn git_dir(path: &Path) -> PathBuf {
    let suffixed = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let candidates = [
        suffixed("/.git"),
        path.to_owned(),
        suffixed(".git/.git"),
        suffixed(".git"),
    ];
    let found = candidates.into_iter().find(|dir| dir.join("HEAD").exists());
    let found = found.unwrap_or_else(|| path.to_owned());
    found.canonicalize().unwrap_or(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn userinfo_is_kept_apart() {
        let Address::Http(address) = Address::parse("https://me:pw@host/x.git").unwrap() else {
            panic!()
        };
        assert_eq!(address.userinfo, Some(("me".into(), Some("pw".into()))));
        assert_eq!(Address::Http(address).to_string(), "https://host/x.git");
    }

    #[test]
    fn the_same_repository_is_recognised_under_other_spellings() {
        let same = |a: &str, b: &str| Address::parse(a).unwrap().is_same_as(&Address::parse(b).unwrap());
        assert!(same("https://Host/x.git", "https://host:443/x/"));
        assert!(!same("https://host/x", "https://host:444/x"));
        assert!(!same("https://host/x", "https://host/y"));
        assert!(same("ssh://me@Host/x/y.git/", "git+ssh://me@host:22/x/y"));
        assert!(same("me@host:x.git", "[me@host:22]:x"));
        assert!(!same("me@host:x", "you@host:x"));
        assert!(!same("host:x", "host:/x"));
        assert!(!same("ssh://host/x", "ssh://host:23/x"));
        assert!(same("git://Host/x.git", "git://host:9418/x"));
        assert!(!same("git://host/x", "ssh://host/x"));
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("r.git")).unwrap();
        std::fs::write(dir.path().join("r.git/HEAD"), "ref: refs/heads/main\n").unwrap();
        let path = |tail: &str| format!("{}/{tail}", dir.path().display());
        assert!(same(&path("r"), &path("r.git")));
        assert!(same(&format!("file://{}", path("r.git")), &path("./r.git/")));
    }
}
