//! Jobs: when each stage of a video could start, when it ended, and how.

use crate::stages::{StageState, stage_changes};
use crate::table::{Cells, Column, Order, Table, Value, Writes};

use crate::{Projection, Store};
use anyhow::Result;
use domain::Timestamp;
use domain::id::{VideoId, WorkspaceId};
use domain::video::{Event, Failure, Stage};
use proto::{DecodeError, Recorded};
use serde::Deserialize;

/// The read model.
#[derive(Debug)]
pub struct Jobs;

/// A stage of a video.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Row {
    /// Which, as a name.
    pub stage: String,
    /// How far it is.
    pub state: StageState,
    /// When it could start; `None` when it had nothing to do.
    pub started_us: Option<Timestamp>,
    /// When it ended, well or not.
    pub finished_us: Option<Timestamp>,
    /// Why it gave up: a stable code.
    pub failure_code: Option<String>,
    /// The same in one sentence.
    pub failure_reason: Option<String>,
}

static JOBS: Table = Table {
    name: "jobs",
    partition: &["video"],
    clustering: &[Column::text("stage")],
    order: Order::Ascending,
    columns: &[
        Column::text("state"),
        Column::integer("started_us"),
        Column::integer("finished_us"),
        Column::text("failure_code"),
        Column::text("failure_reason"),
    ],
};

impl crate::Row for Row {
    type Of = Jobs;
    const TABLE: &'static Table = &JOBS;
}

impl Projection for Jobs {
    const NAME: &'static str = "jobs";
    const VERSION: u32 = 1;
    const TABLES: &'static [&'static Table] = &[&JOBS];

    fn project(event: &Recorded, writes: &mut Writes) -> Result<(), DecodeError> {
        if let Some(proto::Event::Video(happened)) = event.event()? {
            let video = Value::shown(&VideoId(event.stream.id()));
            let at = event.metadata.at;
            if matches!(happened, Event::Deleted) {
                writes.delete(&JOBS, [video.clone()]);
            }
            for (stage, state) in stage_changes(&happened) {
                writes.upsert(&JOBS, [video.clone(), Value::shown(&stage)], cells(&happened, state, at));
            }
        }
        Ok(())
    }
}

/// Returns what an event changes about a stage that is now as far as `state`.
fn cells(event: &Event, state: StageState, at: Timestamp) -> Cells {
    match (state, event) {
        (StageState::Failed, Event::Refused(failure) | Event::StageFailed { failure, .. }) => failed(at, failure),
        (StageState::Running, _) => started(at),
        (StageState::Done | StageState::Failed, _) => finished(at, state),
        (StageState::Waiting | StageState::Skipped, _) => vec![("state", state.into())],
    }
}

fn started(at: Timestamp) -> Cells {
    vec![
        ("state", StageState::Running.into()),
        ("started_us", at.0.into()),
        ("finished_us", Value::Null),
        ("failure_code", Value::Null),
        ("failure_reason", Value::Null),
    ]
}

fn finished(at: Timestamp, state: StageState) -> Cells {
    vec![("state", state.into()), ("finished_us", at.0.into())]
}

fn failed(at: Timestamp, failure: &Failure) -> Cells {
    vec![
        ("state", StageState::Failed.into()),
        ("finished_us", at.0.into()),
        ("failure_code", (&failure.code).into()),
        ("failure_reason", (&failure.reason).into()),
    ]
}

/// Returns the stages of a video that have begun, in no telling order.
///
/// # Errors
/// The store fails.
pub async fn by_video(store: &Store, workspace: WorkspaceId, video: VideoId) -> Result<Vec<Row>> {
    store.range(workspace, [Value::shown(&video)], None, Stage::ALL.len() as u32).await
}
