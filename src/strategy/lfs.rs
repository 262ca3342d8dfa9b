//! Does the relayed content use Git LFS? Its large files live on another server and do not travel with the pack, which
//! the user should hear about.
//!
//! Only `.gitattributes` at the root of one tip is looked at: one small request, and a second one if there is such a file.
//! They are made while the target is at work on the pack where the source is free by then, else after the push.

use std::sync::OnceLock;

use bstr::ByteSlice;
use gix_hash::ObjectId;

use crate::error::{Result, Side};
use crate::progress::Silent;
use crate::upload_pack::{FetchRequest, Source};
use crate::wire::object::{Commit, tree_entry};
use crate::wire::pack::{Keep, Object, PackReader};

/// Where to look, and what was seen there.
#[derive(Debug, Clone, Default)]
pub struct Look {
    tip: Option<ObjectId>,
    seen: OnceLock<bool>,
}

impl Look {
    /// A look at the commit `tip`, if there is one to look at.
    pub fn at(tip: Option<ObjectId>) -> Self {
        Look {
            tip,
            seen: OnceLock::new(),
        }
    }

    /// Do `work`, which does not need the source, and look meanwhile.
    pub fn beside<T>(&self, source: &mut Source, work: impl FnOnce() -> T) -> T {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("lfs".into());
            // Without a thread the answer is found later.
            let _joined_at_the_end = thread.spawn_scoped(scope, || self.answer(source));
            work()
        })
    }

    /// Whether Git LFS is used, asked of the source if nobody has looked yet. A source that refuses to send a single
    /// blob leaves that unknown, which is no.
    pub fn answer(&self, source: &mut Source) -> bool {
        let look = || {
            let used = self.tip.map_or(Ok(false), |tip| is_used(source, tip));
            used.unwrap_or_else(|err| {
                log::debug!(target: "relay::source", "cannot tell whether Git LFS is used: {err}");
                false
            })
        };
        *self.seen.get_or_init(look)
    }
}

/// Whether the root `.gitattributes` of the commit `tip` names the `lfs` filter.
fn is_used(source: &mut Source, tip: ObjectId) -> Result<bool> {
    let Some(attributes) = root_attributes(source, tip)? else {
        return Ok(false);
    };
    let request = FetchRequest {
        wants: [attributes].into(),
        ..question()
    };
    let blob = scan(source, &request, |object| {
        Ok((object.id == attributes).then_some(object.data))
    })?;
    Ok(blob.is_some_and(|content| names_lfs(&content)))
}

fn question() -> FetchRequest {
    FetchRequest {
        done: true,
        ofs_delta: true,
        ..FetchRequest::default()
    }
}

/// The blob that is called `.gitattributes` in the root tree of `tip`.
fn root_attributes(source: &mut Source, tip: ObjectId) -> Result<Option<ObjectId>> {
    let request = FetchRequest {
        wants: [tip].into(),
        deepen: source.can_deepen().then_some(1),
        // The root tree, and nothing below it.
        filter: Some("tree:1"),
        ..question()
    };
    let format = source.format();
    let mut root = None;
    let found = scan(source, &request, |object| {
        if object.id == tip {
            root = Some(Commit::parse(format, &object.data)?.tree);
        }
        Ok((Some(object.id) == root).then(|| tree_entry(format, &object.data, b".gitattributes")))
    })?;
    Ok(found.flatten())
}

/// Read the answer to `request` until `pick` has found what it wants; the rest is left unread.
fn scan<T>(
    source: &mut Source,
    request: &FetchRequest,
    mut pick: impl FnMut(Object) -> Result<Option<T>>,
) -> Result<Option<T>> {
    let format = source.format();
    let Some(pack) = source.fetch(request, &Silent)?.pack else {
        return Ok(None);
    };
    let mut objects = PackReader::new(pack, format, Keep::All)?;
    objects
        .find_map(|object| object.and_then(&mut pick).transpose())
        .transpose()
        .map_err(|err| err.on(Side::Source))
}

/// A line like `*.psd filter=lfs diff=lfs merge=lfs -text` (gitattributes(5)).
fn names_lfs(attributes: &[u8]) -> bool {
    attributes
        .lines()
        .filter(|line| !line.trim_start().starts_with(b"#"))
        .any(|line| line.fields().skip(1).any(|attribute| attribute == b"filter=lfs"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lfs_is_told_by_its_filter() {
        assert!(names_lfs(
            b"*.txt text\n*.psd filter=lfs diff=lfs merge=lfs -text\n"
        ));
        assert!(!names_lfs(
            b"# *.psd filter=lfs\n*.psd filter=lfsx\nfilter=lfs text\n"
        ));
        assert!(!names_lfs(b""));
    }
}
