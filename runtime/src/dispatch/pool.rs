//! The workers of one processor, with retries.

use super::parking::{Call, call};
use super::{Failure, JobContext, Processor};
use crate::consume::{Surroundings, event_at};
use crate::execute::{Context, execute};
use crate::log::Log;
use crate::retry::Backoff;
use crate::{disk, ids, telemetry};
use anyhow::Context as _;
use domain::id::{EventId, JobId};
use domain::job::{self, Job, Parking};
use futures::FutureExt as _;
use proto::{Recorded, Wire as _};
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tracing::Instrument as _;

/// A job that ended.
pub(super) struct Done {
    pub(super) position: u64,
    pub(super) end: End,
}

pub(super) enum End {
    /// It was done, given up in an event, or parked on the log.
    Settled,
    /// Not even the log took it: this process alone remembers it.
    Remembered,
    /// The process stops; the job is to be done again.
    Interrupted,
}

/// What to do when the log does not even take that a job is parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unrecorded {
    /// Remember it here: whoever started this process is told, and the next start tries again.
    Remember,
    /// Try until the log takes it: another process may do the job otherwise.
    Wait,
}

/// Numbers of the commits by which a job is parked, and leaves the list of parked jobs: never one of the job's own.
const PARK: u32 = super::GIVE_UP - 1;
const FINISH: u32 = super::GIVE_UP - 2;

/// Between tries to record what became of a job.
const RECORD_BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(30) };

/// What all jobs of a processor share.
pub(super) struct Pool<L, P> {
    pub(super) log: L,
    processor: Arc<P>,
    workers: Semaphore,
    unrecorded: Unrecorded,
    pub(super) surroundings: Surroundings,
}

/// A job, and the event that called for it now: its cause, or a request to do it once more.
struct Task {
    cause: Recorded,
    trigger: EventId,
}

impl<L: Log, P: Processor> Pool<L, P> {
    pub(super) fn new(log: L, processor: Arc<P>, workers: NonZeroUsize, unrecorded: Unrecorded, surroundings: Surroundings) -> Self {
        Self { log, processor, workers: Semaphore::new(workers.get()), unrecorded, surroundings }
    }

    /// Tells whether an event calls for a job.
    pub(super) fn wants(&self, event: &Recorded) -> bool {
        call(&*self.processor, event).is_some()
    }

    /// Does the job that an event calls for, with retries.
    pub(super) async fn work(self: Arc<Self>, event: Recorded) -> anyhow::Result<Done> {
        let (position, trigger) = (event.position, event.id);
        let cause = match call(&*self.processor, &event) {
            Some(Call::Replay(cause)) => event_at(&self.log, self.log.partition(event.workspace), cause).await?,
            Some(Call::Job) | None => event,
        };
        let task = Task { cause, trigger };
        let mut attempt = 0;
        let failure = loop {
            attempt += 1;
            let Some(outcome) = self.attempt(&task.cause, attempt).await? else {
                return Ok(Done { position, end: End::Interrupted });
            };
            match outcome {
                Ok(()) => {
                    self.finish(&task).await;
                    return Ok(Done { position, end: End::Settled });
                }
                Err(Failure::Error(error)) if attempt < P::RETRY.attempts => self.wait_after(&task.cause, attempt, &error).await,
                Err(failure) => break failure,
            }
        };
        Ok(Done { position, end: self.give_up(&task, attempt, &failure).await? })
    }

    /// Waits for a worker and tries the job once; none when the process stops.
    async fn attempt(&self, cause: &Recorded, attempt: u32) -> anyhow::Result<Option<Result<(), Failure>>> {
        let shutdown = &self.surroundings.shutdown;
        let permit = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(None),
            permit = self.workers.acquire() => permit.context("the pool is closed")?,
        };
        let outcome = self.run(cause, attempt).await;
        drop(permit);
        Ok((outcome.is_ok() || !shutdown.is_cancelled()).then_some(outcome))
    }

    async fn wait_after(&self, cause: &Recorded, attempt: u32, error: &anyhow::Error) {
        if disk::is_full(error) {
            self.surroundings.disk_full.notify_one();
        }
        let wait = P::RETRY.backoff.after(attempt);
        tracing::warn!(processor = P::NAME, event.id = %cause.id, attempt, wait_ms = wait.as_millis(), error = ?error, "a job failed, trying again");
        tokio::select! {
            () = self.surroundings.shutdown.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }

    /// Lets the processor say that it gave up, so that whoever waits for the job hears of it; parks the job when that fails too.
    async fn give_up(&self, task: &Task, attempt: u32, failure: &Failure) -> anyhow::Result<End> {
        let (cause, position) = (&task.cause, task.cause.position);
        tracing::error!(processor = P::NAME, event.id = %cause.id, position, attempt, error = ?failure, "gave up a job");
        let shutdown = &self.surroundings.shutdown;
        let mut failures = 0;
        loop {
            let context = self.context(cause, attempt);
            let saying = AssertUnwindSafe(self.processor.give_up(failure, &context)).catch_unwind().await;
            let unsaid = match saying.unwrap_or_else(|panic| Err(anyhow::anyhow!("panicked: {}", panic_text(&*panic)))) {
                Ok(()) => {
                    self.finish(task).await;
                    return Ok(End::Settled);
                }
                Err(_) if shutdown.is_cancelled() => return Ok(End::Interrupted),
                Err(unsaid) => unsaid,
            };
            let unrecorded = match self.park(task, attempt, failure).await {
                Ok(()) => {
                    tracing::error!(processor = P::NAME, event.id = %cause.id, position, error = ?unsaid, "parked a job");
                    metrics::counter!("clipflow_jobs_parked_total", "processor" => P::NAME).increment(1);
                    return Ok(End::Settled);
                }
                Err(_) if shutdown.is_cancelled() => return Ok(End::Interrupted),
                Err(unrecorded) => unrecorded,
            };
            tracing::error!(processor = P::NAME, event.id = %cause.id, position, error = ?unrecorded, "a job that was given up could not be recorded");
            if self.unrecorded == Unrecorded::Remember {
                let Surroundings { consumers, clock, .. } = &self.surroundings;
                consumers.park(P::NAME, cause, attempt, &failure.to_string(), clock.now()).await?;
                return Ok(End::Remembered);
            }
            failures += 1;
            tokio::select! {
                () = shutdown.cancelled() => return Ok(End::Interrupted),
                () = tokio::time::sleep(RECORD_BACKOFF.after(failures)) => {}
            }
        }
    }

    async fn park(&self, task: &Task, attempt: u32, failure: &Failure) -> anyhow::Result<()> {
        let cause = &task.cause;
        let parking = Parking {
            processor: P::NAME.to_owned(),
            cause: cause.id,
            cause_type: cause.event_type.to_string(),
            cause_stream: cause.stream.as_str().to_owned(),
            position: cause.position,
            attempts: attempt,
            error: failure.to_string(),
        };
        self.record(task, PARK, job::Command::Park(parking)).await
    }

    /// Takes the job from the list of parked ones, if it is there. A failure leaves it there: a replay finds it done.
    async fn finish(&self, task: &Task) {
        if let Err(error) = self.try_finish(task).await {
            tracing::warn!(processor = P::NAME, event.id = %task.cause.id, error = ?error, "a job may be listed as parked although it is done");
        }
    }

    async fn try_finish(&self, task: &Task) -> anyhow::Result<()> {
        let stream = Job::stream(JobId::of(task.cause.id, P::NAME).0);
        let was_parked = !self.log.read_stream(task.cause.workspace, &stream, 0, 1).await?.is_empty();
        if was_parked { self.record(task, FINISH, job::Command::Finish).await } else { Ok(()) }
    }

    async fn record(&self, task: &Task, index: u32, command: job::Command) -> anyhow::Result<()> {
        let commit = ids::outcome_commit(task.trigger, P::NAME, index);
        let context = Context { commit, causation: Some(task.trigger), ..self.context(&task.cause, 1).context(index) };
        execute::<Job>(&self.log, context, JobId::of(task.cause.id, P::NAME).0, command).await?;
        Ok(())
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

    async fn run(&self, event: &Recorded, attempt: u32) -> Result<(), Failure> {
        let context = self.context(event, attempt);
        // `otel.name` is what the span is called where traces are looked at.
        let span = tracing::info_span!("job", otel.name = P::NAME, event.id = %event.id, event.type = %event.event_type, attempt);
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
