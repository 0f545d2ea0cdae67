//! Jobs that were put aside, as events: every process sees them, and asking for one once more is an event like any other.
//!
//! The replay calls for the same job with the same cause, so what an earlier try appended already is not appended again.

use super::Processor;
use crate::execute::{Context, ExecuteError, Receipt, execute};
use crate::log::{Filter, Item, Log};
use anyhow::Context as _;
use domain::Timestamp;
use domain::id::{JobId, WorkspaceId};
use domain::job::{Command, Error, Event, Job, Parking};
use futures::StreamExt as _;
use proto::job::REPLAY_REQUESTED;
use proto::{Recorded, Wire as _};
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

/// What an event calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// The job of the event itself.
    Job,
    /// The job of the event at this position, which was parked.
    Replay(u64),
}

/// Returns what an event calls for; a panic while telling is dealt with as the job's.
pub(super) fn call<P: Processor>(processor: &P, event: &Recorded) -> Option<Call> {
    if &*event.event_type == REPLAY_REQUESTED {
        return match Job::recorded(event) {
            Ok(Some(Event::ReplayRequested { processor, position })) if processor == P::NAME => Some(Call::Replay(position)),
            Ok(_) => None,
            Err(error) => {
                tracing::error!(event.id = %event.id, error = %error, "skipped an unreadable request for a job");
                None
            }
        };
    }
    let is_job = std::panic::catch_unwind(AssertUnwindSafe(|| processor.job(event).is_some())).unwrap_or(true);
    is_job.then_some(Call::Job)
}

/// A job that is parked now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedJob {
    /// Its id.
    pub job: JobId,
    /// What it is about, and why it was parked.
    pub parking: Parking,
    /// When it was parked last.
    pub at: Timestamp,
    /// Whether somebody asked for it once more and nothing came of it yet.
    pub is_replaying: bool,
}

/// Returns the jobs of a workspace that are parked at this moment, oldest cause first, from the log itself.
///
/// # Errors
/// The log cannot be read.
pub async fn parked_jobs(log: &impl Log, workspace: WorkspaceId) -> anyhow::Result<Vec<ParkedJob>> {
    let filter = Filter { categories: vec![Job::CATEGORY.into()], ..Filter::workspace(workspace) };
    let mut reading = log.read(log.partition(workspace), 0, filter);
    let mut jobs: BTreeMap<JobId, ParkedJob> = BTreeMap::new();
    loop {
        match reading.next().await.context("the log's reading ended")?? {
            Item::CaughtUp(_) => break,
            Item::Event(recorded) => {
                let job = JobId(recorded.stream.id());
                match Job::recorded(&recorded).with_context(|| format!("reading {job}"))? {
                    Some(Event::Parked(parking)) => {
                        jobs.insert(job, ParkedJob { job, parking, at: recorded.metadata.at, is_replaying: false });
                    }
                    Some(Event::ReplayRequested { .. }) => {
                        jobs.entry(job).and_modify(|parked| parked.is_replaying = true);
                    }
                    Some(Event::Finished { .. }) => {
                        jobs.remove(&job);
                    }
                    None => {}
                }
            }
        }
    }
    let mut jobs: Vec<_> = jobs.into_values().collect();
    jobs.sort_by_key(|parked| (parked.parking.position, parked.job));
    Ok(jobs)
}

/// Asks for a parked job once more, whichever process does it.
///
/// # Errors
/// See [`ExecuteError`].
pub async fn replay(log: &impl Log, context: Context, job: JobId) -> Result<Receipt, ExecuteError<Error>> {
    execute::<Job>(log, context, job.0, Command::Replay).await
}
