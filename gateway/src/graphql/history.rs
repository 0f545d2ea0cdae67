//! History: who did what to an entity, when, and why.

use super::error::{internal, refusal};
use super::link::date;
use super::token::{Token, wait};
use super::{Caller, page_cost, page_rows};
use async_graphql::connection::{Connection, CursorType as _, Edge, OpaqueCursor};
use async_graphql::{Context, ID, Json, Object, Result};
use chrono::{DateTime, Utc};
use domain::id::{ClipId, JobId, ModelId, PublicationId, TranscriptId, VideoId, WorkspaceId};
use domain::{clip, job, model, publication, transcript, video, workspace};
use projections::audit;
use proto::{StreamName, Wire as _};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) struct HistoryEvent(pub(crate) audit::Row);

/// Something that happened to an entity.
#[Object]
impl HistoryEvent {
    /// Such as `event_018f3c0a…`.
    async fn id(&self) -> ID {
        self.0.event.to_string().into()
    }

    /// What happened, such as `clip.accepted`.
    async fn r#type(&self) -> &str {
        &self.0.event_type
    }

    /// When it was decided.
    async fn at(&self) -> DateTime<Utc> {
        date(self.0.at_us)
    }

    /// Who decided: `owner`, `processor:transcribe`, …
    async fn actor(&self) -> &str {
        &self.0.actor
    }

    /// Its place among the entity's events, from 0.
    async fn version(&self) -> u64 {
        self.0.version
    }

    /// Its place in the log.
    async fn position(&self) -> u64 {
        self.0.position
    }

    /// Shared by everything that one request set off.
    async fn correlation_id(&self) -> String {
        self.0.correlation.to_string()
    }

    /// The event that led to it; null when a person decided.
    async fn cause(&self, context: &Context<'_>) -> Result<Option<Self>> {
        let Some(event) = self.0.causation else { return Ok(None) };
        let caller = Caller::of(context)?;
        Ok(audit::by_event(&caller.gateway.store, caller.workspace(), event).await.map_err(internal)?.map(Self))
    }

    /// The whole event as a CloudEvent.
    async fn cloud_event(&self) -> Json<&serde_json::Value> {
        Json(&self.0.cloud_event)
    }
}

/// Questions about what happened.
#[derive(Default)]
pub(super) struct HistoryQuery;

#[Object]
impl HistoryQuery {
    /// Everything that happened to an entity of any kind, oldest first, also after it was deleted.
    #[graphql(complexity = "page_cost(first, child_complexity)")]
    async fn history(
        &self,
        context: &Context<'_>,
        id: ID,
        #[graphql(desc = "How many, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "A cursor of this connection: start behind it.")] after: Option<String>,
        #[graphql(desc = "Answer with at least what this token has seen.")] token: Option<Token>,
    ) -> Result<Connection<OpaqueCursor<u64>, HistoryEvent>> {
        let caller = Caller::of(context)?;
        let stream = stream_of(&id)?;
        wait(caller, token.as_ref()).await?;
        history_page(caller, &stream, after, first).await
    }
}

/// Returns the stream of the entity that `id` names.
fn stream_of(id: &str) -> Result<StreamName> {
    let kinds: [fn(&str) -> Option<StreamName>; 7] = [
        |id| id.parse::<VideoId>().ok().map(|id| video::Video::stream(id.0)),
        |id| id.parse::<ClipId>().ok().map(|id| clip::Clip::stream(id.0)),
        |id| id.parse::<TranscriptId>().ok().map(|id| transcript::Transcript::stream(id.0)),
        |id| id.parse::<PublicationId>().ok().map(|id| publication::Publication::stream(id.0)),
        |id| id.parse::<ModelId>().ok().map(|id| model::Model::stream(id.0)),
        |id| id.parse::<JobId>().ok().map(|id| job::Job::stream(id.0)),
        |id| id.parse::<WorkspaceId>().ok().map(|id| workspace::Workspace::stream(id.0)),
    ];
    kinds.iter().find_map(|kind| kind(id)).ok_or_else(|| refusal("BAD_ID", "expected the id of an entity, such as video_018f3c0a…"))
}

/// Returns a page of an entity's history.
pub(crate) async fn history_page(
    caller: Caller<'_>,
    stream: &StreamName,
    after: Option<String>,
    first: Option<i32>,
) -> Result<Connection<OpaqueCursor<u64>, HistoryEvent>> {
    let limit = page_rows(first)?;
    let after = after.as_deref().map(cursor::<u64>).transpose()?;
    let store = &caller.gateway.store;
    let mut rows = audit::history(store, caller.workspace(), stream, after, limit + 1).await.map_err(internal)?;
    let mut connection = Connection::new(after.is_some(), rows.len() > limit as usize);
    rows.truncate(limit as usize);
    connection.edges.extend(rows.into_iter().map(|row| Edge::new(OpaqueCursor(row.version), HistoryEvent(row))));
    Ok(connection)
}

/// Returns what is behind a cursor.
pub(crate) fn cursor<T: Serialize + DeserializeOwned>(text: &str) -> Result<T> {
    let found = OpaqueCursor::<T>::decode_cursor(text);
    found.map(|cursor| cursor.0).map_err(|_| refusal("BAD_CURSOR", "`after` must be a cursor of the same connection"))
}
