//! Histories made fast: one `git fast-import` stream instead of a process for each commit.

use super::process::Output;
use super::repo::Repo;

/// A `git fast-import` stream in the making. Dates grow by a minute for each commit, so ids never depend on the clock.
pub struct Import {
    stream: Vec<u8>,
    marks: u32,
    clock: u64,
}

impl Default for Import {
    fn default() -> Self {
        Import::new()
    }
}

impl Import {
    pub fn new() -> Self {
        Import::since(1_600_000_000)
    }

    /// The same, with dates from `clock` (seconds since the epoch) on.
    pub fn since(clock: u64) -> Self {
        Import {
            stream: b"feature done\n".to_vec(),
            marks: 0,
            clock,
        }
    }

    /// Do not advance the clock any more: commits of the same second are where walks by date go wrong.
    pub fn set_clock(&mut self, clock: u64) {
        self.clock = clock;
    }

    /// Commit to `name` (a full ref name) on top of `parents` (marks from here, ids, or `refs/heads/x^0`), with the
    /// given files changed. Gives the commit's mark.
    pub fn commit(&mut self, name: impl AsRef<[u8]>, parents: &[&str], files: &[(&str, &[u8])]) -> String {
        self.marks += 1;
        self.clock += 60;
        let mark = format!(":{}", self.marks);
        // Without this a commit without parents would continue the branch of that name.
        if parents.is_empty() {
            self.line(&[b"reset ", name.as_ref()]);
        }
        self.line(&[b"commit ", name.as_ref()]);
        self.line(&[b"mark ", mark.as_bytes()]);
        let who = format!("committer C O Mitter <c@example.com> {} +0000", self.clock);
        self.line(&[who.as_bytes()]);
        self.data(format!("commit {mark}\n").as_bytes());
        for (n, parent) in parents.iter().enumerate() {
            let word: &[u8] = if n == 0 { b"from " } else { b"merge " };
            self.line(&[word, parent.as_bytes()]);
        }
        for (path, content) in files {
            self.line(&[b"M 100644 inline ", path.as_bytes()]);
            self.data(content);
        }
        mark
    }

    /// `count` commits in a row, each changing `<prefix>.txt`. Gives all marks, oldest first.
    pub fn line_of(
        &mut self,
        name: impl AsRef<[u8]>,
        from: Option<&str>,
        prefix: &str,
        count: usize,
    ) -> Vec<String> {
        let mut marks: Vec<String> = Vec::new();
        for n in 0..count {
            let parent = marks.last().map(String::as_str).or(from);
            let file = format!("{prefix}.txt");
            let content = format!("{prefix} {n}\n");
            let parents: Vec<&str> = parent.into_iter().collect();
            let mark = self.commit(name.as_ref(), &parents, &[(&file, content.as_bytes())]);
            marks.push(mark);
        }
        marks
    }

    /// An annotated tag.
    pub fn tag(&mut self, name: &str, of: &str) {
        self.clock += 60;
        let who = format!("tagger T A Gger <t@example.com> {} +0000", self.clock);
        let head = [format!("tag {name}"), format!("from {of}"), who];
        for line in head {
            self.line(&[line.as_bytes()]);
        }
        self.data(format!("tag {name}\n").as_bytes());
    }

    /// Let the ref `name` (full) point at `to`.
    pub fn reference(&mut self, name: impl AsRef<[u8]>, to: &str) {
        self.line(&[b"reset ", name.as_ref()]);
        self.line(&[b"from ", to.as_bytes()]);
        self.line(&[]);
    }

    /// Run the stream into `repo`.
    pub fn into_repo(mut self, repo: &Repo) -> Output {
        self.stream.extend_from_slice(b"done\n");
        repo.cmd()
            .args(["fast-import", "--quiet", "--force"])
            .input(self.stream)
            .ok()
    }

    fn line(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.stream.extend_from_slice(part);
        }
        self.stream.push(b'\n');
    }

    fn data(&mut self, content: &[u8]) {
        self.line(&[format!("data {}", content.len()).as_bytes()]);
        self.line(&[content]);
    }
}

/// About `size` bytes of text in lines that do not compress to nothing, always the same for one `seed`.
pub fn text(seed: u32, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_769).wrapping_add(12345);
    let mut out = Vec::with_capacity(size + 64);
    while out.len() < size {
        for _ in 0..6 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            out.extend_from_slice(format!("{:08x} ", state ^ (state >> 15)).as_bytes());
        }
        out.push(b'\n');
    }
    out
}

/// `size` bytes that do not compress at all.
pub fn noise(seed: u32, size: usize) -> Vec<u8> {
    let mut state = (u64::from(seed) << 33) ^ 0x9e37_79b9;
    let mut out = Vec::with_capacity(size + 8);
    while out.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out
}

/// `text` with its line `line` replaced.
pub fn edit(text: &[u8], line: usize, by: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for (n, old) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        if n == line {
            out.extend_from_slice(by.as_bytes());
            out.push(b'\n');
        } else {
            out.extend_from_slice(old);
        }
    }
    out
}
