//! Lines for the person at the terminal, on standard error.

use std::cell::RefCell;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::remote_text::RemoteText;
use crate::error::Error;
use crate::progress::Progress;
use crate::session::{Outcome, RefStatus};

/// What to say when [`uses_lfs`](crate::session::Outcome::uses_lfs).
pub const LFS_WARNING: &str = "the pushed content uses Git LFS; its large files stay where they are \
    (a clone moves them: git lfs fetch --all && git lfs push --all <target>)";

/// How much to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verbosity {
    /// Git's level: 0 for `-q`, 1 by default, more for `-v`.
    pub level: u32,
    /// Whether to show live progress.
    pub progress: bool,
}

impl Default for Verbosity {
    fn default() -> Self {
        Verbosity {
            level: 1,
            progress: false,
        }
    }
}

/// Often enough to look alive, seldom enough to cost nothing.
const REDRAW: Duration = Duration::from_millis(100);

/// What is over sooner needs no progress, and a rate over less time means nothing.
const FIRST_DRAW: Duration = Duration::from_millis(400);

/// Shows a run on standard error.
pub struct Terminal {
    verbosity: Verbosity,
    state: RefCell<State>,
}

struct State {
    target_text: RemoteText,
    source_text: RemoteText,
    started: Option<Instant>,
    drawn: Option<Instant>,
    passed: (u64, u32),
}

impl State {
    /// Lines that the peers have left without an end come before whatever we say next.
    fn finish_lines(&mut self) {
        self.source_text.finish(|line| print_line(&line));
        self.target_text.finish(|line| print_line(&line));
    }
}

/// Set when the run is being stopped: whatever is still under way on another thread says no more.
static HUSHED: AtomicBool = AtomicBool::new(false);

/// Say nothing more about progress, because the run is being stopped.
pub fn hush() {
    HUSHED.store(true, Ordering::Relaxed);
}

impl Terminal {
    /// A display with `verbosity`.
    pub fn new(verbosity: Verbosity) -> Self {
        let state = State {
            target_text: RemoteText::new("remote"),
            source_text: RemoteText::new("source"),
            started: None,
            drawn: None,
            passed: (0, 0),
        };
        Terminal {
            verbosity,
            state: RefCell::new(state),
        }
    }

    /// Say in one line what moved, if anything did and arrived.
    pub fn summary(&self, outcome: &Outcome) {
        self.state.borrow_mut().finish_lines();
        let is_done = |status: &RefStatus| matches!(status, RefStatus::Done(_));
        let arrived = outcome.refs.iter().any(is_done);
        let worth_telling = arrived && self.verbosity.level > 0;
        let Some(pack) = outcome.moved.filter(|pack| worth_telling && pack.objects > 0) else {
            return;
        };
        let seconds = outcome.elapsed.as_secs_f64();
        let line = format!(
            "relay: {}, {}, {} in {seconds:.1} s ({}/s)\n",
            outcome.route.mode,
            objects(pack.objects),
            bytes(pack.bytes),
            bytes((pack.bytes as f64 / seconds.max(0.001)) as u64),
        );
        print(&line);
    }

    /// Give advice, as git does; lines are separated by line feeds.
    pub fn hint(&self, text: &str) {
        if self.verbosity.level > 0 {
            text.lines().for_each(|line| print(&format!("hint: {line}\n")));
        }
    }

    /// Warn about something that does not stop the run.
    pub fn warning(&self, text: &str) {
        print(&format!("warning: {text}\n"));
    }

    /// Warn about something that a quiet run need not hear.
    pub fn notice(&self, text: &str) {
        if self.verbosity.level > 0 {
            self.warning(text);
        }
    }

    fn draw(&self, state: &mut State, end: &str) {
        let (passed, count) = state.passed;
        let elapsed = state
            .started
            .map_or(0.0, |started| started.elapsed().as_secs_f64());
        let rate = bytes((passed as f64 / elapsed.max(0.001)) as u64);
        print_line(&format!(
            "Relaying {}: {} | {rate}/s{end}",
            objects(count.into()),
            bytes(passed)
        ));
    }
}

impl Progress for Terminal {
    fn source_text(&self, text: &[u8]) {
        if self.verbosity.progress {
            self.state
                .borrow_mut()
                .source_text
                .push(text, |line| print_line(&line));
        }
    }

    fn target_text(&self, text: &[u8]) {
        self.state
            .borrow_mut()
            .target_text
            .push(text, |line| print_line(&line));
    }

    fn pack_bytes(&self, bytes: u64, objects: u32) {
        let mut state = self.state.borrow_mut();
        let now = Instant::now();
        let started = *state.started.get_or_insert(now);
        state.passed = (bytes, objects);
        let due = state.drawn.map_or(started + FIRST_DRAW, |drawn| drawn + REDRAW);
        if self.verbosity.progress && now >= due && !HUSHED.load(Ordering::Relaxed) {
            state.drawn = Some(now);
            self.draw(&mut state, "\r");
        }
    }

    fn warning(&self, text: &str) {
        self.state.borrow_mut().finish_lines();
        self.notice(text);
    }

    fn note(&self, text: &str) {
        self.state.borrow_mut().finish_lines();
        if self.verbosity.level > 1 {
            print(&format!("relay: {text}\n"));
        }
    }

    fn pack_sent(&self) {
        let mut state = self.state.borrow_mut();
        let shown = self.verbosity.progress && state.passed.0 > 0 && !HUSHED.load(Ordering::Relaxed);
        if shown {
            self.draw(&mut state, ", done.\n");
        }
    }

    fn remark(&self, text: &str) {
        self.state.borrow_mut().finish_lines();
        if self.verbosity.level > 0 && !HUSHED.load(Ordering::Relaxed) {
            print(&format!("relay: {text}\n"));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.state.get_mut().finish_lines();
    }
}

/// Say why the run failed, in git's manner. `place` is the URL of the side that failed.
pub fn fatal(err: &Error, place: Option<&str>) {
    let message = match (err.side(), place) {
        (Some(side), Some(place)) => format!("{side} {place}: {}", err.message()),
        _ => err.to_string(),
    };
    print(&format!("fatal: {message}\n"));
    if let Some(hint) = err.hint_text() {
        hint.lines().for_each(|line| print(&format!("hint: {line}\n")));
    }
    log::debug!(target: "relay::helper", "{err:?}");
}

/// As git does it: on a terminal, what an earlier and longer line left is cleared first.
fn print_line(line: &str) {
    const CLEAR_TO_END: &str = "\x1b[K";
    let (text, end) = line.split_at(line.trim_end_matches(['\r', '\n']).len());
    if std::io::stderr().is_terminal() {
        print(&format!("{text}{CLEAR_TO_END}{end}"));
    } else {
        print(line);
    }
}

/// Print a line on standard error.
pub fn say(line: &str) {
    print(&format!("{line}\n"));
}

/// Nobody may be reading any more; that must not stop a push.
fn print(text: &str) {
    std::io::stderr().write_all(text.as_bytes()).ok();
}

fn objects(count: u64) -> String {
    format!("{count} object{}", if count == 1 { "" } else { "s" })
}

/// A size in git's units.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} bytes");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    format!("{value:.2} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_in_git() {
        assert_eq!(bytes(0), "0 bytes");
        assert_eq!(bytes(1023), "1023 bytes");
        assert_eq!(bytes(1536), "1.50 KiB");
        assert_eq!(bytes(176 << 20), "176.00 MiB");
        assert_eq!(bytes(3 << 40), "3.00 TiB");
    }
}
