//! The commits that are to move, read from the source without their content.

use std::collections::{HashMap, HashSet};

use gix_hash::ObjectId;

use super::super::{Job, relay};
use crate::error::{Result, Side};
use crate::plan::history::History;
use crate::progress::{Progress, Silent};
use crate::upload_pack::{FetchRequest, PackStream, Source};
use crate::wire::object::{Commit, ObjectKind, Tag};
use crate::wire::object_list::ObjectList;
use crate::wire::pack::{Keep, Object, PackReader};

/// What tag objects point to.
#[derive(Debug, Default)]
pub(super) struct Tags(HashMap<ObjectId, ObjectId>);

/// The commits between what is wanted and what the target has.
pub(super) struct Graph {
    pub(super) history: History,
    /// Those that were met.
    pub(super) tags: Tags,
    /// What was named and has not come: when there is nothing, no more commits can be missing.
    open: HashSet<ObjectId>,
}

impl Graph {
    /// Read it. A source that can filter sends commits and tags alone; another one sends everything, of which no more is
    /// read than it takes to have all commits.
    ///
    /// # Errors
    /// Those of the source, and `Unsupported` for one whose history has holes.
    pub(super) fn read(source: &mut Source, job: &Job, progress: &dyn Progress) -> Result<Graph> {
        let has_content = !source.can_filter();
        if has_content {
            progress.remark(
                "the source cannot send commits without their content, reading it all once to see them",
            );
        }
        let request = FetchRequest {
            wants: job.wants.clone(),
            haves: job.haves.clone(),
            done: true,
            ofs_delta: true,
            filter: Some("tree:0"),
            ..FetchRequest::default()
        };
        let format = source.format();
        let pack = relay::fetch(source, &request, &Silent)?;
        let mut graph = Graph {
            history: History::new(format),
            tags: Tags::default(),
            open: job.wants.iter().collect(),
        };
        let filled = graph.fill(pack, &job.haves, has_content);
        filled.map_err(|err| err.on(Side::Source))?;
        log::debug!(target: "relay::source", "{} commits are to move", graph.history.len());
        Ok(graph)
    }

    fn fill(&mut self, pack: PackStream<'_>, haves: &ObjectList, has_content: bool) -> Result<()> {
        let haves: HashSet<ObjectId> = haves.iter().collect();
        let format = self.format();
        for object in PackReader::new(pack, format, Keep::History)? {
            self.add(&object?, &haves)?;
            if has_content && self.open.is_empty() {
                // There is nothing else in the rest.
                break;
            }
        }
        Ok(())
    }

    fn add(&mut self, object: &Object, haves: &HashSet<ObjectId>) -> Result<()> {
        let format = self.format();
        let named = match object.kind {
            ObjectKind::Commit => {
                let parents = Commit::parse(format, &object.data)?.parents;
                self.history.insert(&object.id, &parents)?;
                parents
            }
            ObjectKind::Tag => {
                let target = Tag::parse(format, &object.data)?.target;
                self.tags.0.insert(object.id, target);
                vec![target]
            }
            ObjectKind::Tree | ObjectKind::Blob => Vec::new(),
        };
        self.open.remove(&object.id);
        let is_new = |oid: &ObjectId| {
            !haves.contains(oid) && !self.history.contains(oid) && !self.tags.0.contains_key(oid)
        };
        self.open.extend(named.into_iter().filter(is_new));
        Ok(())
    }

    fn format(&self) -> gix_hash::Kind {
        self.history.format()
    }
}

impl Tags {
    /// The object behind a chain of tags.
    pub(super) fn peel(&self, mut oid: ObjectId) -> ObjectId {
        // A chain of hashes has no circles.
        while let Some(target) = self.0.get(&oid) {
            oid = *target;
        }
        oid
    }
}
