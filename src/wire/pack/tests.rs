//! The reader against packs that git made, and against packs that nobody should make.

use std::collections::HashSet;
use std::io::Write;

use gix_hash::{Kind as Format, ObjectId};

use super::entry::{Form, read_entry, read_header};
use super::input::Input;
use super::testing::Repo;
use super::*;
use crate::error::Result;
use crate::wire::object::{Commit, Hasher, ObjectKind, hash};

const FORMATS: [Format; 2] = [Format::Sha1, Format::Sha256];
const DEEP: &str = "--window=50";

/// What a pack gave, in order, and how many it kept back.
fn read(pack: &[u8], format: Format, keep: Keep, limits: Limits) -> Result<(Vec<Object>, u64)> {
    let mut reader = PackReader::with_limits(pack, format, keep, limits)?;
    let objects = reader.by_ref().collect::<Result<Vec<_>>>()?;
    assert_eq!(reader.is_complete(), reader.unresolved() == 0);
    assert_eq!(reader.bytes(), pack.len() as u64);
    Ok((objects, reader.unresolved()))
}

/// The ids of a pack that must be readable to its end, sorted as git lists them.
fn sorted_ids(pack: &[u8], format: Format, keep: Keep) -> Vec<ObjectId> {
    let (objects, unresolved) = read(pack, format, keep, Limits::default()).unwrap();
    assert_eq!(unresolved, 0);
    let mut ids: Vec<_> = objects.iter().map(|object| object.id).collect();
    ids.sort();
    ids
}

/// The entries of a pack, as they stand there, with what our own reader makes of their form.
fn entries(pack: &[u8], format: Format) -> Vec<(Form, &[u8])> {
    let mut input = Input::new(pack, format);
    let count = read_header(&mut input).unwrap();
    let mut entries = Vec::new();
    for _ in 0..count {
        let entry = read_entry(&mut input, format).unwrap();
        input.inflate(entry.size, None).unwrap();
        let span = entry.offset as usize..input.bytes() as usize;
        entries.push((entry.form, &pack[span]));
    }
    entries
}

fn count(pack: &[u8], format: Format, wanted: impl Fn(&Form) -> bool) -> usize {
    let entries = entries(pack, format);
    entries.iter().filter(|(form, _)| wanted(form)).count()
}

/// A pack of entries as they are given, with a correct trailer.
fn compose<T: AsRef<[u8]>>(entries: &[T], format: Format) -> Vec<u8> {
    let mut pack = b"PACK\0\0\0\x02".to_vec();
    pack.extend_from_slice(&(entries.len() as u32).to_be_bytes());
    for entry in entries {
        pack.extend_from_slice(entry.as_ref());
    }
    seal(pack, format)
}

fn seal(mut pack: Vec<u8>, format: Format) -> Vec<u8> {
    let mut hasher = Hasher::new(format);
    hasher.update(&pack);
    pack.extend_from_slice(hasher.finish().as_slice());
    pack
}

/// An entry of less than 16 bytes of content.
fn entry(number: u8, base: &[u8], content: &[u8]) -> Vec<u8> {
    assert!(content.len() < 16);
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    let header = [(number << 4) | content.len() as u8];
    [&header, base, &encoder.finish().unwrap()].concat()
}

#[test]
fn commits_and_tags_come_out_as_git_has_them() {
    for format in FORMATS {
        let repo = Repo::with_history(format, 60);
        let history = repo.objects(&["commit", "tag"]);
        assert_eq!(history.len(), 66);
        for args in [
            ["--window=0", "-q"],
            [DEEP, "--depth=3"],
            [DEEP, "--delta-base-offset"],
        ] {
            let pack = repo.pack(&args, &history);
            assert_eq!(sorted_ids(&pack, format, Keep::History), history, "{args:?}");
        }
    }
}

#[test]
fn deltas_of_both_forms_are_resolved() {
    for format in FORMATS {
        let repo = Repo::with_history(format, 60);
        let history = repo.objects(&["commit", "tag"]);
        let by_id = repo.pack(&[DEEP], &history);
        assert!(count(&by_id, format, |form| matches!(form, Form::OnId(_))) > 30);
        assert_eq!(sorted_ids(&by_id, format, Keep::History), history);
        let by_offset = repo.pack(&[DEEP, "--delta-base-offset"], &history);
        assert!(count(&by_offset, format, |form| matches!(form, Form::OnOffset(_))) > 30);
        assert_eq!(sorted_ids(&by_offset, format, Keep::History), history);
    }
}

#[test]
fn trees_and_blobs_are_passed_over_or_kept_as_asked() {
    for format in FORMATS {
        let repo = Repo::with_history(format, 60);
        let all = repo.objects(&["commit", "tag", "tree", "blob"]);
        let pack = repo.pack(&[DEEP, "--delta-base-offset"], &all);
        let history = repo.objects(&["commit", "tag"]);
        assert_eq!(sorted_ids(&pack, format, Keep::History), history);
        assert_eq!(sorted_ids(&pack, format, Keep::All), all);
        let by_id = repo.pack(&[DEEP], &all);
        assert_eq!(sorted_ids(&by_id, format, Keep::All), all);
    }
}

#[test]
fn kinds_and_contents_are_right() {
    let repo = Repo::with_history(Format::Sha1, 12);
    let all = repo.objects(&["commit", "tag", "tree", "blob"]);
    let pack = repo.pack(&[DEEP, "--delta-base-offset"], &all);
    let (objects, _) = read(&pack, Format::Sha1, Keep::All, Limits::default()).unwrap();
    for object in &objects {
        let kind = object.kind.as_str();
        let data = repo.git(&["cat-file", kind, &object.id.to_string()]);
        assert!(data == object.data, "{kind} {}", object.id);
    }
    let commits = objects.iter().filter(|object| object.kind == ObjectKind::Commit);
    let parents = commits.map(|object| Commit::parse(Format::Sha1, &object.data).unwrap().parents.len());
    assert_eq!(parents.sum::<usize>(), 11);
}

#[test]
fn bases_come_back_from_the_temporary_file_too() {
    let repo = Repo::with_history(Format::Sha1, 60);
    let history = repo.objects(&["commit", "tag"]);
    let limits = Limits {
        memory_bytes: 0,
        ..Limits::default()
    };
    for args in [[DEEP].as_slice(), &[DEEP, "--delta-base-offset"]] {
        let pack = repo.pack(args, &history);
        let (objects, unresolved) = read(&pack, Format::Sha1, Keep::History, limits).unwrap();
        assert_eq!((objects.len(), unresolved), (66, 0));
    }
}

#[test]
fn a_base_may_come_after_its_deltas() {
    for format in FORMATS {
        let repo = Repo::with_history(format, 60);
        let history = repo.objects(&["commit", "tag"]);
        let pack = repo.pack(&[DEEP], &history);
        let mut backwards: Vec<_> = entries(&pack, format).into_iter().map(|(_, raw)| raw).collect();
        backwards.reverse();
        let pack = compose(&backwards, format);
        assert_eq!(sorted_ids(&pack, format, Keep::History), history);
        // git thinks so too.
        let taker = Repo::new(format);
        taker.git_with(&["index-pack", "--stdin"], &pack);
        assert_eq!(taker.objects(&["commit", "tag"]), history);
    }
}

#[test]
fn a_delta_by_offset_may_build_on_one_that_waits() {
    let base = hash(Format::Sha1, ObjectKind::Tag, b"0123456789");
    // "23" of the base, then "x" and the first byte of that.
    let first = entry(7, base.as_slice(), b"\x0a\x02\x91\x02\x02");
    let second = entry(6, &[first.len() as u8], b"\x02\x02\x01x\x90\x01");
    let pack = compose(&[first, second, entry(4, b"", b"0123456789")], Format::Sha1);
    for keep in [Keep::History, Keep::All] {
        let (objects, unresolved) = read(&pack, Format::Sha1, keep, Limits::default()).unwrap();
        let data: Vec<_> = objects.iter().map(|object| object.data.as_slice()).collect();
        assert_eq!(
            (data.as_slice(), unresolved),
            ([&b"0123456789"[..], b"23", b"x2"].as_slice(), 0)
        );
        assert!(objects.iter().all(|object| object.kind == ObjectKind::Tag));
    }
}

#[test]
fn deltas_that_wait_for_each_other_are_told() {
    let ids = [[1; 20], [2; 20]];
    let deltas = ids.map(|id| entry(7, &id, b"\x0a\x01\x90\x01"));
    let pack = compose(&deltas, Format::Sha1);
    let (objects, unresolved) = read(&pack, Format::Sha1, Keep::History, Limits::default()).unwrap();
    assert_eq!((objects.len(), unresolved), (0, 2));
}

#[test]
fn a_thin_pack_tells_what_it_lacks() {
    let repo = Repo::with_history(Format::Sha1, 60);
    let revs = b"refs/heads/main\n^refs/heads/main~5\n";
    let args = [
        "pack-objects",
        "--stdout",
        "-q",
        "--thin",
        "--revs",
        "--delta-base-offset",
    ];
    let pack = repo.git_with(&args, revs);
    let mut reader = PackReader::new(pack.as_slice(), Format::Sha1, Keep::All).unwrap();
    let commits = reader.by_ref().map(|object| object.unwrap());
    assert_eq!(
        commits.filter(|object| object.kind == ObjectKind::Commit).count(),
        5
    );
    assert!(reader.unresolved() > 0 && !reader.is_complete());
    let owned = repo.git(&["rev-list", "--objects", "refs/heads/main~5"]);
    let owned = String::from_utf8(owned).unwrap();
    let owned: HashSet<_> = owned.lines().filter_map(|line| line.get(..40)).collect();
    let missing: Vec<_> = reader.missing_bases().map(ObjectId::to_string).collect();
    assert!(!missing.is_empty());
    assert!(missing.iter().all(|id| owned.contains(id.as_str())));
}

#[test]
fn a_pack_cut_anywhere_is_a_network_error() {
    for format in FORMATS {
        let repo = Repo::with_history(format, 4);
        let pack = repo.pack(&[DEEP], &repo.objects(&["commit", "tag", "tree", "blob"]));
        for keep in [Keep::History, Keep::All] {
            for cut in 0..pack.len() {
                let err = read(&pack[..cut], format, keep, Limits::default()).unwrap_err();
                assert_eq!(err.kind(), Kind::Network, "cut at {cut}");
            }
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    let repo = Repo::with_history(Format::Sha1, 4);
    let all = repo.objects(&["commit", "tag", "tree", "blob"]);
    for args in [[DEEP].as_slice(), &[DEEP, "--delta-base-offset"]] {
        let pack = repo.pack(args, &all);
        for at in 0..pack.len() {
            let mut bad = pack.clone();
            bad[at] ^= 1 << (at % 8);
            for keep in [Keep::History, Keep::All] {
                let err = read(&bad, Format::Sha1, keep, Limits::default()).unwrap_err();
                let kinds = [Kind::Corrupt, Kind::Network, Kind::Limit];
                assert!(kinds.contains(&err.kind()), "byte {at}: {err}");
            }
        }
    }
}

#[test]
fn damage_with_a_correct_trailer_never_panics() {
    let repo = Repo::with_history(Format::Sha1, 4);
    let all = repo.objects(&["commit", "tag", "tree", "blob"]);
    let mut random = 1u64;
    for args in [[DEEP].as_slice(), &[DEEP, "--delta-base-offset"]] {
        let pack = repo.pack(args, &all);
        let body = &pack[12..pack.len() - 20];
        for _ in 0..1000 {
            let mut bad = body.to_vec();
            for _ in 0..3 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = (random >> 33) as usize % bad.len();
                bad[at] = (random >> 24) as u8;
            }
            let bad = seal([&pack[..12], bad.as_slice()].concat(), Format::Sha1);
            for keep in [Keep::History, Keep::All] {
                let reader = PackReader::new(bad.as_slice(), Format::Sha1, keep).unwrap();
                reader.for_each(drop);
            }
        }
    }
}

#[test]
fn large_history_is_an_error_and_large_files_are_left_out() {
    let repo = Repo::with_history(Format::Sha1, 3);
    let content = "a line of a large file\n".repeat(500);
    for more in ["", "one more\n"] {
        let content = format!("{content}{more}");
        repo.git_with(&["hash-object", "-w", "--stdin"], content.as_bytes());
    }
    let limits = |object_bytes| Limits {
        object_bytes,
        ..Limits::default()
    };
    let all = repo.objects(&["commit", "tag", "tree", "blob"]);
    for args in [["--window=0", "-q"], [DEEP, "--delta-base-offset"], [DEEP, "-q"]] {
        let pack = repo.pack(&args, &all);
        let (objects, left_out) = read(&pack, Format::Sha1, Keep::All, limits(2000)).unwrap();
        assert_eq!((objects.len(), left_out), (10, 2), "{args:?}");
        for keep in [Keep::History, Keep::All] {
            let err = read(&pack, Format::Sha1, keep, limits(500)).unwrap_err();
            assert_eq!(err.kind(), Kind::Limit, "{args:?}");
        }
    }
}

#[test]
fn a_size_that_is_only_claimed_costs_nothing() {
    // A commit of 2^24 bytes by its header, with three in its stream.
    let mut lying = entry(1, b"", b"abc");
    lying.splice(..1, [0x90, 0x80, 0x80, 0x04]);
    let err = read(
        &compose(&[lying], Format::Sha1),
        Format::Sha1,
        Keep::History,
        Limits::default(),
    );
    assert_eq!(err.unwrap_err().kind(), Kind::Corrupt);
}

#[test]
fn what_follows_the_pack_is_left_to_the_caller() {
    let pack = [empty_pack(Format::Sha1).as_slice(), b"0000"].concat();
    let mut reader = PackReader::new(pack.as_slice(), Format::Sha1, Keep::History).unwrap();
    assert!(!reader.is_complete());
    assert!(reader.next().is_none());
    assert!(reader.is_complete());
    assert_eq!(reader.into_inner(), b"0000");
}

#[test]
fn after_an_error_nothing_more_comes() {
    let mut pack = empty_pack(Format::Sha1);
    pack[12] ^= 1;
    let mut reader = PackReader::new(pack.as_slice(), Format::Sha1, Keep::History).unwrap();
    assert_eq!(reader.next().unwrap().unwrap_err().kind(), Kind::Corrupt);
    assert!(reader.next().is_none() && !reader.is_complete());
}

#[test]
fn what_is_no_pack_is_refused() {
    for bad in [b"ERR access denied".as_slice(), b"PACK\0\0\0\x04\0\0\0\0"] {
        let err = PackReader::new(bad, Format::Sha1, Keep::History).err();
        assert_eq!(err.map(|err| err.kind()), Some(Kind::Corrupt));
    }
}
