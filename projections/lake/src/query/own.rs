//! A table as its workspace sees it: no other row leaves it, whatever is asked.
//!
//! It is a barrier, not a condition beside the caller's own. Conditions that stand together may be evaluated in any order, and one that
//! fails on some value (`1 / 0`) would then tell what other workspaces have. So rows are filtered inside a stream that no optimizer looks
//! into, statistics stay inside too, and of the caller's conditions only comparisons of a column with a constant go further down.

use deltalake::arrow::array::{BooleanArray, RecordBatch, StringArray};
use deltalake::arrow::compute::{cast, filter_record_batch};
use deltalake::arrow::datatypes::{DataType, SchemaRef};
use deltalake::datafusion::catalog::{Session, TableProvider};
use deltalake::datafusion::error::{DataFusionError, Result};
use deltalake::datafusion::execution::{SendableRecordBatchStream, TaskContext};
use deltalake::datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType, col, lit};
use deltalake::datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use deltalake::datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use deltalake::datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties as _};
use domain::id::WorkspaceId;
use futures::StreamExt as _;
use std::sync::Arc;

/// The column that says whose a row is.
const WORKSPACE: &str = "workspace";

/// A table, narrowed to one workspace.
#[derive(Debug)]
pub(super) struct Own {
    all: Arc<dyn TableProvider>,
    workspace: Arc<str>,
}

impl Own {
    pub(super) fn new(all: Arc<dyn TableProvider>, workspace: WorkspaceId) -> Self {
        Self { all, workspace: workspace.to_string().into() }
    }
}

#[async_trait::async_trait]
impl TableProvider for Own {
    fn schema(&self) -> SchemaRef {
        self.all.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(filters
            .iter()
            .map(
                |filter| {
                    if is_comparison(filter) { TableProviderFilterPushDown::Inexact } else { TableProviderFilterPushDown::Unsupported }
                },
            )
            .collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.schema();
        let wanted: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..schema.fields().len()).collect());
        let workspace = schema.index_of(WORKSPACE)?;
        let mut read = wanted.clone();
        if !read.contains(&workspace) {
            read.push(workspace);
        }
        // These leave whole files out; which rows are the workspace's is decided below, on each of them.
        let mut hints = vec![col(WORKSPACE).eq(lit(&*self.workspace))];
        hints.extend(filters.iter().filter(|filter| is_comparison(filter)).cloned());
        let supported = self.all.supports_filters_pushdown(&hints.iter().collect::<Vec<_>>())?;
        let hints: Vec<_> = hints
            .into_iter()
            .zip(supported)
            .filter(|(_, support)| *support != TableProviderFilterPushDown::Unsupported)
            .map(|(hint, _)| hint)
            .collect();
        let all = self.all.scan(session, Some(&read), &hints, None).await?;
        let schema: SchemaRef = Arc::new(schema.project(&wanted)?);
        let rows = |partition| -> Arc<dyn PartitionStream> {
            Arc::new(Rows { all: all.clone(), partition, workspace: self.workspace.clone(), schema: schema.clone() })
        };
        let partitions: Vec<_> = (0..all.output_partitioning().partition_count()).map(rows).collect();
        Ok(Arc::new(StreamingTableExec::try_new(schema, partitions, None, None, false, None)?))
    }
}

/// Tells whether an expression compares a column with a constant, which cannot fail and so tells nothing about rows that it sees.
fn is_comparison(filter: &Expr) -> bool {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else { return false };
    let is_order = matches!(op, Operator::Eq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq);
    is_order && matches!((&**left, &**right), (Expr::Column(_), Expr::Literal(..)) | (Expr::Literal(..), Expr::Column(_)))
}

/// The rows of one workspace in one part of a table.
#[derive(Debug)]
struct Rows {
    all: Arc<dyn ExecutionPlan>,
    partition: usize,
    workspace: Arc<str>,
    schema: SchemaRef,
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (workspace, schema) = (self.workspace.clone(), self.schema.clone());
        let own = match self.all.execute(self.partition, context) {
            Ok(all) => all.map(move |batch| own(&batch?, &workspace, &schema)).boxed(),
            Err(error) => futures::stream::once(async { Err(error) }).boxed(),
        };
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), own))
    }
}

/// Returns the rows of a batch that are `workspace`'s, with the columns of `schema`.
fn own(batch: &RecordBatch, workspace: &str, schema: &SchemaRef) -> Result<RecordBatch> {
    let Some(column) = batch.column_by_name(WORKSPACE) else {
        return Err(DataFusionError::Internal("a table has no workspaces".into()));
    };
    let whose = cast(column, &DataType::Utf8)?;
    let Some(whose) = whose.as_any().downcast_ref::<StringArray>() else {
        return Err(DataFusionError::Internal("workspaces are no texts".into()));
    };
    let is_own: BooleanArray = whose.iter().map(|whose| Some(whose == Some(workspace))).collect();
    let own = filter_record_batch(batch, &is_own)?;
    let columns: std::result::Result<Vec<_>, _> = schema.fields().iter().map(|field| own.schema().index_of(field.name())).collect();
    Ok(own.project(&columns?)?)
}
