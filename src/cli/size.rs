//! Sizes on the command line.

use std::str::FromStr;

/// A number of bytes; `k`, `m` and `g` count in powers of 1024, as in git's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (digits, factor) = match text.char_indices().last() {
            Some((at, 'k' | 'K')) => (text.get(..at), 1 << 10),
            Some((at, 'm' | 'M')) => (text.get(..at), 1 << 20),
            Some((at, 'g' | 'G')) => (text.get(..at), 1 << 30),
            _ => (Some(text), 1),
        };
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        digits
            .and_then(|digits| digits.parse::<u64>().ok())
            .and_then(|number| number.checked_mul(factor))
            .map(Size)
            .ok_or_else(|| "not a size: write a number of bytes, or 500k, 20m, 2g".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_powers_of_1024() {
        let parse = |text: &str| text.parse::<Size>().ok().map(|size| size.0);
        assert_eq!(parse("17"), Some(17));
        assert_eq!(parse("2k"), Some(2048));
        assert_eq!(parse("3M"), Some(3 << 20));
        assert_eq!(parse("1g"), Some(1 << 30));
        for wrong in ["", "k", "-1", "+1", "1.5m", "1kb", "1 k", "99999999999999g", "1é"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
