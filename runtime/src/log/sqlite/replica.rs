//! A local copy of one partition of a distant log: what it has judged, for reading by position, by stream and by commit id.
//!
//! It can always be made again, so a commit need not reach the disk at once: after a power cut the file is consistent, a little older.

use super::indexer::{self, Indexer};
use super::pack::{EventRef, Packer};
use super::tail::{self, CommitKey, Tail};
use super::{Shared, SqliteLog, connect, migrate};
use crate::log::sequencer::{Body, Output, Place, by_commit};
use anyhow::Context as _;
use proto::Recorded;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS followed (
  one INTEGER PRIMARY KEY CHECK (one = 1), generation TEXT NOT NULL, next_offset INTEGER NOT NULL, commit_offset INTEGER, idx INTEGER
) STRICT;
";

/// How far a distant log was followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// Which log it is.
    pub generation: String,
    /// Where to read on, in the distant log's own count.
    pub next_offset: i64,
    /// The last output of the last whole commit.
    pub last: Option<Place>,
}

impl Followed {
    fn load(connection: &Connection) -> rusqlite::Result<Option<Self>> {
        let sql = "SELECT generation, next_offset, commit_offset, idx FROM followed";
        let row = connection.prepare_cached(sql)?.query_row([], |row| {
            let place = row.get::<_, Option<u64>>(2)?.zip(row.get::<_, Option<u32>>(3)?);
            let last = place.map(|(commit_offset, index)| Place { commit_offset, index });
            Ok(Self { generation: row.get(0)?, next_offset: row.get(1)?, last })
        });
        row.optional()
    }

    fn store(&self, connection: &Connection) -> rusqlite::Result<()> {
        let (commit_offset, index) = self.last.map(|last| (last.commit_offset, last.index)).unzip();
        connection.prepare_cached("INSERT OR REPLACE INTO followed VALUES (1, ?, ?, ?, ?)")?.execute((
            &self.generation,
            self.next_offset,
            commit_offset,
            index,
        ))?;
        Ok(())
    }
}

/// The one writer of a local copy. Blocking.
pub struct Replica {
    path: PathBuf,
    connection: Connection,
    indexer: Indexer,
    next_position: u64,
    head: watch::Sender<u64>,
}

impl Replica {
    /// Opens the copy at `path`, and creates it when there is none. Returns it with a log to read it by, whose `append` always fails,
    /// and how far it has followed.
    ///
    /// # Errors
    /// When the file cannot be opened, is not a copy, or was written by a newer version.
    pub fn open(path: impl Into<PathBuf>) -> anyhow::Result<(Self, SqliteLog, Option<Followed>)> {
        let path = path.into();
        let mut connection = connect(&path)?;
        let prepared = migrate::prepare(&mut connection, migrate::Old::Drop);
        prepared.with_context(|| format!("opening the copy of the log {}", path.display()))?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.execute_batch(SCHEMA)?;
        let followed = Followed::load(&connection)?;
        let tail = Arc::<Mutex<Tail>>::default();
        let next_position = tail::lock(&tail).catch_up(&connection)?.next_position;
        let (head, reader_head) = watch::channel(next_position);
        let (queue, _) = flume::bounded(0);
        let shared = Shared { path: path.clone(), queue, head: reader_head, idle_readers: Mutex::default(), tail: tail.clone() };
        Ok((
            Self { path, connection, indexer: Indexer::new(tail, indexer::GATHER), next_position, head },
            SqliteLog(Arc::new(shared)),
            followed,
        ))
    }

    /// Returns the position that the next event will get.
    #[must_use]
    pub fn next_position(&self) -> u64 {
        self.next_position
    }

    /// Writes the commits of whole records in order, and how far that goes: all of it, or nothing.
    ///
    /// # Errors
    /// When the disk is full or the commits do not follow what is there.
    pub fn record(&mut self, records: &[Vec<Output>], followed: &Followed) -> anyhow::Result<()> {
        self.next_position =
            self.try_record(records, followed).with_context(|| format!("writing the copy of the log in {}", self.path.display()))?;
        self.head.send_if_modified(|head| std::mem::replace(head, self.next_position) != self.next_position);
        Ok(())
    }

    fn try_record(&mut self, records: &[Vec<Output>], followed: &Followed) -> anyhow::Result<u64> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let before = tail::lock(self.indexer.tail()).catch_up(&transaction)?;
        let mut packer = Packer::new(before);
        for said in records.iter().flat_map(|outputs| by_commit(outputs)) {
            pack(&mut packer, said)?;
        }
        followed.store(&transaction)?;
        Ok(self.indexer.write(transaction, packer, before)?.next_position)
    }
}

/// Packs what was said of one commit.
fn pack(packer: &mut Packer, outputs: &[Output]) -> anyhow::Result<()> {
    let Some(first) = outputs.first() else { return Ok(()) };
    let key = CommitKey { workspace: first.body.workspace(), id: first.commit };
    let mut events = Vec::with_capacity(outputs.len());
    for output in outputs {
        match &output.body {
            Body::Event(event) => events.push(event),
            Body::Rejected { conflict, .. } => packer.reject(key, conflict.clone()),
        }
    }
    let Some(first) = events.first() else { return Ok(()) };
    packer.begin(key, events.len(), &first.metadata);
    for section in events.chunk_by(|one, next| one.stream == next.stream && one.version + 1 == next.version) {
        for (event, position) in section.iter().zip(packer.next_position()..) {
            anyhow::ensure!(event.position == position, "position {} follows {position}", event.position);
            let is_shared = event.workspace == key.workspace && event.metadata == first.metadata;
            anyhow::ensure!(is_shared, "the events of the commit at position {} do not belong together", first.position);
        }
        packer.section(&section[0].stream, section[0].version, section.iter().map(|event| EventRef::from(*event)));
    }
    packer.end();
    Ok(())
}

impl<'a> From<&'a Recorded> for EventRef<'a> {
    fn from(event: &'a Recorded) -> Self {
        Self { id: event.id, event_type: &event.event_type, schema_version: event.schema_version, payload: &event.payload }
    }
}
