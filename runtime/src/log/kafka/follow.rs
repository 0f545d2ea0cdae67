//! Follows the events topic into local copies, and answers appenders when their verdict arrives.

use super::settings::Settings;
use super::{topics, wire};
use crate::log::sequencer::{Assembler, Output};
use crate::log::sqlite::{Followed, Replica};
use crate::log::{AppendError, Appended, Verdict};
use anyhow::Context as _;
use domain::id::{CommitId, WorkspaceId};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Records that are written to the copies at once: appenders wait for the write.
const BATCH_RECORDS_MAX: usize = 2_048;

/// How long to wait for a record before looking whether to stop.
const IDLE: Duration = Duration::from_millis(100);

/// How long the brokers may send nothing although there is more.
const PATIENCE: Duration = Duration::from_secs(30);

type Key = (WorkspaceId, CommitId);

/// Appenders that wait for their verdict.
#[derive(Clone, Default)]
pub(super) struct Waiting(Arc<Mutex<HashMap<Key, Vec<oneshot::Sender<Verdict>>>>>);

impl Waiting {
    /// Returns where the verdict on a commit will arrive.
    pub(super) fn register(&self, key: Key) -> oneshot::Receiver<Verdict> {
        let (sender, receiver) = oneshot::channel();
        self.lock().entry(key).or_default().push(sender);
        receiver
    }

    /// Forgets those who no longer wait.
    pub(super) fn forget(&self, key: Key) {
        let mut waiting = self.lock();
        if let Some(senders) = waiting.get_mut(&key) {
            senders.retain(|sender| !sender.is_closed());
            if senders.is_empty() {
                waiting.remove(&key);
            }
        }
    }

    fn tell(&self, commits: &[Vec<Output>]) {
        let mut waiting = self.lock();
        for outputs in commits {
            let Some(first) = outputs.first() else { continue };
            for sender in waiting.remove(&(first.body.workspace(), first.commit)).into_iter().flatten() {
                // Whoever gave up learns it by asking again.
                drop(sender.send(Output::verdict(outputs)));
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Vec<oneshot::Sender<Verdict>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Turns a verdict that was just given into an append's answer.
pub(super) fn answer(verdict: Verdict, is_repeat: bool) -> Result<Appended, AppendError> {
    match verdict {
        Verdict::Accepted(appended) => Ok(Appended { is_repeat, ..appended }),
        Verdict::Rejected(conflict) => Err(conflict.into()),
    }
}

/// One partition's copy, and how far it is.
pub(super) struct Copy {
    pub(super) replica: Replica,
    pub(super) followed: Followed,
    pub(super) assembler: Assembler,
    batch: Vec<Vec<Output>>,
    is_dirty: bool,
    /// The offset after the last record that was looked at.
    looked_at: i64,
    seen: Arc<AtomicI64>,
}

impl Copy {
    pub(super) fn new(replica: Replica, followed: Followed) -> Self {
        let assembler = Assembler::after(followed.last, replica.next_position());
        let looked_at = followed.next_offset;
        Self { replica, followed, assembler, batch: Vec::new(), is_dirty: false, looked_at, seen: Arc::new(looked_at.into()) }
    }

    /// Returns the offset below which everything is in the copy; it rises.
    pub(super) fn seen(&self) -> Arc<AtomicI64> {
        self.seen.clone()
    }

    fn take(&mut self, record: &BorrowedMessage<'_>) -> anyhow::Result<()> {
        let place = || format!("record {} of partition {} of {}", record.offset(), record.partition(), record.topic());
        let output = wire::output_from_record(record).with_context(|| format!("{} cannot be read", place()))?;
        let last = output.place;
        self.looked_at = record.offset() + 1;
        if let Some(commit) = self.assembler.push(output).with_context(place)? {
            self.batch.push(commit);
            // Only at the end of a commit: what is read again after a restart starts with a whole one, or is known.
            self.followed.last = Some(last);
            self.followed.next_offset = record.offset() + 1;
            self.is_dirty = true;
        }
        Ok(())
    }

    fn write(&mut self, waiting: &Waiting) -> anyhow::Result<()> {
        if self.is_dirty {
            self.replica.record(&self.batch, &self.followed)?;
            waiting.tell(&self.batch);
            self.batch.clear();
            self.is_dirty = false;
        }
        self.seen.store(self.looked_at, Ordering::Release);
        Ok(())
    }
}

/// Follows every partition until told to stop; blocking.
pub(super) fn follow(settings: &Settings, mut copies: Vec<Copy>, waiting: &Waiting, stop: &AtomicBool) -> anyhow::Result<()> {
    let topic = settings.events();
    let client: BaseConsumer = settings.reader("follower").create().context("starting the reader of events")?;
    let mut partitions = TopicPartitionList::new();
    for (partition, copy) in (0..).zip(&copies) {
        partitions.add_partition_offset(&topic, partition, Offset::Offset(copy.followed.next_offset))?;
    }
    client.assign(&partitions)?;
    while !stop.load(Ordering::Relaxed) {
        let mut wait = IDLE;
        for _ in 0..BATCH_RECORDS_MAX {
            match client.poll(wait) {
                None => break,
                Some(Ok(record)) => {
                    let index = usize::try_from(record.partition()).context("a partition below zero")?;
                    copies.get_mut(index).context("a partition that the log does not have")?.take(&record)?;
                }
                Some(Err(error)) if is_passing(&error) => {
                    tracing::warn!(error = %error, "the brokers are not there, waiting for them");
                }
                Some(Err(error)) => return Err(topics::unusable(settings, &error).context("reading events")),
            }
            wait = Duration::ZERO;
        }
        for copy in &mut copies {
            copy.write(waiting)?;
        }
    }
    Ok(())
}

/// Returns where a partition begins and ends; waits for brokers that are just choosing its leader, or are away for a moment.
pub(super) fn watermarks(settings: &Settings, client: &BaseConsumer, topic: &str, partition: i32) -> anyhow::Result<(i64, i64)> {
    use rdkafka::error::RDKafkaErrorCode as Code;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let error = match client.fetch_watermarks(topic, partition, topics::ADMIN_TIMEOUT) {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        let is_election = matches!(error.rdkafka_error_code(), Some(Code::NotLeaderForPartition | Code::LeaderNotAvailable));
        if Instant::now() >= deadline || !is_election && !is_passing(&error) {
            return Err(topics::unusable(settings, &error));
        }
        std::thread::sleep(IDLE);
    }
}

/// Gives every record of a partition with an offset in `offsets`, which is not empty, to `take`; blocking.
pub(super) fn read_through(
    settings: &Settings,
    client: &BaseConsumer,
    (topic, partition): (&str, i32),
    offsets: Range<i64>,
    mut take: impl FnMut(&BorrowedMessage<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, partition, Offset::Offset(offsets.start))?;
    client.assign(&partitions)?;
    let mut last_news = Instant::now();
    loop {
        match client.poll(IDLE) {
            Some(Ok(record)) => {
                last_news = Instant::now();
                take(&record)?;
                if record.offset() + 1 >= offsets.end {
                    return Ok(());
                }
            }
            Some(Err(error)) if !is_passing(&error) => return Err(topics::unusable(settings, &error)),
            Some(Err(_)) | None => anyhow::ensure!(
                last_news.elapsed() < PATIENCE,
                "the brokers sent no record of partition {partition} of {topic} for {} s",
                PATIENCE.as_secs()
            ),
        }
    }
}

/// Tells whether librdkafka goes on by itself after an error.
pub(crate) fn is_passing(error: &rdkafka::error::KafkaError) -> bool {
    use rdkafka::error::RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(Code::AllBrokersDown | Code::BrokerTransportFailure | Code::OperationTimedOut | Code::Resolve | Code::CoordinatorNotAvailable)
    )
}
