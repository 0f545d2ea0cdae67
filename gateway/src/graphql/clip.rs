//! Clips.

use super::error::{id, internal};
use super::facts::{CaptionStyle, TimeSpan};
use super::history::{HistoryEvent, cursor, history_page};
use super::link::date;
use super::loaders::{Rows, VideoKey};
use super::rendition::Rendition;
use super::token::{Token, wait};
use super::video::Video;
use super::{Caller, page_cost, page_rows};
use async_graphql::connection::{Connection, Edge, OpaqueCursor};
use async_graphql::dataloader::DataLoader;
use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::id::{ClipId, VideoId};
use domain::{artefact, clip};
use projections::clips;
use proto::Wire as _;

pub(crate) struct Clip(pub(crate) clips::Row);

impl Clip {
    pub(crate) async fn find(caller: Caller<'_>, clip: ClipId) -> Result<Option<Self>> {
        Ok(clips::by_id(&caller.gateway.store, caller.workspace(), clip).await.map_err(internal)?.map(Self))
    }

    pub(crate) async fn page(
        caller: Caller<'_>,
        video: VideoId,
        after: Option<String>,
        first: Option<i32>,
    ) -> Result<Connection<OpaqueCursor<clips::Place>, Self>> {
        let limit = page_rows(first)?;
        let place = after.as_deref().map(cursor::<clips::Place>).transpose()?;
        let store = &caller.gateway.store;
        let mut rows = clips::by_video(store, caller.workspace(), video, place, limit + 1).await.map_err(internal)?;
        let mut connection = Connection::new(place.is_some(), rows.len() > limit as usize);
        rows.truncate(limit as usize);
        let edge = |row: clips::Row| Edge::new(OpaqueCursor(clips::Place { rank: row.rank, clip: row.clip }), Self(row));
        connection.edges.extend(rows.into_iter().map(edge));
        Ok(connection)
    }
}

/// A piece of a video that is worth watching by itself, with the reasons for it.
#[Object]
impl Clip {
    /// Such as `clip_018f3c0a…`.
    pub(crate) async fn id(&self) -> ID {
        self.0.clip.to_string().into()
    }

    /// The video that it is a piece of.
    async fn video(&self, context: &Context<'_>) -> Result<Option<Video>> {
        let key = VideoKey(Caller::of(context)?.workspace(), self.0.video);
        let row = context.data::<DataLoader<Rows>>()?.load_one(key).await.map_err(|error| internal(anyhow::anyhow!(error)))?;
        Ok(row.map(Video))
    }

    /// Its place among the clips of the video, from 1: best first.
    async fn rank(&self) -> u32 {
        self.0.rank
    }

    /// 0 to 100, for comparing clips of one video; it does not foretell success.
    async fn score(&self) -> f64 {
        self.0.score
    }

    /// A short title in the video's own words.
    async fn title(&self) -> &str {
        &self.0.title
    }

    /// Most telling first.
    async fn keywords(&self) -> &[String] {
        &self.0.keywords
    }

    /// Where it is now, in seconds of the video.
    async fn span(&self) -> TimeSpan {
        self.0.span.into()
    }

    /// Where detection put it, in seconds of the video.
    async fn proposed_span(&self) -> TimeSpan {
        self.0.proposed_span.into()
    }

    /// How captions look now.
    async fn style(&self) -> CaptionStyle {
        self.0.style.into()
    }

    /// Why it was chosen, in words, best first.
    async fn reasons(&self) -> Vec<Reason> {
        self.0.reasons.iter().map(Reason::from).collect()
    }

    /// Everything that the ranker weighed, strongest first.
    #[graphql(complexity = "20 * child_complexity")]
    async fn contributions(&self) -> Vec<Contribution> {
        self.0.contributions.iter().map(Contribution::from).collect()
    }

    /// Which ranker scored it.
    async fn model(&self) -> &str {
        &self.0.model
    }

    /// What an editor said of it.
    async fn verdict(&self) -> Verdict {
        self.0.verdict.into()
    }

    /// Why it was rejected.
    async fn rejection(&self) -> Option<&str> {
        self.0.rejection.as_deref()
    }

    /// Who accepted or rejected it.
    async fn judged_by(&self) -> Option<&str> {
        self.0.judged_by.as_deref()
    }

    /// When it was accepted or rejected.
    async fn judged_at(&self) -> Option<DateTime<Utc>> {
        self.0.judged_us.map(date)
    }

    /// When it was proposed.
    async fn proposed_at(&self) -> DateTime<Utc> {
        date(self.0.proposed_us)
    }

    /// When something last happened to it.
    async fn updated_at(&self) -> DateTime<Utc> {
        date(self.0.updated_us)
    }

    /// Its files, made or wanted, one for each aspect ratio.
    #[graphql(complexity = "4 * child_complexity")]
    async fn renditions(&self, context: &Context<'_>) -> Result<Vec<Rendition>> {
        let caller = Caller::of(context)?;
        let rows = clips::renditions(&caller.gateway.store, caller.workspace(), self.0.clip).await.map_err(internal)?;
        Ok(rows.into_iter().map(|row| Rendition { is_current: row.is_current(&self.0), row }).collect())
    }

    /// Everything that happened to it, oldest first; `after` is a cursor of this connection.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn history(
        &self,
        context: &Context<'_>,
        after: Option<String>,
        first: Option<i32>,
    ) -> Result<Connection<OpaqueCursor<u64>, HistoryEvent>> {
        history_page(Caller::of(context)?, &clip::Clip::stream(self.0.clip.0), after, first).await
    }
}

/// What an editor said of a clip.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "clips::Verdict")]
pub(crate) enum Verdict {
    /// Nothing yet.
    Open,
    /// Yes.
    Accepted,
    /// No; `rejection` says why.
    Rejected,
}

/// A reason for a clip.
#[derive(SimpleObject)]
pub(crate) struct Reason {
    /// One phrase, such as `opens with a question at 1:02`.
    text: String,
    /// The feature behind it, as in `contributions`.
    feature: String,
    /// The moment that it names, in seconds of the video.
    at_seconds: f64,
}

impl From<&artefact::Reason> for Reason {
    fn from(reason: &artefact::Reason) -> Self {
        Self { text: reason.text.clone(), feature: reason.feature.clone(), at_seconds: reason.at_us.seconds() }
    }
}

/// What one feature added to a score.
#[derive(SimpleObject)]
pub(crate) struct Contribution {
    /// Name, such as `hook_question`.
    feature: String,
    /// Which question it answers.
    group: FeatureGroup,
    /// As measured, in the feature's own unit.
    value: f64,
    /// Its rank among all candidates of this video, 0 to 1.
    percentile: f64,
    /// The ranker's weight.
    weight: f64,
    /// What it added to the raw score, or took from it.
    effect: f64,
    /// Where in the video it was seen.
    at: TimeSpan,
}

impl From<&artefact::Contribution> for Contribution {
    fn from(contribution: &artefact::Contribution) -> Self {
        Self {
            feature: contribution.feature.clone(),
            group: contribution.group.into(),
            value: contribution.value,
            percentile: contribution.percentile,
            weight: contribution.weight,
            effect: contribution.effect,
            at: contribution.at.into(),
        }
    }
}

/// What a feature speaks of.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "artefact::FeatureGroup")]
pub(crate) enum FeatureGroup {
    /// Do the first three seconds make one stay?
    Hook,
    /// Does it move?
    Emotion,
    /// Is it about one thing?
    Coherence,
    /// Is it understood without what came before?
    Standalone,
    /// Does it end on something?
    Payoff,
    /// Is it worth looking at, and easy to listen to?
    Delivery,
}

/// Questions about clips.
#[derive(Default)]
pub(super) struct ClipQuery;

#[Object]
impl ClipQuery {
    /// A clip; null when there is none, or it was deleted.
    async fn clip(
        &self,
        context: &Context<'_>,
        id: ID,
        #[graphql(desc = "Answer with at least what this token has seen.")] after: Option<Token>,
    ) -> Result<Option<Clip>> {
        let caller = Caller::of(context)?;
        let clip = super::error::id(&id)?;
        wait(caller, after.as_ref()).await?;
        Clip::find(caller, clip).await
    }

    /// The clips of a video, best first.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn clips(
        &self,
        context: &Context<'_>,
        video_id: ID,
        #[graphql(desc = "How many, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "A cursor of this connection: start behind it.")] after: Option<String>,
        #[graphql(desc = "Answer with at least what this token has seen.")] token: Option<Token>,
    ) -> Result<Connection<OpaqueCursor<clips::Place>, Clip>> {
        let caller = Caller::of(context)?;
        let video = id(&video_id)?;
        wait(caller, token.as_ref()).await?;
        Clip::page(caller, video, after, first).await
    }
}
