//! Questions in SQL: one read-only statement over the caller's own rows, with limits on memory, time and size.
//!
//! What a caller may see is settled below the SQL: `own` is the only table provider that a session has, and lets nothing but the
//! workspace's rows out, whatever is asked of it. What a statement may be is settled on its plan, in `guard`, never on its text.

mod answer;
pub mod child;
mod error;
mod guard;
mod own;
mod session;

pub use answer::{Answer, Column};
pub use error::QueryError;

use crate::place::{Lake, State};
use crate::pool::Pool;
use crate::tables::{self, Table};
use anyhow::Context as _;
use chrono::{DateTime, NaiveDate, Utc};
use deltalake::DeltaTable;
use deltalake::datafusion::prelude::SessionContext;
use domain::id::WorkspaceId;
use own::Own;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;

/// Longest statement, in bytes: what a planner does grows with it.
pub const SQL_BYTES_MAX: usize = 8 << 10;

/// What one question may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// What sorts, joins and groups may hold at the same time.
    pub memory_bytes: usize,
    /// Most rows of an answer.
    pub rows: usize,
    /// Largest answer as JSON.
    pub answer_bytes: usize,
    /// Longest time, with waiting for others' questions.
    pub time: Duration,
    /// Questions that are answered at the same time; others wait.
    pub at_once: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_bytes: 256 << 20, rows: 10_000, answer_bytes: 8 << 20, time: Duration::from_secs(30), at_once: 2 }
    }
}

/// A past state of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AsOf {
    /// A version of the one table that a statement reads.
    Version(u64),
    /// What had been written at that time.
    Time(DateTime<Utc>),
}

/// Text that is neither a version nor a time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a table's version such as 17, or a time such as 2026-05-01 or 2026-05-01T12:00:00Z")]
pub struct NotAState;

impl FromStr for AsOf {
    type Err = NotAState;
    fn from_str(text: &str) -> Result<Self, NotAState> {
        if let Ok(version) = text.parse() {
            return Ok(Self::Version(version));
        }
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::Time(time.to_utc()));
        }
        let day: NaiveDate = text.parse().map_err(|_| NotAState)?;
        Ok(Self::Time(day.and_time(chrono::NaiveTime::MIN).and_utc()))
    }
}

/// Answers questions. A clone is another handle.
#[derive(Clone)]
pub struct Reader(Arc<Shared>);

struct Shared {
    lake: Lake,
    limits: Limits,
    /// The latest known state of each table: the next question reads only what came since.
    tables: Mutex<HashMap<&'static str, DeltaTable>>,
    turns: Arc<Semaphore>,
    pool: Pool,
}

impl Reader {
    /// Opens a lake for questions.
    ///
    /// # Errors
    /// Its threads cannot be started.
    pub fn open(lake: Lake, limits: Limits) -> anyhow::Result<Self> {
        let turns = Arc::new(Semaphore::new(limits.at_once));
        let pool = Pool::start("lake-query", limits.at_once.max(2))?;
        Ok(Self(Arc::new(Shared { lake, limits, tables: Mutex::default(), turns, pool })))
    }

    /// Answers one statement from a workspace's rows.
    ///
    /// # Errors
    /// See [`QueryError`]; each has a stable code.
    pub async fn query(&self, workspace: WorkspaceId, sql: String, as_of: Option<AsOf>) -> Result<Answer, QueryError> {
        let limit = self.0.limits.time;
        let shared = self.0.clone();
        // The turn is given back when the work ends, not when the caller goes: what cannot be interrupted still counts.
        let asked = async {
            let turn = self.0.turns.clone().acquire_owned().await.map_err(|_| QueryError::Interrupted)?;
            let work = self.0.pool.spawn(async move {
                let answer = shared.answer(workspace, &sql, as_of).await;
                drop(turn);
                answer
            });
            let _stop = Stop(work.abort_handle());
            work.await.map_err(|_| QueryError::Interrupted)?
        };
        timeout(limit, asked).await.unwrap_or(Err(QueryError::TooSlow { limit }))
    }
}

/// Ends work that nobody waits for any more.
struct Stop(tokio::task::AbortHandle);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Shared {
    async fn answer(&self, workspace: WorkspaceId, sql: &str, as_of: Option<AsOf>) -> Result<Answer, QueryError> {
        let session = session::new(self.limits)?;
        let statement = guard::one_query(sql)?;
        let wanted = guard::tables(&session.state(), &statement)?;
        let versions = self.give(&session, &wanted, workspace, as_of).await?;
        let plan = session.state().statement_to_plan(statement).await.map_err(QueryError::planning)?;
        guard::only_reads(&plan)?;
        let physical = session.state().create_physical_plan(&plan).await.map_err(QueryError::running)?;
        answer::collect(physical, session.task_ctx(), self.limits, versions).await
    }

    /// Gives a session its tables, each narrowed to the workspace, and returns their versions.
    async fn give(
        &self,
        session: &SessionContext,
        wanted: &[&'static Table],
        workspace: WorkspaceId,
        as_of: Option<AsOf>,
    ) -> Result<Vec<(&'static str, u64)>, QueryError> {
        if matches!(as_of, Some(AsOf::Version(_))) && wanted.len() != 1 {
            return Err(QueryError::VersionNeedsOneTable { tables: wanted.len() });
        }
        let mut versions = Vec::with_capacity(wanted.len());
        for table in wanted {
            let delta = match as_of {
                None => self.latest(table).await?,
                Some(as_of) => self.past(table, as_of).await?,
            };
            versions.push((table.name, delta.version().unwrap_or(0)));
            let provider = delta.table_provider().await.map_err(QueryError::planning)?;
            let own = Own::new(provider, workspace);
            session.register_table(table.name, Arc::new(own)).map_err(QueryError::planning)?;
        }
        Ok(versions)
    }

    async fn latest(&self, table: &'static Table) -> Result<DeltaTable, QueryError> {
        let known = self.tables.lock().await.get(table.name).cloned();
        let delta = match known {
            Some(mut delta) => {
                delta.update_state().await.with_context(|| format!("reading the table {}", table.name))?;
                delta
            }
            None => self.lake.table(table, State::Latest).await?.ok_or(QueryError::Empty)?,
        };
        self.tables.lock().await.insert(table.name, delta.clone());
        Ok(delta)
    }

    async fn past(&self, table: &'static Table, as_of: AsOf) -> Result<DeltaTable, QueryError> {
        let latest = self.latest(table).await?;
        let state = match as_of {
            AsOf::Version(version) if Some(version) > latest.version() => {
                return Err(QueryError::NoSuchVersion { table: table.name, latest: latest.version().unwrap_or(0) });
            }
            AsOf::Version(version) => State::Version(version),
            AsOf::Time(time) => State::At(time),
        };
        match self.lake.table(table, state).await {
            Ok(Some(delta)) => Ok(delta),
            Ok(None) => Err(QueryError::Empty),
            Err(error) => {
                tracing::debug!(table = table.name, error = ?error, "a past version is not there");
                Err(QueryError::NoSuchVersion { table: table.name, latest: latest.version().unwrap_or(0) })
            }
        }
    }
}

/// Returns the table of a name.
pub(crate) fn table_named(name: &str) -> Option<&'static Table> {
    tables::ALL.into_iter().find(|table| table.name == name)
}
