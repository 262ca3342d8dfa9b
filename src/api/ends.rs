//! Both ends of a run: found, connected, and the target made where there is none.

use std::path::{Path, PathBuf};

use bstr::ByteSlice;
use tempfile::TempDir;

use crate::error::{Error, Kind, Result, Side};
use crate::git::{Config, Git, os_str};
use crate::receive_pack::Target;
use crate::session;
use crate::strategy::relay;
use crate::upload_pack::{Protocol, Source};
use crate::url::{Address, LocalAddress, RelayUrl};

/// What came of connecting.
pub(super) struct Ends {
    pub(super) source: Result<Source>,
    pub(super) target: Result<Target>,
    /// Where the target was found.
    pub(super) place: Address,
    made: Option<Made>,
}

/// A target that was made because there was none.
enum Made {
    /// An empty repository that stands for one that is not there, in a run that must not write.
    StandIn(#[expect(dead_code, reason = "removes the directory when the run is over")] TempDir),
    /// Where the user wanted it.
    New(PathBuf),
}

impl Ends {
    /// Connect both sides at the same time. A missing local target is created, or stood in for if `read_only`; without
    /// a target, an empty one is stood in for.
    ///
    /// # Errors
    /// When a name is wrong, or the target cannot be made.
    pub(super) fn connect(
        source: &str,
        target: Option<&str>,
        config: &Config,
        read_only: bool,
    ) -> Result<Ends> {
        let version = session::protocol_version(config)?;
        let Some(target) = target else {
            let source = session::connect_source(&find(source, Side::Source, config)?, version)?;
            return stand_in(source);
        };
        let url = RelayUrl {
            source: source.to_owned(),
            targets: vec![target.to_owned()],
        };
        let (from, to) = session::addresses(&url, config)?;
        let from = rooted(from, source, config)?;
        let to = rooted(to, target, config)?;
        if from.is_known_to_be_shallow() {
            return Err(relay::shallow_source());
        }
        let Some(path) = missing(&to) else {
            return Ok(Ends::both(&from, to, version));
        };
        let source = session::connect_source(&from, version)?;
        // An empty source is refused later on; nothing shall be left behind for it.
        if read_only || source.advertisement().refs.is_empty() {
            return stand_in(source);
        }
        create(&path, &source)?;
        Ok(Ends {
            source: Ok(source),
            target: session::connect_target(&to),
            place: to,
            made: Some(Made::New(path)),
        })
    }

    fn both(from: &Address, to: Address, version: Protocol) -> Ends {
        let (source, target) = std::thread::scope(|scope| {
            let source = scope.spawn(|| session::connect_source(from, version));
            let target = session::connect_target(&to);
            (source.join().unwrap_or_else(|_| Err(crashed())), target)
        });
        Ends {
            source,
            target,
            place: to,
            made: None,
        }
    }

    /// What is left to do when the run is over: a repository that was created for nothing goes again.
    pub(super) fn tidy(made: MadeTarget) {
        if let Some(Made::New(path)) = made.0 {
            remove_if_empty(&path);
        }
    }

    /// Take the parts.
    pub(super) fn into_parts(self) -> (Result<Source>, Result<Target>, Address, MadeTarget) {
        (self.source, self.target, self.place, MadeTarget(self.made))
    }
}

/// What was made, for [`Ends::tidy`].
pub(super) struct MadeTarget(Option<Made>);

impl MadeTarget {
    /// Whether nobody but this run ever saw the target.
    pub(super) fn is_stand_in(&self) -> bool {
        matches!(self.0, Some(Made::StandIn(_)))
    }

    /// Whether the target was created by this run, with the source's HEAD.
    pub(super) fn is_new(&self) -> bool {
        matches!(self.0, Some(Made::New(_)))
    }
}

/// The address of one side.
pub(super) fn find(text: &str, side: Side, config: &Config) -> Result<Address> {
    rooted(Address::find(text, side, config)?, text, config)
}

pub(super) fn crashed() -> Error {
    Error::new(Kind::Internal, "a connection attempt crashed")
}

/// Relative paths in the configuration of a repository are relative to its top directory; git goes there first.
fn rooted(address: Address, text: &str, config: &Config) -> Result<Address> {
    let Address::Local(local) = &address else {
        return Ok(address);
    };
    let is_remote = ["url", "pushurl"]
        .iter()
        .any(|key| config.string(&format!("remote.{text}.{key}")).is_some());
    if local.path.is_absolute() || !is_remote {
        return Ok(address);
    }
    Ok(match top()? {
        Some(top) => Address::Local(LocalAddress {
            path: top.join(&local.path),
            programs: local.programs.clone(),
        }),
        None => address,
    })
}

/// Where git goes in the repository at hand: to the top of the work tree, or to the git directory of a bare one.
pub(crate) fn top() -> Result<Option<PathBuf>> {
    let git = Git::here();
    let ask = |what: &str| -> Result<Option<PathBuf>> {
        let answer = git.command(["rev-parse", what]).or_exit(128).run()?;
        let line = answer.strip_suffix(b"\n").unwrap_or(&answer);
        Ok((!line.is_empty()).then(|| PathBuf::from(os_str(line))))
    };
    match ask("--show-toplevel")? {
        Some(top) => Ok(Some(top)),
        None => ask("--absolute-git-dir"),
    }
}

/// The path of a local repository that does not exist.
pub(super) fn missing(address: &Address) -> Option<PathBuf> {
    let Address::Local(LocalAddress { path, .. }) = address else {
        return None;
    };
    let mut suffixed = path.clone().into_os_string();
    suffixed.push(".git");
    let there = path.exists() || Path::new(&suffixed).exists();
    (!there).then(|| path.clone())
}

/// An empty repository in place of a target that nobody may write.
fn stand_in(source: Source) -> Result<Ends> {
    let dir = tempfile::Builder::new().prefix("git-relay-").tempdir();
    let dir = dir.map_err(|err| Error::from_io(err, "cannot make a temporary directory"))?;
    create(dir.path(), &source)?;
    let place = Address::Local(dir.path().to_owned().into());
    Ok(Ends {
        source: Ok(source),
        target: session::connect_target(&place),
        place,
        made: Some(Made::StandIn(dir)),
    })
}

/// Take away a repository that was created and has got nothing.
pub(super) fn remove_if_empty(path: &Path) {
    let refs = Git::at(path).command(["for-each-ref", "--count=1"]).run();
    if refs.is_ok_and(|refs| refs.is_empty()) {
        log::info!(target: "relay::target", "removing {} again", path.display());
        std::fs::remove_dir_all(path).ok();
    }
}

/// Make a bare repository at `path` with the object format and the HEAD of `source`.
pub(super) fn create(path: &Path, source: &Source) -> Result<()> {
    let doing = format!("cannot create {}", path.display());
    let failed = |err: Error| err.on(Side::Target);
    std::fs::create_dir_all(path).map_err(|err| failed(Error::from_io(err, &doing)))?;
    let git = Git::at(std::path::absolute(path).map_err(|err| Error::from_io(err, &doing))?);
    let format = format!("--object-format={}", source.format());
    git.command(["init", "-q", "--bare", &format])
        .run()
        .map_err(failed)?;
    if let Some(head) = &source.advertisement().head {
        git.command(["symbolic-ref", "HEAD"])
            .arg(os_str(head.as_bytes()))
            .run()
            .map_err(failed)?;
    }
    Ok(())
}
