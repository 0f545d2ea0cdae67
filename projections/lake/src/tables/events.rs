//! `events`: the whole log, with its envelope.

use super::{Cell, Cells, Column, Fact, Kind, Table, shown};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proto::cloudevents;

pub(super) static EVENTS: Table = Table {
    name: "events",
    version: 1,
    about: "One row for each event: the log itself.",
    columns: &[
        Column::new("partition", Kind::Integer, "the log's partition; positions count within it"),
        Column::new("event", Kind::Text, "the event's id"),
        Column::new("stream", Kind::Text, "category and id of its stream, such as `clip-018f…`"),
        Column::new("version", Kind::Integer, "its place in the stream, from 0"),
        Column::new("type", Kind::Text, "such as `clip.accepted`"),
        Column::new("schema_version", Kind::Integer, "version of the payload's schema, from 1"),
        Column::new("actor", Kind::Text, "who decided: `owner`, `processor:score`, …"),
        Column::new("correlation", Kind::Text, "shared by everything that one request set off"),
        Column::new("causation", Kind::Text, "the event behind it; absent when a person decided"),
        Column::new("payload", Kind::Text, "the payload as JSON, as `clipflow events` shows it under `data`"),
        Column::new(
            "payload_base64",
            Kind::Text,
            "the payload as it is stored, where the program that wrote the row did not know the type",
        ),
    ],
    rows,
};

fn rows(fact: &Fact<'_>) -> Vec<Cells> {
    let Fact { recorded, partition, .. } = fact;
    let payload = cloudevents::data(recorded).map(|data| data.to_string());
    let unread = payload.is_none().then(|| STANDARD.encode(&recorded.payload));
    vec![vec![
        ("partition", Cell::Integer(partition.0.into())),
        ("event", shown(recorded.id)),
        ("stream", recorded.stream.as_str().into()),
        ("version", recorded.version.into()),
        ("type", (&*recorded.event_type).into()),
        ("schema_version", recorded.schema_version.into()),
        ("actor", (&*recorded.metadata.actor).into()),
        ("correlation", shown(recorded.metadata.correlation)),
        ("causation", recorded.metadata.causation.map(|cause| cause.to_string()).into()),
        ("payload", payload.into()),
        ("payload_base64", unread.into()),
    ]]
}
