//! Videos: what was asked for, what they are, and how far each stage is.

use crate::stages::{StageState, stage_changes};
use crate::table::{Column, Order, Table, Value, Writes};
use crate::{Projection, Store};
use anyhow::Result;
use domain::artefact::{CaptionStyle, MediaFacts, Ratio};
use domain::id::{ClipId, TranscriptId, VideoId, WorkspaceId};
use domain::video::{Event, Failure, RenderOutcome, Source, Stage, Wish};
use domain::{BlobRef, MediaTime, Timestamp};
use proto::{DecodeError, Recorded};
use serde::Deserialize;

/// The read model.
#[derive(Debug)]
pub struct Videos;

/// How far a video is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Some stage is running or waiting.
    Processing,
    /// A stage gave up; others may go on.
    Failed,
    /// It cannot be used.
    Refused,
    /// Everything that was wanted is made or has failed.
    Completed,
}

/// A video.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Row {
    /// Its id.
    pub video: VideoId,
    /// Shown to people.
    pub title: String,
    /// Where it was fetched from; `None` when it was uploaded.
    pub url: Option<String>,
    /// The uploaded bytes; `None` when it was fetched.
    pub upload: Option<BlobRef>,
    /// Words that somebody brought.
    pub subtitles: Option<BlobRef>,
    /// How many clips were asked for.
    pub wish_count: Option<u32>,
    /// Which renditions were asked for.
    pub wish_ratios: Vec<Ratio>,
    /// Which captions were asked for.
    pub wish_style: CaptionStyle,
    /// Shortest clip that was asked for.
    pub wish_length_min_us: MediaTime,
    /// Longest clip that was asked for.
    pub wish_length_max_us: MediaTime,
    /// Which model was asked for.
    pub wish_model: String,
    /// Which language was given.
    pub wish_language: Option<String>,
    /// Who asked.
    pub submitted_by: String,
    /// When.
    pub submitted_us: Timestamp,
    /// When something last happened to it.
    pub updated_us: Timestamp,
    /// The stored original.
    pub original: Option<BlobRef>,
    /// What it is.
    pub facts: Option<MediaFacts>,
    /// Whose words.
    pub transcript: Option<TranscriptId>,
    /// Its words.
    pub words: Option<BlobRef>,
    /// What is seen and heard.
    pub analysis: Option<BlobRef>,
    /// What detection weighed.
    pub detection: Option<BlobRef>,
    /// Why there are no clips.
    pub explanation: Option<String>,
    /// How many clips were proposed.
    pub clips: Option<u32>,
    /// Ingest.
    pub ingest: Option<StageState>,
    /// Transcription.
    pub transcribe: Option<StageState>,
    /// Analysis.
    pub analyze: Option<StageState>,
    /// Detection.
    pub score: Option<StageState>,
    /// Rendering.
    pub render: Option<StageState>,
    /// Whether it was refused.
    pub is_refused: Option<bool>,
    /// Whether it was completed.
    pub is_completed: Option<bool>,
    /// Why it was refused, or what the last failed stage said: a stable code.
    pub failure_code: Option<String>,
    /// The same in one sentence.
    pub failure_reason: Option<String>,
}

impl Row {
    /// Returns how far it is.
    #[must_use]
    pub fn state(&self) -> State {
        if self.is_refused == Some(true) {
            State::Refused
        } else if Stage::ALL.iter().any(|stage| self.stage(*stage) == StageState::Failed) {
            State::Failed
        } else if self.is_completed == Some(true) {
            State::Completed
        } else {
            State::Processing
        }
    }

    /// Returns how far a stage is.
    #[must_use]
    pub fn stage(&self, stage: Stage) -> StageState {
        match stage {
            Stage::Ingest => self.ingest,
            Stage::Transcribe => self.transcribe,
            Stage::Analyze => self.analyze,
            Stage::Score => self.score,
            Stage::Render => self.render,
        }
        .unwrap_or_default()
    }
}

/// A video's place in the list of its workspace.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Place {
    /// When it was submitted.
    pub submitted_us: Timestamp,
    /// Which.
    pub video: VideoId,
}

/// A wanted rendition.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Render {
    /// Of which clip.
    pub clip: ClipId,
    /// Which.
    pub ratio: Ratio,
    /// `Running`, `Done` or `Failed`.
    pub state: StageState,
}

static VIDEOS: Table = Table {
    name: "videos",
    partition: &["video"],
    clustering: &[],
    order: Order::Ascending,
    columns: &[
        Column::text("title"),
        Column::text("url"),
        Column::json("upload"),
        Column::json("subtitles"),
        Column::integer("wish_count"),
        Column::json("wish_ratios"),
        Column::text("wish_style"),
        Column::integer("wish_length_min_us"),
        Column::integer("wish_length_max_us"),
        Column::text("wish_model"),
        Column::text("wish_language"),
        Column::text("submitted_by"),
        Column::integer("submitted_us"),
        Column::integer("updated_us"),
        Column::json("original"),
        Column::json("facts"),
        Column::text("transcript"),
        Column::json("words"),
        Column::json("analysis"),
        Column::json("detection"),
        Column::text("explanation"),
        Column::integer("clips"),
        Column::text("ingest"),
        Column::text("transcribe"),
        Column::text("analyze"),
        Column::text("score"),
        Column::text("render"),
        Column::bool("is_refused"),
        Column::bool("is_completed"),
        Column::text("failure_code"),
        Column::text("failure_reason"),
    ],
};

/// Newest first. A deleted video keeps its place here, because its event does not say when it was submitted; readers skip it.
static VIDEOS_BY_TIME: Table = Table {
    name: "videos_by_time",
    partition: &[],
    clustering: &[Column::integer("submitted_us"), Column::text("video")],
    order: Order::Descending,
    columns: &[],
};

static VIDEO_RENDERS: Table = Table {
    name: "video_renders",
    partition: &["video"],
    clustering: &[Column::text("clip"), Column::text("ratio")],
    order: Order::Ascending,
    columns: &[Column::text("state")],
};

impl crate::Row for Row {
    type Of = Videos;
    const TABLE: &'static Table = &VIDEOS;
}

impl crate::Row for Place {
    type Of = Videos;
    const TABLE: &'static Table = &VIDEOS_BY_TIME;
}

impl crate::Row for Render {
    type Of = Videos;
    const TABLE: &'static Table = &VIDEO_RENDERS;
}

impl Projection for Videos {
    const NAME: &'static str = "videos";
    const VERSION: u32 = 1;
    const TABLES: &'static [&'static Table] = &[&VIDEOS, &VIDEOS_BY_TIME, &VIDEO_RENDERS];

    fn project(event: &Recorded, writes: &mut Writes) -> Result<(), DecodeError> {
        if let Some(proto::Event::Video(happened)) = event.event()? {
            project(event, VideoId(event.stream.id()), happened, writes);
        }
        Ok(())
    }
}

fn project(recorded: &Recorded, video: VideoId, event: Event, writes: &mut Writes) {
    let key = Value::shown(&video);
    let stages = stage_changes(&event);
    let mut cells = match event {
        Event::Submitted { title, source, subtitles, wish } => {
            let place = [recorded.metadata.at.0.into(), key.clone()];
            writes.upsert(&VIDEOS_BY_TIME, place, vec![]);
            submitted(recorded, title, source, subtitles, &wish)
        }
        Event::Ingested { original, facts, .. } => vec![("original", Value::json(&original)), ("facts", Value::json(&facts))],
        Event::Refused(failure) => [("is_refused", true.into())].into_iter().chain(failed(&failure)).collect(),
        Event::TranscriptAttached { transcript, words } => {
            vec![("transcript", Value::shown(&transcript)), ("words", Value::json(&words))]
        }
        Event::Analyzed { analysis } => vec![("analysis", Value::json(&analysis))],
        Event::ReadyToScore { .. } => vec![],
        Event::ClipsProposed { detection, clips, ratios } => {
            for (clip, ratio) in clips.iter().flat_map(|clip| ratios.iter().map(move |ratio| (clip, ratio))) {
                writes.upsert(&VIDEO_RENDERS, render_key(video, *clip, *ratio), vec![("state", StageState::Running.into())]);
            }
            vec![("detection", Value::json(&detection)), ("clips", (clips.len() as u64).into())]
        }
        Event::NothingFound { detection, explanation } => {
            vec![("detection", Value::json(&detection)), ("explanation", explanation.into()), ("clips", 0_u32.into())]
        }
        Event::RenderSettled { clip, ratio, outcome } => {
            let state = match outcome {
                RenderOutcome::Rendered => StageState::Done,
                RenderOutcome::Failed => StageState::Failed,
            };
            writes.upsert(&VIDEO_RENDERS, render_key(video, clip, ratio), vec![("state", state.into())]);
            vec![]
        }
        Event::Completed { .. } => vec![("is_completed", true.into())],
        Event::StageFailed { failure, .. } => failed(&failure).into(),
        Event::StageRetried { .. } => {
            vec![("failure_code", Value::Null), ("failure_reason", Value::Null)]
        }
        Event::Deleted => {
            writes.delete(&VIDEO_RENDERS, [key.clone()]);
            writes.delete(&VIDEOS, [key]);
            return;
        }
    };
    cells.extend(stages.into_iter().map(|(stage, state)| (stage_column(stage), state.into())));
    cells.push(("updated_us", recorded.metadata.at.0.into()));
    writes.upsert(&VIDEOS, [key], cells);
}

fn submitted(recorded: &Recorded, title: String, source: Source, subtitles: Option<BlobRef>, wish: &Wish) -> Vec<(&'static str, Value)> {
    let (url, upload) = match source {
        Source::Url { url } => (Value::from(url), Value::Null),
        Source::Upload { blob } => (Value::Null, Value::json(&blob)),
    };
    vec![
        ("title", title.into()),
        ("url", url),
        ("upload", upload),
        ("subtitles", subtitles.as_ref().map(Value::json).unwrap_or(Value::Null)),
        ("wish_count", wish.count.into()),
        ("wish_ratios", Value::json(&wish.ratios)),
        ("wish_style", Value::shown(&wish.style)),
        ("wish_length_min_us", wish.length_min.0.into()),
        ("wish_length_max_us", wish.length_max.0.into()),
        ("wish_model", (&wish.model).into()),
        ("wish_language", wish.language.as_ref().into()),
        ("submitted_by", (&recorded.metadata.actor).into()),
        ("submitted_us", recorded.metadata.at.0.into()),
    ]
}

fn failed(failure: &Failure) -> [(&'static str, Value); 2] {
    [("failure_code", (&failure.code).into()), ("failure_reason", (&failure.reason).into())]
}

fn render_key(video: VideoId, clip: ClipId, ratio: Ratio) -> [Value; 3] {
    [Value::shown(&video), Value::shown(&clip), Value::shown(&ratio)]
}

fn stage_column(stage: Stage) -> &'static str {
    match stage {
        Stage::Ingest => "ingest",
        Stage::Transcribe => "transcribe",
        Stage::Analyze => "analyze",
        Stage::Score => "score",
        Stage::Render => "render",
    }
}

/// Returns a video.
///
/// # Errors
/// The store fails.
pub async fn by_id(store: &Store, workspace: WorkspaceId, video: VideoId) -> Result<Option<Row>> {
    store.get(workspace, [Value::shown(&video)]).await
}

/// Returns at most `limit` videos, newest first, those behind `after` when it is given.
///
/// # Errors
/// The store fails.
pub async fn newest(store: &Store, workspace: WorkspaceId, mut after: Option<Place>, limit: u32) -> Result<Vec<Row>> {
    let mut videos = vec![];
    loop {
        let behind = after.take().map(|place| vec![place.submitted_us.0.into(), Value::shown(&place.video)]);
        let places: Vec<Place> = store.range(workspace, [], behind, limit).await?;
        let is_last = (places.len() as u32) < limit.min(crate::store::ROWS_MAX);
        let keys = places.iter().map(|place| vec![Value::shown(&place.video)]).collect();
        videos.extend(store.get_many::<Row>(workspace, keys).await?.into_iter().flatten());
        // Deleted videos leave holes: go on behind the last place until there are enough.
        after = places.into_iter().next_back();
        if is_last || videos.len() >= limit as usize {
            videos.truncate(limit as usize);
            return Ok(videos);
        }
    }
}

/// Returns the wanted renditions of a video.
///
/// # Errors
/// The store fails.
pub async fn renders(store: &Store, workspace: WorkspaceId, video: VideoId) -> Result<Vec<Render>> {
    store.range(workspace, [Value::shown(&video)], None, crate::store::ROWS_MAX).await
}
