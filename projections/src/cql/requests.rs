//! Requests: every statement is prepared once, and again when a node forgot it.
//!
//! A node forgets statements when a keyspace or table is dropped, now and then also those of others, while the driver prepares them
//! again. Then the second preparation by the driver is refused as well, and only a new one helps.

use super::cells::{self, Bound};
use super::{PAGE_ROWS, SCHEMA_CHANGE_MAX, Store};
use crate::table::Value;
use anyhow::{Context as _, Result};
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use runtime::retry::Backoff;
use scylla::client::execution_profile::ExecutionProfileHandle;
use scylla::errors::{DbError, ExecutionError, NextPageError, RequestAttemptError, RequestError};
use scylla::statement::Statement;
use scylla::statement::prepared::PreparedStatement;
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

/// Statements that are kept prepared: those of two builds of all read models fit.
const STATEMENTS_KEPT_MAX: usize = 512;

/// How often a statement that a node forgot is prepared again for one request.
const PREPARATIONS_MAX: u32 = 5;

/// Between them: a node forgets while it changes its schema, which takes it a moment.
const PREPARE_AGAIN: Backoff = Backoff { first: Duration::from_millis(20), longest: Duration::from_millis(500) };

/// Prepared statements by their text.
#[derive(Default)]
pub(super) struct Prepared(RwLock<HashMap<String, PreparedStatement>>);

impl Prepared {
    fn get(&self, text: &str) -> Option<PreparedStatement> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(text).cloned()
    }

    fn keep(&self, text: &str, statement: PreparedStatement) {
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= STATEMENTS_KEPT_MAX {
            kept.clear();
        }
        kept.insert(text.to_owned(), statement);
    }

    fn forget(&self, text: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(text);
    }
}

impl Store {
    /// Returns all rows of an answer.
    pub(super) async fn rows(&self, text: impl Into<String> + Send, values: Vec<Bound>) -> Result<Vec<Vec<Value>>> {
        let text = text.into();
        let mut preparations = 0;
        loop {
            match self.all(&text, values.clone()).await {
                Err(error) if self.is_to_repeat(&mut preparations, &text, &error).await => {}
                other => return other,
            }
        }
    }

    async fn all(&self, text: &str, values: Vec<Bound>) -> Result<Vec<Vec<Value>>> {
        self.stream(text.to_owned(), values).await?.try_collect().await
    }

    /// Returns the rows of an answer one by one, without a second try.
    pub(super) async fn stream(&self, text: String, values: Vec<Bound>) -> Result<impl Stream<Item = Result<Vec<Value>>> + use<>> {
        let statement = self.prepared(&text, &self.0.reads).await?;
        // In a box: the driver's future is deep, and every caller's would hold it.
        let pages = Box::pin(self.0.session.execute_iter(statement, values)).await?;
        let rows = pages.rows_stream::<scylla::value::Row>()?;
        Ok(rows.map(|row| cells::of(row?)))
    }

    /// Writes may be tried again: they carry their timestamps.
    pub(super) async fn write(&self, text: impl Into<String> + Send, values: Vec<Bound>) -> Result<()> {
        let text = text.into();
        let mut preparations = 0;
        loop {
            match self.write_once(&text, &values).await {
                Err(error) if self.is_to_repeat(&mut preparations, &text, &error).await => {}
                other => return other,
            }
        }
    }

    async fn write_once(&self, text: &str, values: &[Bound]) -> Result<()> {
        let statement = self.prepared(text, &self.0.writes).await?;
        Box::pin(self.0.session.execute_unpaged(&statement, values)).await?;
        Ok(())
    }

    pub(super) async fn change_schema(&self, text: &str) -> Result<()> {
        let mut statement = Statement::new(text);
        statement.set_request_timeout(Some(SCHEMA_CHANGE_MAX));
        self.0.session.query_unpaged(statement, ()).await.with_context(|| format!("executing {text}"))?;
        Ok(())
    }

    /// Tells whether a request is to be made again, with its statement prepared anew, because a node forgot that; waits a moment first.
    pub(super) async fn is_to_repeat(&self, preparations: &mut u32, text: &str, error: &anyhow::Error) -> bool {
        if *preparations >= PREPARATIONS_MAX || !is_forgotten(error) {
            return false;
        }
        *preparations += 1;
        self.0.prepared.forget(text);
        tracing::warn!(preparations, error = %error, "a node forgot a prepared statement, preparing it again");
        tokio::time::sleep(PREPARE_AGAIN.after(*preparations)).await;
        true
    }

    async fn prepared(&self, text: &str, profile: &ExecutionProfileHandle) -> Result<PreparedStatement> {
        if let Some(kept) = self.0.prepared.get(text) {
            return Ok(kept);
        }
        let mut statement = Statement::new(text);
        statement.set_is_idempotent(true);
        statement.set_page_size(PAGE_ROWS);
        statement.set_execution_profile_handle(Some(profile.clone()));
        let prepared = Box::pin(self.0.session.prepare(statement)).await?;
        self.0.prepared.keep(text, prepared.clone());
        Ok(prepared)
    }
}

/// Tells whether a node refused a statement because it does not know it, or knows it by another name now.
fn is_forgotten(error: &anyhow::Error) -> bool {
    let is_refused = |attempt: &RequestAttemptError| {
        matches!(attempt, RequestAttemptError::DbError(DbError::Unprepared { .. }, _) | RequestAttemptError::RepreparedIdChanged { .. })
    };
    error.chain().any(|cause| {
        let written = match cause.downcast_ref() {
            Some(ExecutionError::LastAttemptError(attempt)) => Some(attempt),
            _ => None,
        };
        // The driver's errors of pages are transparent to those of requests below them, which are thus no links of the chain.
        let read = match cause.downcast_ref() {
            Some(NextPageError::RequestFailure(RequestError::LastAttemptError(attempt))) => Some(attempt),
            _ => None,
        };
        written.or(read).is_some_and(is_refused)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use scylla::errors::{NextRowError, PagerExecutionError};

    #[test]
    fn a_statement_that_a_node_forgot_is_told_from_other_errors_below_any_context() {
        let refusal = |error| RequestAttemptError::DbError(error, "refused".to_owned());
        let forgotten = || refusal(DbError::Unprepared { statement_id: vec![7].into() });
        assert!(is_forgotten(&anyhow::Error::from(ExecutionError::LastAttemptError(forgotten())).context("writing clips")));
        let page = || NextPageError::from(RequestError::from(forgotten()));
        assert!(is_forgotten(&anyhow::Error::from(PagerExecutionError::from(page())).context("reading the checkpoint")));
        assert!(is_forgotten(&anyhow::Error::from(NextRowError::from(page()))));
        assert!(!is_forgotten(&anyhow::Error::from(ExecutionError::LastAttemptError(refusal(DbError::SyntaxError)))));
        assert!(!is_forgotten(&anyhow::anyhow!("statement not prepared")), "words alone prove nothing");
    }
}
