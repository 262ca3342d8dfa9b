//! Configuration as git commands see it: one `git config --list -z`, and git's rules for reading the values.
//!
//! How URL-specific settings (`http.<url>.…`) are matched is in [`super::urlmatch`].

use std::collections::HashMap;

use bstr::{BStr, BString, ByteSlice};

use crate::error::{Error, Kind, Result, printable};

/// All settings, each key with all its values in git's order (the last one wins).
#[derive(Debug, Default, Clone)]
pub struct Config {
    /// Keys are as git prints them: section and variable in lower case, the subsection between them untouched.
    /// A value of `None` is a key without `=`.
    entries: HashMap<BString, Vec<Option<BString>>>,
    /// What stands below `http.`, one entry for each value: there the order between keys counts.
    http: Vec<(BString, Option<BString>)>,
}

impl Config {
    pub(super) const ARGS: [&'static str; 3] = ["config", "--list", "-z"];

    /// Read the output of `git config --list -z`: `key LF value NUL` each, without the LF when there is no value.
    pub fn parse(list: &[u8]) -> Self {
        let entries = list.split(|byte| *byte == 0).filter(|entry| !entry.is_empty());
        Config::of(entries.map(|entry| match entry.split_once_str(b"\n") {
            Some((key, value)) => (key.into(), Some(value.into())),
            None => (entry.into(), None),
        }))
    }

    /// Settings by their normalized keys.
    pub(super) fn of(list: impl IntoIterator<Item = (BString, Option<BString>)>) -> Self {
        let mut config = Config::default();
        for (key, value) in list {
            config.add(key, value);
        }
        config
    }

    fn add(&mut self, key: BString, value: Option<BString>) {
        if let Some(rest) = key.strip_prefix(b"http.") {
            self.http.push((rest.into(), value.clone()));
        }
        self.entries.entry(key).or_default().push(value);
    }

    /// What stands below `http.`, by what follows that in the key, in git's order.
    pub(super) fn http(&self) -> impl Iterator<Item = (&BStr, Option<&BString>)> {
        self.http
            .iter()
            .map(|(key, value)| (key.as_bstr(), value.as_ref()))
    }

    /// Let `value` be the one of `key` that counts, as `git -c` does.
    pub fn set(&mut self, key: &str, value: &str) {
        self.add(normalized(key), Some(value.into()));
    }

    /// The value of `key` that counts; `None` when it is not set, or set without a value.
    pub fn string(&self, key: &str) -> Option<&BStr> {
        self.last(key)?.as_ref().map(|value| value.as_bstr())
    }

    /// Every value of `key`, oldest first. Keys without a value are left out.
    pub fn all(&self, key: &str) -> Vec<&BStr> {
        let values = self.entries.get(normalized(key).as_bstr()).into_iter().flatten();
        values.flatten().map(|value| value.as_bstr()).collect()
    }

    /// Every value of a list such as `http.extraHeader`, where an empty value forgets those before it.
    pub fn list(&self, key: &str) -> Vec<&BStr> {
        let all = self.all(key);
        let start = all
            .iter()
            .rposition(|value| value.is_empty())
            .map_or(0, |at| at + 1);
        all.into_iter().skip(start).collect()
    }

    /// The truth of `key`, `None` when it is not set: git-config(1), "Values", `boolean`.
    ///
    /// # Errors
    /// `Config` when the value is none.
    pub fn bool(&self, key: &str) -> Result<Option<bool>> {
        let Some(value) = self.last(key) else {
            return Ok(None);
        };
        let Some(value) = value else { return Ok(Some(true)) };
        match parse_bool(value) {
            Some(truth) => Ok(Some(truth)),
            None => Err(bad("boolean", key, value)),
        }
    }

    /// The number at `key`, `None` when it is not set; `k`, `m` and `g` count in powers of 1024.
    ///
    /// # Errors
    /// `Config` when the value is not a number or has none.
    pub fn number(&self, key: &str) -> Result<Option<i64>> {
        let Some(value) = self.last(key) else {
            return Ok(None);
        };
        let value = value.as_ref().map_or(b"".as_bstr(), |value| value.as_bstr());
        parse_number(value)
            .map(Some)
            .ok_or_else(|| bad("numeric", key, value))
    }

    /// The size in bytes at `key`, `None` when it is not set.
    ///
    /// # Errors
    /// `Config` when the value is not a number, has none or is negative.
    pub fn size(&self, key: &str) -> Result<Option<u64>> {
        let Some(number) = self.number(key)? else {
            return Ok(None);
        };
        let size = u64::try_from(number);
        size.map(Some)
            .map_err(|_| bad("numeric", key, number.to_string().as_bytes()))
    }

    /// The subsections that `section` has with a variable `name`: the remotes with a `url`, for instance. Unordered.
    pub fn subsections<'a>(&'a self, section: &'a str, name: &'a str) -> impl Iterator<Item = &'a BStr> {
        self.entries.keys().filter_map(move |key| {
            let rest = key.strip_prefix(section.as_bytes())?.strip_prefix(b".")?;
            rest.strip_suffix(name.as_bytes())?
                .strip_suffix(b".")
                .map(|sub| sub.as_bstr())
        })
    }

    fn last(&self, key: &str) -> Option<&Option<BString>> {
        self.entries.get(normalized(key).as_bstr())?.last()
    }
}

fn bad(what: &str, key: &str, value: &[u8]) -> Error {
    Error::new(
        Kind::Config,
        format!("bad {what} config value '{}' for '{key}'", printable(value)),
    )
}

/// Section and variable names know no case, subsections do.
fn normalized(key: &str) -> BString {
    let first = key.find('.').unwrap_or(key.len());
    let last = key.rfind('.').unwrap_or(first);
    let lower = |at: usize| at < first || at > last;
    key.bytes()
        .enumerate()
        .map(|(at, byte)| {
            if lower(at) {
                byte.to_ascii_lowercase()
            } else {
                byte
            }
        })
        .collect::<Vec<_>>()
        .into()
}

/// `git_parse_maybe_bool` in git's parse.c.
fn parse_bool(value: &[u8]) -> Option<bool> {
    let is = |words: [&str; 3]| {
        words
            .iter()
            .any(|word| value.eq_ignore_ascii_case(word.as_bytes()))
    };
    if is(["true", "yes", "on"]) {
        Some(true)
    } else if value.is_empty() || is(["false", "no", "off"]) {
        Some(false)
    } else {
        parse_number(value)
            .and_then(|number| i32::try_from(number).ok())
            .map(|number| number != 0)
    }
}

/// `git_parse_signed` in git's parse.c, without its octal and hexadecimal numbers.
fn parse_number(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?.trim_ascii_start();
    let (digits, factor) = match text.as_bytes().last()?.to_ascii_lowercase() {
        b'k' => (text.get(..text.len() - 1)?, 1 << 10),
        b'm' => (text.get(..text.len() - 1)?, 1 << 20),
        b'g' => (text.get(..text.len() - 1)?, 1 << 30),
        _ => (text, 1),
    };
    digits.parse::<i64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::super::Git;
    use super::*;

    const LIST: &[u8] = b"core.bare\ntrue\0a.one\nfirst\0a.one\nlast\0a.flag\0a.empty\n\0\
        remote.Up.x.url\nhttps://a/\0http.extraheader\nA: 1\0http.extraheader\n\0http.extraheader\nB: 2\nC\0\
        remote.up.url\nu\0a.size\n2k\0a.bad\nmaybe\0";

    #[test]
    fn the_last_value_wins_and_case_counts_only_in_subsections() {
        let config = Config::parse(LIST);
        assert_eq!(config.string("A.One"), Some("last".into()));
        assert_eq!(config.all("a.one"), ["first", "last"]);
        assert_eq!(config.string("REMOTE.Up.x.URL"), Some("https://a/".into()));
        assert_eq!(config.string("remote.up.x.url"), None);
        assert_eq!(config.list("http.extraHeader"), ["B: 2\nC"]);
        let mut remotes: Vec<_> = config.subsections("remote", "url").collect();
        remotes.sort();
        assert_eq!(remotes, ["Up.x", "up"]);
    }

    #[test]
    fn a_key_without_value_is_true_and_no_string() {
        let config = Config::parse(LIST);
        assert_eq!(
            (config.bool("a.flag").unwrap(), config.string("a.flag")),
            (Some(true), None)
        );
        assert_eq!(config.bool("a.empty").unwrap(), Some(false));
        assert_eq!(config.bool("a.none").unwrap(), None);
        assert_eq!(config.number("a.size").unwrap(), Some(2048));
        let err = config.bool("a.bad").unwrap_err();
        assert_eq!(err.message(), "bad boolean config value 'maybe' for 'a.bad'");
    }

    /// Every value is put to git as well, so the expectations are git's.
    #[test]
    fn booleans_are_what_git_says_they_are() {
        for value in [
            "", "YES", "on", "oFF", "no", "1", "0", "-1", "2k", "maybe", "0k", "tru", " 1", "1 ", "4g",
        ] {
            let setting = format!("a.b={value}");
            let said = Git::here()
                .command(["-c", &setting, "config", "--type=bool", "a.b"])
                .run();
            let said = said.ok().map(|truth| truth == b"true\n");
            assert_eq!(parse_bool(value.as_bytes()), said, "{value:?}");
        }
    }
}
