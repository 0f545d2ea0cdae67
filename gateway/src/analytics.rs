//! SQL over the lake, as the gateway sees it: a question, and an answer or a reason. What answers it is somebody else's, and heavy.

use domain::id::WorkspaceId;
use futures::future::BoxFuture;
use serde_json::Value;

/// Answers questions.
pub type Analytics = Box<dyn Fn(Question) -> BoxFuture<'static, Result<Answer, NoAnswer>> + Send + Sync>;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who asks: nothing else is seen.
    pub workspace: WorkspaceId,
    /// One query.
    pub sql: String,
    /// A table's version or a time, when a past state is asked for.
    pub as_of: Option<String>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Its columns, in order.
    pub columns: Vec<Column>,
    /// Its rows, each with a value for every column.
    pub rows: Vec<Vec<Value>>,
    /// The tables that were read, each with the version it had.
    pub versions: Vec<(String, u64)>,
}

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// As the statement calls it.
    pub name: String,
    /// What it holds, such as `Int64` or `Utf8`.
    pub kind: String,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// The caller can do something about it.
    Refused {
        /// Stable code.
        code: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The caller cannot.
    Failed(anyhow::Error),
}
