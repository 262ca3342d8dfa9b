//! Refs as a peer advertises them: `gitprotocol-pack`, "Reference Discovery", and v2 `ls-refs`.

use bstr::{BStr, BString, ByteSlice};
use gix_hash::ObjectId;

use super::ref_list::RefList;
use crate::error::{Error, Kind, Result, printable};

/// A ref of a peer: its full name, its value, and for a tag object what that peels to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoteRef<'a> {
    /// The full name, for instance `refs/heads/main`. Bytes, not necessarily UTF-8.
    pub name: &'a BStr,
    /// The object the ref names.
    pub oid: ObjectId,
    /// The object behind a tag object, where the peer told it.
    pub peeled: Option<ObjectId>,
}

impl RemoteRef<'_> {
    /// The commit (or other object) at the end of a chain of tags.
    pub fn peeled_or_oid(&self) -> ObjectId {
        self.peeled.unwrap_or(self.oid)
    }
}

/// Everything that a peer says about its refs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Advertisement {
    /// All refs below `refs/`, sorted by name once the peer has told them all.
    pub refs: RefList,
    /// The ref that HEAD points to, whether or not it exists (protocol v0 only tells of an existing one).
    pub head: Option<BString>,
    /// The commit that a detached HEAD names, or HEAD's value.
    pub head_oid: Option<ObjectId>,
    /// `.have` lines of `receive-pack`: objects of repositories it borrows from, each with all it reaches.
    pub haves: Vec<ObjectId>,
    /// Commits whose parents the peer lacks.
    pub shallow: Vec<ObjectId>,
}

impl Advertisement {
    /// Take one line of a v0 or v1 advertisement, without the capabilities behind its NUL.
    pub fn add_v0_line(&mut self, line: &BStr) -> Result<()> {
        let line = line.trim_end_with(|c| c == '\n').as_bstr();
        let (value, name) = line.split_once_str(" ").ok_or_else(|| malformed(line))?;
        if value == b"shallow" {
            self.shallow.push(parse_oid(name)?);
            return Ok(());
        }
        let oid = parse_oid(value)?;
        match name {
            // An empty repository has no ref to hang the capabilities on.
            b"capabilities^{}" => {}
            b".have" => self.haves.push(oid),
            b"HEAD" => self.head_oid = Some(oid),
            _ => match name.strip_suffix(b"^{}") {
                Some(b"HEAD") => {}
                Some(tag) if self.refs.peel_last(tag.as_bstr(), oid) => {}
                Some(_) => return Err(malformed(line)),
                None => self.add(name.as_bstr(), oid, None)?,
            },
        }
        Ok(())
    }

    /// Take one line of a v2 `ls-refs` answer: `<id or "unborn"> <name>`, then attributes.
    pub fn add_v2_line(&mut self, line: &BStr) -> Result<()> {
        let line = line.trim_end_with(|c| c == '\n').as_bstr();
        let mut words = line.split(|byte| *byte == b' ');
        let (Some(value), Some(name)) = (words.next(), words.next()) else {
            return Err(malformed(line));
        };
        let (mut peeled, mut symref) = (None, None);
        for attribute in words {
            if let Some(oid) = attribute.strip_prefix(b"peeled:") {
                peeled = Some(parse_oid(oid)?);
            } else if let Some(target) = attribute.strip_prefix(b"symref-target:") {
                symref = Some(target.into());
            }
        }
        let unborn = value == b"unborn";
        if name == b"HEAD" {
            self.head = symref;
            self.head_oid = (!unborn).then(|| parse_oid(value)).transpose()?;
            return Ok(());
        }
        match unborn {
            true => Ok(()),
            false => self.add(name.as_bstr(), parse_oid(value)?, peeled),
        }
    }

    /// Learn HEAD's branch from the `symref=HEAD:refs/heads/…` capability of a v0 or v1 peer.
    pub fn set_head_from_symref(&mut self, value: &BStr) {
        if let Some(branch) = value.strip_prefix(b"HEAD:") {
            self.head = Some(branch.into());
        }
    }

    /// The peer has told all its refs: put them in order, which git's own servers do already.
    pub fn finish(&mut self) {
        self.refs.sort();
    }

    /// The ref called `name`.
    pub fn find(&self, name: &BStr) -> Option<RemoteRef<'_>> {
        self.refs.find(name)
    }

    fn add(&mut self, name: &BStr, oid: ObjectId, peeled: Option<ObjectId>) -> Result<()> {
        // A server must not be able to smuggle a line into a conversation with git, or a path out of a repository.
        gix_validate::reference::name(name).map_err(|err| {
            Error::new(
                Kind::Peer,
                format!("advertises a malformed ref name '{}'", printable(name)),
            )
            .caused_by(err)
        })?;
        if !name.starts_with(b"refs/") {
            log::debug!("ignoring the ref {} outside refs/", printable(name));
            return Ok(());
        }
        self.refs.push(RemoteRef { name, oid, peeled })
    }
}

/// Parse a full object id in hexadecimal, SHA-1 or SHA-256 by its length.
pub fn parse_oid(hex: &[u8]) -> Result<ObjectId> {
    ObjectId::from_hex(hex).map_err(|err| {
        Error::new(
            Kind::Peer,
            format!("sent '{}' where an object id belongs", printable(hex)),
        )
        .caused_by(err.to_string())
    })
}

fn malformed(line: &BStr) -> Error {
    let shown: String = printable(line).chars().take(100).collect();
    Error::new(
        Kind::Peer,
        format!("sent a malformed ref advertisement: '{shown}'"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn parse(lines: &[String]) -> Result<Advertisement> {
        let mut ad = Advertisement::default();
        for line in lines {
            ad.add_v0_line(line.as_str().into())?;
        }
        Ok(ad)
    }

    #[test]
    fn refs_tags_haves_and_shallow_lines_are_told_apart() {
        let ad = parse(&[
            format!("{A} HEAD"),
            format!("{A} refs/heads/main\n"),
            format!("{A} refs/tags/v1"),
            format!("{B} refs/tags/v1^{{}}"),
            format!("{B} .have"),
            format!("shallow {A}"),
        ])
        .unwrap();
        assert_eq!(ad.refs.len(), 2);
        assert_eq!(
            ad.refs.get(1).unwrap().peeled,
            Some(parse_oid(B.as_bytes()).unwrap())
        );
        assert_eq!((ad.haves.len(), ad.shallow.len()), (1, 1));
        assert!(ad.head_oid.is_some());
    }

    #[test]
    fn an_empty_repository_advertises_only_capabilities() {
        let ad = parse(&[format!("{} capabilities^{{}}", "0".repeat(40))]).unwrap();
        assert_eq!(ad, Advertisement::default());
    }

    #[test]
    fn hostile_lines_are_refused() {
        for line in [
            A.to_owned(),
            "zz refs/heads/x".into(),
            format!("{A} refs/heads/a..b"),
            format!("{A} refs/heads/a\nok refs/heads/b"),
            format!("{A} refs/heads/../../x"),
            format!("{A} refs/tags/x^{{}}"),
        ] {
            assert!(parse(std::slice::from_ref(&line)).is_err(), "{line:?}");
        }
    }

    #[test]
    fn refs_are_found_whatever_their_order_was() {
        let names = ["refs/heads/b", "refs/heads/a", "refs/heads/a-b", "refs/heads/a/b"];
        let mut ad = parse(&names.map(|name| format!("{A} {name}"))).unwrap();
        ad.finish();
        assert!(
            names
                .iter()
                .all(|name| ad.find((*name).into()).is_some_and(|found| found.name == *name))
        );
        assert_eq!(ad.find("refs/heads/c".into()), None);
    }

    #[test]
    fn names_are_bytes() {
        let mut ad = Advertisement::default();
        let line = [A.as_bytes(), b" refs/heads/gr\xfcn"].concat();
        ad.add_v0_line(line.as_bstr()).unwrap();
        assert_eq!(ad.refs.get(0).unwrap().name, b"refs/heads/gr\xfcn".as_bstr());
    }
}
