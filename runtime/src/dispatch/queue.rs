//! Jobs that several processes share: each processor has a topic of its own, whose partitions a consumer group divides among workers.
//!
//! [`hand_out`] turns events that call for a job into records there; [`work_off`] does the jobs and tells the group what is finished.
//! Both may do a record twice, after a crash or when the group divides anew: a job's outcome has ids that derive from its cause, so
//! the second time appends nothing.

use super::Processor;
use super::parking::call;
use super::pool::{Done, End, Pool, Unrecorded};
use crate::consume::Surroundings;
use crate::log::kafka::{Settings, event_from_record, is_passing};
use crate::log::{EVENT_BYTES_MAX, Log};
use crate::shutdown::DRAIN;
use anyhow::Context as _;
use domain::id::EventId;
use proto::Recorded;
use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance, StreamConsumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a record may take to reach the topic before the event is handed out again.
const HAND_OUT_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of one fetch of jobs: two of the largest.
const FETCH_BYTES: usize = 2 * EVENT_BYTES_MAX;

/// How long the reader of jobs waits before it looks again at a queue that was full. The queue is so short that this happens among short
/// jobs, and librdkafka's second would be the time between two of them.
const FETCH_AGAIN_MS: u32 = 10;

/// Jobs that wait here while all workers are busy; only then is the topic paused. A reader that was paused needs up to a second until records
/// flow again, so jobs that take less would be begun a second apart. They are small: what an event says.
const WAITING_MAX: usize = 100;

/// With fewer, records may flow again: so that more are here before these are done.
const WAITING_FEW: usize = WAITING_MAX / 2;

/// Jobs that are remembered as begun: far more than are handed out in the second that a crash repeats.
const KNOWN_MAX: usize = 10_000;

/// How long a job waits for this process to have read its cause. Afterwards it runs all the same: what it appends would be refused as stale.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(30);

/// How often that is looked at.
const CATCH_UP_POLL: Duration = Duration::from_millis(10);

/// Returns the topic of a processor's jobs.
#[must_use]
pub fn topic(settings: &Settings, processor: &str) -> String {
    format!("{}.work.{processor}", settings.prefix)
}

/// A processor's door: which events become records on which topic.
pub struct Desk {
    name: &'static str,
    topic: String,
    wants: Box<dyn Fn(&Recorded) -> bool + Send + Sync>,
}

impl Desk {
    /// Returns the door of `processor`.
    #[must_use]
    pub fn of<P: Processor>(processor: Arc<P>, settings: &Settings) -> Self {
        Self { name: P::NAME, topic: topic(settings, P::NAME), wants: Box::new(move |event| call(&*processor, event).is_some()) }
    }
}

/// Puts a record on a processor's topic for each event that calls for a job of it, until shutdown.
///
/// The processes share the events: each partition is read once, by one of them, for all processors. After a crash the next one starts
/// with the last second's events again; [`work_off`] knows a record that comes twice.
///
/// # Errors
/// When the brokers refuse us.
pub async fn hand_out(desks: Vec<Desk>, settings: &Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    let group = format!("{}.hand_out", settings.prefix);
    let events: StreamConsumer = settings.group(&group).create().context("starting the reader of events")?;
    let producer: FutureProducer = settings.appender(HAND_OUT_TIMEOUT.as_millis()).create().context("starting the producer of jobs")?;
    events.subscribe(&[&settings.events()])?;
    loop {
        let record = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            record = next(&events) => record?,
        };
        // What cannot be read is the reader's alarm; here it is no job.
        if let Some(event) = event_from_record(&record).ok().flatten() {
            for desk in desks.iter().filter(|desk| (desk.wants)(&event)) {
                if !hand_over(&producer, desk, &event, &record, &shutdown).await {
                    // Its place is not remembered, so the next one starts with this event.
                    return Ok(());
                }
            }
        }
        events.store_offset_from_message(&record).context("remembering how far jobs were handed out")?;
    }
}

/// Puts one record on a topic, as often as it takes; false when the process stops first.
async fn hand_over(
    producer: &FutureProducer,
    desk: &Desk,
    event: &Recorded,
    record: &BorrowedMessage<'_>,
    shutdown: &CancellationToken,
) -> bool {
    let key = event.id.to_string();
    loop {
        let mut job = FutureRecord::to(&desk.topic).key(&key).payload(record.payload().unwrap_or_default());
        if let Some(headers) = record.headers() {
            job = job.headers(headers.detach());
        }
        match producer.send(job, HAND_OUT_TIMEOUT).await {
            Ok(_) => {
                metrics::counter!("clipflow_jobs_handed_out_total", "processor" => desk.name).increment(1);
                return true;
            }
            Err(_) if shutdown.is_cancelled() => return false,
            Err((error, _)) => tracing::warn!(processor = desk.name, error = %error, "a job could not be handed out, trying again"),
        }
    }
}

/// Does the jobs on the processor's topic, at most `workers` at a time, until shutdown; then waits a little for those that run.
///
/// While all workers are busy a few jobs are fetched, then its partitions are paused; but the group is still answered: work that takes
/// longer than the group's patience (`max.poll.interval.ms`) keeps its place. What waits here of a partition that moves to another
/// worker is left to that one.
///
/// # Errors
/// When the brokers refuse us, or the log cannot be read.
pub async fn work_off<L: Log, P: Processor>(
    log: L,
    processor: Arc<P>,
    workers: NonZeroUsize,
    settings: &Settings,
    surroundings: Surroundings,
) -> anyhow::Result<()> {
    let mut config = settings.group(&format!("{}.work.{}", settings.prefix, P::NAME));
    // What is fetched ahead is dropped at each pause. A partition that has fewer records here is in the next request, so it never waits
    // for one that a broker holds for others.
    config.set("queued.min.messages", WAITING_MAX.to_string()).set("fetch.queue.backoff.ms", FETCH_AGAIN_MS.to_string());
    config.set("fetch.message.max.bytes", FETCH_BYTES.to_string());
    let records: JobReader = config.create_with_context(Unpaused).context("starting the reader of jobs")?;
    let topic = topic(settings, P::NAME);
    records.subscribe(&[&topic])?;
    let shutdown = surroundings.shutdown.clone();
    let pool = Arc::new(Pool::new(log, processor, workers, Unrecorded::Wait, surroundings));
    let mut jobs: JoinSet<anyhow::Result<(i32, i64, Done)>> = JoinSet::new();
    let mut desk = Ledgers { topic, records: &records, partitions: HashMap::new(), known: Known::default() };
    let (mut waiting, mut is_paused) = (VecDeque::new(), false);
    loop {
        while jobs.len() < workers.get()
            && let Some(record) = waiting.pop_front()
        {
            if let Some((partition, offset, event)) = desk.take(&record)? {
                let pool = pool.clone();
                jobs.spawn(async move {
                    catch_up(&pool.log, &event).await?;
                    Ok((partition, offset, pool.work(event).await?))
                });
            }
        }
        if waiting.len() >= WAITING_MAX {
            // Again each time: partitions that were given to us meanwhile are not paused.
            records.pause(&records.assignment()?).context("pausing the reader of jobs")?;
            is_paused = true;
        } else if is_paused && waiting.len() <= WAITING_FEW {
            records.resume(&records.assignment()?).context("resuming the reader of jobs")?;
            is_paused = false;
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(ended) = jobs.join_next() => desk.settle(ended.context("a job's task failed")??),
            record = next(&records) => waiting.push_back(record?),
        }
    }
    let drained = tokio::time::timeout(DRAIN, async {
        while let Some(ended) = jobs.join_next().await {
            desk.settle(ended.context("a job's task failed")??);
        }
        anyhow::Ok(())
    });
    drained.await.unwrap_or(Ok(()))
}

type JobReader = StreamConsumer<Unpaused>;

/// Lets partitions flow that the group gives us: one that was taken away while it was paused would come back paused, for ever.
struct Unpaused;

impl ClientContext for Unpaused {}

impl ConsumerContext for Unpaused {
    fn post_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance
            && let Err(error) = consumer.resume(partitions)
        {
            tracing::error!(error = %error, "partitions of jobs that were given to this process may stay paused");
        }
    }
}

/// What is finished of the topic's partitions.
struct Ledgers<'a> {
    topic: String,
    records: &'a JobReader,
    partitions: HashMap<i32, Ledger>,
    known: Known,
}

impl Ledgers<'_> {
    /// Returns the job of a record, unless it is none, was begun here before, or is another worker's by now.
    fn take(&mut self, record: &BorrowedMessage<'_>) -> anyhow::Result<Option<(i32, i64, Recorded)>> {
        let (partition, offset) = (record.partition(), record.offset());
        let owned = self.records.assignment().context("asking which partitions of jobs are ours")?;
        if owned.find_partition(&self.topic, partition).is_none() {
            return Ok(None);
        }
        let ledger = self.partitions.entry(partition).or_default();
        if ledger.unfinished.contains(&offset) {
            return Ok(None);
        }
        match event_from_record(record) {
            Ok(Some(event)) if self.known.is_new(event.id) => {
                ledger.begin(offset);
                return Ok(Some((partition, offset, event)));
            }
            Ok(Some(event)) => {
                tracing::debug!(topic = self.topic, partition, offset, event.id = %event.id, "skipped a job that was handed out twice")
            }
            Ok(None) | Err(_) => {
                metrics::counter!("clipflow_jobs_undecodable_total").increment(1);
                tracing::error!(topic = self.topic, partition, offset, "skipped a record that is not a job");
            }
        }
        ledger.skip(offset);
        self.tick_off(partition);
        Ok(None)
    }

    fn settle(&mut self, (partition, offset, done): (i32, i64, Done)) {
        if matches!(done.end, End::Interrupted) {
            return;
        }
        if let Some(ledger) = self.partitions.get_mut(&partition) {
            ledger.unfinished.remove(&offset);
        }
        self.tick_off(partition);
    }

    /// Tells the group how far everything is done.
    fn tick_off(&self, partition: i32) {
        if let Some(finished) = self.partitions.get(&partition).and_then(Ledger::finished)
            && let Err(error) = self.records.store_offset(&self.topic, partition, finished)
        {
            // The partition went to another worker, which may do the job again; the second outcome is the first.
            tracing::debug!(topic = self.topic, partition, error = %error, "a finished job could not be ticked off");
        }
    }
}

/// The jobs that were begun here lately: one that is handed out twice comes to the same worker, a little later.
#[derive(Default)]
struct Known {
    events: HashSet<EventId>,
    order: VecDeque<EventId>,
}

impl Known {
    fn is_new(&mut self, event: EventId) -> bool {
        let is_new = self.events.insert(event);
        if is_new {
            self.order.push_back(event);
        }
        if self.order.len() > KNOWN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.events.remove(&oldest);
        }
        is_new
    }
}

/// What is finished of one partition.
#[derive(Default)]
struct Ledger {
    unfinished: BTreeSet<i64>,
    /// The offset after the last record seen.
    frontier: i64,
}

impl Ledger {
    fn begin(&mut self, offset: i64) {
        self.frontier = self.frontier.max(offset + 1);
        self.unfinished.insert(offset);
    }

    fn skip(&mut self, offset: i64) {
        self.frontier = self.frontier.max(offset + 1);
    }

    /// Returns the last record below which everything is finished; none before the first.
    fn finished(&self) -> Option<i64> {
        self.unfinished.first().copied().unwrap_or(self.frontier).checked_sub(1).filter(|offset| *offset >= 0)
    }
}

/// Waits until this process has read a job's cause, so that the job sees at least the state that called for it.
async fn catch_up(log: &impl Log, cause: &Recorded) -> anyhow::Result<()> {
    let partition = log.partition(cause.workspace);
    let waiting = async {
        while log.head(partition).await? <= cause.position {
            tokio::time::sleep(CATCH_UP_POLL).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(CATCH_UP_TIMEOUT, waiting).await.unwrap_or(Ok(()))
}

/// Returns the next record. Dropping the future loses nothing.
async fn next<C: ConsumerContext + 'static>(consumer: &StreamConsumer<C>) -> anyhow::Result<BorrowedMessage<'_>> {
    loop {
        match consumer.recv().await {
            Ok(record) => return Ok(record),
            Err(error) if is_passing(&error) => tracing::warn!(error = %error, "the brokers are not there, waiting for them"),
            // The machine slept, or was too busy to answer the group, which the next call joins again.
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PollExceeded) => {
                tracing::warn!(error = %error, "the group went on without this process, joining it again");
            }
            Err(error) => return Err(error).context("reading from Kafka"),
        }
    }
}
