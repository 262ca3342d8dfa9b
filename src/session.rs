//! One run: connect both sides, judge the updates, choose a route, carry it out, say what became of each ref.

mod aftermath;
mod connect;
mod execute;

use std::collections::HashSet;
use std::time::Duration;

use bstr::BString;
use gix_hash::ObjectId;

use crate::error::{Error, Kind, Result, Side};
use crate::git::Git;
use crate::plan::{self, Action, Question, Rejection, Updates};
use crate::receive_pack::Target;
use crate::strategy::ancestry::{self, KnownParents};
use crate::strategy::local::LocalWork;
use crate::strategy::{Mode, Moved, Route, Terms, choose, presence};
use crate::upload_pack::Source;
use crate::url::RetryPolicy;
use crate::wire::ids::IdTable;
use crate::wire::object_list::ObjectList;
use crate::wire::report::RefOption;
pub use connect::{
    Connected, addresses, connect, connect_source, connect_target, object_format, protocol_version,
};

/// Both ends, connected.
pub struct Session {
    /// Where refs and objects come from.
    pub source: Source,
    /// Where they go.
    pub target: Target,
    /// What the local repository adds to the source, if it may.
    local: Option<LocalWork>,
    /// The way of the objects, see [`Session::route`].
    route: Option<Route>,
}

/// What the user asked of a push as a whole.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// All refs or none.
    pub atomic: bool,
    /// Judge, but change nothing.
    pub dry_run: bool,
    /// `--push-option` values for the target's hooks.
    pub push_options: Vec<BString>,
    /// Ask both sides for words about their progress.
    pub progress: bool,
    /// How the objects may travel.
    pub terms: Terms,
    /// How often to ask a target whose answer was lost.
    pub retry: RetryPolicy,
}

/// What a run is going to do, before it does anything.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What was asked for.
    pub updates: Updates,
    /// What becomes of each update, in the same order. Nothing is left to [ask](Action::Ask).
    pub actions: Vec<Action>,
    /// The objects that have to move, without what they reach.
    pub wants: ObjectList,
    /// What to tell the source that the target has; nothing if no object has to move.
    pub haves: ObjectList,
    /// The way they go.
    pub route: Route,
}

/// What became of the run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What became of each update, in the order of the request.
    pub refs: Vec<RefStatus>,
    /// The way the objects went.
    pub route: Route,
    /// What moved, if anything had to.
    pub moved: Option<Moved>,
    /// How long judging, fetching and pushing took.
    pub elapsed: Duration,
    /// The pushed content uses Git LFS, whose files did not travel.
    pub uses_lfs: bool,
}

/// How one update ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefStatus {
    /// Nothing to do.
    UpToDate,
    /// Done (in a dry run: would be done). The options of the target tell what its `proc-receive` hook did instead.
    Done(Vec<RefOption>),
    /// Left alone by our own judgement.
    Rejected(Rejection),
    /// Refused by the target, in its words.
    Refused(Box<str>),
    /// Refused by the target, in its words, because somebody else has written the ref in the meantime.
    Moved(Box<str>),
    /// Sent, but the target's answer was lost, and the ref does not have its new value.
    Unanswered,
}

/// Why a ref that somebody else has written was left alone.
pub const REF_MOVED: &str = "remote ref moved";
/// What is known about a ref whose update was not answered.
pub const UNANSWERED: &str = "no answer, and the ref has not changed so far";

impl Session {
    /// Both ends, once it is clear that they fit together.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] when they do not.
    pub fn new(source: Source, target: Target) -> Result<Session> {
        let session = Session {
            source,
            target,
            local: None,
            route: None,
        };
        session.check()?;
        Ok(session)
    }

    /// Take what the source lacks from the repository of `git`. Only for those who have asked for it: what a relay
    /// publishes is the source's.
    pub fn allow_local_work(&mut self, git: Git) {
        self.local = Some(LocalWork::new(git));
    }

    /// What the user should be warned about: settings that have no effect, passwords in plain sight.
    pub fn notices(&self) -> Vec<String> {
        let mut notices = self.source.link().notices().to_vec();
        for notice in self.target.link().notices() {
            if !notices.contains(notice) {
                notices.push(notice.clone());
            }
        }
        notices
    }

    fn check(&self) -> Result<()> {
        let (source, target) = (self.source.format(), self.target.format());
        if source != target {
            let message = format!("the source uses the object format {source}, the target {target}");
            return Err(Error::new(Kind::Unsupported, message).hint(format!(
                "create the target with: git init --bare --object-format={source}"
            )));
        }
        if !self.target.advertisement().shallow.is_empty() {
            let message = "the repository is shallow, so its tips do not promise their history";
            return Err(Error::new(Kind::Unsupported, message)
                .on(Side::Target)
                .hint("complete it first: git fetch --unshallow"));
        }
        Ok(())
    }

    /// The way that the objects went, or were on when a plan failed, once one was carried out.
    pub fn route(&self) -> Option<Route> {
        self.route
    }

    /// What had to be tried again since this was last asked.
    pub fn take_notes(&self) -> Vec<String> {
        let told =
            |side: Side, notes: Vec<String>| notes.into_iter().map(move |note| format!("{side}: {note}"));
        let source = told(Side::Source, self.source.link().take_notes());
        source
            .chain(told(Side::Target, self.target.link().take_notes()))
            .collect()
    }

    /// Judge `updates` and choose the route; the target is only looked at. `known` are commits whose parents need not
    /// be asked for.
    ///
    /// # Errors
    /// When the source cannot be asked about its history.
    pub fn plan(&mut self, updates: Updates, policy: &Policy, known: &KnownParents) -> Result<Plan> {
        let mut actions = self.judge(&updates, known)?;
        if policy.atomic {
            plan::refuse_name_conflicts(&updates, &mut actions);
            plan::reject_all_if_any(&mut actions);
        }
        let wants = self.wants(&updates, &actions);
        let route = choose(
            &actions,
            !wants.is_empty(),
            self.target.advertisement().refs.is_empty(),
        );
        let is_local = |oid| self.local.as_ref().is_some_and(|local| local.has(&oid));
        let route = route.under(policy.terms.strategy, wants.iter().any(is_local))?;
        log::info!(target: "relay::plan", "{} ({}), {} wants", route.mode, route.reason, wants.len());
        let haves = match route.mode {
            Mode::None => ObjectList::default(),
            _ => self.haves(),
        };
        Ok(Plan {
            updates,
            actions,
            wants,
            haves,
            route,
        })
    }

    /// Find out which new values the source does not have, nor the local repository where that counts. What is a tip
    /// of the source needs no question, and neither does what the target has already.
    ///
    /// # Errors
    /// Those of the source.
    pub fn mark_what_the_source_lacks(&mut self, updates: &mut Updates) -> Result<()> {
        let tips = self
            .source
            .advertisement()
            .refs
            .iter()
            .flat_map(|entry| [entry.oid, entry.peeled_or_oid()]);
        let known: HashSet<ObjectId> = tips.chain(self.target.tips()).collect();
        let unknown: HashSet<ObjectId> = updates
            .iter()
            .filter_map(|update| update.new)
            .filter(|oid| !known.contains(oid))
            .collect();
        let mut missing = presence::missing(&mut self.source, &unknown.into_iter().collect::<Vec<_>>())?;
        if let Some(local) = &mut self.local {
            missing = local.take_up(missing)?;
        }
        updates.mark_source(|update| update.new.is_none_or(|oid| !missing.contains(&oid)));
        Ok(())
    }

    fn judge(&mut self, updates: &Updates, known: &KnownParents) -> Result<Vec<Action>> {
        let mut actions = Vec::with_capacity(updates.len());
        actions.extend(updates.iter().map(|update| plan::judge(&update)));
        let mut questions: Vec<Question> = Vec::new();
        for (update, action) in updates.iter().zip(&mut actions) {
            let Action::Ask(question) = action else { continue };
            let is_local = |local: &&LocalWork| update.new.is_some_and(|oid| local.has(&oid));
            match self.local.as_ref().filter(is_local) {
                Some(local) => *action = plan::settle(&local.answer(&mut self.source, **question)?),
                None => questions.push(**question),
            }
        }
        if questions.is_empty() {
            return Ok(actions);
        }
        let answers = ancestry::answer(&mut self.source, &questions, known)?;
        for action in &mut actions {
            if let Action::Ask(question) = action {
                let answer = answers.get(question);
                let lost = || Error::new(Kind::Internal, "a question about history got no answer");
                *action = plan::settle(answer.ok_or_else(lost)?);
            }
        }
        Ok(actions)
    }

    /// New values that are no tip of the target.
    fn wants(&self, updates: &Updates, actions: &[Action]) -> ObjectList {
        let mut seen = IdTable::new(self.target.format());
        for oid in self.target.tips() {
            seen.is_first(&oid);
        }
        updates
            .iter()
            .zip(actions)
            .filter(|(_, action)| changes(action))
            .filter_map(|(update, _)| update.new)
            .filter(|oid| seen.is_first(oid))
            .collect()
    }

    /// What the target has, each object once.
    fn haves(&self) -> ObjectList {
        let mut seen = IdTable::new(self.target.format());
        self.target.tips().filter(|oid| seen.is_first(oid)).collect()
    }
}

impl Plan {
    /// What will become of each update when nothing goes wrong.
    pub fn statuses(&self) -> Vec<RefStatus> {
        self.actions.iter().map(planned).collect()
    }
}

/// Whether `action` is a command for the target.
pub fn changes(action: &Action) -> bool {
    matches!(
        action,
        Action::Create | Action::FastForward | Action::Force | Action::Delete
    )
}

fn planned(action: &Action) -> RefStatus {
    match action {
        Action::UpToDate => RefStatus::UpToDate,
        Action::Reject(why) => RefStatus::Rejected(why.clone()),
        Action::Create | Action::FastForward | Action::Force | Action::Delete | Action::Ask(_) => {
            RefStatus::Done(Vec::new())
        }
    }
}
