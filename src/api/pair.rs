//! A source and a target as the user names them.

use std::fmt;

use crate::error::{Error, Kind, Result};
use crate::url::{RelayUrl, shown};

/// The two ends of a run: URLs, paths, or names of configured remotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Where refs and objects come from.
    pub source: String,
    /// Where they go.
    pub target: String,
}

impl Pair {
    /// From `source` to `target`.
    pub fn new(source: impl Into<String>, target: impl Into<String>) -> Self {
        Pair {
            source: source.into(),
            target: target.into(),
        }
    }

    /// The pair that a URL for `git push` names: `relay::<source>=><target>`, or the same with `sync::`.
    ///
    /// # Errors
    /// [`Kind::Usage`] when it is no such URL.
    pub fn from_url(url: &str) -> Result<Self> {
        let rest = RelayUrl::strip_helper(url).unwrap_or(url);
        let RelayUrl { source, targets } = RelayUrl::parse(rest)?;
        match targets.into_iter().next() {
            Some(target) => Ok(Pair { source, target }),
            None => Err(Error::new(Kind::Usage, "the relay URL names no target")),
        }
    }

    /// Whether `text` is a relay URL, rather than one side.
    pub fn is_url(text: &str) -> bool {
        RelayUrl::strip_helper(text).is_some()
    }
}

/// To be shown: without passwords, and with control characters made visible, for lists of pairs come from anywhere.
impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} => {}", shown(&self.source), shown(&self.target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_url_is_a_pair() {
        let pair = Pair::from_url("relay::https://u:pw@a/x=>../b").unwrap();
        assert_eq!(pair, Pair::new("https://u:pw@a/x", "../b"));
        assert_eq!(pair.to_string(), "https://***@a/x => ../b");
        assert_eq!(
            Pair::new("a\n\x1b[2J", "b\r").to_string(),
            "a\\012\\033[2J => b\\015"
        );
        assert!(Pair::is_url("sync::a=>b") && !Pair::is_url("https://a/relay::x"));
        assert!(Pair::from_url("relay::a=").is_err());
    }
}
