//! Which objects does the source have?

use std::collections::HashSet;

use gix_hash::ObjectId;

use crate::error::{Kind, Result};
use crate::progress::Silent;
use crate::upload_pack::{FetchRequest, PackStream, Source};

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

fn serves(source: &mut Source, oids: &[ObjectId]) -> Result<bool> {
    let request = FetchRequest {
        wants: oids.to_vec(),
        haves: oids.to_vec(),
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
