//! The log on Apache Kafka: commits are put in order by one topic, judged by a sequencer, and what counts is in another.
//!
//! See [`super::sequencer`] for the rule and ARCHITECTURE.md for why nothing here rests on Kafka's transactions. Every process that reads
//! keeps a copy of the events in local files, for reading by position, stream and commit id; a lost copy is read again from the topic.

mod answers;
mod appender;
mod check;
mod follow;
mod index;
mod json;
mod members;
mod outputs;
mod sequence;
mod settings;
mod snapshot;
mod topics;
mod wire;

pub use check::{Report, check};
pub(crate) use follow::is_passing;
pub use json::write_json;
pub use sequence::sequence;
pub use settings::{Settings, partition_of};
pub use topics::{Generation, Layout, LogProblem, PARTITIONS_MAX, generation, init};
pub(crate) use wire::event_from_record;

use super::sequencer::Answer;
use super::sqlite::{Followed, Replica, SqliteLog};
use super::{AppendError, Appended, Commit, Filter, Log, Partition, Reading, Verdict};
use crate::blobs::Blobs;
use answers::Answers;
use anyhow::Context as _;
use appender::Appender;
use domain::id::{CommitId, WorkspaceId};
use follow::Copy;
use proto::{Recorded, StreamName};
use rdkafka::consumer::BaseConsumer;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long `append` waits for a verdict; afterwards the outcome is not known. Longer than the election of a broker and of a sequencer.
pub const APPEND_DEADLINE: Duration = Duration::from_secs(30);

/// When a waiting `append` first asks whether its commit was judged before: only for a repeat can that be the answer.
const LOOKUP_FIRST: Duration = Duration::from_millis(50);

/// It asks again after twice the time, and then at least so often.
const LOOKUP_LONGEST: Duration = Duration::from_secs(1);

/// How long opening a log may take, most of it for copying events that are not here yet.
const CATCH_UP_DEADLINE: Duration = Duration::from_secs(1_800);

/// How often it is looked at how far that is.
const CATCH_UP_POLL: Duration = Duration::from_millis(10);

/// A handle on a log; the last one's end stops its reader.
#[derive(Clone)]
pub struct KafkaLog(Arc<Shared>);

struct Shared {
    settings: Settings,
    appender: Appender,
    copies: Vec<SqliteLog>,
    answers: Answers,
    stop: Arc<AtomicBool>,
    generation: Generation,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl KafkaLog {
    /// Opens a log that was made with [`init`], with copies in `folder`, which must exist.
    ///
    /// # Errors
    /// A [`LogProblem`], or when the copies cannot be used.
    pub async fn open(settings: Settings, folder: &Path) -> anyhow::Result<Self> {
        let generation = generation(&settings).await?;
        topics::check_partitions(&settings, &generation).await?;
        let (folder, stop) = (folder.to_owned(), Arc::<AtomicBool>::default());
        let opening = {
            let (settings, generation) = (settings.clone(), generation.clone());
            tokio::task::spawn_blocking(move || open_copies(&settings, &generation, &folder))
        };
        let (copies, logs, ends) = opening.await.context("opening the copies of the log panicked")??;
        let behind: Vec<_> = copies.iter().map(Copy::seen).zip(ends).collect();
        let answers = Answers::new(copies.iter().map(Copy::next_commit));
        let appender = Appender::new(&settings, &generation, answers.clone())?;
        let follower = (settings.clone(), answers.clone(), stop.clone());
        std::thread::Builder::new()
            .name("log-follower".to_owned())
            .spawn(move || {
                let (settings, answers, stop) = follower;
                if let Err(error) = follow::follow(&settings, copies, &answers, &stop) {
                    tracing::error!(error = format!("{error:#}"), "the log can no longer be followed");
                    answers.fail(format!("{error:#}"));
                }
            })
            .context("starting the log's follower thread")?;
        let log = Self(Arc::new(Shared { settings, appender, copies: logs, answers, stop, generation }));
        tokio::time::timeout(CATCH_UP_DEADLINE, log.catch_up(&behind)).await.with_context(|| {
            format!("copying the log took more than {} s; what is copied stays, so start again", CATCH_UP_DEADLINE.as_secs())
        })??;
        Ok(log)
    }

    /// Waits until the copies hold what was on the topic when they were opened.
    async fn catch_up(&self, behind: &[(Arc<AtomicI64>, i64)]) -> anyhow::Result<()> {
        while behind.iter().any(|(seen, end)| seen.load(Ordering::Acquire) < *end) {
            if let Some(reason) = self.0.answers.failure() {
                anyhow::bail!("the log cannot be followed: {reason}");
            }
            tokio::time::sleep(CATCH_UP_POLL).await;
        }
        Ok(())
    }

    /// Returns which log it is.
    #[must_use]
    pub fn generation(&self) -> &Generation {
        &self.0.generation
    }

    /// Sequences like [`sequence()`], and answers this log's own appenders as soon as their commit is judged: others wait until its events
    /// are on the topic and come back.
    ///
    /// # Errors
    /// As [`sequence()`].
    pub async fn sequence(&self, folder: &Path, blobs: &Blobs, shutdown: CancellationToken) -> anyhow::Result<()> {
        let (settings, answers) = (self.0.settings.clone(), self.0.answers.clone());
        sequence::sequence_and_answer(settings, folder, blobs, shutdown, Some(answers)).await
    }

    /// Returns the copy of a partition, with everything in it that was answered before.
    async fn fresh(&self, partition: Partition) -> &SqliteLog {
        self.0.answers.until_fresh(partition.0 as usize).await;
        self.copy(partition)
    }

    fn copy(&self, partition: Partition) -> &SqliteLog {
        &self.0.copies[partition.0 as usize]
    }

    async fn decided(&self, commit: Commit) -> Result<Appended, AppendError> {
        let partition = self.partition(commit.workspace);
        let copy = self.copy(partition);
        let (workspace, id) = (commit.workspace, commit.id);
        let mut told = self.0.answers.register((workspace, id));
        let _waiter = self.0.appender.send(partition.0 as usize, &commit).await;
        let mut pause = LOOKUP_FIRST;
        loop {
            match tokio::time::timeout(pause, &mut told).await {
                Ok(Ok(Ok(answer))) => return answer.result(),
                Ok(Ok(Err(error))) => return Err(AppendError::Unknown(error.into())),
                Ok(Err(_)) => return Err(AppendError::Unknown(anyhow::anyhow!("nobody answers any more"))),
                Err(_) => pause = LOOKUP_LONGEST.min(2 * pause),
            }
            if let Some(reason) = self.0.answers.failure() {
                return Err(AppendError::Unknown(anyhow::anyhow!("the log can no longer be followed: {reason}")));
            }
            if let Some(verdict) = copy.verdict(workspace, id).await.map_err(AppendError::Unknown)? {
                // Judged long ago; or just now, and then it was told before it was copied.
                return told.try_recv().ok().and_then(Result::ok).unwrap_or(Answer { verdict, is_repeat: true }).result();
            }
        }
    }
}

impl Log for KafkaLog {
    async fn append(&self, commit: Commit) -> Result<Appended, AppendError> {
        commit.check()?;
        let started = std::time::Instant::now();
        let key = (commit.workspace, commit.id);
        let partition = self.partition(commit.workspace).0 as usize;
        let result = tokio::time::timeout(APPEND_DEADLINE, self.decided(commit)).await;
        self.0.answers.forget(key);
        self.0.answers.until_not_far_behind(partition).await;
        metrics::histogram!("clipflow_log_append_seconds").record(started.elapsed().as_secs_f64());
        result.unwrap_or_else(|_| {
            let reason = format!("no verdict came within {} s: is a sequencer running?", APPEND_DEADLINE.as_secs());
            Err(AppendError::Unknown(anyhow::anyhow!(reason)))
        })
    }

    async fn verdict(&self, workspace: WorkspaceId, commit: CommitId) -> anyhow::Result<Option<Verdict>> {
        self.fresh(self.partition(workspace)).await.verdict(workspace, commit).await
    }

    async fn read_stream(
        &self,
        workspace: WorkspaceId,
        stream: &StreamName,
        from_version: u64,
        limit: usize,
    ) -> anyhow::Result<Vec<Recorded>> {
        self.fresh(self.partition(workspace)).await.read_stream(workspace, stream, from_version, limit).await
    }

    fn read(&self, partition: Partition, from: u64, filter: Filter) -> Reading {
        self.copy(partition).read(Partition::EMBEDDED, from, filter)
    }

    async fn head(&self, partition: Partition) -> anyhow::Result<u64> {
        // Who asks how far it is wants to know that it goes no further.
        if let Some(reason) = self.0.answers.failure() {
            anyhow::bail!("the log can no longer be followed: {reason}");
        }
        self.fresh(partition).await.head(Partition::EMBEDDED).await
    }

    fn partition(&self, workspace: WorkspaceId) -> Partition {
        partition_of(workspace, self.0.generation.partitions)
    }

    fn partitions(&self) -> Vec<Partition> {
        (0..self.0.generation.partitions).map(Partition).collect()
    }
}

/// The copies to write, the logs to read them by, and where each partition's events ended.
type Copies = (Vec<Copy>, Vec<SqliteLog>, Vec<i64>);

/// Opens the copy of each partition; one of another log is refused.
fn open_copies(settings: &Settings, generation: &Generation, folder: &Path) -> anyhow::Result<Copies> {
    let client: BaseConsumer = settings.reader("watermarks").create()?;
    let id = generation.id.to_string();
    let open = |partition: u32| {
        let path = folder.join(format!("log-{partition}.sqlite"));
        let (replica, log, followed) = Replica::open(&path)?;
        let followed = followed.unwrap_or_else(|| Followed { generation: id.clone(), ..Followed::default() });
        let topic = settings.events();
        let (_, end) = follow::watermarks(settings, &client, &topic, i32::try_from(partition)?)?;
        if followed.generation != id || followed.next_offset > end {
            let what = path.display().to_string();
            return Err(LogProblem::OtherGeneration { what, expected: followed.generation, found: id.clone() }.into());
        }
        Ok((Copy::new(replica, followed), log, end))
    };
    (0..generation.partitions).map(open).collect()
}
