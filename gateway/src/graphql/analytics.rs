//! Analytics: SQL over the workspace's own rows of the lake.

use super::Caller;
use super::error::{internal, refusal};
use crate::analytics::{Answer, Column, NoAnswer, Question};
use async_graphql::{Context, Error, ErrorExtensions as _, Json, Object, Result};
use serde_json::Value;

/// A question costs as much as a large page.
const COST: usize = 5_000;

pub(crate) struct AnalyticsAnswer(Answer);

/// What SQL over the lake gave.
#[Object]
impl AnalyticsAnswer {
    /// The columns, in order.
    async fn columns(&self) -> Vec<AnalyticsColumn> {
        self.0.columns.iter().cloned().map(AnalyticsColumn).collect()
    }

    /// The rows, each a list with a value for every column. Times, days and decimals are text.
    async fn rows(&self) -> Json<&Vec<Vec<Value>>> {
        Json(&self.0.rows)
    }

    /// The tables that were read, each with the version it had: give it as `asOf` to ask the same state again.
    async fn versions(&self) -> Vec<TableVersion> {
        self.0.versions.iter().cloned().map(TableVersion).collect()
    }
}

pub(crate) struct AnalyticsColumn(Column);

/// A column of an answer.
#[Object]
impl AnalyticsColumn {
    /// As the statement calls it.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What it holds, such as `Int64`, `Utf8` or `Timestamp(µs, "UTC")`.
    async fn r#type(&self) -> &str {
        &self.0.kind
    }
}

pub(crate) struct TableVersion((String, u64));

/// A state of a table.
#[Object]
impl TableVersion {
    /// Such as `events`.
    async fn table(&self) -> &str {
        &self.0.0
    }

    /// Counts the table's commits, from 0.
    async fn version(&self) -> u64 {
        self.0.1
    }
}

/// Questions about everything that happened.
#[derive(Default)]
pub(super) struct AnalyticsQuery;

#[Object]
impl AnalyticsQuery {
    /// Answers one SELECT over the tables `events`, `clips`, `decisions`, `features`, `performance` and `usage`, which hold this
    /// workspace's rows and no others. They are up to half a minute behind. Errors have codes that begin with `LAKE_`.
    #[graphql(complexity = "COST + child_complexity")]
    async fn analytics(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "One SELECT, in the dialect of Apache DataFusion.")] sql: String,
        #[graphql(desc = "A past state: the version of the one table that is read, or a time such as 2026-05-01T12:00:00Z.")] as_of: Option<
            String,
        >,
    ) -> Result<AnalyticsAnswer> {
        let caller = Caller::of(context)?;
        let Some(analytics) = &caller.gateway.analytics else {
            return Err(refusal("LAKE_OFF", "this gateway has no lake"));
        };
        let question = Question { workspace: caller.workspace(), sql, as_of };
        analytics(question).await.map(AnalyticsAnswer).map_err(|reason| match reason {
            NoAnswer::Refused { code, reason } => Error::new(reason).extend_with(|_, extensions| extensions.set("code", code.as_str())),
            NoAnswer::Failed(error) => internal(error),
        })
    }
}
