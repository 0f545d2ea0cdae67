//! The log port: append commits, read streams, follow everything.
//!
//! A *workspace* is the scope of order: its streams live in one partition and see one total order of positions. A *commit* appends to
//! streams of one workspace, all or nothing, and its id is accepted once: the first verdict stands, also a rejection.
//! Adapters must pass [`conformance::suite`]. Nothing here knows what an event means.

pub mod any;
pub mod conformance;
pub mod kafka;
pub mod sequencer;
pub mod simulated;
pub mod sqlite;

use domain::id::{CommitId, WorkspaceId};
use futures::stream::BoxStream;
use proto::{Metadata, NewEvent, Recorded, StreamName};
use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use thiserror::Error;

/// Largest payload of one event. What is larger is a blob: replay reads every payload of every event, for ever.
pub const EVENT_BYTES_MAX: usize = 256 * 1024;

/// Most events in one commit: one commit is one write transaction, and nobody else is served meanwhile.
pub const COMMIT_EVENTS_MAX: usize = 4_096;

/// Largest sum of payloads in one commit, for the same reason.
pub const COMMIT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A part of the log with its own order and positions. The embedded log has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(pub u32);

impl Partition {
    /// The only partition of an embedded log.
    pub const EMBEDDED: Self = Self(0);
}

/// What must be true of a stream for a commit to be accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Any,
    /// It has at least one event.
    Exists,
    /// It has no event.
    Empty,
    /// Its last event has this version.
    Exact(u64),
}

impl Expected {
    /// Tells whether a stream whose last event has version `actual` (`None`: no event) is as expected.
    #[must_use]
    pub fn accepts(self, actual: Option<u64>) -> bool {
        match self {
            Self::Any => true,
            Self::Exists => actual.is_some(),
            Self::Empty => actual.is_none(),
            Self::Exact(version) => actual == Some(version),
        }
    }

    /// Returns the two numbers that it is stored as.
    pub(crate) fn to_parts(self) -> (u8, Option<u64>) {
        match self {
            Self::Any => (0, None),
            Self::Exists => (1, None),
            Self::Empty => (2, None),
            Self::Exact(version) => (3, Some(version)),
        }
    }

    /// Returns what was stored, unless nobody stores that.
    pub(crate) fn from_parts(kind: u8, version: Option<u64>) -> Option<Self> {
        match (kind, version) {
            (0, _) => Some(Self::Any),
            (1, _) => Some(Self::Exists),
            (2, _) => Some(Self::Empty),
            (3, Some(version)) => Some(Self::Exact(version)),
            _ => None,
        }
    }
}

/// Events for one stream, at least one.
#[derive(Clone, Debug)]
pub struct StreamAppend {
    /// Where they go.
    pub stream: StreamName,
    /// What must be true of the stream.
    pub expected: Expected,
    /// In order.
    pub events: Vec<NewEvent>,
}

/// Events for one or more streams of one workspace: all are appended, or none.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Accepted or rejected once; a repeat gets the first verdict.
    pub id: CommitId,
    /// Whose streams they are.
    pub workspace: WorkspaceId,
    /// Each stream once.
    pub streams: Vec<StreamAppend>,
    /// The same for all events.
    pub metadata: Metadata,
}

impl Commit {
    /// Returns how many events there are.
    #[must_use]
    pub fn events(&self) -> usize {
        self.streams.iter().map(|append| append.events.len()).sum()
    }

    /// Checks what every adapter refuses before it looks at any state.
    ///
    /// # Errors
    /// The first broken limit.
    pub fn check(&self) -> Result<(), Invalid> {
        let mut seen = HashSet::new();
        let mut bytes = 0;
        for append in &self.streams {
            if append.events.is_empty() {
                return Err(Invalid::NoEvents { stream: append.stream.clone() });
            }
            if !seen.insert(&append.stream) {
                return Err(Invalid::StreamTwice { stream: append.stream.clone() });
            }
            for event in &append.events {
                if event.payload.len() > EVENT_BYTES_MAX {
                    return Err(Invalid::EventTooLarge { event_type: event.event_type.clone(), bytes: event.payload.len() });
                }
                bytes += event.payload.len();
            }
        }
        let events = self.events();
        if events == 0 || events > COMMIT_EVENTS_MAX || bytes > COMMIT_BYTES_MAX {
            return Err(Invalid::CommitSize { events, bytes });
        }
        Ok(())
    }
}

/// A commit that no log would take, whatever its state.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Invalid {
    /// See [`StreamAppend`].
    #[error("no events for stream {stream}")]
    NoEvents {
        /// Which.
        stream: StreamName,
    },
    /// See [`Commit::streams`].
    #[error("stream {stream} occurs twice in one commit")]
    StreamTwice {
        /// Which.
        stream: StreamName,
    },
    /// See [`EVENT_BYTES_MAX`].
    #[error("event {event_type} has {bytes} bytes, the limit is {EVENT_BYTES_MAX}: larger things are blobs")]
    EventTooLarge {
        /// Which.
        event_type: Arc<str>,
        /// Its size.
        bytes: usize,
    },
    /// See [`COMMIT_EVENTS_MAX`] and [`COMMIT_BYTES_MAX`].
    #[error("a commit has 1 to {COMMIT_EVENTS_MAX} events and at most {COMMIT_BYTES_MAX} bytes, this one has {events} and {bytes}")]
    CommitSize {
        /// How many events.
        events: usize,
        /// How many bytes.
        bytes: usize,
    },
}

/// An accepted commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Position of its first event.
    pub first_position: u64,
    /// Position of its last event; those between are its own too.
    pub last_position: u64,
    /// The commit id was known already: this is the first result, nothing was appended now.
    pub is_repeat: bool,
}

/// A commit was rejected because a stream is not as expected.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("stream {stream} was expected to be {expected:?}, its last version is {actual:?}")]
pub struct Conflict {
    /// The first stream that is not as expected.
    pub stream: StreamName,
    /// What was expected of it.
    pub expected: Expected,
    /// The version of its last event then.
    pub actual: Option<u64>,
}

/// The source of every error that says that the log cannot grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the disk that holds the log is full")]
pub struct LogFull;

/// Why a commit was not appended, or is not known to be.
#[derive(Debug, Error)]
pub enum AppendError {
    /// Rejected, now or when this commit id was first seen. A new decision needs a new commit id.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// Refused before any state was looked at; nothing is remembered.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The disk is full. Nothing was appended.
    #[error("nothing was appended: free some space")]
    Full(#[from] LogFull),
    /// It may or may not have been appended: send the same commit again, or ask [`Log::verdict`].
    #[error("the outcome of the append is not known")]
    Unknown(#[source] anyhow::Error),
}

/// What became of a commit id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its events are on the log.
    Accepted(Appended),
    /// They never will be.
    Rejected(Conflict),
}

/// Which events a reader wants. Empty lists mean all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this workspace's.
    pub workspace: Option<WorkspaceId>,
    /// Only streams of these categories.
    pub categories: Vec<Arc<str>>,
    /// Only these event types.
    pub event_types: Vec<Arc<str>>,
}

impl Filter {
    /// Returns the filter that lets everything through.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Returns the filter for one workspace.
    #[must_use]
    pub fn workspace(workspace: WorkspaceId) -> Self {
        Self { workspace: Some(workspace), ..Self::default() }
    }

    /// Tells whether an event with these properties passes.
    #[must_use]
    pub fn accepts(&self, workspace: WorkspaceId, stream: &StreamName, event_type: &str) -> bool {
        self.workspace.is_none_or(|wanted| wanted == workspace)
            && (self.categories.is_empty() || self.categories.iter().any(|wanted| **wanted == *stream.category()))
            && (self.event_types.is_empty() || self.event_types.iter().any(|wanted| **wanted == *event_type))
    }
}

/// What a reader gets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "almost every item is an event, and a box would cost each an allocation")]
pub enum Item {
    /// An event that passes the filter.
    Event(Recorded),
    /// Every event below this position was sent or filtered out. Sent each time the reader reaches the end of the log.
    CaughtUp(u64),
}

/// Events in order of position, first those that exist, then those that come. It ends only with an error or by being dropped.
pub type Reading = BoxStream<'static, anyhow::Result<Item>>;

/// A durable, ordered log of events. A clone is another handle on the same log.
pub trait Log: Clone + Send + Sync + 'static {
    /// Appends a commit, or says why not. When it returns `Ok`, the events survive a crash.
    fn append(&self, commit: Commit) -> impl Future<Output = Result<Appended, AppendError>> + Send;

    /// Returns what became of a commit id, or `None` when it was never seen.
    fn verdict(&self, workspace: WorkspaceId, commit: CommitId) -> impl Future<Output = anyhow::Result<Option<Verdict>>> + Send;

    /// Returns at most `limit` events of a stream from `from_version` on. It may be a little stale: `append` will tell.
    fn read_stream(
        &self,
        workspace: WorkspaceId,
        stream: &StreamName,
        from_version: u64,
        limit: usize,
    ) -> impl Future<Output = anyhow::Result<Vec<Recorded>>> + Send;

    /// Follows a partition from position `from` on. Must be called inside a Tokio runtime.
    fn read(&self, partition: Partition, from: u64, filter: Filter) -> Reading;

    /// Returns the position that the next event of a partition will get.
    fn head(&self, partition: Partition) -> impl Future<Output = anyhow::Result<u64>> + Send;

    /// Returns the partition that holds a workspace.
    fn partition(&self, workspace: WorkspaceId) -> Partition;

    /// Returns every partition, in order; the same for the life of the log.
    fn partitions(&self) -> Vec<Partition> {
        vec![Partition::EMBEDDED]
    }
}
