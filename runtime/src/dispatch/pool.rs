//! The workers of one processor, with retries.

use super::{Failure, JobContext, Processor};
use crate::consume::Surroundings;
use crate::disk;
use crate::log::Log;
use crate::telemetry;
use anyhow::Context as _;
use futures::FutureExt as _;
use proto::Recorded;
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;
use tracing::Instrument as _;

/// A job that ended.
pub(super) struct Done {
    pub(super) position: u64,
    pub(super) end: End,
}

pub(super) enum End {
    Finished,
    Parked,
    /// The process stops; the job is to be done again.
    Interrupted,
}

/// What all jobs of a processor share.
pub(super) struct Pool<L, P> {
    pub(super) log: L,
    processor: Arc<P>,
    workers: Semaphore,
    pub(super) surroundings: Surroundings,
}

impl<L: Log, P: Processor> Pool<L, P> {
    pub(super) fn new(log: L, processor: Arc<P>, workers: NonZeroUsize, surroundings: Surroundings) -> Self {
        Self { log, processor, workers: Semaphore::new(workers.get()), surroundings }
    }

    /// Tells whether an event calls for a job; a panic while telling is dealt with as the job's.
    pub(super) fn wants(&self, event: &Recorded) -> bool {
        std::panic::catch_unwind(AssertUnwindSafe(|| self.processor.job(event).is_some())).unwrap_or(true)
    }

    /// Does the job of an event, with retries.
    pub(super) async fn work(self: Arc<Self>, event: Recorded) -> anyhow::Result<Done> {
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
