//! Measures the embedded log, and bare SQLite with the same pragmas and the same group commit beside it, interleaved on the same disk.
//!
//! Every append is conditional and acknowledged after its sync. Prints one JSON object. Run: `cargo run --release -p runtime --example bench_log_beside_bare`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

use bytes::Bytes;
use domain::Timestamp;
use domain::id::{CommitId, EventId, WorkspaceId};
use futures::StreamExt as _;
use proto::{Metadata, NewEvent, StreamName};
use runtime::log::sqlite::SqliteLog;
use runtime::log::{Commit, Expected, Filter, Item, Log, Partition, StreamAppend};
use rusqlite::Connection;
use serde::Serialize;
use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use uuid::Uuid;

const PAYLOAD_BYTES: usize = 256;
const REPETITIONS: usize = 5;
const ROUND: Duration = Duration::from_millis(1_000);
const WRITERS: [usize; 3] = [1, 16, 256];
const REPLAY_EVENTS: usize = 500_000;
const BARE_BATCH_MAX: usize = 512;

#[derive(Serialize)]
struct Report {
    payload_bytes: usize,
    repetitions: usize,
    round_ms: u128,
    appends: Vec<Appends>,
    replay: Replay,
}

#[derive(Serialize)]
struct Appends {
    writers: usize,
    log: Figures,
    bare_sqlite: Figures,
    /// Median over the repetitions of log ÷ bare in the same repetition.
    log_to_bare: f64,
}

/// Medians over the repetitions.
#[derive(Serialize)]
struct Figures {
    appends_per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

#[derive(Serialize)]
struct Replay {
    events: usize,
    log_events_per_second: f64,
    bare_rows_per_second: f64,
}

struct Round {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let folder = tempfile::Builder::new().prefix("bench-log").tempdir_in(std::env::current_dir().unwrap()).unwrap();
    let mut appends = Vec::new();
    for writers in WRITERS {
        let (mut log, mut bare) = (Vec::new(), Vec::new());
        for repetition in 0..REPETITIONS {
            let name = |what: &str| folder.path().join(format!("{what}-{writers}-{repetition}.sqlite"));
            log.push(log_round(&name("log"), writers).await);
            bare.push(bare_round(&name("bare"), writers).await);
        }
        let ratios = log.iter().zip(&bare).map(|(log, bare)| log.per_second / bare.per_second);
        appends.push(Appends { writers, log_to_bare: median(ratios), log: figures(&log), bare_sqlite: figures(&bare) });
    }
    let replay = replay(folder.path()).await;
    let report = Report { payload_bytes: PAYLOAD_BYTES, repetitions: REPETITIONS, round_ms: ROUND.as_millis(), appends, replay };
    println!("{}", serde_json::to_string_pretty(&report).unwrap());
}

async fn log_round(path: &Path, writers: usize) -> Round {
    let log = SqliteLog::open(path).unwrap();
    round(writers, |writer| {
        let log = log.clone();
        move |number| {
            let log = log.clone();
            async move {
                let expected = if number == 0 { Expected::Empty } else { Expected::Exact(number - 1) };
                log.append(commit(writer, number, expected, 1)).await.unwrap();
            }
        }
    })
    .await
}

/// Lets `writers` tasks append one after another until the round is over.
async fn round<A, F>(writers: usize, appender: impl Fn(usize) -> A) -> Round
where
    A: Fn(u64) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let started = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let append = appender(writer);
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                while started.elapsed() < ROUND {
                    let asked = Instant::now();
                    append(latencies.len() as u64).await;
                    latencies.push(asked.elapsed());
                }
                latencies
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.unwrap());
    }
    let elapsed = started.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let quantile = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    Round { per_second: latencies.len() as f64 / elapsed, p50_ms: quantile(0.5), p99_ms: quantile(0.99) }
}

fn commit(writer: usize, number: u64, expected: Expected, events: usize) -> Commit {
    let id = |index: u64| Uuid::from_u128(((writer as u128) << 96) | (u128::from(number) << 32) | u128::from(index));
    let event = |index: usize| NewEvent {
        id: EventId(id(index as u64)),
        event_type: "clip.measured".into(),
        schema_version: 1,
        payload: Bytes::from(vec![index as u8; PAYLOAD_BYTES]),
    };
    let stream = StreamName::new("clip", Uuid::from_u128(writer as u128));
    Commit {
        id: CommitId(id(u64::from(u32::MAX))),
        workspace: WorkspaceId(Uuid::from_u128(1)),
        streams: vec![StreamAppend { stream, expected, events: (0..events).map(event).collect() }],
        metadata: Metadata {
            at: Timestamp(1_700_000_000_000_000),
            actor: "processor:measure".to_owned(),
            correlation: Uuid::from_u128(7),
            causation: Some(EventId(Uuid::from_u128(8))),
            traceparent: None,
        },
    }
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
    let result = round(writers, |writer| {
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
    })
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

async fn replay(folder: &Path) -> Replay {
    const COMMIT_EVENTS: usize = 1_000;
    const STREAMS: usize = 100;
    let log = SqliteLog::open(folder.join("replay.sqlite")).unwrap();
    let bare = bare(&folder.join("replay-bare.sqlite"));
    bare.execute_batch("BEGIN").unwrap();
    for number in 0..REPLAY_EVENTS / COMMIT_EVENTS {
        log.append(commit(number % STREAMS, number as u64, Expected::Any, COMMIT_EVENTS)).await.unwrap();
        for version in 0..COMMIT_EVENTS {
            let mut insert = bare.prepare_cached("INSERT INTO events (stream, version, payload) VALUES (?, ?, ?)").unwrap();
            insert.execute((number as i64, version as i64, vec![7_u8; PAYLOAD_BYTES])).unwrap();
        }
    }
    bare.execute_batch("COMMIT").unwrap();
    let (mut with_log, mut with_bare) = (Vec::new(), Vec::new());
    for _ in 0..REPETITIONS {
        let started = Instant::now();
        let mut reading = log.read(Partition::EMBEDDED, 0, Filter::all());
        let (mut events, mut bytes) = (0, 0);
        while let Item::Event(event) = reading.next().await.unwrap().unwrap() {
            events += 1;
            bytes += event.payload.len();
        }
        with_log.push(events as f64 / started.elapsed().as_secs_f64());
        assert_eq!((events, bytes), (REPLAY_EVENTS, REPLAY_EVENTS * PAYLOAD_BYTES));

        let started = Instant::now();
        let mut statement = bare.prepare("SELECT position, stream, version, payload FROM events ORDER BY position").unwrap();
        let mut rows = statement.query([]).unwrap();
        let mut bytes = 0;
        while let Some(row) = rows.next().unwrap() {
            bytes += row.get_ref(3).unwrap().as_blob().unwrap().len();
        }
        assert_eq!(bytes, REPLAY_EVENTS * PAYLOAD_BYTES);
        with_bare.push(REPLAY_EVENTS as f64 / started.elapsed().as_secs_f64());
    }
    Replay {
        events: REPLAY_EVENTS,
        log_events_per_second: median(with_log.into_iter()),
        bare_rows_per_second: median(with_bare.into_iter()),
    }
}

fn figures(rounds: &[Round]) -> Figures {
    Figures {
        appends_per_second: median(rounds.iter().map(|round| round.per_second)),
        p50_ms: median(rounds.iter().map(|round| round.p50_ms)),
        p99_ms: median(rounds.iter().map(|round| round.p99_ms)),
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
