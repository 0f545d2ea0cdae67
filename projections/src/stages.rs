//! How far the stages of a video are, as its events say; shared by the read models that show it.

use crate::table::Value;
use domain::video::{Event, Stage};
use serde::{Deserialize, Serialize};

/// How far a stage is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageState {
    /// Its turn has not come.
    #[default]
    Waiting,
    /// It may run.
    Running,
    /// It is finished.
    Done,
    /// It gave up; it may be tried again unless the video was refused.
    Failed,
    /// It has nothing to do.
    Skipped,
}

impl From<StageState> for Value {
    fn from(state: StageState) -> Self {
        Self::from(match state {
            StageState::Waiting => "waiting",
            StageState::Running => "running",
            StageState::Done => "done",
            StageState::Failed => "failed",
            StageState::Skipped => "skipped",
        })
    }
}

/// Returns the stages that an event starts or ends, and how far they are then.
#[must_use]
pub fn stage_changes(event: &Event) -> Vec<(Stage, StageState)> {
    use StageState::{Done, Failed, Running, Skipped};
    match event {
        Event::Submitted { .. } => vec![(Stage::Ingest, Running)],
        Event::Ingested { .. } => vec![(Stage::Ingest, Done), (Stage::Transcribe, Running), (Stage::Analyze, Running)],
        Event::Refused(_) => vec![(Stage::Ingest, Failed)],
        Event::TranscriptAttached { .. } => vec![(Stage::Transcribe, Done)],
        Event::Analyzed { .. } => vec![(Stage::Analyze, Done)],
        Event::ReadyToScore { .. } => vec![(Stage::Score, Running)],
        Event::ClipsProposed { .. } => vec![(Stage::Score, Done), (Stage::Render, Running)],
        Event::NothingFound { .. } => vec![(Stage::Score, Done), (Stage::Render, Skipped)],
        // Nothing was found, so nothing was rendered.
        Event::Completed { rendered: 0, failed: 0 } => vec![],
        Event::Completed { .. } => vec![(Stage::Render, Done)],
        Event::StageFailed { stage, .. } => vec![(*stage, Failed)],
        Event::StageRetried { stage } => vec![(*stage, Running)],
        Event::RenderSettled { .. } | Event::Deleted => vec![],
    }
}
