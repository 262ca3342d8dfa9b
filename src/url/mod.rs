//! Relay URLs, `<source>=><target>`, and the addresses on their two sides.

mod address;
mod location;
mod reach;
mod resolve;
mod retry_policy;
mod same;
mod settings;
mod userinfo;

use crate::error::{Error, Kind, Result, printable};
pub use address::{Address, DaemonAddress, HelperAddress, HttpAddress, LocalAddress, Programs, SshAddress};
pub use reach::{Family, Reach};
pub use resolve::{check_allowed, resolve};
pub use retry_policy::{RetryPolicy, Verdict};
use userinfo::has_password;
pub use userinfo::{has_login, redact};

/// The two sides of a relay URL, as the user wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayUrl {
    /// Where refs and objects come from.
    pub source: String,
    /// Where they go. One for now; the grammar leaves room for more.
    pub targets: Vec<String>,
}

impl RelayUrl {
    /// What stands behind `relay::` or `sync::` in a URL for git; `None` if it is for somebody else.
    pub fn strip_helper(url: &str) -> Option<&str> {
        url.strip_prefix("relay::").or_else(|| url.strip_prefix("sync::"))
    }

    /// Split `url`, which git hands over without its `relay::`, at each `=>`.
    pub fn parse(url: &str) -> Result<RelayUrl> {
        let mut sides = url.split("=>").map(str::to_owned);
        let source = sides.next().unwrap_or_default();
        let targets: Vec<_> = sides.collect();
        let quoted = "quote the URL, a shell reads '>' as a redirection: 'relay::<source>=><target>'";
        if targets.is_empty() {
            // What an unquoted `relay::a=>b` leaves: the shell has made a file `b`.
            return Err(match source.strip_suffix('=') {
                Some(rest) => usage(format!(
                    "the relay URL '{}=' stops where '=>' should stand",
                    shown(rest)
                ))
                .hint(quoted),
                None => usage(format!("the relay URL '{}' has no '=>'", shown(&source)))
                    .hint("write 'relay::<source>=><target>', in quotes"),
            });
        }
        if source.is_empty() {
            return Err(usage("the relay URL names no source in front of '=>'".into())
                .hint("write 'relay::<source>=><target>', in quotes"));
        }
        if targets.iter().any(String::is_empty) {
            return Err(usage("the relay URL names no target behind '=>'".into())
                .hint("write 'relay::<source>=><target>', in quotes"));
        }
        if targets.len() > 1 {
            return Err(Error::new(
                Kind::Unsupported,
                "a relay URL with more than one target is not supported yet",
            )
            .hint("push to one target after the other"));
        }
        Ok(RelayUrl { source, targets })
    }
}

fn usage(message: String) -> Error {
    Error::new(Kind::Usage, message)
}

/// `text` as it can stand in a message. A URL may come from elsewhere: from a list, or from a repository's configuration.
pub fn shown(text: &str) -> String {
    printable(redact(text).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_error(url: &str) -> String {
        let err = RelayUrl::parse(url).unwrap_err();
        format!("{err} ({})", err.hint_text().unwrap_or_default())
    }

    #[test]
    fn both_sides_may_hold_anything_but_the_arrow() {
        let url = RelayUrl::parse("https://a/x.git?y=1=>../b c").unwrap();
        assert_eq!(
            (url.source.as_str(), url.targets),
            ("https://a/x.git?y=1", vec!["../b c".to_owned()])
        );
    }

    #[test]
    fn what_a_shell_leaves_of_an_unquoted_url_is_recognised() {
        assert!(parse_error("https://u:secret@a/x=").contains("quote the URL"));
        assert!(!parse_error("https://u:secret@a/x=").contains("secret"));
        assert!(parse_error("https://a/x").contains("has no '=>'"));
        assert!(parse_error("=>b").contains("no source"));
        assert!(parse_error("a=>").contains("no target"));
        assert!(parse_error("a=>b=>c").contains("more than one target"));
    }

    #[test]
    fn control_characters_of_a_url_stay_out_of_messages() {
        for url in ["a\x1b[2J", "a\r=", "\x07://x=>"] {
            assert!(!parse_error(url).contains(char::is_control), "{url:?}");
        }
        for url in ["\x1b://h/x", "https://h:\x1b/x"] {
            let err = Address::parse(url).unwrap_err();
            assert!(!err.message().contains(char::is_control), "{url:?}");
        }
    }
}
