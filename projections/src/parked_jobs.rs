//! Parked jobs: what was put aside and waits for a person, and why.

use crate::table::{Column, Order, Table, Value, Writes};
use crate::{Projection, Store};
use anyhow::Result;
use domain::Timestamp;
use domain::id::{EventId, JobId, WorkspaceId};
use domain::job::Event;
use proto::{DecodeError, Recorded};
use serde::Deserialize;

/// The read model.
#[derive(Debug)]
pub struct ParkedJobs;

/// A job that is parked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Row {
    /// Place of the event that called for it.
    pub position: u64,
    /// Its id.
    pub job: JobId,
    /// Who gave it up.
    pub processor: String,
    /// The event that called for it.
    pub cause: EventId,
    /// That event's type.
    pub cause_type: String,
    /// That event's stream.
    pub cause_stream: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The last error with its causes.
    pub error: String,
    /// When it was parked last.
    pub parked_us: Timestamp,
    /// Whether somebody asked for it once more and nothing came of it yet.
    pub is_replaying: bool,
}

/// Where a job is in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Place {
    /// Place of the event that called for it.
    pub position: u64,
    /// Its id.
    pub job: JobId,
}

static PARKED_JOBS: Table = Table {
    name: "parked_jobs",
    partition: &[],
    clustering: &[Column::integer("position"), Column::text("job")],
    order: Order::Ascending,
    columns: &[
        Column::text("processor"),
        Column::text("cause"),
        Column::text("cause_type"),
        Column::text("cause_stream"),
        Column::integer("attempts"),
        Column::text("error"),
        Column::integer("parked_us"),
        Column::bool("is_replaying"),
    ],
};

static PARKED_JOBS_BY_ID: Table = Table {
    name: "parked_jobs_by_id",
    partition: &["job"],
    clustering: &[],
    order: Order::Ascending,
    columns: &[Column::integer("position")],
};

impl crate::Row for Row {
    type Of = ParkedJobs;
    const TABLE: &'static Table = &PARKED_JOBS;
}

impl crate::Row for Place {
    type Of = ParkedJobs;
    const TABLE: &'static Table = &PARKED_JOBS_BY_ID;
}

impl Projection for ParkedJobs {
    const NAME: &'static str = "parked_jobs";
    const VERSION: u32 = 1;
    const TABLES: &'static [&'static Table] = &[&PARKED_JOBS, &PARKED_JOBS_BY_ID];

    fn project(event: &Recorded, writes: &mut Writes) -> Result<(), DecodeError> {
        let Some(proto::Event::Job(happened)) = event.event()? else { return Ok(()) };
        let job = Value::shown(&JobId(event.stream.id()));
        match happened {
            Event::Parked(parking) => {
                writes.upsert(&PARKED_JOBS_BY_ID, [job.clone()], vec![("position", parking.position.into())]);
                let cells = vec![
                    ("processor", parking.processor.into()),
                    ("cause", Value::shown(&parking.cause)),
                    ("cause_type", parking.cause_type.into()),
                    ("cause_stream", parking.cause_stream.into()),
                    ("attempts", parking.attempts.into()),
                    ("error", parking.error.into()),
                    ("parked_us", event.metadata.at.0.into()),
                    ("is_replaying", false.into()),
                ];
                writes.upsert(&PARKED_JOBS, [parking.position.into(), job], cells);
            }
            Event::ReplayRequested { position, .. } => {
                writes.upsert(&PARKED_JOBS, [position.into(), job], vec![("is_replaying", true.into())]);
            }
            Event::Finished { position, .. } => {
                writes.delete(&PARKED_JOBS_BY_ID, [job.clone()]);
                writes.delete(&PARKED_JOBS, [position.into(), job]);
            }
        }
        Ok(())
    }
}

/// Returns at most `limit` parked jobs, oldest cause first, those behind `after` when it is given.
///
/// # Errors
/// The store fails.
pub async fn oldest(store: &Store, workspace: WorkspaceId, after: Option<Place>, limit: u32) -> Result<Vec<Row>> {
    let after = after.map(|place| vec![place.position.into(), Value::shown(&place.job)]);
    store.range(workspace, [], after, limit).await
}

/// Returns a job while it is parked.
///
/// # Errors
/// The store fails.
pub async fn by_id(store: &Store, workspace: WorkspaceId, job: JobId) -> Result<Option<Row>> {
    match store.get::<Place>(workspace, [Value::shown(&job)]).await? {
        Some(place) => store.get(workspace, [place.position.into(), Value::shown(&job)]).await,
        None => Ok(None),
    }
}
