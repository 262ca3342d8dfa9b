//! Pieces of the row, fetched so that each fills a pack and none is too large.

use std::collections::HashSet;
use std::io::{self, Read};

use gix_hash::ObjectId;

use super::super::relay;
use super::super::spool::Stored;
use super::Batches;
use super::sizes::{Forecast, Sizes};
use crate::error::{Error, Kind, Result, Side};
use crate::progress::Silent;
use crate::pump::PackCheck;
use crate::upload_pack::FetchRequest;
use crate::wire::object_list::ObjectList;

/// So many packs are begun and dropped because their size can be foretold; then one has to do.
const FORECASTS: u32 = 3;
/// So often a piece that is half empty is fetched again with more commits.
const GROWTHS: u32 = 2;

/// What came of fetching a piece.
#[derive(Debug)]
enum Fetched {
    Whole(Stored),
    /// It was dropped, and the next guess is another one.
    Dropped,
    /// It was too large, with so many objects.
    TooLarge(u32),
}

/// Who sets a limit.
#[derive(Debug, Clone, Copy)]
enum Whose {
    /// The target, for each pack.
    Targets,
    /// The user, for all of them together.
    Users(u64),
    /// The place where they are stored, for each.
    Places,
}

impl<'a> Batches<'a, '_> {
    /// Fetch the next piece, and say where it ends.
    pub(super) fn next_piece(&mut self) -> Result<(usize, Stored)> {
        let (mut forecasts, mut growths) = (FORECASTS, GROWTHS);
        loop {
            let left = self.row.len() - self.at;
            let to = self.fit(self.sizes.guess(left));
            let commits = to - self.at;
            let fetched = self.fetch(to, &mut forecasts)?;
            log::debug!(target: "relay::source", "{commits} commits of {left}: {fetched:?}");
            match fetched {
                Fetched::Dropped => {}
                Fetched::TooLarge(_) if self.is_least(to) && self.has_tail(to) => self.tail_apart = true,
                Fetched::TooLarge(_) if self.is_least(to) => return Err(self.cannot_fit(to, None)),
                Fetched::TooLarge(objects) => self.sizes.too_large(commits, objects),
                Fetched::Whole(piece) => {
                    let (objects, bytes) = (piece.summary.objects, piece.summary.bytes);
                    let is_full = self.sizes.learn(commits, left, objects, bytes);
                    if is_full || growths == 0 || self.fit(self.sizes.guess(left)) <= to {
                        return Ok((to, piece));
                    }
                    growths -= 1;
                }
            }
        }
    }

    /// Fetch the piece up to `to`, if it is not foreseeable that it is too large or too small.
    fn fetch(&mut self, to: usize, forecasts: &mut u32) -> Result<Fetched> {
        let (commits, left) = (to - self.at, self.row.len() - self.at);
        let may_drop = *forecasts > 0 && !self.is_least(to);
        let wants = match self.is_last(to) {
            true => self.job.wants.clone(),
            false => self
                .holders(to)
                .iter()
                .filter_map(|command| command.new)
                .collect(),
        };
        let fetched = self.take_in(wants, |sizes, objects| {
            may_drop && sizes.forecast(commits, left, objects) != Forecast::Good
        })?;
        if matches!(fetched, Fetched::Dropped) {
            *forecasts -= 1;
        }
        Ok(fetched)
    }

    /// Of what hangs behind the commits, tags for instance, fetch as much as fits at once: the objects that were asked for
    /// and their pack. `most` is what was too much before. `None` if nothing is left.
    pub(super) fn next_of_tail(&mut self, most: usize) -> Result<Option<(Vec<ObjectId>, Stored)>> {
        let has: HashSet<&ObjectId> = self.haves.iter().collect();
        let mut wants: Vec<ObjectId> = self.job.wants.iter().filter(|oid| !has.contains(oid)).collect();
        wants.truncate(most);
        while let Some(first) = wants.first().copied() {
            match self.take_in(wants.as_slice().into(), |_, _| false)? {
                Fetched::Whole(piece) => return Ok(Some((wants, piece))),
                Fetched::Dropped | Fetched::TooLarge(_) if wants.len() > 1 => wants.truncate(wants.len() / 2),
                Fetched::Dropped | Fetched::TooLarge(_) => {
                    let what = format!("what {first} names alone needs a pack that is");
                    return Err(too_large(&what, self.sizes.limit(), None));
                }
            }
        }
        Ok(None)
    }

    /// Ask for `wants`, and store the pack unless `drop_it` wants to be rid of it for the number of its objects.
    fn take_in(
        &mut self,
        wants: ObjectList,
        drop_it: impl FnOnce(&mut Sizes, u32) -> bool,
    ) -> Result<Fetched> {
        let request = self.request(wants);
        let (limit, whose) = self.limit();
        let terms = &self.job.terms;
        let mut on_bytes = self.meter();
        let mut pack = relay::fetch(self.ends.source, &request, self.progress)?;
        let (header, objects) = read_header(&mut pack)?;
        if drop_it(&mut self.sizes, objects) {
            return Ok(Fetched::Dropped);
        }
        let check = PackCheck::new(self.row.format(), Some(limit));
        let stored = Stored::new(&mut header.as_slice().chain(pack), check, &mut on_bytes);
        match (stored, whose) {
            (Ok(piece), _) => Ok(Fetched::Whole(piece)),
            (Err(err), _) if err.kind() != Kind::Limit => Err(err),
            (Err(_), Whose::Targets) => Ok(Fetched::TooLarge(objects)),
            (Err(err), Whose::Places) => Err(terms.explain_limit(err)),
            (Err(_), Whose::Users(max)) => {
                let message = format!("the packs together are larger than the limit of {max} bytes");
                Err(Error::new(Kind::Limit, message).on(Side::Source))
            }
        }
    }

    fn request(&self, wants: ObjectList) -> FetchRequest {
        FetchRequest {
            wants,
            haves: self.haves.as_slice().into(),
            done: true,
            thin_pack: self.thin && !self.haves.is_empty(),
            ofs_delta: self.ends.target.offers("ofs-delta"),
            // What it says about packs that are dropped would only confuse.
            progress: false,
            ..FetchRequest::default()
        }
    }

    /// Tells how much has passed in all batches together.
    fn meter(&self) -> impl FnMut(u64, u32) + use<'a> {
        let (moved, progress) = (self.course.moved.unwrap_or_default(), self.progress);
        move |bytes, objects| {
            let objects = moved.objects.saturating_add(objects.into());
            progress.pack_bytes(moved.bytes + bytes, u32::try_from(objects).unwrap_or(u32::MAX));
        }
    }

    /// The most bytes that the next pack may have, and whose limit that is.
    fn limit(&self) -> (u64, Whose) {
        let terms = &self.job.terms;
        let moved = self.course.moved.unwrap_or_default().bytes;
        let users = terms
            .max_pack_bytes
            .map(|max| (max.saturating_sub(moved), Whose::Users(max)));
        let places = terms.materialized_max_bytes.map(|max| (max, Whose::Places));
        let ours = users.into_iter().chain(places);
        ours.fold((self.sizes.limit(), Whose::Targets), |least, other| {
            match other.0 < least.0 {
                true => other,
                false => least,
            }
        })
    }

    /// Where a piece of so many commits may end.
    pub(super) fn fit(&self, commits: usize) -> usize {
        let wanted = self.at + commits;
        match &self.steps {
            Some(steps) => steps.fit(self.at, wanted).unwrap_or(self.row.len()),
            None => wanted,
        }
    }

    /// Whether no piece can be shorter than that up to `to`.
    pub(super) fn is_least(&self, to: usize) -> bool {
        to <= self.fit(1)
    }

    /// Whether something goes with the commits up to `to` that could go behind them.
    pub(super) fn has_tail(&self, to: usize) -> bool {
        self.is_last(to) && self.job.wants.iter().any(|oid| self.row.end_at(&oid).is_none())
    }

    /// The error for a piece that cannot be made smaller; `bytes` is its size, if the target had it in hands.
    pub(super) fn cannot_fit(&mut self, to: usize, bytes: Option<u64>) -> Error {
        let limit = self.sizes.limit();
        let Some(commit) = to.checked_sub(1).and_then(|place| self.row.id(place)) else {
            return too_large("the pack is", limit, bytes);
        };
        let bytes = bytes.or_else(|| self.measure(to).ok());
        match to - self.at {
            1 => too_large(
                &format!("the commit {commit} alone needs a pack that is"),
                limit,
                bytes,
            ),
            many => too_large(
                &format!("{many} commits up to {commit}, which have to go together, are"),
                limit,
                bytes,
            ),
        }
    }

    /// How large the piece up to `to` is, by reading all of it.
    fn measure(&mut self, to: usize) -> Result<u64> {
        let wants = self
            .holders(to)
            .iter()
            .filter_map(|command| command.new)
            .collect();
        let request = self.request(wants);
        let mut pack = relay::fetch(self.ends.source, &request, &Silent)?;
        io::copy(&mut pack, &mut io::sink()).map_err(reading)
    }
}

fn too_large(what: &str, limit: u64, bytes: Option<u64>) -> Error {
    let size = bytes.map(|bytes| format!(" ({bytes} bytes)")).unwrap_or_default();
    let message = format!("{what} larger than the {limit} bytes that it takes at once{size}");
    Error::new(Kind::Limit, message)
        .on(Side::Target)
        .hint("its owner can raise the limit, or the history has to be rewritten without the large files")
}

fn reading(err: io::Error) -> Error {
    Error::from_io(err, "reading the pack").on(Side::Source)
}

/// The first bytes of a pack, as far as they have come, and the number of objects that they tell.
fn read_header(pack: &mut impl Read) -> Result<(Vec<u8>, u32)> {
    let mut header = Vec::new();
    pack.take(12).read_to_end(&mut header).map_err(reading)?;
    let objects = header.last_chunk().copied().map(u32::from_be_bytes);
    Ok((header, objects.unwrap_or_default()))
}
