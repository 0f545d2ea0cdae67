//! Measures the embedded log for `just bench log`: `bench_log FOLDER [SECONDS=3]` prints one JSON object.
//!
//! Every append names the version it expects and is answered after its sync; each writer has streams of its own, as videos have.
#![allow(clippy::print_stdout, reason = "a tool for people who measure")]
#![allow(clippy::disallowed_methods, reason = "a benchmark makes ids as it goes")]

use anyhow::{Context as _, Result};
use bytes::Bytes;
use domain::Timestamp;
use domain::id::{CommitId, EventId, WorkspaceId};
use futures::StreamExt as _;
use proto::{Metadata, NewEvent, StreamName};
use runtime::log::sqlite::SqliteLog;
use runtime::log::{Commit, Expected, Filter, Item, Log, Partition, StreamAppend};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use uuid::Uuid;

const WRITERS: [usize; 3] = [1, 16, 256];

/// About the size of a proposed clip's event without its contributions.
const PAYLOAD_BYTES: usize = 300;

/// Events per stream, about as many as a video has.
const STREAM_EVENTS: u64 = 100;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().context("usage: bench_log FOLDER [SECONDS]")?);
    let seconds = arguments.next().map_or(Ok(3.0), |text| text.parse())?;
    let mut levels = Vec::new();
    let mut replay_per_second = 0.0;
    for writers in WRITERS {
        let log = SqliteLog::open(folder.join(format!("log-{writers}.sqlite")))?;
        levels.push(appends(&log, writers, Duration::from_secs_f64(seconds)).await?);
        replay_per_second = replay(&log).await?;
    }
    println!("{}", serde_json::json!({ "levels": levels, "replay_per_second": replay_per_second }));
    Ok(())
}

async fn appends(log: &SqliteLog, writers: usize, time: Duration) -> Result<serde_json::Value> {
    let until = Instant::now() + time;
    let tasks: Vec<_> = (0..writers).map(|_| tokio::spawn(write(log.clone(), until))).collect();
    let mut took = Vec::new();
    for task in tasks {
        took.extend(task.await??);
    }
    took.sort_unstable();
    let p99 = took.get(took.len() * 99 / 100).context("nothing was appended")?;
    Ok(serde_json::json!({
        "writers": writers,
        "appends_per_second": took.len() as f64 / time.as_secs_f64(),
        "p99_ms": p99.as_secs_f64() * 1e3,
    }))
}

/// Appends one event after the other until the time is over; returns how long each took.
async fn write(log: SqliteLog, until: Instant) -> Result<Vec<Duration>> {
    let mut took = Vec::new();
    loop {
        let stream = StreamName::new("video", Uuid::now_v7());
        for version in 0..STREAM_EVENTS {
            if Instant::now() >= until {
                return Ok(took);
            }
            let expected = version.checked_sub(1).map_or(Expected::Empty, Expected::Exact);
            let commit = commit(&stream, expected);
            let started = Instant::now();
            log.append(commit).await?;
            took.push(started.elapsed());
        }
    }
}

/// Reads the whole log once; returns events per second.
async fn replay(log: &SqliteLog) -> Result<f64> {
    let started = Instant::now();
    let mut reading = log.read(Partition::EMBEDDED, 0, Filter::all());
    let mut events = 0_u64;
    while let Some(item) = reading.next().await {
        match item? {
            Item::Event(_) => events += 1,
            Item::CaughtUp(_) => break,
        }
    }
    Ok(events as f64 / started.elapsed().as_secs_f64())
}

fn commit(stream: &StreamName, expected: Expected) -> Commit {
    let id = Uuid::now_v7();
    let payload = Bytes::from_static(&[b'x'; PAYLOAD_BYTES]);
    let event = NewEvent { id: EventId(id), event_type: "video.measured".into(), schema_version: 1, payload };
    Commit {
        id: CommitId(id),
        workspace: WorkspaceId(Uuid::nil()),
        streams: vec![StreamAppend { stream: stream.clone(), expected, events: vec![event] }],
        metadata: Metadata { at: Timestamp(0), actor: "bench".into(), correlation: id, causation: None, traceparent: None },
    }
}
