//! From what the user wrote on one side to the URL it stands for, by git's rules: names of remotes, `insteadOf`,
//! and the protocol policy (git-config(1): `remote.<name>.url`, `url.<base>.insteadOf`, `protocol.allow`).

use bstr::{BStr, BString, ByteSlice};

use super::{RelayUrl, shown};
use crate::error::{Error, Kind, Result, Side, printable};
use crate::git::Config;

/// The URL or path that `text` stands for on `side`: the fetch URL of a remote for the source, its push URL for the
/// target. A remote that is a relay itself is read from its source and pushed to its target.
///
/// # Errors
/// [`Kind::Usage`] when a remote has several push URLs, the URL is not UTF-8, or relays lead to relays.
pub fn resolve(text: &str, side: Side, config: &Config) -> Result<String> {
    let url = resolve_once(text, side, config)?;
    let Some(relay) = RelayUrl::strip_helper(&url) else {
        return Ok(url);
    };
    let RelayUrl { source, targets } = RelayUrl::parse(relay).map_err(|err| err.on(side))?;
    let place = match side {
        Side::Source => Some(source),
        Side::Target => targets.into_iter().next(),
    };
    let inner = resolve_once(place.as_deref().unwrap_or_default(), side, config)?;
    match RelayUrl::strip_helper(&inner) {
        None => Ok(inner),
        Some(_) => Err(
            Error::new(Kind::Usage, format!("'{}' is a relay of a relay", shown(text)))
                .on(side)
                .hint("name the repository at the end of it"),
        ),
    }
}

fn resolve_once(text: &str, side: Side, config: &Config) -> Result<String> {
    let of_remote = |name: &str| config.list(&format!("remote.{text}.{name}"));
    let push_urls = if side == Side::Target {
        of_remote("pushurl")
    } else {
        Vec::new()
    };
    let (urls, pushes_to_its_own) = match push_urls.is_empty() {
        false => (push_urls, true),
        true => (of_remote("url"), false),
    };
    let url: &BStr = match urls.as_slice() {
        [] => text.into(),
        [url] => url,
        [first, ..] if side == Side::Source => first,
        _ => {
            let message = format!("the remote '{text}' has several push URLs, a relay has one target");
            return Err(Error::new(Kind::Usage, message)
                .on(side)
                .hint("name the URL instead of the remote"));
        }
    };
    let rewritten = (side == Side::Target && !pushes_to_its_own)
        .then(|| rewrite(url, "pushinsteadof", config))
        .flatten()
        .or_else(|| rewrite(url, "insteadof", config))
        .unwrap_or_else(|| url.to_owned());
    String::from_utf8(rewritten.into()).map_err(|err| {
        Error::new(
            Kind::Usage,
            format!("the URL '{}' is not UTF-8", printable(err.as_bytes())),
        )
        .on(side)
    })
}

/// Replace the longest prefix of `url` that some `url.<base>.<key>` names.
fn rewrite(url: &BStr, key: &str, config: &Config) -> Option<BString> {
    let bases = config.subsections("url", key);
    let candidates = bases.filter_map(|base| {
        let name = format!("url.{}.{key}", base.to_str().ok()?);
        let matching = config
            .all(&name)
            .into_iter()
            .filter(|prefix| url.starts_with(prefix));
        Some((matching.map(|prefix| prefix.len()).max()?, base))
    });
    let (length, base) = candidates.max_by_key(|(length, _)| *length)?;
    Some([base.as_bytes(), url.get(length..)?].concat().into())
}

/// Whether git's policy lets `scheme` be used (`transport.c`: `is_transport_allowed()`). `var` looks up an environment
/// variable.
///
/// # Errors
/// [`Kind::Policy`] when it does not, [`Kind::Config`] when the setting makes no sense.
pub fn check_allowed(
    scheme: &str,
    url: &str,
    config: &Config,
    var: impl Fn(&str) -> Option<String>,
) -> Result<()> {
    let allowed = match var("GIT_ALLOW_PROTOCOL") {
        Some(list) => list.split(':').any(|name| name == scheme),
        None => match policy(scheme, config)? {
            Policy::Always => true,
            Policy::Never => false,
            Policy::User => var("GIT_PROTOCOL_FROM_USER").is_none_or(|value| is_true(&value)),
        },
    };
    if allowed {
        return Ok(());
    }
    Err(Error::new(
        Kind::Policy,
        format!("transport '{scheme}' not allowed for '{}'", shown(url)),
    )
    .hint(format!("git's protocol.{scheme}.allow decides about it")))
}

enum Policy {
    Always,
    Never,
    User,
}

fn policy(scheme: &str, config: &Config) -> Result<Policy> {
    for key in [format!("protocol.{scheme}.allow"), "protocol.allow".to_owned()] {
        if let Some(value) = config.string(&key) {
            return match value.to_ascii_lowercase().as_slice() {
                b"always" => Ok(Policy::Always),
                b"never" => Ok(Policy::Never),
                b"user" => Ok(Policy::User),
                _ => Err(Error::new(
                    Kind::Config,
                    format!("unknown value for config '{key}': {value}"),
                )),
            };
        }
    }
    Ok(match scheme {
        "http" | "https" | "git" | "ssh" => Policy::Always,
        "ext" => Policy::Never,
        _ => Policy::User,
    })
}

fn is_true(value: &str) -> bool {
    !matches!(
        value.to_ascii_lowercase().as_str(),
        "" | "0" | "false" | "no" | "off"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(entries: &[(&str, &str)]) -> Config {
        let list: Vec<u8> = entries
            .iter()
            .flat_map(|(k, v)| format!("{k}\n{v}\0").into_bytes())
            .collect();
        Config::parse(&list)
    }

    #[test]
    fn remotes_have_a_url_for_each_direction() {
        let config = config(&[
            ("remote.o.url", "https://a/x"),
            ("remote.o.pushurl", "https://b/x"),
        ]);
        assert_eq!(resolve("o", Side::Source, &config).unwrap(), "https://a/x");
        assert_eq!(resolve("o", Side::Target, &config).unwrap(), "https://b/x");
        assert_eq!(resolve("other", Side::Source, &config).unwrap(), "other");
    }

    #[test]
    fn the_longest_prefix_is_rewritten_and_pushes_have_their_own_rules() {
        let config = config(&[
            ("url.https://short/.insteadof", "gh:"),
            ("url.https://long/.insteadof", "gh:me/"),
            ("url.ssh://push/.pushinsteadof", "gh:"),
        ]);
        assert_eq!(
            resolve("gh:me/x", Side::Source, &config).unwrap(),
            "https://long/x"
        );
        assert_eq!(
            resolve("gh:you/x", Side::Source, &config).unwrap(),
            "https://short/you/x"
        );
        assert_eq!(
            resolve("gh:you/x", Side::Target, &config).unwrap(),
            "ssh://push/you/x"
        );
    }

    #[test]
    fn an_explicit_push_url_is_not_rewritten_for_pushes() {
        let config = config(&[
            ("remote.o.pushurl", "gh:x"),
            ("url.https://fetch/.insteadof", "gh:"),
            ("url.ssh://push/.pushinsteadof", "gh:"),
        ]);
        assert_eq!(resolve("o", Side::Target, &config).unwrap(), "https://fetch/x");
    }

    #[test]
    fn policy_is_gits() {
        let check = |scheme: &str, entries: &[(&str, &str)], vars: &[(&str, &str)]| {
            let var = |name: &str| {
                vars.iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| (*value).to_owned())
            };
            check_allowed(scheme, "u", &config(entries), var).is_ok()
        };
        assert!(check("https", &[], &[]));
        assert!(check("file", &[], &[]));
        assert!(!check("file", &[], &[("GIT_PROTOCOL_FROM_USER", "0")]));
        assert!(!check("ext", &[], &[]));
        assert!(check("ext", &[("protocol.ext.allow", "always")], &[]));
        assert!(!check("https", &[("protocol.allow", "never")], &[]));
        assert!(check(
            "https",
            &[("protocol.allow", "never"), ("protocol.https.allow", "user")],
            &[]
        ));
        assert!(!check("https", &[], &[("GIT_ALLOW_PROTOCOL", "file:ssh")]));
        assert!(check_allowed("http", "u", &config(&[("protocol.allow", "maybe")]), |_| None).is_err());
    }
}
