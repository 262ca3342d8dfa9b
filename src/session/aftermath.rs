//! A second look at the target's refs, where its own word is missing or does not tell enough: after an answer that was
//! lost, and after a refusal that may be a lost race.

use std::collections::HashMap;
use std::time::Instant;

use gix_hash::ObjectId;

use super::RefStatus;
use crate::error::{Error, Result};
use crate::plan::Updates;
use crate::receive_pack::Target;
use crate::url::{RetryPolicy, Verdict};
use crate::wire::changes::{Change, Commands};
use crate::wire::ref_list::RefList;
use crate::wire::ref_name::RefName;

/// Refs that were moved a part of their way before the last command for them.
type HalfWay = HashMap<RefName, ObjectId>;

/// What a ref shows of the command that was sent for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// It was carried out.
    New,
    /// It was not, or not yet.
    Old,
    /// Somebody else has written the ref.
    Other,
}

/// What the target made of each of `commands`, whose answer was lost by `err`. It may still be at work, so it is asked a few
/// times before it is said to have done nothing.
///
/// # Errors
/// `err`, when nothing has changed or the target cannot be asked.
pub(super) fn of_lost_answer(
    target: &mut Target,
    (commands, half_way): (&Commands, &HalfWay),
    err: Error,
    retry: RetryPolicy,
) -> Result<Vec<Seen>> {
    let began = Instant::now();
    log::info!(target: "relay::target", "the answer to the push is lost: {err}");
    for made in 1.. {
        let refs = match target.look_again() {
            Ok(now) => now.refs,
            Err(why) => return Err(err.hint(unknown(&why))),
        };
        let seen: Vec<_> = commands
            .iter()
            .map(|command| seen(&command, &refs, half_way))
            .collect();
        if seen.iter().all(|seen| *seen == Seen::New) {
            return Ok(seen);
        }
        match retry.after(made, began.elapsed(), None, 0.0) {
            Verdict::Wait(pause) => std::thread::sleep(pause),
            _ if seen.iter().all(|seen| *seen == Seen::Old) => break,
            _ => return Ok(seen),
        }
    }
    Err(err.hint("its refs are as they were; if it is still at work on the push, that may change"))
}

fn unknown(why: &Error) -> String {
    format!(
        "some refs may have been updated: run the same push again to find out ({})",
        why.message()
    )
}

fn seen(command: &Change<'_>, refs: &RefList, half_way: &HalfWay) -> Seen {
    let half_way = half_way.get(command.name);
    match refs.find(command.name).map(|entry| entry.oid) {
        now if now == command.new => Seen::New,
        now if now == command.old || now.is_some_and(|now| half_way == Some(&now)) => Seen::Old,
        _ => Seen::Other,
    }
}

/// Tell lost races from other refusals. Servers have no common word for them, but a value that is no longer the one that
/// was pushed against tells it.
pub(super) fn of_refusals(
    target: &mut Target,
    (updates, half_way): (&Updates, &HalfWay),
    statuses: &mut [RefStatus],
) {
    let may_be_race = |status: &RefStatus| matches!(status, RefStatus::Refused(why) if !is_rule(why));
    if !statuses.iter().any(may_be_race) {
        return;
    }
    let now = match target.look_again() {
        Ok(now) => now,
        Err(err) => {
            log::info!(target: "relay::target", "cannot look again: {err}");
            return;
        }
    };
    for (status, update) in statuses.iter_mut().zip(updates.iter()) {
        match status {
            RefStatus::Refused(why) if !is_rule(why) => {
                let seen = seen(&update.change(), &now.refs, half_way);
                log::info!(target: "relay::target", "{}: {why}; its value is {seen:?} now", update.target);
                match seen {
                    // Another run of ours was faster.
                    Seen::New => *status = RefStatus::UpToDate,
                    Seen::Old => {}
                    Seen::Other => *status = RefStatus::Moved(std::mem::take(why)),
                }
            }
            _ => {}
        }
    }
}

/// Add to refusals of refs that were moved a part of their way where these are now.
pub(super) fn tell_where_they_are(updates: &Updates, half_way: &HalfWay, statuses: &mut [RefStatus]) {
    for (status, update) in statuses.iter_mut().zip(updates.iter()) {
        if let (RefStatus::Refused(why), Some(now)) = (status, half_way.get(update.target)) {
            *why = format!("{why} (stopped half way, at {now})").into();
        }
    }
}

/// Words that stand for a rule of the target, whatever the ref's value is (`update()` in git's
/// `builtin/receive-pack.c`; hosts put their own words before "hook declined").
fn is_rule(words: &str) -> bool {
    const RULES: [&str; 8] = [
        "hook declined",
        "funny refname",
        "branch is currently checked out",
        "deletion prohibited",
        "deletion of the current branch prohibited",
        "deny updating a hidden ref",
        "deny deleting a hidden ref",
        "shallow update not allowed",
    ];
    RULES.iter().any(|rule| words.contains(rule))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::refs::RemoteRef;

    fn oid(digit: char) -> ObjectId {
        ObjectId::from_hex(digit.to_string().repeat(40).as_bytes()).unwrap()
    }

    #[test]
    fn a_value_tells_what_became_of_a_command() {
        let there = RemoteRef {
            name: "refs/heads/a".into(),
            oid: oid('1'),
            peeled: None,
        };
        let refs = RefList::from_iter([there]);
        let value = |digit| (digit != '0').then(|| oid(digit));
        let command = |name: &'static str, old, new| Change {
            name: name.into(),
            old: value(old),
            new: value(new),
        };
        let cases = [
            (command("refs/heads/a", '2', '1'), Seen::New),
            (command("refs/heads/a", '1', '2'), Seen::Old),
            (command("refs/heads/a", '2', '3'), Seen::Other),
            // Created, deleted.
            (command("refs/heads/b", '0', '1'), Seen::Old),
            (command("refs/heads/b", '1', '0'), Seen::New),
            (command("refs/heads/b", '1', '2'), Seen::Other),
        ];
        for (command, expected) in cases {
            assert_eq!(seen(&command, &refs, &HalfWay::new()), expected, "{command:?}");
        }
        let half_way = HalfWay::from([("refs/heads/a".into(), oid('1'))]);
        assert_eq!(
            seen(&command("refs/heads/a", '0', '3'), &refs, &half_way),
            Seen::Old
        );
    }

    #[test]
    fn a_rule_is_no_race() {
        assert!(is_rule("protected branch hook declined") && is_rule("pre-receive hook declined"));
        assert!(!is_rule("failed to update ref") && !is_rule("atomic push failure"));
    }
}
