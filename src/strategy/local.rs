//! Work that only the local repository has, for pushes that may take it along (`relay.local`): which objects, and whether
//! they are ahead of what the target has.

use std::collections::HashSet;
use std::ffi::OsString;

use gix_hash::ObjectId;

use super::Ends;
use super::ancestry::{self, KnownParents};
use crate::error::{Error, Kind, Result};
use crate::git::pack::PackName;
use crate::git::scratch::is_full;
use crate::git::{Git, os_str};
use crate::plan::{Answer, Question};
use crate::progress::Silent;
use crate::receive_pack::Target;
use crate::upload_pack::{FetchRequest, Source};
use crate::wire::object_list::ObjectList;

/// As many haves go into one question about what the source knows; more than most people commit between two fetches.
const BATCH: usize = 512;

/// Local work is a few commits; this many are a history that the source has nothing of.
const MANY: usize = 4_000_000;

/// New values that the source does not have and the local repository does.
#[derive(Debug, Clone)]
pub struct LocalWork {
    git: Git,
    /// The values, tags among them perhaps.
    tips: HashSet<ObjectId>,
}

/// What [`LocalWork::part`] finds.
#[derive(Debug)]
pub struct Part {
    /// A pack of what only the local repository has; `None` if that is nothing.
    pub pack: Option<PackName>,
    /// What it builds on and the source has. The target may have it, too.
    pub wants: Vec<ObjectId>,
}

impl LocalWork {
    /// No work yet, in the repository of `git`.
    pub fn new(git: Git) -> Self {
        LocalWork {
            git,
            tips: HashSet::new(),
        }
    }

    /// Of `oids`, which the source lacks, take up those that are here; the others are returned.
    ///
    /// # Errors
    /// When the local repository cannot be read.
    pub fn take_up(&mut self, oids: HashSet<ObjectId>) -> Result<HashSet<ObjectId>> {
        let here = self.git.existing_objects(oids.iter().copied())?;
        let elsewhere = oids.difference(&here).copied().collect();
        self.tips.extend(here);
        Ok(elsewhere)
    }

    /// Whether `oid` is a value that only the local repository has.
    pub fn has(&self, oid: &ObjectId) -> bool {
        self.tips.contains(oid)
    }

    /// The part of the work that `wants` name, and the wants that it leaves to the source.
    pub fn split(&self, wants: &ObjectList) -> (Option<LocalWork>, ObjectList) {
        let (tips, rest): (Vec<_>, Vec<_>) = wants.iter().partition(|oid| self.has(oid));
        let work = (!tips.is_empty()).then(|| LocalWork {
            git: self.git.clone(),
            tips: tips.into_iter().collect(),
        });
        (work, rest.into())
    }

    /// `GIT_ALTERNATE_OBJECT_DIRECTORIES` for a repository that borrows the local objects.
    ///
    /// # Errors
    /// When the local repository cannot be read.
    pub fn object_directories(&self) -> Result<OsString> {
        let own = &self.git.layout()?.objects;
        // git(1): a list with colons; a path in double quotes is read as a C string.
        let mut list = vec![b'"'];
        for byte in own.as_os_str().as_encoded_bytes() {
            match byte {
                b'"' | b'\\' => list.extend_from_slice(&[b'\\', *byte]),
                other => list.push(*other),
            }
        }
        list.push(b'"');
        if let Some(more) = self.git.var("GIT_ALTERNATE_OBJECT_DIRECTORIES") {
            list.push(b':');
            list.extend_from_slice(more.as_encoded_bytes());
        }
        Ok(os_str(&list).to_owned())
    }

    /// Put what only the local repository has into a pack of `repository`, which borrows the local objects: then
    /// nothing that is missing can be fetched in silence.
    ///
    /// # Errors
    /// `Unsupported` when the local repository is not complete as far as its own work goes, and those of the source.
    pub fn part(&self, repository: &Git, ends: &mut Ends<'_>) -> Result<Part> {
        let tips: Vec<ObjectId> = self.tips.iter().copied().collect();
        let bases = self.bases(ends.source, &known_to(ends.target), &tips)?;
        let targets = self.git.existing_objects(ends.target.tips())?;
        let mut unwanted = bases.clone();
        unwanted.extend(&targets);
        let pack = repository.pack_between(&tips, &unwanted);
        let pack = pack.map_err(|err| self.incomplete(err))?;
        // What the target has needs no source, and the source may not have it.
        let targets: Vec<ObjectId> = targets.into_iter().collect();
        let beyond: HashSet<ObjectId> = match bases.is_empty() {
            true => HashSet::new(),
            false => self
                .git
                .commits_between(&bases, &targets, MANY)?
                .into_iter()
                .collect(),
        };
        let wants = bases.into_iter().filter(|base| beyond.contains(base)).collect();
        Ok(Part { pack, wants })
    }

    /// Whether the old value is an ancestor of the new one, which is local.
    ///
    /// # Errors
    /// Those of [`LocalWork::part`].
    pub fn answer(&self, source: &mut Source, question: Question) -> Result<Answer> {
        let is_here = !self.git.existing_objects([question.old].into_iter())?.is_empty();
        if is_here && self.git.is_ancestor(&question.old, &question.new)? {
            return Ok(Answer::Yes);
        }
        if !self.is_shallow()? {
            return Ok(if is_here {
                Answer::Diverged
            } else {
                Answer::UnknownOld
            });
        }
        // The history here ends early, but that of the source goes on.
        let bases = self.bases(source, &[], &[question.new])?;
        let ask = |base| Question {
            old: question.old,
            new: base,
        };
        let questions: Vec<Question> = bases.into_iter().map(ask).collect();
        let answers = ancestry::answer(source, &questions, &KnownParents::new())?;
        let any = |wanted: Answer| answers.values().any(|answer| *answer == wanted);
        match (any(Answer::Yes), any(Answer::UnknownOld)) {
            (true, _) => Ok(Answer::Yes),
            (_, true) => Ok(Answer::UnknownOld),
            _ => Ok(Answer::Diverged),
        }
    }

    /// The commits that the work of `tips` builds on. The tips of the source and `known` are not part of it, and for
    /// what lies between, the source is asked.
    fn bases(&self, source: &mut Source, known: &[ObjectId], tips: &[ObjectId]) -> Result<Vec<ObjectId>> {
        let names: Vec<_> = tips.iter().map(|oid| oid.to_string().into()).collect();
        let named = self
            .git
            .look_up(&names)?
            .into_iter()
            .filter(|named| named.is_commit);
        let tips: Vec<ObjectId> = named.map(|named| named.peeled).collect();
        if tips.is_empty() {
            return Ok(tips);
        }
        let advertised = source.advertisement().refs.iter();
        let advertised = advertised.flat_map(|entry| [entry.oid, entry.peeled_or_oid()]);
        let known = advertised.chain(known.iter().copied());
        let mut known: Vec<ObjectId> = self.git.existing_objects(known)?.into_iter().collect();
        let mut asked = self.tips.clone();
        loop {
            let commits = self.git.commits_between(&tips, &known, MANY);
            let commits = commits.map_err(|err| self.incomplete(err))?;
            let next = commits.iter().filter(|oid| !asked.contains(*oid));
            let next: Vec<ObjectId> = next.take(BATCH).copied().collect();
            if !next.is_empty() {
                known.extend(acknowledged(source, &next)?);
                asked.extend(next);
                continue;
            }
            let work: HashSet<ObjectId> = commits.into_iter().collect();
            let mut bases: HashSet<ObjectId> = self.git.boundary(&tips, &known)?.into_iter().collect();
            // A tag can be local, and what it is about known.
            bases.extend(tips.iter().filter(|oid| !work.contains(*oid)));
            return Ok(bases.into_iter().collect());
        }
    }

    fn is_shallow(&self) -> Result<bool> {
        Ok(self
            .git
            .layout()?
            .shallow
            .metadata()
            .is_ok_and(|found| found.len() > 0))
    }

    fn incomplete(&self, err: Error) -> Error {
        if is_full(err.message()) {
            let place = std::env::temp_dir();
            let message = format!(
                "here: cannot keep a pack in {}: {}",
                place.display(),
                err.message()
            );
            return Error::new(Kind::Internal, message)
                .hint("TMPDIR names another place for temporary files")
                .caused_by(err);
        }
        let message = format!(
            "here: this repository lacks a part of what it is to push: {}",
            err.message()
        );
        let told = Error::new(Kind::Unsupported, message).caused_by(err);
        match self.is_shallow() {
            Ok(true) => told.hint("it is shallow; complete it first: git fetch --unshallow"),
            _ => told,
        }
    }
}

fn known_to(target: &Target) -> Vec<ObjectId> {
    let peeled = target
        .advertisement()
        .refs
        .iter()
        .map(|entry| entry.peeled_or_oid());
    target.tips().chain(peeled).collect()
}

/// Some of `oids` that the source has; of those that lie behind others of them it may keep silent.
fn acknowledged(source: &mut Source, oids: &[ObjectId]) -> Result<HashSet<ObjectId>> {
    let Some(want) = source.advertisement().refs.get(0).map(|entry| entry.oid) else {
        return Ok(HashSet::new());
    };
    if oids.is_empty() {
        return Ok(HashSet::new());
    }
    let request = FetchRequest {
        wants: [want].into(),
        haves: oids.into(),
        ofs_delta: true,
        filter: Some("tree:0"),
        ..FetchRequest::default()
    };
    let mut acknowledged = source.fetch(&request, &Silent)?.acknowledged;
    acknowledged.retain(|oid| oids.contains(oid));
    Ok(acknowledged)
}
