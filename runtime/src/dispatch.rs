//! Long work set off by events: jobs run side by side in a bounded pool and never hold up the log.
//!
//! A job's outcome is commands that it executes itself, with commit ids derived from the cause: work that is done again after a crash
//! appends nothing new. The checkpoint is the low water of finished work, so a crash loses no job. An `Err` is tried again; after the
//! last try, or a panic, the processor says so in an event. Only what cannot even be said is parked.

use crate::clock::Clock;
use crate::consume::{Surroundings, event_at};
use crate::disk;
use crate::execute::{Context, ExecuteError, Receipt, Transaction, execute};
use crate::ids;
use crate::log::{Filter, Item, Log, Partition};
use crate::progress::ProgressChannel;
use crate::retry::Backoff;
use crate::shutdown::DRAIN;
use crate::telemetry;
use anyhow::Context as _;
use domain::id::CommitId;
use futures::{FutureExt as _, StreamExt as _};
use proto::{Recorded, Wire};
use std::collections::{BTreeSet, HashSet};
use std::error::Error as StdError;
use std::future::Future;
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uuid::Uuid;

/// Jobs that run, wait for a worker or wait for their next try; reading stops there. Each holds one event in memory.
const UNFINISHED_MAX: usize = 1_024;

/// Events without a job after which the checkpoint is stored all the same, so that a restart skips them.
const CHECKPOINT_EVENTS: u64 = 1_000;

/// How often a failed job is tried, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Tries before the processor gives up.
    pub attempts: u32,
    /// Waits between them.
    pub backoff: Backoff,
}

impl Retry {
    /// For work on this machine: what fails for five minutes will not pass by itself.
    pub const LOCAL: Self = Self { attempts: 5, backoff: Backoff { first: Duration::from_secs(2), longest: Duration::from_secs(120) } };
}

/// Work that some events call for. Stateless: what a job needs is in its event, in blobs, or in the state of an aggregate.
pub trait Processor: Send + Sync + 'static {
    /// Names the consumer in ids, checkpoints, metrics and logs: never change it.
    const NAME: &'static str;

    /// When failed jobs are tried again.
    const RETRY: Retry = Retry::LOCAL;

    /// What is to be done.
    type Job: Send;

    /// Which events it looks at.
    fn filter(&self) -> Filter {
        Filter::all()
    }

    /// Returns the job that an event calls for. Pure: it is called again for each try.
    fn job(&self, event: &Recorded) -> Option<Self::Job>;

    /// Does the job and executes its outcome through `context`.
    ///
    /// A permanent failure is an outcome too (an event that says so); an `Err` is for what may pass when tried again.
    fn run<L: Log>(&self, job: Self::Job, context: &JobContext<L>) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Says in an event that the job of `context.cause` is not tried any more, as commit [`GIVE_UP`].
    ///
    /// An `Err` parks the job; so does this default, for processors whose jobs nobody waits for.
    fn give_up<L: Log>(&self, failure: &Failure, _context: &JobContext<L>) -> impl Future<Output = anyhow::Result<()>> + Send {
        let unsaid = anyhow::anyhow!("{failure}");
        async { Err(unsaid) }
    }
}

/// The number of the commit that says that a job was given up: never one of the job's own.
pub const GIVE_UP: u32 = u32::MAX;

/// Why a job is not tried any more.
#[derive(Debug, Error)]
pub enum Failure {
    /// It failed as often as it may be tried.
    #[error("{0:#}")]
    Error(anyhow::Error),
    /// It met a bug, which trying again does not mend.
    #[error("panicked: {0}")]
    Panic(String),
}

/// What a job may use.
pub struct JobContext<L> {
    /// To load the state of an aggregate.
    pub log: L,
    /// The event that called for the job.
    pub cause: Recorded,
    /// Counted from 1.
    pub attempt: u32,
    /// To tell how far it has come.
    pub progress: ProgressChannel,
    /// Set when the process stops: the job should end soon, in any way; it will be done again.
    pub cancel: CancellationToken,
    /// The wall clock.
    pub clock: Clock,
    processor: &'static str,
}

impl<L: Log> JobContext<L> {
    /// Returns the id of the job's commit number `index`: the same for each try and each redelivery.
    #[must_use]
    pub fn commit(&self, index: u32) -> CommitId {
        ids::outcome_commit(self.cause.id, self.processor, index)
    }

    /// Returns an id for something new that the job makes, such as its clip number `index`: the same for each try.
    #[must_use]
    pub fn new_id(&self, index: u32) -> Uuid {
        ids::derived(self.cause.id, self.processor, index)
    }

    /// Returns the context of the job's commit number `index`.
    #[must_use]
    pub fn context(&self, index: u32) -> Context {
        Context {
            commit: self.commit(index),
            workspace: self.cause.workspace,
            actor: format!("processor:{}", self.processor),
            correlation: self.cause.metadata.correlation,
            causation: Some(self.cause.id),
            now: self.clock.now(),
            traceparent: telemetry::traceparent().or_else(|| self.cause.metadata.traceparent.clone()),
        }
    }

    /// Gives `command` to aggregate `id` as the job's commit number `index`.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn execute<D>(&self, index: u32, id: Uuid, command: D::Command) -> Result<Receipt, ExecuteError<D::Error>>
    where
        D: Wire + Send + 'static,
        D::Command: Clone + Send + Sync + 'static,
        D::Error: StdError + Send + Sync + 'static,
    {
        execute::<D>(&self.log, self.context(index), id, command).await
    }

    /// Returns an empty transaction that will be the job's commit number `index`.
    pub fn transaction(&self, index: u32) -> Transaction<'_, L> {
        Transaction::new(&self.log, self.context(index))
    }
}

/// Runs the jobs of `processor`, at most `workers` at a time, until shutdown; then waits a little for those that run.
///
/// # Errors
/// When the log or the consumers' memory cannot be read or written.
pub async fn dispatch<L: Log, P: Processor>(log: L, processor: P, workers: NonZeroUsize, surroundings: Surroundings) -> anyhow::Result<()> {
    let checkpoint = surroundings.consumers.checkpoint(P::NAME).await?;
    let finished = surroundings.consumers.finished(P::NAME).await?.into_iter().collect();
    surroundings.positions.publish(P::NAME, checkpoint);
    let frontier = checkpoint.map_or(0, |checkpoint| checkpoint + 1);
    let shutdown = surroundings.shutdown.clone();
    let mut replays = surroundings.consumers.changes();
    replays.mark_changed();
    let mut reading = log.read(Partition::EMBEDDED, frontier, processor.filter());
    let pool = Arc::new(Pool { log, processor, workers: Semaphore::new(workers.get()), surroundings });
    let mut jobs = JoinSet::new();
    let mut desk = Desk { pool, finished, unfinished: BTreeSet::new(), replaying: HashSet::new(), frontier, stored: frontier };
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(done) = jobs.join_next() => desk.settle(done.context("a job's task failed")??).await?,
            _ = replays.changed() => desk.start_replays(&mut jobs).await?,
            item = reading.next(), if jobs.len() < UNFINISHED_MAX => {
                let item = item.context("the log's reading ended")?;
                desk.take(item.with_context(|| format!("reading the log for {}", P::NAME))?, &mut jobs).await?;
            }
        }
    }
    let drained = tokio::time::timeout(DRAIN, async {
        while let Some(done) = jobs.join_next().await {
            desk.settle(done.context("a job's task failed")??).await?;
        }
        anyhow::Ok(())
    });
    match drained.await {
        Ok(result) => result,
        Err(_) => {
            tracing::warn!(processor = P::NAME, jobs = jobs.len(), "jobs are still running, they will be done again at the next start");
            Ok(())
        }
    }
}

/// A job that ended.
struct Done {
    position: u64,
    end: End,
}

enum End {
    Finished,
    Parked,
    /// The process stops; the job is to be done again.
    Interrupted,
}

type Jobs = JoinSet<anyhow::Result<Done>>;

/// Keeps account of what is finished.
struct Desk<L, P> {
    pool: Arc<Pool<L, P>>,
    /// Positions at or above `frontier` that an earlier run finished.
    finished: HashSet<u64>,
    /// Positions below `frontier` whose jobs are not.
    unfinished: BTreeSet<u64>,
    replaying: HashSet<u64>,
    /// The next position to look at.
    frontier: u64,
    /// Everything below is finished, and stored as such.
    stored: u64,
}

impl<L: Log, P: Processor> Desk<L, P> {
    async fn take(&mut self, item: Item, jobs: &mut Jobs) -> anyhow::Result<()> {
        match item {
            Item::Event(event) => {
                self.frontier = event.position + 1;
                if !self.finished.remove(&event.position) && self.pool.wants(&event) {
                    self.unfinished.insert(event.position);
                    jobs.spawn(self.pool.clone().work(event));
                }
                if self.low_water() >= self.stored + CHECKPOINT_EVENTS {
                    self.store().await?;
                }
            }
            Item::CaughtUp(head) => {
                self.frontier = head;
                self.store().await?;
                let lag = head.saturating_sub(self.low_water());
                metrics::gauge!("clipflow_consumer_lag_events", "consumer" => P::NAME).set(lag as f64);
            }
        }
        Ok(())
    }

    async fn settle(&mut self, done: Done) -> anyhow::Result<()> {
        let Done { position, end } = done;
        let consumers = &self.pool.surroundings.consumers;
        if self.replaying.remove(&position) {
            if matches!(end, End::Finished) {
                consumers.unpark(P::NAME, position).await?;
            }
            return Ok(());
        }
        if matches!(end, End::Interrupted) {
            return Ok(());
        }
        self.unfinished.remove(&position);
        if position < self.low_water() {
            return self.store().await;
        }
        consumers.finish(P::NAME, position).await
    }

    /// Returns the position below which everything is finished.
    fn low_water(&self) -> u64 {
        self.unfinished.first().copied().unwrap_or(self.frontier)
    }

    async fn store(&mut self) -> anyhow::Result<()> {
        let low_water = self.low_water();
        if low_water > self.stored {
            let Surroundings { consumers, positions, .. } = &self.pool.surroundings;
            consumers.set_checkpoint(P::NAME, low_water - 1).await?;
            positions.publish(P::NAME, Some(low_water - 1));
            self.stored = low_water;
        }
        Ok(())
    }

    async fn start_replays(&mut self, jobs: &mut Jobs) -> anyhow::Result<()> {
        for position in self.pool.surroundings.consumers.to_replay(P::NAME).await? {
            if !self.unfinished.contains(&position) && self.replaying.insert(position) {
                let event = event_at(&self.pool.log, position).await?;
                jobs.spawn(self.pool.clone().work(event));
            }
        }
        Ok(())
    }
}

/// What all jobs of a processor share.
struct Pool<L, P> {
    log: L,
    processor: P,
    workers: Semaphore,
    surroundings: Surroundings,
}

impl<L: Log, P: Processor> Pool<L, P> {
    /// Tells whether an event calls for a job; a panic while telling is dealt with as the job's.
    fn wants(&self, event: &Recorded) -> bool {
        std::panic::catch_unwind(AssertUnwindSafe(|| self.processor.job(event).is_some())).unwrap_or(true)
    }

    /// Does the job of an event, with retries.
    async fn work(self: Arc<Self>, event: Recorded) -> anyhow::Result<Done> {
        let shutdown = &self.surroundings.shutdown;
        let position = event.position;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let permit = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(Done { position, end: End::Interrupted }),
                permit = self.workers.acquire() => permit.context("the pool is closed")?,
            };
            let outcome = self.attempt(&event, attempt).await;
            drop(permit);
            let error = match outcome {
                Ok(()) => return Ok(Done { position, end: End::Finished }),
                Err(_) if shutdown.is_cancelled() => return Ok(Done { position, end: End::Interrupted }),
                Err(Failure::Error(error)) if attempt < P::RETRY.attempts => error,
                Err(failure) => return self.give_up(&event, attempt, failure).await,
            };
            if disk::is_full(&error) {
                self.surroundings.disk_full.notify_one();
            }
            let wait = P::RETRY.backoff.after(attempt);
            tracing::warn!(processor = P::NAME, event.id = %event.id, attempt, wait_ms = wait.as_millis(), error = ?error, "a job failed, trying again");
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Lets the processor say that it gave up, so that whoever waits for the job hears of it; parks the job when that fails too.
    async fn give_up(&self, event: &Recorded, attempt: u32, failure: Failure) -> anyhow::Result<Done> {
        let position = event.position;
        tracing::error!(processor = P::NAME, event.id = %event.id, position, attempt, error = ?failure, "gave up a job");
        let context = self.context(event, attempt);
        let saying = AssertUnwindSafe(self.processor.give_up(&failure, &context)).catch_unwind().await;
        let unsaid = match saying.unwrap_or_else(|panic| Err(anyhow::anyhow!("panicked: {}", panic_text(&*panic)))) {
            Ok(()) => return Ok(Done { position, end: End::Finished }),
            Err(_) if self.surroundings.shutdown.is_cancelled() => return Ok(Done { position, end: End::Interrupted }),
            Err(unsaid) => unsaid,
        };
        tracing::error!(processor = P::NAME, event.id = %event.id, position, error = ?unsaid, "parked a job");
        let Surroundings { consumers, clock, .. } = &self.surroundings;
        consumers.park(P::NAME, event, attempt, &failure.to_string(), clock.now()).await?;
        Ok(Done { position, end: End::Parked })
    }

    fn context(&self, event: &Recorded, attempt: u32) -> JobContext<L> {
        let Surroundings { clock, shutdown, progress, .. } = &self.surroundings;
        JobContext {
            log: self.log.clone(),
            cause: event.clone(),
            attempt,
            progress: progress.clone(),
            cancel: shutdown.child_token(),
            clock: clock.clone(),
            processor: P::NAME,
        }
    }

    async fn attempt(&self, event: &Recorded, attempt: u32) -> Result<(), Failure> {
        let context = self.context(event, attempt);
        let span = tracing::info_span!("job", processor = P::NAME, event.id = %event.id, event.type = %event.event_type, attempt);
        telemetry::continue_trace(&span, event.metadata.traceparent.as_deref());
        let running = metrics::gauge!("clipflow_jobs_running", "processor" => P::NAME);
        running.increment(1.0);
        let started = Instant::now();
        let run = async {
            match self.processor.job(event) {
                Some(job) => self.processor.run(job, &context).await,
                None => Ok(()),
            }
        };
        let result = AssertUnwindSafe(run.instrument(span)).catch_unwind().await;
        running.decrement(1.0);
        metrics::histogram!("clipflow_job_seconds", "processor" => P::NAME).record(started.elapsed().as_secs_f64());
        let (outcome, result) = match result {
            Ok(Ok(())) => ("done", Ok(())),
            Ok(Err(error)) => ("failed", Err(Failure::Error(error))),
            Err(panic) => ("panicked", Err(Failure::Panic(panic_text(&*panic).to_owned()))),
        };
        metrics::counter!("clipflow_jobs_total", "processor" => P::NAME, "outcome" => outcome).increment(1);
        result
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        (None, None) => "no message",
    }
}
