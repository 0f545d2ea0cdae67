//! Reading a partition of a million events on Kafka: folding them beside a consumer that only counts bytes, and starting from nothing.

use crate::kafka::{Bench, Sequencer, WORKSPACE, assigned};
use crate::rounds::{PAYLOAD_BYTES, Writer, commit, median, noisy, progress, runs};
use futures::{StreamExt as _, TryStreamExt as _};
use rdkafka::message::Headers as _;
use rdkafka::{Message as _, Offset};
use runtime::blobs::Blobs;
use runtime::log::kafka::{KafkaLog, Settings, check, sequence};
use runtime::log::{Expected, Log};
use serde_json::{Value, json};
use std::num::NonZeroU64;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const EVENTS: u64 = 1_000_000;
const COMMIT_EVENTS: usize = 100;
const STREAMS: u64 = 10_000;

/// Where the snapshot lies from which a sequencer starts: it reads the rest.
const SNAPSHOT_EVENTS: NonZeroU64 = NonZeroU64::new(900_000).unwrap();

/// Commits that wait for their verdict at a time while the partition is filled.
const AT_A_TIME: usize = 64;

pub(crate) async fn report() -> Value {
    let folder = tempfile::Builder::new().prefix("bench-log").tempdir_in(std::env::current_dir().unwrap()).unwrap();
    let mut bench = Bench::start("reading", folder.path(), Sequencer::Here).await;
    progress("filling a partition with a million events");
    let seconds = fill(&bench.log).await;
    bench.stop_sequencer().await;
    let (mut raw, mut with_headers, mut folded) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..runs() {
        progress(&format!("replay, run {} of {}: raw, the log", run + 1, runs()));
        for (headers, found) in [(false, &mut raw), (true, &mut with_headers)] {
            let settings = bench.settings.clone();
            found.push(tokio::task::spawn_blocking(move || raw_events_per_second(&settings, headers)).await.unwrap());
        }
        let started = Instant::now();
        let report = check(&bench.settings).await.unwrap();
        folded.push(EVENTS as f64 / started.elapsed().as_secs_f64());
        assert_eq!((report.events, report.wrong, report.duplicates), (EVENTS, 0, 0), "{report:?}");
    }
    let (mut copy, mut verdict) = (Vec::new(), Vec::new());
    for run in 0..runs() {
        progress(&format!("cold start, run {} of {}", run + 1, runs()));
        let cold = folder.path().join(format!("cold-{run}"));
        std::fs::create_dir(&cold).unwrap();
        let started = Instant::now();
        let stop = CancellationToken::new();
        let sequencer = tokio::spawn({
            let (settings, folder, stop) = (bench.settings.clone(), cold.clone(), stop.clone());
            async move { sequence(settings, &folder, &Blobs::in_memory(), stop).await }
        });
        let log = KafkaLog::open(bench.settings.clone(), &cold).await.unwrap();
        copy.push(started.elapsed().as_secs_f64());
        let writer = Writer { workspace: WORKSPACE, stream: u128::from(STREAMS) + run as u128 };
        log.append(noisy(commit(writer, 0, Expected::Empty, 1))).await.unwrap();
        verdict.push(started.elapsed().as_secs_f64());
        stop.cancel();
        sequencer.await.unwrap().unwrap();
        drop(log);
        std::fs::remove_dir_all(cold).unwrap();
    }
    let blobs = Blobs::open(&folder.path().join("blobs")).unwrap();
    let bytes = keep_snapshot(&bench, &blobs, folder.path()).await;
    let mut from_snapshot = Vec::new();
    for run in 0..runs() {
        progress(&format!("cold start from a snapshot, run {} of {}", run + 1, runs()));
        from_snapshot.push(first_verdict_seconds(&bench, &blobs, &folder.path().join(format!("restored-{run}")), run as u64).await);
    }
    let ratio = |raw: &[f64]| median(folded.iter().zip(raw).map(|(log, raw)| log / raw));
    let (to_raw, to_headers) = (ratio(&raw), ratio(&with_headers));
    bench.remove(&[]).await;
    json!({
        "runs": runs(), "events": EVENTS, "payload_bytes": PAYLOAD_BYTES, "filled_in_seconds": seconds,
        "replay": {
            "raw": median(raw.into_iter()), "raw_with_headers": median(with_headers.into_iter()), "log": median(folded.into_iter()),
            "log_to_raw": to_raw, "log_to_raw_with_headers": to_headers,
        },
        "cold_start_seconds": { "copy": median(copy.into_iter()), "first_verdict": median(verdict.into_iter()) },
        "snapshot": { "events": SNAPSHOT_EVENTS, "bytes": bytes, "first_verdict": median(from_snapshot.into_iter()) },
    })
}

/// Lets a sequencer read most of the partition, until it has kept a snapshot of that; returns the snapshot's size.
async fn keep_snapshot(bench: &Bench, blobs: &Blobs, folder: &Path) -> u64 {
    let own = folder.join("snapshot");
    std::fs::create_dir(&own).unwrap();
    let settings = Settings { snapshot_events: SNAPSHOT_EVENTS, ..bench.settings.clone() };
    let series = format!("log-{}/sequencer-0-v1", bench.log.generation().id);
    let stop = CancellationToken::new();
    let sequencer = tokio::spawn({
        let (blobs, stop) = (blobs.clone(), stop.clone());
        async move { sequence(settings, &own, &blobs, stop).await }
    });
    let bytes = loop {
        if let Some(kept) = blobs.snapshots(&series).await.unwrap().first() {
            break kept.bytes();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    stop.cancel();
    sequencer.await.unwrap().unwrap();
    bytes
}

/// Starts a sequencer in a new folder; its first commit comes from another process.
async fn first_verdict_seconds(bench: &Bench, blobs: &Blobs, folder: &Path, run: u64) -> f64 {
    std::fs::create_dir(folder).unwrap();
    let (started, stop) = (Instant::now(), CancellationToken::new());
    let sequencer = tokio::spawn({
        let (settings, folder, blobs, stop) = (bench.settings.clone(), folder.to_owned(), blobs.clone(), stop.clone());
        async move { sequence(settings, &folder, &blobs, stop).await }
    });
    let writer = Writer { workspace: WORKSPACE, stream: u128::from(2 * STREAMS + run) };
    bench.log.append(noisy(commit(writer, 0, Expected::Empty, 1))).await.unwrap();
    let seconds = started.elapsed().as_secs_f64();
    stop.cancel();
    sequencer.await.unwrap().unwrap();
    seconds
}

async fn fill(log: &KafkaLog) -> f64 {
    let started = Instant::now();
    let commits = (0..EVENTS / COMMIT_EVENTS as u64).map(|number| {
        noisy(commit(Writer { workspace: WORKSPACE, stream: u128::from(number % STREAMS) }, number, Expected::Any, COMMIT_EVENTS))
    });
    futures::stream::iter(commits)
        .map(|commit| log.append(commit))
        .buffer_unordered(AT_A_TIME)
        .try_for_each(|_| async { Ok(()) })
        .await
        .unwrap();
    started.elapsed().as_secs_f64()
}

/// With `headers` every header is looked at too, as whoever wants to know what an event is must.
fn raw_events_per_second(settings: &Settings, headers: bool) -> f64 {
    let started = Instant::now();
    let consumer = assigned(settings, &settings.events(), Offset::Beginning);
    let (mut records, mut bytes, mut header_bytes) = (0_u64, 0, 0);
    let mut last_offset = -1;
    while records < EVENTS {
        let Some(record) = consumer.poll(Duration::from_millis(100)) else { continue };
        let record = record.unwrap();
        assert!(record.offset() > last_offset);
        last_offset = record.offset();
        bytes += record.payload().unwrap().len();
        records += 1;
        if headers {
            header_bytes += record.headers().unwrap().iter().map(|header| header.key.len() + header.value.unwrap().len()).sum::<usize>();
        }
    }
    assert!(bytes == EVENTS as usize * PAYLOAD_BYTES && (header_bytes > bytes) == headers);
    EVENTS as f64 / started.elapsed().as_secs_f64()
}
