//! The source's tip objects alone: commits and tags without their history, and what little else a ref may name.

use std::collections::HashSet;

use gix_hash::ObjectId;

use super::{FetchRequest, Source};
use crate::error::{Error, Kind, Result, Side};
use crate::progress::Silent;
use crate::wire::pack::{Keep, Object, PackReader};

/// Tip objects, and which commits came without their parents.
#[derive(Debug, Default)]
pub struct Tips {
    /// What was asked for, and the commits behind tags.
    pub objects: Vec<Object>,
    /// Commits whose parents were left out.
    pub shallow: Vec<ObjectId>,
    /// What the objects take.
    bytes: usize,
}

/// What tips may take in memory, in bytes: far more than any commit or tag needs, and room for some large blobs that refs
/// name. A server could send objects without an end.
fn allowance(wants: usize) -> usize {
    (512 << 20) + wants.saturating_mul(64 << 10)
}

impl Tips {
    fn keep(&mut self, object: Object, allowance: usize) -> Result<()> {
        self.bytes += object.data.len();
        if self.bytes > allowance {
            let message = format!("sends more than {allowance} bytes for the objects that its refs name");
            return Err(Error::new(Kind::Limit, message));
        }
        self.objects.push(object);
        Ok(())
    }
}

impl Source {
    /// Fetch just the objects `wants`: some 300 bytes for each from a server that can leave out trees and history.
    /// From others the pack is read until all have been seen.
    ///
    /// # Errors
    /// Those of [`Source::fetch`], [`Kind::Peer`] when an object does not come, or [`Kind::Limit`] when too much comes.
    pub fn fetch_tips(&mut self, wants: &[ObjectId]) -> Result<Tips> {
        let mut tips = Tips::default();
        if wants.is_empty() {
            return Ok(tips);
        }
        let mut missing: HashSet<ObjectId> = wants.iter().copied().collect();
        let filter = self.can_filter().then_some("tree:0");
        self.collect(wants, filter, &mut missing, &mut tips)?;
        if !missing.is_empty() && filter.is_some() {
            // A ref may name a tree or a blob, and the filter leaves those out.
            let rest: Vec<_> = missing.iter().copied().collect();
            self.collect(&rest, None, &mut missing, &mut tips)?;
        }
        match missing.iter().next() {
            None => Ok(tips),
            Some(oid) => {
                Err(Error::new(Kind::Peer, format!("advertises {oid} but does not send it")).on(Side::Source))
            }
        }
    }

    fn collect(
        &mut self,
        wants: &[ObjectId],
        filter: Option<&'static str>,
        missing: &mut HashSet<ObjectId>,
        tips: &mut Tips,
    ) -> Result<()> {
        let request = FetchRequest {
            wants: wants.into(),
            done: true,
            ofs_delta: true,
            deepen: self.can_deepen().then_some(1),
            filter,
            ..FetchRequest::default()
        };
        let format = self.format();
        let response = self.fetch(&request, &Silent)?;
        tips.shallow.extend(response.shallow);
        let Some(pack) = response.pack else { return Ok(()) };
        let keep = if filter.is_some() {
            Keep::History
        } else {
            Keep::All
        };
        let mut objects = PackReader::new(pack, format, keep).map_err(|err| err.on(Side::Source))?;
        // With a filter all that comes is of use, and reading to the end keeps the connection.
        while filter.is_some() || !missing.is_empty() {
            let Some(object) = objects.next() else { break };
            let object = object.map_err(|err| err.on(Side::Source))?;
            let wanted = missing.remove(&object.id);
            if wanted || filter.is_some() {
                tips.keep(object, allowance(wants.len()))
                    .map_err(|err| err.on(Side::Source))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::object::ObjectKind;

    #[test]
    fn tips_are_kept_up_to_a_limit() {
        let object = || Object {
            kind: ObjectKind::Commit,
            id: ObjectId::null(gix_hash::Kind::Sha1),
            data: vec![0; 60],
        };
        let mut tips = Tips::default();
        tips.keep(object(), 100).unwrap();
        assert_eq!(tips.keep(object(), 100).unwrap_err().kind(), Kind::Limit);
        assert_eq!(tips.objects.len(), 1);
    }
}
