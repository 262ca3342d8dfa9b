//! Which git runs us. Features are asked for by the version that brought them, with the reason at the place of use.

use super::Git;
use crate::error::{Error, Kind, Result, printable};

/// A git release. Release candidates and vendors' suffixes are left out, so `2.47.0.rc1` counts as 2.47.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u16, pub u16, pub u16);

impl Version {
    /// Read what `git version` prints, such as `git version 2.39.5 (Apple Git-154)`.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        let number = text
            .strip_prefix("git version ")?
            .split_ascii_whitespace()
            .next()?;
        let mut parts = number.split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?.parse().ok()?;
        let patch = parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
        Some(Version(major, minor, patch))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl Git {
    /// Ask git for its version; one spawn, not remembered.
    ///
    /// # Errors
    /// `Internal` when git cannot be run or says something else.
    pub fn version(&self) -> Result<Version> {
        let line = self.command(["version"]).run()?;
        Version::parse(&line).ok_or_else(|| {
            let said = printable(line.trim_ascii());
            Error::new(
                Kind::Internal,
                format!("git version says {said:?}, which is not a version"),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_as_they_are_met() {
        let parse = |text: &str| Version::parse(text.as_bytes());
        assert_eq!(parse("git version 2.39.5\n"), Some(Version(2, 39, 5)));
        assert_eq!(
            parse("git version 2.39.5 (Apple Git-154)\n"),
            Some(Version(2, 39, 5))
        );
        assert_eq!(
            parse("git version 2.47.0.rc1.windows.1\n"),
            Some(Version(2, 47, 0))
        );
        assert_eq!(parse("git version 2.50.GIT\n"), Some(Version(2, 50, 0)));
        assert_eq!(parse("hub 1.0\n"), None);
        assert_eq!(parse("git version next\n"), None);
    }

    #[test]
    fn the_installed_git_has_one() {
        assert!(Git::here().version().unwrap() >= Version(2, 20, 0));
    }
}
