//! The conversation with git: `gitremote-helpers`. Git asks on standard input, we answer on standard output.

mod command;
mod main;
mod push;
mod report;
mod view;

use std::io::{self, BufRead, Write};

use bstr::ByteSlice;

use crate::error::{Error, Kind, Result};
use crate::git::Git;
use crate::report::Verbosity;
use crate::url::RelayUrl;
use command::{Command, HelperOption, PushSpec};
pub(crate) use main::init_log;
pub use main::main;
use push::PushOptions;
use report::Report;
use view::Prepared;
pub use view::Traces;

/// One run of the helper.
pub struct Helper<'io> {
    url: String,
    git: Git,
    input: &'io mut dyn BufRead,
    output: &'io mut dyn Write,
    traces: Traces,
    verbosity: Verbosity,
    name_format: bool,
    push_options: PushOptions,
    report: Report,
}

impl<'io> Helper<'io> {
    /// A helper for `url` (what stands behind `relay::`), in the repository that the environment names. Whoever ends
    /// the process early uses `traces` to remove what the helper put into the repository.
    pub fn new(
        url: impl Into<String>,
        input: &'io mut dyn BufRead,
        output: &'io mut dyn Write,
        traces: Traces,
    ) -> Self {
        let url = url.into();
        Helper {
            report: Report::new(&url),
            url,
            git: Git::here(),
            input,
            output,
            traces,
            verbosity: Verbosity::default(),
            name_format: false,
            push_options: PushOptions::default(),
        }
    }

    /// Talk until git hangs up. The repository is left as it was, whatever happens.
    ///
    /// # Errors
    /// What made the run fail. Rejected refs are no failure here: git has been told about them.
    pub fn run(&mut self) -> Result<()> {
        let result = self.converse();
        let cleaned = self.traces.remove();
        self.report.write(&self.git, result.as_ref().err());
        // Git went away in the middle: nobody is left to be told.
        match result {
            Err(err) if err.kind() == Kind::Internal && err.message() == HANGUP => cleaned,
            result => result.and(cleaned),
        }
    }

    fn converse(&mut self) -> Result<()> {
        let mut stage = None;
        while let Some(line) = self.next_line()? {
            match Command::parse(&line)? {
                Command::Capabilities => {
                    stage = Some(view::prepare(&self.url, &self.git, &self.traces));
                    self.say(b"option\npush\nobject-format\n\n")?;
                }
                Command::Option(option) => {
                    // Git exits with 128 and no words of its own if the helper ends here.
                    stage = Some(Ok(stage.take().unwrap_or_else(|| Err(unprepared()))?));
                    let answer = self.set(option);
                    self.say(answer)?;
                }
                Command::ListForPush => {
                    let mut prepared = stage.take().unwrap_or_else(|| Err(unprepared()))?.push()?;
                    self.list(&mut prepared)?;
                    return self.push(prepared);
                }
                Command::List | Command::Connect(_) => {
                    self.report.forget();
                    self.traces.remove()?;
                    return Err(reading_is_not_supported(&self.url));
                }
                Command::Push(_) => return Err(unprepared()),
                Command::Blank => break,
            }
        }
        // Git found nothing to push. If that is because it could not be shown anything, say why.
        stage.map_or(Ok(()), |stage| stage?.push().map(drop))
    }

    /// What follows the list: options and pushes in any order, until git hangs up.
    fn push(&mut self, mut prepared: Prepared) -> Result<()> {
        let mut batch: Vec<PushSpec> = Vec::new();
        while let Some(line) = self.next_line()? {
            match Command::parse(&line)? {
                Command::Option(option) => {
                    prepared.check_support(&option)?;
                    let answer = self.set(option);
                    self.say(answer)?;
                }
                Command::Push(spec) => batch.push(spec),
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
        match push::run(&self.git, prepared, specs, options, &mut self.report.run) {
            Ok(answer) => self.say(&answer),
            Err(err) => {
                // Without a word for each ref git would print its own guess about them.
                self.say(&push::failure_lines(specs, &err))?;
                Err(err)
            }
        }
    }

    fn list(&mut self, prepared: &mut Prepared) -> Result<()> {
        let mut answer = Vec::new();
        if self.name_format {
            let format = prepared.session.target.format();
            answer.extend_from_slice(format!(":object-format {format}\n").as_bytes());
        }
        for entry in prepared.visible_target_refs() {
            answer.extend_from_slice(format!("{} ", entry.oid).as_bytes());
            answer.extend_from_slice(&entry.name);
            answer.push(b'\n');
        }
        answer.push(b'\n');
        prepared.hide_shared_tips()?;
        self.say(&answer)
    }

    fn set(&mut self, option: HelperOption) -> &'static [u8] {
        let push = &mut self.push_options;
        match option {
            HelperOption::Verbosity(level) => self.verbosity.level = level,
            HelperOption::Progress(wanted) => self.verbosity.progress = wanted,
            HelperOption::DryRun(wanted) => push.policy.dry_run = wanted,
            HelperOption::Atomic(wanted) => push.policy.atomic = wanted,
            HelperOption::PushOption(value) => push.policy.push_options.push(value),
            HelperOption::Lease(name, expected) => {
                push.leases.insert(name, expected);
            }
            HelperOption::ObjectFormat(wanted) => self.name_format = wanted,
            // A signature covers a nonce of the target, and only git can make one.
            HelperOption::PushCert { required: true } | HelperOption::Unknown => return b"unsupported\n",
            HelperOption::PushCert { required: false } => push.unsigned = true,
            HelperOption::Ignored => {}
        }
        b"ok\n"
    }

    /// The next line without its newline; `None` when git has hung up.
    fn next_line(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        match self.input.read_until(b'\n', &mut line) {
            Ok(0) => Ok(None),
            Ok(_) => {
                log::trace!(target: "relay::helper", "< {}", line.as_bstr());
                Ok(Some(line.strip_suffix(b"\n").unwrap_or(&line).to_vec()))
            }
            Err(err) => Err(Error::new(Kind::Internal, "cannot read from git").caused_by(err)),
        }
    }

    fn say(&mut self, answer: &[u8]) -> Result<()> {
        log::trace!(target: "relay::helper", "> {}", answer.as_bstr());
        let said = self.output.write_all(answer).and_then(|()| self.output.flush());
        said.map_err(|err: io::Error| Error::new(Kind::Internal, HANGUP).caused_by(err))
    }
}

const HANGUP: &str = "git hung up";

fn unprepared() -> Error {
    Error::new(
        Kind::Internal,
        "git pushed before it asked for capabilities and refs",
    )
}

fn reading_is_not_supported(url: &str) -> Error {
    let source = RelayUrl::parse(url)
        .map(|url| crate::url::redact(&url.source))
        .unwrap_or_default();
    Error::new(
        Kind::Unsupported,
        "fetching through a relay URL is not supported yet",
    )
    .hint(format!("fetch from the source itself: {source}"))
}
