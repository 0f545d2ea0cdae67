//! The tables: batches of commits, and an index that says where in them streams and commits lie.
//!
//! The index has everything below a watermark, and perhaps some of what lies above; what it lacks is in the tail. It is written many entries
//! at a time and in order, so that a page of it is written once for many commits.

use super::pack::Batch;
use super::tail::{Extent, Place, Section, StreamKey};
use super::unpack::Unpacked;
use anyhow::Context as _;
use domain::id::CommitId;
use rusqlite::{Connection, OptionalExtension as _};
use uuid::Uuid;

pub(super) const SCHEMA: &str = "
CREATE TABLE batches (
  number INTEGER PRIMARY KEY, first_position INTEGER NOT NULL, next_position INTEGER NOT NULL, data BLOB NOT NULL
) STRICT;
CREATE TABLE indexed (one INTEGER PRIMARY KEY CHECK (one = 1), below INTEGER NOT NULL) STRICT;
INSERT INTO indexed VALUES (1, 0);
CREATE TABLE IF NOT EXISTS streams (
  key INTEGER PRIMARY KEY, workspace BLOB NOT NULL, name TEXT NOT NULL,
  UNIQUE (workspace, name)
) STRICT;
CREATE TABLE stream_places (
  stream INTEGER NOT NULL REFERENCES streams, last_version INTEGER NOT NULL, place INTEGER NOT NULL,
  PRIMARY KEY (stream, last_version)
) STRICT, WITHOUT ROWID;
CREATE TABLE commit_places (
  id BLOB NOT NULL, place INTEGER NOT NULL,
  PRIMARY KEY (id, place)
) STRICT, WITHOUT ROWID;
";

/// Returns how far the log and its index go.
pub(super) fn extent(connection: &Connection) -> rusqlite::Result<Extent> {
    let sql = "SELECT below, number, next_position FROM indexed
               LEFT JOIN (SELECT number, next_position FROM batches ORDER BY number DESC LIMIT 1)";
    connection.prepare_cached(sql)?.query_row([], |row| {
        let last: Option<u64> = row.get(1)?;
        let next_position: Option<u64> = row.get(2)?;
        let next_batch = last.map_or(0, |last| last + 1);
        Ok(Extent { next_batch, next_position: next_position.unwrap_or(0), indexed_below: row.get(0)? })
    })
}

pub(super) fn insert(connection: &Connection, batches: &[Batch]) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached("INSERT INTO batches VALUES (?, ?, ?, ?)")?;
    for batch in batches {
        insert.execute((batch.number, batch.first_position, batch.next_position, &batch.data))?;
    }
    Ok(())
}

/// A batch without its data.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub(super) number: u64,
    pub(super) first_position: u64,
    pub(super) next_position: u64,
}

/// Gives the batches from number `from` on to `take`, until it says that it wants no more.
pub(super) fn each_batch(
    connection: &Connection,
    from: u64,
    mut take: impl FnMut(Row, &[u8]) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let sql = "SELECT number, first_position, next_position, data FROM batches WHERE number >= ? ORDER BY number";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([from])?;
    while let Some(row) = rows.next()? {
        let found = Row { number: row.get(0)?, first_position: row.get(1)?, next_position: row.get(2)? };
        if !take(found, row.get_ref(3)?.as_blob()?)? {
            break;
        }
    }
    Ok(())
}

/// Gives one batch to `read`.
pub(super) fn batch<T>(connection: &Connection, number: u64, read: impl FnOnce(Unpacked<&[u8]>) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let mut statement = connection.prepare_cached("SELECT first_position, data FROM batches WHERE number = ?")?;
    let mut rows = statement.query([number])?;
    let row = rows.next()?.with_context(|| format!("batch {number} of the log is missing"))?;
    read(Unpacked::open(number, row.get(0)?, row.get_ref(1)?.as_blob()?)?)
}

/// Returns the number of the batch that holds a position below the head.
pub(super) fn batch_of(connection: &Connection, position: u64, next_batch: u64) -> rusqlite::Result<u64> {
    // Numbers have no gaps, so no index is needed: this is the last batch that starts at or below the position.
    let mut first_position = connection.prepare_cached("SELECT first_position FROM batches WHERE number = ?")?;
    let (mut low, mut high) = (0, next_batch);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let first: u64 = first_position.query_row([middle], |row| row.get(0))?;
        if first <= position { low = middle } else { high = middle }
    }
    Ok(low)
}

/// Returns where a stream's events from a version on lie, in order.
pub(super) fn stream_places(connection: &Connection, key: &StreamKey, from_version: u64, limit: usize) -> rusqlite::Result<Vec<Place>> {
    let sql = "SELECT place FROM stream_places WHERE stream = (SELECT key FROM streams WHERE workspace = ? AND name = ?)
               AND last_version >= ? ORDER BY last_version LIMIT ?";
    let mut statement = connection.prepare_cached(sql)?;
    let from_version = from_version.min(i64::MAX as u64);
    let limit = limit.min(i64::MAX as usize);
    let places = statement
        .query_map((key.workspace.0.as_bytes(), key.stream.as_str(), from_version, limit), |row| Ok(Place::from_sql(row.get(0)?)))?;
    places.collect()
}

/// Returns the version of a stream's last event that is in the index.
pub(super) fn last_version(connection: &Connection, key: &StreamKey) -> rusqlite::Result<Option<u64>> {
    let sql = "SELECT max(last_version) FROM stream_places WHERE stream = (SELECT key FROM streams WHERE workspace = ? AND name = ?)";
    connection.prepare_cached(sql)?.query_row((key.workspace.0.as_bytes(), key.stream.as_str()), |row| row.get(0))
}

/// Returns where commits with this id lie, the first one first: another workspace may have the same id.
pub(super) fn commit_places(connection: &Connection, id: CommitId) -> rusqlite::Result<Vec<Place>> {
    let mut statement = connection.prepare_cached("SELECT place FROM commit_places WHERE id = ? ORDER BY place")?;
    let mut rows = statement.query([id.0.as_bytes()])?;
    let mut places = Vec::new();
    while let Some(row) = rows.next()? {
        places.push(Place::from_sql(row.get(0)?));
    }
    Ok(places)
}

/// Gives the id of every commit in the index to `take`.
pub(super) fn each_commit_id(connection: &Connection, mut take: impl FnMut(CommitId)) -> anyhow::Result<()> {
    let mut statement = connection.prepare_cached("SELECT id FROM commit_places")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        take(CommitId(Uuid::from_slice(row.get_ref(0)?.as_blob()?)?));
    }
    Ok(())
}

pub(super) fn add_commits(connection: &Connection, commits: &[(CommitId, Place)]) -> rusqlite::Result<()> {
    // They are there already when a crash, or another process, came between their first time and the watermark.
    let mut insert = connection.prepare_cached("INSERT OR IGNORE INTO commit_places VALUES (?, ?)")?;
    for (id, place) in commits {
        insert.execute((id.0.as_bytes(), place.to_sql()))?;
    }
    Ok(())
}

/// Adds sections, those of a stream beside each other and in order.
pub(super) fn add_sections(connection: &Connection, sections: &[(StreamKey, Section)]) -> rusqlite::Result<()> {
    let streams = sections.chunk_by(|one, other| one.0 == other.0);
    let mut streams = streams.map(|of_one| Ok((stream_number(connection, &of_one[0].0)?, of_one))).collect::<rusqlite::Result<Vec<_>>>()?;
    streams.sort_unstable_by_key(|(number, _)| *number);
    let mut insert = connection.prepare_cached("INSERT OR IGNORE INTO stream_places VALUES (?, ?, ?)")?;
    for (number, sections) in streams {
        for (_, section) in sections {
            insert.execute((number, section.last_version, section.place.to_sql()))?;
        }
    }
    Ok(())
}

/// Says that the index has everything below a batch.
pub(super) fn set_indexed_below(connection: &Connection, below: u64) -> rusqlite::Result<()> {
    connection.prepare_cached("UPDATE indexed SET below = ?")?.execute([below])?;
    Ok(())
}

/// Returns the number of a stream, which gets one when it has none.
fn stream_number(connection: &Connection, key: &StreamKey) -> rusqlite::Result<i64> {
    let name = (key.workspace.0.as_bytes(), key.stream.as_str());
    let known = connection
        .prepare_cached("SELECT key FROM streams WHERE workspace = ? AND name = ?")?
        .query_row(name, |row| row.get(0))
        .optional()?;
    if let Some(known) = known {
        return Ok(known);
    }
    connection.prepare_cached("INSERT INTO streams (workspace, name) VALUES (?, ?)")?.execute(name)?;
    Ok(connection.last_insert_rowid())
}
