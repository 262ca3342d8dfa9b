//! Ref names for text formats.

use std::borrow::Cow;
use std::fmt::Write;

/// `name` itself if it is UTF-8, else quoted the way git quotes it (`quote_c_style` in git's `quote.c`): in double
/// quotes, with `\ooo` for bytes that are not ASCII. No ref name begins with a double quote, so the two can be told
/// apart.
pub fn ref_name(name: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(name) {
        return Cow::Borrowed(text);
    }
    let mut quoted = String::from("\"");
    for byte in name {
        match byte {
            b'"' | b'\\' => {
                quoted.push('\\');
                quoted.push(char::from(*byte));
            }
            0x20..=0x7e => quoted.push(char::from(*byte)),
            other => {
                // Writing to a string cannot fail.
                write!(quoted, "\\{other:03o}").ok();
            }
        }
    }
    quoted.push('"');
    Cow::Owned(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The quoted form is what `git ls-files` prints for a file of that name.
    #[test]
    fn only_what_is_not_utf8_is_quoted_as_git_quotes() {
        assert_eq!(ref_name("refs/heads/grün".as_bytes()), "refs/heads/grün");
        assert_eq!(ref_name(b"refs/heads/gr\xfcn"), r#""refs/heads/gr\374n""#);
        assert_eq!(ref_name(b"refs/heads/\"\xff"), r#""refs/heads/\"\377""#);
    }
}
