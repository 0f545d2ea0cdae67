//! What the harness and a client process say to each other, one JSON object a line; and what the history says of it.

use domain::id::{CommitId, EventId, WorkspaceId};
use runtime::log::Expected;
use serde::{Deserialize, Serialize};

/// What one commit appends to one stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) stream: String,
    pub(crate) expected: Expectation,
    /// Of [`Expectation::Exact`].
    pub(crate) version: u64,
    pub(crate) events: Vec<EventId>,
}

/// [`Expected`] by its name; the version stands beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Expectation {
    Any,
    Exists,
    Empty,
    Exact,
}

impl Part {
    /// Returns what the log calls it.
    pub(crate) fn expected(&self) -> Expected {
        match self.expected {
            Expectation::Any => Expected::Any,
            Expectation::Exists => Expected::Exists,
            Expectation::Empty => Expected::Empty,
            Expectation::Exact => Expected::Exact(self.version),
        }
    }
}

/// A question to a client process.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ask {
    /// Append this; the same again when it is asked again.
    Append { workspace: WorkspaceId, commit: CommitId, at_us: u64, parts: Vec<Part> },
    /// Read a stream of the local workspace from a version to its end, once everything below the position `after` is here.
    Read { stream: String, from: u64, after: u64 },
}

/// What became of an append, as the client knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
pub(crate) enum Outcome {
    Accepted {
        first: u64,
        last: u64,
    },
    Rejected {
        stream: String,
        /// The version of its last event, -1 when it has none.
        actual: i64,
    },
    Unknown,
}

/// An answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Said {
    Append {
        commit: CommitId,
        outcome: Outcome,
    },
    Read {
        events: Vec<EventId>,
    },
    /// It could not be done in time; a read that failed says nothing.
    Failed {
        why: String,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Question {
    pub(crate) id: u64,
    pub(crate) ask: Ask,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) id: u64,
    pub(crate) said: Said,
    /// The token of the answer: everything below this position of the local workspace's partition is known to the one who answers.
    pub(crate) head: u64,
}
