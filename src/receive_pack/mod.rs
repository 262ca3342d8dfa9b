//! The client of the target's `receive-pack`: its refs, and pushes (`gitprotocol-pack`, "Pushing Data To a Server").
//!
//! Only protocol v0 exists for it. What to push is decided elsewhere; see [`crate::plan`].

mod push;

pub use push::{Body, PushRequest};

use bstr::BStr;
use gix_hash::ObjectId;
use gix_transport::Service;
use gix_transport::client::Capabilities;
use gix_transport::client::blocking_io::SetServiceResponse;

use crate::error::{Error, Result, Side};
use crate::transport::Link;
use crate::upload_pack::{object_format, read_v0_refs, value_of};
use crate::wire::changes::Commands;
use crate::wire::refs::{Advertisement, RemoteRef};

/// A connected target.
pub struct Target {
    link: Box<dyn Link>,
    capabilities: Capabilities,
    advertisement: Advertisement,
    format: gix_hash::Kind,
    announces_lengths: bool,
    /// A push was sent in full and its report has not come.
    owes_an_answer: bool,
}

impl Target {
    /// Shake hands over `link` and read the refs.
    pub fn connect(mut link: Box<dyn Link>) -> Result<Target> {
        match handshake(&mut *link) {
            Ok((capabilities, advertisement)) => {
                let format = object_format(&capabilities).map_err(|err| err.on(Side::Target))?;
                log::info!(target: "relay::target", "{} refs, {format}", advertisement.refs.len());
                Ok(Target {
                    link,
                    capabilities,
                    advertisement,
                    format,
                    announces_lengths: false,
                    owes_an_answer: false,
                })
            }
            Err(err) => Err(link.explain(err).on(Side::Target)),
        }
    }

    /// Shake hands again, and read the refs as they are now.
    ///
    /// # Errors
    /// Those of [`Target::connect`]; what was known before stays.
    pub fn reconnect(&mut self) -> Result<()> {
        self.link.reopen().map_err(|err| err.on(Side::Target))?;
        let (capabilities, advertisement) =
            handshake(&mut *self.link).map_err(|err| self.link.explain(err).on(Side::Target))?;
        self.capabilities = capabilities;
        self.advertisement = advertisement;
        Ok(())
    }

    /// The refs as they are now. What was known before stays.
    ///
    /// # Errors
    /// Those of [`Target::connect`].
    pub fn look_again(&mut self) -> Result<Advertisement> {
        self.link.reopen().map_err(|err| err.on(Side::Target))?;
        match handshake(&mut *self.link) {
            Ok((_, advertisement)) => Ok(advertisement),
            Err(err) => Err(self.link.explain(err).on(Side::Target)),
        }
    }

    /// Whether the refs, as they are now, show that all of `commands` were carried out.
    pub fn shows(&mut self, commands: &Commands) -> bool {
        let Ok(now) = self.look_again() else {
            return false;
        };
        commands.iter().all(|command| {
            let value = now.refs.find(command.name).map(|entry| entry.oid);
            value == command.new
        })
    }

    /// What the last answer would have said has been found out otherwise.
    pub fn needs_no_answer(&mut self) {
        self.owes_an_answer = false;
    }

    /// Whether the last push may have been carried out although it ended in an error.
    pub fn owes_an_answer(&self) -> bool {
        self.owes_an_answer
    }

    /// The target's refs.
    pub fn advertisement(&self) -> &Advertisement {
        &self.advertisement
    }

    /// The target's ref called `name`.
    pub fn find(&self, name: &BStr) -> Option<RemoteRef<'_>> {
        self.advertisement.find(name)
    }

    /// Every object that the target said it has: its tips and the `.have` lines of what it borrows from.
    pub fn tips(&self) -> impl Iterator<Item = ObjectId> {
        let refs = self.advertisement.refs.iter().map(|r| r.oid);
        refs.chain(self.advertisement.haves.iter().copied())
    }

    /// The hash function of the target's object ids.
    pub fn format(&self) -> gix_hash::Kind {
        self.format
    }

    /// Whether the target announced the capability `name`.
    pub fn offers(&self, name: &str) -> bool {
        self.capabilities.contains(name)
    }

    /// The value of the capability `name`, fit to be shown.
    pub fn value_of(&self, name: &str) -> Option<String> {
        value_of(&self.capabilities, name)
    }

    /// From now on packs need a [length](Body::Sized): the target takes no others.
    pub fn announce_lengths(&mut self) {
        self.announces_lengths = true;
    }

    /// See [`Target::announce_lengths`].
    pub fn announces_lengths(&self) -> bool {
        self.announces_lengths
    }

    /// The link, for its counters.
    pub fn link(&self) -> &dyn Link {
        &*self.link
    }
}

fn handshake(link: &mut dyn Link) -> Result<(Capabilities, Advertisement)> {
    let doing = "cannot read its refs";
    link.budget().renew();
    let mut advertisement = Advertisement::default();
    let SetServiceResponse {
        capabilities, refs, ..
    } = link
        .handshake(Service::ReceivePack, &[])
        .map_err(|err| Error::from_transport(err, doing))?;
    refs.map_or(Ok(()), |mut lines| read_v0_refs(&mut *lines, &mut advertisement))?;
    link.budget().lift();
    advertisement.finish(object_format(&capabilities)?)?;
    Ok((capabilities, advertisement))
}
