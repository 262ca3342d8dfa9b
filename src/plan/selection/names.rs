//! Names as people write them, made full: branches and `src:dst` mappings.

use bstr::{BStr, BString, ByteSlice};

use super::namespaces::{HEADS, OUR_NAMESPACE, TAGS};
use super::{is_branch, is_tag};
use crate::error::{Error, Kind, Result, Side, printable};
use crate::wire::ref_list::RefList;
use crate::wire::refs::{Advertisement, RemoteRef};

/// The full name of a `--branch`, which the source has.
pub(super) fn branch(written: &BString, refs: &RefList) -> Result<BString> {
    let full: BString = match written.strip_prefix(b"refs/") {
        None => [HEADS.as_bytes(), written].concat().into(),
        Some(_) if is_branch(written) => written.clone(),
        Some(_) => {
            let message = format!("--branch '{}' is not a branch", printable(written));
            return Err(usage(message).hint("write other refs as --map src:dst"));
        }
    };
    check_name(full.as_ref(), written)?;
    match refs.find(full.as_ref()) {
        Some(_) => Ok(full),
        None => Err(usage(format!("has no branch '{}'", printable(written))).on(Side::Source)),
    }
}

/// The full names of a `--map src:dst` on the source, which has it, and on the target.
pub(super) fn map(written: &BString, source: &Advertisement) -> Result<(BString, BString)> {
    let (src, dst) = split(written)?;
    let entry = find_source(src, written, source)?;
    let target = full_target(dst, written, entry)?;
    if (is_branch(entry.name) && is_tag(&target)) || (is_tag(entry.name) && is_branch(&target)) {
        let what = if is_tag(&target) {
            "a branch to a tag"
        } else {
            "a tag to a branch"
        };
        let message = format!("--map '{}' maps {what}", printable(written));
        return Err(usage(message).hint("git relay push can do that: its refspecs are git's own"));
    }
    Ok((entry.name.to_owned(), target))
}

fn split(written: &BString) -> Result<(&BStr, &BStr)> {
    let malformed = |why: &str| usage(format!("--map '{}' {why}", printable(written)));
    if written.starts_with(b"+") {
        return Err(malformed("begins with '+'").hint("use --force or --force-with-lease instead"));
    }
    match written.split_once_str(":") {
        None => Err(malformed("has no ':'").hint("write --map src:dst")),
        Some((b"", _)) => Err(malformed("names no source").hint("--prune deletes what the source lacks")),
        Some((_, b"")) => Err(malformed("names no target").hint("write --map src:dst")),
        Some((src, dst)) => Ok((src.as_bstr(), dst.as_bstr())),
    }
}

/// A short name is that of a branch or of a tag, whichever the source has.
fn find_source<'a>(src: &BStr, written: &BString, source: &'a Advertisement) -> Result<RemoteRef<'a>> {
    let shown = printable(src);
    if src == "HEAD" {
        let found = source.head.as_ref().and_then(|head| source.find(head.as_ref()));
        return found.ok_or_else(|| {
            usage("has no default branch that HEAD could stand for".into())
                .on(Side::Source)
                .hint(format!("name the branch in --map '{}'", printable(written)))
        });
    }
    if src.starts_with(b"refs/") {
        check_name(src, written)?;
        let found = source.find(src);
        return found.ok_or_else(|| usage(format!("has no ref '{shown}'")).on(Side::Source));
    }
    let under = |space: &str| -> BString { [space.as_bytes(), src].concat().into() };
    let (branch, tag) = (under(HEADS), under(TAGS));
    check_name(branch.as_ref(), written)?;
    match (source.find(branch.as_ref()), source.find(tag.as_ref())) {
        (Some(entry), None) | (None, Some(entry)) => Ok(entry),
        (None, None) => Err(usage(format!("has no branch or tag '{shown}'")).on(Side::Source)),
        (Some(_), Some(_)) => Err(usage(format!("has both a branch and a tag '{shown}'"))
            .on(Side::Source)
            .hint(format!("write {branch} or {tag}"))),
    }
}

/// A short name gets the namespace of its source.
fn full_target(dst: &BStr, written: &BString, entry: RemoteRef<'_>) -> Result<BString> {
    let full: BString = if dst.starts_with(b"refs/") {
        dst.to_owned()
    } else if is_branch(entry.name) {
        [HEADS.as_bytes(), dst].concat().into()
    } else if is_tag(entry.name) {
        [TAGS.as_bytes(), dst].concat().into()
    } else {
        let message = format!("--map '{}' needs the target's name in full", printable(written));
        return Err(usage(message).hint("write refs/…"));
    };
    check_name(full.as_ref(), written)?;
    if full.starts_with(OUR_NAMESPACE.as_bytes()) {
        let message = format!(
            "--map '{}': {OUR_NAMESPACE} is for git relay itself",
            printable(written)
        );
        return Err(usage(message));
    }
    Ok(full)
}

/// `full` must be a name that git takes; `written` is what to blame.
fn check_name(full: &BStr, written: &BString) -> Result<()> {
    let Err(err) = gix_validate::reference::name(full) else {
        return Ok(());
    };
    let message = format!("'{}' is not a valid ref name", printable(written));
    let err = usage(message).caused_by(err);
    Err(if written.contains(&b'*') {
        err.hint("patterns are for git relay push <source> <target> 'refs/heads/release/*'")
    } else {
        err
    })
}

fn usage(message: String) -> Error {
    Error::new(Kind::Usage, message)
}
