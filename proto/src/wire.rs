//! Ties an aggregate's events to their type names and bytes.

use crate::{NewEvent, Recorded, StreamName};
use bytes::Bytes;
use domain::Decider;
use domain::id::EventId;
use thiserror::Error;
use uuid::Uuid;

/// An event as type name, schema version and protobuf bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Such as `clip.accepted`.
    pub event_type: &'static str,
    /// Version of the payload's schema, from 1.
    pub schema_version: u32,
    /// Protobuf bytes.
    pub payload: Bytes,
}

/// Bytes that are not what their type name says.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("undecodable {event_type} v{schema_version}: {problem}")]
pub struct DecodeError {
    /// The type name that was found.
    pub event_type: String,
    /// The schema version that was found.
    pub schema_version: u32,
    /// What is wrong.
    pub problem: String,
}

/// An aggregate whose events have a place and a form on the log.
pub trait Wire: Decider {
    /// The category of its streams, such as `clip`.
    const CATEGORY: &'static str;

    /// Returns the bytes of an event.
    fn encode(event: &Self::Event) -> Encoded;

    /// Returns the event behind a type name and bytes, or `None` for a type that this version of the program does not know.
    ///
    /// # Errors
    /// [`DecodeError`] when a known type carries wrong bytes.
    fn decode(event_type: &str, schema_version: u32, payload: &[u8]) -> Result<Option<Self::Event>, DecodeError>;

    /// Returns the stream of aggregate `id`.
    #[must_use]
    fn stream(id: Uuid) -> StreamName {
        StreamName::new(Self::CATEGORY, id)
    }

    /// Returns a recorded event of this aggregate, or `None` when it is another's or of an unknown type.
    ///
    /// # Errors
    /// [`DecodeError`] when a known type carries wrong bytes.
    fn recorded(event: &Recorded) -> Result<Option<Self::Event>, DecodeError> {
        if event.stream.category() == Self::CATEGORY {
            Self::decode(&event.event_type, event.schema_version, &event.payload)
        } else {
            Ok(None)
        }
    }

    /// Returns `event` ready to be appended under `id`.
    #[must_use]
    fn new_event(id: EventId, event: &Self::Event) -> NewEvent {
        let Encoded { event_type, schema_version, payload } = Self::encode(event);
        NewEvent { id, event_type: event_type.into(), schema_version, payload }
    }
}

/// Encodes a message as version 1 of `event_type`.
pub(crate) fn encoded(event_type: &'static str, message: &impl prost::Message) -> Encoded {
    Encoded { event_type, schema_version: 1, payload: message.encode_to_vec().into() }
}

/// Decodes `payload` as a message and maps it with `back`, naming the type in whatever goes wrong.
pub(crate) fn decoded<M: prost::Message + Default, E>(
    event_type: &str,
    schema_version: u32,
    payload: &[u8],
    back: impl FnOnce(M) -> Result<E, String>,
) -> Result<Option<E>, DecodeError> {
    M::decode(payload).map_err(|error| error.to_string()).and_then(back).map(Some).map_err(|problem| DecodeError {
        event_type: event_type.into(),
        schema_version,
        problem,
    })
}
