//! Before git is answered: connect both sides and, in a repository without refs, show git the source's refs.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bstr::BString;
use gix_hash::ObjectId;
use tokio::runtime::Handle;

use super::command::HelperOption;
use crate::error::{Error, Kind, Result, Side};
use crate::git::Git;
use crate::plan::selection::{excluded_namespaces, is_excluded};
use crate::session::{self, Connected, Session};
use crate::strategy::ancestry::KnownParents;
use crate::upload_pack::{Source, Tips};
use crate::url::RelayUrl;
use crate::view::{self, Cleaner, Picture, Standing, View, ViewRef};
use crate::wire::object::{Commit, ObjectKind};
use crate::wire::refs::RemoteRef;

/// How long a second push in the same repository waits for the first to end.
const WAIT_FOR_OTHER_PUSH: Duration = Duration::from_secs(60);

/// Takes away what the helper put into the repository. Works from any thread and as often as one likes.
#[derive(Debug, Clone, Default)]
pub struct Traces(Arc<Mutex<Option<Cleaner>>>);

impl Traces {
    /// Remove everything.
    ///
    /// # Errors
    /// When that fails; the next run in the repository tries again.
    pub fn remove(&self) -> Result<()> {
        let cleaner = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        cleaner.map_or(Ok(()), |cleaner| cleaner.remove())
    }

    fn watch(&self, cleaner: Cleaner) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(cleaner);
    }
}

/// What could be done before git says what it wants.
pub(super) enum Stage {
    /// Connected, as far as that worked.
    Set(Box<Set>),
    /// Nothing yet: there is no view to build, so connecting can wait until git is sure to push.
    Later(RelayUrl),
}

pub(super) struct Set {
    /// Git looks for the source's refs before it asks about the target, so they are shown even when the target is out
    /// of reach.
    view: Option<View>,
    /// Or what stands in the way of a push.
    ready: Result<Ready>,
}

struct Ready {
    session: Session,
    known_parents: KnownParents,
    commits: HashSet<ObjectId>,
    excluded: Vec<BString>,
}

impl Stage {
    /// Go on with a push, or say what stands in its way.
    ///
    /// # Errors
    /// Whatever went wrong while preparing.
    pub(super) fn push(self, git: &Git) -> Result<Prepared> {
        let Set { view, ready } = match self {
            Stage::Set(set) => *set,
            Stage::Later(url) => Set {
                view: None,
                ready: connect(&url, git),
            },
        };
        let Ready {
            session,
            known_parents,
            commits,
            excluded,
        } = ready?;
        Ok(Prepared {
            session,
            known_parents,
            commits,
            excluded,
            view,
        })
    }

    /// Git is gone without having asked for anything.
    ///
    /// # Errors
    /// What could have kept it from finding something to push.
    pub(super) fn end(self) -> Result<()> {
        match self {
            Stage::Set(set) => set.ready.map(drop),
            Stage::Later(_) => Ok(()),
        }
    }

    /// A stage on which no push can happen.
    pub(super) fn without_push(why: Error) -> Self {
        Stage::set(None, Err(why))
    }

    /// Whether there are connections, in which case it is too late to say how to connect.
    pub(super) fn is_connected(&self) -> bool {
        matches!(self, Stage::Set(set) if set.view.is_some() || set.ready.is_ok())
    }

    /// A stage without a view, to be set when git pushes.
    pub(super) fn later(url: RelayUrl) -> Self {
        Stage::Later(url)
    }

    fn set(view: Option<View>, ready: Result<Ready>) -> Self {
        Stage::Set(Box::new(Set { view, ready }))
    }
}

/// All that a push needs.
pub(super) struct Prepared {
    pub(super) session: Session,
    /// The parents of the tips, as far as they came along.
    pub(super) known_parents: KnownParents,
    commits: HashSet<ObjectId>,
    excluded: Vec<BString>,
    /// `None` in a repository with refs of its own.
    view: Option<View>,
}

impl Prepared {
    /// Whether git matches against the source's refs, rather than those of this repository.
    pub(super) fn has_view(&self) -> bool {
        self.view.is_some()
    }

    /// Whether `oid`, an object that a ref of the source names or peels to, is a commit.
    pub(super) fn is_commit(&self, oid: &ObjectId) -> bool {
        self.commits.contains(oid)
    }

    /// Take what the source lacks from the local repository, unless that is but a view of the source.
    pub(super) fn allow_local_work(&mut self, git: &Git) {
        if !self.has_view() {
            self.session.allow_local_work(git.clone());
        }
    }

    /// The target's refs, without those that no push shall touch.
    pub(super) fn visible_target_refs(&self) -> impl Iterator<Item = RemoteRef<'_>> {
        let refs = self.session.target.advertisement().refs.iter();
        refs.filter(|entry| !is_excluded(&self.excluded, entry.name))
    }

    /// Refuse what the target cannot do as soon as git asks for it, like git itself.
    pub(super) fn check_support(&self, option: &HelperOption) -> Result<()> {
        let (capability, message) = match option {
            HelperOption::PushOption(_) => ("push-options", "does not support push options"),
            HelperOption::Atomic(true) => ("atomic", "does not support --atomic push"),
            _ => return Ok(()),
        };
        if self.session.target.offers(capability) {
            return Ok(());
        }
        Err(Error::new(Kind::Unsupported, message).on(Side::Target))
    }

    /// Git would judge fast-forwards by the view, whose history ends at the tips, and get them wrong. What it cannot
    /// see it leaves to us.
    pub(super) fn hide_shared_tips(&mut self) -> Result<()> {
        self.view.as_mut().map_or(Ok(()), |view| view.hide().map(drop))
    }

    pub(super) fn show_shared_tips(&mut self) -> Result<()> {
        self.view.as_mut().map_or(Ok(()), View::show)
    }
}

/// Connect, and build the view of `url`'s source in the repository of `git`.
///
/// # Errors
/// What no command could go on with. What stands in the way of a push only is kept in the [`Stage`].
pub(super) fn prepare(url: RelayUrl, git: &Git, traces: &Traces) -> Result<Stage> {
    let repository = match view::standing(git, WAIT_FOR_OTHER_PUSH)? {
        Standing::Empty(repository) => *repository,
        // Git matches against those refs, and there is nothing to show.
        Standing::HasRefs => return Ok(Stage::later(url)),
        Standing::NoRepository => return Ok(Stage::without_push(no_repository())),
        Standing::Unusable(why) => return Ok(Stage::without_push(why)),
    };
    traces.watch(repository.cleaner());
    let config = git.config()?;
    let excluded = excluded_namespaces(config);
    let Connected { source, target } = Handle::current().block_on(session::connect(&url, config))?;
    let mut source = source?;
    check_format(repository.object_format(), source.format())?;
    let refs = viewed_refs(&source, &excluded)?;
    let tips = fetch_tips(&mut source, &refs)?;
    let (commits, known_parents) = read_history(&tips)?;
    let picture = Picture {
        head: source
            .advertisement()
            .head
            .clone()
            .filter(|head| refs.iter().any(|r| r.name == *head)),
        refs,
        shallow: cut_commits(&tips, &known_parents),
        tips: tips.objects,
        named_by_target: target
            .as_ref()
            .map(|target| target.tips().collect())
            .unwrap_or_default(),
    };
    Ok(match View::build(repository, picture) {
        Ok(view) => {
            let session = target.and_then(|target| Session::new(source, target));
            let ready = session.map(|session| Ready {
                session,
                known_parents,
                commits,
                excluded,
            });
            Stage::set(Some(view), ready)
        }
        Err(why) => Stage::without_push(why),
    })
}

/// Connect both sides without a view: only the source is still to be asked whether it has what this repository's refs
/// name.
fn connect(url: &RelayUrl, git: &Git) -> Result<Ready> {
    if git.common_dir().is_none() {
        return Err(no_repository());
    }
    let (layout, config) = git.discover()?;
    let Connected { source, target } = Handle::current().block_on(session::connect(url, config))?;
    let source = source?;
    check_format(layout.object_format, source.format())?;
    Ok(Ready {
        session: Session::new(source, target?)?,
        known_parents: KnownParents::new(),
        commits: HashSet::new(),
        excluded: excluded_namespaces(config),
    })
}

fn fetch_tips(source: &mut Source, refs: &[ViewRef]) -> Result<Tips> {
    let unique: HashSet<ObjectId> = refs.iter().map(|entry| entry.oid).collect();
    source.fetch_tips(&unique.into_iter().collect::<Vec<_>>())
}

fn viewed_refs(source: &Source, excluded: &[BString]) -> Result<Vec<ViewRef>> {
    let refs: Vec<_> = source
        .advertisement()
        .refs
        .iter()
        .filter(|entry| !is_excluded(excluded, entry.name))
        .map(|entry| ViewRef {
            name: entry.name.to_owned(),
            oid: entry.oid,
        })
        .collect();
    if refs.is_empty() {
        return Err(Error::new(
            Kind::Peer,
            "the repository is empty, there is nothing to push from it",
        )
        .on(Side::Source)
        .hint("nothing was changed on the target"));
    }
    Ok(refs)
}

fn read_history(tips: &Tips) -> Result<(HashSet<ObjectId>, KnownParents)> {
    let mut parents = HashMap::new();
    for object in tips
        .objects
        .iter()
        .filter(|object| object.kind == ObjectKind::Commit)
    {
        let commit = Commit::parse(object.id.kind(), &object.data).map_err(|err| err.on(Side::Source))?;
        parents.insert(object.id, commit.parents);
    }
    Ok((parents.keys().copied().collect(), parents))
}

/// A commit is shallow in the view unless all its parents are there.
fn cut_commits(tips: &Tips, parents: &KnownParents) -> Vec<ObjectId> {
    let mut shallow: HashSet<ObjectId> = tips.shallow.iter().copied().collect();
    shallow.extend(
        parents
            .iter()
            .filter(|(_, of)| of.iter().any(|parent| !parents.contains_key(parent)))
            .map(|(commit, _)| *commit),
    );
    shallow.retain(|commit| parents.contains_key(commit));
    shallow.into_iter().collect()
}

fn check_format(local: gix_hash::Kind, source: gix_hash::Kind) -> Result<()> {
    if local == source {
        return Ok(());
    }
    let message = format!("this repository uses the object format {local}, source and target use {source}");
    Err(Error::new(Kind::Unsupported, message).hint(format!(
        "push from an empty repository made with: git init --bare --object-format={source}"
    )))
}

fn no_repository() -> Error {
    Error::new(Kind::Usage, "git push needs a repository to run in")
        .hint("an empty one will do: git init -q --bare relay && git -C relay push …")
}
