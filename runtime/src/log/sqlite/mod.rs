//! The embedded log: one SQLite file, made durable by its write-ahead log with `synchronous=FULL`.
//!
//! One writer thread takes all commits that wait, writes them in one transaction and answers after the sync (group commit);
//! readers have connections of their own and never wait for it. A second process may open the same file: SQLite's lock orders the writers,
//! and followers also look for events that another process wrote.

mod reader;
mod replica;
mod writer;

use super::{AppendError, Appended, Commit, Conflict, Expected, Filter, Item, Log, Partition, Reading, Verdict};
use anyhow::Context as _;
use domain::id::{CommitId, WorkspaceId};
use futures::StreamExt as _;
use proto::{Recorded, StreamName};
use reader::{Page, Reader};
pub use replica::{Followed, Replica};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;

/// Most commits that wait for the writer; more make `append` wait. Two full batches: one being written, one to follow.
const QUEUE_COMMITS_MAX: usize = 1_024;

/// Pages that a follower may be ahead of its consumer: one being consumed, one ready, one being read.
const PAGES_AHEAD_MAX: usize = 2;

/// Idle reader connections that are kept; each costs a file handle and its page cache.
const IDLE_READERS_MAX: usize = 8;

/// How long a follower waits before it looks for events that another process wrote; our own wake it at once.
const FOREIGN_WRITES_POLL: Duration = Duration::from_millis(250);

/// How long a connection waits for another process's write transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE streams (
  key INTEGER PRIMARY KEY, workspace BLOB NOT NULL, name TEXT NOT NULL,
  UNIQUE (workspace, name)
) STRICT;
CREATE TABLE events (
  position INTEGER PRIMARY KEY, stream INTEGER NOT NULL REFERENCES streams, version INTEGER NOT NULL,
  id BLOB NOT NULL, type TEXT NOT NULL, schema_version INTEGER NOT NULL, payload BLOB NOT NULL,
  at INTEGER NOT NULL, actor TEXT NOT NULL, correlation BLOB NOT NULL, causation BLOB, traceparent TEXT,
  UNIQUE (stream, version)
) STRICT;
CREATE TABLE commits (
  workspace BLOB NOT NULL, id BLOB NOT NULL,
  first_position INTEGER, last_position INTEGER,
  conflict_stream TEXT, conflict_expected INTEGER, conflict_actual INTEGER,
  PRIMARY KEY (workspace, id)
) STRICT, WITHOUT ROWID;
";

/// A handle on an embedded log; the file closes when the last one is dropped.
#[derive(Clone)]
pub struct SqliteLog(Arc<Shared>);

struct Shared {
    path: PathBuf,
    queue: flume::Sender<Request>,
    head: watch::Receiver<u64>,
    idle_readers: Mutex<Vec<Reader>>,
}

struct Request {
    commit: Commit,
    reply: oneshot::Sender<Result<Appended, AppendError>>,
}

impl SqliteLog {
    /// Opens the log at `path`, and creates it when there is none. The folder must exist.
    ///
    /// # Errors
    /// When the file cannot be opened, is not a log, or was written by a newer version.
    pub fn open(path: impl Into<PathBuf>) -> anyhow::Result<Self> {
        let path = path.into();
        let connection = connect(&path)?;
        Self::start(path, connection)
    }

    /// Opens the log like [`Self::open`], but lets its file grow to `pages_max` pages of 4 KiB only; beyond that it is as with a full disk.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with_pages_max(path: impl Into<PathBuf>, pages_max: u32) -> anyhow::Result<Self> {
        let path = path.into();
        let connection = connect(&path)?;
        connection.pragma_update(None, "max_page_count", pages_max)?;
        Self::start(path, connection)
    }

    fn start(path: PathBuf, mut connection: Connection) -> anyhow::Result<Self> {
        migrate(&mut connection).with_context(|| format!("opening the log {}", path.display()))?;
        let writer = writer::Writer::new(connection)?;
        let (queue, requests) = flume::bounded(QUEUE_COMMITS_MAX);
        let (head_sender, head) = watch::channel(writer.head());
        std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || writer.run(&requests, &head_sender))
            .context("starting the log's writer thread")?;
        Ok(Self(Arc::new(Shared { path, queue, head, idle_readers: Mutex::new(Vec::new()) })))
    }

    /// Runs a blocking read on a reader of our own.
    async fn with_reader<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Reader) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let shared = self.0.clone();
        tokio::task::spawn_blocking(move || shared.with_reader(read)).await.context("a log reader panicked")?
    }
}

impl Shared {
    fn with_reader<T>(&self, read: impl FnOnce(&mut Reader) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let idle = self.idle_readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => Reader::new(connect(&self.path)?),
        };
        let result = read(&mut reader);
        let mut idle = self.idle_readers.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_READERS_MAX {
            idle.push(reader);
        }
        result
    }
}

impl Log for SqliteLog {
    async fn append(&self, commit: Commit) -> Result<Appended, AppendError> {
        commit.check()?;
        let started = std::time::Instant::now();
        let (reply, answer) = oneshot::channel();
        let stopped = || AppendError::Unknown(anyhow::anyhow!("the log's writer thread has stopped"));
        self.0.queue.send_async(Request { commit, reply }).await.map_err(|_| stopped())?;
        let result = answer.await.unwrap_or_else(|_| Err(stopped()));
        metrics::histogram!("clipflow_log_append_seconds").record(started.elapsed().as_secs_f64());
        result
    }

    async fn verdict(&self, workspace: WorkspaceId, commit: CommitId) -> anyhow::Result<Option<Verdict>> {
        self.with_reader(move |reader| verdict(&reader.connection, workspace, commit).context("looking up a commit")).await
    }

    async fn read_stream(
        &self,
        workspace: WorkspaceId,
        stream: &StreamName,
        from_version: u64,
        limit: usize,
    ) -> anyhow::Result<Vec<Recorded>> {
        let stream = stream.clone();
        self.with_reader(move |reader| reader.stream(workspace, &stream, from_version, limit)).await
    }

    fn read(&self, _: Partition, from: u64, filter: Filter) -> Reading {
        let (pages, received) = mpsc::channel(PAGES_AHEAD_MAX);
        let follower = Follower { shared: self.0.clone(), head: self.0.head.clone(), filter: Arc::new(filter) };
        tokio::spawn(follower.run(from, pages));
        ReceiverStream::new(received)
            .flat_map(|page: anyhow::Result<Page>| {
                let (events, caught_up, error) = match page {
                    Ok(page) => (page.events, (page.next == page.head).then_some(page.head), None),
                    Err(error) => (Vec::new(), None, Some(error)),
                };
                futures::stream::iter(
                    events
                        .into_iter()
                        .map(|event| Ok(Item::Event(event)))
                        .chain(caught_up.map(|head| Ok(Item::CaughtUp(head))))
                        .chain(error.map(Err)),
                )
            })
            .boxed()
    }

    async fn head(&self, _: Partition) -> anyhow::Result<u64> {
        self.with_reader(|reader| head(&reader.connection).context("reading the log's head")).await
    }

    fn partition(&self, _: WorkspaceId) -> Partition {
        Partition::EMBEDDED
    }
}

/// Reads pages for one follower until it is dropped.
struct Follower {
    shared: Arc<Shared>,
    head: watch::Receiver<u64>,
    filter: Arc<Filter>,
}

impl Follower {
    async fn run(mut self, from: u64, pages: mpsc::Sender<anyhow::Result<Page>>) {
        let mut next = from;
        let mut is_first = true;
        loop {
            self.head.mark_unchanged();
            let (shared, filter) = (self.shared.clone(), self.filter.clone());
            let page = tokio::task::spawn_blocking(move || shared.with_reader(|reader| reader.page(next, &filter))).await;
            let page = page.context("a log reader panicked").and_then(|page| page);
            let (has_news, is_at_end, is_error) = match &page {
                Ok(page) => (page.next > next || is_first, page.next >= page.head, false),
                Err(_) => (true, false, true),
            };
            if let Ok(page) = &page {
                next = page.next;
            }
            is_first = false;
            if has_news && pages.send(page).await.is_err() || is_error {
                return;
            }
            if is_at_end {
                tokio::select! {
                    () = pages.closed() => return,
                    changed = self.head.changed() => if changed.is_err() {
                        // The follower's consumer learns it from its next append; here nothing new can come.
                        drop(pages.send(Err(anyhow::anyhow!("the log's writer thread has stopped"))).await);
                        return;
                    },
                    () = tokio::time::sleep(FOREIGN_WRITES_POLL) => {}
                }
            }
        }
    }
}

fn connect(path: &Path) -> anyhow::Result<Connection> {
    let connection = Connection::open(path).with_context(|| format!("opening {}", path.display()))?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.pragma_update(None, "mmap_size", 1_i64 << 30)?;
    Ok(connection)
}

fn migrate(connection: &mut Connection) -> anyhow::Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version == 0 {
        transaction.execute_batch(SCHEMA)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    }
    anyhow::ensure!(version <= SCHEMA_VERSION, "it was written by a newer version of clipflow (schema {version})");
    transaction.commit()?;
    Ok(())
}

fn head(connection: &Connection) -> rusqlite::Result<u64> {
    let last: Option<i64> = connection.prepare_cached("SELECT max(position) FROM events")?.query_row([], |row| row.get(0))?;
    Ok(last.map_or(0, |last| unsigned(last) + 1))
}

fn verdict(connection: &Connection, workspace: WorkspaceId, commit: CommitId) -> rusqlite::Result<Option<Verdict>> {
    let mut statement = connection.prepare_cached(
        "SELECT first_position, last_position, conflict_stream, conflict_expected, conflict_actual FROM commits WHERE workspace = ? AND id = ?",
    )?;
    let mut rows = statement.query((workspace.0.as_bytes(), commit.0.as_bytes()))?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let Some(stream) = row.get_ref(2)?.as_str_or_null()? else {
        let (first_position, last_position) = (unsigned(row.get(0)?), unsigned(row.get(1)?));
        return Ok(Some(Verdict::Accepted(Appended { first_position, last_position, is_repeat: true })));
    };
    Ok(Some(Verdict::Rejected(Conflict {
        stream: stream.parse().map_err(|error| wrong_text(2, error))?,
        expected: expected_from_sql(row.get(3)?),
        actual: row.get::<_, Option<i64>>(4)?.map(unsigned),
    })))
}

fn wrong_text(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
}

/// SQLite's integers are signed; ours count from 0 and never come near 2⁶³.
fn signed(value: u64) -> i64 {
    i64::try_from(value).expect("versions, positions and times stay below 2^63")
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).expect("only counts from 0 are written")
}

fn expected_to_sql(expected: Expected) -> i64 {
    match expected {
        Expected::Any => -1,
        Expected::Exists => -2,
        Expected::Empty => -3,
        Expected::Exact(version) => signed(version),
    }
}

fn expected_from_sql(value: i64) -> Expected {
    match value {
        -1 => Expected::Any,
        -2 => Expected::Exists,
        -3 => Expected::Empty,
        version => Expected::Exact(unsigned(version)),
    }
}
