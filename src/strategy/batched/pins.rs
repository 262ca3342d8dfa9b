//! Refs of our own on the target, which hold finished batches until the pushed refs do.

use std::collections::HashSet;

use bstr::ByteSlice;
use gix_hash::ObjectId;

use super::super::{Ends, presence};
use crate::error::printable;
use crate::plan::selection::OUR_NAMESPACE;
use crate::progress::{Progress, Silent};
use crate::receive_pack::{Body, PushRequest, Target};
use crate::upload_pack::Source;
use crate::wire::changes::{Change, Changes, Commands};
use crate::wire::object::Hasher;
use crate::wire::ref_name::RefName;

/// The pins of one source: `refs/relay/batch/<source>/<commit>`.
///
/// They survive a run that breaks off, and the next run for the same source goes on from them, for what they name the
/// target has. Those of other sources are left alone.
#[derive(Debug, Clone)]
pub struct Pins {
    namespace: String,
    there: Vec<(RefName, ObjectId)>,
}

impl Pins {
    /// Those that earlier runs for `source` have left on `target`.
    pub fn find(source: &Source, target: &Target) -> Pins {
        let namespace = namespace(source.link().to_url().as_bytes());
        let refs = &target.advertisement().refs;
        let ours = refs
            .iter()
            .filter(|entry| entry.name.starts_with(namespace.as_bytes()));
        Pins {
            there: ours.map(|entry| (entry.name.into(), entry.oid)).collect(),
            namespace,
        }
    }

    /// Whether there are any on the target.
    pub fn is_empty(&self) -> bool {
        self.there.is_empty()
    }

    /// The commands that pin `objects`.
    pub(super) fn commands(&self, objects: &[ObjectId]) -> Commands {
        let mut changes = Changes::default();
        for object in objects {
            changes.push(Change {
                name: format!("{}{object}", self.namespace).as_bytes().as_bstr(),
                old: None,
                new: Some(*object),
            });
        }
        changes.into()
    }

    /// `commands` were carried out.
    pub(super) fn have(&mut self, commands: &Commands) {
        let pin = |command: Change<'_>| Some((command.name.into(), command.new?));
        self.there.extend(commands.iter().filter_map(pin));
    }

    /// Remove them, if all that they hold is held by other refs of the target now, of which `new` are values that were set
    /// just now. What is still of use to another push stays. Failures are only told: the next push can do it as well.
    pub fn tidy(
        &self,
        ends: &mut Ends<'_>,
        new: impl IntoIterator<Item = ObjectId>,
        progress: &dyn Progress,
    ) {
        if self.is_empty() || !ends.target.offers("delete-refs") {
            return;
        }
        let refs = ends.target.advertisement().refs.iter();
        let others = refs.filter(|entry| !entry.name.starts_with(self.namespace.as_bytes()));
        let held: HashSet<ObjectId> = others.map(|entry| entry.oid).chain(new).collect();
        let held = held.into_iter().filter(|oid| !oid.is_null()).collect();
        let pinned: HashSet<ObjectId> = self.there.iter().map(|(_, oid)| *oid).collect();
        match presence::reach_all(ends.source, held, pinned.into_iter().collect()) {
            Ok(true) => {}
            Ok(false) => return,
            Err(err) => {
                log::info!(target: "relay::source", "cannot tell whether pins are still of use: {err}");
                return;
            }
        }
        if let Err(words) = remove(ends.target, &self.there) {
            progress.warning(&format!(
                "could not remove temporary refs below refs/relay/batch/: {words}"
            ));
        }
    }
}

/// Delete the refs `pins`, which have these values.
pub(super) fn remove(target: &mut Target, pins: &[(RefName, ObjectId)]) -> Result<(), String> {
    let removals = pins.iter().map(|(name, oid)| Change {
        name: name.as_ref(),
        old: Some(*oid),
        new: None,
    });
    let request = PushRequest {
        commands: removals.collect(),
        quiet: true,
        ..PushRequest::default()
    };
    let report = target
        .push(&request, Body::Nothing, &Silent)
        .map_err(|err| err.to_string())?;
    let mut verdicts = request.commands.names().zip(&report.verdicts);
    match verdicts.find_map(|(name, verdict)| Some((name, verdict.refusal()?))) {
        // Another run was faster.
        Some(_) if target.shows(&request.commands) => Ok(()),
        Some((name, words)) => Err(format!("{}: {words}", printable(name))),
        None => Ok(()),
    }
}

/// Enough of a checksum over `url`, which has no userinfo in it, to tell sources apart.
fn namespace(url: &[u8]) -> String {
    let mut hasher = Hasher::new(gix_hash::Kind::Sha1);
    hasher.update(url);
    format!("{OUR_NAMESPACE}batch/{}/", hasher.finish().to_hex_with_len(16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_has_names_of_its_own_that_git_allows() {
        let (one, other) = (namespace(b"https://a/x"), namespace(b"https://b/x"));
        assert_ne!(one, other);
        assert_eq!(one, namespace(b"https://a/x"));
        let oid = ObjectId::null(gix_hash::Kind::Sha1);
        let pins = Pins {
            namespace: one.clone(),
            there: Vec::new(),
        };
        let commands = pins.commands(&[oid]);
        let name = commands.names().next().unwrap();
        assert_eq!(*name, *format!("{one}{oid}").as_bytes().as_bstr());
        assert!(gix_validate::reference::name(name).is_ok());
    }
}
