//! What editors do with clips.

use super::Caller;
use super::clip::Clip;
use super::facts::{CaptionStyle, Ratio};
use super::token::{Token, wait};
use super::write::Request;
use async_graphql::{Context, ID, Object, Result};
use domain::clip::{self, Command};
use domain::id::ClipId;
use domain::{MediaTime, Span};
use std::fmt::Debug;

pub(crate) struct ClipPayload {
    clip: ClipId,
    token: Token,
}

/// What came of a change to a clip.
#[Object]
impl ClipPayload {
    /// Its id.
    async fn id(&self) -> ID {
        self.clip.to_string().into()
    }

    /// Give it to a query as `after` to see this change.
    async fn token(&self) -> &Token {
        &self.token
    }

    /// The clip with this change.
    async fn clip(&self, context: &Context<'_>) -> Result<Option<Clip>> {
        let caller = Caller::of(context)?;
        wait(caller, Some(&self.token)).await?;
        Clip::find(caller, self.clip).await
    }
}

/// What editors do.
#[derive(Default)]
pub(super) struct ClipMutation;

#[Object]
impl ClipMutation {
    /// Takes a clip.
    async fn accept_clip(
        &self,
        context: &Context<'_>,
        id: ID,
        #[graphql(desc = "The same key for the same request has its effect once.")] idempotency_key: Option<String>,
    ) -> Result<ClipPayload> {
        change(context, idempotency_key, "acceptClip", &id, Command::Accept).await
    }

    /// Turns a clip down, with a reason of 1 to 500 characters: it is what the ranker learns from.
    async fn reject_clip(
        &self,
        context: &Context<'_>,
        id: ID,
        reason: String,
        #[graphql(desc = "The same key for the same request has its effect once.")] idempotency_key: Option<String>,
    ) -> Result<ClipPayload> {
        change(context, idempotency_key, "rejectClip", &id, Command::Reject { reason }).await
    }

    /// Moves the ends of a clip, in seconds of the video. Its files stay as they are until `renderClip`.
    async fn retrim_clip(
        &self,
        context: &Context<'_>,
        id: ID,
        start_seconds: f64,
        end_seconds: f64,
        #[graphql(desc = "The same key for the same request has its effect once.")] idempotency_key: Option<String>,
    ) -> Result<ClipPayload> {
        let ends = (MediaTime::from_seconds(start_seconds), MediaTime::from_seconds(end_seconds));
        let span = Span::new(ends.0, ends.1).map_err(|error| super::error::refusal("BAD_SPAN", error))?;
        change(context, idempotency_key, "retrimClip", &id, Command::Retrim { span }).await
    }

    /// Gives a clip other captions. Its files stay as they are until `renderClip`.
    async fn restyle_clip(
        &self,
        context: &Context<'_>,
        id: ID,
        style: CaptionStyle,
        #[graphql(desc = "The same key for the same request has its effect once.")] idempotency_key: Option<String>,
    ) -> Result<ClipPayload> {
        change(context, idempotency_key, "restyleClip", &id, Command::Restyle { style: style.into() }).await
    }

    /// Asks for the files of a clip as it is now. `videoProgress` and `events` tell how it goes.
    async fn render_clip(
        &self,
        context: &Context<'_>,
        id: ID,
        ratio: Ratio,
        #[graphql(desc = "The same key for the same request has its effect once.")] idempotency_key: Option<String>,
    ) -> Result<ClipPayload> {
        let encoder = Caller::of(context)?.gateway.encoder.clone();
        change(context, idempotency_key, "renderClip", &id, Command::RequestRender { ratio: ratio.into(), encoder }).await
    }
}

async fn change(context: &Context<'_>, key: Option<String>, name: &str, id: &str, command: Command) -> Result<ClipPayload> {
    let clip: ClipId = super::error::id(id)?;
    let request = Request::of(context, key)?;
    let commit = request.commit(name, &(clip, &command as &dyn Debug));
    let token = request.commit_with(commit, |commit| commit.then::<clip::Clip>(clip.0, command)).await?;
    Ok(ClipPayload { clip, token })
}
