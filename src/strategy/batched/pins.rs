//! Refs of our own on the target, which hold finished batches until the pushed refs do.

use bstr::ByteSlice;
use gix_hash::ObjectId;

use crate::plan::selection::OUR_NAMESPACE;
use crate::receive_pack::{Command, Target};
use crate::upload_pack::Source;
use crate::wire::object::Hasher;
use crate::wire::ref_name::RefName;

/// The pins of one source: `refs/relay/batch/<source>/<commit>`.
///
/// They survive a run that breaks off, and the next run for the same source goes on from them, for what they name the
/// target has. Those of other sources are left alone.
#[derive(Debug, Clone)]
pub(in crate::strategy) struct Pins {
    namespace: String,
    there: Vec<(RefName, ObjectId)>,
}

impl Pins {
    /// Those that earlier runs for `source` have left on `target`.
    pub(in crate::strategy) fn find(source: &Source, target: &Target) -> Pins {
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
    pub(super) fn is_empty(&self) -> bool {
        self.there.is_empty()
    }

    /// The commands that pin `commits`.
    pub(super) fn commands(&self, commits: &[ObjectId]) -> Vec<Command> {
        let command = |commit: &ObjectId| Command {
            name: format!("{}{commit}", self.namespace).into(),
            old: ObjectId::null(commit.kind()),
            new: *commit,
        };
        commits.iter().map(command).collect()
    }

    /// `commands` were carried out.
    pub(super) fn have(&mut self, commands: &[Command]) {
        self.there
            .extend(commands.iter().map(|command| (command.name.clone(), command.new)));
    }

    /// The commands that remove all of them.
    pub(super) fn removals(&self) -> Vec<Command> {
        let removal = |(name, oid): &(RefName, ObjectId)| Command {
            name: name.clone(),
            old: *oid,
            new: ObjectId::null(oid.kind()),
        };
        self.there.iter().map(removal).collect()
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
        let name = &commands.first().unwrap().name;
        assert_eq!(*name, *format!("{one}{oid}").as_bytes().as_bstr());
        assert!(gix_validate::reference::name(name).is_ok());
    }
}
