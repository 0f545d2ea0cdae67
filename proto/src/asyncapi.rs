//! The public topic of events as an `AsyncAPI` 3.0 document, for readers that use Kafka's own clients.

use crate::cloudevents::{COMMIT_REJECTED, PROTOBUF};
use crate::schema;
use serde_json::{Map, Value, json};

/// Ids as text.
const EVENT: &str = "^event_[0-9a-f]{32}$";
const COMMIT: &str = "^commit_[0-9a-f]{32}$";
const WORKSPACE: &str = "^workspace_[0-9a-f]{32}$";

/// What every record of the topic carries as headers: (name without `ce_`, meaning, JSON Schema's format or pattern).
const EVENT_HEADERS: [(&str, &str, Form); 8] = [
    ("time", "When it was decided, in UTC", Form::Format("date-time")),
    ("dataschema", "Path of the JSON Schema of `data`, below schemas/", Form::Pattern("^events/v[0-9]+/[a-z._]+\\.json$")),
    ("position", "Place in the partition's sequence of events; contiguous from 0", Form::Number),
    ("streamversion", "Place in its stream; contiguous from 0", Form::Number),
    ("actor", "Who caused it: a person, a key or a processor", Form::Text),
    ("correlationid", "Shared by everything that followed from one request", Form::Format("uuid")),
    ("causationid", "The event that it answers; absent where a person began", Form::Pattern(EVENT)),
    ("traceparent", "W3C trace context, when the request was traced", Form::Text),
];

/// Of [`EVENT_HEADERS`], those that may be absent.
const OPTIONAL: [&str; 2] = ["causationid", "traceparent"];

/// Where a record stands in its commit.
const COMMIT_HEADERS: [(&str, &str, Form); 4] = [
    ("commitid", "The commit that it came with: appended as a whole, and once", Form::Pattern(COMMIT)),
    ("commitoffset", "Offset of the record that held the commit in the internal topic of commits", Form::Number),
    ("commitindex", "Place among the records made of that one, from 0", Form::Number),
    ("commitcount", "How many records were made of that one, whatever commits it held", Form::Number),
];

#[derive(Clone, Copy)]
enum Form {
    Text,
    Number,
    Format(&'static str),
    Pattern(&'static str),
}

/// Returns the document. Schemas of `data` are referred to by their paths below `schemas/`.
#[must_use]
pub fn document() -> Value {
    let types = || schema::EVENT_TYPES.into_iter().chain([COMMIT_REJECTED]);
    let in_channel: Map<_, _> = types().map(|name| (key(name), reference(&format!("#/components/messages/{}", key(name))))).collect();
    let of_operation: Vec<_> = types().map(|name| reference(&format!("#/channels/events/messages/{}", key(name)))).collect();
    let mut messages: Map<_, _> = schema::EVENT_TYPES.iter().map(|name| (key(name), event(name))).collect();
    messages.insert(key(COMMIT_REJECTED), rejection());
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "ClipFlow events",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Every upload, transcript, clip, edit and publishing decision, in the order in which it counts. \
                Records are CloudEvents 1.0 in Kafka's binary content mode. Skip types that you do not know: later versions add some.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "defaultContentType": PROTOBUF,
        "channels": { "events": {
            "address": "{prefix}.events",
            "description": "Records of one workspace share a partition and keep their order.",
            "parameters": { "prefix": {
                "description": "`prefix` of the section [log] in the configuration",
                "default": "clipflow",
            } },
            "bindings": { "kafka": { "topicConfiguration": { "cleanup.policy": ["delete"], "retention.ms": -1 }, "bindingVersion": "0.5.0" } },
            "messages": in_channel,
        } },
        "operations": { "sendEvents": {
            "action": "send",
            "summary": "What counts is written once, by the sequencer of the partition.",
            "channel": reference("#/channels/events"),
            "messages": of_operation,
        } },
        "components": {
            "messages": messages,
            "messageTraits": {
                "record": { "headers": headers(&COMMIT_HEADERS), "bindings": { "kafka": {
                    "key": { "type": "string", "pattern": WORKSPACE, "description": "The workspace" },
                    "bindingVersion": "0.5.0",
                } } },
            },
            "schemas": { "eventHeaders": headers(&EVENT_HEADERS) },
        },
    })
}

fn event(event_type: &str) -> Value {
    let message = schema::message(event_type).map(|message| message.full_name().to_owned()).unwrap_or_default();
    json!({
        "name": event_type,
        "title": event_type,
        "contentType": PROTOBUF,
        "description": format!("The value is the protobuf message `{message}` (schemas/protobuf/clipflow.binpb); \
            the schema describes the same by the protobuf JSON mapping."),
        "headers": { "allOf": [typed(event_type, EVENT), reference("#/components/schemas/eventHeaders")] },
        "payload": reference(&format!("./events/v1/{event_type}.json")),
        "traits": [reference("#/components/messageTraits/record")],
    })
}

fn rejection() -> Value {
    json!({
        "name": COMMIT_REJECTED,
        "title": COMMIT_REJECTED,
        "contentType": PROTOBUF,
        "description": "Not an event: a commit that came too late and counts for nothing. Readers skip it. \
            The value is the protobuf message `clipflow.log.v1.CommitRejected`.",
        "headers": typed(COMMIT_REJECTED, COMMIT),
        "payload": { "type": "object" },
        "traits": [reference("#/components/messageTraits/record")],
    })
}

/// The attributes that CloudEvents requires of every record.
fn typed(event_type: &str, id: &str) -> Value {
    json!({
        "type": "object",
        "required": ["content-type", "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject"],
        "properties": {
            "content-type": { "const": PROTOBUF },
            "ce_specversion": { "const": "1.0" },
            "ce_id": { "type": "string", "pattern": id },
            "ce_source": { "type": "string", "pattern": WORKSPACE.replace('^', "^/workspaces/") },
            "ce_type": { "const": event_type },
            "ce_subject": { "type": "string", "description": "The stream, such as clip-018f3c…" },
        },
    })
}

fn headers(known: &[(&str, &str, Form)]) -> Value {
    let required: Vec<_> = known.iter().filter(|(name, ..)| !OPTIONAL.contains(name)).map(|(name, ..)| format!("ce_{name}")).collect();
    let properties: Map<_, _> = known.iter().map(|(name, meaning, form)| (format!("ce_{name}"), text(meaning, *form))).collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

/// Headers are text, numbers too.
fn text(meaning: &str, form: Form) -> Value {
    let mut schema = json!({ "type": "string", "description": meaning });
    match form {
        Form::Text => {}
        Form::Number => schema["pattern"] = json!("^[0-9]+$"),
        Form::Pattern(pattern) => schema["pattern"] = json!(pattern),
        Form::Format(format) => schema["format"] = json!(format),
    }
    schema
}

fn reference(to: &str) -> Value {
    json!({ "$ref": to })
}

/// Names of messages must not hold dots: `clip.render_failed` is `clipRenderFailed`.
fn key(event_type: &str) -> String {
    let mut words = event_type.split(['.', '_']);
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut name, word| {
        name.extend(schema::capitalised(word));
        name
    })
}
