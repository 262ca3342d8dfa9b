//! The rule against a slow but simple reference on random histories, and against git itself.

use std::collections::BTreeSet;

use super::*;
use crate::wire::object::{Commit, ObjectKind};
use crate::wire::pack::testing::Repo;
use crate::wire::pack::{Keep, PackReader};

/// A small source of numbers that are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) as usize % end
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

fn id(nr: usize) -> ObjectId {
    let mut bytes = [0; 20];
    bytes[..8].copy_from_slice(&(nr as u64).to_be_bytes());
    ObjectId::Sha1(bytes)
}

/// The parents of each commit; they have lower numbers.
struct Dag(Vec<Vec<usize>>);

impl Dag {
    fn random(random: &mut Random) -> Self {
        let len = 2 + random.below(30);
        let commits = (0..len).map(|nr| {
            let parents = if nr == 0 {
                0
            } else {
                [1, 1, 1, 2, 2, 3, 0][random.below(7)]
            };
            (0..parents).map(|_| nr - 1 - random.below(nr.min(6))).collect()
        });
        Dag(commits.collect())
    }

    /// The commits that `tips` reach, the tips included, if the parents of `grafts` are lacking.
    fn reach(&self, tips: &[usize], grafts: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut seen = BTreeSet::new();
        let mut todo = tips.to_vec();
        while let Some(commit) = todo.pop() {
            if seen.insert(commit) && !grafts.contains(&commit) {
                todo.extend(&self.0[commit]);
            }
        }
        seen
    }

    fn truth(&self, old: usize, new: usize) -> bool {
        self.reach(&[new], &BTreeSet::new()).contains(&old)
    }

    fn parents(&self, commit: usize) -> Vec<ObjectId> {
        self.0[commit].iter().map(|nr| id(*nr)).collect()
    }

    /// What a source with `grafts` sends for these wants and haves, with some more, in any order.
    fn answer(
        &self,
        wants: &[usize],
        haves: &[usize],
        grafts: &BTreeSet<usize>,
        random: &mut Random,
    ) -> Vec<usize> {
        let owned = self.reach(haves, grafts);
        let wanted = self.reach(wants, grafts);
        let sent = wanted
            .into_iter()
            .filter(|nr| !owned.contains(nr) || random.chance(20));
        let mut sent: Vec<_> = sent.collect();
        random.shuffle(&mut sent);
        sent
    }
}

/// Ask a source as [`Dag::answer`] describes it; any yes on the way must be true.
fn ask(
    dag: &Dag,
    pairs: &[(usize, usize)],
    grafts: &BTreeSet<usize>,
    random: &mut Random,
) -> (ForwardQuestion, Vec<usize>) {
    let (haves, wants): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
    let sent = dag.answer(&wants, &haves, grafts, random);
    let ids = |nrs: &[usize]| nrs.iter().map(|nr| id(*nr)).collect::<Vec<_>>();
    let id_pairs: Vec<_> = pairs.iter().map(|(old, new)| (id(*old), id(*new))).collect();
    let mut question = ForwardQuestion::new(Format::Sha1, &id_pairs, &ids(&haves)).unwrap();
    for graft in grafts {
        question.graft(&id(*graft)).unwrap();
    }
    for commit in &sent {
        if question.feed(&id(*commit), &dag.parents(*commit)).unwrap() {
            assert!(pairs.iter().all(|(old, new)| dag.truth(*old, *new)));
        }
    }
    (question, sent)
}

fn random_pairs(dag: &Dag, count: usize, random: &mut Random) -> Vec<(usize, usize)> {
    let len = dag.0.len();
    (0..count)
        .map(|_| (random.below(len), random.below(len)))
        .collect()
}

/// An answer may be unknown, but never wrong.
fn assert_sound(dag: &Dag, pairs: &[(usize, usize)], answers: &[Ancestry]) {
    assert_eq!(pairs.len(), answers.len());
    for ((old, new), answer) in pairs.iter().zip(answers) {
        let truth = dag.truth(*old, *new);
        let lie = if truth { Ancestry::No } else { Ancestry::Yes };
        assert_ne!(*answer, lie, "{old} to {new} in {:?}", dag.0);
    }
}

#[test]
fn a_pair_that_is_asked_alone_gets_the_exact_answer() {
    let random = &mut Random(1);
    let mut seen = HashSet::new();
    for _ in 0..3000 {
        let dag = Dag::random(random);
        let pairs = random_pairs(&dag, 1, random);
        let (question, _) = ask(&dag, &pairs, &BTreeSet::new(), random);
        let (old, new) = pairs[0];
        let truth = if dag.truth(old, new) {
            Ancestry::Yes
        } else {
            Ancestry::No
        };
        assert_eq!(question.answers(true), [truth], "{old} to {new} in {:?}", dag.0);
        let alone = question.history().is_ancestor(&id(old), &id(new), Beyond::Old);
        assert_eq!(alone, truth);
        seen.insert((truth, old == new));
    }
    assert_eq!(seen.len(), 3);
}

#[test]
fn several_pairs_in_one_request_never_get_a_wrong_answer() {
    let random = &mut Random(2);
    let mut counts = [0; 3];
    for round in 0..2000 {
        let dag = Dag::random(random);
        // More than 64 now and then: more than one group of walks.
        let count = if round % 50 == 0 { 150 } else { 2 + random.below(5) };
        let pairs = random_pairs(&dag, count, random);
        let (question, _) = ask(&dag, &pairs, &BTreeSet::new(), random);
        let answers = question.answers(true);
        assert_sound(&dag, &pairs, &answers);
        for answer in answers {
            counts[answer as usize] += 1;
        }
    }
    assert!(counts.iter().all(|count| *count > 500), "{counts:?}");
}

#[test]
fn an_answer_that_was_cut_off_or_comes_from_a_shallow_source_never_misleads() {
    let random = &mut Random(3);
    for _ in 0..2000 {
        let dag = Dag::random(random);
        let count = 1 + random.below(3);
        let pairs = random_pairs(&dag, count, random);
        let grafts = (0..dag.0.len()).filter(|_| random.chance(15)).collect();
        let (question, _) = ask(&dag, &pairs, &grafts, random);
        assert_sound(&dag, &pairs, &question.answers(true));

        let (whole, sent) = ask(&dag, &pairs, &BTreeSet::new(), random);
        let ids: Vec<_> = pairs.iter().map(|(old, new)| (id(*old), id(*new))).collect();
        let mut part = ForwardQuestion::new(Format::Sha1, &ids, &[ids[0].0]).unwrap();
        for commit in sent.iter().filter(|_| random.chance(80)) {
            part.feed(&id(*commit), &dag.parents(*commit)).unwrap();
        }
        assert_sound(&dag, &pairs, &part.answers(false));
        assert_sound(&dag, &pairs, &whole.answers(false));
    }
}

#[test]
fn reading_stops_at_the_commit_that_proves_it() {
    // 0 <- 1 <- ... <- 9, asked for 4 to 9, answered from the tip on.
    let dag = Dag((0..10usize)
        .map(|nr| nr.checked_sub(1).into_iter().collect())
        .collect());
    let mut question = ForwardQuestion::new(Format::Sha1, &[(id(4), id(9))], &[id(4)]).unwrap();
    let mut proven = Vec::new();
    for commit in [9, 8, 7, 6, 5, 3] {
        proven.push(question.feed(&id(commit), &dag.parents(commit)).unwrap());
    }
    assert_eq!(proven, [false, false, false, false, true, true]);
    // It is no proof that someone has the old commit as a parent: the new one must reach that someone.
    let mut question = ForwardQuestion::new(Format::Sha1, &[(id(4), id(9))], &[id(4)]).unwrap();
    assert!(!question.feed(&id(20), &[id(4)]).unwrap());
    assert!(!question.feed(&id(9), &[]).unwrap());
    assert_eq!(question.answers(true), [Ancestry::No]);
}

#[test]
fn a_proof_whose_commits_come_backwards_is_found_all_the_same() {
    let mut question = ForwardQuestion::new(Format::Sha1, &[(id(0), id(1000))], &[id(0)]).unwrap();
    let mut proven = false;
    for commit in 1..=1000 {
        assert!(!proven);
        proven = question.feed(&id(commit), &[id(commit - 1)]).unwrap();
    }
    // The last try may have been up to a quarter ago.
    for commit in 2000..2300 {
        proven |= question.feed(&id(commit), &[]).unwrap();
    }
    assert!(proven);
}

#[test]
fn a_walk_that_may_have_ended_at_another_have_is_unknown() {
    // 0 <- 1 <- 2 <- 3: asked for 0 to 3 and 2 to 3, the source stops at 2.
    let (both, haves) = ([(id(0), id(3)), (id(2), id(3))], [id(0), id(2)]);
    let mut question = ForwardQuestion::new(Format::Sha1, &both, &haves).unwrap();
    question.feed(&id(3), &[id(2)]).unwrap();
    assert_eq!(question.answers(true), [Ancestry::Unknown, Ancestry::Yes]);
}

#[test]
fn the_parents_that_a_source_lacks_make_a_no_unknown() {
    let pair = [(id(0), id(3))];
    let mut question = ForwardQuestion::new(Format::Sha1, &pair, &[id(0)]).unwrap();
    question.feed(&id(3), &[id(2)]).unwrap();
    assert_eq!(question.answers(true), [Ancestry::No]);
    assert_eq!(question.answers(false), [Ancestry::Unknown]);
    question.graft(&id(3)).unwrap();
    assert_eq!(question.answers(true), [Ancestry::Unknown]);
}

#[test]
fn without_haves_only_the_roots_end_a_walk() {
    let pair = [(id(7), id(3))];
    let mut question = ForwardQuestion::new(Format::Sha1, &pair, &[]).unwrap();
    question.feed(&id(3), &[id(2)]).unwrap();
    assert_eq!(question.answers(true), [Ancestry::Unknown]);
    question.feed(&id(2), &[]).unwrap();
    assert_eq!(question.answers(true), [Ancestry::No]);
}

#[test]
fn circles_prove_nothing_and_end() {
    let mut history = History::new(Format::Sha1);
    history.insert(&id(1), &[id(2)]).unwrap();
    history.insert(&id(2), &[id(1)]).unwrap();
    assert_eq!(
        history.is_ancestor(&id(9), &id(1), Beyond::Old),
        Ancestry::Unknown
    );
}

#[test]
fn what_the_source_never_spoke_of_is_answered_too() {
    let mut history = History::new(Format::Sha1);
    assert!(history.is_empty());
    assert_eq!(
        history.is_ancestor(&id(1), &id(1), Beyond::Anywhere),
        Ancestry::Yes
    );
    // A source that sends nothing says that the new commit lies behind the old one.
    assert_eq!(history.is_ancestor(&id(1), &id(2), Beyond::Old), Ancestry::No);
    assert_eq!(
        history.is_ancestor(&id(1), &id(2), Beyond::Anywhere),
        Ancestry::Unknown
    );
    history.insert(&id(2), &[]).unwrap();
    assert_eq!(
        history.is_ancestor(&id(1), &id(2), Beyond::Anywhere),
        Ancestry::No
    );
    assert_eq!(history.len(), 1);
}

/// A repository with side branches, merges, more than one root, and dates that go backwards at times.
fn tangled(random: &mut Random, len: usize) -> Repo {
    let repo = Repo::new(Format::Sha1);
    let mut stream = String::new();
    for nr in 0..len {
        let date = 1_700_000_000 + nr * 60 - random.below(600).min(nr * 60);
        stream += &format!("commit refs/heads/b{nr}\nmark :{}\n", nr + 1);
        stream += &format!("committer A <a@example.org> {date} +0000\ndata 2\nm\n");
        if nr > 0 && !random.chance(5) {
            stream += &format!("from :{}\n", nr - random.below(nr.min(5)));
            if random.chance(30) {
                stream += &format!("merge :{}\n", nr - random.below(nr.min(12)));
            }
        }
        stream += &format!("M 100644 inline f\ndata 3\n{:03}\n\n", nr % 1000);
    }
    repo.git_with(&["fast-import", "--quiet"], stream.as_bytes());
    repo
}

#[test]
fn packs_from_git_answer_as_git_does() {
    let random = &mut Random(4);
    let repo = tangled(random, 60);
    let refs = repo.git(&["for-each-ref", "--format=%(objectname)"]);
    let refs = String::from_utf8(refs).unwrap();
    let tips: Vec<_> = refs
        .lines()
        .map(|hex| ObjectId::from_hex(hex.as_bytes()).unwrap())
        .collect();
    let mut seen = HashSet::new();
    for _ in 0..40 {
        let (old, new) = (tips[random.below(tips.len())], tips[random.below(tips.len())]);
        let base = repo.git(&["rev-list", &old.to_string(), &format!("^{new}")]);
        let truth = if base.is_empty() {
            Ancestry::Yes
        } else {
            Ancestry::No
        };
        let revs = format!("{new}\n^{old}\n");
        let args = [
            "pack-objects",
            "--stdout",
            "-q",
            "--revs",
            "--filter=tree:0",
            "--delta-base-offset",
        ];
        let pack = repo.git_with(&args, revs.as_bytes());

        let mut reader = PackReader::new(pack.as_slice(), Format::Sha1, Keep::History).unwrap();
        let mut question = ForwardQuestion::new(Format::Sha1, &[(old, new)], &[old]).unwrap();
        for object in reader.by_ref().map(|object| object.unwrap()) {
            assert_eq!(object.kind, ObjectKind::Commit);
            let commit = Commit::parse(Format::Sha1, &object.data).unwrap();
            question.feed(&object.id, &commit.parents).unwrap();
        }
        assert_eq!(question.answers(reader.is_complete()), [truth], "{old} to {new}");
        seen.insert(truth);
    }
    assert_eq!(seen.len(), 2);
}
