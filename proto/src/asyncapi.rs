//! The public topic of events as an `AsyncAPI` 3.0 document, for readers that use Kafka's own clients.

use crate::cloudevents::{COMMIT_REJECTED, JSON, PROTOBUF};
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

/// Where the event of a record with JSON lies.
const JSON_HEADERS: [(&str, &str, Form); 1] =
    [("eventoffset", "Offset of the record in the topic of events that this one was made of", Form::Number)];

/// A topic: its name in the document, its media type of data, the end of its messages' names, and how it is told.
struct Channel {
    name: &'static str,
    address: &'static str,
    content_type: &'static str,
    suffix: &'static str,
    description: &'static str,
    operation: (&'static str, &'static str),
}

const EVENTS: Channel = Channel {
    name: "events",
    address: "{prefix}.events",
    content_type: PROTOBUF,
    suffix: "",
    description: "Records of one workspace share a partition and keep their order.",
    operation: ("sendEvents", "What counts is written once, by the sequencer of the partition."),
};

const EVENTS_JSON: Channel = Channel {
    name: "eventsJson",
    address: "{prefix}.events.json",
    content_type: JSON,
    suffix: "Json",
    description: "The same events with the same headers, and JSON as data; there where a process has the role `json`.",
    operation: ("sendEventsJson", "Every event of the other topic is written here too, by the process that has its partition."),
};

impl Channel {
    fn message(&self, event_type: &str) -> String {
        format!("{}{}", key(event_type), self.suffix)
    }

    fn describe(&self, types: &[&str]) -> Value {
        let messages: Map<_, _> = types.iter().map(|name| self.message(name)).map(in_components).collect();
        json!({
            "address": self.address,
            "description": self.description,
            "parameters": { "prefix": {
                "description": "`prefix` of the section [log] in the configuration",
                "default": "clipflow",
            } },
            "bindings": { "kafka": { "topicConfiguration": { "cleanup.policy": ["delete"], "retention.ms": -1 }, "bindingVersion": "0.5.0" } },
            "messages": messages,
        })
    }

    fn operate(&self, types: &[&str]) -> Value {
        let message = |name: &&str| reference(&format!("#/channels/{}/messages/{}", self.name, self.message(name)));
        json!({
            "action": "send",
            "summary": self.operation.1,
            "channel": reference(&format!("#/channels/{}", self.name)),
            "messages": types.iter().map(message).collect::<Vec<_>>(),
        })
    }
}

/// Returns the document. Schemas of `data` are referred to by their paths below `schemas/`.
#[must_use]
pub fn document() -> Value {
    let events = schema::EVENT_TYPES;
    let records: Vec<_> = events.into_iter().chain([COMMIT_REJECTED]).collect();
    let of = |channel: &'static Channel| events.iter().map(move |name| (channel.message(name), event(name, channel)));
    let mut messages: Map<_, _> = of(&EVENTS).chain(of(&EVENTS_JSON)).collect();
    messages.insert(EVENTS.message(COMMIT_REJECTED), rejection());
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
        "channels": { (EVENTS.name): EVENTS.describe(&records), (EVENTS_JSON.name): EVENTS_JSON.describe(&events) },
        "operations": { (EVENTS.operation.0): EVENTS.operate(&records), (EVENTS_JSON.operation.0): EVENTS_JSON.operate(&events) },
        "components": {
            "messages": messages,
            "messageTraits": {
                "record": { "headers": headers(&COMMIT_HEADERS), "bindings": { "kafka": {
                    "key": { "type": "string", "pattern": WORKSPACE, "description": "The workspace" },
                    "bindingVersion": "0.5.0",
                } } },
            },
            "schemas": { "eventHeaders": headers(&EVENT_HEADERS), "jsonHeaders": headers(&JSON_HEADERS) },
        },
    })
}

fn event(event_type: &str, channel: &Channel) -> Value {
    let message = schema::message(event_type).map(|message| message.full_name().to_owned()).unwrap_or_default();
    let mut schemas = vec![typed(event_type, EVENT, channel.content_type), reference("#/components/schemas/eventHeaders")];
    let form = if channel.content_type == JSON {
        schemas.push(reference("#/components/schemas/jsonHeaders"));
        format!("The value is the protobuf JSON mapping of `{message}`, as the schema says.")
    } else {
        format!(
            "The value is the protobuf message `{message}` (schemas/protobuf/clipflow.binpb); \
            the schema describes the same by the protobuf JSON mapping."
        )
    };
    json!({
        "name": event_type,
        "title": event_type,
        "contentType": channel.content_type,
        "description": form,
        "headers": { "allOf": schemas },
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
        "headers": typed(COMMIT_REJECTED, COMMIT, PROTOBUF),
        "payload": { "type": "object" },
        "traits": [reference("#/components/messageTraits/record")],
    })
}

/// The attributes that CloudEvents requires of every record.
fn typed(event_type: &str, id: &str, content_type: &str) -> Value {
    json!({
        "type": "object",
        "required": ["content-type", "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject"],
        "properties": {
            "content-type": { "const": content_type },
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

/// Returns an entry that stands for the message of the same name among the components.
fn in_components(name: String) -> (String, Value) {
    let to = reference(&format!("#/components/messages/{name}"));
    (name, to)
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
