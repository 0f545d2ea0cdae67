//! Any entity by its id, and who is asking.

use super::Caller;
use super::clip::Clip;
use super::error::{internal, refusal};
use super::model::Model;
use super::token::{Token, wait};
use super::transcript::Transcript;
use super::video::Video;
use async_graphql::{Context, ID, Interface, Object, Result, SimpleObject};
use domain::id::{ClipId, ModelId, TranscriptId, VideoId};
use projections::{models, transcripts};

/// Most ids in one question.
const NODES_MAX: usize = 100;

/// Anything with an id.
#[derive(Interface)]
#[expect(clippy::large_enum_variant, reason = "one value for each row of an answer, never kept")]
#[graphql(field(name = "id", ty = "ID", desc = "Unique among everything."))]
pub(crate) enum Node {
    /// A video.
    Video(Video),
    /// A clip.
    Clip(Clip),
    /// A transcript.
    Transcript(Transcript),
    /// A model.
    Model(Model),
}

/// Who is asking.
#[derive(SimpleObject)]
pub(crate) struct Viewer {
    /// Recorded with everything that they change.
    actor: String,
    /// The workspace that they see.
    workspace_id: ID,
    /// Version of this server.
    server_version: &'static str,
}

/// Questions about anything.
#[derive(Default)]
pub(super) struct NodeQuery;

#[Object]
impl NodeQuery {
    /// Who is asking.
    async fn viewer(&self, context: &Context<'_>) -> Result<Viewer> {
        let principal = Caller::of(context)?.principal;
        Ok(Viewer {
            actor: principal.actor.clone(),
            workspace_id: principal.workspace.to_string().into(),
            server_version: env!("CARGO_PKG_VERSION"),
        })
    }

    /// A video, clip, transcript or model; null when there is none, or it was deleted.
    async fn node(
        &self,
        context: &Context<'_>,
        id: ID,
        #[graphql(desc = "Answer with at least what this token has seen.")] after: Option<Token>,
    ) -> Result<Option<Node>> {
        let caller = Caller::of(context)?;
        wait(caller, after.as_ref()).await?;
        find(caller, &id).await
    }

    /// At most 100 entities, in the order of their ids.
    #[graphql(complexity = "ids.len() * child_complexity")]
    async fn nodes(
        &self,
        context: &Context<'_>,
        ids: Vec<ID>,
        #[graphql(desc = "Answer with at least what this token has seen.")] after: Option<Token>,
    ) -> Result<Vec<Option<Node>>> {
        let caller = Caller::of(context)?;
        if ids.len() > NODES_MAX {
            return Err(refusal("BAD_PAGE", format!("ask for at most {NODES_MAX} ids")));
        }
        wait(caller, after.as_ref()).await?;
        futures::future::try_join_all(ids.iter().map(|id| find(caller, id))).await
    }
}

async fn find(caller: Caller<'_>, id: &str) -> Result<Option<Node>> {
    let (store, workspace) = (&caller.gateway.store, caller.workspace());
    if let Ok(video) = id.parse::<VideoId>() {
        return Ok(Video::find(caller, video).await?.map(Node::Video));
    }
    if let Ok(clip) = id.parse::<ClipId>() {
        return Ok(Clip::find(caller, clip).await?.map(Node::Clip));
    }
    if let Ok(transcript) = id.parse::<TranscriptId>() {
        let row = transcripts::by_id(store, workspace, transcript).await.map_err(internal)?;
        return Ok(row.map(|row| Node::Transcript(Transcript(row))));
    }
    let model: ModelId = super::error::id(id)?;
    Ok(models::by_id(store, workspace, model).await.map_err(internal)?.map(|row| Node::Model(Model(row))))
}
