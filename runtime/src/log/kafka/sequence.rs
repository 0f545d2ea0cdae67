//! The sequencer at work: reads commits in order, judges them, writes what counts.
//!
//! Several may run; a consumer group gives each partition to one of them. That is for thrift only: two that believe they have the same
//! partition write the same outputs, and readers drop the second of each.

use super::answers::Answers;
use super::index::{Index, Unsaved};
use super::settings::Settings;
use super::topics::{self, Generation};
use super::{follow, wire};
use crate::log::sequencer::rule::Judged;
use crate::log::sequencer::{Answer, Assembler, Body, Output, PartitionState, StreamKey, by_commit, judge};
use crate::log::{Commit, Verdict};
use anyhow::{Context as _, anyhow, bail};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long to wait for a commit before looking whether to stop.
const IDLE: Duration = Duration::from_millis(100);

/// Commits after which the state is saved: a restart reads at most so many again, some two seconds' work.
const SAVE_COMMITS: u64 = 100_000;

/// How long outputs may take to be acknowledged before the state is saved, and at the end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);

/// How long outputs wait for company where appenders are answered already: a request to the brokers costs as much as 50 records in one, and
/// brokers that answer fewer requests order commits faster. Others' verdicts and every reader wait so much longer. Without answers it is 0.
const LINGER_MS_ANSWERING: u32 = 2;

/// Streams kept in memory per partition, the latest; about 150 bytes each. Others are looked up in the index.
const WARM_STREAMS_MAX: usize = 100_000;

/// Pause before an output is offered again to a producer whose queue is full.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(1);

/// Sequences the partitions that the group gives us, with an index of each in `folder`, until shutdown.
///
/// # Errors
/// When the brokers refuse us, an output could not be written, or the events are out of order. It is safe to start again.
pub async fn sequence(settings: Settings, folder: &Path, shutdown: CancellationToken) -> anyhow::Result<()> {
    sequence_and_answer(settings, folder, shutdown, None).await
}

/// The same; appenders of this process are told through `answers` as soon as their commit is judged.
///
/// That is before its events are on the topic, and yet it can be relied on: the commit itself is on the brokers, because only such can be read,
/// and every sequencer that ever comes judges it like this one (`sequencer_model.rs` checks that). Only reading it back has to wait.
pub(super) async fn sequence_and_answer(
    settings: Settings,
    folder: &Path,
    shutdown: CancellationToken,
    answers: Option<Answers>,
) -> anyhow::Result<()> {
    let generation = topics::generation(&settings).await?;
    topics::check_partitions(&settings, &generation).await?;
    let folder = folder.to_owned();
    let work = tokio::task::spawn_blocking(move || run(&settings, &generation, folder, &shutdown, answers.as_ref()));
    work.await.context("the sequencer panicked")?
}

fn run(
    settings: &Settings,
    generation: &Generation,
    folder: PathBuf,
    shutdown: &CancellationToken,
    answers: Option<&Answers>,
) -> anyhow::Result<()> {
    let linger_ms = if answers.is_some() { LINGER_MS_ANSWERING } else { 0 };
    let producer: ThreadedProducer<Deliveries> =
        settings.outputs(linger_ms).create_with_context(Deliveries::default()).context("starting the producer of events")?;
    let group =
        Group { settings: settings.clone(), generation: generation.clone(), folder, owned: Mutex::default(), failure: Mutex::default() };
    let client: BaseConsumer<Group> =
        settings.member(&settings.sequencers()).create_with_context(group).context("starting the reader of commits")?;
    client.subscribe(&[&settings.commits()])?;
    let events = settings.events();
    while !shutdown.is_cancelled() {
        let record = client.poll(IDLE);
        if let Some(error) = client.context().failure().take() {
            return Err(error);
        }
        if producer.context().has_failed.load(Ordering::Relaxed) {
            bail!("an event could not be written: this sequencer ends, the next one goes on after the last event that was");
        }
        let mut owned = client.context().owned();
        match record {
            None => {}
            Some(Ok(record)) => {
                if let Some(partition) = owned.get_mut(&record.partition()) {
                    partition.take(&record, answers, &producer, &events)?;
                }
            }
            Some(Err(error)) if follow::is_passing(&error) => {
                tracing::warn!(error = %error, "the brokers are not there, waiting for them");
            }
            Some(Err(error)) => return Err(topics::unusable(settings, &error).context("reading commits")),
        }
    }
    let mut owned = std::mem::take(&mut *client.context().owned());
    owned.values_mut().try_for_each(|partition| partition.save(&producer))
}

/// Notices outputs that could not be written, and where the others went.
#[derive(Default)]
struct Deliveries {
    has_failed: AtomicBool,
    /// For each partition, the offset after the last output that is on the topic.
    next_offsets: Mutex<HashMap<i32, i64>>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(record) => {
                let mut offsets = self.next_offsets.lock().unwrap_or_else(PoisonError::into_inner);
                let next = offsets.entry(record.partition()).or_default();
                *next = (*next).max(record.offset() + 1);
            }
            Err((error, _)) => {
                tracing::error!(error = %error, "an event could not be written");
                self.has_failed.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// The consumer group's view: which partitions are ours, each ready to go on where its events end.
struct Group {
    settings: Settings,
    generation: Generation,
    folder: PathBuf,
    owned: Mutex<HashMap<i32, Partition>>,
    failure: Mutex<Option<anyhow::Error>>,
}

impl Group {
    fn owned(&self) -> MutexGuard<'_, HashMap<i32, Partition>> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failure(&self) -> MutexGuard<'_, Option<anyhow::Error>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads up what each new partition's events tell, and points the reader to the commit after them.
    fn take_over(&self, client: &BaseConsumer<Self>, given: &mut TopicPartitionList) -> anyhow::Result<()> {
        let partitions: Vec<i32> = given.elements().iter().map(rdkafka::topic_partition_list::TopicPartitionListElem::partition).collect();
        for number in partitions {
            let started = Instant::now();
            let partition = Partition::start(&self.settings, &self.generation, &self.folder, number)?;
            let (next, events) = (partition.next_commit, partition.state.next_position());
            tracing::info!(
                partition = number,
                next_commit = next,
                events,
                took_ms = started.elapsed().as_millis(),
                "sequencing a partition"
            );
            given.set_partition_offset(&self.settings.commits(), number, Offset::Offset(next.cast_signed()))?;
            self.owned().insert(number, partition);
        }
        Ok(client.incremental_assign(given)?)
    }
}

impl ClientContext for Group {}

impl ConsumerContext for Group {
    fn rebalance(&self, client: &BaseConsumer<Self>, event: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let result = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.take_over(client, partitions),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                for element in partitions.elements() {
                    // What is still on its way may arrive: the next owner writes the same.
                    self.owned().remove(&element.partition());
                }
                client.incremental_unassign(partitions).map_err(Into::into)
            }
            other => Err(anyhow!("the group of sequencers failed: {}", RDKafkaErrorCode::from(other))),
        };
        if let Err(error) = result {
            self.failure().get_or_insert(error);
        }
    }
}

/// One partition that is ours.
struct Partition {
    number: i32,
    state: PartitionState,
    index: Index,
    unsaved: Unsaved,
    /// Offset of the record of commits that is judged next.
    next_commit: u64,
    /// Offset of events below which the state knows them all, as far as was read back.
    known_offset: i64,
    commits_since_save: u64,
}

impl Partition {
    /// Restores the state from the index, and from the events after it up to the end of the topic.
    fn start(settings: &Settings, generation: &Generation, folder: &Path, number: i32) -> anyhow::Result<Self> {
        let (index, state, known_offset) = Index::open(&folder.join(format!("sequencer-{number}.sqlite")), generation)?;
        let mut partition = Self { number, state, index, unsaved: Unsaved::default(), next_commit: 0, known_offset, commits_since_save: 0 };
        partition.read_back(settings)?;
        partition.next_commit = partition.state.last().map_or(0, |last| last.commit_offset + 1);
        Ok(partition)
    }

    fn read_back(&mut self, settings: &Settings) -> anyhow::Result<()> {
        let topic = settings.events();
        let client: BaseConsumer = settings.reader("rebuild").create()?;
        let (_, end) = follow::watermarks(settings, &client, &topic, self.number).context("reading back events")?;
        if self.known_offset >= end {
            return Ok(());
        }
        let mut assembler = Assembler::after(self.state.last(), self.state.next_position());
        let (number, from) = (self.number, self.known_offset);
        // The pieces of a record's outputs that were cut short at the end are written again, whole.
        follow::read_through(settings, &client, (&topic, number), from..end, |record| {
            let place = || format!("record {} of partition {number} of {topic}", record.offset());
            let output = wire::output_from_record(record).with_context(|| format!("{} cannot be read", place()))?;
            if let Some(outputs) = assembler.push(output).with_context(place)? {
                self.state.fold(&outputs);
                self.note(&outputs);
                self.known_offset = record.offset() + 1;
                if self.unsaved.verdicts.len() as u64 >= SAVE_COMMITS {
                    self.store()?;
                }
            }
            Ok(())
        })
        .context("reading back events")
    }

    /// Judges the commits of a record, tells their appenders and writes what counts.
    fn take(
        &mut self,
        record: &BorrowedMessage<'_>,
        appenders: Option<&Answers>,
        producer: &ThreadedProducer<Deliveries>,
        events: &str,
    ) -> anyhow::Result<()> {
        let offset = u64::try_from(record.offset()).context("an offset below zero")?;
        if offset < self.next_commit {
            return Ok(());
        }
        self.next_commit = offset + 1;
        let commits: Vec<Commit> = wire::commits_from_bytes(record.payload().unwrap_or_default())
            .filter_map(|commit| {
                // The same bytes are no commit for any sequencer.
                commit
                    .inspect_err(|error| {
                        tracing::error!(offset, partition = self.number, error = ?error, "skipped what is not a commit");
                        metrics::counter!("clipflow_log_undecodable_commits_total").increment(1);
                    })
                    .ok()
            })
            .collect();
        let cold: Vec<StreamKey> = commits.iter().flat_map(|commit| self.state.cold(commit)).collect();
        for key in cold {
            let next_version = match self.unsaved.streams.get(&key) {
                Some(known) => *known,
                None => self.index.next_version(&key)?,
            };
            self.state.warm(key, next_version);
        }
        let Judged { outputs, answers } = judge(&mut self.state, commits, offset);
        self.commits_since_save += answers.len() as u64;
        for (_, answer) in &answers {
            metrics::counter!("clipflow_log_commits_total", "verdict" => name(answer)).increment(1);
        }
        if let Some(appenders) = appenders {
            appenders.tell(self.number.cast_unsigned() as usize, self.answered(), answers);
        }
        self.note(&outputs);
        for output in &outputs {
            write(output, self.number, producer, events)?;
        }
        if self.commits_since_save >= SAVE_COMMITS {
            self.save(producer)?;
        }
        Ok(())
    }

    /// Returns the offset of records of commits below which every commit that counts was judged.
    fn answered(&self) -> u64 {
        self.state.last().map_or(0, |last| last.commit_offset + 1)
    }

    /// Keeps what is to be saved of outputs that the state has taken in.
    fn note(&mut self, outputs: &[Output]) {
        self.unsaved.verdicts.extend(by_commit(outputs).filter_map(Answer::of).map(|(key, answer)| (key, answer.verdict)));
        for output in outputs {
            if let Body::Event(event) = &output.body {
                self.unsaved.streams.insert((event.workspace, event.stream.clone()), event.version + 1);
            }
        }
    }

    /// Saves the state once everything that it says is on the topic.
    fn save(&mut self, producer: &ThreadedProducer<Deliveries>) -> anyhow::Result<()> {
        producer.flush(FLUSH_TIMEOUT).context("waiting for events to be written")?;
        anyhow::ensure!(!producer.context().has_failed.load(Ordering::Relaxed), "an event could not be written");
        let written = producer.context().next_offsets.lock().unwrap_or_else(PoisonError::into_inner).get(&self.number).copied();
        self.known_offset = written.unwrap_or(0).max(self.known_offset);
        self.store()
    }

    fn store(&mut self) -> anyhow::Result<()> {
        self.index.save(&self.state, std::mem::take(&mut self.unsaved), self.known_offset)?;
        self.state.cool(WARM_STREAMS_MAX);
        self.commits_since_save = 0;
        Ok(())
    }
}

fn write(output: &Output, partition: i32, producer: &ThreadedProducer<Deliveries>, events: &str) -> anyhow::Result<()> {
    let wire::Record { key, headers, payload } = wire::output_to_record(output);
    let mut record = BaseRecord::to(events).partition(partition).key(&key).payload(&*payload).headers(headers);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                anyhow::ensure!(!producer.context().has_failed.load(Ordering::Relaxed), "an event could not be written");
                record = refused;
                std::thread::sleep(QUEUE_FULL_PAUSE);
            }
            Err((error, _)) => return Err(error).context("writing an event"),
        }
    }
}

fn name(answer: &Answer) -> &'static str {
    match answer {
        Answer { is_repeat: true, .. } => "repeat",
        Answer { verdict: Verdict::Accepted(_), .. } => "accepted",
        Answer { verdict: Verdict::Rejected(_), .. } => "rejected",
    }
}
