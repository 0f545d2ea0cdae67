//! Why a question has no answer.

use deltalake::datafusion::error::DataFusionError;
use std::time::Duration;
use thiserror::Error;

/// Why a question has no answer: what is wrong, and what to do.
#[derive(Debug, Error)]
pub enum QueryError {
    /// It is no SQL, or names what is not there.
    #[error("the statement cannot be understood: {0}")]
    BadSql(String),
    /// It is something else than one query.
    #[error("only one SELECT is answered, nothing that writes, sets, explains or shows: {0}")]
    NotAQuery(String),
    /// See [`super::SQL_BYTES_MAX`].
    #[error("a statement has at most {limit} bytes, this one has {bytes}")]
    TooLong {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
    /// Nobody has written a table yet.
    #[error("nothing has been written to the lake yet: wait for the first write of `clipflow serve`, or run `clipflow lake sync`")]
    Empty,
    /// The table was never in that state, or it was vacuumed away.
    #[error("{table} has no such version any more, or not yet; its latest is {latest}")]
    NoSuchVersion {
        /// Which.
        table: &'static str,
        /// Its latest version.
        latest: u64,
    },
    /// Versions count per table.
    #[error("a version belongs to one table, and the statement reads {tables}: ask for a time instead")]
    VersionNeedsOneTable {
        /// How many it reads.
        tables: usize,
    },
    /// See [`super::Limits::time`].
    #[error("it took longer than {} s: narrow it down, such as by date", limit.as_secs())]
    TooSlow {
        /// How long it may take.
        limit: Duration,
    },
    /// See [`super::Limits::memory_bytes`].
    #[error("it needs more memory than a question may have: narrow it down, such as by date, or group by less")]
    TooMuchMemory,
    /// See [`super::Limits::rows`].
    #[error("the answer has more than {limit} rows: add LIMIT {limit}, or group")]
    TooManyRows {
        /// How many it may have.
        limit: usize,
    },
    /// See [`super::Limits::answer_bytes`].
    #[error("the answer has more than {limit} bytes: select fewer columns or rows")]
    TooLarge {
        /// How large it may be.
        limit: usize,
    },
    /// It cannot be computed, such as a division by zero.
    #[error("it cannot be computed: {0}")]
    Failed(String),
    /// It was ended from outside, or it broke the engine.
    #[error("it was broken off: ask again, and more simply if it happens again")]
    Interrupted,
    /// What another process said of its own error.
    #[error("{reason}")]
    Told {
        /// Its code.
        code: String,
        /// Its words.
        reason: String,
    },
    /// The tables cannot be read.
    #[error("the lake cannot be read")]
    Unavailable(#[from] anyhow::Error),
}

impl QueryError {
    /// Returns the stable code.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::BadSql(_) => "LAKE_BAD_SQL",
            Self::NotAQuery(_) => "LAKE_NOT_A_QUERY",
            Self::TooLong { .. } => "LAKE_SQL_TOO_LONG",
            Self::Empty => "LAKE_EMPTY",
            Self::NoSuchVersion { .. } => "LAKE_NO_SUCH_VERSION",
            Self::VersionNeedsOneTable { .. } => "LAKE_VERSION_NEEDS_ONE_TABLE",
            Self::TooSlow { .. } => "LAKE_TIMEOUT",
            Self::TooMuchMemory => "LAKE_MEMORY",
            Self::TooManyRows { .. } => "LAKE_TOO_MANY_ROWS",
            Self::TooLarge { .. } => "LAKE_ANSWER_TOO_LARGE",
            Self::Failed(_) => "LAKE_QUERY_FAILED",
            Self::Interrupted => "LAKE_INTERRUPTED",
            Self::Told { code, .. } => code,
            Self::Unavailable(_) => "LAKE_UNAVAILABLE",
        }
    }

    /// Returns what went wrong before anything ran.
    pub(super) fn planning(error: DataFusionError) -> Self {
        match error.find_root() {
            DataFusionError::SQL(..)
            | DataFusionError::Plan(_)
            | DataFusionError::SchemaError(..)
            | DataFusionError::NotImplemented(_)
            | DataFusionError::Diagnostic(..)
            | DataFusionError::Collection(_) => Self::BadSql(sentence(&error)),
            _ => Self::running(error),
        }
    }

    /// Returns what went wrong while it ran.
    pub(super) fn running(error: DataFusionError) -> Self {
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => Self::TooMuchMemory,
            DataFusionError::ArrowError(..)
            | DataFusionError::Execution(_)
            | DataFusionError::Plan(_)
            | DataFusionError::SchemaError(..)
            | DataFusionError::NotImplemented(_)
            | DataFusionError::Internal(_) => Self::Failed(sentence(&error)),
            _ => Self::Unavailable(anyhow::Error::from(error).context("reading the tables")),
        }
    }
}

/// Returns an engine's words without what it says to its own developers.
fn sentence(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    text.split("\nThis issue was likely caused by a bug").next().unwrap_or_default().trim().to_owned()
}
