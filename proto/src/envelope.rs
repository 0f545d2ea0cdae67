//! What surrounds an event on the log.

use bytes::Bytes;
use domain::Timestamp;
use domain::id::{EventId, WorkspaceId};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use thiserror::Error;
use uuid::Uuid;

/// The name of a stream: an aggregate's category and id, shown as `video-018f3c…`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName(Arc<str>);

/// Longest accepted category, in bytes: names appear in every record and index.
pub const CATEGORY_BYTES_MAX: usize = 32;

impl StreamName {
    /// Returns the name of the stream of aggregate `id` in `category` (lower-case letters).
    #[must_use]
    pub fn new(category: &str, id: Uuid) -> Self {
        Self(format!("{category}-{}", id.simple()).into())
    }

    /// Returns the part before the dash, such as `video`.
    #[must_use]
    pub fn category(&self) -> &str {
        self.0.split_once('-').map_or(&*self.0, |(category, _)| category)
    }

    /// Returns the aggregate's id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.0.split_once('-').and_then(|(_, id)| Uuid::try_parse(id).ok()).expect("the constructors check the id")
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Text that is not a stream name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expected a stream name such as video-018f3c0a…, got {0:?}")]
pub struct NotAStreamName(String);

impl FromStr for StreamName {
    type Err = NotAStreamName;
    fn from_str(text: &str) -> Result<Self, NotAStreamName> {
        let refused = || NotAStreamName(text.chars().take(64).collect());
        let (category, id) = text.split_once('-').ok_or_else(refused)?;
        let is_category = !category.is_empty()
            && category.len() <= CATEGORY_BYTES_MAX
            && category.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let is_id = id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_category && is_id { Ok(Self(text.into())) } else { Err(refused()) }
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who, when and why; the same for all events of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// When it was decided.
    pub at: Timestamp,
    /// Who decided: `owner`, `processor:transcribe`, …
    pub actor: String,
    /// The id shared by everything that one request set off.
    pub correlation: Uuid,
    /// The event that caused this one; `None` when a person did.
    pub causation: Option<EventId>,
    /// W3C trace context, when tracing is on.
    pub traceparent: Option<String>,
}

/// An event that is not on the log yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// Chosen by the writer, so that a retry is the same event.
    pub id: EventId,
    /// Such as `clip.accepted`.
    pub event_type: Arc<str>,
    /// Version of the payload's schema, from 1.
    pub schema_version: u32,
    /// Protobuf bytes.
    pub payload: Bytes,
}

/// An event on the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Unique.
    pub id: EventId,
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// Its stream.
    pub stream: StreamName,
    /// Its place in the stream, from 0.
    pub version: u64,
    /// Its place in the partition, from 0.
    pub position: u64,
    /// Such as `clip.accepted`.
    pub event_type: Arc<str>,
    /// Version of the payload's schema, from 1.
    pub schema_version: u32,
    /// Protobuf bytes.
    pub payload: Bytes,
    /// Who, when and why.
    pub metadata: Metadata,
}
