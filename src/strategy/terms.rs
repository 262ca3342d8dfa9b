//! How objects may travel, as the user has it.

use super::Strategy;
use crate::error::{Error, Kind, Result, Side};
use crate::git::Config;

/// How much of a materialized push is stored unless `relay.materializedMaxBytes` says otherwise: 4 GiB. Enough for all
/// but the largest repositories, and less than most directories for temporary files hold.
const MATERIALIZED_MAX_BYTES: u64 = 4 << 30;

/// How the objects may travel.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// Which routes may be taken.
    pub strategy: Strategy,
    /// Stop when the packs outgrow this many bytes; nothing has changed then.
    pub max_pack_bytes: Option<u64>,
    /// No pack for the target may be larger than this many bytes.
    pub target_max_pack_bytes: Option<u64>,
    /// No pack of more bytes is stored on this machine on its way.
    pub materialized_max_bytes: Option<u64>,
    /// Check the objects that are stored, as `fetch.fsckObjects` has git do it.
    pub fsck: bool,
}

impl Terms {
    /// With what `config` says about storing packs.
    ///
    /// # Errors
    /// `Config` when a value is none.
    #[must_use = "the terms are returned, not changed"]
    pub fn with_config(mut self, config: &Config) -> Result<Terms> {
        self.materialized_max_bytes = match bytes(config, "relay.materializedMaxBytes")? {
            None => Some(MATERIALIZED_MAX_BYTES),
            Some(0) => None,
            some => some,
        };
        if self.target_max_pack_bytes.is_none() {
            let configured = bytes(config, "relay.targetMaxPackBytes")?;
            self.target_max_pack_bytes = configured.filter(|bytes| *bytes > 0);
        }
        self.fsck = match config.bool("fetch.fsckObjects")? {
            Some(wanted) => wanted,
            None => config.bool("transfer.fsckObjects")?.unwrap_or(false),
        };
        Ok(self)
    }

    /// The limit for a relayed pack, in bytes; `stored` tells whether it waits on this machine until it is complete.
    pub fn relayed_limit(&self, stored: bool) -> Option<u64> {
        let here = self.materialized_max_bytes.filter(|_| stored);
        let limits = [self.max_pack_bytes, self.target_max_pack_bytes, here];
        limits.into_iter().flatten().min()
    }

    /// `err` of a pack that was held to [`relayed_limit`](Terms::relayed_limit). What the user told of the target is the
    /// target's limit, so that whoever can may send less at once.
    pub(super) fn explain_relayed(&self, err: Error, stored: bool) -> Error {
        if err.kind() != Kind::Limit || err.side() != Some(Side::Source) {
            return err;
        }
        match self.target_max_pack_bytes {
            Some(limit)
                if self.relayed_limit(stored) == Some(limit) && self.max_pack_bytes != Some(limit) =>
            {
                let message = format!("the pack is larger than the {limit} bytes that it takes at once");
                Error::new(Kind::Limit, message).on(Side::Target)
            }
            _ if stored => self.explain_limit(err),
            _ => err,
        }
    }

    /// The limit for a pack that is stored on this machine, in bytes.
    pub fn stored_limit(&self) -> Option<u64> {
        [self.max_pack_bytes, self.materialized_max_bytes]
            .into_iter()
            .flatten()
            .min()
    }

    /// `err` with the name of the setting that lies behind a limit for stored packs.
    pub fn explain_limit(&self, err: Error) -> Error {
        if err.kind() != Kind::Limit || self.stored_limit() == self.max_pack_bytes {
            return err;
        }
        err.hint("git config relay.materializedMaxBytes <size> allows more to be stored here (0: no limit)")
    }
}

/// The size that `key` names.
fn bytes(config: &Config, key: &str) -> Result<Option<u64>> {
    let convert = |bytes: i64| {
        u64::try_from(bytes).map_err(|_| {
            let message = format!("bad numeric config value '{bytes}' for '{key}'");
            Error::new(Kind::Config, message)
        })
    };
    config.number(key)?.map(convert).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(list: &[u8]) -> Result<Terms> {
        Terms::default().with_config(&Config::parse(list))
    }

    #[test]
    fn what_is_stored_is_limited_unless_told_otherwise() {
        assert_eq!(terms(b"").unwrap().stored_limit(), Some(4 << 30));
        assert_eq!(
            terms(b"relay.materializedmaxbytes\n0\0").unwrap().stored_limit(),
            None
        );
        assert_eq!(
            terms(b"relay.materializedmaxbytes\n2k\0").unwrap().stored_limit(),
            Some(2048)
        );
        assert!(terms(b"relay.materializedmaxbytes\n-1\0").is_err());
        let both = Terms {
            max_pack_bytes: Some(7),
            ..terms(b"").unwrap()
        };
        assert_eq!(both.stored_limit(), Some(7));
    }

    #[test]
    fn the_smallest_limit_counts_and_an_option_goes_before_the_configuration() {
        let terms = |ours, theirs, list: &[u8]| {
            let terms = Terms {
                max_pack_bytes: ours,
                target_max_pack_bytes: theirs,
                ..Terms::default()
            };
            terms.with_config(&Config::parse(list)).unwrap()
        };
        let limit = |ours, theirs, list: &[u8]| terms(ours, theirs, list).relayed_limit(false);
        assert_eq!(limit(None, None, b""), None);
        assert_eq!(terms(None, None, b"").relayed_limit(true), Some(4 << 30));
        assert_eq!(
            limit(None, None, b"relay.targetmaxpackbytes\n2m\0"),
            Some(2 << 20)
        );
        assert_eq!(limit(None, None, b"relay.targetmaxpackbytes\n0\0"), None);
        assert_eq!(limit(None, Some(9), b"relay.targetmaxpackbytes\n2m\0"), Some(9));
        assert_eq!(limit(Some(8), Some(9), b""), Some(8));
        let side = |ours, theirs| {
            let met = Error::new(Kind::Limit, "too large").on(Side::Source);
            terms(ours, theirs, b"").explain_relayed(met, true).side()
        };
        assert_eq!(side(None, Some(9)), Some(Side::Target));
        assert_eq!(side(Some(8), Some(9)), Some(Side::Source));
        assert_eq!(side(Some(9), Some(9)), Some(Side::Source));
    }

    #[test]
    fn the_hint_names_the_limit_that_was_met() {
        let met = || Error::new(Kind::Limit, "too large");
        assert!(terms(b"").unwrap().explain_limit(met()).hint_text().is_some());
        let both = Terms {
            max_pack_bytes: Some(7),
            ..terms(b"").unwrap()
        };
        assert_eq!(both.explain_limit(met()).hint_text(), None);
    }

    #[test]
    fn objects_are_checked_when_git_would() {
        assert!(!terms(b"").unwrap().fsck);
        assert!(terms(b"transfer.fsckobjects\ntrue\0").unwrap().fsck);
        assert!(
            !terms(b"transfer.fsckobjects\ntrue\0fetch.fsckobjects\nfalse\0")
                .unwrap()
                .fsck
        );
    }
}
