//! The lines that git sends to a remote helper, as values: `gitremote-helpers`, "COMMANDS" and "OPTIONS".

use bstr::{BString, ByteSlice};
use gix_hash::ObjectId;

use crate::error::{Error, Kind, Result, printable};
use crate::url::Family;

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// Git wants to know what the helper can do.
    Capabilities,
    /// Git wants the refs to push to.
    ListForPush,
    /// Git asks for the target's service, to talk to by itself.
    ConnectForPush,
    /// Git wants to read from the source: `list`, `fetch`, `connect`, `stateless-connect`, ….
    Read,
    /// Something the user or git wants for the run.
    Option(HelperOption),
    /// One ref to push; a blank line ends the batch.
    Push(PushSpec),
    /// A batch, or the conversation, is over.
    Blank,
}

/// `[+]<src>:<dst>`; an empty source deletes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PushSpec {
    /// A ref of the local repository or an object id; `None` to delete.
    pub(super) src: Option<BString>,
    /// The target's ref, in full.
    pub(super) dst: BString,
    /// Whether a `+` stood in front.
    pub(super) force: bool,
}

/// `option <name> <value>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HelperOption {
    /// How much to say; 0 is `-q`.
    Verbosity(u32),
    /// Whether to show progress.
    Progress(bool),
    /// Judge, but change nothing.
    DryRun(bool),
    /// All refs or none.
    Atomic(bool),
    /// A `--push-option`.
    PushOption(BString),
    /// `--force-with-lease`: overwrite the ref only if it still has this value, or only if it does not exist.
    Lease(BString, Option<ObjectId>),
    /// Whether to name the object format when listing.
    ObjectFormat(bool),
    /// `--signed`: `true` wants it for sure.
    PushCert {
        /// A push without a signature would be wrong.
        required: bool,
    },
    /// `--upload-pack` or `--receive-pack`: the program to run on the other side, words for a shell.
    ServicePath(BString),
    /// A fetch that completes a partial clone.
    FromPromisor,
    /// `--ipv4` or `--ipv6`.
    Family(Family),
    /// Known, and nothing has to be done for it here.
    Ignored,
    /// Known, but the value is not one of those that it can have.
    Invalid,
    /// Not known.
    Unknown,
}

impl Command {
    /// Parse one line, without its newline.
    pub(super) fn parse(line: &[u8]) -> Result<Command> {
        Ok(match line {
            b"" => Command::Blank,
            b"capabilities" => Command::Capabilities,
            b"list" => Command::Read,
            b"list for-push" => Command::ListForPush,
            b"connect git-receive-pack" => Command::ConnectForPush,
            _ => match line.split_once_str(" ") {
                Some((b"push", spec)) => Command::Push(parse_push(spec)?),
                Some((b"option", rest)) => Command::Option(parse_option(rest)?),
                Some((b"connect" | b"stateless-connect" | b"fetch" | b"get", _)) => Command::Read,
                _ => return Err(unexpected(line)),
            },
        })
    }
}

fn unexpected(line: &[u8]) -> Error {
    Error::new(
        Kind::Internal,
        format!("git sent a line that is not understood: '{}'", printable(line)),
    )
}

fn parse_push(spec: &[u8]) -> Result<PushSpec> {
    let (force, spec) = match spec.strip_prefix(b"+") {
        Some(rest) => (true, rest),
        None => (false, spec),
    };
    // The name of a ref has no colon, but a source like `HEAD:dir` has one.
    let (src, dst) = spec.rsplit_once_str(":").ok_or_else(|| unexpected(spec))?;
    let src = (!src.is_empty()).then(|| src.into());
    Ok(PushSpec {
        src,
        dst: dst.into(),
        force,
    })
}

fn parse_option(option: &[u8]) -> Result<HelperOption> {
    let (name, value) = option.split_once_str(" ").unwrap_or((option, b""));
    let flag = value == b"true";
    Ok(match name {
        b"verbosity" => {
            HelperOption::Verbosity(value.to_str().ok().and_then(|v| v.parse().ok()).unwrap_or(1))
        }
        b"progress" => HelperOption::Progress(flag),
        b"dry-run" => HelperOption::DryRun(flag),
        b"atomic" => HelperOption::Atomic(flag),
        b"push-option" => HelperOption::PushOption(unquote(value)?),
        b"cas" => parse_lease(value)?,
        b"object-format" => HelperOption::ObjectFormat(true),
        b"pushcert" => HelperOption::PushCert { required: flag },
        b"servpath" => HelperOption::ServicePath(unquote(value)?),
        b"from-promisor" => HelperOption::FromPromisor,
        b"family" => Family::named(value).map_or(HelperOption::Invalid, HelperOption::Family),
        b"depth" if value.to_str().ok().and_then(|v| v.parse::<u64>().ok()).is_none() => {
            HelperOption::Invalid
        }
        // Git has judged `--force-if-includes` itself by the time it pushes.
        b"force-if-includes" => HelperOption::Ignored,
        name if OF_READING.contains(&name) => HelperOption::Ignored,
        _ => HelperOption::Unknown,
    })
}

/// Options of `set_option()` in git's `remote-curl.c` that are about fetching. Git itself sees to that they are sensible.
const OF_READING: [&[u8]; 10] = [
    b"check-connectivity",
    b"cloning",
    b"deepen-not",
    b"deepen-relative",
    b"deepen-since",
    b"depth",
    b"filter",
    b"followtags",
    b"refetch",
    b"update-shallow",
];

fn parse_lease(value: &[u8]) -> Result<HelperOption> {
    let (name, oid) = value.rsplit_once_str(":").ok_or_else(|| unexpected(value))?;
    let oid = ObjectId::from_hex(oid).map_err(|_| unexpected(value))?;
    Ok(HelperOption::Lease(
        name.into(),
        Some(oid).filter(|oid| !oid.is_null()),
    ))
}

/// Undo git's C-style quoting (`quote.c`); a value without quotes stands for itself.
fn unquote(value: &[u8]) -> Result<BString> {
    let undone = gix_quote::ansi_c::undo(value.as_bstr());
    undone
        .map(|(text, _)| text.into_owned())
        .map_err(|_| unexpected(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(line: &str) -> HelperOption {
        match Command::parse(line.as_bytes()).unwrap() {
            Command::Option(option) => option,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn push_lines_tell_source_target_and_force() {
        let parse = |line: &str| match Command::parse(line.as_bytes()).unwrap() {
            Command::Push(spec) => (spec.force, spec.src.map(|s| s.to_string()), spec.dst.to_string()),
            other => panic!("{other:?}"),
        };
        assert_eq!(parse("push +a:b"), (true, Some("a".into()), "b".into()));
        assert_eq!(parse("push :b"), (false, None, "b".into()));
        assert_eq!(parse("push HEAD:x:b"), (false, Some("HEAD:x".into()), "b".into()));
    }

    #[test]
    fn leases_tell_a_value_or_absence() {
        let a = "a".repeat(40);
        let oid = ObjectId::from_hex(a.as_bytes()).unwrap();
        let held = HelperOption::Lease("refs/heads/x".into(), Some(oid));
        assert_eq!(option(&format!("option cas refs/heads/x:{a}")), held);
        let absent = HelperOption::Lease("refs/heads/x".into(), None);
        assert_eq!(
            option(&format!("option cas refs/heads/x:{}", "0".repeat(40))),
            absent
        );
        assert!(Command::parse(b"option cas nonsense").is_err());
    }

    #[test]
    fn push_options_are_unquoted_as_git_quotes_them() {
        let value = |line: &str| match option(line) {
            HelperOption::PushOption(value) => value,
            other => panic!("{other:?}"),
        };
        assert_eq!(value("option push-option ci.skip"), "ci.skip");
        assert_eq!(value(r#"option push-option "a\tb\"c\\ \303\244""#), "a\tb\"c\\ ä");
        assert!(Command::parse(br#"option push-option "open"#).is_err());
    }

    #[test]
    fn unknown_options_are_no_error_but_unknown_commands_are() {
        assert_eq!(option("option of-the-future 1"), HelperOption::Unknown);
        assert!(Command::parse(b"import refs/heads/x").is_err());
    }

    #[test]
    fn reading_is_told_from_pushing() {
        for line in [
            "list",
            "fetch 1 refs/heads/x",
            "connect git-upload-archive",
            "stateless-connect x",
        ] {
            assert_eq!(Command::parse(line.as_bytes()).unwrap(), Command::Read, "{line}");
        }
        let push = Command::parse(b"connect git-receive-pack").unwrap();
        assert_eq!(push, Command::ConnectForPush);
        assert_eq!(option("option depth 3"), HelperOption::Ignored);
        assert_eq!(option("option depth x"), HelperOption::Invalid);
        assert_eq!(option("option family ipv6"), HelperOption::Family(Family::V6));
        assert_eq!(option("option family ipv5"), HelperOption::Invalid);
    }
}
