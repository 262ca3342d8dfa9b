//! Through a temporary repository: the source's pack is indexed by git, packed anew by git, and pushed by our own client.
//!
//! - here: the way of the objects, from both places they can come from.
//! - [`repository`]: the temporary repository.
//!
//! When this route is taken is told in [`super::deliver`]; what is local, in [`super::local`].

mod repository;

use std::cell::RefCell;
use std::io::{self, BufRead, Read};

use super::relay::{self, Relayed};
use super::{Ends, Job};
use crate::error::{Error, Result};
use crate::git::pack::PackName;
use crate::progress::Progress;
use crate::pump::PackCheck;
use crate::upload_pack::FetchRequest;
use crate::wire::object_list::ObjectList;
use repository::Repository;

/// Carry `job` out through a temporary repository, of which nothing is left afterwards.
///
/// # Errors
/// `Limit` when more would have to be stored than [`Terms::materialized_max_bytes`](super::Terms) allows, `Internal`,
/// with the place in its words, when there is no room; nothing has changed then.
pub(super) fn run(ends: &mut Ends<'_>, job: &Job, progress: &dyn Progress) -> Result<Relayed> {
    let repository = Repository::create(ends.source.format(), job.local.as_ref())?;
    let mut packs = Vec::new();
    let mut wants = job.wants.clone();
    if let Some(local) = &job.local {
        let part = local.part(&repository.git, ends)?;
        wants = wants.iter().chain(part.wants).collect();
        if let Some(name) = &part.pack {
            let checked = repository.check_size(name, job.terms.stored_limit());
            checked.map_err(|err| job.terms.explain_limit(err))?;
        }
        packs.extend(part.pack);
    }
    if !wants.is_empty() {
        packs.push(fetch(ends, &repository, wants, job, progress)?);
    }
    let format = ends.target.format();
    let repacked = repository.git.repack(&packs)?;
    let mut repacked = Ours {
        inner: repacked,
        failure: RefCell::default(),
    };
    let check = PackCheck::new(format, job.terms.relayed_limit(false));
    let sent = relay::send(&mut repacked, check, ends.target, job, progress);
    match repacked.failure.into_inner() {
        Some(why) => Err(repository.failed(why)),
        None => sent.map_err(|err| job.terms.explain_relayed(err, false)),
    }
}

/// Bring `wants`, as far as the target lacks it, into `repository`.
fn fetch(
    ends: &mut Ends<'_>,
    repository: &Repository,
    wants: ObjectList,
    job: &Job,
    progress: &dyn Progress,
) -> Result<PackName> {
    let request = FetchRequest {
        wants,
        haves: job.haves.clone(),
        done: true,
        // The bases of a thin pack are the target's.
        thin_pack: false,
        ofs_delta: true,
        progress: job.progress,
        ..FetchRequest::default()
    };
    let check = PackCheck::new(ends.source.format(), job.terms.stored_limit());
    let mut pack = relay::fetch(ends.source, &request, progress)?;
    let name = repository.store(&mut pack, check, job.terms.fsck, progress);
    name.map_err(|err| job.terms.explain_limit(err))
}

/// A pack of our own making. What goes wrong with it is no fault of either side, and is kept here.
struct Ours<R> {
    inner: R,
    failure: RefCell<Option<Error>>,
}

impl<R> Ours<R> {
    fn keep(&self, err: io::Error) -> io::Error {
        let err = Error::from_io(err, "reading from git pack-objects");
        let told = io::Error::other(err.to_string());
        self.failure.replace(Some(err));
        told
    }
}

impl<R: BufRead> Read for Ours<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buf)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Ours<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        // The borrow checker does not let go of a slice that only one branch returns, so it is asked for twice.
        if let Err(err) = self.inner.fill_buf() {
            return Err(match err.kind() {
                io::ErrorKind::Interrupted => err,
                _ => self.keep(err),
            });
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.inner.consume(amount);
    }
}
