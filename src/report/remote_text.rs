//! Text from a peer, cut into lines and made safe, the way git shows it: behind `remote: ` for the target, which is the
//! remote of a push, and behind `source: ` for the other.

use crate::error::printable;

/// A peer that never ends its line does not get to fill the memory.
const LONGEST_LINE: usize = 16 * 1024;

/// Collects pieces of text until a line is whole.
#[derive(Debug)]
pub(super) struct RemoteText {
    label: &'static str,
    line: Vec<u8>,
}

impl RemoteText {
    /// Nothing yet from the peer that `label` stands for.
    pub(super) fn new(label: &'static str) -> Self {
        RemoteText {
            label,
            line: Vec::new(),
        }
    }

    /// Add a piece of text; each line that it completes goes to `show`, ready to be printed with its line end, which is
    /// `\r` where the peer wants to overwrite the line later.
    pub(super) fn push(&mut self, text: &[u8], mut show: impl FnMut(String)) {
        for byte in text {
            match byte {
                b'\n' | b'\r' => {
                    show(self.take(*byte as char));
                }
                _ => {
                    self.line.push(*byte);
                    if self.line.len() >= LONGEST_LINE {
                        show(self.take('\n'));
                    }
                }
            }
        }
    }

    /// What is left of an unfinished last line.
    pub(super) fn finish(&mut self, mut show: impl FnMut(String)) {
        if !self.line.is_empty() {
            show(self.take('\n'));
        }
    }

    fn take(&mut self, end: char) -> String {
        let shown = format!("{}: {}{end}", self.label, printable(&self.line));
        self.line.clear();
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pieces: &[&str]) -> Vec<String> {
        let mut out = Vec::new();
        let mut text = RemoteText::new("remote");
        for piece in pieces {
            text.push(piece.as_bytes(), |line| out.push(line));
        }
        text.finish(|line| out.push(line));
        out
    }

    #[test]
    fn lines_are_put_together_from_pieces() {
        assert_eq!(
            shown(&["a", "b\nc", "\n\nd"]),
            ["remote: ab\n", "remote: c\n", "remote: \n", "remote: d\n"]
        );
    }

    #[test]
    fn progress_may_overwrite_its_line_but_nothing_else() {
        assert_eq!(shown(&["10%\r20%\r"]), ["remote: 10%\r", "remote: 20%\r"]);
        assert_eq!(shown(&["\x1b[2J\x07x\n"]), ["remote: \\033[2J\\007x\n"]);
    }

    #[test]
    fn an_endless_line_is_cut() {
        assert_eq!(shown(&[&"x".repeat(LONGEST_LINE + 5)]).len(), 2);
    }
}
