//! The one error type: what went wrong, on which side, and the way out.
//!
//! Rejected refs are not errors; they are values (see [`crate::plan`] and [`crate::receive_pack`]). An [`Error`] means
//! that the run as a whole could not go on.

use std::fmt;

use bstr::ByteSlice;

/// Shorthand for results whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// One of the two ends of a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The repository that refs and objects are read from.
    Source,
    /// The repository that refs and objects are pushed to.
    Target,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Source => "source",
            Side::Target => "target",
        })
    }
}

/// What sort of failure an [`Error`] is; scripts decide by it whether to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The command line, URL or refspec is wrong.
    Usage,
    /// The configuration of git or of the repository stands in the way.
    Config,
    /// A server wants credentials, or refuses the ones it got.
    Auth,
    /// A connection could not be made or broke; worth a retry.
    Network,
    /// A peer did not answer in time; worth a retry.
    Timeout,
    /// A peer broke the protocol, failed, or has no such repository.
    Peer,
    /// A peer lacks something that the request needs.
    Unsupported,
    /// A size limit was reached.
    Limit,
    /// Bytes arrived that are not what their checksum or format promises.
    Corrupt,
    /// A rule of the user, of git or of a server forbids it.
    Policy,
    /// A ref changed under the run; worth a retry.
    Moved,
    /// A fault of this program or of the machine it runs on.
    Internal,
}

impl Kind {
    /// The stable lower-case name, as it stands in JSON reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Usage => "usage",
            Kind::Config => "config",
            Kind::Auth => "auth",
            Kind::Network => "network",
            Kind::Timeout => "timeout",
            Kind::Peer => "peer",
            Kind::Unsupported => "unsupported",
            Kind::Limit => "limit",
            Kind::Corrupt => "corrupt",
            Kind::Policy => "policy",
            Kind::Moved => "moved",
            Kind::Internal => "internal",
        }
    }

    /// Whether the same run may well succeed when it is tried again later.
    pub fn is_transient(self) -> bool {
        matches!(self, Kind::Network | Kind::Timeout | Kind::Moved)
    }
}

/// A failure of the whole run, in words for the person at the terminal.
///
/// `message` is one lower-case line without the side; [`Display`](fmt::Display) puts the side in front. What led to it
/// is in [`source()`](std::error::Error::source).
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    side: Option<Side>,
    message: String,
    hint: Option<String>,
    status: Option<u16>,
    cause: Option<Cause>,
}

impl Error {
    /// A failure of `kind`, told in `message`.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error {
            kind,
            side: None,
            message: message.into(),
            hint: None,
            status: None,
            cause: None,
        }
    }

    /// Attach the side on which it happened, unless one is known already (the innermost knows best).
    #[must_use]
    pub fn on(mut self, side: Side) -> Self {
        self.side.get_or_insert(side);
        self
    }

    /// Attach what the user can do about it, unless there is a hint already.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Attach the error that led to this one.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Cause>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Attach the status of the HTTP response that told of it.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Append `note` to the message.
    #[must_use]
    pub fn with_note(mut self, note: &str) -> Self {
        self.message.push_str(note);
        self
    }

    /// What sort of failure this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The side on which it happened, where that is known.
    pub fn side(&self) -> Option<Side> {
        self.side
    }

    /// The message alone, without the side.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The status of the HTTP response that told of it, if one did.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// What the user can do about it.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Recover the [`Error`] that one of our own readers, writers or HTTP backends put into `err`, or describe `err`
    /// as a failure while `doing` something (for instance "reading the pack").
    ///
    /// gix and the standard library only hand through [`std::io::Error`]s, so our own errors travel inside those.
    pub fn from_io(err: std::io::Error, doing: &str) -> Self {
        match err.downcast::<Error>() {
            Ok(ours) => ours,
            Err(err) => match find_own(&err) {
                Some(ours) => ours,
                None => Error::from_std_io(err, doing),
            },
        }
    }

    /// The same as [`Error::from_io`] for whatever error type gix returns.
    pub fn from_transport(err: impl Into<Cause>, doing: &str) -> Self {
        let err: Cause = err.into();
        let err = match err.downcast::<std::io::Error>() {
            Ok(io) => return Error::from_io(*io, doing),
            Err(err) => err,
        };
        match find_own(&*err) {
            Some(ours) => ours,
            None => {
                let kind = find_io_kind(&*err).map_or(Kind::Peer, io_kind);
                let message = format!("{doing}: {}", one_line(&innermost(&*err)));
                Error {
                    kind,
                    side: None,
                    message,
                    hint: None,
                    status: None,
                    cause: Some(err),
                }
            }
        }
    }

    fn from_std_io(err: std::io::Error, doing: &str) -> Self {
        let message = format!("{doing}: {}", one_line(&innermost(&err)));
        Error {
            kind: io_kind(err.kind()),
            side: None,
            message,
            hint: None,
            status: None,
            cause: Some(err.into()),
        }
    }

    /// Copy what can be copied; the cause is replaced by its text.
    pub(crate) fn duplicate(&self) -> Self {
        Error {
            kind: self.kind,
            side: self.side,
            message: self.message.clone(),
            hint: self.hint.clone(),
            status: self.status,
            cause: self.cause.as_ref().map(|cause| cause.to_string().into()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.side {
            Some(side) => write!(f, "{side}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as _)
    }
}

impl From<Error> for std::io::Error {
    fn from(err: Error) -> Self {
        std::io::Error::other(err)
    }
}

/// Make text from a peer safe to print: control characters become visible, the way git's own `\ooo` quoting does it,
/// and bytes that are not UTF-8 are replaced.
pub fn printable(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for ch in text.to_str_lossy().chars() {
        match ch {
            '\t' => out.push(' '),
            ch if ch.is_control() => out.push_str(&format!("\\{:03o}", u32::from(ch))),
            ch => out.push(ch),
        }
    }
    out
}

fn one_line(text: &str) -> String {
    printable(text.trim().replace("\n", " ").as_bytes())
}

fn chain<'a>(
    err: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(err), |err| {
        // `io::Error::source()` skips the error it wraps and yields that one's source.
        match err
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
        {
            Some(inner) => Some(inner as _),
            None => err.source(),
        }
    })
}

/// An error tree of gix is not a plain chain: look at its frames as well.
fn find_own(err: &(dyn std::error::Error + 'static)) -> Option<Error> {
    chain(err).find_map(|err| {
        err.downcast_ref::<Error>()
            .or_else(|| {
                let tree = err.downcast_ref::<gix_error::Error>()?;
                tree.downcast_any_ref::<Error>().or_else(|| {
                    let io = tree.downcast_any_ref::<std::io::Error>()?;
                    io.get_ref()?.downcast_ref::<Error>()
                })
            })
            .map(Error::duplicate)
    })
}

fn find_io_kind(err: &(dyn std::error::Error + 'static)) -> Option<std::io::ErrorKind> {
    chain(err).find_map(|err| {
        err.downcast_ref::<std::io::Error>()
            .map(std::io::Error::kind)
            .or_else(|| {
                let tree = err.downcast_ref::<gix_error::Error>()?;
                tree.downcast_any_ref::<std::io::Error>()
                    .map(std::io::Error::kind)
            })
    })
}

fn innermost(err: &(dyn std::error::Error + 'static)) -> String {
    chain(err).last().map_or_else(String::new, ToString::to_string)
}

fn io_kind(kind: std::io::ErrorKind) -> Kind {
    use std::io::ErrorKind as Io;
    match kind {
        Io::TimedOut => Kind::Timeout,
        Io::ConnectionRefused
        | Io::ConnectionReset
        | Io::ConnectionAborted
        | Io::NotConnected
        | Io::BrokenPipe
        | Io::UnexpectedEof
        | Io::HostUnreachable
        | Io::NetworkUnreachable => Kind::Network,
        Io::StorageFull | Io::OutOfMemory => Kind::Internal,
        _ => Kind::Peer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_side_and_hint_win() {
        let err = Error::new(Kind::Auth, "no")
            .on(Side::Source)
            .on(Side::Target)
            .hint("a")
            .hint("b");
        assert_eq!(err.to_string(), "source: no");
        assert_eq!(err.hint_text(), Some("a"));
    }

    #[test]
    fn our_own_error_survives_a_trip_through_io_and_gix() {
        let io = std::io::Error::from(Error::new(Kind::Limit, "too big").on(Side::Target));
        let nested = std::io::Error::other(gix_transport::client::Error::from(io));
        let back = Error::from_io(nested, "reading");
        assert_eq!(
            (back.kind(), back.side(), back.message()),
            (Kind::Limit, Some(Side::Target), "too big")
        );
    }

    #[test]
    fn our_own_error_survives_inside_a_gix_error_tree() {
        use gix_error::ErrorExt;
        let io = std::io::Error::from(Error::new(Kind::Auth, "locked"));
        let tree = gix_transport::client::Error::Http(io.and_raise(gix_error::message("GET failed")));
        let back = Error::from_transport(tree, "connecting");
        assert_eq!((back.kind(), back.message()), (Kind::Auth, "locked"));
    }

    #[test]
    fn foreign_errors_are_described_and_classified() {
        let err = Error::from_io(std::io::ErrorKind::ConnectionReset.into(), "reading the pack");
        assert_eq!(err.kind(), Kind::Network);
        assert_eq!(err.message(), "reading the pack: connection reset");
    }

    #[test]
    fn control_characters_are_shown_not_obeyed() {
        assert_eq!(printable(b"a\x1b[2Jb\rc\td"), "a\\033[2Jb\\015c d");
    }
}
