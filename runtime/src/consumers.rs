//! What consumers remember: how far they have come, what they finished out of order, and what they gave up on.
//!
//! One small SQLite file. Losing it loses no event: consumers start again from the beginning, and what they did is recognised by its ids.

use anyhow::Context as _;
use domain::Timestamp;
use domain::id::{EventId, WorkspaceId};
use proto::{Recorded, StreamName};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// Longest error text that is kept with a parked event.
const ERROR_BYTES_MAX: usize = 4_096;

/// How long to wait for another process's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS checkpoints (consumer TEXT PRIMARY KEY, position INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS finished (
  consumer TEXT NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (consumer, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parked (
  consumer TEXT NOT NULL, position INTEGER NOT NULL, event BLOB NOT NULL, workspace BLOB NOT NULL, stream TEXT NOT NULL, type TEXT NOT NULL,
  attempts INTEGER NOT NULL, error TEXT NOT NULL, at INTEGER NOT NULL, replay INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (consumer, position)
) STRICT, WITHOUT ROWID;
";

/// An event that a consumer gave up on. A job's stays until it is replayed with success, a read model's for good: rebuilding mends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Who gave up.
    pub consumer: String,
    /// The event's position.
    pub position: u64,
    /// The event.
    pub event: EventId,
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// Its stream.
    pub stream: StreamName,
    /// Its type.
    pub event_type: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The last error with its causes.
    pub error: String,
    /// When it was parked.
    pub at: Timestamp,
    /// Whether somebody asked for another try, which has not ended yet.
    pub is_replaying: bool,
}

/// A handle on the consumers' memory.
#[derive(Clone)]
pub struct Consumers(Arc<Shared>);

struct Shared {
    connection: Mutex<Connection>,
    /// Counts what is parked and asked for again, so that running consumers and those who wait for them look.
    changes: watch::Sender<u64>,
}

impl Consumers {
    /// Opens the memory at `path`, and creates it when there is none.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        Self::new(Connection::open(path).with_context(|| format!("opening {}", path.display()))?)
    }

    /// Returns a memory that ends with the process.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn in_memory() -> anyhow::Result<Self> {
        Self::new(Connection::open_in_memory()?)
    }

    fn new(connection: Connection) -> anyhow::Result<Self> {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // A checkpoint that a power cut takes back is only work done again.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self(Arc::new(Shared { connection: Mutex::new(connection), changes: watch::channel(0).0 })))
    }

    /// Returns the position up to which `consumer` has finished everything.
    ///
    /// # Errors
    /// When SQLite fails.
    pub async fn checkpoint(&self, consumer: &'static str) -> anyhow::Result<Option<u64>> {
        self.with(move |connection| {
            let sql = "SELECT position FROM checkpoints WHERE consumer = ?";
            let position: Option<i64> = connection.prepare_cached(sql)?.query_row([consumer], |row| row.get(0)).optional()?;
            Ok(position.map(i64::cast_unsigned))
        })
        .await
    }

    /// Says that `consumer` has finished everything up to `position`; what it finished out of order below is forgotten.
    ///
    /// # Errors
    /// When SQLite fails.
    pub async fn set_checkpoint(&self, consumer: &'static str, position: u64) -> anyhow::Result<()> {
        self.with(move |connection| {
            let position = position.cast_signed();
            let transaction = connection.unchecked_transaction()?;
            transaction
                .prepare_cached("INSERT INTO checkpoints VALUES (?1, ?2) ON CONFLICT DO UPDATE SET position = max(position, ?2)")?
                .execute(params![consumer, position])?;
            transaction
                .prepare_cached("DELETE FROM finished WHERE consumer = ? AND position <= ?")?
                .execute(params![consumer, position])?;
            transaction.commit()
        })
        .await
    }

    /// Returns the positions above the checkpoint that `consumer` has finished.
    ///
    /// # Errors
    /// When SQLite fails.
    pub async fn finished(&self, consumer: &'static str) -> anyhow::Result<Vec<u64>> {
        self.with(move |connection| {
            let mut statement = connection.prepare_cached("SELECT position FROM finished WHERE consumer = ?")?;
            statement.query_map([consumer], |row| row.get(0).map(i64::cast_unsigned))?.collect()
        })
        .await
    }

    /// Remembers that `consumer` has finished `position` although not everything below it.
    ///
    /// # Errors
    /// When SQLite fails.
    pub async fn finish(&self, consumer: &'static str, position: u64) -> anyhow::Result<()> {
        self.with(move |connection| {
            let sql = "INSERT OR IGNORE INTO finished VALUES (?, ?)";
            connection.prepare_cached(sql)?.execute(params![consumer, position.cast_signed()]).map(drop)
        })
        .await
    }

    /// Puts an event aside.
    ///
    /// # Errors
    /// When SQLite fails.
    pub async fn park(&self, consumer: &str, event: &Recorded, attempts: u32, error: &str, at: Timestamp) -> anyhow::Result<()> {
        let (name, event) = (consumer.to_owned(), event.clone());
        let error: String = error.chars().take(ERROR_BYTES_MAX / 4).collect();
        self.with(move |connection| {
            let sql = "INSERT OR REPLACE INTO parked VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)";
            connection.prepare_cached(sql)?.execute(params![
                name,
                event.position.cast_signed(),
                event.id.0.as_bytes(),
                event.workspace.0.as_bytes(),
                event.stream.as_str(),
                &*event.event_type,
                attempts,
                error,
                at.0.cast_signed(),
            ])
        })
        .await?;
        self.0.changes.send_modify(|count| *count += 1);
        self.count_parked(consumer).await
    }

    /// Returns what was put aside, by consumer and position.
    ///
    /// # Errors
    /// When SQLite fails.
    pub async fn parked(&self) -> anyhow::Result<Vec<Parked>> {
        self.with(|connection| {
            let sql = "SELECT consumer, position, event, workspace, stream, type, attempts, error, at, replay FROM parked ORDER BY 1, 2";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([], parked_from_row)?;
            rows.collect()
        })
        .await
    }

    /// Asks for another try of everything that `consumer` parked: what it met then, such as a full disk, may be over.
    ///
    /// # Errors
    /// When SQLite fails.
    pub async fn replay_all(&self, consumer: &'static str) -> anyhow::Result<()> {
        let sql = "UPDATE parked SET replay = 1 WHERE consumer = ?";
        self.with(move |connection| connection.execute(sql, [consumer])).await?;
        self.0.changes.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Returns the positions of `consumer`'s parked events that somebody asked to replay.
    pub(crate) async fn to_replay(&self, consumer: &str) -> anyhow::Result<Vec<u64>> {
        let consumer = consumer.to_owned();
        self.with(move |connection| {
            let mut statement =
                connection.prepare_cached("SELECT position FROM parked WHERE consumer = ? AND replay = 1 ORDER BY position")?;
            statement.query_map([&consumer], |row| row.get(0).map(i64::cast_unsigned))?.collect()
        })
        .await
    }

    /// Forgets a parked event that was replayed with success.
    pub(crate) async fn unpark(&self, consumer: &str, position: u64) -> anyhow::Result<()> {
        let name = consumer.to_owned();
        let sql = "DELETE FROM parked WHERE consumer = ? AND position = ?";
        self.with(move |connection| connection.execute(sql, params![name, position.cast_signed()])).await?;
        self.count_parked(consumer).await
    }

    /// Changes each time something is parked, or somebody asks for it again.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    async fn count_parked(&self, consumer: &str) -> anyhow::Result<()> {
        let name = consumer.to_owned();
        let sql = "SELECT count(*) FROM parked WHERE consumer = ?";
        let count: i64 = self.with(move |connection| connection.prepare_cached(sql)?.query_row([name], |row| row.get(0))).await?;
        metrics::gauge!("clipflow_consumer_parked_events", "consumer" => consumer.to_owned()).set(count as f64);
        Ok(())
    }

    async fn with<T: Send + 'static>(&self, run: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static) -> anyhow::Result<T> {
        let shared = self.0.clone();
        let work = move || run(&shared.connection.lock().unwrap_or_else(PoisonError::into_inner));
        let result = tokio::task::spawn_blocking(work).await.context("the consumers' memory panicked")?;
        result.context("using the consumers' memory")
    }
}

fn parked_from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Parked> {
    let wrong = |column, error| rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error);
    let uuid = |column| Uuid::from_slice(row.get_ref(column)?.as_blob()?).map_err(|error| wrong(column, Box::new(error)));
    Ok(Parked {
        consumer: row.get(0)?,
        position: row.get::<_, i64>(1)?.cast_unsigned(),
        event: EventId(uuid(2)?),
        workspace: WorkspaceId(uuid(3)?),
        stream: row.get_ref(4)?.as_str()?.parse().map_err(|error| wrong(4, Box::new(error)))?,
        event_type: row.get(5)?,
        attempts: row.get(6)?,
        error: row.get(7)?,
        at: Timestamp(row.get::<_, i64>(8)?.cast_unsigned()),
        is_replaying: row.get(9)?,
    })
}
