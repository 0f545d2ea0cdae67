//! What a statement may be: one query that reads tables of the lake. Judged on what was parsed and planned, never on text.

use super::own::Own;
use super::{QueryError, SQL_BYTES_MAX, table_named};
use crate::tables::Table;
use deltalake::datafusion::common::tree_node::TreeNodeRecursion;
use deltalake::datafusion::datasource::source_as_provider;
use deltalake::datafusion::error::DataFusionError;
use deltalake::datafusion::execution::SessionState;
use deltalake::datafusion::logical_expr::LogicalPlan;
use deltalake::datafusion::sql::parser::{DFParser, Statement};
use deltalake::datafusion::sql::sqlparser::ast::Statement as Ansi;
use std::any::Any;

/// Parses a text that is one query.
pub(super) fn one_query(sql: &str) -> Result<Statement, QueryError> {
    if sql.len() > SQL_BYTES_MAX {
        return Err(QueryError::TooLong { bytes: sql.len(), limit: SQL_BYTES_MAX });
    }
    let mut statements = DFParser::parse_sql(sql).map_err(QueryError::planning)?;
    match (statements.pop_front(), statements.len()) {
        (Some(Statement::Statement(statement)), 0) if matches!(*statement, Ansi::Query(_)) => Ok(Statement::Statement(statement)),
        (Some(_), 0) => Err(QueryError::NotAQuery("this is another kind of statement".into())),
        (Some(_), more) => Err(QueryError::NotAQuery(format!("these are {} statements", more + 1))),
        (None, _) => Err(QueryError::NotAQuery("this is empty".into())),
    }
}

/// Returns the tables of the lake that a statement names. What else it names, the planner will not find.
pub(super) fn tables(state: &SessionState, statement: &Statement) -> Result<Vec<&'static Table>, QueryError> {
    let named = state.resolve_table_references(statement).map_err(QueryError::planning)?;
    let mut tables: Vec<_> = named.iter().filter_map(|reference| table_named(reference.table())).collect();
    tables.sort_by_key(|table| table.name);
    tables.dedup_by_key(|table| table.name);
    Ok(tables)
}

/// Refuses a plan with anything in it but reading the caller's own rows and computing with them.
pub(super) fn only_reads(plan: &LogicalPlan) -> Result<(), QueryError> {
    let mut foreign = None;
    let walked = plan.apply_with_subqueries(|node| {
        if is_harmless(node) {
            return Ok(TreeNodeRecursion::Continue);
        }
        foreign = Some(node.display().to_string());
        Ok(TreeNodeRecursion::Stop)
    });
    walked.map_err(|error: DataFusionError| QueryError::planning(error))?;
    match foreign {
        None => Ok(()),
        Some(what) => Err(QueryError::NotAQuery(what)),
    }
}

fn is_harmless(node: &LogicalPlan) -> bool {
    match node {
        LogicalPlan::TableScan(scan) => source_as_provider(&scan.source).is_ok_and(|provider| (provider.as_ref() as &dyn Any).is::<Own>()),
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Values(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Unnest(_) => true,
        LogicalPlan::Statement(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::Extension(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Ddl(_)
        | LogicalPlan::Copy(_)
        | LogicalPlan::DescribeTable(_)
        | LogicalPlan::RecursiveQuery(_) => false,
    }
}
