//! The events of each stream, whole: where the log itself cannot look a stream up, this answers `read_stream`.
//!
//! It may be behind the log. Whoever decides on what it says is safe all the same: the version that a commit expects catches that.

use crate::table::{Column, Order, Table, Value, Writes};
use crate::{Projection, Store};
use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::Timestamp;
use domain::id::{EventId, WorkspaceId};
use proto::{DecodeError, Metadata, Recorded, StreamName};
use serde::Deserialize;
use uuid::Uuid;

/// The read model.
#[derive(Debug)]
pub struct EventsByStream;

/// An event in its stream.
#[derive(Clone, Debug, Deserialize)]
struct Row {
    version: u64,
    position: u64,
    event: EventId,
    event_type: String,
    schema_version: u32,
    payload: String,
    at_us: Timestamp,
    actor: String,
    correlation: Uuid,
    causation: Option<EventId>,
    traceparent: Option<String>,
}

static EVENTS_BY_STREAM: Table = Table {
    name: "events_by_stream",
    partition: &["stream"],
    clustering: &[Column::integer("version")],
    order: Order::Ascending,
    columns: &[
        Column::integer("position"),
        Column::text("event"),
        Column::text("event_type"),
        Column::integer("schema_version"),
        Column::bytes("payload"),
        Column::integer("at_us"),
        Column::text("actor"),
        Column::text("correlation"),
        Column::text("causation"),
        Column::text("traceparent"),
    ],
};

impl crate::Row for Row {
    type Of = EventsByStream;
    const TABLE: &'static Table = &EVENTS_BY_STREAM;
}

impl Projection for EventsByStream {
    const NAME: &'static str = "events_by_stream";
    const VERSION: u32 = 1;
    const TABLES: &'static [&'static Table] = &[&EVENTS_BY_STREAM];

    fn project(event: &Recorded, writes: &mut Writes) -> Result<(), DecodeError> {
        let cells = vec![
            ("position", event.position.into()),
            ("event", Value::shown(&event.id)),
            ("event_type", (&*event.event_type).into()),
            ("schema_version", event.schema_version.into()),
            ("payload", event.payload.clone().into()),
            ("at_us", event.metadata.at.0.into()),
            ("actor", (&event.metadata.actor).into()),
            ("correlation", Value::shown(&event.metadata.correlation)),
            ("causation", event.metadata.causation.as_ref().map(Value::shown).unwrap_or(Value::Null)),
            ("traceparent", event.metadata.traceparent.as_ref().into()),
        ];
        writes.upsert(&EVENTS_BY_STREAM, [event.stream.as_str().into(), event.version.into()], cells);
        Ok(())
    }
}

/// Returns at most `limit` events of a stream in order, from version `from` on.
///
/// # Errors
/// The store fails.
pub async fn read(store: &Store, workspace: WorkspaceId, stream: &StreamName, from: u64, limit: u32) -> Result<Vec<Recorded>> {
    let behind = from.checked_sub(1).map(|version| vec![version.into()]);
    let rows: Vec<Row> = store.range(workspace, [stream.as_str().into()], behind, limit).await?;
    rows.into_iter().map(|row| recorded(workspace, stream, row)).collect()
}

fn recorded(workspace: WorkspaceId, stream: &StreamName, row: Row) -> Result<Recorded> {
    Ok(Recorded {
        id: row.event,
        workspace,
        stream: stream.clone(),
        version: row.version,
        position: row.position,
        event_type: row.event_type.into(),
        schema_version: row.schema_version,
        payload: STANDARD.decode(row.payload).context("reading a payload")?.into(),
        metadata: Metadata {
            at: row.at_us,
            actor: row.actor,
            correlation: row.correlation,
            causation: row.causation,
            traceparent: row.traceparent,
        },
    })
}
