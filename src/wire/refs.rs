//! Refs as a peer advertises them: `gitprotocol-pack`, "Reference Discovery", and v2 `ls-refs`.

use bstr::{BStr, BString, ByteSlice};
use gix_hash::ObjectId;
use gix_protocol::handshake::Ref;

use crate::error::{Error, Kind, Result, printable};

/// A ref of a peer: its full name, its value, and for a tag object what that peels to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteRef {
    /// The full name, for instance `refs/heads/main`. Bytes, not necessarily UTF-8.
    pub name: BString,
    /// The object the ref names.
    pub oid: ObjectId,
    /// The object behind a tag object, where the peer told it.
    pub peeled: Option<ObjectId>,
}

impl RemoteRef {
    /// The commit (or other object) at the end of a chain of tags.
    pub fn peeled_or_oid(&self) -> ObjectId {
        self.peeled.unwrap_or(self.oid)
    }
}

/// Everything that a peer says about its refs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Advertisement {
    /// All refs below `refs/`, sorted by name once the peer has told them all.
    pub refs: Vec<RemoteRef>,
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
                Some(tag) => match self.refs.last_mut() {
                    Some(last) if last.name == tag => last.peeled = Some(oid),
                    _ => return Err(malformed(line)),
                },
                None => self.add(name.into(), oid, None)?,
            },
        }
        Ok(())
    }

    /// Take one ref of a v2 `ls-refs` answer.
    pub fn add_v2_ref(&mut self, entry: Ref) -> Result<()> {
        let (name, oid, peeled, symref) = match entry {
            Ref::Peeled {
                full_ref_name,
                tag,
                object,
            } => (full_ref_name, tag, Some(object), None),
            Ref::Direct {
                full_ref_name,
                object,
            } => (full_ref_name, object, None, None),
            Ref::Symbolic {
                full_ref_name,
                target,
                tag,
                object,
            } => (
                full_ref_name,
                tag.unwrap_or(object),
                tag.map(|_| object),
                Some(target),
            ),
            Ref::Unborn {
                full_ref_name,
                target,
            } => {
                if full_ref_name == "HEAD" {
                    self.head = Some(target);
                }
                return Ok(());
            }
        };
        if name == "HEAD" {
            self.head = symref;
            self.head_oid = Some(oid);
            return Ok(());
        }
        self.add(name, oid, peeled)
    }

    /// Learn HEAD's branch from the `symref=HEAD:refs/heads/…` capability of a v0 or v1 peer.
    pub fn set_head_from_symref(&mut self, value: &BStr) {
        if let Some(branch) = value.strip_prefix(b"HEAD:") {
            self.head = Some(branch.into());
        }
    }

    /// The peer has told all its refs: put them in order, which git's own servers do already.
    pub fn finish(&mut self) {
        self.refs.sort_by(|one, two| one.name.cmp(&two.name));
    }

    /// The ref called `name`.
    pub fn find(&self, name: &BStr) -> Option<&RemoteRef> {
        let at = self
            .refs
            .binary_search_by(|entry| entry.name.as_bstr().cmp(name))
            .ok()?;
        self.refs.get(at)
    }

    fn add(&mut self, name: BString, oid: ObjectId, peeled: Option<ObjectId>) -> Result<()> {
        // A server must not be able to smuggle a line into a conversation with git, or a path out of a repository.
        gix_validate::reference::name(name.as_ref()).map_err(|err| {
            Error::new(
                Kind::Peer,
                format!("advertises a malformed ref name '{}'", printable(&name)),
            )
            .caused_by(err)
        })?;
        if !name.starts_with(b"refs/") {
            log::debug!("ignoring the ref {} outside refs/", printable(&name));
            return Ok(());
        }
        self.refs.push(RemoteRef { name, oid, peeled });
        Ok(())
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
        assert_eq!(ad.refs[1].peeled, Some(parse_oid(B.as_bytes()).unwrap()));
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
        assert_eq!(ad.refs[0].name, b"refs/heads/gr\xfcn".as_bstr());
    }
}
