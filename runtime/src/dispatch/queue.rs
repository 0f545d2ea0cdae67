//! Jobs that several processes share: each processor has a topic of its own, whose partitions a consumer group divides among workers.
//!
//! [`hand_out`] turns events that call for a job into records there; [`work_off`] does the jobs and tells the group what is finished.
//! Both may do a record twice, after a crash or when the group divides anew: a job's outcome has ids that derive from its cause, so
//! the second time appends nothing.

use super::Processor;
use super::pool::{Done, End, Pool};
use crate::consume::Surroundings;
use crate::log::Log;
use crate::log::kafka::{Settings, event_from_record, is_passing};
use crate::shutdown::DRAIN;
use anyhow::Context as _;
use proto::Recorded;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a record may take to reach the topic before the event is handed out again.
const HAND_OUT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a job waits for this process to have read its cause. Afterwards it runs all the same: what it appends would be refused as stale.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(30);

/// How often that is looked at.
const CATCH_UP_POLL: Duration = Duration::from_millis(10);

/// Returns the topic of a processor's jobs.
#[must_use]
pub fn topic(settings: &Settings, processor: &str) -> String {
    format!("{}.work.{processor}", settings.prefix)
}

/// Puts a record on the processor's topic for each event that calls for a job, until shutdown.
///
/// # Errors
/// When the brokers refuse us.
pub async fn hand_out<P: Processor>(processor: Arc<P>, settings: &Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    let group = format!("{}.hand_out.{}", settings.prefix, P::NAME);
    let events: StreamConsumer = settings.group(&group).create().context("starting the reader of events")?;
    let producer: FutureProducer = settings.appender(HAND_OUT_TIMEOUT.as_millis()).create().context("starting the producer of jobs")?;
    events.subscribe(&[&settings.events()])?;
    let topic = topic(settings, P::NAME);
    loop {
        let record = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            record = next(&events) => record?,
        };
        // What cannot be read is the reader's alarm; here it is no job.
        if let Some(event) = event_from_record(&record).ok().flatten()
            && processor.job(&event).is_some()
        {
            let key = event.id.to_string();
            loop {
                let mut job = FutureRecord::to(&topic).key(&key).payload(record.payload().unwrap_or_default());
                if let Some(headers) = record.headers() {
                    job = job.headers(headers.detach());
                }
                match producer.send(job, HAND_OUT_TIMEOUT).await {
                    Ok(_) => break,
                    Err((error, _)) if shutdown.is_cancelled() => return Err(error.into()),
                    Err((error, _)) => tracing::warn!(processor = P::NAME, error = %error, "a job could not be handed out, trying again"),
                }
            }
        }
        events.store_offset_from_message(&record).context("remembering how far jobs were handed out")?;
    }
}

/// Does the jobs on the processor's topic, at most `workers` at a time, until shutdown; then waits a little for those that run.
///
/// # Errors
/// When the brokers refuse us, or the consumers' memory cannot be written.
pub async fn work_off<L: Log, P: Processor>(
    log: L,
    processor: Arc<P>,
    workers: NonZeroUsize,
    settings: &Settings,
    surroundings: Surroundings,
) -> anyhow::Result<()> {
    let group = format!("{}.work.{}", settings.prefix, P::NAME);
    let topic = topic(settings, P::NAME);
    let records: StreamConsumer = settings.group(&group).create().context("starting the reader of jobs")?;
    records.subscribe(&[&topic])?;
    let shutdown = surroundings.shutdown.clone();
    let pool = Arc::new(Pool::new(log, processor, workers, surroundings));
    let mut jobs: JoinSet<anyhow::Result<(i32, i64, Done)>> = JoinSet::new();
    let mut ledgers: HashMap<i32, Ledger> = HashMap::new();
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(ended) = jobs.join_next() => settle(ended.context("a job's task failed")??, &topic, &records, &mut ledgers),
            // No more than can be done now: what waits on the topic may go to another worker. Heartbeats go on by themselves.
            record = next(&records), if jobs.len() < workers.get() => {
                let record = record?;
                let (partition, offset) = (record.partition(), record.offset());
                let ledger = ledgers.entry(partition).or_default();
                match event_from_record(&record) {
                    Ok(Some(event)) => if ledger.begin(offset) {
                        let pool = pool.clone();
                        jobs.spawn(async move {
                            catch_up(&pool.log, &event).await?;
                            Ok((partition, offset, pool.work(event).await?))
                        });
                    },
                    Ok(None) | Err(_) => {
                        tracing::error!(topic, partition, offset, "skipped a record that is not a job");
                        ledger.skip(offset);
                    }
                }
            }
        }
    }
    let drained = tokio::time::timeout(DRAIN, async {
        while let Some(ended) = jobs.join_next().await {
            settle(ended.context("a job's task failed")??, &topic, &records, &mut ledgers);
        }
        anyhow::Ok(())
    });
    drained.await.unwrap_or(Ok(()))
}

/// What is finished of one partition.
#[derive(Default)]
struct Ledger {
    unfinished: BTreeSet<i64>,
    /// The offset after the last record seen.
    frontier: i64,
}

impl Ledger {
    /// Tells whether the record is to be done: not when it came again while it is being done.
    fn begin(&mut self, offset: i64) -> bool {
        self.frontier = self.frontier.max(offset + 1);
        self.unfinished.insert(offset)
    }

    fn skip(&mut self, offset: i64) {
        self.frontier = self.frontier.max(offset + 1);
    }

    /// Returns the last record below which everything is finished; none before the first.
    fn finished(&self) -> Option<i64> {
        self.unfinished.first().copied().unwrap_or(self.frontier).checked_sub(1).filter(|offset| *offset >= 0)
    }
}

fn settle((partition, offset, done): (i32, i64, Done), topic: &str, records: &StreamConsumer, ledgers: &mut HashMap<i32, Ledger>) {
    let Some(ledger) = ledgers.get_mut(&partition) else { return };
    if matches!(done.end, End::Interrupted) {
        return;
    }
    ledger.unfinished.remove(&offset);
    if let Some(finished) = ledger.finished()
        && let Err(error) = records.store_offset(topic, partition, finished)
    {
        // The partition went to another worker, which may do the job again; the second outcome is the first.
        tracing::debug!(topic, partition, error = %error, "a finished job could not be ticked off");
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
async fn next(consumer: &StreamConsumer) -> anyhow::Result<BorrowedMessage<'_>> {
    loop {
        match consumer.recv().await {
            Ok(record) => return Ok(record),
            Err(error) if is_passing(&error) => tracing::warn!(error = %error, "the brokers are not there, waiting for them"),
            Err(error) => return Err(error).context("reading from Kafka"),
        }
    }
}
