//! Damage to the pack inside a fetch response: unwraps the side-band, changes the pack, wraps it up again.
//!
//! So the packet lines around it stay sound, and only the pack itself is wrong.

/// Apply `change` to the pack that `body` (the body of a response to `git-upload-pack`, protocol v2 or v0 with
/// side-band) carries. Everything before the pack stays; progress lines between are dropped.
pub fn rewrite_pack(body: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    let mut pack = Vec::new();
    let mut rest = body;
    while let Some((packet, raw, next)) = split(rest) {
        rest = next;
        match packet.split_first() {
            Some((1, data)) => pack.extend_from_slice(data),
            Some((2, _)) => {}
            // The final flush belongs behind the pack.
            None if raw == b"0000" && !pack.is_empty() => {}
            _ => out.extend_from_slice(raw),
        }
    }
    assert!(pack.starts_with(b"PACK"), "there is no pack in this response");
    change(&mut pack);
    for data in pack.chunks(8000) {
        out.extend_from_slice(format!("{:04x}\x01", data.len() + 5).as_bytes());
        out.extend_from_slice(data);
    }
    out.extend_from_slice(b"0000");
    out
}

/// The offset in `body` at which the pack begins, if it carries one.
pub fn pack_offset(body: &[u8]) -> Option<usize> {
    let mut rest = body;
    while let Some((packet, _, next)) = split(rest) {
        if packet.starts_with(b"\x01PACK") {
            return Some(body.len() - rest.len() + 5);
        }
        rest = next;
    }
    None
}

/// How many objects the header of the pack in `body` promises. The header may be spread over several packets: the
/// server passes on whatever its `pack-objects` has written.
pub fn object_count(body: &[u8]) -> Option<u32> {
    let mut pack = Vec::new();
    let mut rest = body;
    while let Some((packet, _, next)) = split(rest) {
        rest = next;
        if let Some((1, data)) = packet.split_first() {
            pack.extend_from_slice(data);
        }
        if let (Some(b"PACK"), Some(count)) = (pack.get(..4), pack.get(8..12)) {
            return Some(u32::from_be_bytes(count.try_into().ok()?));
        }
    }
    None
}

/// The content of the next packet line, the line as it stands, and what follows.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let digits = std::str::from_utf8(bytes.get(..4)?).ok()?;
    let length = usize::from_str_radix(digits, 16).ok()?.max(4);
    Some((bytes.get(4..length)?, bytes.get(..length)?, bytes.get(length..)?))
}
