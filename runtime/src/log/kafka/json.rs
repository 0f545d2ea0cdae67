//! The events once more with JSON as data, in a topic of their own: for readers that cannot take protobuf apart.
//!
//! Like a sequencer, whoever writes them goes on where the topic itself ends: each record says which record of the events it was made of.

use super::follow;
use super::members::Member;
use super::outputs::Outputs;
use super::settings::Settings;
use super::topics;
use super::wire;
use crate::log::sequencer::Body;
use anyhow::{Context as _, ensure};
use rdkafka::consumer::BaseConsumer;
use rdkafka::message::{BorrowedMessage, Message as _};
use tokio_util::sync::CancellationToken;

/// How long records wait for company.
const LINGER_MS: u32 = 10;

/// Writes every event to the topic `PREFIX.events.json`, in the partitions that its group gives us, until shutdown. Makes the topic when there
/// is none, with as many copies as the brokers make by default.
///
/// # Errors
/// When the brokers refuse us, a record could not be written, the events are out of order, or the end of the topic was deleted.
pub async fn write_json(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    let generation = topics::generation(&settings).await?;
    topics::check_partitions(&settings, &generation).await?;
    topics::make_json(&settings, &generation).await?;
    tokio::task::spawn_blocking(move || run(settings, &shutdown)).await.context("writing JSON panicked")?
}

fn run(settings: Settings, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let (topic, events) = (settings.json(), settings.events());
    let outputs = Outputs::start(&settings, topic.clone(), LINGER_MS)?;
    let home = settings.clone();
    let member = Member::join(settings, &topic, events, move |number| {
        let (partition, from) = Partition::resume(&home, number)?;
        tracing::info!(partition = number, position = partition.next_position, "writing events as JSON");
        Ok((partition, from))
    })?;
    member.work(&outputs, shutdown, |partition: &mut Partition, record| partition.take(record, &outputs))?;
    outputs.flush()
}

/// One partition that is ours.
#[derive(Default)]
struct Partition {
    /// Position of the event that is written next.
    next_position: u64,
}

impl Partition {
    /// Looks where the topic ends; returns the offset of events to go on from too.
    fn resume(settings: &Settings, number: i32) -> anyhow::Result<(Self, i64)> {
        let topic = settings.json();
        let client: BaseConsumer = settings.reader("resume").create()?;
        let (first, end) =
            follow::watermarks(settings, &client, &topic, number).with_context(|| format!("looking at the end of {topic}"))?;
        if end == 0 {
            return Ok((Self::default(), 0));
        }
        ensure!(first < end, "the last record of partition {number} of {topic} was deleted: delete the topic, and it is written anew");
        let mut found = None;
        follow::read_through(settings, &client, (&topic, number), end - 1..end, |record| {
            found = Some(wire::json_place(record).with_context(|| format!("reading the last record of {topic}"))?);
            Ok(())
        })?;
        let (offset, position) = found.with_context(|| format!("{topic} has no last record"))?;
        Ok((Self { next_position: position + 1 }, offset + 1))
    }

    fn take(&mut self, record: &BorrowedMessage<'_>, written: &Outputs) -> anyhow::Result<()> {
        let place = || format!("record {} of partition {} of {}", record.offset(), record.partition(), record.topic());
        let output = wire::output_from_record(record).with_context(|| format!("{} cannot be read", place()))?;
        let Body::Event(event) = &output.body else { return Ok(()) };
        // What a sequencer wrote twice is here once.
        if event.position < self.next_position {
            return Ok(());
        }
        ensure!(event.position == self.next_position, "{} has position {} instead of {}", place(), event.position, self.next_position);
        self.next_position += 1;
        written.write(record.partition(), wire::output_to_json_record(&output, event, record.offset()))
    }
}
