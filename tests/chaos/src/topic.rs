//! The events topic as it lies on the brokers, record by record, read without the program's own reader.

use anyhow::Context as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde::Serialize;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long brokers may take to answer, or to send the next record.
const PATIENCE: Duration = Duration::from_secs(30);

/// A record, by its headers, as `check/history.go` reads it.
#[derive(Debug, Serialize)]
pub(crate) struct Record {
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

/// Reads the only partition of `topic` from its first record to its last; blocking.
pub(crate) fn read(brokers: &str, topic: &str) -> anyhow::Result<Vec<Record>> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", "chaos").set("enable.auto.commit", "false");
    let client: BaseConsumer = config.create().context("starting a reader")?;
    let (first, end) = client.fetch_watermarks(topic, 0, PATIENCE).context("asking where the topic ends")?;
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Offset(first))?;
    client.assign(&partitions)?;
    let mut records = Vec::new();
    let mut last_news = Instant::now();
    let mut next = first;
    while next < end {
        match client.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                next = message.offset() + 1;
                records.push(record(&message).with_context(|| format!("record {} of {topic}", message.offset()))?);
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
        offset: message.offset(),
        workspace: text("source")?.to_owned(),
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
