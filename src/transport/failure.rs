//! What the words of a program that gave up mean: the kind of failure, and the way out.

use super::child::Ending;
use crate::error::{Error, Kind};

/// `err`, told in the words that a child left behind where those tell more. They do when all we saw was the end of the
/// conversation; a peer that said in the protocol what is wrong knows better.
pub(super) fn explain(err: Error, ending: Option<&Ending>) -> Error {
    if err.kind() != Kind::Network {
        return err;
    }
    match ending.and_then(Ending::reason) {
        Some(words) => in_words(&words).caused_by(err),
        None => err.hint("make sure that the repository exists and that you may access it"),
    }
}

/// The error that `words` tell of.
pub(super) fn in_words(words: &str) -> Error {
    let says = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
    let error = |kind: Kind| Error::new(kind, words);
    if says(&["dubious ownership"]) {
        return error(Kind::Policy).hint("git config --global --add safe.directory <path>");
    }
    if says(&["Host key verification failed", "REMOTE HOST IDENTIFICATION"]) {
        return error(Kind::Auth).hint("connect once with ssh by hand to see and accept the host's key");
    }
    if says(&[
        "Permission denied (",
        "Too many authentication failures",
        "FATAL ERROR: No supported auth",
    ]) {
        return error(Kind::Auth)
            .hint("ssh must be able to log in: try 'ssh -T' with the same user and host");
    }
    if says(&["timed out", "Timeout"]) {
        return error(Kind::Timeout);
    }
    let unreachable = [
        "Connection refused",
        "Connection reset",
        "Connection closed",
        "Could not resolve hostname",
        "No route to host",
        "Network is unreachable",
        "Temporary failure in name resolution",
        "kex_exchange_identification",
        "Broken pipe",
    ];
    if says(&unreachable) {
        return error(Kind::Network);
    }
    error(Kind::Peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_ssh_are_classified() {
        for (words, kind) in [
            ("me@h: Permission denied (publickey,password)", Kind::Auth),
            ("Host key verification failed", Kind::Auth),
            (
                "ssh: connect to host h port 22: Connection refused",
                Kind::Network,
            ),
            (
                "ssh: connect to host h port 22: Connection timed out",
                Kind::Timeout,
            ),
            (
                "ssh: Could not resolve hostname h: Name or service not known",
                Kind::Network,
            ),
            ("'/x' does not appear to be a git repository", Kind::Peer),
            ("ERROR: Repository not found", Kind::Peer),
        ] {
            assert_eq!(in_words(words).kind(), kind, "{words}");
        }
    }

    #[test]
    fn a_peer_that_spoke_in_the_protocol_is_believed() {
        let ending = Ending {
            words: b"something else\n".to_vec(),
        };
        let said = explain(Error::new(Kind::Peer, "access denied"), Some(&ending));
        assert_eq!(said.message(), "access denied");
        let said = explain(Error::new(Kind::Network, "end of file"), Some(&ending));
        assert_eq!((said.kind(), said.message()), (Kind::Peer, "something else"));
    }
}
