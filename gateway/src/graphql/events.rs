//! The log as a subscription, for partners and for pages that want to know of every change.

use super::Caller;
use super::error::{id, internal, refusal};
use super::token::Token;
use crate::Gateway;
use async_graphql::{Context, ID, Json, Result, SimpleObject, Subscription};
use async_stream::try_stream;
use domain::id::{VideoId, WorkspaceId};
use domain::{clip, transcript, video};
use futures::{Stream, StreamExt as _};
use proto::{Recorded, StreamName, Wire as _, cloudevents};
use runtime::log::{Filter, Item, Log as _};
use runtime::token::Token as Seen;
use std::collections::HashMap;
use std::sync::Arc;

/// Most event types in a filter.
const TYPES_MAX: usize = 50;

/// Streams whose video is remembered; a subscription that sees more asks the log again.
const OWNERS_MAX: usize = 10_000;

/// Something that happened.
#[derive(SimpleObject)]
pub(crate) struct Event {
    /// Start the next subscription behind this one with it, or read what belongs to it.
    token: Token,
    /// Such as `clip.accepted`.
    r#type: String,
    /// Id of the entity, such as `clip_018f3c0a…`.
    entity_id: ID,
    /// The whole event as a CloudEvent.
    cloud_event: Json<serde_json::Value>,
}

/// Events to watch.
#[derive(Default)]
pub(super) struct EventSubscription;

#[Subscription]
impl EventSubscription {
    /// Every event of the workspace, in order, without gap or repetition.
    async fn events(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Start behind what this token has seen; left out, with what happens from now on.")] after: Option<Token>,
        #[graphql(desc = "Only these types, such as `clip.rendered`.")] types: Option<Vec<String>>,
        #[graphql(desc = "Only of this video, its transcript and its clips.")] video_id: Option<ID>,
    ) -> Result<impl Stream<Item = Result<Event>> + use<>> {
        let caller = Caller::of(context)?;
        let workspace = caller.workspace();
        let types = types.unwrap_or_default();
        if types.len() > TYPES_MAX {
            return Err(refusal("BAD_FILTER", format!("name at most {TYPES_MAX} types")));
        }
        let video = video_id.map(|video| id::<VideoId>(&video)).transpose()?;
        let from = match after {
            Some(Token(seen)) if seen.workspace != workspace => return Err(refusal("BAD_TOKEN", "this token is of another workspace")),
            Some(Token(seen)) => seen.position.map_or(0, |position| position + 1),
            None => caller.gateway.log.head(caller.gateway.log.partition(workspace)).await.map_err(internal)?,
        };
        let event_types = types.into_iter().map(Into::into).collect();
        let filter = Filter { event_types, ..Filter::workspace(workspace) };
        Ok(watch(caller.gateway.clone(), workspace, video, from, filter))
    }
}

fn watch(
    gateway: Arc<Gateway>,
    workspace: WorkspaceId,
    video: Option<VideoId>,
    from: u64,
    filter: Filter,
) -> impl Stream<Item = Result<Event>> + use<> {
    let shutdown = gateway.shutdown.clone().cancelled_owned();
    let mut events = gateway.log.read(gateway.log.partition(workspace), from, filter);
    let mut owners = HashMap::new();
    try_stream! {
        while let Some(item) = events.next().await {
            let Item::Event(recorded) = item.map_err(internal)? else { continue };
            if let Some(wanted) = video {
                if owners.len() >= OWNERS_MAX {
                    owners.clear();
                }
                let owner = match owners.get(&recorded.stream) {
                    Some(owner) => *owner,
                    None => owner(&gateway, workspace, &recorded.stream).await?,
                };
                owners.insert(recorded.stream.clone(), owner);
                if owner != Some(wanted) {
                    continue;
                }
            }
            yield shown(&recorded);
        }
    }
    .take_until(shutdown)
}

fn shown(recorded: &Recorded) -> Event {
    Event {
        token: Token(Seen { workspace: recorded.workspace, position: Some(recorded.position) }),
        r#type: recorded.event_type.to_string(),
        entity_id: format!("{}_{}", recorded.stream.category(), recorded.stream.id().simple()).into(),
        cloud_event: Json(cloudevents::to_json(recorded)),
    }
}

/// Returns the video that a stream belongs to, which its first event names.
async fn owner(gateway: &Gateway, workspace: WorkspaceId, stream: &StreamName) -> Result<Option<VideoId>> {
    if stream.category() == video::Video::CATEGORY {
        return Ok(Some(VideoId(stream.id())));
    }
    let first = gateway.log.read_stream(workspace, stream, 0, 1).await.map_err(internal)?;
    let Some(first) = first.first() else { return Ok(None) };
    Ok(match first.event().map_err(internal)? {
        Some(proto::Event::Clip(clip::Event::Proposed(proposal))) => Some(proposal.video),
        Some(proto::Event::Transcript(transcript::Event::Begun { video, .. } | transcript::Event::Imported { video, .. })) => Some(video),
        _ => None,
    })
}
