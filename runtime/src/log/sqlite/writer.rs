//! The one writer: takes what waits, writes it in one transaction, answers after the sync.

use super::{Request, expected_to_sql, head, signed, unsigned, verdict};
use crate::log::{AppendError, Appended, Commit, Conflict, LogFull, StreamAppend, Verdict};
use anyhow::Context as _;
use domain::id::{CommitId, WorkspaceId};
use proto::{Metadata, NewEvent, StreamName};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, TransactionBehavior};
use std::collections::HashMap;
use tokio::sync::watch;

/// Most commits in one transaction: the last one's answer waits for all of them.
const BATCH_COMMITS_MAX: usize = 512;

/// Most events in one transaction before it takes no further commit, for the same reason.
const BATCH_EVENTS_MAX: usize = 8_192;

/// Streams whose heads are remembered, about 150 bytes each; beyond that all are forgotten and read again.
pub(super) const HEADS_MAX: usize = 100_000;

/// How many prepared statements a connection keeps: more than there are statements in this adapter.
const STATEMENTS_MAX: usize = 32;

/// No data version: the next batch reads everything anew.
const UNKNOWN: i64 = -1;

pub(super) struct Writer {
    connection: Connection,
    state: State,
}

/// What the writer knows about the file without reading it, as long as nobody else writes.
pub(super) struct State {
    pub(super) next_position: u64,
    pub(super) heads: HashMap<(WorkspaceId, StreamName), StreamHead>,
    /// Changes when another connection commits (`PRAGMA data_version`).
    data_version: i64,
}

#[derive(Clone, Copy)]
pub(super) struct StreamHead {
    pub(super) key: i64,
    pub(super) last: Option<u64>,
}

type Answer = Result<Appended, AppendError>;

impl Writer {
    pub(super) fn new(connection: Connection) -> anyhow::Result<Self> {
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        let state = State::new(&connection)?;
        Ok(Self { connection, state })
    }

    pub(super) fn head(&self) -> u64 {
        self.state.next_position
    }

    /// Serves requests until every handle on the log is gone.
    pub(super) fn run(mut self, requests: &flume::Receiver<Request>, head: &watch::Sender<u64>) {
        while let Ok(first) = requests.recv() {
            let batch = collect(first, requests);
            metrics::histogram!("clipflow_log_batch_commits").record(batch.len() as f64);
            let committed_head = self.state.next_position;
            let answers = match self.commit(&batch) {
                Ok(answers) => answers,
                Err(error) => self.recover(&error, committed_head, batch.len()),
            };
            head.send_if_modified(|head| std::mem::replace(head, self.state.next_position) != self.state.next_position);
            for (request, answer) in batch.into_iter().zip(answers) {
                // The asker may have given up; the commit stands all the same.
                drop(request.reply.send(answer));
            }
        }
    }

    fn commit(&mut self, batch: &[Request]) -> rusqlite::Result<Vec<Answer>> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        self.state.refresh(&transaction)?;
        let mut answers = Vec::with_capacity(batch.len());
        for request in batch {
            answers.push(self.state.apply(&transaction, &request.commit)?);
        }
        transaction.commit()?;
        Ok(answers)
    }

    /// Forgets what the failed transaction made us believe, and answers everybody who waited for it.
    fn recover(&mut self, error: &rusqlite::Error, committed_head: u64, waiting: usize) -> Vec<Answer> {
        tracing::error!(error = %error, waiting, "the log could not write");
        self.state.next_position = committed_head;
        self.state.data_version = UNKNOWN;
        let is_full = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
        let answer = || {
            if is_full { AppendError::Full(LogFull) } else { AppendError::Unknown(anyhow::anyhow!("SQLite: {error}")) }
        };
        (0..waiting).map(|_| Err(answer())).collect()
    }
}

/// Returns the first request and what waits behind it, up to a batch.
fn collect(first: Request, requests: &flume::Receiver<Request>) -> Vec<Request> {
    let mut events = first.commit.events();
    let mut batch = vec![first];
    while batch.len() < BATCH_COMMITS_MAX && events < BATCH_EVENTS_MAX {
        let Ok(next) = requests.try_recv() else { break };
        events += next.commit.events();
        batch.push(next);
    }
    batch
}

impl State {
    pub(super) fn new(connection: &Connection) -> anyhow::Result<Self> {
        let next_position = head(connection).context("reading the log's head")?;
        Ok(Self { next_position, heads: HashMap::new(), data_version: data_version(connection)? })
    }

    /// Drops what may have become false since another process wrote.
    fn refresh(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let version = data_version(connection)?;
        if version != self.data_version {
            self.data_version = version;
            self.heads.clear();
            self.next_position = head(connection)?;
        }
        if self.heads.len() > HEADS_MAX {
            self.heads.clear();
        }
        Ok(())
    }

    /// Writes one commit with its verdict into the open transaction. All checks come before the first write.
    fn apply(&mut self, connection: &Connection, commit: &Commit) -> rusqlite::Result<Answer> {
        match verdict(connection, commit.workspace, commit.id)? {
            Some(Verdict::Accepted(first)) => return Ok(Ok(first)),
            Some(Verdict::Rejected(conflict)) => return Ok(Err(conflict.into())),
            None => {}
        }
        for StreamAppend { stream, expected, .. } in &commit.streams {
            let actual = self.stream_head(connection, commit.workspace, stream)?.and_then(|head| head.last);
            if !expected.accepts(actual) {
                let conflict = Conflict { stream: stream.clone(), expected: *expected, actual };
                remember_rejected(connection, (commit.workspace, commit.id), &conflict)?;
                return Ok(Err(conflict.into()));
            }
        }
        let first_position = self.next_position;
        for append in &commit.streams {
            self.append(connection, commit.workspace, append, &commit.metadata)?;
        }
        let last_position = self.next_position - 1;
        remember_accepted(connection, (commit.workspace, commit.id), first_position, last_position)?;
        Ok(Ok(Appended { first_position, last_position, is_repeat: false }))
    }

    fn append(
        &mut self,
        connection: &Connection,
        workspace: WorkspaceId,
        append: &StreamAppend,
        metadata: &Metadata,
    ) -> rusqlite::Result<()> {
        let mut head = self.stream_to_write(connection, workspace, &append.stream)?;
        for event in &append.events {
            let version = head.last.map_or(0, |last| last + 1);
            let place = EventPlace { position: self.next_position, stream: head.key, version };
            insert(connection, place, event, metadata)?;
            head.last = Some(version);
            self.next_position += 1;
        }
        self.heads.insert((workspace, append.stream.clone()), head);
        Ok(())
    }

    /// Returns the head of a stream, which is made when it has no event yet.
    pub(super) fn stream_to_write(
        &mut self,
        connection: &Connection,
        workspace: WorkspaceId,
        stream: &StreamName,
    ) -> rusqlite::Result<StreamHead> {
        if let Some(head) = self.stream_head(connection, workspace, stream)? {
            return Ok(head);
        }
        connection
            .prepare_cached("INSERT INTO streams (workspace, name) VALUES (?, ?)")?
            .execute((workspace.0.as_bytes(), stream.as_str()))?;
        Ok(StreamHead { key: connection.last_insert_rowid(), last: None })
    }

    /// Returns the head of a stream that has events.
    fn stream_head(
        &mut self,
        connection: &Connection,
        workspace: WorkspaceId,
        stream: &StreamName,
    ) -> rusqlite::Result<Option<StreamHead>> {
        let name = (workspace, stream.clone());
        if let Some(head) = self.heads.get(&name) {
            return Ok(Some(*head));
        }
        let key: Option<i64> = connection
            .prepare_cached("SELECT key FROM streams WHERE workspace = ? AND name = ?")?
            .query_row((workspace.0.as_bytes(), stream.as_str()), |row| row.get(0))
            .optional()?;
        let Some(key) = key else { return Ok(None) };
        let last: Option<i64> =
            connection.prepare_cached("SELECT max(version) FROM events WHERE stream = ?")?.query_row([key], |row| row.get(0))?;
        let head = StreamHead { key, last: last.map(unsigned) };
        self.heads.insert(name, head);
        Ok(Some(head))
    }
}

/// Where an event goes.
#[derive(Clone, Copy)]
pub(super) struct EventPlace {
    pub(super) position: u64,
    pub(super) stream: i64,
    pub(super) version: u64,
}

pub(super) fn insert(connection: &Connection, place: EventPlace, event: &NewEvent, metadata: &Metadata) -> rusqlite::Result<()> {
    let sql =
        "INSERT INTO events (position, stream, version, id, type, schema_version, payload, at, actor, correlation, causation, traceparent)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    connection.prepare_cached(sql)?.execute((
        signed(place.position),
        place.stream,
        signed(place.version),
        event.id.0.as_bytes(),
        &*event.event_type,
        event.schema_version,
        &*event.payload,
        signed(metadata.at.0),
        &*metadata.actor,
        metadata.correlation.as_bytes(),
        metadata.causation.as_ref().map(|cause| cause.0.as_bytes()),
        metadata.traceparent.as_deref(),
    ))?;
    Ok(())
}

/// The first verdict on a commit id stands: what is there already is left.
pub(super) fn remember_accepted(connection: &Connection, commit: (WorkspaceId, CommitId), first: u64, last: u64) -> rusqlite::Result<()> {
    let (workspace, id) = commit;
    connection
        .prepare_cached("INSERT OR IGNORE INTO commits (workspace, id, first_position, last_position) VALUES (?, ?, ?, ?)")?
        .execute((workspace.0.as_bytes(), id.0.as_bytes(), signed(first), signed(last)))?;
    Ok(())
}

pub(super) fn remember_rejected(connection: &Connection, commit: (WorkspaceId, CommitId), conflict: &Conflict) -> rusqlite::Result<()> {
    let (workspace, id) = commit;
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO commits (workspace, id, conflict_stream, conflict_expected, conflict_actual) VALUES (?, ?, ?, ?, ?)",
        )?
        .execute((
            workspace.0.as_bytes(),
            id.0.as_bytes(),
            conflict.stream.as_str(),
            expected_to_sql(conflict.expected),
            conflict.actual.map(signed),
        ))?;
    Ok(())
}

fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}
