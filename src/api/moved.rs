//! Was a ref refused because somebody else had written it in the meantime?

use super::run::{Run, Status};
use crate::error::{Error, Kind, Side};
use crate::session;
use crate::url::Address;

/// Look again at the refs that the target refused. Servers have no common word for a lost race, but a value that is no
/// longer the one that was pushed against tells it.
pub(super) fn look_again(run: &mut Run, place: &Address) {
    if !run.refs.iter().any(|entry| refused(entry.status)) {
        return;
    }
    let target = match session::connect_target(place) {
        Ok(target) => target,
        Err(err) => {
            log::info!(target: "relay::target", "cannot look again: {err}");
            return;
        }
    };
    let traffic = target.link().traffic();
    run.target_stats.requests += traffic.requests;
    run.target_stats.bytes_sent += traffic.bytes_sent;
    run.target_stats.bytes_received += traffic.bytes_received;
    let mut moved = Vec::new();
    for entry in run.refs.iter_mut().filter(|entry| refused(entry.status)) {
        if target.find(&entry.target).map(|now| now.oid) != entry.old {
            entry.status = Status::Rejected;
            entry.reason = Some(match entry.reason.take() {
                Some(words) => format!("remote ref moved ({words})"),
                None => "remote ref moved".into(),
            });
            moved.push(crate::error::printable(&entry.target));
        }
    }
    if !moved.is_empty() {
        let message = format!("{} moved while this run was under way", moved.join(", "));
        run.error.get_or_insert_with(|| {
            Error::new(Kind::Moved, message)
                .on(Side::Target)
                .hint("run it again to judge the new value")
        });
    }
}

fn refused(status: Status) -> bool {
    matches!(status, Status::Rejected | Status::Warned)
}
