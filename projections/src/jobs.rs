//! Jobs: when each stage of a video could start, when it ended, and how.

use crate::table::{Cells, Column, Order, Table, Value, Writes};
use crate::videos::StageState;
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
            for (stage, cells) in changes(&happened, at) {
                writes.upsert(&JOBS, [video.clone(), Value::shown(&stage)], cells);
            }
        }
        Ok(())
    }
}

/// Returns which stages an event starts or ends.
fn changes(event: &Event, at: Timestamp) -> Vec<(Stage, Cells)> {
    match event {
        Event::Submitted { .. } => vec![(Stage::Ingest, started(at))],
        Event::Ingested { .. } => {
            vec![(Stage::Ingest, finished(at)), (Stage::Transcribe, started(at)), (Stage::Analyze, started(at))]
        }
        Event::Refused(failure) => vec![(Stage::Ingest, failed(at, failure))],
        Event::TranscriptAttached { .. } => vec![(Stage::Transcribe, finished(at))],
        Event::Analyzed { .. } => vec![(Stage::Analyze, finished(at))],
        Event::ReadyToScore { .. } => vec![(Stage::Score, started(at))],
        Event::ClipsProposed { .. } => vec![(Stage::Score, finished(at)), (Stage::Render, started(at))],
        Event::NothingFound { .. } => {
            vec![(Stage::Score, finished(at)), (Stage::Render, vec![("state", StageState::Skipped.into())])]
        }
        Event::Completed { rendered: 0, failed: 0 } => vec![],
        Event::Completed { .. } => vec![(Stage::Render, finished(at))],
        Event::StageFailed { stage, failure } => vec![(*stage, failed(at, failure))],
        Event::StageRetried { stage } => vec![(*stage, started(at))],
        Event::RenderSettled { .. } | Event::Deleted => vec![],
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

fn finished(at: Timestamp) -> Cells {
    vec![("state", StageState::Done.into()), ("finished_us", at.0.into())]
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
