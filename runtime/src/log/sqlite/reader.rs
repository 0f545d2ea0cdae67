//! Reads pages of events on a connection of its own.

use super::{head, signed, unsigned, wrong_text};
use crate::log::Filter;
use anyhow::Context as _;
use bytes::Bytes;
use domain::Timestamp;
use domain::id::{EventId, WorkspaceId};
use proto::{Metadata, Recorded, StreamName};
use rusqlite::{Connection, OptionalExtension as _, Row};
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// Positions in one page: large enough that the query's start costs nothing, small enough to hold three pages of the largest usual events.
const PAGE_EVENTS: u64 = 2_048;

/// Bytes of payload after which a page ends early, so that pages of the largest events stay small.
const PAGE_BYTES: usize = 8 * 1024 * 1024;

/// Stream names and event types that a reader remembers, about 150 bytes each.
const NAMES_MAX: usize = 100_000;

const COLUMNS: &str = "position, stream, version, id, type, schema_version, payload, at, actor, correlation, causation, traceparent";

/// Some events in order, and where to go on.
pub(super) struct Page {
    pub(super) events: Vec<Recorded>,
    /// Every position below was looked at.
    pub(super) next: u64,
    /// The log's head when the page was read.
    pub(super) head: u64,
}

pub(super) struct Reader {
    pub(super) connection: Connection,
    names: Names,
}

/// Interned names: a page repeats few of them, and a clone is cheaper than a lookup and an allocation.
#[derive(Default)]
struct Names {
    streams: HashMap<i64, (WorkspaceId, StreamName)>,
    types: HashMap<Box<str>, Arc<str>>,
}

impl Reader {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, names: Names::default() }
    }

    /// Returns the events from position `from` on that pass the filter, out of at most [`PAGE_EVENTS`].
    pub(super) fn page(&mut self, from: u64, filter: &Filter) -> anyhow::Result<Page> {
        let Self { connection, names } = self;
        let head = head(connection).context("reading the log's head")?;
        let end = head.min(from.saturating_add(PAGE_EVENTS));
        // A reader ahead of the head waits until the log gets there.
        let mut page = Page { events: Vec::new(), next: end.max(from), head: head.max(from) };
        if end <= from {
            return Ok(page);
        }
        page.events.reserve(if *filter == Filter::all() { (end - from) as usize } else { 0 });
        let sql = format!("SELECT {COLUMNS} FROM events WHERE position >= ? AND position < ? ORDER BY position");
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query((signed(from), signed(end)))?;
        let mut bytes = 0;
        while let Some(row) = rows.next()? {
            let (workspace, stream) = names.stream(connection, row.get(1)?)?;
            if !filter.accepts(workspace, &stream, row.get_ref(4)?.as_str()?) {
                continue;
            }
            let event = names.recorded(row, workspace, stream)?;
            bytes += event.payload.len();
            if bytes >= PAGE_BYTES {
                page.next = event.position + 1;
                page.events.push(event);
                break;
            }
            page.events.push(event);
        }
        Ok(page)
    }

    /// Returns at most `limit` events of a stream from `from_version` on.
    pub(super) fn stream(
        &mut self,
        workspace: WorkspaceId,
        stream: &StreamName,
        from_version: u64,
        limit: usize,
    ) -> anyhow::Result<Vec<Recorded>> {
        let Self { connection, names } = self;
        let key: Option<i64> = connection
            .prepare_cached("SELECT key FROM streams WHERE workspace = ? AND name = ?")?
            .query_row((workspace.0.as_bytes(), stream.as_str()), |row| row.get(0))
            .optional()?;
        let Some(key) = key else { return Ok(Vec::new()) };
        let sql = format!("SELECT {COLUMNS} FROM events WHERE stream = ? AND version >= ? ORDER BY version LIMIT ?");
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query((key, signed(from_version), signed(limit as u64)))?;
        let mut events = Vec::new();
        while let Some(row) = rows.next()? {
            events.push(names.recorded(row, workspace, stream.clone())?);
        }
        Ok(events)
    }
}

impl Names {
    fn stream(&mut self, connection: &Connection, key: i64) -> anyhow::Result<(WorkspaceId, StreamName)> {
        if let Some(known) = self.streams.get(&key) {
            return Ok(known.clone());
        }
        if self.streams.len() >= NAMES_MAX {
            self.streams.clear();
        }
        let found = connection.prepare_cached("SELECT workspace, name FROM streams WHERE key = ?")?.query_row([key], |row| {
            let name = row.get_ref(1)?.as_str()?.parse().map_err(|error| wrong_text(1, error))?;
            Ok((WorkspaceId(uuid(row, 0)?), name))
        })?;
        self.streams.insert(key, found.clone());
        Ok(found)
    }

    fn event_type(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.types.get(text) {
            return known.clone();
        }
        if self.types.len() >= NAMES_MAX {
            self.types.clear();
        }
        let name: Arc<str> = text.into();
        self.types.insert(text.into(), name.clone());
        name
    }

    fn recorded(&mut self, row: &Row<'_>, workspace: WorkspaceId, stream: StreamName) -> rusqlite::Result<Recorded> {
        Ok(Recorded {
            position: unsigned(row.get(0)?),
            workspace,
            stream,
            version: unsigned(row.get(2)?),
            id: EventId(uuid(row, 3)?),
            event_type: self.event_type(row.get_ref(4)?.as_str()?),
            schema_version: row.get(5)?,
            payload: Bytes::copy_from_slice(row.get_ref(6)?.as_blob()?),
            metadata: Metadata {
                at: Timestamp(unsigned(row.get(7)?)),
                actor: row.get_ref(8)?.as_str()?.to_owned(),
                correlation: uuid(row, 9)?,
                causation: match row.get_ref(10)?.as_blob_or_null()? {
                    Some(bytes) => Some(EventId(uuid_from(bytes, 10)?)),
                    None => None,
                },
                traceparent: row.get_ref(11)?.as_str_or_null()?.map(str::to_owned),
            },
        })
    }
}

fn uuid(row: &Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    uuid_from(row.get_ref(column)?.as_blob()?, column)
}

fn uuid_from(bytes: &[u8], column: usize) -> rusqlite::Result<Uuid> {
    Uuid::from_slice(bytes).map_err(|error| wrong_text(column, error))
}
