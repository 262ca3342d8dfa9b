//! Where one side is, with the settings that say how to get there.

use std::fmt;
use std::path::PathBuf;

use bstr::{BStr, BString, ByteSlice};
use gix_transport::Service;

use super::location::{Location, Remote};
use super::reach::{Family, Reach};
use super::same::{comparable, git_dir, place_on_host};
use super::{check_allowed, has_password, redact, resolve, settings, shown};
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
    /// How to get to the server.
    pub reach: Reach,
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
    /// How to get to the host.
    pub reach: Reach,
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
    /// How to get to the host.
    pub reach: Reach,
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
    /// How to get to the host, if there is one.
    pub reach: Reach,
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
        let reach = Reach::of(config)?;
        Ok(match location {
            Location::Web => Address::Http(web(url, reach)?),
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
                reach,
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
                reach,
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
                reach,
            }),
        })
    }

    /// Use only addresses of `family` to get there. A local path has none.
    pub fn restrict(&mut self, family: Family) {
        match self {
            Address::Http(HttpAddress { reach, .. })
            | Address::Ssh(SshAddress { reach, .. })
            | Address::Daemon(DaemonAddress { reach, .. })
            | Address::Helper(HelperAddress { reach, .. }) => reach.family = family,
            Address::Local(_) => {}
        }
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
        for name in ["proxy", "proxyAuthMethod"] {
            if let Some(value) = config.string(&format!("remote.{text}.{name}")) {
                http.settings.set(&format!("http.{name}"), &value.to_str_lossy());
            }
        }
    }
    Ok(address)
}

fn web(text: &str, reach: Reach) -> Result<HttpAddress> {
    let no_url = || Error::new(Kind::Usage, format!("'{}' is not a URL", shown(text)));
    let mut url =
        gix_url::parse(text.as_bytes().as_bstr()).map_err(|err| no_url().caused_by(err.to_string()))?;
    let userinfo = url
        .user()
        .map(|user| (user.to_owned(), url.password().map(str::to_owned)));
    url.set_user(None);
    url.set_password(None);
    // gix writes some hosts (`h%00:`) in another way than it read them. Such a URL would lead elsewhere than what was
    // checked and looked up in the configuration.
    if gix_url::parse(url.to_bstring().as_bstr()).ok().as_ref() != Some(&url) {
        return Err(no_url());
    }
    Ok(HttpAddress {
        url,
        userinfo,
        settings: Box::default(),
        shows_password: false,
        reach,
        max_ref_list: None,
        token_env: None,
    })
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
    fn a_host_that_reads_otherwise_when_written_out_is_refused() {
        let err = Address::parse("https://me:pw@hos'%00pe:/:w@ho").unwrap_err();
        assert_eq!(err.kind(), Kind::Usage);
        assert!(!err.message().contains("pw"), "{err}");
        for url in [
            "https://h/a%20b/%2f?x=%00#y",
            "http://[::1]:80/x",
            "https://h",
            "https://h:443//x/",
        ] {
            assert!(Address::parse(url).is_ok(), "{url}");
        }
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
