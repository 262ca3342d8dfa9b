//! What a command leaves on standard output and standard error, by the options that all commands share.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Instant;

use super::USAGE;
use super::args::OutputArgs;
use crate::api::{Entry, Operation, Pair, Progress, Run, Silent, Status};
use crate::error::{Error, printable};
use crate::report::measure::{CountingAllocator, Measurement, measure};
use crate::report::table::{self, Style};
use crate::report::{LFS_WARNING, Terminal, Verbosity, bytes, json, probe_text, ref_name, say};

/// How to tell about a run.
pub(super) struct Output {
    args: OutputArgs,
    started: Instant,
    allocator: Option<&'static CountingAllocator>,
}

impl Output {
    pub(super) fn new(
        args: &OutputArgs,
        started: Instant,
        allocator: Option<&'static CountingAllocator>,
    ) -> Self {
        Output {
            args: args.clone(),
            started,
            allocator,
        }
    }

    /// Whether to ask both sides for words about their progress.
    pub(super) fn wants_progress(&self) -> bool {
        let wanted = self.args.progress || (std::io::stderr().is_terminal() && !self.args.no_progress);
        wanted && !self.args.quiet
    }

    /// Do `work`, then tell about it and give its exit code.
    pub(super) fn tell(&self, work: impl FnOnce(&dyn Progress) -> Run) -> ExitCode {
        let progress = self.progress();
        let run = work(&*progress);
        // It may hold the beginning of a line that belongs above the table.
        drop(progress);
        self.finish(&run)
    }

    /// Where progress goes.
    fn progress(&self) -> Box<dyn Progress> {
        if self.args.quiet {
            return Box::new(Silent);
        }
        Box::new(Terminal::new(Verbosity {
            level: if self.args.verbose { 2 } else { 1 },
            progress: self.wants_progress(),
        }))
    }

    /// A request could not even be made.
    pub(super) fn usage(&self, err: &Error) -> ExitCode {
        fail(err, None);
        ExitCode::from(USAGE)
    }

    /// A run ended before it could be told about.
    pub(super) fn fatal(&self, err: &Error, pair: &Pair) {
        fail(err, Some(&pair.to_string()));
    }

    /// Tell about `run` and give its exit code.
    pub(super) fn finish(&self, run: &Run) -> ExitCode {
        let measurement = self
            .args
            .measure_memory
            .then(|| measure(self.started, self.allocator));
        if self.args.json {
            // Nobody may be reading any more; what was done is done.
            json::write(&mut std::io::stdout(), run, self.args.stats, measurement.as_ref()).ok();
        } else if !self.args.quiet {
            self.print_text(run, measurement.as_ref());
        }
        self.complain(run);
        ExitCode::from(run.exit_code())
    }

    fn print_text(&self, run: &Run, measurement: Option<&Measurement>) {
        if let Some(report) = &run.probe {
            print(&probe_text(report, &run.source, run.target.as_deref()));
        } else if !run.refs.is_empty() {
            let style = Style {
                color: colorful(),
                verbose: self.args.verbose,
            };
            // Like everything that is printed: if nobody listens, nobody misses it.
            table::write(&mut std::io::stdout(), run, style).ok();
        }
        if let Some(line) = moved(run) {
            say(&line);
        }
        if self.args.stats {
            say_stats(run);
        }
        if let Some(measurement) = measurement {
            say_measurement(measurement);
        }
    }

    /// Errors go to standard error whatever else is printed; in quiet runs with the refs that a table would show.
    fn complain(&self, run: &Run) {
        let pair = run.pair();
        let bad: Vec<_> = run.refs.iter().filter(|entry| entry.status.is_bad()).collect();
        if self.args.quiet {
            for entry in &bad {
                let why = entry.reason.as_deref().unwrap_or("no reason given");
                let (name, status) = (ref_name(entry.target), entry.status.as_str());
                say(&format!(
                    "error: {pair}: {name}: {status}: {}",
                    printable(why.as_bytes())
                ));
            }
        } else {
            if run.uses_lfs {
                say(&format!("warning: {LFS_WARNING}"));
            }
            for hint in &run.hints {
                say(&format!("hint: {hint}"));
            }
        }
        if let Some(err) = &run.error {
            fail(err, Some(&pair));
        } else if !self.args.quiet && bad.iter().any(|entry| entry.status == Status::Blocked) {
            say(&format!("error: {pair}: {}", blocked(run, &bad)));
            for hint in advice(run) {
                say(&format!("hint: {hint}"));
            }
        }
    }
}

fn blocked(run: &Run, bad: &[Entry<'_>]) -> String {
    let count = bad.iter().filter(|entry| entry.status == Status::Blocked).count();
    let refs = if count == 1 {
        "1 ref is blocked".to_owned()
    } else {
        format!("{count} refs are blocked")
    };
    let pushed = run.refs.iter().any(|entry| entry.status == Status::Ok);
    match (run.dry_run, pushed) {
        (true, _) => refs,
        (false, false) => format!("{refs}, so nothing was pushed"),
        (false, true) => refs,
    }
}

fn advice(run: &Run) -> &'static [&'static str] {
    match run.operation {
        Operation::Bootstrap => &["git relay sync updates refs that exist"],
        Operation::Sync | Operation::Plan => {
            &["--force overwrites, --best-effort pushes the others, --branch and --map select"]
        }
        Operation::Fetch | Operation::Probe | Operation::Push => &[],
    }
}

/// What moved, in the words of the helper.
fn moved(run: &Run) -> Option<String> {
    let route = run.route.filter(|_| run.pack.packs > 0)?;
    let objects = match run.pack.objects {
        1 => "1 object".to_owned(),
        count => format!("{count} objects"),
    };
    let seconds = run.elapsed.as_secs_f64();
    let doing = match run.operation {
        Operation::Fetch => "would move",
        _ => "moved",
    };
    let size = bytes(run.pack.bytes);
    Some(format!(
        "relay: {} ({}), {doing} {objects}, {size} in {seconds:.1} s",
        route.mode, route.reason
    ))
}

fn say_stats(run: &Run) {
    let (source, target) = (&run.source_stats, &run.target_stats);
    say(&format!(
        "source: {} requests, {} sent, {} received, {} retries, {} wants, {} haves",
        source.requests,
        bytes(source.bytes_sent),
        bytes(source.bytes_received),
        source.retries,
        source.wants,
        source.haves
    ));
    say(&format!(
        "target: {} requests, {} sent, {} received, {} retries, {} commands",
        target.requests,
        bytes(target.bytes_sent),
        bytes(target.bytes_received),
        target.retries,
        target.commands
    ));
}

fn say_measurement(measured: &Measurement) {
    let size = |count: Option<u64>| count.map_or_else(|| "unknown".into(), bytes);
    let seconds = |time: Option<std::time::Duration>| time.unwrap_or_default().as_secs_f64();
    say(&format!(
        "measured: {:.2} s, {} resident at most, {} allocated at most, {} allocated in total, CPU {:.2} s user and {:.2} s system",
        measured.elapsed.as_secs_f64(),
        size(measured.peak_rss_bytes),
        size(measured.peak_alloc_bytes),
        size(measured.total_alloc_bytes),
        seconds(measured.user_cpu),
        seconds(measured.system_cpu),
    ));
}

fn fail(err: &Error, pair: Option<&str>) {
    let pair = pair.map(|pair| format!("{pair}: ")).unwrap_or_default();
    say(&format!("fatal: {pair}{err}"));
    for line in err.hint_text().unwrap_or_default().lines() {
        say(&format!("hint: {line}"));
    }
    log::debug!(target: "relay::git", "{err:?}");
}

/// <https://no-color.org>: set to anything but nothing.
fn colorful() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let dumb = set("TERM").is_none_or(|term| term == "dumb");
    std::io::stdout().is_terminal() && set("NO_COLOR").is_none() && !dumb
}

/// The only place where `git relay` writes to standard output, but for JSON. Nobody may be reading any more; what was done
/// is done.
pub(super) fn print(text: &str) {
    std::io::stdout().write_all(text.as_bytes()).ok();
}
