//! Our own settings that go with an address. Those of git are with what they are for.

use bstr::ByteSlice;

use crate::error::{Error, Kind, Result, Side};
use crate::git::Config;

/// Room for half a million refs, in bytes: far more than hosts serve well.
pub(super) const DEFAULT_MAX_REF_LIST: u64 = 64 << 20;

/// `relay.maxRefListSize`: how many bytes of refs a side may send.
///
/// # Errors
/// `Config` when it is no size.
pub(super) fn max_ref_list(config: &Config) -> Result<Option<u64>> {
    config.size("relay.maxRefListSize")
}

/// `relay.sourceTokenEnv` or `relay.targetTokenEnv`: the environment variable that a token is in. It becomes part of a
/// shell command, so it must be what every shell takes for a name.
///
/// # Errors
/// `Config` when it is none, or not set.
pub(super) fn token_env(side: Side, config: &Config) -> Result<Option<String>> {
    let key = match side {
        Side::Source => "relay.sourceTokenEnv",
        Side::Target => "relay.targetTokenEnv",
    };
    let Some(name) = config.string(key).filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let is_name = !name.first().is_some_and(u8::is_ascii_digit)
        && name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let invalid = || {
        Error::new(
            Kind::Config,
            format!("{key} is not the name of an environment variable"),
        )
        .hint("it is the name that counts, never the token itself")
    };
    let name = name.to_str().ok().filter(|_| is_name).ok_or_else(invalid)?;
    if std::env::var_os(name).is_none() {
        let message = format!("{key} names the environment variable {name}, which is not set");
        return Err(Error::new(Kind::Config, message));
    }
    Ok(Some(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str) -> Result<Option<String>> {
        token_env(
            Side::Source,
            &Config::parse(format!("relay.sourcetokenenv\n{name}\0").as_bytes()),
        )
    }

    #[test]
    fn only_names_of_variables_that_are_set_are_taken() {
        assert_eq!(found("PATH").unwrap().as_deref(), Some("PATH"));
        assert_eq!(found("").unwrap(), None);
        for bad in ["1A", "A B", "A}$(x)", "A-B", "NOBODY_SETS_THIS"] {
            assert_eq!(found(bad).unwrap_err().kind(), Kind::Config, "{bad}");
        }
    }
}
