//! What a sequencer keeps on disk: its state, so that a restart reads only the events since, and the streams that left its memory.
//!
//! It can always be made again from the events, so losing it costs time only.

use super::topics::Generation;
use crate::log::sequencer::rule::COMMIT_IDS_MAX;
use crate::log::sequencer::{PartitionState, Place, StreamKey};
use crate::log::{Appended, Conflict, Expected, Verdict};
use anyhow::Context as _;
use domain::id::{CommitId, WorkspaceId};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, TransactionBehavior};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Counts changes of the tables below: a file of another layout in the blob store is not for this program.
pub(super) const LAYOUT: u32 = 1;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS state (
  one INTEGER PRIMARY KEY CHECK (one = 1), generation TEXT NOT NULL, next_position INTEGER NOT NULL, next_offset INTEGER NOT NULL,
  commit_offset INTEGER, idx INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS streams (
  workspace BLOB NOT NULL, name TEXT NOT NULL, next_version INTEGER NOT NULL, PRIMARY KEY (workspace, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS verdicts (
  number INTEGER PRIMARY KEY AUTOINCREMENT, workspace BLOB NOT NULL, id BLOB NOT NULL, first INTEGER, last INTEGER,
  stream TEXT, expected_kind INTEGER, expected_version INTEGER, actual INTEGER
) STRICT;
";

/// What changed since the last save.
#[derive(Default)]
pub(super) struct Unsaved {
    pub(super) streams: HashMap<StreamKey, u64>,
    pub(super) verdicts: Vec<((WorkspaceId, CommitId), Verdict)>,
}

/// The file of one partition.
pub(super) struct Index {
    connection: Connection,
    generation: String,
}

impl Index {
    /// Opens the file at `path`; what another log left there is dropped. Returns the state it holds and where the events after it start.
    pub(super) fn open(path: &Path, generation: &Generation) -> anyhow::Result<(Self, PartitionState, i64)> {
        let connection = Connection::open(path).with_context(|| format!("opening {}", path.display()))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.execute_batch(SCHEMA)?;
        let generation = generation.id.to_string();
        let sql = "SELECT next_position, next_offset, commit_offset, idx FROM state WHERE generation = ?";
        let known = connection.query_row(sql, [&generation], |row| {
            let place = row.get::<_, Option<u64>>(2)?.zip(row.get::<_, Option<u32>>(3)?);
            Ok((row.get(0)?, row.get(1)?, place.map(|(commit_offset, index)| Place { commit_offset, index })))
        });
        let Some((next_position, next_offset, last)) = known.optional()? else {
            connection.execute_batch("DELETE FROM state; DELETE FROM streams; DELETE FROM verdicts;")?;
            return Ok((Self { connection, generation }, PartitionState::default(), 0));
        };
        let mut verdicts = Vec::new();
        {
            let sql = "SELECT workspace, id, first, last, stream, expected_kind, expected_version, actual FROM verdicts ORDER BY number";
            let mut statement = connection.prepare(sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                verdicts.push(verdict(row)?);
            }
        }
        Ok((Self { connection, generation }, PartitionState::restored(next_position, last, verdicts), next_offset))
    }

    /// Writes what the index at `path` has on disk to a file at `copy`, over what is there; others may write the index meanwhile. Returns the
    /// offset of events below which the copy knows them all.
    pub(super) fn copy(path: &Path, copy: &Path) -> anyhow::Result<i64> {
        // SQLite copies into an empty file, or none.
        std::fs::write(copy, [])?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let from = Connection::open_with_flags(path, flags).with_context(|| format!("opening {}", path.display()))?;
        from.execute("VACUUM INTO ?", [copy.to_str().context("a path that is no text")?])?;
        let copied = Connection::open_with_flags(copy, flags)?;
        Ok(copied.query_row("SELECT next_offset FROM state", [], |row| row.get(0))?)
    }

    /// Removes the files of an index that nobody has open. What one of them is left with would be taken for a part of the next.
    pub(super) fn remove(path: &Path) -> anyhow::Result<()> {
        for suffix in ["-wal", "-shm", ""] {
            match std::fs::remove_file(with_suffix(path, suffix)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).context("removing an old index"),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Leaves one file, with everything in it.
    pub(super) fn close(self) -> anyhow::Result<()> {
        self.connection.close().map_err(|(_, error)| error).context("closing an index")
    }

    /// Returns the next version of a stream; 0 for one that has no event.
    pub(super) fn next_version(&self, (workspace, name): &StreamKey) -> anyhow::Result<u64> {
        let sql = "SELECT next_version FROM streams WHERE workspace = ? AND name = ?";
        let row = self.connection.prepare_cached(sql)?.query_row((workspace.0.as_bytes(), name.as_str()), |row| row.get(0));
        Ok(row.optional()?.unwrap_or(0))
    }

    /// Writes the state as of now, whose events lie below `next_offset`.
    pub(super) fn save(&mut self, state: &PartitionState, unsaved: Unsaved, next_offset: i64) -> anyhow::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut stream = transaction.prepare_cached("INSERT OR REPLACE INTO streams VALUES (?, ?, ?)")?;
            for ((workspace, name), next_version) in unsaved.streams {
                stream.execute((workspace.0.as_bytes(), name.as_str(), next_version))?;
            }
            let mut verdict = transaction.prepare_cached("INSERT INTO verdicts VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)")?;
            for ((workspace, id), said) in unsaved.verdicts {
                let (workspace, id) = (workspace.0.as_bytes(), id.0.as_bytes());
                match said {
                    Verdict::Accepted(at) => verdict.execute((
                        workspace,
                        id,
                        at.first_position,
                        at.last_position,
                        None::<&str>,
                        None::<u8>,
                        None::<u64>,
                        None::<u64>,
                    )),
                    Verdict::Rejected(Conflict { stream, expected, actual }) => {
                        let (kind, version) = expected.to_parts();
                        verdict.execute((workspace, id, None::<u64>, None::<u64>, Some(stream.as_str()), Some(kind), version, actual))
                    }
                }?;
            }
        }
        let forget = "DELETE FROM verdicts WHERE number <= (SELECT max(number) FROM verdicts) - ?";
        transaction.execute(forget, [COMMIT_IDS_MAX as u64])?;
        let (commit_offset, index) = state.last().map(|last| (last.commit_offset, last.index)).unzip();
        transaction.execute(
            "INSERT OR REPLACE INTO state VALUES (1, ?, ?, ?, ?, ?)",
            (&self.generation, state.next_position(), next_offset, commit_offset, index),
        )?;
        Ok(transaction.commit()?)
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn verdict(row: &Row<'_>) -> anyhow::Result<((WorkspaceId, CommitId), Verdict)> {
    let uuid = |column| anyhow::Ok(Uuid::from_slice(row.get_ref(column)?.as_blob()?)?);
    let id = (WorkspaceId(uuid(0)?), CommitId(uuid(1)?));
    let Some(stream) = row.get_ref(4)?.as_str_or_null()? else {
        let appended = Appended { first_position: row.get(2)?, last_position: row.get(3)?, is_repeat: true };
        return Ok((id, Verdict::Accepted(appended)));
    };
    let expected = Expected::from_parts(row.get(5)?, row.get(6)?).context("an expectation of no known kind")?;
    Ok((id, Verdict::Rejected(Conflict { stream: stream.parse()?, expected, actual: row.get(7)? })))
}
