//! The topic of events with JSON as data.

use crate::kafka::{LAYOUT, Running, fresh, remove};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use runtime::log::conformance::append_many;
use runtime::log::kafka::{KafkaLog, Settings, init, write_json};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Events of each round.
const EVENTS: u64 = 50;

/// How long they may take to be there as JSON, with the time that a group needs to notice that a writer is gone.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_event_is_there_as_json_once_whoever_writes_it() {
    let (settings, folder) = (fresh("json"), tempfile::tempdir().unwrap());
    init(&settings, LAYOUT, &[], Uuid::new_v4()).await.unwrap();
    let sequencer = Running::start(&settings, folder.path());
    let log = KafkaLog::open(settings.clone(), folder.path()).await.unwrap();
    for round in 0..3 {
        // One that ends, one that is torn away in the middle, one after both.
        let stop = CancellationToken::new();
        let writer = tokio::spawn(write_json(settings.clone(), stop.clone()));
        append_many(&log, round, EVENTS).await;
        let wanted = usize::try_from(EVENTS * (round + 1)).unwrap();
        let started = Instant::now();
        while round != 1 && positions(&settings).await.len() < wanted {
            assert!(started.elapsed() < PATIENCE, "the events of round {round} are written");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        stop.cancel();
        writer.await.unwrap().unwrap();
    }
    assert_eq!(positions(&settings).await, (0..3 * EVENTS).collect::<Vec<_>>());
    sequencer.stop().await;
    remove(&settings).await;
}

/// Returns the positions on the topic, in its order. What is appended here is of no known type, so its data stays bytes; the journey over
/// the engines reads real events.
async fn positions(settings: &Settings) -> Vec<u64> {
    let settings = settings.clone();
    tokio::task::spawn_blocking(move || read(&settings)).await.unwrap()
}

fn read(settings: &Settings) -> Vec<u64> {
    let client: BaseConsumer = settings.reader("test").create().unwrap();
    let Ok((first, end)) = client.fetch_watermarks(&settings.json(), 0, Duration::from_secs(20)) else { return Vec::new() };
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(&settings.json(), 0, Offset::Offset(first)).unwrap();
    client.assign(&partitions).unwrap();
    let mut found = Vec::new();
    while (found.len() as i64) < end - first {
        let record = client.poll(Duration::from_secs(20)).expect("a record").unwrap();
        let header = |name: &str| {
            let header = record.headers().unwrap().iter().find(|header| header.key == name);
            std::str::from_utf8(header.and_then(|header| header.value).unwrap()).unwrap().to_owned()
        };
        assert_eq!(header("content-type"), "application/protobuf");
        found.push(header("ce_position").parse().unwrap());
    }
    found
}
