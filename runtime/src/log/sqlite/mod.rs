//! The embedded log: one SQLite file, made durable by its write-ahead log with `synchronous=FULL`.
//!
//! One writer thread takes all commits that wait, writes them in one transaction and answers after the sync (group commit);
//! readers have connections of their own and never wait for it. A second process may open the same file: SQLite's lock orders the writers,
//! and followers also look for events that another process wrote.
//!
//! A transaction's commits are a few rows of packed bytes, the *batches* (`pack`, `unpack`). Where in them a stream's events and a commit
//! lie says the *index*, which is written later and for many commits at once; what it lacks is kept in memory, the *tail*, and read from
//! the batches again when the log is opened or another process wrote. So an answer waits for one row, and a lookup sees everything.

mod cursor;
mod filter;
mod follow;
mod index;
mod indexer;
mod migrate;
mod pack;
mod reader;
mod replica;
mod tail;
mod unpack;
mod writer;

use super::{AppendError, Appended, Commit, Filter, Log, Partition, Reading, Verdict};
use anyhow::Context as _;
use domain::id::{CommitId, WorkspaceId};
use indexer::Indexer;
pub use migrate::NewerFile;
use proto::{Recorded, StreamName};
use reader::Reader;
pub use replica::{Followed, Replica};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tail::{CommitKey, StreamKey, Tail};
use tokio::sync::{oneshot, watch};

/// Most commits that wait for the writer; more make `append` wait. Two full groups: one being written, one to follow.
const QUEUE_COMMITS_MAX: usize = 1_024;

/// Idle reader connections that are kept; each costs a file handle and its page cache.
const IDLE_READERS_MAX: usize = 8;

/// How long a connection waits for another process's write transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Pages of 4 KiB that the write-ahead log gathers before they are copied into the file, which takes two more syncs.
const CHECKPOINT_PAGES: u32 = 1_000;

/// A handle on an embedded log; the file closes when the last one is dropped.
#[derive(Clone)]
pub struct SqliteLog(Arc<Shared>);

struct Shared {
    path: PathBuf,
    queue: flume::Sender<Request>,
    head: watch::Receiver<u64>,
    idle_readers: Mutex<Vec<Reader>>,
    tail: Arc<Mutex<Tail>>,
}

struct Request {
    commit: Commit,
    reply: oneshot::Sender<Result<Appended, AppendError>>,
}

impl SqliteLog {
    /// Opens the log at `path`, and creates it when there is none. The folder must exist.
    ///
    /// # Errors
    /// When the file cannot be opened or is not a log; [`NewerFile`] when it was written by a newer version.
    pub fn open(path: impl Into<PathBuf>) -> anyhow::Result<Self> {
        let path = path.into();
        let connection = connect(&path)?;
        Self::start(path, connection, indexer::GATHER)
    }

    /// Opens the log like [`Self::open`], but lets its file grow to `pages_max` pages of 4 KiB only; beyond that it is as with a full disk.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with_pages_max(path: impl Into<PathBuf>, pages_max: u32) -> anyhow::Result<Self> {
        let path = path.into();
        let connection = connect(&path)?;
        connection.pragma_update(None, "max_page_count", pages_max)?;
        Self::start(path, connection, indexer::GATHER)
    }

    /// Opens the log like [`Self::open`], but begins to write the index whenever `entries` wait for it: what is rare becomes frequent.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_indexing_after(path: impl Into<PathBuf>, entries: usize) -> anyhow::Result<Self> {
        let path = path.into();
        let connection = connect(&path)?;
        Self::start(path, connection, entries)
    }

    fn start(path: PathBuf, mut connection: Connection, index_after: usize) -> anyhow::Result<Self> {
        let opening = || format!("opening the log {}", path.display());
        migrate::prepare(&mut connection, migrate::Old::Keep).with_context(opening)?;
        let tail = Arc::<Mutex<Tail>>::default();
        let writer = writer::Writer::new(connection, Indexer::new(tail.clone(), index_after)).with_context(opening)?;
        let (queue, requests) = flume::bounded(QUEUE_COMMITS_MAX);
        let (head_sender, head) = watch::channel(writer.head());
        std::thread::Builder::new()
            .name("log-writer".to_owned())
            .spawn(move || writer.run(&requests, &head_sender))
            .context("starting the log's writer thread")?;
        Ok(Self(Arc::new(Shared { path, queue, head, idle_readers: Mutex::new(Vec::new()), tail })))
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
            None => Reader::new(connect(&self.path)?, self.tail.clone()),
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
        let key = CommitKey { workspace, id: commit };
        self.with_reader(move |reader| reader.verdict(key).context("looking up a commit")).await
    }

    async fn read_stream(
        &self,
        workspace: WorkspaceId,
        stream: &StreamName,
        from_version: u64,
        limit: usize,
    ) -> anyhow::Result<Vec<Recorded>> {
        let key = StreamKey { workspace, stream: stream.clone() };
        self.with_reader(move |reader| reader.stream(&key, from_version, limit).context("reading a stream")).await
    }

    fn read(&self, _: Partition, from: u64, filter: Filter) -> Reading {
        follow::follow(self.0.clone(), from, filter)
    }

    async fn head(&self, _: Partition) -> anyhow::Result<u64> {
        self.with_reader(|reader| reader.head().context("reading the log's head")).await
    }

    fn partition(&self, _: WorkspaceId) -> Partition {
        Partition::EMBEDDED
    }
}

fn connect(path: &Path) -> anyhow::Result<Connection> {
    let connection = Connection::open(path).with_context(|| format!("opening {}", path.display()))?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.pragma_update(None, "mmap_size", 1_i64 << 30)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    Ok(connection)
}
