//! Asking the source about its history: is the target's old value an ancestor of the new one?
//!
//! Two questions that any `upload-pack` answers, exactly and without trust in its negotiation:
//!
//! - *Reverse*: want the old value, have the new one. A pack without objects proves that the old one is reachable from
//!   the new one. More objects prove nothing, because clock skew makes git send too much.
//! - *Forward*: want the new value, have the old one, and read the commits. The old one is an ancestor if and only if
//!   it is a parent of some commit received that the new one reaches.

use std::collections::{HashMap, HashSet};
use std::io::BufRead;

use gix_hash::ObjectId;

use crate::error::{Error, Kind, Result, Side};
use crate::plan::{Ancestry, Answer, ForwardQuestion, Question};
use crate::progress::Silent;
use crate::strategy::relay::shallow_source;
use crate::upload_pack::{FetchRequest, Source};
use crate::wire::object::{Commit, ObjectKind};
use crate::wire::pack::{Keep, PackReader};

/// Up to so many questions the cheap reverse request goes first; above it one forward request for all is cheaper.
const FEW: usize = 2;

/// Parents of commits that are known without asking.
pub type KnownParents = HashMap<ObjectId, Vec<ObjectId>>;

/// Answer all `questions`; `known` saves requests.
pub fn answer(
    source: &mut Source,
    questions: &[Question],
    known: &KnownParents,
) -> Result<HashMap<Question, Answer>> {
    let mut answers = HashMap::new();
    let mut open: Vec<Question> = Vec::new();
    for question in questions.iter().collect::<HashSet<_>>() {
        if reaches(known, question) {
            answers.insert(*question, Answer::Yes);
        } else {
            open.push(*question);
        }
    }
    if open.len() > FEW && source.can_filter() {
        let proven = forward(source, &open)?;
        open.retain(|question| match proven.get(question) {
            Some(Ancestry::Yes) => {
                answers.insert(*question, Answer::Yes);
                false
            }
            _ => true,
        });
    }
    for question in open {
        answers.insert(question, ask_alone(source, question)?);
    }
    Ok(answers)
}

/// Whether the commits at hand lead from the new value to the old one.
fn reaches(known: &KnownParents, question: &Question) -> bool {
    let mut seen = HashSet::new();
    let mut todo = vec![question.new];
    while let Some(commit) = todo.pop() {
        if commit == question.old {
            return true;
        }
        if seen.insert(commit) {
            todo.extend(known.get(&commit).into_iter().flatten().copied());
        }
    }
    false
}

fn ask_alone(source: &mut Source, question: Question) -> Result<Answer> {
    match reverse(source, question)? {
        Reverse::Reachable => return Ok(Answer::Yes),
        Reverse::Known => {}
        Reverse::NotServed => {
            if !acknowledges(source, question)? {
                return unknown_there(source, question);
            }
        }
    }
    let answers = forward(source, &[question])?;
    match answers.get(&question) {
        Some(Ancestry::Yes) => Ok(Answer::Yes),
        Some(Ancestry::No) => Ok(Answer::Diverged),
        Some(Ancestry::Unknown) | None => Err(shallow_source()),
    }
}

enum Reverse {
    /// The new value reaches the old one.
    Reachable,
    /// The source has the old value; nothing more is proven.
    Known,
    /// The source does not have the old value, or does not serve what is no tip.
    NotServed,
}

fn reverse(source: &mut Source, question: Question) -> Result<Reverse> {
    let request = FetchRequest {
        wants: [question.old].into(),
        haves: [question.new].into(),
        done: true,
        ofs_delta: true,
        ..FetchRequest::default()
    };
    let format = source.format();
    let response = match source.fetch(&request, &Silent) {
        Ok(response) => response,
        Err(err) if err.kind() == Kind::Peer => {
            log::debug!(target: "relay::source", "does not serve {}: {err}", question.old);
            return Ok(Reverse::NotServed);
        }
        Err(err) => return Err(err),
    };
    let Some(mut pack) = response.pack else {
        return Ok(Reverse::NotServed);
    };
    let mut reader = PackReader::new(&mut pack, format, Keep::History).map_err(|err| err.on(Side::Source))?;
    if reader.objects() > 0 {
        return Ok(Reverse::Known);
    }
    reader
        .try_for_each(|object| object.map(drop))
        .map_err(|err| err.on(Side::Source))?;
    pack.finish();
    Ok(Reverse::Reachable)
}

/// Whether the source has the old value at all: it acknowledges a have that it knows.
fn acknowledges(source: &mut Source, question: Question) -> Result<bool> {
    let response = source.fetch(&forward_request(&[question]), &Silent)?;
    Ok(response.acknowledged.contains(&question.old))
}

/// The source lacks the old value. That is an answer, unless its history has holes; it says so only when it begins to
/// send a pack, which is left unread.
fn unknown_there(source: &mut Source, question: Question) -> Result<Answer> {
    let request = FetchRequest {
        done: true,
        ..forward_request(&[question])
    };
    match source.fetch(&request, &Silent)?.shallow.is_empty() {
        true => Ok(Answer::UnknownOld),
        false => Err(shallow_source()),
    }
}

fn forward_request(questions: &[Question]) -> FetchRequest {
    FetchRequest {
        wants: unique(questions.iter().map(|question| question.new)).into(),
        haves: unique(questions.iter().map(|question| question.old)).into(),
        ofs_delta: true,
        filter: Some("tree:0"),
        ..FetchRequest::default()
    }
}

/// One request for all `questions`. With several, an answer other than [`Ancestry::Yes`] may be [`Ancestry::Unknown`].
fn forward(source: &mut Source, questions: &[Question]) -> Result<HashMap<Question, Ancestry>> {
    let request = FetchRequest {
        done: true,
        ..forward_request(questions)
    };
    let format = source.format();
    let response = source.fetch(&request, &Silent)?;
    let shallow = response.shallow;
    let mut pack = response
        .pack
        .ok_or_else(|| Error::new(Kind::Peer, "sent no pack although asked for one").on(Side::Source))?;
    let answers = read_commits(&mut pack, format, &request, questions, &shallow);
    pack.finish();
    answers.map_err(|err| err.on(Side::Source))
}

fn read_commits(
    pack: impl BufRead,
    format: gix_hash::Kind,
    request: &FetchRequest,
    questions: &[Question],
    shallow: &[ObjectId],
) -> Result<HashMap<Question, Ancestry>> {
    let pairs: Vec<_> = questions
        .iter()
        .map(|question| (question.old, question.new))
        .collect();
    let haves: Vec<_> = request.haves.iter().collect();
    let mut walk = ForwardQuestion::new(format, &pairs, &haves)?;
    for commit in shallow {
        walk.graft(commit)?;
    }
    let mut reader = PackReader::new(pack, format, Keep::History)?;
    for object in reader.by_ref() {
        let object = object?;
        if object.kind != ObjectKind::Commit {
            continue;
        }
        let commit = Commit::parse(format, &object.data)?;
        if walk.feed(&object.id, &commit.parents)? {
            // A yes needs no more; the rest of the pack stays unread.
            break;
        }
    }
    let answers = walk.answers(reader.is_complete());
    Ok(questions.iter().copied().zip(answers).collect())
}

fn unique(oids: impl Iterator<Item = ObjectId>) -> Vec<ObjectId> {
    let mut seen = HashSet::new();
    oids.filter(|oid| seen.insert(*oid)).collect()
}
