//! Events as CloudEvents 1.0 JSON, for people and for subscribers who ask for JSON.

use crate::{Recorded, schema};
use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value, json};

/// The `source` of every event: a workspace is where it happened.
#[must_use]
pub fn source(event: &Recorded) -> String {
    format!("/workspaces/{}", event.workspace)
}

/// Returns the structured JSON form (CloudEvents 1.0, JSON format §3), with the log's own attributes as extensions.
///
/// `data` is the protobuf JSON mapping of the payload, or base64 in `data_base64` when this version of the program does not know the type.
#[must_use]
pub fn to_json(event: &Recorded) -> Value {
    let mut object = Map::new();
    object.insert("specversion".into(), json!("1.0"));
    object.insert("id".into(), json!(event.id.to_string()));
    object.insert("source".into(), json!(source(event)));
    object.insert("type".into(), json!(&*event.event_type));
    object.insert("subject".into(), json!(event.stream.as_str()));
    object.insert("time".into(), json!(time(event.metadata.at.0)));
    object.insert("dataschema".into(), json!(format!("events/v{}/{}.json", event.schema_version, event.event_type)));
    object.insert("position".into(), json!(event.position.to_string()));
    object.insert("streamversion".into(), json!(event.version.to_string()));
    object.insert("actor".into(), json!(event.metadata.actor));
    object.insert("correlationid".into(), json!(event.metadata.correlation.to_string()));
    if let Some(causation) = event.metadata.causation {
        object.insert("causationid".into(), json!(causation.to_string()));
    }
    if let Some(traceparent) = &event.metadata.traceparent {
        object.insert("traceparent".into(), json!(traceparent));
    }
    match data(event) {
        Some(data) => {
            object.insert("datacontenttype".into(), json!("application/json"));
            object.insert("data".into(), data);
        }
        None => {
            object.insert("datacontenttype".into(), json!("application/protobuf"));
            object.insert("data_base64".into(), json!(base64(&event.payload)));
        }
    }
    Value::Object(object)
}

/// Returns the payload by the protobuf JSON mapping, or `None` when the type is unknown or the bytes are wrong.
#[must_use]
pub fn data(event: &Recorded) -> Option<Value> {
    let descriptor = schema::message(&event.event_type)?;
    let message = prost_reflect::DynamicMessage::decode(descriptor, event.payload.clone()).ok()?;
    serde_json::to_value(message).ok()
}

fn time(microseconds: u64) -> String {
    let at = i64::try_from(microseconds).ok().and_then(DateTime::from_timestamp_micros).unwrap_or(DateTime::UNIX_EPOCH);
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
