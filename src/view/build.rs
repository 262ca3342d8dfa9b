//! Building the view, and hiding what the target has as well.

use std::collections::{HashMap, HashSet};

use bstr::{BString, ByteSlice};
use gix_hash::ObjectId;

use super::marker::{Head, Marker};
use super::objects::{ObjectDir, verify};
use super::pack::Pack;
use super::{Cleaner, Repository, State, fault, files, gone, shallow_content};
use crate::error::{Error, Kind, Result, printable};
use crate::git::refs::Change;
use crate::git::{Git, Layout, RefStorage};
use crate::wire::pack::Object;

/// From how many objects on those that need no hiding go into a pack, which saves a file each. Fewer stay loose:
/// that is as quick, and leaves no pack that the git process running us could still have open.
const PACK_FROM: usize = 256;

/// A ref of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewRef {
    /// Its full name.
    pub name: BString,
    /// Its value, not peeled.
    pub oid: ObjectId,
}

/// All that a view shall hold.
#[derive(Debug, Clone, Default)]
pub struct Picture {
    /// The refs, in any order.
    pub refs: Vec<ViewRef>,
    /// The branch that `HEAD` shall point to; `None` leaves `HEAD` alone.
    pub head: Option<BString>,
    /// The objects that the refs name, and any others that git shall see.
    pub tips: Vec<Object>,
    /// The commits among them whose parents are left out.
    pub shallow: Vec<ObjectId>,
    /// Values of the target's refs: the objects that [`View::hide`] must be able to hide.
    pub named_by_target: HashSet<ObjectId>,
}

impl Picture {
    /// The values of refs whose objects are not among the tips, each once: to be asked for again.
    pub fn missing(&self) -> Vec<ObjectId> {
        let mut have: HashSet<ObjectId> = self.tips.iter().map(|tip| tip.id).collect();
        self.refs
            .iter()
            .map(|entry| entry.oid)
            .filter(|oid| have.insert(*oid))
            .collect()
    }
}

/// A view that git can see. It goes when it is dropped; [`View::remove`] says whether that worked.
#[derive(Debug)]
pub struct View {
    repo: Repository,
    objects: ObjectDir,
    hideable: Vec<ObjectId>,
    unhideable: Vec<ObjectId>,
    hidden: usize,
}

impl View {
    /// Put `picture` into `repo`. What was written is taken away again when something fails.
    ///
    /// # Errors
    /// `Unsupported` when the source names objects by another hash; `Corrupt` when a ref or an object is not what it
    /// should be, or a ref's object is missing; `Internal` when the disk or git fails.
    pub fn build(repo: Repository, picture: Picture) -> Result<View> {
        let plan = Plan::new(&repo, picture)?;
        let cleaner = repo.cleaner();
        let objects = ObjectDir::new(repo.layout.objects.clone());
        // From here on `repo` cleans up when it is dropped.
        plan.carry_out(&repo, &objects, &cleaner)?;
        Ok(View {
            repo,
            objects,
            hideable: plan.hideable,
            unhideable: plan.unhideable,
            hidden: 0,
        })
    }

    /// Hide the objects that the target's refs name, until [`View::show`]: git then takes them for unknown, and
    /// leaves all judgement to us instead of judging by a history that ends at the tips.
    ///
    /// To be called after git has read the local refs, that is, just before `list for-push` is answered. Returns the
    /// objects that stay visible because they were in the repository before.
    ///
    /// # Errors
    /// When the disk fails, or the view is gone.
    pub fn hide(&mut self) -> Result<&[ObjectId]> {
        self.each(true)?;
        Ok(&self.unhideable)
    }

    /// Show all objects again. To be called before statuses are sent: git then notes what it pushed in tracking
    /// refs, which must name objects that exist.
    ///
    /// # Errors
    /// When the disk fails, or the view is gone.
    pub fn show(&mut self) -> Result<()> {
        self.each(false)
    }

    fn each(&mut self, hide: bool) -> Result<()> {
        // With the lock in hand no signal can take the view away under us.
        let cleaner = self.repo.cleaner();
        let state = cleaner.state();
        if state.marker.is_none() {
            return Err(gone());
        }
        // The first `hidden` ones are hidden, also after a failure half way.
        while hide && self.hidden < self.hideable.len() {
            if let Some(oid) = self.hideable.get(self.hidden) {
                self.objects.hide(oid, true)?;
            }
            self.hidden += 1;
        }
        while !hide && self.hidden > 0 {
            if let Some(oid) = self.hideable.get(self.hidden - 1) {
                self.objects.hide(oid, false)?;
            }
            self.hidden -= 1;
        }
        Ok(())
    }

    /// A handle that takes the view away from any thread; see [`Repository::cleaner`].
    pub fn cleaner(&self) -> Cleaner {
        self.repo.cleaner()
    }

    /// Remove every trace of the view.
    ///
    /// # Errors
    /// Those of [`Cleaner::remove`].
    pub fn remove(self) -> Result<()> {
        self.repo.cleaner.remove()
    }
}

/// What will be written, all of it known before anything is.
struct Plan {
    marker: Marker,
    loose: Vec<Object>,
    pack: Option<Pack>,
    hideable: Vec<ObjectId>,
    unhideable: Vec<ObjectId>,
}

impl Plan {
    fn new(repo: &Repository, picture: Picture) -> Result<Plan> {
        check(repo, &picture)?;
        let objects = ObjectDir::new(repo.layout.objects.clone());
        let mut marker = outline(repo, &picture);
        let Picture {
            tips,
            named_by_target,
            ..
        } = picture;
        let mut seen = HashSet::new();
        let tips = tips.into_iter().filter(|tip| seen.insert(tip.id));
        let (mut loose, mut packed): (Vec<_>, Vec<_>) =
            tips.partition(|tip| named_by_target.contains(&tip.id));
        if packed.len() < PACK_FROM {
            loose.append(&mut packed);
        }
        let present = present(repo, &objects, &loose)?;
        loose.retain(|tip| !present.contains(&tip.id));
        marker.loose = loose.iter().map(|tip| tip.id).collect();
        marker.fan_outs = objects.missing_fan_outs(&marker.loose);
        let pack = compose(repo, &objects, &packed)?;
        marker.pack = pack.as_ref().map(|pack| pack.checksum);
        Ok(Plan {
            hideable: marker
                .loose
                .iter()
                .copied()
                .filter(|oid| named_by_target.contains(oid))
                .collect(),
            unhideable: present
                .into_iter()
                .filter(|oid| named_by_target.contains(oid))
                .collect(),
            marker,
            loose,
            pack,
        })
    }

    fn carry_out(&self, repo: &Repository, objects: &ObjectDir, cleaner: &Cleaner) -> Result<()> {
        let mut state = cleaner.state();
        if state.lock.is_none() {
            return Err(gone());
        }
        state.marker = Some(self.marker.clone());
        let State { git, paths, .. } = &*state;
        let scratch = &paths.scratch;
        scratch.put(&paths.marker, &self.marker.to_bytes())?;
        if let Some(pack) = &self.pack {
            objects.write_pack(pack)?;
        }
        self.marker
            .fan_outs
            .iter()
            .try_for_each(|first| objects.make_fan_out(*first))?;
        self.loose.iter().try_for_each(|tip| objects.write_loose(tip))?;
        if !self.marker.shallow.is_empty() {
            scratch
                .lock(&repo.layout.shallow)?
                .replace(&shallow_content(&self.marker.shallow), None)?;
        }
        match repo.layout.refs {
            RefStorage::Reftable => self.refs_by_git(git, &repo.layout)?,
            _ => {
                files::write_packed(&repo.layout.packed_refs, &self.marker.refs, scratch)?;
                if let Some(head) = &self.marker.head {
                    let content = [b"ref: ", head.new.as_slice(), b"\n"].concat();
                    files::write_head(&repo.layout.git_dir.join("HEAD"), &content, scratch)?;
                }
            }
        }
        log::debug!(target: "relay::helper", "the view holds {} refs, {} loose objects and {} packed bytes",
            self.marker.refs.len(), self.loose.len(), self.pack.as_ref().map_or(0, |pack| pack.data.len()));
        Ok(())
    }

    fn refs_by_git(&self, git: &Git, layout: &Layout) -> Result<()> {
        let changes: Vec<_> = self
            .marker
            .refs
            .iter()
            .map(|(name, oid)| Change::Create(name.clone(), *oid))
            .collect();
        fault::point()?;
        git.update_refs(&changes)?;
        fault::point()?;
        match &self.marker.head {
            Some(head) => git.set_head_target(&layout.git_dir, head.new.as_bstr()),
            None => Ok(()),
        }
    }
}

/// Check what came from the source, before it becomes files.
fn check(repo: &Repository, picture: &Picture) -> Result<()> {
    let format = repo.object_format();
    let ids = picture
        .refs
        .iter()
        .map(|entry| &entry.oid)
        .chain(picture.tips.iter().map(|tip| &tip.id));
    if let Some(other) = ids.chain(&picture.shallow).find(|oid| oid.kind() != format) {
        let message = format!(
            "the source names objects by {}, this repository by {format}",
            other.kind()
        );
        let hint = format!(
            "push from a repository made with: git init --bare --object-format={}",
            other.kind()
        );
        return Err(Error::new(Kind::Unsupported, message).hint(hint));
    }
    if let Some(bad) = picture.refs.iter().find(|entry| !files::is_ref_name(&entry.name)) {
        let message = format!("git does not allow the ref name '{}'", printable(&bad.name));
        return Err(Error::new(Kind::Corrupt, message));
    }
    picture.tips.iter().try_for_each(verify)?;
    match picture.missing().first() {
        Some(oid) => Err(Error::new(
            Kind::Corrupt,
            format!("the source did not send {oid}, which a ref of it names"),
        )),
        None => Ok(()),
    }
}

/// The marker as far as it does not depend on how objects are stored.
fn outline(repo: &Repository, picture: &Picture) -> Marker {
    let found = &repo.found;
    let refs: HashMap<_, _> = picture
        .refs
        .iter()
        .map(|entry| (&entry.name, entry.oid))
        .collect();
    let mut refs: Vec<_> = refs.into_iter().map(|(name, oid)| (name.clone(), oid)).collect();
    refs.sort();
    let mut shallow = picture.shallow.clone();
    shallow.sort();
    shallow.dedup();
    let target = picture
        .head
        .as_ref()
        .filter(|name| name.starts_with(b"refs/heads/") && files::is_ref_name(name));
    let head = target
        .filter(|target| **target != found.head_target)
        .map(|target| Head {
            old: found.head.clone(),
            new: target.clone(),
        });
    Marker {
        git_dir: repo.layout.git_dir.clone(),
        objects: repo.layout.objects.clone(),
        head,
        packed_refs: found.packed_refs.clone(),
        head_log: found.head_log,
        kept_dirs: found.kept_dirs.clone(),
        tracking: found.tracking.clone(),
        refs,
        shallow,
        ..Marker::empty(repo.object_format())
    }
}

/// Which of `tips` the repository holds without us. They are not ours to hide or to remove.
fn present(repo: &Repository, objects: &ObjectDir, tips: &[Object]) -> Result<HashSet<ObjectId>> {
    let state = repo.cleaner.state();
    let elsewhere = state
        .git
        .var("GIT_ALTERNATE_OBJECT_DIRECTORIES")
        .is_some_and(|dirs| !dirs.is_empty());
    if tips.is_empty() || !(elsewhere || objects.has_packs_or_alternates()?) {
        return Ok(tips
            .iter()
            .map(|tip| tip.id)
            .filter(|oid| objects.has_loose(oid))
            .collect());
    }
    state.git.existing_objects(tips.iter().map(|tip| tip.id))
}

fn compose(repo: &Repository, objects: &ObjectDir, tips: &[Object]) -> Result<Option<Pack>> {
    if tips.is_empty() {
        return Ok(None);
    }
    let pack = Pack::compose(repo.object_format(), &tips.iter().collect::<Vec<_>>())?;
    // The same pack can only hold the same objects; it is not ours, and it will do.
    Ok((!objects.has_pack(&pack.checksum)).then_some(pack))
}
