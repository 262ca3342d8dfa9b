//! Git's objects as bytes: their names, and the header lines of commits and tags.
//!
//! Nothing here reads or writes anything; where objects come from is [`super::pack`]'s matter. The formats are those of
//! `git help hash-object` and of git's `commit.c` and `tag.c`; the parsers read the lines they need as strictly as those and leave the rest alone.

use gix_hash::{Kind as Format, ObjectId};
use sha2::Digest as _;

use crate::error::{Error, Kind, Result};

/// One of the four sorts of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// A commit: a tree, its parents, and who made it.
    Commit,
    /// A directory.
    Tree,
    /// The content of a file.
    Blob,
    /// An annotated tag.
    Tag,
}

impl ObjectKind {
    /// The name that stands in an object's header and in a tag's `type` line.
    pub fn as_str(self) -> &'static str {
        match self {
            ObjectKind::Commit => "commit",
            ObjectKind::Tree => "tree",
            ObjectKind::Blob => "blob",
            ObjectKind::Tag => "tag",
        }
    }

    /// The kind called `name`, if there is one.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            b"commit" => Some(ObjectKind::Commit),
            b"tree" => Some(ObjectKind::Tree),
            b"blob" => Some(ObjectKind::Blob),
            b"tag" => Some(ObjectKind::Tag),
            _ => None,
        }
    }
}

/// A running checksum in the hash function of an object format; the one place that knows which crate computes it.
///
/// The `sha1` crate uses the processor's own instructions where there are some: it takes 0.4 to 0.5 s for a GB where
/// `sha1_smol` takes 1.1 to 1.8, and this sum is most of what a relay costs.
///
/// SHA-1 is plain here, without collision detection: what it guards is the way of a pack, not its author's honesty.
/// The target's own git looks at every object with its own detection before it takes it.
#[derive(Clone)]
pub enum Hasher {
    /// The `sha1` object format.
    Sha1(sha1::Sha1),
    /// The `sha256` object format.
    Sha256(sha2::Sha256),
}

impl Hasher {
    /// A checksum over nothing yet.
    pub fn new(format: Format) -> Self {
        match format {
            Format::Sha256 => Hasher::Sha256(sha2::Sha256::new()),
            // `Format` is non-exhaustive, yet has no third member.
            _ => Hasher::Sha1(sha1::Sha1::new()),
        }
    }

    /// Add `data`.
    pub fn update(&mut self, data: &[u8]) {
        match self {
            Hasher::Sha1(state) => state.update(data),
            Hasher::Sha256(state) => state.update(data),
        }
    }

    /// The checksum of all that was added.
    pub fn finish(self) -> ObjectId {
        match self {
            Hasher::Sha1(state) => ObjectId::Sha1(state.finalize().into()),
            Hasher::Sha256(state) => ObjectId::Sha256(state.finalize().into()),
        }
    }
}

/// The id of the object of `kind` whose content is `data`.
pub fn hash(format: Format, kind: ObjectKind, data: &[u8]) -> ObjectId {
    let mut hasher = Hasher::new(format);
    hasher.update(format!("{} {}\0", kind.as_str(), data.len()).as_bytes());
    hasher.update(data);
    hasher.finish()
}

/// What a commit points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The root tree.
    pub tree: ObjectId,
    /// The parents in order; none for a root commit.
    pub parents: Vec<ObjectId>,
}

impl Commit {
    /// Read the header lines of a commit's content.
    ///
    /// # Errors
    ///
    /// [`Kind::Corrupt`] where git would call the commit bogus: no tree line, or a line that is cut or holds no id.
    pub fn parse(format: Format, data: &[u8]) -> Result<Self> {
        let bogus = |what: &str| Error::new(Kind::Corrupt, format!("a commit has a bad {what} line"));
        let (tree, mut rest) = id_line(format, b"tree ", data).ok_or_else(|| bogus("tree"))?;
        let mut parents = Vec::new();
        while rest.starts_with(b"parent ") {
            let (parent, after) = id_line(format, b"parent ", rest).ok_or_else(|| bogus("parent"))?;
            parents.push(parent);
            rest = after;
        }
        Ok(Commit { tree, parents })
    }
}

/// What an annotated tag points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag<'a> {
    /// The tagged object.
    pub target: ObjectId,
    /// What the tag says the tagged object is.
    pub target_kind: ObjectKind,
    /// The name inside the tag; the ref that leads to it may be called otherwise.
    pub name: &'a [u8],
}

impl<'a> Tag<'a> {
    /// Read the header lines of a tag's content.
    ///
    /// # Errors
    ///
    /// [`Kind::Corrupt`] where git would not parse the tag: the `object`, `type` and `tag` lines must be there.
    pub fn parse(format: Format, data: &'a [u8]) -> Result<Self> {
        let bogus = |what: &str| Error::new(Kind::Corrupt, format!("a tag has a bad {what} line"));
        let (target, rest) = id_line(format, b"object ", data).ok_or_else(|| bogus("object"))?;
        let (kind, rest) = line(b"type ", rest).ok_or_else(|| bogus("type"))?;
        let target_kind = ObjectKind::from_name(kind).ok_or_else(|| bogus("type"))?;
        let (name, _) = line(b"tag ", rest).ok_or_else(|| bogus("tag"))?;
        Ok(Tag {
            target,
            target_kind,
            name,
        })
    }
}

/// Split a line that begins with `key` into its value and what follows the line.
fn line<'a>(key: &[u8], data: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let rest = data.strip_prefix(key)?;
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    let (value, rest) = rest.split_at_checked(end)?;
    Some((value, rest.get(1..)?))
}

/// The same for a line whose value is an id; looks no further than such a line reaches.
fn id_line<'a>(format: Format, key: &[u8], data: &'a [u8]) -> Option<(ObjectId, &'a [u8])> {
    let rest = data.strip_prefix(key)?;
    let (hex, rest) = rest.split_at_checked(format.len_in_hex())?;
    let rest = rest.strip_prefix(b"\n")?;
    Some((ObjectId::from_hex(hex).ok()?, rest))
}

/// The object that a tree's content lists under `name` (gitformat-pack has no word on it; git's `tree-walk.c` does).
pub fn tree_entry(format: Format, data: &[u8], name: &[u8]) -> Option<ObjectId> {
    let mut rest = data;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == 0)?;
        let (head, tail) = rest.split_at_checked(end)?;
        let (oid, next) = tail.get(1..)?.split_at_checked(format.len_in_bytes())?;
        let mut mode_and_name = head.splitn(2, |byte| *byte == b' ');
        if mode_and_name.nth(1) == Some(name) {
            return ObjectId::try_from(oid).ok();
        }
        rest = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    fn id(hex: &str) -> ObjectId {
        ObjectId::from_hex(hex.as_bytes()).unwrap()
    }

    #[test]
    fn ids_are_what_git_hash_object_prints() {
        // printf 'hello\n' | git hash-object --stdin
        assert_eq!(
            hash(Format::Sha1, ObjectKind::Blob, b"hello\n"),
            id("ce013625030ba8dba906f756967f9e9ca394464a")
        );
        assert_eq!(hash(Format::Sha1, ObjectKind::Tree, b""), id(TREE));
        // The same in a repository made with --object-format=sha256.
        assert_eq!(
            hash(Format::Sha256, ObjectKind::Blob, b"hello\n"),
            id("2cf8d83d9ee29543b34a87727421fdecb7e3f3a183d337639025de576db9ebb4")
        );
        assert_eq!(
            hash(Format::Sha256, ObjectKind::Tree, b""),
            Format::Sha256.empty_tree()
        );
    }

    #[test]
    fn a_commit_yields_its_tree_and_its_parents_in_order() {
        let data =
            format!("tree {TREE}\nparent {TWO}\nparent {ONE}\nauthor A <a@b> 0 +0000\n\nparent {TREE}\n");
        let commit = Commit::parse(Format::Sha1, data.as_bytes()).unwrap();
        assert_eq!(commit.tree, id(TREE));
        assert_eq!(commit.parents, [id(TWO), id(ONE)]);
    }

    #[test]
    fn ids_of_the_other_format_are_refused() {
        let data = format!("tree {TREE}\nauthor A\n");
        assert!(Commit::parse(Format::Sha256, data.as_bytes()).is_err());
        let data = format!("tree {}\nparent {ONE}\n", Format::Sha256.empty_tree());
        assert!(Commit::parse(Format::Sha256, data.as_bytes()).is_err());
    }

    #[test]
    fn bad_commits_are_corrupt() {
        let bad = [
            String::new(),
            format!("tree {TREE}"),
            format!("tree {TREE} \nparent {ONE}\n"),
            format!("tree {}\n", "g".repeat(40)),
            format!("tree {TREE}\nparent {ONE}"),
            format!("tree {TREE}\nparent \n"),
            format!("parent {ONE}\ntree {TREE}\n"),
        ];
        for data in bad {
            let err = Commit::parse(Format::Sha1, data.as_bytes()).unwrap_err();
            assert_eq!(err.kind(), Kind::Corrupt, "{data:?}");
        }
    }

    #[test]
    fn a_tag_yields_what_it_points_to() {
        let mut data = format!("object {ONE}\ntype tag\ntag v1").into_bytes();
        data.extend_from_slice(b"\xff\ntagger A <a@b> 0 +0000\n\nm\n");
        let tag = Tag::parse(Format::Sha1, &data).unwrap();
        assert_eq!(
            (tag.target, tag.target_kind, tag.name),
            (id(ONE), ObjectKind::Tag, b"v1\xff".as_slice())
        );
    }

    #[test]
    fn bad_tags_are_corrupt_at_every_cut() {
        let whole = format!("object {ONE}\ntype commit\ntag v1\n");
        assert!(Tag::parse(Format::Sha1, whole.as_bytes()).is_ok());
        for cut in 0..whole.len() {
            let err = Tag::parse(Format::Sha1, &whole.as_bytes()[..cut]).unwrap_err();
            assert_eq!(err.kind(), Kind::Corrupt, "cut at {cut}");
        }
        let strange = whole.replace("commit", "comet");
        assert!(Tag::parse(Format::Sha1, strange.as_bytes()).is_err());
    }

    #[test]
    fn tree_entries_are_found_by_name_and_hostile_trees_do_no_harm() {
        let tree = [
            b"100644 a\0".as_slice(),
            &[1; 20],
            b"100644 .gitattributes\0",
            &[2; 20],
        ]
        .concat();
        let found = tree_entry(Format::Sha1, &tree, b".gitattributes");
        assert_eq!(found, Some(ObjectId::Sha1([2; 20])));
        assert_eq!(tree_entry(Format::Sha1, &tree, b"b"), None);
        for cut in 0..tree.len() {
            assert_eq!(tree_entry(Format::Sha1, &tree[..cut], b".gitattributes"), None);
        }
    }
}
