//! What a run tells while it goes on. How it is shown is decided in [`crate::report`].

/// Receives what happens on the way; every method may be called often.
pub trait Progress {
    /// A piece of text from the source (`Counting objects: 10%`), with its own line ends, not yet made printable.
    fn source_text(&self, _text: &[u8]) {}
    /// A piece of text from the target's hooks or `index-pack`, with its own line ends, not yet made printable.
    fn target_text(&self, _text: &[u8]) {}
    /// So many bytes of the pack have passed; its header promises `objects`.
    fn pack_bytes(&self, _bytes: u64, _objects: u32) {}
    /// Everything is sent; what remains is the target's work.
    fn pack_sent(&self) {}
    /// The run goes on in another way than planned; why, in a line.
    fn remark(&self, _text: &str) {}
    /// Something that did not stop the run, and that whoever reads its words should know.
    fn warning(&self, _text: &str) {}
    /// Something for those who want to know everything (`-v`).
    fn note(&self, _text: &str) {}
}

/// Tells nobody.
pub struct Silent;

impl Progress for Silent {}
