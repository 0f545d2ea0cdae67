//! How far a video is, as it goes: stage changes from the log, percentages from the progress channel.

use super::Caller;
use super::error::{id, internal, refusal};
use super::facts::{Failure, Stage, StageState};
use super::token::Token;
use crate::Gateway;
use async_graphql::{Context, ID, Result, SimpleObject, Subscription};
use async_stream::try_stream;
use domain::id::{VideoId, WorkspaceId};
use domain::video::{self, Event};
use futures::{Stream, StreamExt as _};
use projections::stages::{self, stage_changes};
use proto::{Recorded, Wire as _};
use runtime::log::{Filter, Item, Log as _};
use runtime::progress::Progress;
use runtime::token::Token as Seen;
use std::sync::Arc;

/// How far a stage of a video is.
#[derive(SimpleObject)]
pub(crate) struct VideoProgress {
    /// Id of the video.
    video_id: ID,
    /// Which stage this is about; null in the last message, which is about the whole video.
    stage: Option<Stage>,
    /// How far the stage is.
    state: Option<StageState>,
    /// Part of the stage that is done, 0 to 1; null when it cannot be told.
    fraction: Option<f64>,
    /// Until the stage ends, in milliseconds, as far as that can be told.
    eta_ms: Option<u64>,
    /// Seconds of video per second of work; null when it cannot be told.
    realtime_factor: Option<f64>,
    /// One line for people; may be empty.
    detail: String,
    /// Why the stage gave up.
    failure: Option<Failure>,
    /// Give it to a query as `after` to read what belongs to this message; null in a percentage.
    token: Option<Token>,
    /// Whether the video is completed, refused or deleted: the last message.
    is_final: bool,
}

/// Progress to watch.
#[derive(Default)]
pub(super) struct ProgressSubscription;

#[Subscription]
impl ProgressSubscription {
    /// How far a video is: what has happened so far, then each change and percentages, until the video is completed, refused or deleted.
    /// Renders that are asked for after that are seen in `events`.
    async fn video_progress(&self, context: &Context<'_>, video_id: ID) -> Result<impl Stream<Item = Result<VideoProgress>> + use<>> {
        let caller = Caller::of(context)?;
        let (workspace, video): (_, VideoId) = (caller.workspace(), id(&video_id)?);
        let begun = caller.gateway.log.read_stream(workspace, &video::Video::stream(video.0), 0, 1).await.map_err(internal)?;
        match begun.first() {
            Some(first) => Ok(watch(caller.gateway.clone(), workspace, video, first.position)),
            None => Err(refusal("VIDEO_NOT_FOUND", "the video does not exist")),
        }
    }
}

fn watch(gateway: Arc<Gateway>, workspace: WorkspaceId, video: VideoId, from: u64) -> impl Stream<Item = Result<VideoProgress>> + use<> {
    // Subscribed before the log is read: a percentage that belongs to a stage that has just begun is not missed.
    let mut percentages = Box::pin(gateway.progress.subscribe());
    let filter = Filter { categories: vec![video::Video::CATEGORY.into()], ..Filter::workspace(workspace) };
    let mut events = gateway.log.read(gateway.log.partition(workspace), from, filter);
    let shutdown = gateway.shutdown.clone().cancelled_owned();
    let stream = video::Video::stream(video.0);
    try_stream! {
        loop {
            let item = tokio::select! {
                biased;
                item = events.next() => item,
                Some(progress) = percentages.next() => {
                    if progress.video == video && progress.workspace == workspace {
                        yield percentage(&progress)?;
                    }
                    continue;
                }
            };
            match item {
                Some(Ok(Item::Event(recorded))) if recorded.stream == stream => {
                    let Some(event) = video::Video::recorded(&recorded).map_err(internal)? else { continue };
                    for change in changes(video, &recorded, &event) {
                        yield change;
                    }
                    if is_final(&event) {
                        break;
                    }
                }
                Some(Ok(Item::Event(_) | Item::CaughtUp(_))) => {}
                Some(Err(error)) => Err(internal(error))?,
                None => break,
            }
        }
    }
    .take_until(shutdown)
}

fn is_final(event: &Event) -> bool {
    matches!(event, Event::Completed { .. } | Event::Refused(_) | Event::Deleted)
}

fn changes(video: VideoId, recorded: &Recorded, event: &Event) -> Vec<VideoProgress> {
    let token = || Some(Token(Seen { workspace: recorded.workspace, position: Some(recorded.position) }));
    let failure = || match event {
        Event::Refused(failure) | Event::StageFailed { failure, .. } => Failure::of(Some(&failure.code), Some(&failure.reason)),
        _ => None,
    };
    let change = |(stage, state): (video::Stage, stages::StageState)| VideoProgress {
        video_id: video.to_string().into(),
        stage: Some(stage.into()),
        state: Some(state.into()),
        fraction: (state == stages::StageState::Done).then_some(1.0),
        eta_ms: None,
        realtime_factor: None,
        detail: String::new(),
        failure: failure(),
        token: token(),
        is_final: false,
    };
    let mut changes: Vec<_> = stage_changes(event).into_iter().map(change).collect();
    if is_final(event) {
        changes.push(VideoProgress {
            video_id: video.to_string().into(),
            stage: None,
            state: None,
            fraction: None,
            eta_ms: None,
            realtime_factor: None,
            detail: recorded.event_type.to_string(),
            failure: failure(),
            token: token(),
            is_final: true,
        });
    }
    changes
}

fn percentage(progress: &Progress) -> Result<VideoProgress> {
    let stage: video::Stage = progress.stage.parse().map_err(|error: video::NotAStage| internal(error))?;
    Ok(VideoProgress {
        video_id: progress.video.to_string().into(),
        stage: Some(stage.into()),
        state: Some(StageState::Running),
        fraction: Some(progress.fraction.into()),
        eta_ms: progress.eta_ms,
        realtime_factor: progress.realtime_factor.map(Into::into),
        detail: progress.detail.clone(),
        failure: None,
        token: None,
        is_final: false,
    })
}
