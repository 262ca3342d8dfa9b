//! Refs as a peer advertises them: `gitprotocol-pack`, "Reference Discovery", and v2 `ls-refs`.

use bstr::{BStr, BString, ByteSlice};
use gix_hash::{Kind as Format, ObjectId};

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

    /// Take one line of a v2 `ls-refs` answer: `<oid> <name>` or `unborn <name>`, then attributes, of which unknown ones
    /// are passed over as git does it.
    ///
    /// # Errors
    /// [`Kind::Peer`] when it is malformed.
    pub fn add_v2_line(&mut self, line: &BStr) -> Result<()> {
        let line = line.trim_end_with(|c| c == '\n').as_bstr();
        let mut words = line.split_str(" ");
        let (Some(value), Some(name)) = (words.next(), words.next()) else {
            return Err(malformed(line));
        };
        let oid = match value {
            b"unborn" => None,
            value => Some(parse_oid(value)?),
        };
        let (mut peeled, mut symref) = (None, None);
        for word in words {
            if let Some(value) = word.strip_prefix(b"peeled:") {
                peeled = Some(parse_oid(value)?);
            } else if let Some(name) = word.strip_prefix(b"symref-target:") {
                symref = Some(name.as_bstr());
            }
        }
        match (name, oid) {
            (b"HEAD", oid) => {
                self.head_oid = oid;
                self.head = None;
                symref.into_iter().for_each(|name| self.set_head(name));
                Ok(())
            }
            (_, None) => Ok(()),
            (name, Some(oid)) => self.add(name.as_bstr(), oid, peeled),
        }
    }

    /// Learn HEAD's branch from the `symref=HEAD:refs/heads/…` capability of a v0 or v1 peer.
    pub fn set_head_from_symref(&mut self, value: &BStr) {
        if let Some(branch) = value.strip_prefix(b"HEAD:") {
            self.set_head(branch.as_bstr());
        }
    }

    /// The peer has told all its refs: put them in order, which git's own servers do already, and look at them as a
    /// whole.
    ///
    /// # Errors
    /// [`Kind::Peer`] when a ref was told twice, or an object id is not one of `format`: what comes behind here looks
    /// refs up by name, and writes ids into repositories of that format.
    pub fn finish(&mut self, format: Format) -> Result<()> {
        self.refs.sort();
        let mut pairs = self.refs.iter().zip(self.refs.iter().skip(1));
        if let Some((twice, _)) = pairs.find(|(one, two)| one.name == two.name) {
            let name = printable(twice.name);
            return Err(Error::new(
                Kind::Peer,
                format!("advertises the ref '{name}' twice"),
            ));
        }
        let values = self.refs.iter().flat_map(|entry| [Some(entry.oid), entry.peeled]);
        let others = self.haves.iter().chain(&self.shallow).chain(&self.head_oid);
        let mut all = values.flatten().chain(others.copied());
        match all.find(|oid| oid.kind() != format || oid.is_null()) {
            None => Ok(()),
            Some(oid) => Err(Error::new(
                Kind::Peer,
                format!("advertises {oid}, which names no object of the {format} format"),
            )),
        }
    }

    /// HEAD is given to git, so a name that is none is left out, as git itself does it (`parse_one_symref_info()` in its
    /// `connect.c`).
    fn set_head(&mut self, name: &BStr) {
        if name.starts_with(b"refs/") && gix_validate::reference::name(name).is_ok() {
            self.head = Some(name.into());
        } else {
            log::debug!("ignoring a HEAD that points to {}", printable(name));
        }
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
                format!("advertises a malformed ref name '{}'", excerpt(name)),
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
            format!("sent '{}' where an object id belongs", excerpt(hex)),
        )
        .caused_by(err.to_string())
    })
}

fn malformed(line: &BStr) -> Error {
    Error::new(
        Kind::Peer,
        format!("sent a malformed ref advertisement: '{}'", excerpt(line)),
    )
}

/// As much of a peer's line as a message needs; the line can have 64 KiB.
pub(crate) fn excerpt(line: &[u8]) -> String {
    printable(line).chars().take(100).collect()
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
        ad.finish(Format::Sha1).unwrap();
        assert!(
            names
                .iter()
                .all(|name| ad.find((*name).into()).is_some_and(|found| found.name == *name))
        );
        assert_eq!(ad.find("refs/heads/c".into()), None);
    }

    fn parse_v2(lines: &[String]) -> Result<Advertisement> {
        let mut ad = Advertisement::default();
        for line in lines {
            ad.add_v2_line(line.as_str().into())?;
        }
        ad.finish(Format::Sha1).map(|()| ad)
    }

    #[test]
    fn lines_of_ls_refs_tell_what_tags_peel_to_and_where_head_points() {
        let ad = parse_v2(&[
            format!("{A} HEAD symref-target:refs/heads/main\n"),
            format!("{A} refs/heads/main"),
            format!("{A} refs/heads/sym symref-target:refs/heads/main of-the-future:x"),
            format!("{A} refs/tags/v1 peeled:{B}"),
        ])
        .unwrap();
        assert_eq!(
            (ad.head.unwrap(), ad.head_oid.is_some()),
            ("refs/heads/main".into(), true)
        );
        let peeled: Vec<_> = ad.refs.iter().map(|entry| entry.peeled.is_some()).collect();
        assert_eq!(peeled, [false, false, true]);
        let ad = parse_v2(&["unborn HEAD symref-target:refs/heads/main".into()]).unwrap();
        assert_eq!((ad.head.unwrap(), ad.head_oid), ("refs/heads/main".into(), None));
        let detached = parse_v2(&[format!("{A} HEAD")]).unwrap();
        assert_eq!((detached.head, detached.head_oid.is_some()), (None, true));
    }

    #[test]
    fn hostile_lines_of_ls_refs_are_refused() {
        for line in [
            "",
            A,
            "x refs/heads/a",
            &format!("{A} refs/heads/a peeled:x"),
            &format!("{A} refs/a..b"),
        ] {
            assert!(parse_v2(&[line.into()]).is_err(), "{line:?}");
        }
    }

    /// `git symbolic-ref` and a view's HEAD get it.
    #[test]
    fn a_head_that_is_no_ref_name_is_passed_over() {
        for name in ["--delete", "refs/heads/../x", "HEAD", "refs/heads/a\nb", ""] {
            let ad = parse_v2(&[format!("{A} HEAD symref-target:{name}")]).unwrap();
            assert_eq!(ad.head, None, "{name:?}");
            let mut ad = Advertisement::default();
            ad.set_head_from_symref(format!("HEAD:{name}").as_str().into());
            assert_eq!(ad.head, None, "{name:?}");
        }
    }

    #[test]
    fn refs_told_twice_and_ids_of_another_format_are_refused() {
        let main = format!("{A} refs/heads/main");
        for lines in [
            vec![main.clone(), format!("{A} refs/heads/a"), main.clone()],
            vec![format!("{A}{} refs/heads/main", "a".repeat(24))],
            vec![format!("{} refs/heads/main", "0".repeat(40))],
            vec![format!("{A} refs/tags/v1 peeled:{}", "a".repeat(64))],
        ] {
            assert_eq!(parse_v2(&lines).unwrap_err().kind(), Kind::Peer, "{lines:?}");
        }
        assert!(parse_v2(&[main]).is_ok());
    }

    #[test]
    fn names_are_bytes() {
        let mut ad = Advertisement::default();
        let line = [A.as_bytes(), b" refs/heads/gr\xfcn"].concat();
        ad.add_v0_line(line.as_bstr()).unwrap();
        assert_eq!(ad.refs.get(0).unwrap().name, b"refs/heads/gr\xfcn".as_bstr());
    }
}
