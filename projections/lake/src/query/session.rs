//! The engine for one question: its own memory, no files, no catalogue beyond the lake's tables, no functions that multiply text.

use super::{Limits, QueryError};
use deltalake::datafusion::execution::SessionStateBuilder;
use deltalake::datafusion::execution::SessionStateDefaults;
use deltalake::datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use deltalake::datafusion::execution::memory_pool::GreedyMemoryPool;
use deltalake::datafusion::execution::runtime_env::RuntimeEnvBuilder;
use deltalake::datafusion::prelude::{SessionConfig, SessionContext};
use std::sync::Arc;

/// Rows that are worked on at once: an expression makes its values for so many rows before anything can stop it.
const BATCH_ROWS: usize = 1_024;

/// Parts of a plan that run at the same time.
const PARTITIONS: usize = 2;

/// Functions that make much out of little, or reach values that have no size limit: their results are not counted as memory.
const REFUSED: [&str; 14] = [
    "repeat",
    "lpad",
    "rpad",
    "space",
    "array_repeat",
    "array_resize",
    "range",
    "generate_series",
    "gen_series",
    "arrow_cast",
    "arrow_try_cast",
    "arrow_metadata",
    "replace",
    "regexp_replace",
];

/// Makes an engine without tables.
pub(super) fn new(limits: Limits) -> Result<SessionContext, QueryError> {
    let memory = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(limits.memory_bytes)))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .build_arc()
        .map_err(QueryError::running)?;
    let config = SessionConfig::new()
        .with_information_schema(false)
        .with_default_catalog_and_schema("lake", "own")
        .with_batch_size(BATCH_ROWS)
        .with_target_partitions(PARTITIONS)
        // A query that feeds itself has no end that anybody can see.
        .set_bool("datafusion.execution.enable_recursive_ctes", false)
        .set_bool("datafusion.execution.parquet.schema_force_view_types", false)
        // Delta's own session has these: a join's keys may be dictionaries, which the usual way does not expect.
        .set_usize("datafusion.optimizer.hash_join_inlist_pushdown_max_size", 0)
        .set_usize("datafusion.optimizer.hash_join_inlist_pushdown_max_distinct_values", 0);
    let scalar = SessionStateDefaults::default_scalar_functions();
    let is_allowed =
        |name: &str, aliases: &[String]| !REFUSED.iter().any(|refused| *refused == name || aliases.iter().any(|alias| alias == refused));
    let scalar = scalar.into_iter().filter(|function| is_allowed(function.name(), function.aliases())).collect();
    // No table functions, table factories and file formats: nothing reads a file, makes a table or writes one.
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(memory)
        .with_expr_planners(SessionStateDefaults::default_expr_planners())
        .with_scalar_functions(scalar)
        .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .build();
    Ok(SessionContext::new_with_state(state))
}
