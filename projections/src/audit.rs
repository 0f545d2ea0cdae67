//! Audit: every event of every entity, with who, when and why. Also events that this version of the program cannot read.

use crate::table::{Column, Order, Table, Value, Writes};
use crate::{Projection, Store};
use anyhow::Result;
use domain::Timestamp;
use domain::id::{EventId, WorkspaceId};
use proto::{DecodeError, Recorded, StreamName, cloudevents};
use serde::Deserialize;
use uuid::Uuid;

/// The read model.
#[derive(Debug)]
pub struct Audit;

/// An event of an entity.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Row {
    /// Its place in the entity's stream, from 0.
    pub version: u64,
    /// Its place in the log.
    pub position: u64,
    /// Its id.
    pub event: EventId,
    /// Such as `clip.accepted`.
    pub event_type: String,
    /// When it was decided.
    pub at_us: Timestamp,
    /// Who decided.
    pub actor: String,
    /// Shared by everything that one request set off.
    pub correlation: Uuid,
    /// The event behind it; `None` when a person decided.
    pub causation: Option<EventId>,
    /// The whole event as a CloudEvent.
    pub cloud_event: serde_json::Value,
}

/// Where an event is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Place {
    stream: String,
    version: u64,
}

static AUDIT: Table = Table {
    name: "audit",
    partition: &["stream"],
    clustering: &[Column::integer("version")],
    order: Order::Ascending,
    columns: &[
        Column::integer("position"),
        Column::text("event"),
        Column::text("event_type"),
        Column::integer("at_us"),
        Column::text("actor"),
        Column::text("correlation"),
        Column::text("causation"),
        Column::json("cloud_event"),
    ],
};

static AUDIT_BY_EVENT: Table = Table {
    name: "audit_by_event",
    partition: &["event"],
    clustering: &[],
    order: Order::Ascending,
    columns: &[Column::text("stream"), Column::integer("version")],
};

impl crate::Row for Row {
    type Of = Audit;
    const TABLE: &'static Table = &AUDIT;
}

impl crate::Row for Place {
    type Of = Audit;
    const TABLE: &'static Table = &AUDIT_BY_EVENT;
}

impl Projection for Audit {
    const NAME: &'static str = "audit";
    const VERSION: u32 = 1;
    const TABLES: &'static [&'static Table] = &[&AUDIT, &AUDIT_BY_EVENT];

    fn project(event: &Recorded, writes: &mut Writes) -> Result<(), DecodeError> {
        let stream = Value::from(event.stream.as_str());
        let place = vec![("stream", stream.clone()), ("version", event.version.into())];
        writes.upsert(&AUDIT_BY_EVENT, [Value::shown(&event.id)], place);
        let cells = vec![
            ("position", event.position.into()),
            ("event", Value::shown(&event.id)),
            ("event_type", (&*event.event_type).into()),
            ("at_us", event.metadata.at.0.into()),
            ("actor", (&event.metadata.actor).into()),
            ("correlation", Value::shown(&event.metadata.correlation)),
            ("causation", event.metadata.causation.as_ref().map(Value::shown).unwrap_or(Value::Null)),
            ("cloud_event", Value::json(&cloudevents::to_json(event))),
        ];
        writes.upsert(&AUDIT, [stream, event.version.into()], cells);
        Ok(())
    }
}

/// Returns at most `limit` events of an entity in order, those behind version `after` when it is given.
///
/// # Errors
/// The store fails.
pub async fn history(store: &Store, workspace: WorkspaceId, stream: &StreamName, after: Option<u64>, limit: u32) -> Result<Vec<Row>> {
    let after = after.map(|version| vec![version.into()]);
    store.range(workspace, [stream.as_str().into()], after, limit).await
}

/// Returns an event by its id.
///
/// # Errors
/// The store fails.
pub async fn by_event(store: &Store, workspace: WorkspaceId, event: EventId) -> Result<Option<Row>> {
    match store.get::<Place>(workspace, [Value::shown(&event)]).await? {
        Some(place) => store.get(workspace, [place.stream.into(), place.version.into()]).await,
        None => Ok(None),
    }
}
