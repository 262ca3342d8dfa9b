//! What has to hold wherever something is read.

use super::super::error::Error;

/// The ways to cut the bytes of a stream into pieces that are tried; the first is in one piece.
pub(super) const STEPS: [usize; 3] = [usize::MAX, 1, 7];

/// The longest error that makes sense: a peer's words fill a packet at most, and each byte may be shown as four.
const LONGEST_TEXT: usize = 4 * 65_520 + 1000;

/// Text that can be printed on a terminal and in a line of its own.
pub(super) fn assert_printable(text: &str) {
    assert!(
        !text.chars().any(char::is_control),
        "control characters in {text:?}"
    );
    assert!(text.len() <= LONGEST_TEXT, "a text of {} bytes", text.len());
}

/// What an error says, which is what comparisons need of it.
pub(super) fn told(err: &Error) -> String {
    let text = err.to_string();
    assert_printable(&text);
    text
}

/// The same result for every way to cut the input into pieces; yields that result.
pub(super) fn same_in_pieces<T: PartialEq + std::fmt::Debug>(read: impl Fn(usize) -> T) -> T {
    let [whole, pieces @ ..] = STEPS;
    let expected = read(whole);
    for step in pieces {
        assert_eq!(read(step), expected, "read in pieces of {step} bytes");
    }
    expected
}
