//! How to get to a host, whatever the transport: which internet protocol, and how long to wait for a word.

use std::time::Duration;

use super::retry_policy::RetryPolicy;
use crate::error::{Error, Kind, Result, printable};
use crate::git::Config;

/// What holds for the connection to one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// `--ipv4` and `--ipv6`.
    pub family: Family,
    /// How long a host may be silent while it is waited for; `None` for ever. Services that are busy say so every five
    /// seconds (git-config(1), `uploadpack.keepAlive` and `receive.keepAlive`), so only a dead one is silent that long.
    pub silence: Option<Duration>,
    /// How often to try to connect, and to ask again.
    pub retry: RetryPolicy,
}

/// Which addresses of a host may be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Family {
    /// Any.
    #[default]
    All,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// Longer than any pause of a host that works, and short enough for the next run of a cron job.
const SILENCE: Duration = Duration::from_secs(300);

impl Default for Reach {
    fn default() -> Self {
        Reach {
            family: Family::All,
            silence: Some(SILENCE),
            retry: RetryPolicy::default(),
        }
    }
}

impl Reach {
    /// What `relay.family` and `relay.timeout` say.
    ///
    /// # Errors
    /// `Config` when a value makes no sense.
    pub(super) fn of(config: &Config) -> Result<Reach> {
        let mut reach = Reach {
            retry: RetryPolicy::new(config)?,
            ..Reach::default()
        };
        if let Some(name) = config.string(Family::KEY) {
            reach.family = Family::named(name).ok_or_else(|| {
                let (name, key) = (printable(name), Family::KEY);
                let message = format!("bad value for config '{key}': '{name}'");
                Error::new(Kind::Config, message).hint("ipv4, ipv6 or all")
            })?;
        }
        if let Some(seconds) = config.number("relay.timeout")? {
            let seconds = u64::try_from(seconds)
                .map_err(|err| Error::new(Kind::Config, "relay.timeout is negative").caused_by(err))?;
            reach.silence = (seconds > 0).then(|| Duration::from_secs(seconds));
        }
        Ok(reach)
    }
}

impl Family {
    /// The setting that says the same.
    pub const KEY: &str = "relay.family";

    /// The family that git calls `name` when it sets the option of a helper.
    pub fn named(name: &[u8]) -> Option<Family> {
        match name {
            b"all" => Some(Family::All),
            b"ipv4" => Some(Family::V4),
            b"ipv6" => Some(Family::V6),
            _ => None,
        }
    }

    /// What git calls it.
    pub fn name(self) -> &'static str {
        match self {
            Family::All => "all",
            Family::V4 => "ipv4",
            Family::V6 => "ipv6",
        }
    }

    /// What `git push <words>` says about the family, the last word about it (git-push(1), `-4` and `-6`).
    pub fn of_push<'a>(mut words: impl Iterator<Item = &'a [u8]>) -> Family {
        const WITH_VALUE: [&[u8]; 4] = [b"--exec", b"--push-option", b"--receive-pack", b"--repo"];
        let mut family = Family::All;
        while let Some(word) = words.next() {
            match word {
                b"--" => break,
                b"--ipv4" => family = Family::V4,
                b"--ipv6" => family = Family::V6,
                word if WITH_VALUE.contains(&word) => {
                    words.next();
                }
                [b'-', b'-', ..] => {}
                [b'-', letters @ ..] => {
                    let (switches, takes_next) = before_push_option(letters);
                    for letter in switches {
                        match letter {
                            b'4' => family = Family::V4,
                            b'6' => family = Family::V6,
                            _ => {}
                        }
                    }
                    if takes_next {
                        words.next();
                    }
                }
                _ => {}
            }
        }
        family
    }
}

/// The letters of `-<letters>` in front of an `o`, behind which stands a push option: in this word, or (`true`) as the
/// next.
fn before_push_option(letters: &[u8]) -> (&[u8], bool) {
    match letters.iter().position(|letter| *letter == b'o') {
        Some(end) => (letters.get(..end).unwrap_or_default(), end + 1 == letters.len()),
        None => (letters, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: &[u8]) -> Result<Reach> {
        Reach::of(&Config::parse(list))
    }

    #[test]
    fn settings_are_obeyed_or_refused() {
        assert_eq!(of(b"").unwrap(), Reach::default());
        let set = of(b"relay.family\nipv6\0relay.timeout\n7\0").unwrap();
        assert_eq!(
            (set.family, set.silence),
            (Family::V6, Some(Duration::from_secs(7)))
        );
        assert_eq!(of(b"relay.timeout\n0\0").unwrap().silence, None);
        for bad in [
            &b"relay.family\nipx\0"[..],
            b"relay.timeout\n-1\0",
            b"relay.timeout\nlong\0",
        ] {
            assert_eq!(of(bad).unwrap_err().kind(), Kind::Config);
        }
    }

    #[test]
    fn names_are_gits() {
        for family in [Family::All, Family::V4, Family::V6] {
            assert_eq!(Family::named(family.name().as_bytes()), Some(family));
        }
        assert_eq!(Family::named(b"4"), None);
    }
}
