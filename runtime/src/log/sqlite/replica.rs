//! A local copy of one partition of a distant log: what it has judged, for reading by position, by stream and by commit id.
//!
//! It can always be made again, so a commit need not reach the disk at once: after a power cut the file is consistent, a little older.

use super::writer::{EventPlace, HEADS_MAX, State, insert, remember_accepted, remember_rejected};
use super::{Shared, SqliteLog, connect, migrate, signed, unsigned};
use crate::log::sequencer::{Body, Output, Place};
use crate::log::{Appended, Verdict};
use anyhow::Context as _;
use proto::{NewEvent, Recorded};
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
            let place = match (row.get::<_, Option<i64>>(2)?, row.get::<_, Option<u32>>(3)?) {
                (Some(commit_offset), Some(index)) => Some(Place { commit_offset: unsigned(commit_offset), index }),
                _ => None,
            };
            Ok(Self { generation: row.get(0)?, next_offset: row.get(1)?, last: place })
        });
        row.optional()
    }

    fn store(&self, connection: &Connection) -> rusqlite::Result<()> {
        let (commit_offset, index) = self.last.map(|last| (signed(last.commit_offset), last.index)).unzip();
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
    state: State,
    head: watch::Sender<u64>,
}

impl Replica {
    /// Opens the copy at `path`, and creates it when there is none. Returns it with a log to read it by, whose `append` always fails,
    /// and how far it has followed.
    ///
    /// # Errors
    /// When the file cannot be opened or is not a log.
    pub fn open(path: impl Into<PathBuf>) -> anyhow::Result<(Self, SqliteLog, Option<Followed>)> {
        let path = path.into();
        let mut connection = connect(&path)?;
        migrate(&mut connection).with_context(|| format!("opening the copy of the log {}", path.display()))?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.execute_batch(SCHEMA)?;
        let followed = Followed::load(&connection)?;
        let state = State::new(&connection)?;
        let (head, reader_head) = watch::channel(state.next_position);
        let (queue, _) = flume::bounded(0);
        let log = SqliteLog(Arc::new(Shared { path: path.clone(), queue, head: reader_head, idle_readers: Mutex::default() }));
        Ok((Self { path, connection, state, head }, log, followed))
    }

    /// Returns the position that the next event will get.
    #[must_use]
    pub fn next_position(&self) -> u64 {
        self.state.next_position
    }

    /// Writes whole commits in order, and how far that goes: all of it, or nothing.
    ///
    /// # Errors
    /// When the disk is full or the commits do not follow what is there.
    pub fn record(&mut self, commits: &[Vec<Output>], followed: &Followed) -> anyhow::Result<()> {
        let head_before = self.state.next_position;
        let result = self.try_record(commits, followed);
        if result.is_err() {
            self.state.next_position = head_before;
            self.state.heads.clear();
        }
        self.head.send_if_modified(|head| std::mem::replace(head, self.state.next_position) != self.state.next_position);
        result.with_context(|| format!("writing the copy of the log in {}", self.path.display()))
    }

    fn try_record(&mut self, commits: &[Vec<Output>], followed: &Followed) -> anyhow::Result<()> {
        let Self { connection, state, .. } = self;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for outputs in commits {
            state.record(&transaction, outputs)?;
        }
        followed.store(&transaction)?;
        if state.heads.len() > HEADS_MAX {
            state.heads.clear();
        }
        Ok(transaction.commit()?)
    }
}

impl State {
    fn record(&mut self, connection: &Connection, outputs: &[Output]) -> anyhow::Result<()> {
        let Some(first) = outputs.first() else { return Ok(()) };
        let id = (first.body.workspace(), first.commit);
        for output in outputs {
            let Body::Event(event) = &output.body else { continue };
            anyhow::ensure!(event.position == self.next_position, "position {} follows {}", event.position, self.next_position);
            let mut head = self.stream_to_write(connection, event.workspace, &event.stream)?;
            let place = EventPlace { position: event.position, stream: head.key, version: event.version };
            let Recorded { id, event_type, schema_version, payload, .. } = event;
            let (event_type, payload) = (event_type.clone(), payload.clone());
            insert(connection, place, &NewEvent { id: *id, event_type, schema_version: *schema_version, payload }, &event.metadata)?;
            head.last = Some(event.version);
            self.next_position += 1;
            self.heads.insert((event.workspace, event.stream.clone()), head);
        }
        // A commit id that was forgotten and judged again keeps its first verdict here.
        match Output::verdict(outputs) {
            Verdict::Accepted(Appended { first_position, last_position, .. }) => {
                Ok(remember_accepted(connection, id, first_position, last_position)?)
            }
            Verdict::Rejected(conflict) => Ok(remember_rejected(connection, id, &conflict)?),
        }
    }
}
