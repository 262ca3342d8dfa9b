//! Signals that stop `git relay`: what it keeps in the directory for temporary files goes first.

use crate::error::{Error, Kind, Result};
use crate::git::foreground::takes_signals;
use crate::git::scratch;
use crate::helper::StopSignals;
use crate::report::hush;

/// From now on end on a signal only after tidying up, unless there is a git in the foreground, which gets the signal
/// passed on and is tidied up after. Where the system does not let us listen, the next run tidies up.
pub(super) fn tidily() {
    if let Err(err) = listen() {
        log::warn!(target: "relay::helper", "{err}");
    }
}

fn listen() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(|err| Error::from_io(err, "cannot start"))?;
    let mut signals = runtime.block_on(async { StopSignals::listen() })?;
    let wait = move || {
        let mut number = runtime.block_on(signals.next());
        while takes_signals() {
            number = runtime.block_on(signals.next());
        }
        hush();
        scratch::remove_all();
        std::process::exit(128 + i32::from(number));
    };
    let thread = std::thread::Builder::new().name("signals".into()).spawn(wait);
    thread
        .map(drop)
        .map_err(|err| Error::new(Kind::Internal, "could not start a thread").caused_by(err))
}
