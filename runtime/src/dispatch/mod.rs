//! Long work set off by events: jobs run side by side in a bounded pool and never hold up the log.
//!
//! A job's outcome is commands that it executes itself, with commit ids derived from the cause: work that is done again after a crash
//! appends nothing new. The checkpoint is the low water of finished work, so a crash loses no job. An `Err` is tried again; after the
//! last try, or a panic, the processor says so in an event. What it cannot even say is parked: an event that names the job and its error.

mod local;
mod parking;
mod pool;
mod queue;

pub use local::dispatch;
pub use parking::{ParkedJob, parked_jobs, replay};
pub use queue::{Desk, hand_out, topic, work_off};

use crate::clock::Clock;
use crate::execute::{Context, ExecuteError, Receipt, Transaction, execute};
use crate::ids;
use crate::log::Log;
use crate::progress::ProgressChannel;
use crate::retry::Backoff;
use crate::telemetry;
use domain::id::CommitId;
use proto::{Recorded, Wire};
use std::error::Error as StdError;
use std::future::Future;
use std::time::Duration;
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

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
