//! The conversation with git: `gitremote-helpers`. Git asks on standard input, we answer on standard output.
//!
//! - here: the conversation up to the point where git says what it wants, and pushing.
//! - `in_step`: what a remote can ask for before it is read.
//! - `reading`: everything that reads from the source, which ends our part in the conversation.
//! - `view`: what a push needs before git asks for it.

mod child;
mod command;
mod in_step;
mod main;
mod purpose;
mod push;
mod reading;
mod report;
mod streams;
mod token;
mod view;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bstr::BString;

use crate::error::{Error, Kind, Result};
use crate::git::Git;
use crate::progress::Progress;
use crate::report::{Terminal, Verbosity};
use crate::url::{Family, RelayUrl};
use command::{Command, HelperOption, PushSpec};
pub use main::main;
pub(crate) use main::{StopSignals, init_log};
use purpose::{Caller, Purpose};
use push::PushOptions;
use reading::Reader;
use report::Report;
pub use streams::Streams;
pub use view::Traces;
use view::{Prepared, Stage};

/// One run of the helper.
pub struct Helper {
    remote: String,
    url: String,
    git: Git,
    streams: Streams,
    traces: Traces,
    verbosity: Verbosity,
    name_format: bool,
    push_options: PushOptions,
    /// How the source can be read, once git has asked what we can do.
    reader: Option<Result<Reader>>,
    /// The options that git has set so far, for whoever reads the source.
    held: Vec<BString>,
    report: Arc<Mutex<Report>>,
    /// Git completes a partial clone.
    from_promisor: bool,
    /// How to connect.
    family: Family,
}

impl Helper {
    /// A helper for `url` (what stands behind `relay::`) in the repository that the environment names. `remote` is the
    /// name of the remote that has this URL, or the URL again. Whoever ends the process early uses `traces` to remove
    /// what the helper put into the repository.
    pub fn new(remote: impl Into<String>, url: impl Into<String>, streams: Streams, traces: Traces) -> Self {
        let url = url.into();
        Helper {
            report: Arc::new(Mutex::new(Report::new(&url))),
            remote: remote.into(),
            url,
            git: Git::here(),
            streams,
            traces,
            verbosity: Verbosity::default(),
            name_format: false,
            push_options: PushOptions::default(),
            reader: None,
            held: Vec::new(),
            from_promisor: false,
            family: Family::All,
        }
    }

    /// Talk until git hangs up, and return the exit code to end with. The repository is left as it was, whatever
    /// happens; only git itself writes to it when it fetches.
    ///
    /// # Errors
    /// What made the run fail. Rejected refs are no failure here: git has been told about them.
    pub fn run(self) -> Result<u8> {
        let (traces, report, git) = (self.traces.clone(), self.report.clone(), self.git.clone());
        let result = self.converse();
        let cleaned = traces.remove();
        lock(&report).write(&git, result.as_ref().err());
        // Git went away in the middle: nobody is left to be told.
        match result {
            Err(err) if streams::is_hangup(&err) => cleaned.map(|()| 0),
            Ok(code) => cleaned.map(|()| code),
            Err(err) => Err(err),
        }
    }

    fn converse(mut self) -> Result<u8> {
        let mut stage = None;
        while let Some(line) = self.streams.next_line()? {
            match Command::parse(&line)? {
                Command::Capabilities => stage = Some(self.introduce()?),
                Command::Option(option) => {
                    self.note_family(&option, stage.as_ref());
                    // Git exits with 128 and no words of its own if the helper ends here.
                    stage = Some(Ok(stage.take().unwrap_or_else(|| Err(unprepared()))?));
                    self.option(&line, option)?;
                }
                // We speak to the target ourselves.
                Command::ConnectForPush => self.streams.say(b"fallback\n")?,
                Command::ListForPush => {
                    let stage = stage.take().unwrap_or_else(|| Err(unprepared()))?;
                    self.start_pushing()?;
                    let mut prepared = stage.push(&self.git)?;
                    if self.takes_local_work()? {
                        prepared.allow_local_work(&self.git);
                    }
                    self.list(&mut prepared)?;
                    return self.push(prepared).map(|()| 0);
                }
                Command::Read => {
                    lock(&self.report).forget();
                    drop(stage.take().transpose()?);
                    return self.read(&line);
                }
                Command::Push(_) => return Err(unprepared()),
                Command::Blank => break,
            }
        }
        // Git found nothing to push. If that is because it could not be shown anything, say why.
        stage.map_or(Ok(0), |stage| stage?.end().map(|()| 0))
    }

    /// Get ready for what git is about to do, as far as that is known, and say what we can do.
    fn introduce(&mut self) -> Result<Result<Stage>> {
        let Caller { purpose, family } = Caller::find();
        log::info!(target: "relay::helper", "git is here to {purpose:?}");
        if family != Family::All {
            self.restrict(family);
        }
        let stage = crate::view::recover(&self.git)
            .and_then(|_| RelayUrl::parse(&self.url))
            .and_then(|url| self.stage(purpose, url));
        let mut capabilities = BString::from("option\npush\nobject-format\n");
        if purpose != Purpose::Push && stage.is_ok() {
            let reader = self.reader();
            let offered = match reader {
                Ok(reader) => reader.capabilities(),
                Err(_) => Ok(BString::default()),
            };
            match offered {
                Ok(offered) => capabilities.extend_from_slice(&offered),
                Err(why) => self.reader = Some(Err(why)),
            }
        }
        capabilities.push(b'\n');
        self.streams.say(&capabilities)?;
        Ok(stage)
    }

    /// What stands in the way of a push is no matter to a command that reads.
    fn stage(&self, purpose: Purpose, url: RelayUrl) -> Result<Stage> {
        match purpose {
            Purpose::Read => Ok(Stage::later(url)),
            Purpose::Push => view::prepare(url, &self.git, &self.traces),
            Purpose::Unknown => {
                Ok(view::prepare(url, &self.git, &self.traces).unwrap_or_else(Stage::without_push))
            }
        }
    }

    fn reader(&mut self) -> &mut Result<Reader> {
        self.reader.get_or_insert_with(|| {
            let url = RelayUrl::parse(&self.url)?;
            Reader::find(&url, self.git.config()?)
        })
    }

    /// Connect as `option` says from now on. A view is there already, whose connections cannot be changed any more: where
    /// the system shows git's command line it was built that way.
    fn note_family(&mut self, option: &HelperOption, stage: Option<&Result<Stage>>) {
        let &HelperOption::Family(family) = option else {
            return;
        };
        let is_connected = stage.is_some_and(|stage| stage.as_ref().is_ok_and(Stage::is_connected));
        if is_connected && self.family != family {
            Terminal::new(self.verbosity).warning(&format!(
                "'{}' came too late for the connections of this push; relay.family says it in time",
                family.name()
            ));
        }
        self.restrict(family);
    }

    fn restrict(&mut self, family: Family) {
        self.family = family;
        self.git.override_setting(Family::KEY, family.name());
    }

    fn option(&mut self, line: &[u8], option: HelperOption) -> Result<()> {
        let ours = self.set(&option);
        let answer = match &mut self.reader {
            Some(Ok(reader)) => reader.option(line, &option, ours, &self.held)?,
            _ => ours.into(),
        };
        self.held.push(line.into());
        self.streams.say(&answer)
    }

    /// Read from the source, which is left to git and whoever talks to the source for it.
    fn read(mut self, command: &[u8]) -> Result<u8> {
        self.traces.remove()?;
        let config = self.git.config()?;
        // An object that is missing must come fast, and comes often.
        if !self.from_promisor && in_step::is_wanted(&self.remote, config)? {
            in_step::bring(&self.remote, &RelayUrl::parse(&self.url)?, config, self.verbosity)?;
        }
        self.reader();
        match self.reader {
            Some(reader) => reader?.hand_over(command, &self.held, self.streams),
            None => Err(unprepared()),
        }
    }

    /// Whether the user lets local work go along; what is said of one remote counts more.
    fn takes_local_work(&self) -> Result<bool> {
        let config = self.git.config()?;
        let here = config.bool(&format!("remote.{}.relayLocal", self.remote))?;
        match here {
            Some(wanted) => Ok(wanted),
            None => Ok(config.bool("relay.local")?.unwrap_or(false)),
        }
    }

    /// The source is not read by others, it turns out.
    fn start_pushing(&mut self) -> Result<()> {
        if let Some(Ok(reader)) = self.reader.take() {
            reader.warn_about_service_path(self.verbosity);
        }
        Ok(())
    }

    /// What follows the list: options and pushes in any order, until git hangs up.
    fn push(&mut self, mut prepared: Prepared) -> Result<()> {
        let mut batch: Vec<PushSpec> = Vec::new();
        while let Some(line) = self.streams.next_line()? {
            match Command::parse(&line)? {
                Command::Option(option) => {
                    prepared.check_support(&option)?;
                    let answer = self.set(&option);
                    self.streams.say(answer)?;
                }
                Command::Push(spec) => batch.push(spec),
                // Git asks before each batch.
                Command::ConnectForPush => self.streams.say(b"fallback\n")?,
                Command::Blank if batch.is_empty() => return Ok(()),
                Command::Blank => {
                    let specs = std::mem::take(&mut batch);
                    self.push_batch(&mut prepared, &specs)?;
                }
                other => {
                    return Err(Error::new(
                        Kind::Internal,
                        format!("git asked for {other:?} while pushing"),
                    ));
                }
            }
        }
        Ok(())
    }

    fn push_batch(&mut self, prepared: &mut Prepared, specs: &[PushSpec]) -> Result<()> {
        let options = PushOptions {
            verbosity: self.verbosity,
            ..std::mem::take(&mut self.push_options)
        };
        match push::run(&self.git, prepared, specs, options, &mut lock(&self.report).run) {
            Ok(answer) => self.streams.say(&answer),
            Err(err) => {
                // Without a word for each ref git would print its own guess about them.
                self.streams.say(&push::failure_lines(specs, &err))?;
                Err(err)
            }
        }
    }

    fn list(&mut self, prepared: &mut Prepared) -> Result<()> {
        let terminal = Terminal::new(self.verbosity);
        for notice in prepared.session.notices() {
            terminal.notice(&notice);
        }
        for note in prepared.session.take_notes() {
            terminal.note(&note);
        }
        let mut answer = Vec::new();
        if self.name_format {
            let format = prepared.session.target.format();
            answer.extend_from_slice(format!(":object-format {format}\n").as_bytes());
        }
        for entry in prepared.visible_target_refs() {
            answer.extend_from_slice(format!("{} ", entry.oid).as_bytes());
            answer.extend_from_slice(entry.name);
            answer.push(b'\n');
        }
        answer.push(b'\n');
        prepared.hide_shared_tips()?;
        self.streams.say(&answer)
    }

    fn set(&mut self, option: &HelperOption) -> &'static [u8] {
        let push = &mut self.push_options;
        match option {
            HelperOption::Verbosity(level) => self.verbosity.level = *level,
            HelperOption::Progress(wanted) => self.verbosity.progress = *wanted,
            HelperOption::DryRun(wanted) => push.policy.dry_run = *wanted,
            HelperOption::Atomic(wanted) => push.policy.atomic = *wanted,
            HelperOption::PushOption(value) => push.policy.push_options.push(value.clone()),
            HelperOption::Lease(name, expected) => {
                push.leases.insert(name.clone(), *expected);
            }
            HelperOption::ObjectFormat(wanted) => self.name_format = *wanted,
            HelperOption::PushCert { required: false } => push.unsigned = true,
            HelperOption::FromPromisor => self.from_promisor = true,
            // Noted already.
            HelperOption::Family(_) | HelperOption::Ignored => {}
            HelperOption::Invalid => return b"error invalid value\n",
            // A signature covers a nonce of the target, and only git can make one.
            HelperOption::PushCert { required: true }
            | HelperOption::ServicePath(_)
            | HelperOption::Unknown => return b"unsupported\n",
        }
        b"ok\n"
    }
}

fn unprepared() -> Error {
    Error::new(Kind::Internal, "git gave orders before it asked for capabilities")
}

/// A panic elsewhere leaves the report as true as it was.
fn lock(report: &Mutex<Report>) -> MutexGuard<'_, Report> {
    report.lock().unwrap_or_else(PoisonError::into_inner)
}
