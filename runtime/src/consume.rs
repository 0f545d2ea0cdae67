//! The loop of a consumer that folds the log into something of its own, in order: a read model, an index, a table.
//!
//! The sink stores its checkpoint together with what it folded. An event that keeps failing while the sink is otherwise well is parked;
//! an outage of the sink parks nothing, the consumer waits for its end. A parked event is not applied later: what came after it is applied
//! already, and order counts. The read model is rebuilt by a program that can apply it.

use crate::clock::Clock;
use crate::consumers::Consumers;
use crate::log::{Filter, Item, Log, Partition, Reading};
use crate::progress::ProgressChannel;
use crate::retry::Backoff;
use crate::token::Positions;
use anyhow::Context as _;
use futures::{FutureExt as _, StreamExt as _};
use proto::Recorded;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Most events in one batch: a sink commits a batch at once, and readers of a read model wait for the commit.
const BATCH_EVENTS_MAX: usize = 512;

/// Tries of one event on a healthy sink before it is parked.
const ATTEMPTS_MAX: u32 = 5;

const BACKOFF: Backoff = Backoff { first: Duration::from_millis(50), longest: Duration::from_secs(30) };

/// Something that events are folded into, in order. Applying an event twice must be the same as once.
pub trait Sink: Send + Sync + 'static {
    /// Names the consumer in checkpoints, metrics and logs.
    const NAME: &'static str;

    /// Which events it wants.
    fn filter(&self) -> Filter {
        Filter::all()
    }

    /// Returns the position up to which everything of `partition` is applied; `None` before the first.
    fn checkpoint(&self, partition: Partition) -> impl Future<Output = anyhow::Result<Option<u64>>> + Send;

    /// Applies events of one partition, possibly none, and stores with them that everything before `next` is applied: both or neither.
    fn apply(&self, partition: Partition, batch: &[Recorded], next: u64) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// What consumers share.
#[derive(Clone)]
pub struct Surroundings {
    /// Where parked events are kept.
    pub consumers: Consumers,
    /// Where checkpoints are shown to those who wait.
    pub positions: Positions,
    /// Where work tells how far it has come.
    pub progress: ProgressChannel,
    /// Tells when something was parked.
    pub clock: Clock,
    /// Told when a job met a full disk that kept it from saying so: who waits for the job need not wait for its last try.
    pub disk_full: Arc<Notify>,
    /// Ends the loop after the batch at hand.
    pub shutdown: CancellationToken,
}

/// Feeds `sink` from every partition of the log until shutdown, each by itself: only events of one partition have an order.
///
/// # Errors
/// When the log or the consumers' memory cannot be read; the sink's errors are retried.
pub async fn consume<L: Log, S: Sink>(log: L, sink: S, surroundings: Surroundings) -> anyhow::Result<()> {
    let sink = Arc::new(sink);
    let feed = |partition| consume_partition(log.clone(), sink.clone(), partition, surroundings.clone());
    futures::future::try_join_all(log.partitions().into_iter().map(feed)).await.map(drop)
}

async fn consume_partition<L: Log, S: Sink>(log: L, sink: Arc<S>, partition: Partition, surroundings: Surroundings) -> anyhow::Result<()> {
    let shutdown = surroundings.shutdown.clone();
    let mut feed = Feed { log, sink, partition, memory: memory_of(S::NAME, partition), surroundings, checkpoint: None };
    feed.start().await?;
    let from = feed.checkpoint.map_or(0, |checkpoint| checkpoint + 1);
    let mut reading = feed.log.read(partition, from, feed.sink.filter());
    loop {
        let batch = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            batch = next_batch(&mut reading) => batch.with_context(|| format!("reading partition {} of the log for {}", partition.0, S::NAME))?,
        };
        count_unknown::<S>(&batch.events);
        feed.take(batch).await?;
    }
}

/// Returns the name under which what a consumer puts aside is remembered.
fn memory_of(consumer: &str, partition: Partition) -> String {
    match partition {
        Partition::EMBEDDED => consumer.to_owned(),
        Partition(number) => format!("{consumer}@{number}"),
    }
}

/// Counts events of a type that this version does not know: every consumer skips them, and a newer one can be told to read them again.
fn count_unknown<S: Sink>(events: &[Recorded]) {
    let unknown = events.iter().filter(|event| !proto::schema::is_known(&event.event_type)).inspect(|event| {
        tracing::debug!(consumer = S::NAME, event.id = %event.id, event.type = %event.event_type, "skipped an event of an unknown type");
    });
    match unknown.count() as u64 {
        0 => {}
        count => metrics::counter!("clipflow_consumer_unknown_events_total", "consumer" => S::NAME).increment(count),
    }
}

/// Events and the position up to which there are no others.
struct Batch {
    events: Vec<Recorded>,
    checkpoint: Option<u64>,
    head: Option<u64>,
}

/// Returns what is ready, at least one item. Dropping the future loses nothing: items are taken only when one is ready.
async fn next_batch(reading: &mut Reading) -> anyhow::Result<Batch> {
    let mut batch = Batch { events: Vec::new(), checkpoint: None, head: None };
    let mut item = reading.next().await;
    loop {
        match item.context("the log's reading ended")?? {
            Item::Event(event) => {
                batch.checkpoint = Some(event.position);
                batch.events.push(event);
            }
            Item::CaughtUp(head) => {
                batch.checkpoint = head.checked_sub(1);
                batch.head = Some(head);
                return Ok(batch);
            }
        }
        if batch.events.len() >= BATCH_EVENTS_MAX {
            return Ok(batch);
        }
        match reading.next().now_or_never() {
            Some(next) => item = next,
            None => return Ok(batch),
        }
    }
}

struct Feed<L, S> {
    log: L,
    sink: Arc<S>,
    partition: Partition,
    /// Our name in the memory of consumers.
    memory: String,
    surroundings: Surroundings,
    checkpoint: Option<u64>,
}

impl<L: Log, S: Sink> Feed<L, S> {
    async fn start(&mut self) -> anyhow::Result<()> {
        let mut failures = 0;
        self.checkpoint = loop {
            match self.sink.checkpoint(self.partition).await {
                Ok(checkpoint) => break checkpoint,
                Err(error) => failures = self.wait_after(failures, &error).await?,
            }
        };
        self.surroundings.positions.publish(S::NAME, self.partition, self.checkpoint);
        Ok(())
    }

    async fn take(&mut self, batch: Batch) -> anyhow::Result<()> {
        let Some(checkpoint) = batch.checkpoint.filter(|checkpoint| Some(*checkpoint) > self.checkpoint) else {
            self.measure(batch.head).await;
            return Ok(());
        };
        if let Err(error) = self.sink.apply(self.partition, &batch.events, checkpoint + 1).await {
            tracing::warn!(consumer = S::NAME, error = ?error, events = batch.events.len(), "a batch failed, applying its events one by one");
            for event in &batch.events {
                self.insist(event).await?;
            }
            self.insist_on_an_empty_batch(checkpoint + 1).await?;
        }
        self.checkpoint = Some(checkpoint);
        self.surroundings.positions.publish(S::NAME, self.partition, self.checkpoint);
        metrics::counter!("clipflow_consumer_events_total", "consumer" => S::NAME).increment(batch.events.len() as u64);
        self.measure(batch.head).await;
        Ok(())
    }

    /// Applies one event, again and again, until it is applied or parked. Before another try an empty batch must pass, so that an outage counts
    /// as one failure however long it lasts; the checkpoint stays before the event meanwhile, because a sink skips what lies below it.
    async fn insist(&mut self, event: &Recorded) -> anyhow::Result<()> {
        let mut failures = 0;
        while let Err(error) = self.sink.apply(self.partition, std::slice::from_ref(event), event.position + 1).await {
            failures = self.wait_after(failures, &error).await?;
            if failures >= ATTEMPTS_MAX {
                let Surroundings { consumers, clock, .. } = self.surroundings.clone();
                tracing::error!(consumer = S::NAME, event.id = %event.id, position = event.position, error = ?error, "parked an event");
                // Parked before the checkpoint passes it, so that a crash cannot lose it.
                consumers.park(&self.memory, event, failures, &format!("{error:#}"), clock.now()).await?;
                return self.insist_on_an_empty_batch(event.position + 1).await;
            }
            self.insist_on_an_empty_batch(event.position).await?;
        }
        Ok(())
    }

    /// Returns when the sink can be written again.
    async fn insist_on_an_empty_batch(&self, next: u64) -> anyhow::Result<()> {
        let mut failures = 0;
        while let Err(error) = self.sink.apply(self.partition, &[], next).await {
            failures = self.wait_after(failures, &error).await?;
        }
        Ok(())
    }

    /// Waits as long as `failures` failures demand, and returns one more.
    async fn wait_after(&self, failures: u32, error: &anyhow::Error) -> anyhow::Result<u32> {
        let failures = failures + 1;
        metrics::counter!("clipflow_consumer_failures_total", "consumer" => S::NAME).increment(1);
        tracing::warn!(consumer = S::NAME, failures, error = ?error, "a consumer failed, trying again");
        tokio::select! {
            () = self.surroundings.shutdown.cancelled() => anyhow::bail!("{} was stopped while it kept failing: {error:#}", S::NAME),
            () = tokio::time::sleep(BACKOFF.after(failures)) => Ok(failures),
        }
    }

    async fn measure(&self, head: Option<u64>) {
        let head = match head {
            Some(head) => Ok(head),
            None => self.log.head(self.partition).await,
        };
        let done = self.checkpoint.map_or(0, |checkpoint| checkpoint + 1);
        if let Ok(head) = head {
            metrics::gauge!("clipflow_consumer_lag_events", "consumer" => self.memory.clone()).set(head.saturating_sub(done) as f64);
        }
    }
}

/// Returns the event at a position that is known to exist.
pub(crate) async fn event_at<L: Log>(log: &L, partition: Partition, position: u64) -> anyhow::Result<Recorded> {
    match log.read(partition, position, Filter::all()).next().await {
        Some(Ok(Item::Event(event))) if event.position == position => Ok(event),
        Some(Err(error)) => Err(error.context("reading a parked event")),
        Some(Ok(_)) | None => anyhow::bail!("there is no event at position {position}"),
    }
}
