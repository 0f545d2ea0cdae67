//! Videos.

use super::clip::Clip;
use super::error::{id, internal};
use super::facts::{Facts, Failure, Stage, StageState, VideoState, Wish};
use super::history::{HistoryEvent, history_page};
use super::link::{MediaLink, date};
use super::token::{Token, wait};
use super::transcript::Transcript;
use super::write::Request;
use super::{Caller, page_cost, page_rows};
use async_graphql::connection::{Connection, Edge, OpaqueCursor};
use async_graphql::{Context, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::id::{ClipId, VideoId};
use domain::video::Command;
use domain::{Timestamp, clip, video};
use projections::{clips, jobs, stages, transcripts, videos};
use proto::Wire as _;
use runtime::log::Log as _;
use std::collections::BTreeSet;

/// Events that one read of a stream asks for.
const PAGE_EVENTS: usize = 1_000;

/// How often a deletion looks for clips that were proposed meanwhile: the second look always finds none.
const DELETIONS_MAX: u32 = 3;

pub(crate) struct Video(pub(crate) videos::Row);

type VideoCursor = OpaqueCursor<(u64, String)>;

impl Video {
    pub(crate) async fn find(caller: Caller<'_>, video: VideoId) -> Result<Option<Self>> {
        Ok(videos::by_id(&caller.gateway.store, caller.workspace(), video).await.map_err(internal)?.map(Self))
    }
}

/// A long video that clips are made of.
#[Object]
impl Video {
    /// Such as `video_018f3c0a…`.
    pub(crate) async fn id(&self) -> ID {
        self.0.video.to_string().into()
    }

    /// Shown to people; usually the file name.
    async fn title(&self) -> &str {
        &self.0.title
    }

    /// How far it is.
    async fn state(&self) -> VideoState {
        self.0.state().into()
    }

    /// Who asked for it.
    async fn submitted_by(&self) -> &str {
        &self.0.submitted_by
    }

    /// When it was asked for.
    async fn submitted_at(&self) -> DateTime<Utc> {
        date(self.0.submitted_us)
    }

    /// When something last happened to it.
    async fn updated_at(&self) -> DateTime<Utc> {
        date(self.0.updated_us)
    }

    /// Where it was fetched from; null when it was uploaded.
    async fn url(&self) -> Option<&str> {
        self.0.url.as_deref()
    }

    /// What was asked for.
    async fn wish(&self) -> Wish {
        Wish::from(&self.0)
    }

    /// What the file is; null until it was checked.
    async fn facts(&self) -> Option<Facts> {
        self.0.facts.as_ref().map(Facts::from)
    }

    /// The stored original; null until it was checked.
    async fn original(&self, context: &Context<'_>) -> Result<Option<MediaLink>> {
        let caller = Caller::of(context)?;
        Ok(self.0.original.as_ref().map(|blob| MediaLink::to(caller, blob)))
    }

    /// Every stage in order.
    #[graphql(complexity = "5 * child_complexity")]
    async fn stages(&self, context: &Context<'_>) -> Result<Vec<StageStatus>> {
        let caller = Caller::of(context)?;
        let jobs = jobs::by_video(&caller.gateway.store, caller.workspace(), self.0.video).await.map_err(internal)?;
        let status = |stage: video::Stage| {
            let job = jobs.iter().find(|job| job.stage == stage.to_string());
            StageStatus {
                stage: stage.into(),
                state: self.0.stage(stage).into(),
                started_at: job.and_then(|job| job.started_us).map(date),
                finished_at: job.and_then(|job| job.finished_us).map(date),
                failure: job.and_then(|job| Failure::of(job.failure_code.as_ref(), job.failure_reason.as_ref())),
            }
        };
        Ok(video::Stage::ALL.into_iter().map(status).collect())
    }

    /// Why it was refused, or what the stage said that failed last.
    async fn failure(&self) -> Option<Failure> {
        Failure::of(self.0.failure_code.as_ref(), self.0.failure_reason.as_ref())
    }

    /// When no clip was found: which rule removed what.
    async fn explanation(&self) -> Option<&str> {
        self.0.explanation.as_deref()
    }

    /// How many renditions were wanted, and what became of them.
    async fn renders(&self, context: &Context<'_>) -> Result<RenderCounts> {
        let caller = Caller::of(context)?;
        let renders = videos::renders(&caller.gateway.store, caller.workspace(), self.0.video).await.map_err(internal)?;
        let count = |state| renders.iter().filter(|render| render.state == state).count() as u32;
        Ok(RenderCounts {
            pending: count(stages::StageState::Running),
            rendered: count(stages::StageState::Done),
            failed: count(stages::StageState::Failed),
        })
    }

    /// What is said in it; null until listening began.
    async fn transcript(&self, context: &Context<'_>) -> Result<Option<Transcript>> {
        let caller = Caller::of(context)?;
        let row = transcripts::by_video(&caller.gateway.store, caller.workspace(), self.0.video).await.map_err(internal)?;
        Ok(row.map(Transcript))
    }

    /// Its clips, best first; `after` is a cursor of this connection.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn clips(
        &self,
        context: &Context<'_>,
        after: Option<String>,
        first: Option<i32>,
    ) -> Result<Connection<OpaqueCursor<clips::Place>, Clip>> {
        Clip::page(Caller::of(context)?, self.0.video, after, first).await
    }

    /// Everything that happened to it, oldest first; `after` is a cursor of this connection.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn history(
        &self,
        context: &Context<'_>,
        after: Option<String>,
        first: Option<i32>,
    ) -> Result<Connection<OpaqueCursor<u64>, HistoryEvent>> {
        history_page(Caller::of(context)?, &video::Video::stream(self.0.video.0), after, first).await
    }
}

/// A stage of a video.
#[derive(SimpleObject)]
pub(crate) struct StageStatus {
    /// Which.
    stage: Stage,
    /// How far it is.
    state: StageState,
    /// When it could start.
    started_at: Option<DateTime<Utc>>,
    /// When it ended, well or not.
    finished_at: Option<DateTime<Utc>>,
    /// Why it gave up.
    failure: Option<Failure>,
}

/// How many renditions of a video are in which state.
#[derive(SimpleObject)]
pub(crate) struct RenderCounts {
    /// Still to come.
    pending: u32,
    /// Made.
    rendered: u32,
    /// Given up.
    failed: u32,
}

/// Questions about videos.
#[derive(Default)]
pub(super) struct VideoQuery;

#[Object]
impl VideoQuery {
    /// A video; null when there is none, or it was deleted.
    async fn video(
        &self,
        context: &Context<'_>,
        id: ID,
        #[graphql(desc = "Answer with at least what this token has seen.")] after: Option<Token>,
    ) -> Result<Option<Video>> {
        let caller = Caller::of(context)?;
        let video = super::error::id(&id)?;
        wait(caller, after.as_ref()).await?;
        Video::find(caller, video).await
    }

    /// Videos, newest first.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn videos(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "A cursor of this connection: start behind it.")] after: Option<String>,
        #[graphql(desc = "Answer with at least what this token has seen.")] token: Option<Token>,
    ) -> Result<Connection<VideoCursor, Video>> {
        let caller = Caller::of(context)?;
        wait(caller, token.as_ref()).await?;
        let limit = page_rows(first)?;
        let place = match after {
            Some(cursor) => {
                let (submitted, video) = super::history::cursor::<(u64, String)>(&cursor)?;
                Some(videos::Place { submitted_us: Timestamp(submitted), video: id(&video)? })
            }
            None => None,
        };
        let has_previous = place.is_some();
        let mut rows = videos::newest(&caller.gateway.store, caller.workspace(), place, limit + 1).await.map_err(internal)?;
        let mut connection = Connection::new(has_previous, rows.len() > limit as usize);
        rows.truncate(limit as usize);
        connection
            .edges
            .extend(rows.into_iter().map(|row| Edge::new(OpaqueCursor((row.submitted_us.0, row.video.to_string())), Video(row))));
        Ok(connection)
    }
}

pub(crate) struct VideoPayload {
    pub(crate) video: VideoId,
    pub(crate) token: Token,
}

/// What came of a change to a video.
#[Object]
impl VideoPayload {
    /// Its id.
    async fn id(&self) -> ID {
        self.video.to_string().into()
    }

    /// Give it to a query as `after` to see this change.
    async fn token(&self) -> &Token {
        &self.token
    }

    /// The video with this change; null when it was deleted.
    async fn video(&self, context: &Context<'_>) -> Result<Option<Video>> {
        let caller = Caller::of(context)?;
        wait(caller, Some(&self.token)).await?;
        Video::find(caller, self.video).await
    }
}

/// Changes to videos that exist.
#[derive(Default)]
pub(super) struct VideoMutation;

#[Object]
impl VideoMutation {
    /// Tries a failed stage again.
    async fn retry_stage(
        &self,
        context: &Context<'_>,
        video_id: ID,
        stage: Stage,
        #[graphql(desc = "The same key for the same request has its effect once.")] idempotency_key: Option<String>,
    ) -> Result<VideoPayload> {
        let video: VideoId = id(&video_id)?;
        let stage: video::Stage = stage.into();
        let request = Request::of(context, idempotency_key)?;
        let commit = request.commit("retryStage", &(video, stage));
        let token = request.commit_with(commit, |commit| commit.then::<video::Video>(video.0, Command::RetryStage { stage })).await?;
        Ok(VideoPayload { video, token })
    }

    /// Deletes a video and its clips. Its history stays.
    async fn delete_video(
        &self,
        context: &Context<'_>,
        id: ID,
        #[graphql(desc = "The same key for the same request has its effect once.")] idempotency_key: Option<String>,
    ) -> Result<VideoPayload> {
        let video: VideoId = super::error::id(&id)?;
        let request = Request::of(context, idempotency_key)?;
        let mut deleted = BTreeSet::new();
        for _ in 0..DELETIONS_MAX {
            let clips = proposed_clips(request.caller, video).await?;
            let commit = request.commit("deleteVideo", &(video, &clips));
            let token = request
                .commit_with(commit, |commit| {
                    let commit = commit.then::<video::Video>(video.0, Command::Delete);
                    clips.iter().fold(commit, |commit, clip| commit.then::<clip::Clip>(clip.0, clip::Command::Delete))
                })
                .await?;
            deleted.extend(clips);
            // After the deletion none is proposed any more, but some may have been just before it.
            if proposed_clips(request.caller, video).await?.is_subset(&deleted) {
                return Ok(VideoPayload { video, token });
            }
        }
        Err(internal(anyhow::anyhow!("clips of {video} were proposed after it was deleted")))
    }
}

/// Returns every clip that was ever proposed for a video, from its stream: a decision never rests on a read model.
async fn proposed_clips(caller: Caller<'_>, video: VideoId) -> Result<BTreeSet<ClipId>> {
    let stream = video::Video::stream(video.0);
    let mut clips = BTreeSet::new();
    let mut from = 0;
    loop {
        let events = caller.gateway.log.read_stream(caller.workspace(), &stream, from, PAGE_EVENTS).await.map_err(internal)?;
        for event in &events {
            if let Some(video::Event::ClipsProposed { clips: proposed, .. }) = video::Video::recorded(event).map_err(internal)? {
                clips.extend(proposed);
            }
        }
        match events.last() {
            Some(last) if events.len() == PAGE_EVENTS => from = last.version + 1,
            Some(_) | None => return Ok(clips),
        }
    }
}
