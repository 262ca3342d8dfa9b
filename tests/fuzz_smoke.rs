//! The fuzz targets of `fuzz/`, run over their seeds and over a fixed set of variations of each: cut off, with single
//! bits turned over, and joined with other seeds. `cargo fuzz` goes on from where this ends; see `fuzz/README.md`.

#![allow(clippy::unwrap_used, reason = "in a test a surprise should end the test")]

use std::alloc::System;
use std::path::Path;

use cap::Cap;
use git_remote_sync::{error, url, wire};

#[path = "../fuzz/src/bodies/mod.rs"]
mod bodies;

/// Seeds have some kilobytes, and a reader of pkt-lines has 64 KiB to begin with. What needs more than this has believed
/// a length that a peer made up.
const MAX_MEMORY: usize = 32 << 20;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// Variations of each sort for each seed.
const VARIATIONS: usize = 10;

/// Numbers that are the same each time (Marsaglia's xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).unwrap()
    }
}

fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target);
    let mut seeds: Vec<_> = dir
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect();
    seeds.sort();
    assert!(seeds.len() >= 4, "{} has lost its seeds", dir.display());
    seeds
}

/// Every length for a short seed, evenly spread ones for a long one.
fn cut(seed: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let step = seed.len() / VARIATIONS + 1;
    (0..seed.len()).step_by(step).map(|len| seed[..len].to_vec())
}

fn flipped<'a>(seed: &'a [u8], dice: &'a mut Dice) -> impl Iterator<Item = Vec<u8>> + 'a {
    let times = if seed.is_empty() { 0 } else { VARIATIONS };
    (0..times).map(move |_| {
        let mut copy = seed.to_vec();
        for _ in 0..=dice.below(3) {
            let at = dice.below(copy.len());
            copy[at] ^= 1 << dice.below(8);
        }
        copy
    })
}

fn joined<'a>(seed: &'a [u8], other: &'a [u8], dice: &'a mut Dice) -> impl Iterator<Item = Vec<u8>> + 'a {
    (0..VARIATIONS).map(move |_| {
        let (head, tail) = (dice.below(seed.len() + 1), dice.below(other.len() + 1));
        [&seed[..head], &other[tail..]].concat()
    })
}

fn run(target: &str, body: fn(&[u8])) {
    let seeds = seeds(target);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let attempt = |name: &str, how: &str, input: Vec<u8>| {
        let before = MEMORY.max_allocated();
        if std::panic::catch_unwind(|| body(&input)).is_err() {
            panic!("{target}: seed {name}, {how}: {}", input.escape_ascii());
        }
        let peak = MEMORY.max_allocated();
        assert!(
            peak == before || peak < MAX_MEMORY,
            "{target}: seed {name}, {how}: {peak} bytes of memory"
        );
    };
    for (name, seed) in &seeds {
        attempt(name, "as it is", seed.clone());
        cut(seed).for_each(|input| attempt(name, "cut", input));
        flipped(seed, &mut dice).for_each(|input| attempt(name, "with flipped bits", input));
        let (_, other) = &seeds[dice.below(seeds.len())];
        joined(seed, other, &mut dice).for_each(|input| attempt(name, "joined", input));
    }
}

macro_rules! smoke {
    ($($target:ident)*) => {
        $(
            #[test]
            fn $target() {
                run(stringify!($target), bodies::$target);
            }
        )*

        #[test]
        fn every_target_is_run_here_and_has_its_binary() {
            let here = [$(stringify!($target)),*];
            let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
            let mut targets: Vec<_> = dir.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
            targets.sort();
            let targets: Vec<_> = targets.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
            let mut here = here.to_vec();
            here.sort_unstable();
            assert_eq!(here, targets);
        }
    };
}

smoke! {
    advertisement
    fetch_answer
    helper_command
    ls_refs
    pack
    pkt_lines
    pump
    report_status
    sideband
    url
}
