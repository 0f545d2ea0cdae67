//! The embedded log as it grows: what appends cost at the end of a long log, what it costs to decide on a stream, to read one, to open it.

use crate::rounds::{ROUND, Round, Writer, commit, next, progress, round};
use domain::id::{CommitId, WorkspaceId};
use futures::StreamExt as _;
use proto::StreamName;
use runtime::log::sqlite::SqliteLog;
use runtime::log::{Commit, Expected, Filter, Item, Log, Partition};
use serde_json::{Value, json};
use std::time::Instant;
use uuid::Uuid;

const COMMITS: u64 = 2_000_000;
const CLIENTS: usize = 1_024;
const WORKSPACE: WorkspaceId = WorkspaceId(Uuid::from_u128(1));

/// Streams whose events lie scattered over the whole log, and how many each has.
const SCATTERED_STREAMS: u128 = 50;
const SCATTERED_EVENTS: u64 = 30;

/// Times that a small thing is done to learn its median.
const TRIES: u64 = 1_000;

/// Returns the commit of a writer with an id like those that are derived from a cause: in no order.
fn scrambled(writer: Writer, number: u64, expected: Expected) -> Commit {
    let mut commit = commit(writer, number, expected, 1);
    commit.id = CommitId(Uuid::from_u128(commit.id.0.as_u128().wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)));
    commit
}

pub(crate) async fn report() -> Value {
    let folder = tempfile::Builder::new().prefix("bench-log").tempdir_in(std::env::current_dir().unwrap()).unwrap();
    let path = folder.path().join("log.sqlite");
    let log = SqliteLog::open(&path).unwrap();
    progress("deciding on a stream, one client");
    let decide_empty = decide(&log, 1 << 50).await;
    progress(&format!("{COMMITS} commits of {CLIENTS} clients"));
    let rates = grow(&log).await;
    let (memory_kib, file_bytes) = (resident_kib(), std::fs::metadata(&path).unwrap().len());
    progress("reading streams of 30 scattered events, and everything");
    let scattered_us = scattered(&log).await;
    let replay = replay(&log).await;
    drop(log);
    progress("opening, and deciding again");
    let started = Instant::now();
    let log = SqliteLog::open(&path).unwrap();
    let open_ms = started.elapsed().as_secs_f64() * 1e3;
    let decide_long = decide(&log, 1 << 51).await;
    json!({
        "round_ms": ROUND.as_millis() as u64, "decide_on_an_empty_log": decide_empty, "decide_on_a_long_log": decide_long,
        "commits": COMMITS, "appends_per_second_by_tenths": rates, "resident_kib": memory_kib, "file_bytes": file_bytes,
        "read_stream_of_30_scattered_us": scattered_us, "replay_of_single_commits_per_second": replay, "open_ms": open_ms,
    })
}

/// One client reads a stream and appends to it, again and again; a new stream after twenty events.
async fn decide(log: &SqliteLog, first_stream: u128) -> Round {
    let client = |_| {
        let log = log.clone();
        move |number: u64| {
            let log = log.clone();
            async move {
                let stream = first_stream + u128::from(number / 20);
                let name = StreamName::new("clip", Uuid::from_u128(stream));
                let known = log.read_stream(WORKSPACE, &name, 0, 1_000).await.unwrap();
                log.append(next(Writer { workspace: WORKSPACE, stream }, known.len() as u64)).await.unwrap();
            }
        }
    };
    round(1, client, async {}).await
}

/// Fills the log, and returns the appends per second in each tenth of that.
async fn grow(log: &SqliteLog) -> Vec<u64> {
    const EACH: u64 = COMMITS / CLIENTS as u64;
    let started = Instant::now();
    let client = |client: u64| {
        let log = log.clone();
        async move {
            let mut tenths = Vec::new();
            for number in 0..EACH {
                // Twenty events to a stream, as a clip has.
                let writer = Writer { workspace: WORKSPACE, stream: u128::from((client << 20) | (number / 20)) };
                let expected = if number % 20 == 0 { Expected::Empty } else { Expected::Exact(number % 20 - 1) };
                log.append(scrambled(writer, number, expected)).await.unwrap();
                let every = EACH / SCATTERED_EVENTS;
                if u128::from(client) < SCATTERED_STREAMS && number % every == 0 && number / every < SCATTERED_EVENTS {
                    let writer = Writer { workspace: WORKSPACE, stream: (1 << 40) + u128::from(client) };
                    log.append(next(writer, number / every)).await.unwrap();
                }
                if (number + 1) % (EACH / 10) == 0 {
                    tenths.push(started.elapsed().as_secs_f64());
                }
            }
            tenths
        }
    };
    let tasks: Vec<_> = (0..CLIENTS as u64).map(|number| tokio::spawn(client(number))).collect();
    let mut ends = [0.0_f64; 11];
    for task in tasks {
        for (slowest, tenth) in ends[1..].iter_mut().zip(task.await.unwrap()) {
            *slowest = slowest.max(tenth);
        }
    }
    ends.windows(2).map(|tenth| (COMMITS as f64 / 10.0 / (tenth[1] - tenth[0])) as u64).collect()
}

/// Returns the median time to read a stream whose events are scattered.
async fn scattered(log: &SqliteLog) -> u64 {
    let mut latencies = Vec::new();
    for number in 0..TRIES {
        let stream = StreamName::new("clip", Uuid::from_u128((1 << 40) + u128::from(number) % SCATTERED_STREAMS));
        let asked = Instant::now();
        let events = log.read_stream(WORKSPACE, &stream, 0, 1_000).await.unwrap();
        latencies.push(asked.elapsed());
        assert_eq!(events.len() as u64, SCATTERED_EVENTS);
    }
    latencies.sort_unstable();
    latencies[latencies.len() / 2].as_micros() as u64
}

/// Returns the events per second that a reader of everything gets.
async fn replay(log: &SqliteLog) -> f64 {
    let started = Instant::now();
    let mut reading = log.read(Partition::EMBEDDED, 0, Filter::all());
    let mut events = 0_u64;
    while let Item::Event(_) = reading.next().await.unwrap().unwrap() {
        events += 1;
    }
    events as f64 / started.elapsed().as_secs_f64()
}

/// Returns the memory of this process.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
