//! The events topic as it lies on the brokers, record by record, read without the program's own reader.

use anyhow::Context as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde::Serialize;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long brokers may take to answer, or to send the next record.
const PATIENCE: Duration = Duration::from_secs(30);

/// A record, by its headers, as `check/history.go` reads it.
#[derive(Debug, Serialize)]
pub(crate) struct Record {
    partition: i32,
    offset: i64,
    workspace: String,
    commit: String,
    commit_offset: u64,
    index: u32,
    count: u32,
    is_rejection: bool,
    event: String,
    pub(crate) r#type: String,
    pub(crate) stream: String,
    version: u64,
    position: u64,
}

/// Reads each partition of `topic` from its first record to its last; blocking.
pub(crate) fn read(brokers: &str, topic: &str) -> anyhow::Result<Vec<Record>> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", "chaos").set("enable.auto.commit", "false");
    let client: BaseConsumer = config.create().context("starting a reader")?;
    let metadata = client.fetch_metadata(Some(topic), PATIENCE).context("asking for the topic's partitions")?;
    let numbers: Vec<i32> = metadata.topics().iter().flat_map(MetadataTopic::partitions).map(MetadataPartition::id).collect();
    anyhow::ensure!(!numbers.is_empty(), "the brokers know no partition of {topic}");
    let mut partitions = TopicPartitionList::new();
    // The end of each partition that was not read to it yet.
    let mut ends = HashMap::new();
    for number in numbers {
        let (first, end) = client.fetch_watermarks(topic, number, PATIENCE).context("asking where a partition ends")?;
        if first < end {
            partitions.add_partition_offset(topic, number, Offset::Offset(first))?;
            ends.insert(number, end);
        }
    }
    client.assign(&partitions)?;
    let mut records = Vec::new();
    let mut last_news = Instant::now();
    while !ends.is_empty() {
        match client.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let (partition, offset) = (message.partition(), message.offset());
                // One whose end was read may have grown meanwhile.
                let Some(end) = ends.get(&partition).copied() else { continue };
                records.push(record(&message).with_context(|| format!("record {offset} of partition {partition} of {topic}"))?);
                if offset + 1 >= end {
                    ends.remove(&partition);
                }
                last_news = Instant::now();
            }
            Some(Err(_)) | None => anyhow::ensure!(last_news.elapsed() < PATIENCE, "the brokers send no more records of {topic}"),
        }
    }
    Ok(records)
}

fn record(message: &rdkafka::message::BorrowedMessage<'_>) -> anyhow::Result<Record> {
    let headers = message.headers().context("it has no headers")?;
    let known: HashMap<_, _> =
        headers.iter().filter_map(|header| Some((header.key.strip_prefix("ce_")?, std::str::from_utf8(header.value?).ok()?))).collect();
    let text = |name: &str| known.get(name).copied().with_context(|| format!("it has no {name}"));
    let is_rejection = text("type")? == proto::cloudevents::COMMIT_REJECTED;
    let place = |name: &str| anyhow::Ok(if is_rejection { 0 } else { text(name)?.parse()? });
    Ok(Record {
        partition: message.partition(),
        offset: message.offset(),
        workspace: text("source")?.strip_prefix("/workspaces/").context("its source is no workspace")?.to_owned(),
        commit: text("commitid")?.to_owned(),
        commit_offset: text("commitoffset")?.parse()?,
        index: text("commitindex")?.parse()?,
        count: text("commitcount")?.parse()?,
        is_rejection,
        event: text("id")?.to_owned(),
        r#type: text("type")?.to_owned(),
        stream: text("subject")?.to_owned(),
        version: place("streamversion")?,
        position: place("position")?,
    })
}
