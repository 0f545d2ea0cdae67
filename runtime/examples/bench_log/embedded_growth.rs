//! The embedded log as it grows: what appends cost at the end of a long log, what it costs to decide on a stream, to read one, to open it.

use crate::rounds::{ROUND, Writer, commit, next, progress, round};
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
    let decide = {
        let log = log.clone();
        round(
            1,
            |_| {
                let (log, writer) = (log.clone(), Writer { workspace: WORKSPACE, stream: 1 << 30 });
                move |version| {
                    let log = log.clone();
                    async move {
                        let stream = StreamName::new("clip", Uuid::from_u128((1 << 30) + u128::from(version / 20)));
                        let known = log.read_stream(WORKSPACE, &stream, 0, 1_000).await.unwrap();
                        let writer = Writer { stream: writer.stream + u128::from(version / 20), ..writer };
                        log.append(next(writer, known.len() as u64)).await.unwrap();
                    }
                }
            },
            async {},
        )
        .await
    };
    progress(&format!("{COMMITS} commits of {CLIENTS} clients"));
    let started = Instant::now();
    let tasks: Vec<_> = (0..CLIENTS as u64)
        .map(|client| {
            let log = log.clone();
            tokio::spawn(async move {
                let mut tenths = Vec::new();
                for number in 0..COMMITS / CLIENTS as u64 {
                    // Twenty events to a stream, as a clip has.
                    let writer = Writer { workspace: WORKSPACE, stream: u128::from(client << 20 | number / 20) };
                    let expected = if number % 20 == 0 { Expected::Empty } else { Expected::Exact(number % 20 - 1) };
                    log.append(scrambled(writer, number, expected)).await.unwrap();
                    let scattered = (COMMITS / CLIENTS as u64) / SCATTERED_EVENTS;
                    if u128::from(client) < SCATTERED_STREAMS && number % scattered == 0 && number / scattered < SCATTERED_EVENTS {
                        let writer = Writer { workspace: WORKSPACE, stream: (1 << 40) + u128::from(client) };
                        log.append(next(writer, number / scattered)).await.unwrap();
                    }
                    if (number + 1) % (COMMITS / CLIENTS as u64 / 10) == 0 {
                        tenths.push(started.elapsed().as_secs_f64());
                    }
                }
                tenths
            })
        })
        .collect();
    let mut last = vec![0.0_f64; 10];
    for task in tasks {
        for (slowest, tenth) in last.iter_mut().zip(task.await.unwrap()) {
            *slowest = slowest.max(tenth);
        }
    }
    let tenth = COMMITS as f64 / 10.0;
    let rates: Vec<u64> =
        std::iter::once(0.0).chain(last.iter().copied()).zip(&last).map(|(from, to)| (tenth / (to - from)) as u64).collect();
    let memory_kib = resident_kib();
    let file_bytes = std::fs::metadata(&path).unwrap().len();

    progress("reading streams of 30 scattered events");
    let mut latencies = Vec::new();
    for number in 0..TRIES {
        let stream = StreamName::new("clip", Uuid::from_u128((1 << 40) + u128::from(number) % SCATTERED_STREAMS));
        let asked = Instant::now();
        let events = log.read_stream(WORKSPACE, &stream, 0, 1_000).await.unwrap();
        latencies.push(asked.elapsed());
        assert_eq!(events.len() as u64, SCATTERED_EVENTS);
    }
    latencies.sort_unstable();
    let scattered_us = latencies[latencies.len() / 2].as_micros() as u64;

    progress("replay of commits of one event");
    let started = Instant::now();
    let mut reading = log.read(Partition::EMBEDDED, 0, Filter::all());
    let mut events = 0_u64;
    while let Item::Event(_) = reading.next().await.unwrap().unwrap() {
        events += 1;
    }
    let replay = events as f64 / started.elapsed().as_secs_f64();
    drop(reading);
    drop(log);

    progress("opening");
    let started = Instant::now();
    let log = SqliteLog::open(&path).unwrap();
    let open_ms = started.elapsed().as_secs_f64() * 1e3;
    progress("deciding again");
    let again = round(
        1,
        |_| {
            let log = log.clone();
            move |version| {
                let log = log.clone();
                async move {
                    let stream = (1 << 31) + u128::from(version / 20);
                    let name = StreamName::new("clip", Uuid::from_u128(stream));
                    let known = log.read_stream(WORKSPACE, &name, 0, 1_000).await.unwrap();
                    log.append(next(Writer { workspace: WORKSPACE, stream }, known.len() as u64)).await.unwrap();
                }
            }
        },
        async {},
    )
    .await;
    json!({
        "round_ms": ROUND.as_millis() as u64, "decide_on_an_empty_log": decide, "decide_on_a_long_log": again, "commits": COMMITS, "appends_per_second_by_tenths": rates,
        "resident_kib": memory_kib, "file_bytes": file_bytes, "read_stream_of_30_scattered_us": scattered_us,
        "replay_of_single_commits_per_second": replay, "open_ms": open_ms,
    })
}

/// Returns the memory of this process.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
