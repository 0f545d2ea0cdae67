//! Events as CloudEvents 1.0: JSON for people and for subscribers who ask for it, attributes for bindings that carry them as headers.

use crate::convert::parse;
use crate::{Metadata, Recorded, schema};
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat};
use domain::Timestamp;
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// Those of [`attributes`], and those that the log on Kafka adds.
const ATTRIBUTES_MAX: usize = 17;

/// Type of the record on the public topic that is not an event: a commit that counts for nothing.
pub const COMMIT_REJECTED: &str = "log.commit_rejected";

/// Media type of payloads as the log stores them.
pub const PROTOBUF: &str = "application/protobuf";

/// Media type of payloads by the protobuf JSON mapping.
pub const JSON: &str = "application/json";

/// The `source` of every event: a workspace is where it happened.
#[must_use]
pub fn source(event: &Recorded) -> String {
    format!("/workspaces/{}", event.workspace)
}

/// Returns the attributes that every form of an event shows, in order: the specification's, then the log's own as extensions.
#[must_use]
pub fn attributes(event: &Recorded) -> Vec<(&'static str, Cow<'_, str>)> {
    let mut attributes: Vec<(_, Cow<'_, str>)> = Vec::with_capacity(ATTRIBUTES_MAX);
    attributes.extend([
        ("specversion", "1.0".into()),
        ("id", event.id.to_string().into()),
        ("source", source(event).into()),
        ("type", (&*event.event_type).into()),
        ("subject", event.stream.as_str().into()),
        ("time", time(event.metadata.at.0).into()),
        ("dataschema", dataschema(event).into()),
        ("position", event.position.to_string().into()),
        ("streamversion", event.version.to_string().into()),
        ("actor", event.metadata.actor.as_str().into()),
        ("correlationid", event.metadata.correlation.to_string().into()),
    ]);
    attributes.extend(event.metadata.causation.map(|causation| ("causationid", causation.to_string().into())));
    attributes.extend(event.metadata.traceparent.as_deref().map(|traceparent| ("traceparent", traceparent.into())));
    attributes
}

/// Returns the event whose attributes `get` looks up by name, the inverse of [`attributes`].
///
/// # Errors
/// What is missing or wrong.
pub fn from_attributes<'a>(get: impl Fn(&str) -> Option<&'a str>, payload: Bytes) -> Result<Recorded, String> {
    let required = |name: &str| get(name).ok_or_else(|| format!("{name} is missing"));
    let number = |name: &str| parse::<u64>(required(name)?, name);
    let workspace = required("source")?.strip_prefix("/workspaces/").ok_or("source is not a workspace")?;
    let time = DateTime::parse_from_rfc3339(required("time")?).map_err(|error| format!("time: {error}"))?;
    Ok(Recorded {
        id: parse(required("id")?, "id")?,
        workspace: parse(workspace, "source")?,
        stream: parse(required("subject")?, "subject")?,
        version: number("streamversion")?,
        position: number("position")?,
        event_type: required("type")?.into(),
        schema_version: schema_version(required("dataschema")?).ok_or("dataschema names no version")?,
        payload,
        metadata: Metadata {
            at: Timestamp(u64::try_from(time.timestamp_micros()).map_err(|_| "time is before 1970")?),
            actor: required("actor")?.to_owned(),
            correlation: parse(required("correlationid")?, "correlationid")?,
            causation: get("causationid").map(|id| parse(id, "causationid")).transpose()?,
            traceparent: get("traceparent").map(str::to_owned),
        },
    })
}

fn dataschema(event: &Recorded) -> String {
    format!("events/v{}/{}.json", event.schema_version, event.event_type)
}

fn schema_version(dataschema: &str) -> Option<u32> {
    let (version, _) = dataschema.strip_prefix("events/v")?.split_once('/')?;
    version.parse().ok()
}

/// Returns the structured JSON form (CloudEvents 1.0, JSON format §3), with the log's own attributes as extensions.
///
/// `data` is the protobuf JSON mapping of the payload, or base64 in `data_base64` when this version of the program does not know the type.
#[must_use]
pub fn to_json(event: &Recorded) -> Value {
    let attributes = attributes(event).into_iter().map(|(name, value)| (name.to_owned(), Value::String(value.into_owned())));
    let mut object: Map<String, Value> = attributes.collect();
    match data(event) {
        Some(data) => {
            object.insert("datacontenttype".into(), json!(JSON));
            object.insert("data".into(), data);
        }
        None => {
            object.insert("datacontenttype".into(), json!(PROTOBUF));
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
