//! The embedded log, and bare SQLite with the same pragmas and the same group commit beside it, in turn on the same disk.
//!
//! Every append is conditional and acknowledged after its sync. One round of each: whoever calls repeats it, with other peers in between.

use crate::rounds::{PAYLOAD_BYTES, Round, Writer, commit, next, progress, round};
use domain::id::WorkspaceId;
use futures::StreamExt as _;
use runtime::log::sqlite::SqliteLog;
use runtime::log::{Expected, Filter, Item, Log, Partition};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;
use tokio::sync::oneshot;
use uuid::Uuid;

const WRITERS: [usize; 4] = [1, 16, 256, 1_024];
const REPLAY_EVENTS: usize = 500_000;
const BARE_BATCH_MAX: usize = 512;
const WORKSPACE: WorkspaceId = WorkspaceId(Uuid::from_u128(1));

pub(crate) async fn report() -> Value {
    let folder = tempfile::Builder::new().prefix("bench-log").tempdir_in(std::env::current_dir().unwrap()).unwrap();
    let mut appends = Vec::new();
    for writers in WRITERS {
        let path = |what: &str| folder.path().join(format!("{what}-{writers}.sqlite"));
        progress(&format!("{writers} writers: the log, bare SQLite"));
        let (log, bare) = (log_round(&path("log"), writers).await, bare_round(&path("bare"), writers).await);
        appends.push(json!({ "clients": writers, "log": log, "bare": bare }));
    }
    progress("replay: the log, bare SQLite");
    let (log, bare) = replay(folder.path()).await;
    json!({ "payload_bytes": PAYLOAD_BYTES, "appends": appends, "replay": { "events": REPLAY_EVENTS, "log": log, "bare": bare } })
}

async fn log_round(path: &Path, writers: usize) -> Round {
    let log = SqliteLog::open(path).unwrap();
    round(
        writers,
        |number| {
            let log = log.clone();
            let writer = Writer { workspace: WORKSPACE, stream: number as u128 };
            move |version| {
                let log = log.clone();
                async move {
                    log.append(next(writer, version)).await.unwrap();
                }
            }
        },
        async {},
    )
    .await
}

struct BareRequest {
    stream: i64,
    version: i64,
    payload: Vec<u8>,
    done: oneshot::Sender<()>,
}

/// The least that could be called a log on SQLite: one table, a unique index on (stream, version), one committer thread.
async fn bare_round(path: &Path, writers: usize) -> Round {
    let connection = bare(path);
    let (queue, requests) = flume::bounded::<BareRequest>(1_024);
    let committer = std::thread::spawn(move || bare_committer(&connection, &requests));
    let result = round(
        writers,
        |writer| {
            let queue = queue.clone();
            move |number| {
                let queue = queue.clone();
                async move {
                    let (done, answer) = oneshot::channel();
                    let payload = vec![7; PAYLOAD_BYTES];
                    queue.send_async(BareRequest { stream: writer as i64, version: number as i64, payload, done }).await.unwrap();
                    answer.await.unwrap();
                }
            }
        },
        async {},
    )
    .await;
    drop(queue);
    committer.join().unwrap();
    result
}

fn bare(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    for (name, value) in [("journal_mode", "WAL"), ("synchronous", "FULL"), ("cache_size", "-16384"), ("mmap_size", "1073741824")] {
        connection.pragma_update(None, name, value).unwrap();
    }
    let table = "CREATE TABLE events (position INTEGER PRIMARY KEY, stream INTEGER NOT NULL, version INTEGER NOT NULL, payload BLOB NOT NULL, UNIQUE (stream, version))";
    connection.execute_batch(table).unwrap();
    connection
}

fn bare_committer(connection: &Connection, requests: &flume::Receiver<BareRequest>) {
    while let Ok(first) = requests.recv() {
        let batch: Vec<BareRequest> = std::iter::once(first).chain(requests.try_iter().take(BARE_BATCH_MAX - 1)).collect();
        connection.prepare_cached("BEGIN IMMEDIATE").unwrap().execute([]).unwrap();
        for request in &batch {
            let mut insert = connection.prepare_cached("INSERT INTO events (stream, version, payload) VALUES (?, ?, ?)").unwrap();
            insert.execute((request.stream, request.version, &request.payload)).unwrap();
        }
        connection.prepare_cached("COMMIT").unwrap().execute([]).unwrap();
        for request in batch {
            request.done.send(()).unwrap();
        }
    }
}

/// Returns how many events a second the log gives to its reader, and how many rows bare SQLite does.
async fn replay(folder: &Path) -> (f64, f64) {
    const COMMIT_EVENTS: usize = 1_000;
    const STREAMS: usize = 100;
    let log = SqliteLog::open(folder.join("replay.sqlite")).unwrap();
    let bare = bare(&folder.join("replay-bare.sqlite"));
    bare.execute_batch("BEGIN").unwrap();
    for number in 0..REPLAY_EVENTS / COMMIT_EVENTS {
        let writer = Writer { workspace: WORKSPACE, stream: (number % STREAMS) as u128 };
        log.append(commit(writer, number as u64, Expected::Any, COMMIT_EVENTS)).await.unwrap();
        for version in 0..COMMIT_EVENTS {
            let mut insert = bare.prepare_cached("INSERT INTO events (stream, version, payload) VALUES (?, ?, ?)").unwrap();
            insert.execute((number as i64, version as i64, vec![7_u8; PAYLOAD_BYTES])).unwrap();
        }
    }
    bare.execute_batch("COMMIT").unwrap();

    let started = Instant::now();
    let mut reading = log.read(Partition::EMBEDDED, 0, Filter::all());
    let (mut events, mut bytes) = (0, 0);
    while let Item::Event(event) = reading.next().await.unwrap().unwrap() {
        events += 1;
        bytes += event.payload.len();
    }
    let with_log = REPLAY_EVENTS as f64 / started.elapsed().as_secs_f64();
    assert_eq!((events, bytes), (REPLAY_EVENTS, REPLAY_EVENTS * PAYLOAD_BYTES));

    let started = Instant::now();
    let mut statement = bare.prepare("SELECT position, stream, version, payload FROM events ORDER BY position").unwrap();
    let mut rows = statement.query([]).unwrap();
    let mut bytes = 0;
    while let Some(row) = rows.next().unwrap() {
        bytes += row.get_ref(3).unwrap().as_blob().unwrap().len();
    }
    assert_eq!(bytes, REPLAY_EVENTS * PAYLOAD_BYTES);
    (with_log, REPLAY_EVENTS as f64 / started.elapsed().as_secs_f64())
}
