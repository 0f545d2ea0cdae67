//! Records of the two topics.
//!
//! Commits are one protobuf message. An output is a CloudEvent in Kafka's binary binding: attributes as `ce_` headers, the payload as value.

use crate::log::sequencer::{Body, Output, Place};
use crate::log::{Commit, Conflict, Expected, StreamAppend};
use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use domain::Timestamp;
use domain::id::{CommitId, EventId, WorkspaceId};
use prost::Message as _;
use proto::cloudevents::{COMMIT_REJECTED, PROTOBUF};
use proto::log_v1 as wire;
use proto::{Metadata, NewEvent, Recorded, cloudevents};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use std::borrow::Cow;
use std::cell::Cell;
use uuid::Uuid;

/// The header that names the value's media type.
const CONTENT_TYPE: &str = "content-type";

/// What the names of headers begin with that are CloudEvents attributes.
const PREFIX: &str = "ce_";

/// The attribute of a record with JSON that names the record of the events which it was made of.
const EVENT_OFFSET: &str = "eventoffset";

/// Enough for the longest name of a header.
const HEADER_NAME_BYTES: usize = 24;

/// A record to produce.
pub(super) struct Record {
    pub(super) key: String,
    pub(super) headers: OwnedHeaders,
    pub(super) payload: Bytes,
}

/// Returns the message of a commit.
pub(super) fn commit_to_message(commit: &Commit) -> wire::Commit {
    let Metadata { at, actor, correlation, causation, traceparent } = &commit.metadata;
    let streams = commit.streams.iter().map(|append| wire::Append {
        stream: append.stream.as_str().to_owned(),
        expected: Some(expected(append.expected)),
        events: append.events.iter().map(event).collect(),
    });
    wire::Commit {
        id: uuid_bytes(commit.id.0),
        workspace: uuid_bytes(commit.workspace.0),
        streams: streams.collect(),
        metadata: Some(wire::Metadata {
            at_us: at.0,
            actor: actor.clone(),
            correlation: uuid_bytes(*correlation),
            causation: causation.map(|cause| uuid_bytes(cause.0)),
            traceparent: traceparent.clone(),
        }),
    }
}

/// Returns the commits of a record; one that cannot be read is an error, and so is a record that cannot.
pub(super) fn commits_from_bytes(bytes: &[u8]) -> impl Iterator<Item = anyhow::Result<Commit>> {
    let messages = match wire::Commits::decode(bytes) {
        // A record of a log of rule 1, or nothing that can be read.
        Ok(message) if message.commits.is_empty() => vec![wire::Commit::decode(bytes)],
        Ok(message) => message.commits.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    };
    messages.into_iter().map(|message| commit_from_message(message?))
}

fn commit_from_message(message: wire::Commit) -> anyhow::Result<Commit> {
    let metadata = message.metadata.context("metadata is missing")?;
    let commit = Commit {
        id: CommitId(uuid(&message.id)?),
        workspace: WorkspaceId(uuid(&message.workspace)?),
        streams: message.streams.into_iter().map(append_back).collect::<anyhow::Result<_>>()?,
        metadata: Metadata {
            at: Timestamp(metadata.at_us),
            actor: metadata.actor,
            correlation: uuid(&metadata.correlation)?,
            causation: metadata.causation.map(|id| uuid(&id).map(EventId)).transpose()?,
            traceparent: metadata.traceparent,
        },
    };
    commit.check()?;
    Ok(commit)
}

fn event(event: &NewEvent) -> wire::NewEvent {
    wire::NewEvent {
        id: uuid_bytes(event.id.0),
        r#type: event.event_type.to_string(),
        schema_version: event.schema_version,
        payload: event.payload.to_vec(),
    }
}

fn append_back(append: wire::Append) -> anyhow::Result<StreamAppend> {
    let event = |event: wire::NewEvent| {
        anyhow::Ok(NewEvent {
            id: EventId(uuid(&event.id)?),
            event_type: event.r#type.into(),
            schema_version: event.schema_version,
            payload: event.payload.into(),
        })
    };
    Ok(StreamAppend {
        stream: append.stream.parse()?,
        expected: expected_back(append.expected)?,
        events: append.events.into_iter().map(event).collect::<anyhow::Result<_>>()?,
    })
}

fn expected(expected: Expected) -> wire::Expected {
    use wire::expected::{Any, Empty, Exists, What};
    let what = match expected {
        Expected::Any => What::Any(Any {}),
        Expected::Exists => What::Exists(Exists {}),
        Expected::Empty => What::Empty(Empty {}),
        Expected::Exact(version) => What::Exact(version),
    };
    wire::Expected { what: Some(what) }
}

fn expected_back(expected: Option<wire::Expected>) -> anyhow::Result<Expected> {
    use wire::expected::What;
    Ok(match expected.and_then(|expected| expected.what).context("what is expected is missing")? {
        What::Any(_) => Expected::Any,
        What::Exists(_) => Expected::Exists,
        What::Empty(_) => Expected::Empty,
        What::Exact(version) => Expected::Exact(version),
    })
}

fn uuid(bytes: &[u8]) -> anyhow::Result<Uuid> {
    Uuid::from_slice(bytes).with_context(|| format!("an id has {} bytes", bytes.len()))
}

fn uuid_bytes(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

/// Returns the record of an output.
pub(super) fn output_to_record(output: &Output) -> Record {
    let (attributes, payload) = match &output.body {
        Body::Event(event) => (cloudevents::attributes(event), event.payload.clone()),
        Body::Rejected { workspace, conflict } => rejected(output.commit, *workspace, conflict),
    };
    record(output, attributes, PROTOBUF, payload)
}

/// Returns the record of an output that is `event`, with its data as JSON; as protobuf where we do not know the type. `offset` is where it
/// lies among the events.
pub(super) fn output_to_json_record(output: &Output, event: &Recorded, offset: i64) -> Record {
    let mut attributes = cloudevents::attributes(event);
    attributes.push((EVENT_OFFSET, offset.to_string().into()));
    match cloudevents::data(event) {
        Some(data) => record(output, attributes, cloudevents::JSON, data.to_string().into()),
        None => record(output, attributes, PROTOBUF, event.payload.clone()),
    }
}

/// Reads where the event of a record with JSON lies among the events, and its position.
pub(super) fn json_place(record: &impl Message) -> anyhow::Result<(i64, u64)> {
    let headers = record.headers().context("it has no headers")?;
    let get = |name: &str| {
        let header = headers.iter().find(|header| header.key.strip_prefix(PREFIX) == Some(name));
        let value = header.and_then(|header| header.value).with_context(|| format!("{name} is missing"))?;
        std::str::from_utf8(value).with_context(|| format!("{name} is not text"))
    };
    Ok((get(EVENT_OFFSET)?.parse()?, get("position")?.parse()?))
}

fn record(output: &Output, mut attributes: Vec<(&'static str, Cow<'_, str>)>, content_type: &str, payload: Bytes) -> Record {
    let Output { place, count, commit, body } = output;
    attributes.push(("commitid", commit.to_string().into()));
    attributes.push(("commitoffset", place.commit_offset.to_string().into()));
    attributes.push(("commitindex", place.index.to_string().into()));
    attributes.push(("commitcount", count.to_string().into()));
    let mut headers = OwnedHeaders::new_with_capacity(attributes.len() + 1);
    headers = headers.insert(Header { key: CONTENT_TYPE, value: Some(content_type) });
    let mut key = String::with_capacity(HEADER_NAME_BYTES);
    for (name, value) in &attributes {
        key.clear();
        key.push_str(PREFIX);
        key.push_str(name);
        headers = headers.insert(Header { key: &key, value: Some(&**value) });
    }
    Record { key: body.workspace().to_string(), headers, payload }
}

fn rejected(commit: CommitId, workspace: WorkspaceId, conflict: &Conflict) -> (Vec<(&'static str, Cow<'_, str>)>, Bytes) {
    let attributes = vec![
        ("specversion", "1.0".into()),
        ("id", commit.to_string().into()),
        ("source", format!("/workspaces/{workspace}").into()),
        ("type", COMMIT_REJECTED.into()),
        ("subject", conflict.stream.as_str().into()),
    ];
    let message = wire::CommitRejected {
        stream: conflict.stream.as_str().to_owned(),
        expected: Some(expected(conflict.expected)),
        actual: conflict.actual,
    };
    (attributes, message.encode_to_vec().into())
}

/// Reads the event of a record; none when the record says that a commit was rejected.
pub(crate) fn event_from_record(record: &impl Message) -> anyhow::Result<Option<Recorded>> {
    Ok(match output_from_record(record)?.body {
        Body::Event(event) => Some(event),
        Body::Rejected { .. } => None,
    })
}

/// Reads a record of the events topic.
pub(super) fn output_from_record(record: &impl Message) -> anyhow::Result<Output> {
    let headers = record.headers().context("it has no headers")?;
    let mut attributes = Vec::with_capacity(headers.count());
    for header in headers.iter() {
        if let (Some(name), Some(value)) = (header.key.strip_prefix(PREFIX), header.value) {
            attributes.push((name, std::str::from_utf8(value).with_context(|| format!("{name} is not text"))?));
        }
    }
    // They are looked up about in the order in which they are written, so the search goes on where the last one ended: a map costs more.
    let cursor = Cell::new(0);
    let get = |name: &str| {
        let (before, after) = attributes.split_at(cursor.get());
        let found = after.iter().chain(before).position(|(known, _)| *known == name)?;
        let index = (cursor.get() + found) % attributes.len();
        cursor.set(index + 1);
        Some(attributes[index].1)
    };
    let required = |name: &str| get(name).with_context(|| format!("{name} is missing"));
    let payload = record.payload().unwrap_or_default();
    let commit = required("commitid")?.parse()?;
    let place = Place { commit_offset: required("commitoffset")?.parse()?, index: required("commitindex")?.parse()? };
    let body = if required("type")? == COMMIT_REJECTED {
        let source = required("source")?.strip_prefix("/workspaces/").context("source is not a workspace")?;
        let message = wire::CommitRejected::decode(payload)?;
        let conflict = Conflict { stream: message.stream.parse()?, expected: expected_back(message.expected)?, actual: message.actual };
        Body::Rejected { workspace: source.parse()?, conflict }
    } else {
        let event = cloudevents::from_attributes(get, Bytes::copy_from_slice(payload)).map_err(|problem| anyhow!(problem))?;
        Body::Event(event)
    };
    let count = required("commitcount")?.parse()?;
    if place.index >= count {
        bail!("commitindex {} is not below commitcount {count}", place.index);
    }
    Ok(Output { place, count, commit, body })
}
