//! Descriptors of every event, and the JSON Schemas that are generated from them.

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::sync::LazyLock;

const PACKAGE: &str = "clipflow.events.v1";

/// Every event type, in the order of the documentation.
pub const EVENT_TYPES: [&str; 39] = [
    "workspace.created",
    "workspace.renamed",
    "video.submitted",
    "video.ingested",
    "video.refused",
    "video.transcript_attached",
    "video.analyzed",
    "video.ready_to_score",
    "video.clips_proposed",
    "video.nothing_found",
    "video.render_settled",
    "video.completed",
    "video.stage_failed",
    "video.stage_retried",
    "video.deleted",
    "transcript.begun",
    "transcript.chunk_requested",
    "transcript.chunk_transcribed",
    "transcript.ready_to_assemble",
    "transcript.completed",
    "transcript.imported",
    "clip.proposed",
    "clip.accepted",
    "clip.rejected",
    "clip.retrimmed",
    "clip.restyled",
    "clip.render_requested",
    "clip.rendered",
    "clip.render_failed",
    "clip.deleted",
    "publication.drafted",
    "publication.reworded",
    "publication.discarded",
    "model.registered",
    "model.promoted",
    "model.retired",
    "job.parked",
    "job.replay_requested",
    "job.finished",
];

static KNOWN: LazyLock<HashSet<&str>> = LazyLock::new(|| HashSet::from(EVENT_TYPES));

/// Tells whether this version knows an event type.
#[must_use]
pub fn is_known(event_type: &str) -> bool {
    KNOWN.contains(event_type)
}

/// Every message as a protobuf `FileDescriptorSet`: with it a reader in any language decodes payloads without a compiler.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).expect("the build script wrote the descriptors"));

/// Returns the message behind an event type: `video.stage_failed` is `VideoStageFailed`.
#[must_use]
pub fn message(event_type: &str) -> Option<MessageDescriptor> {
    let name: String = event_type.split(['.', '_']).flat_map(capitalised).collect();
    POOL.get_message_by_name(&format!("{PACKAGE}.{name}"))
}

pub(crate) fn capitalised(word: &str) -> impl Iterator<Item = char> {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters)
}

/// Returns the JSON Schema (draft 2020-12) of an event type's `data`, or `None` for an unknown type.
///
/// It is open: readers must accept fields that later versions add.
#[must_use]
pub fn json_schema(event_type: &str) -> Option<Value> {
    let mut schema = object_schema(&message(event_type)?);
    let object = schema.as_object_mut()?;
    object.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    object.insert("$id".into(), json!(format!("events/v1/{event_type}.json")));
    object.insert("title".into(), json!(event_type));
    Some(schema)
}

fn object_schema(message: &MessageDescriptor) -> Value {
    let properties: Map<_, _> = message.fields().map(|field| (field.json_name().to_owned(), field_schema(&field))).collect();
    json!({ "type": "object", "properties": properties })
}

fn field_schema(field: &FieldDescriptor) -> Value {
    let item = kind_schema(&field.kind());
    if field.is_list() { json!({ "type": "array", "items": item }) } else { item }
}

/// By the protobuf JSON mapping: 64-bit integers are strings, enums are their names.
fn kind_schema(kind: &Kind) -> Value {
    match kind {
        Kind::Message(message) => object_schema(message),
        Kind::Enum(values) => json!({ "type": "string", "enum": values.values().map(|value| value.name().to_owned()).collect::<Vec<_>>() }),
        Kind::Double | Kind::Float => json!({ "type": "number" }),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::String | Kind::Bytes => json!({ "type": "string" }),
        Kind::Int32 | Kind::Sint32 | Kind::Uint32 | Kind::Fixed32 | Kind::Sfixed32 => json!({ "type": "integer" }),
        Kind::Int64 | Kind::Sint64 | Kind::Uint64 | Kind::Fixed64 | Kind::Sfixed64 => json!({ "type": "string", "pattern": "^-?[0-9]+$" }),
    }
}
