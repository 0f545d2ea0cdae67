//! Clips: what was proposed and why, what the editor said, and which renditions there are.

use crate::table::{Cells, Column, Order, Table, Value, Writes};
use crate::{Projection, Store};
use anyhow::Result;
use domain::artefact::{CaptionStyle, Contribution, Ratio, Reason};
use domain::clip::{Event, Proposal, Rendition as Files};
use domain::id::{ClipId, VideoId, WorkspaceId};
use domain::{BlobRef, MediaTime, Span, Timestamp};
use proto::{DecodeError, Recorded};
use serde::{Deserialize, Serialize};

/// The read model.
#[derive(Debug)]
pub struct Clips;

/// A clip.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Row {
    /// Its id.
    pub clip: ClipId,
    /// Of which video.
    pub video: VideoId,
    /// Its place among the proposed clips, from 1.
    pub rank: u32,
    /// 0 to 100 within its video.
    pub score: f64,
    /// A short title in the video's own words.
    pub title: String,
    /// Most telling first.
    pub keywords: Vec<String>,
    /// Every feature with what it added.
    pub contributions: Vec<Contribution>,
    /// The strongest in words.
    pub reasons: Vec<Reason>,
    /// Which ranker scored it.
    pub model: String,
    /// The original that it is cut from.
    pub original: BlobRef,
    /// How long that is.
    pub video_duration_us: MediaTime,
    /// Where detection put it.
    pub proposed_span: Span,
    /// Where it is now.
    pub span: Span,
    /// How captions look now.
    pub style: CaptionStyle,
    /// Version of the last event that changed span or style.
    pub edited_version: u64,
    /// What the editor said.
    pub verdict: Verdict,
    /// Why it was rejected.
    pub rejection: Option<String>,
    /// Who accepted or rejected it.
    pub judged_by: Option<String>,
    /// When.
    pub judged_us: Option<Timestamp>,
    /// When it was proposed.
    pub proposed_us: Timestamp,
    /// When something last happened to it.
    pub updated_us: Timestamp,
}

/// What the editor said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing yet.
    Open,
    /// Yes.
    Accepted,
    /// No.
    Rejected,
}

/// A wanted or made rendition of a clip.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Rendition {
    /// Of which clip.
    pub clip: ClipId,
    /// Which.
    pub ratio: Ratio,
    /// What became of the last request.
    pub state: RenditionState,
    /// When it was last asked for.
    pub requested_us: Timestamp,
    /// Version of the event that last asked for it.
    pub requested_version: u64,
    /// Which edit was last asked for.
    pub requested_revision: u32,
    /// Which edit the files show; `None` before there are any.
    pub revision: Option<u32>,
    /// When they were made.
    pub rendered_us: Option<Timestamp>,
    /// MP4.
    pub file: Option<BlobRef>,
    /// JPEG.
    pub poster: Option<BlobRef>,
    /// SubRip subtitles.
    pub srt: Option<BlobRef>,
    /// WebVTT subtitles.
    pub vtt: Option<BlobRef>,
    /// Advanced SubStation Alpha subtitles.
    pub ass: Option<BlobRef>,
    /// The decision list that reproduces the file.
    pub decisions: Option<BlobRef>,
    /// How long the file plays.
    pub duration_us: Option<MediaTime>,
    /// Why the last request failed: a stable code.
    pub failure_code: Option<String>,
    /// The same in one sentence.
    pub failure_reason: Option<String>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RenditionState {
    /// It is being made.
    Rendering,
    /// The files exist.
    Rendered,
    /// It cannot be made.
    Failed,
}

impl Rendition {
    /// Tells whether the files show the clip as it is now.
    #[must_use]
    pub fn is_current(&self, clip: &Row) -> bool {
        self.revision == Some(self.requested_revision) && self.requested_version > clip.edited_version
    }
}

/// A clip's place in its video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Best first, from 1.
    pub rank: u32,
    /// Which.
    pub clip: ClipId,
}

static CLIPS: Table = Table {
    name: "clips",
    partition: &["clip"],
    clustering: &[],
    order: Order::Ascending,
    columns: &[
        Column::text("video"),
        Column::integer("rank"),
        Column::real("score"),
        Column::text("title"),
        Column::json("keywords"),
        Column::json("contributions"),
        Column::json("reasons"),
        Column::text("model"),
        Column::json("original"),
        Column::integer("video_duration_us"),
        Column::json("proposed_span"),
        Column::json("span"),
        Column::text("style"),
        Column::integer("edited_version"),
        Column::text("verdict"),
        Column::text("rejection"),
        Column::text("judged_by"),
        Column::integer("judged_us"),
        Column::integer("proposed_us"),
        Column::integer("updated_us"),
    ],
};

/// A deleted clip keeps its place here until its video is deleted, because its event does not say of which video it was; readers skip it.
static CLIPS_BY_VIDEO: Table = Table {
    name: "clips_by_video",
    partition: &["video"],
    clustering: &[Column::integer("rank"), Column::text("clip")],
    order: Order::Ascending,
    columns: &[],
};

static RENDITIONS: Table = Table {
    name: "renditions",
    partition: &["clip"],
    clustering: &[Column::text("ratio")],
    order: Order::Ascending,
    columns: &[
        Column::text("state"),
        Column::integer("requested_us"),
        Column::integer("requested_version"),
        Column::integer("requested_revision"),
        Column::integer("revision"),
        Column::integer("rendered_us"),
        Column::json("file"),
        Column::json("poster"),
        Column::json("srt"),
        Column::json("vtt"),
        Column::json("ass"),
        Column::json("decisions"),
        Column::integer("duration_us"),
        Column::text("failure_code"),
        Column::text("failure_reason"),
    ],
};

impl crate::Row for Row {
    type Of = Clips;
    const TABLE: &'static Table = &CLIPS;
}

impl crate::Row for Place {
    type Of = Clips;
    const TABLE: &'static Table = &CLIPS_BY_VIDEO;
}

impl crate::Row for Rendition {
    type Of = Clips;
    const TABLE: &'static Table = &RENDITIONS;
}

impl Projection for Clips {
    const NAME: &'static str = "clips";
    const VERSION: u32 = 2;
    const TABLES: &'static [&'static Table] = &[&CLIPS, &CLIPS_BY_VIDEO, &RENDITIONS];

    fn project(event: &Recorded, writes: &mut Writes) -> Result<(), DecodeError> {
        match event.event()? {
            Some(proto::Event::Clip(happened)) => project(event, ClipId(event.stream.id()), happened, writes),
            // Its clips are deleted one by one; this removes the places that they leave.
            Some(proto::Event::Video(domain::video::Event::Deleted)) => {
                writes.delete(&CLIPS_BY_VIDEO, [Value::shown(&VideoId(event.stream.id()))]);
            }
            _ => {}
        }
        Ok(())
    }
}

fn project(recorded: &Recorded, clip: ClipId, event: Event, writes: &mut Writes) {
    let key = Value::shown(&clip);
    let at = Value::from(recorded.metadata.at.0);
    let mut cells = match event {
        Event::Proposed(proposal) => {
            let place = [Value::shown(&proposal.video), proposal.rank.into(), key.clone()];
            writes.upsert(&CLIPS_BY_VIDEO, place, vec![]);
            proposed(recorded, &proposal)
        }
        Event::Accepted => judged(recorded, "accepted", None),
        Event::Rejected { reason } => judged(recorded, "rejected", Some(reason)),
        Event::Retrimmed { to, .. } => vec![("span", Value::json(&to)), ("edited_version", recorded.version.into())],
        Event::Restyled { style } => vec![("style", Value::shown(&style)), ("edited_version", recorded.version.into())],
        Event::RenderRequested { revision, ratio, .. } => {
            let cells = vec![
                ("state", "rendering".into()),
                ("requested_us", at.clone()),
                ("requested_version", recorded.version.into()),
                ("requested_revision", revision.into()),
                ("failure_code", Value::Null),
                ("failure_reason", Value::Null),
            ];
            writes.upsert(&RENDITIONS, [key.clone(), Value::shown(&ratio)], cells);
            vec![]
        }
        Event::Rendered { revision, rendition } => {
            writes.upsert(&RENDITIONS, [key.clone(), Value::shown(&rendition.ratio)], rendered(&at, revision, &rendition));
            vec![]
        }
        Event::RenderFailed { ratio, failure, .. } => {
            let cells = vec![("state", "failed".into()), ("failure_code", failure.code.into()), ("failure_reason", failure.reason.into())];
            writes.upsert(&RENDITIONS, [key.clone(), Value::shown(&ratio)], cells);
            vec![]
        }
        Event::Deleted => {
            writes.delete(&RENDITIONS, [key.clone()]);
            writes.delete(&CLIPS, [key]);
            return;
        }
    };
    cells.push(("updated_us", at));
    writes.upsert(&CLIPS, [key], cells);
}

fn proposed(recorded: &Recorded, proposal: &Proposal) -> Cells {
    vec![
        ("video", Value::shown(&proposal.video)),
        ("rank", proposal.rank.into()),
        ("score", proposal.score.into()),
        ("title", (&proposal.title).into()),
        ("keywords", Value::json(&proposal.keywords)),
        ("contributions", Value::json(&proposal.contributions)),
        ("reasons", Value::json(&proposal.reasons)),
        ("model", (&proposal.model).into()),
        ("original", Value::json(&proposal.original)),
        ("video_duration_us", proposal.video_duration.0.into()),
        ("proposed_span", Value::json(&proposal.span)),
        ("span", Value::json(&proposal.span)),
        ("style", Value::shown(&proposal.style)),
        ("edited_version", recorded.version.into()),
        ("verdict", "open".into()),
        ("proposed_us", recorded.metadata.at.0.into()),
    ]
}

fn judged(recorded: &Recorded, verdict: &str, rejection: Option<String>) -> Cells {
    vec![
        ("verdict", verdict.into()),
        ("rejection", rejection.into()),
        ("judged_by", (&recorded.metadata.actor).into()),
        ("judged_us", recorded.metadata.at.0.into()),
    ]
}

fn rendered(at: &Value, revision: u32, files: &Files) -> Cells {
    vec![
        ("state", "rendered".into()),
        ("revision", revision.into()),
        ("rendered_us", at.clone()),
        ("file", Value::json(&files.video)),
        ("poster", Value::json(&files.poster)),
        ("srt", Value::json(&files.srt)),
        ("vtt", Value::json(&files.vtt)),
        ("ass", Value::json(&files.ass)),
        ("decisions", Value::json(&files.decisions)),
        ("duration_us", files.duration.0.into()),
        ("failure_code", Value::Null),
        ("failure_reason", Value::Null),
    ]
}

/// Returns a clip.
///
/// # Errors
/// The store fails.
pub async fn by_id(store: &Store, workspace: WorkspaceId, clip: ClipId) -> Result<Option<Row>> {
    store.get(workspace, [Value::shown(&clip)]).await
}

/// Returns at most `limit` clips of a video, best first, those behind `after` when it is given.
///
/// # Errors
/// The store fails.
pub async fn by_video(store: &Store, workspace: WorkspaceId, video: VideoId, mut after: Option<Place>, limit: u32) -> Result<Vec<Row>> {
    let mut clips = vec![];
    loop {
        let behind = after.take().map(|place| vec![place.rank.into(), Value::shown(&place.clip)]);
        let places: Vec<Place> = store.range(workspace, [Value::shown(&video)], behind, limit).await?;
        let is_last = (places.len() as u32) < limit.min(crate::store::ROWS_MAX);
        let keys = places.iter().map(|place| vec![Value::shown(&place.clip)]).collect();
        clips.extend(store.get_many::<Row>(workspace, keys).await?.into_iter().flatten());
        // Deleted clips leave holes: go on behind the last place until there are enough.
        after = places.last().copied();
        if is_last || clips.len() >= limit as usize {
            clips.truncate(limit as usize);
            return Ok(clips);
        }
    }
}

/// Returns the renditions of a clip, wanted or made, by ratio.
///
/// # Errors
/// The store fails.
pub async fn renditions(store: &Store, workspace: WorkspaceId, clip: ClipId) -> Result<Vec<Rendition>> {
    store.range(workspace, [Value::shown(&clip)], None, Ratio::ALL.len() as u32).await
}
