//! Makes the tables, and brings a file of an older version up to date.

use super::index;
use super::indexer;
use super::pack::{EventRef, Packer};
use super::tail::{CommitKey, Extent, Tail};
use crate::log::{Conflict, Expected};
use anyhow::Context as _;
use domain::Timestamp;
use domain::id::{CommitId, EventId, WorkspaceId};
use proto::{Metadata, StreamName};
use rusqlite::{Connection, Row, TransactionBehavior};
use thiserror::Error;
use uuid::Uuid;

const SCHEMA_VERSION: i64 = 2;

/// A file of a version of the program that comes after this one. It was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("it was written by a newer version of clipflow (schema {schema})")]
pub struct NewerFile {
    /// The version of its tables.
    pub schema: i64,
}

/// Bytes that are gathered before they are written.
const PAGE_BYTES: usize = 8 << 20;

/// What happens to the events of an older version.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Old {
    /// They are written anew, in the same transaction.
    Keep,
    /// They are dropped: they can be had again.
    Drop,
}

/// Makes the tables if there are none.
pub(super) fn prepare(connection: &mut Connection, old: Old) -> anyhow::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version > SCHEMA_VERSION {
        return Err(NewerFile { schema: version }.into());
    }
    if version == SCHEMA_VERSION {
        return Ok(());
    }
    match (version, old) {
        (1, Old::Keep) => {
            transaction.execute_batch(index::SCHEMA)?;
            rewrite(&transaction).context("bringing it up to date: nothing was changed")?;
            transaction.execute_batch("DROP TABLE events; DROP TABLE commits;")?;
        }
        (1, Old::Drop) => {
            transaction.execute_batch("DROP TABLE events; DROP TABLE commits; DROP TABLE streams; DROP TABLE IF EXISTS followed;")?;
            transaction.execute_batch(index::SCHEMA)?;
        }
        _ => transaction.execute_batch(index::SCHEMA)?,
    }
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    Ok(transaction.commit()?)
}

/// Packs the events and verdicts of version 1, which had a row for each.
fn rewrite(connection: &Connection) -> anyhow::Result<()> {
    let mut writing = Writing { connection, tail: Tail::default(), extent: index::extent(connection)?, packer: None, bytes: 0 };
    let mut commits = connection.prepare(
        "SELECT workspace, id, first_position, last_position, conflict_stream, conflict_expected, conflict_actual
         FROM commits ORDER BY first_position IS NULL, first_position",
    )?;
    let mut rows = commits.query([])?;
    while let Some(row) = rows.next()? {
        let key = CommitKey { workspace: WorkspaceId(uuid(row, 0)?), id: CommitId(uuid(row, 1)?) };
        match row.get_ref(4)?.as_str_or_null()? {
            None => writing.accepted(key, row.get(2)?, row.get(3)?)?,
            Some(stream) => {
                let stream = stream.parse()?;
                let expected = expected(row.get(5)?)?;
                writing.packer().reject(key, Conflict { stream, expected, actual: row.get(6)? });
            }
        }
        writing.write_if_much()?;
    }
    let head: Option<u64> = connection.query_row("SELECT max(position) + 1 FROM events", [], |row| row.get(0))?;
    let packed = writing.packer().next_position();
    anyhow::ensure!(packed == head.unwrap_or(0), "events from position {packed} on belong to no commit");
    writing.write()
}

struct Writing<'a> {
    connection: &'a Connection,
    tail: Tail,
    extent: Extent,
    packer: Option<Packer>,
    bytes: usize,
}

/// An event of version 1, beside what the whole commit shares.
struct OldEvent {
    stream: i64,
    version: u64,
    id: EventId,
    event_type: String,
    schema_version: u32,
    payload: Vec<u8>,
}

impl Writing<'_> {
    fn packer(&mut self) -> &mut Packer {
        self.packer.get_or_insert_with(|| Packer::new(self.extent))
    }

    fn accepted(&mut self, key: CommitKey, first: u64, last: u64) -> anyhow::Result<()> {
        let expected = self.packer().next_position();
        anyhow::ensure!(first == expected, "the commit at position {first} follows position {expected}");
        let mut statement = self.connection.prepare_cached(
            "SELECT stream, version, id, type, schema_version, payload, at, actor, correlation, causation, traceparent
             FROM events WHERE position BETWEEN ? AND ? ORDER BY position",
        )?;
        let mut rows = statement.query((first, last))?;
        let (mut events, mut shared) = (Vec::new(), None);
        while let Some(row) = rows.next()? {
            events.push(OldEvent {
                stream: row.get(0)?,
                version: row.get(1)?,
                id: EventId(uuid(row, 2)?),
                event_type: row.get(3)?,
                schema_version: row.get(4)?,
                payload: row.get(5)?,
            });
            let metadata = metadata(row)?;
            anyhow::ensure!(*shared.get_or_insert_with(|| metadata.clone()) == metadata, "the commit at position {first} is not one");
        }
        let metadata = shared.with_context(|| format!("the commit at position {first} has no events"))?;
        anyhow::ensure!(events.len() as u64 == last + 1 - first, "the commit at position {first} lacks events");
        self.bytes += events.iter().map(|event| event.payload.len()).sum::<usize>();
        self.packer().begin(key, events.len(), &metadata);
        for section in events.chunk_by(|one, next| one.stream == next.stream && one.version + 1 == next.version) {
            let stream = stream_name(self.connection, section[0].stream)?;
            self.packer().section(&stream, section[0].version, section.iter().map(OldEvent::as_ref));
        }
        self.packer().end();
        Ok(())
    }

    fn write_if_much(&mut self) -> anyhow::Result<()> {
        if self.bytes >= PAGE_BYTES { self.write() } else { Ok(()) }
    }

    /// Writes what was gathered, and the index when enough waits for it.
    fn write(&mut self) -> anyhow::Result<()> {
        let (batches, outline) = self.packer.take().map(Packer::into_batches).unwrap_or_default();
        index::insert(self.connection, &batches)?;
        self.tail.add(self.extent.next_batch..self.extent.next_batch + batches.len() as u64, outline);
        self.extent = index::extent(self.connection)?;
        self.bytes = 0;
        if self.tail.entries() >= indexer::GATHER {
            indexer::write_all(self.connection, &mut self.tail)?;
        }
        Ok(())
    }
}

impl OldEvent {
    fn as_ref(&self) -> EventRef<'_> {
        EventRef { id: self.id, event_type: &self.event_type, schema_version: self.schema_version, payload: &self.payload }
    }
}

fn metadata(row: &Row<'_>) -> anyhow::Result<Metadata> {
    let causation = row.get_ref(9)?.as_blob_or_null()?.map(Uuid::from_slice).transpose()?;
    Ok(Metadata {
        at: Timestamp(row.get(6)?),
        actor: row.get(7)?,
        correlation: uuid(row, 8)?,
        causation: causation.map(EventId),
        traceparent: row.get(10)?,
    })
}

fn stream_name(connection: &Connection, key: i64) -> anyhow::Result<StreamName> {
    let name: String = connection.prepare_cached("SELECT name FROM streams WHERE key = ?")?.query_row([key], |row| row.get(0))?;
    Ok(name.parse()?)
}

fn expected(value: i64) -> anyhow::Result<Expected> {
    Ok(match value {
        -1 => Expected::Any,
        -2 => Expected::Exists,
        -3 => Expected::Empty,
        version => Expected::Exact(version.try_into()?),
    })
}

fn uuid(row: &Row<'_>, column: usize) -> anyhow::Result<Uuid> {
    Ok(Uuid::from_slice(row.get_ref(column)?.as_blob()?)?)
}
