//! What the index does not have yet: where the newest commits and their streams' events lie.
//!
//! One tail serves the writer and all readers of a handle. It never looks at the file by itself: whoever uses it gives it a transaction to
//! catch up by, while holding its lock; so what it covers only grows, and a reader sees it together with the index of the same moment.

use super::{index, pack, unpack::Unpacked};
use crate::log::Verdict;
use domain::id::{CommitId, WorkspaceId};
use proto::StreamName;
use rusqlite::Connection;
use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A commit's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct CommitKey {
    pub(super) workspace: WorkspaceId,
    pub(super) id: CommitId,
}

/// A stream's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct StreamKey {
    pub(super) workspace: WorkspaceId,
    pub(super) stream: StreamName,
}

/// Where a commit lies: in which batch, and where its bytes start after the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(u64);

impl Place {
    pub(super) fn new(batch: u64, offset: usize) -> Self {
        debug_assert!(offset < pack::BATCH_BYTES, "commits start below this offset");
        Self(batch * pack::BATCH_BYTES as u64 + offset as u64)
    }

    pub(super) fn batch(self) -> u64 {
        self.0 / pack::BATCH_BYTES as u64
    }

    pub(super) fn offset(self) -> usize {
        (self.0 % pack::BATCH_BYTES as u64) as usize
    }

    pub(super) fn to_sql(self) -> u64 {
        self.0
    }

    pub(super) fn from_sql(value: u64) -> Self {
        Self(value)
    }
}

/// Some events of one stream in one commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) last_version: u64,
    pub(super) place: Place,
}

/// A commit that was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// As it is told to who asks again.
    pub(super) verdict: Verdict,
    pub(super) place: Place,
}

/// What is in some batches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outline {
    pub(super) commits: HashMap<CommitKey, Known>,
    /// In order.
    pub(super) sections: Vec<(StreamKey, Section)>,
}

impl Outline {
    pub(super) fn entries(&self) -> usize {
        self.commits.len() + self.sections.len()
    }
}

/// How far the log and its index go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// The number of the next batch.
    pub(super) next_batch: u64,
    pub(super) next_position: u64,
    /// Batches below are in the index.
    pub(super) indexed_below: u64,
}

/// The commits of some batches, for looking up.
#[derive(Debug, Default)]
struct Layer {
    commits: HashMap<CommitKey, Known>,
    streams: HashMap<StreamKey, Vec<Section>>,
    sections: usize,
}

#[derive(Debug, Default)]
pub(super) struct Tail {
    indexed_below: u64,
    /// What is on its way into the index, from there up to batch `split`.
    sinking: Layer,
    split: u64,
    /// What lies above.
    fresh: Layer,
    next_batch: u64,
}

/// What the index is to get, in order.
#[derive(Debug)]
pub(super) struct Entries {
    pub(super) commits: Vec<(CommitId, Place)>,
    pub(super) sections: Vec<(StreamKey, Section)>,
    /// They are those of all batches from here,
    pub(super) from: u64,
    /// to below here.
    pub(super) below: u64,
}

impl Layer {
    fn entries(&self) -> usize {
        self.commits.len() + self.sections
    }

    /// Adds what lies above everything that there is.
    fn add(&mut self, commits: HashMap<CommitKey, Known>, sections: impl IntoIterator<Item = (StreamKey, Section)>) {
        for (key, known) in commits {
            // The first verdict on an id counts.
            self.commits.entry(key).or_insert(known);
        }
        for (key, section) in sections {
            self.streams.entry(key).or_default().push(section);
            self.sections += 1;
        }
    }
}

impl Tail {
    /// Returns how many entries the index lacks.
    pub(super) fn entries(&self) -> usize {
        self.sinking.entries() + self.fresh.entries()
    }

    pub(super) fn commit(&self, key: &CommitKey) -> Option<&Known> {
        // The first verdict on an id counts.
        self.sinking.commits.get(key).or_else(|| self.fresh.commits.get(key))
    }

    pub(super) fn commit_ids(&self) -> impl Iterator<Item = CommitId> {
        self.sinking.commits.keys().chain(self.fresh.commits.keys()).map(|key| key.id)
    }

    pub(super) fn last_version(&self, stream: &StreamKey) -> Option<u64> {
        let last = |layer: &Layer| Some(layer.streams.get(stream)?.last()?.last_version);
        last(&self.fresh).or_else(|| last(&self.sinking))
    }

    /// Brings the tail up to what a transaction sees, and returns how far that is.
    pub(super) fn catch_up(&mut self, connection: &Connection) -> anyhow::Result<Extent> {
        let extent = index::extent(connection)?;
        self.forget_below(extent.indexed_below);
        if self.next_batch < extent.next_batch {
            index::each_batch(connection, self.next_batch, |row, data| {
                let outline = Unpacked::open(row.number, row.first_position, data)?.outline()?;
                self.add(row.number..row.number + 1, outline);
                Ok(true)
            })?;
        }
        Ok(extent)
    }

    /// Adds what was written as these batches, unless it was read already.
    pub(super) fn add(&mut self, batches: std::ops::Range<u64>, outline: Outline) {
        if batches.start != self.next_batch {
            return;
        }
        self.next_batch = batches.end;
        self.fresh.add(outline.commits, outline.sections);
    }

    /// Returns all that there is, for the index; until it is there, the tail keeps it apart from what comes.
    pub(super) fn sink(&mut self) -> Entries {
        let fresh = mem::take(&mut self.fresh);
        if self.sinking.entries() == 0 {
            self.sinking = fresh;
        } else {
            // What sank before did not arrive.
            let sections =
                fresh.streams.into_iter().flat_map(|(key, sections)| sections.into_iter().map(move |section| (key.clone(), section)));
            self.sinking.add(fresh.commits, sections);
        }
        self.split = self.next_batch;
        let mut commits: Vec<_> = self.sinking.commits.iter().map(|(key, known)| (key.id, known.place)).collect();
        commits.sort_unstable();
        let mut streams: Vec<_> = self.sinking.streams.iter().collect();
        streams.sort_unstable_by_key(|(stream, _)| *stream);
        let sections = streams.into_iter().flat_map(|(stream, sections)| sections.iter().map(|section| (stream.clone(), *section)));
        Entries { commits, sections: sections.collect(), from: self.indexed_below, below: self.split }
    }

    /// Drops what the index has by now.
    pub(super) fn forget_below(&mut self, indexed_below: u64) {
        if indexed_below <= self.indexed_below {
            return;
        }
        if indexed_below == self.split {
            self.sinking = Layer::default();
            self.indexed_below = indexed_below;
        } else {
            // Another process wrote the index up to somewhere else: what lies above is read again.
            *self = Self { indexed_below, split: indexed_below, next_batch: indexed_below, ..Self::default() };
        }
    }

    /// Returns where a stream's events from a version on lie, `limit` places and perhaps more.
    pub(super) fn places(&self, key: &StreamKey, from_version: u64, limit: usize) -> Vec<Place> {
        let mut places = Vec::new();
        for layer in [&self.sinking, &self.fresh] {
            let all = layer.streams.get(key).map_or(&[][..], Vec::as_slice);
            let wanted = &all[all.partition_point(|section| section.last_version < from_version)..];
            places.extend(wanted.iter().take(limit).map(|section| section.place));
        }
        places
    }
}

pub(super) fn lock(tail: &Mutex<Tail>) -> MutexGuard<'_, Tail> {
    // Whatever the tail holds is true: a panic leaves it at most with less than it could hold.
    tail.lock().unwrap_or_else(PoisonError::into_inner)
}
