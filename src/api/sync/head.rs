//! Whether the target's HEAD names a branch when a run that filled an empty target is over. A repository whose HEAD names
//! nothing checks out nothing when it is cloned, and only `upload-pack` tells HEAD.

use std::thread::JoinHandle;

use bstr::BString;

use super::super::entries::Status;
use super::super::run::Run;
use crate::error::printable;
use crate::session;
use crate::transport::Traffic;
use crate::upload_pack::{Protocol, Source};
use crate::url::Address;

/// A look at the target's HEAD that goes on beside the push, so that nobody waits for it.
pub(super) struct HeadLook {
    place: Address,
    before: Option<JoinHandle<Option<Before>>>,
}

/// What the first look has shown.
struct Before {
    head: Option<BString>,
    traffic: Traffic,
}

impl HeadLook {
    /// Begin to look at the empty target at `place`. A thread that cannot be had is no loss: there is a second look.
    pub(super) fn begin(place: Address) -> Self {
        let at = place.clone();
        let look = move || {
            let target = session::connect_source(&at, Protocol::V2).ok()?;
            Some(Before {
                head: target.advertisement().head.clone(),
                traffic: target.link().traffic(),
            })
        };
        HeadLook {
            place,
            before: std::thread::Builder::new().name("head".into()).spawn(look).ok(),
        }
    }

    /// Say in `run` if HEAD names nothing. The branch that HEAD was waiting for is there now in most cases; in all
    /// others the target is asked again, because hosts let HEAD name the first branch that comes.
    pub(super) fn end(self, run: &mut Run) {
        let before = self.before.and_then(|look| look.join().ok()).flatten();
        let waited_for = before.and_then(|before| {
            note(run, before.traffic);
            before.head
        });
        let pushed_any = run.refs.iter().any(|entry| entry.status == Status::Ok);
        if !pushed_any || waited_for.is_some_and(|head| created(run, &head)) {
            return;
        }
        let Ok(target) = session::connect_source(&self.place, Protocol::V2) else {
            return;
        };
        note(run, target.link().traffic());
        run.hints.extend(hint(run, &target));
    }
}

fn note(run: &mut Run, traffic: Traffic) {
    run.target_stats.requests += traffic.requests;
    run.target_stats.bytes_sent += traffic.bytes_sent;
    run.target_stats.bytes_received += traffic.bytes_received;
}

fn created(run: &Run, name: &BString) -> bool {
    let mut done = run.refs.iter().filter(|entry| entry.status == Status::Ok);
    done.any(|entry| entry.target == *name)
}

fn hint(run: &Run, target: &Source) -> Option<String> {
    let there = target.advertisement();
    let named = match &there.head {
        Some(head) if there.find(head.as_ref()).is_some() => return None,
        Some(head) => format!("names {}, which does not exist", printable(head)),
        None if there.head_oid.is_some() => return None,
        None => "names no branch".to_owned(),
    };
    let advice = match run.source_head.as_ref().filter(|head| created(run, head)) {
        Some(head) => format!("; there: git symbolic-ref HEAD {}", printable(head)),
        None => String::new(),
    };
    Some(format!("the target's HEAD {named}{advice}"))
}
