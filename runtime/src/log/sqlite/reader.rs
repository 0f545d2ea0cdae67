//! Reads on a connection of its own: pages of batches, streams, verdicts.

use super::index;
use super::tail::{self, CommitKey, Place, StreamKey, Tail};
use super::unpack::{Commit, Outcome, Unpacked};
use super::writer::STATEMENTS_MAX;
use crate::log::Verdict;
use bytes::Bytes;
use proto::Recorded;
use rusqlite::Connection;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Events after which a page ends, and bytes: large enough that a page's start costs nothing, small enough to hold a few of them.
const PAGE_EVENTS: u64 = 4_096;
const PAGE_BYTES: usize = 1 << 20;

/// Some batches in order, and where to go on.
pub(super) struct Page {
    pub(super) batches: Vec<Unpacked<Bytes>>,
    /// Events below are not wanted.
    pub(super) from: u64,
    /// Every position below is in the page, or before it.
    pub(super) next: u64,
    /// The log's head when the page was read.
    pub(super) head: u64,
}

/// Where a follower is.
#[derive(Clone, Copy)]
pub(super) struct Bookmark {
    pub(super) position: u64,
    /// The batch to read next, once it is known.
    pub(super) batch: Option<u64>,
}

pub(super) struct Reader {
    connection: Connection,
    tail: Arc<Mutex<Tail>>,
}

impl Reader {
    pub(super) fn new(connection: Connection, tail: Arc<Mutex<Tail>>) -> Self {
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        Self { connection, tail }
    }

    pub(super) fn head(&self) -> anyhow::Result<u64> {
        Ok(index::extent(&self.connection)?.next_position)
    }

    /// Returns the batches from a bookmark on, up to a page, and moves it behind them.
    pub(super) fn page(&mut self, bookmark: &mut Bookmark) -> anyhow::Result<Page> {
        let extent = index::extent(&self.connection)?;
        let from = bookmark.position;
        // A reader ahead of the head waits until the log gets there.
        let mut page = Page { batches: Vec::new(), from, next: from, head: extent.next_position.max(from) };
        if extent.next_position <= from {
            return Ok(page);
        }
        let first = match bookmark.batch {
            Some(batch) => batch,
            None => index::batch_of(&self.connection, from, extent.next_batch)?,
        };
        let mut bytes = 0;
        index::each_batch(&self.connection, first, |batch, data| {
            page.batches.push(Unpacked::open(batch.number, batch.first_position, Bytes::copy_from_slice(data))?);
            bytes += data.len();
            bookmark.batch = Some(batch.number + 1);
            page.next = batch.next_position.max(from);
            Ok(page.next < page.head && page.next - from < PAGE_EVENTS && bytes < PAGE_BYTES)
        })?;
        page.head = page.head.max(page.next);
        bookmark.position = page.next;
        Ok(page)
    }

    /// Returns what became of a commit.
    pub(super) fn verdict(&mut self, key: CommitKey) -> anyhow::Result<Option<Verdict>> {
        let transaction = self.connection.transaction()?;
        {
            let mut tail = tail::lock(&self.tail);
            tail.catch_up(&transaction)?;
            if let Some(known) = tail.commit(&key) {
                return Ok(Some(known.verdict.clone()));
            }
        }
        verdict_at(&transaction, &index::commit_places(&transaction, key.id)?, key)
    }

    /// Returns at most `limit` events of a stream from `from_version` on.
    pub(super) fn stream(&mut self, key: &StreamKey, from_version: u64, limit: usize) -> anyhow::Result<Vec<Recorded>> {
        let transaction = self.connection.transaction()?;
        // The transaction starts to see the file while the tail is locked: so the index is of the tail's moment, and lacks what is there.
        let (extent, newest) = {
            let mut tail = tail::lock(&self.tail);
            (tail.catch_up(&transaction)?, tail.places(key, from_version, limit))
        };
        let mut places = index::stream_places(&transaction, key, from_version, limit)?;
        places.retain(|place| place.batch() < extent.indexed_below);
        places.extend(newest);
        let mut events = Vec::with_capacity(places.len().min(limit));
        for places in places.chunk_by(|one, other| one.batch() == other.batch()) {
            let wanted = Wanted { key, from_version, limit };
            index::batch(&transaction, places[0].batch(), |batch| wanted.collect(&batch, places, &mut events))?;
        }
        Ok(events)
    }
}

/// Returns the verdict on the first of the commits at these places that is the wanted one.
pub(super) fn verdict_at(connection: &Connection, places: &[Place], key: CommitKey) -> anyhow::Result<Option<Verdict>> {
    for place in places {
        let found = index::batch(connection, place.batch(), |batch| {
            let commit = batch.commit(batch.at(*place))?;
            Ok((commit.key == key).then(|| commit.outcome.verdict()))
        })?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Which events of a stream are wanted.
struct Wanted<'a> {
    key: &'a StreamKey,
    from_version: u64,
    limit: usize,
}

impl Wanted<'_> {
    /// Adds the wanted events of commits at `places` in a batch.
    fn collect(&self, batch: &Unpacked<&[u8]>, places: &[Place], events: &mut Vec<Recorded>) -> anyhow::Result<()> {
        let mut types = HashMap::<usize, Arc<str>>::new();
        for place in places {
            let Commit { key, outcome, end } = batch.commit(batch.at(*place))?;
            let Outcome::Accepted { first_position, metadata, sections, .. } = outcome else {
                return Err(batch.damaged("a rejected commit has events").into());
            };
            let (mut at, mut position) = (sections, first_position);
            while at < end && events.len() < self.limit {
                let section = batch.section(at)?;
                if batch.text(section.stream)? != self.key.stream.as_str() || key.workspace != self.key.workspace {
                    (at, position) = (batch.skip(&section)?, position + section.events);
                    continue;
                }
                at = section.at;
                for version in section.first_version..section.first_version + section.events {
                    let event = batch.event(at)?;
                    (at, position) = (event.end, position + 1);
                    if version < self.from_version || events.len() >= self.limit {
                        continue;
                    }
                    let event_type = match types.get(&event.event_type) {
                        Some(known) => known.clone(),
                        None => {
                            let name: Arc<str> = batch.text(event.event_type)?.into();
                            types.insert(event.event_type, name.clone());
                            name
                        }
                    };
                    events.push(Recorded {
                        id: event.id,
                        workspace: key.workspace,
                        stream: self.key.stream.clone(),
                        version,
                        position: position - 1,
                        event_type,
                        schema_version: event.schema_version,
                        payload: Bytes::copy_from_slice(event.payload),
                        metadata: metadata.to_owned(),
                    });
                }
            }
        }
        Ok(())
    }
}
