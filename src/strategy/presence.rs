//! Which objects does the source have?

use std::collections::HashSet;

use gix_hash::ObjectId;

use crate::error::{Kind, Result};
use crate::progress::Silent;
use crate::upload_pack::{FetchRequest, PackStream, Source};
use crate::wire::pack::{Keep, PackReader};

/// Those of `oids` that the source does not have, or does not serve.
///
/// One request asks for all of them, and sends nothing, because each is a have as well. Only when that is refused are
/// they asked for in halves.
///
/// # Errors
/// Those of [`Source::fetch`], save for the refusal.
pub fn missing(source: &mut Source, oids: &[ObjectId]) -> Result<HashSet<ObjectId>> {
    if oids.is_empty() || serves(source, oids)? {
        return Ok(HashSet::new());
    }
    if let [oid] = oids {
        return Ok(HashSet::from([*oid]));
    }
    let (first, second) = oids.split_at(oids.len() / 2);
    let mut found = missing(source, first)?;
    found.extend(missing(source, second)?);
    Ok(found)
}

/// Whether `from` reach all of `oids`, as far as the source can prove it: what is wanted and reached by what is there
/// already makes a pack without objects. More objects than none prove nothing, because clock skew makes git send too much.
///
/// # Errors
/// Those of [`Source::fetch`].
pub fn reach_all(source: &mut Source, from: Vec<ObjectId>, oids: Vec<ObjectId>) -> Result<bool> {
    let request = FetchRequest {
        wants: oids.into(),
        haves: from.into(),
        done: true,
        ofs_delta: true,
        filter: Some("tree:0"),
        ..FetchRequest::default()
    };
    let format = source.format();
    let Some(pack) = source.fetch(&request, &Silent)?.pack else {
        return Ok(false);
    };
    let mut reader = PackReader::new(pack, format, Keep::History)?;
    // Reading the trailer lets the connection go on.
    Ok(reader.objects() == 0 && reader.next().is_none())
}

fn serves(source: &mut Source, oids: &[ObjectId]) -> Result<bool> {
    let request = FetchRequest {
        wants: oids.into(),
        haves: oids.into(),
        done: true,
        ofs_delta: true,
        filter: Some("tree:0"),
        ..FetchRequest::default()
    };
    match source.fetch(&request, &Silent) {
        Ok(response) => {
            let serves = response.pack.is_some();
            response.pack.into_iter().for_each(PackStream::finish);
            Ok(serves)
        }
        Err(err) if matches!(err.kind(), Kind::Peer | Kind::Network) => {
            // `upload-pack: not our ref`; some servers just hang up after it.
            log::debug!(target: "relay::source", "does not serve all of {} objects: {err}", oids.len());
            Ok(false)
        }
        Err(err) => Err(err),
    }
}

#[cfg(test)]
mod tests {
    use bstr::ByteSlice;
    use gix_hash::Kind as Format;

    use super::*;
    use crate::transport;
    use crate::upload_pack::Protocol;
    use crate::url::Address;
    use crate::wire::pack::testing::Repo;

    /// Without `multi_ack`, `upload-pack` repeats its ACK for a have that is a parent of the one before.
    #[test]
    fn haves_in_any_order_prove_what_they_reach() {
        let repo = Repo::with_history(Format::Sha1, 4);
        let line = repo.git(&["rev-list", "main"]);
        let line: Vec<_> = line
            .lines()
            .map(|line| ObjectId::from_hex(line).unwrap())
            .collect();
        let address = Address::parse(repo.path().to_str().unwrap()).unwrap();
        for version in [Protocol::V1, Protocol::V2] {
            let reach = |from: &[usize], oids: &[usize]| {
                let link = transport::open_upload_pack(&address, version).unwrap();
                let mut source = Source::connect(link).unwrap();
                let ids = |numbers: &[usize]| numbers.iter().map(|number| line[*number]).collect();
                reach_all(&mut source, ids(from), ids(oids)).unwrap()
            };
            for from in [&[0][..], &[0, 1, 2, 3], &[3, 2, 1, 0], &[1, 0, 2], &[0, 2]] {
                assert!(reach(from, &[0]), "{from:?}");
            }
            assert!(!reach(&[1, 2, 3], &[0]));
        }
    }
}
