//! Follows the events topic: answers appenders when their verdict arrives, and then writes the local copies.
//!
//! Two threads, so that nobody waits for a disk: one reads and answers, the other writes what was answered. What lies between them is limited.

use super::answers::Answers;
use super::settings::Settings;
use super::{topics, wire};
use crate::log::sequencer::{Answer, Assembler, Output, by_commit};
use crate::log::sqlite::{Followed, Replica};
use anyhow::{Context as _, anyhow};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// Records that are read before appenders are answered: the first one's answer waits for all of them.
const BATCH_RECORDS_MAX: usize = 256;

/// Batches that wait to be written to the copies, and are then written together; more hold up the reading.
const BATCHES_AHEAD_MAX: usize = 16;

/// How long to wait for a record before looking whether to stop.
const IDLE: Duration = Duration::from_millis(100);

/// How long the brokers may send nothing although there is more.
const PATIENCE: Duration = Duration::from_secs(30);

/// One partition's copy, and how far it is.
pub(super) struct Copy {
    replica: Replica,
    followed: Followed,
    seen: Arc<AtomicI64>,
}

impl Copy {
    pub(super) fn new(replica: Replica, followed: Followed) -> Self {
        let seen = Arc::new(followed.next_offset.into());
        Self { replica, followed, seen }
    }

    /// Returns the offset below which everything is in the copy; it rises.
    pub(super) fn seen(&self) -> Arc<AtomicI64> {
        self.seen.clone()
    }

    /// Returns the record of commits that the copy needs next, by its offset.
    pub(super) fn next_commit(&self) -> u64 {
        next_commit(&self.followed)
    }
}

fn next_commit(followed: &Followed) -> u64 {
    followed.last.map_or(0, |last| last.commit_offset + 1)
}

/// What was made of whole records of one partition, in order, and how far that goes.
struct Batch {
    partition: usize,
    records: Vec<Vec<Output>>,
    followed: Followed,
    /// The offset after the last record that was looked at.
    looked_at: i64,
}

/// One partition as it is read.
struct Track {
    assembler: Assembler,
    followed: Followed,
    records: Vec<Vec<Output>>,
    looked_at: i64,
    is_dirty: bool,
}

impl Track {
    fn new(copy: &Copy) -> Self {
        let assembler = Assembler::after(copy.followed.last, copy.replica.next_position());
        let (followed, looked_at) = (copy.followed.clone(), copy.followed.next_offset);
        Self { assembler, followed, records: Vec::new(), looked_at, is_dirty: false }
    }

    fn take(&mut self, record: &BorrowedMessage<'_>) -> anyhow::Result<()> {
        let place = || format!("record {} of partition {} of {}", record.offset(), record.partition(), record.topic());
        let output = wire::output_from_record(record).with_context(|| format!("{} cannot be read", place()))?;
        let last = output.place;
        (self.looked_at, self.is_dirty) = (record.offset() + 1, true);
        if let Some(outputs) = self.assembler.push(output).with_context(place)? {
            self.records.push(outputs);
            // Only at the end of a record's outputs: what is read again after a restart starts with whole ones, or is known.
            self.followed.last = Some(last);
            self.followed.next_offset = record.offset() + 1;
        }
        Ok(())
    }

    /// Returns what was read since the last time.
    fn batch(&mut self, partition: usize) -> Option<Batch> {
        std::mem::take(&mut self.is_dirty).then(|| Batch {
            partition,
            records: std::mem::take(&mut self.records),
            followed: self.followed.clone(),
            looked_at: self.looked_at,
        })
    }
}

/// Follows every partition until told to stop; blocking.
pub(super) fn follow(settings: &Settings, copies: Vec<Copy>, answers: &Answers, stop: &AtomicBool) -> anyhow::Result<()> {
    let mut tracks: Vec<Track> = copies.iter().map(Track::new).collect();
    let (ahead, batches) = flume::bounded(BATCHES_AHEAD_MAX);
    std::thread::scope(|scope| {
        let writing = std::thread::Builder::new()
            .name("log-copier".to_owned())
            .spawn_scoped(scope, move || write(copies, &batches, answers))
            .context("starting the thread that copies the log")?;
        let read = read(settings, &mut tracks, answers, &ahead, stop);
        drop(ahead);
        // Reading also ends when nobody writes any more; then the cause lies there.
        writing.join().unwrap_or_else(|_| Err(anyhow!("the thread that copies the log panicked"))).and(read)
    })
}

fn read(
    settings: &Settings,
    tracks: &mut [Track],
    answers: &Answers,
    ahead: &flume::Sender<Batch>,
    stop: &AtomicBool,
) -> anyhow::Result<()> {
    let topic = settings.events();
    let client: BaseConsumer = settings.reader("follower").create().context("starting the reader of events")?;
    let mut partitions = TopicPartitionList::new();
    for (partition, track) in (0..).zip(&*tracks) {
        partitions.add_partition_offset(&topic, partition, Offset::Offset(track.looked_at))?;
    }
    client.assign(&partitions)?;
    while !stop.load(Ordering::Relaxed) {
        let mut wait = IDLE;
        for _ in 0..BATCH_RECORDS_MAX {
            match client.poll(wait) {
                None => break,
                Some(Ok(record)) => {
                    let index = usize::try_from(record.partition()).context("a partition below zero")?;
                    tracks.get_mut(index).context("a partition that the log does not have")?.take(&record)?;
                }
                Some(Err(error)) if is_passing(&error) => {
                    tracing::warn!(error = %error, "the brokers are not there, waiting for them");
                }
                Some(Err(error)) => return Err(topics::unusable(settings, &error).context("reading events")),
            }
            wait = Duration::ZERO;
        }
        for (partition, track) in tracks.iter_mut().enumerate() {
            let Some(batch) = track.batch(partition) else { continue };
            let told = batch.records.iter().flat_map(|outputs| by_commit(outputs)).filter_map(Answer::of);
            answers.tell(partition, next_commit(&batch.followed), told);
            if ahead.send(batch).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Writes what was read, as much at once as waits, until nothing more comes.
fn write(mut copies: Vec<Copy>, batches: &flume::Receiver<Batch>, answers: &Answers) -> anyhow::Result<()> {
    while let Ok(first) = batches.recv() {
        let mut waiting: Vec<Batch> = std::iter::once(first).chain(batches.try_iter().take(BATCHES_AHEAD_MAX)).collect();
        waiting.sort_by_key(|batch| batch.partition);
        for together in waiting.chunk_by_mut(|one, other| one.partition == other.partition) {
            let records: Vec<Vec<Output>> = together.iter_mut().flat_map(|batch| std::mem::take(&mut batch.records)).collect();
            let [.., last] = together else { continue };
            let copy = &mut copies[last.partition];
            if !records.is_empty() {
                copy.replica.record(&records, &last.followed)?;
                answers.copied(last.partition, next_commit(&last.followed));
            }
            copy.seen.store(last.looked_at, Ordering::Release);
        }
    }
    Ok(())
}

/// Returns where a partition begins and ends; waits for brokers that are just choosing its leader, or are away for a moment.
pub(super) fn watermarks<C: ConsumerContext>(
    settings: &Settings,
    client: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
) -> anyhow::Result<(i64, i64)> {
    use rdkafka::error::RDKafkaErrorCode as Code;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let error = match client.fetch_watermarks(topic, partition, topics::ADMIN_TIMEOUT) {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        // A new leader does not know its end before its followers have told it.
        let is_election =
            matches!(error.rdkafka_error_code(), Some(Code::NotLeaderForPartition | Code::LeaderNotAvailable | Code::OffsetNotAvailable));
        if Instant::now() >= deadline || !is_election && !is_passing(&error) {
            return Err(topics::unusable(settings, &error));
        }
        std::thread::sleep(IDLE);
    }
}

/// Gives every record of a partition with an offset in `offsets`, which is not empty, to `take`; blocking.
///
/// `take` runs on a thread of its own: taking records apart costs more than receiving them.
pub(super) fn read_through(
    settings: &Settings,
    client: &BaseConsumer,
    (topic, partition): (&str, i32),
    offsets: Range<i64>,
    mut take: impl FnMut(&BorrowedMessage<'_>) -> anyhow::Result<()> + Send,
) -> anyhow::Result<()> {
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, partition, Offset::Offset(offsets.start))?;
    client.assign(&partitions)?;
    let (ahead, batches) = flume::bounded::<Vec<BorrowedMessage<'_>>>(BATCHES_AHEAD_MAX);
    std::thread::scope(|scope| {
        let taking = std::thread::Builder::new()
            .name("log-reader".to_owned())
            .spawn_scoped(scope, move || batches.into_iter().flatten().try_for_each(|record| take(&record)))
            .context("starting the thread that takes records apart")?;
        let received = receive(settings, client, (topic, partition), offsets.end, &ahead);
        drop(ahead);
        // Receiving also ends when nobody takes any more; then the cause lies there.
        taking.join().unwrap_or_else(|_| Err(anyhow!("the thread that takes records apart panicked"))).and(received)
    })
}

/// Receives every record below the offset `end`, until nobody takes them.
fn receive<'a>(
    settings: &Settings,
    client: &'a BaseConsumer,
    (topic, partition): (&str, i32),
    end: i64,
    ahead: &flume::Sender<Vec<BorrowedMessage<'a>>>,
) -> anyhow::Result<()> {
    let mut batch = Vec::with_capacity(BATCH_RECORDS_MAX);
    let mut last_news = Instant::now();
    loop {
        let is_last = match client.poll(if batch.is_empty() { IDLE } else { Duration::ZERO }) {
            Some(Ok(record)) => {
                last_news = Instant::now();
                let is_last = record.offset() + 1 >= end;
                batch.push(record);
                if batch.len() < BATCH_RECORDS_MAX && !is_last {
                    continue;
                }
                is_last
            }
            Some(Err(error)) if !is_passing(&error) => return Err(topics::unusable(settings, &error)),
            Some(Err(_)) | None => {
                anyhow::ensure!(
                    last_news.elapsed() < PATIENCE,
                    "the brokers sent no record of partition {partition} of {topic} for {} s",
                    PATIENCE.as_secs()
                );
                false
            }
        };
        let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH_RECORDS_MAX));
        if !full.is_empty() && ahead.send(full).is_err() || is_last {
            return Ok(());
        }
    }
}

/// Tells whether librdkafka goes on by itself after an error.
pub(crate) fn is_passing(error: &rdkafka::error::KafkaError) -> bool {
    use rdkafka::error::RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::AllBrokersDown
                | Code::BrokerTransportFailure
                | Code::CoordinatorNotAvailable
                | Code::DestroyBroker
                | Code::OperationTimedOut
                | Code::Resolve
        )
    )
}
