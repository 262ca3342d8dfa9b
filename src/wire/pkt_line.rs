//! The length in front of each packet (`gitprotocol-common`, "pkt-line Format"), for the few places that read packets
//! without gix.

/// How many bytes a packet has with its length, which `digits` tell: four hexadecimal digits and nothing else. Flush,
/// delimiter and response-end are 0, 1 and 2.
pub fn length(digits: &[u8]) -> Option<usize> {
    let [_, _, _, _] = digits else { return None };
    digits.iter().try_fold(0, |length, digit| {
        let value = char::from(*digit).to_digit(16)?;
        Some(length * 16 + usize::try_from(value).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_four_digits() {
        assert_eq!(length(b"0000"), Some(0));
        assert_eq!(length(b"fFf0"), Some(65520));
        for bad in [
            b"".as_slice(),
            b"000",
            b"00000",
            b"+00d",
            b"-00d",
            b" 00d",
            b"0x0d",
            b"00g0",
        ] {
            assert_eq!(length(bad), None, "{bad:?}");
        }
    }
}
