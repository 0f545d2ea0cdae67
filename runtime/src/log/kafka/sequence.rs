//! The sequencer at work: reads commits in order, judges them, writes what counts.
//!
//! Several may run; a consumer group gives each partition to one of them. That is for thrift only: two that believe they have the same
//! partition write the same outputs, and readers drop the second of each.

use super::answers::Answers;
use super::index::{Index, Unsaved};
use super::members::Member;
use super::outputs::Outputs;
use super::settings::Settings;
use super::snapshot::Snapshots;
use super::topics::{self, Generation};
use super::{follow, wire};
use crate::blobs::Blobs;
use crate::log::sequencer::rule::Judged;
use crate::log::sequencer::{Answer, Assembler, Body, Output, PartitionState, StreamKey, by_commit, judge};
use crate::log::{Commit, Verdict};
use anyhow::Context as _;
use rdkafka::consumer::BaseConsumer;
use rdkafka::message::{BorrowedMessage, Message as _};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Commits after which the state is saved: a restart reads at most so many again, some two seconds' work. Or as many events as lie between
/// two snapshots.
const SAVE_COMMITS: usize = 100_000;

/// How long outputs wait for company where appenders are answered already: a request to the brokers costs as much as 50 records in one, and
/// brokers that answer fewer requests order commits faster. Others' verdicts and every reader wait so much longer. Without answers it is 0.
const LINGER_MS_ANSWERING: u32 = 2;

/// Streams kept in memory per partition, the latest; about 150 bytes each. Others are looked up in the index.
const WARM_STREAMS_MAX: usize = 100_000;

/// Sequences the partitions that the group gives us, with an index of each in `folder` and snapshots of it in `blobs`, until shutdown.
///
/// # Errors
/// When the brokers refuse us, an output could not be written, or the events are out of order. It is safe to start again.
pub async fn sequence(settings: Settings, folder: &Path, blobs: &Blobs, shutdown: CancellationToken) -> anyhow::Result<()> {
    sequence_and_answer(settings, folder, blobs, shutdown, None).await
}

/// The same; appenders of this process are told through `answers` as soon as their commit is judged.
///
/// That is before its events are on the topic, and yet it can be relied on: the commit itself is on the brokers, because only such can be read,
/// and every sequencer that ever comes judges it like this one (`sequencer_model.rs` checks that). Only reading it back has to wait.
pub(super) async fn sequence_and_answer(
    settings: Settings,
    folder: &Path,
    blobs: &Blobs,
    shutdown: CancellationToken,
    answers: Option<Answers>,
) -> anyhow::Result<()> {
    let generation = topics::generation(&settings).await?;
    topics::check_partitions(&settings, &generation).await?;
    let home = Home { settings, generation, folder: folder.to_owned(), blobs: blobs.clone(), runtime: Handle::current() };
    let work = tokio::task::spawn_blocking(move || run(home, &shutdown, answers.as_ref()));
    work.await.context("the sequencer panicked")?
}

/// Which log is sequenced, and where what is known of it is kept.
struct Home {
    settings: Settings,
    generation: Generation,
    folder: PathBuf,
    blobs: Blobs,
    runtime: Handle,
}

fn run(home: Home, shutdown: &CancellationToken, answers: Option<&Answers>) -> anyhow::Result<()> {
    let settings = home.settings.clone();
    let linger_ms = if answers.is_some() { LINGER_MS_ANSWERING } else { 0 };
    let outputs = Outputs::start(&settings, settings.events(), linger_ms)?;
    let (group, commits) = (settings.sequencers(), settings.commits());
    let member = Member::join(settings, &group, commits, move |number| take_over(&home, number))?;
    let mut owned = member.work(&outputs, shutdown, |partition: &mut Partition, record| partition.take(record, answers, &outputs))?;
    owned.values_mut().try_for_each(|partition| partition.save(&outputs))
}

/// Reads up what a partition's events tell; the commit after them is the next one to read.
fn take_over(home: &Home, number: i32) -> anyhow::Result<(Partition, i64)> {
    let started = Instant::now();
    let partition = Partition::start(home, number)?;
    let (next_commit, events) = (partition.next_commit, partition.state.next_position());
    tracing::info!(partition = number, next_commit, events, took_ms = started.elapsed().as_millis(), "sequencing a partition");
    Ok((partition, next_commit.cast_signed()))
}

/// One partition that is ours.
struct Partition {
    number: i32,
    state: PartitionState,
    index: Index,
    path: PathBuf,
    snapshots: Snapshots,
    unsaved: Unsaved,
    /// Offset of the record of commits that is judged next.
    next_commit: u64,
    /// Offset of events below which the state knows them all, as far as was read back.
    known_offset: i64,
    /// Outputs since the state was saved, and how many there may be.
    unsaved_outputs: u64,
    unsaved_outputs_max: u64,
}

impl Partition {
    /// Restores the state from the index, or a snapshot where that is far behind, and from the events after it up to the end of the topic.
    fn start(Home { settings, generation, folder, blobs, runtime }: &Home, number: i32) -> anyhow::Result<Self> {
        let path = folder.join(format!("sequencer-{number}.sqlite"));
        let every_events = settings.snapshot_events.get();
        let mut snapshots = Snapshots::new(blobs, runtime, generation, number, every_events);
        let (index, state, known_offset) = snapshots.open_index(&path, generation)?;
        let mut partition = Self {
            number,
            state,
            index,
            path,
            snapshots,
            unsaved: Unsaved::default(),
            next_commit: 0,
            known_offset,
            unsaved_outputs: 0,
            unsaved_outputs_max: every_events,
        };
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
                if self.is_to_be_saved() {
                    self.store()?;
                }
            }
            Ok(())
        })
        .context("reading back events")
    }

    /// Judges the commits of a record, tells their appenders and writes what counts.
    fn take(&mut self, record: &BorrowedMessage<'_>, appenders: Option<&Answers>, written: &Outputs) -> anyhow::Result<()> {
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
        for (_, answer) in &answers {
            metrics::counter!("clipflow_log_commits_total", "verdict" => name(answer)).increment(1);
        }
        if let Some(appenders) = appenders {
            appenders.tell(self.number.cast_unsigned() as usize, self.answered(), answers);
        }
        self.note(&outputs);
        for output in &outputs {
            written.write(self.number, wire::output_to_record(output))?;
        }
        if self.is_to_be_saved() {
            self.save(written)?;
        }
        Ok(())
    }

    /// Returns the offset of records of commits below which every commit that counts was judged.
    fn answered(&self) -> u64 {
        self.state.last().map_or(0, |last| last.commit_offset + 1)
    }

    fn is_to_be_saved(&self) -> bool {
        self.unsaved.verdicts.len() >= SAVE_COMMITS || self.unsaved_outputs >= self.unsaved_outputs_max
    }

    /// Keeps what is to be saved of outputs that the state has taken in.
    fn note(&mut self, outputs: &[Output]) {
        self.unsaved_outputs += outputs.len() as u64;
        self.unsaved.verdicts.extend(by_commit(outputs).filter_map(Answer::of).map(|(key, answer)| (key, answer.verdict)));
        for output in outputs {
            if let Body::Event(event) = &output.body {
                self.unsaved.streams.insert((event.workspace, event.stream.clone()), event.version + 1);
            }
        }
    }

    /// Saves the state once everything that it says is on the topic.
    fn save(&mut self, written: &Outputs) -> anyhow::Result<()> {
        written.flush()?;
        self.known_offset = written.next_offset(self.number).unwrap_or(0).max(self.known_offset);
        self.store()
    }

    fn store(&mut self) -> anyhow::Result<()> {
        self.index.save(&self.state, std::mem::take(&mut self.unsaved), self.known_offset)?;
        self.snapshots.saved(self.known_offset, &self.path);
        self.state.cool(WARM_STREAMS_MAX);
        self.unsaved_outputs = 0;
        Ok(())
    }
}

fn name(answer: &Answer) -> &'static str {
    match answer {
        Answer { is_repeat: true, .. } => "repeat",
        Answer { verdict: Verdict::Accepted(_), .. } => "accepted",
        Answer { verdict: Verdict::Rejected(_), .. } => "rejected",
    }
}
