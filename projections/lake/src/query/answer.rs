//! What a question gets: columns and rows as JSON, as far as the limits allow.

use super::{Limits, QueryError};
use deltalake::arrow::array::{Array, AsArray as _, RecordBatch};
use deltalake::arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use deltalake::arrow::util::display::{ArrayFormatter, FormatOptions};
use deltalake::datafusion::execution::TaskContext;
use deltalake::datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Its columns, in order.
    pub columns: Vec<Column>,
    /// Its rows, each with a value for every column.
    pub rows: Vec<Vec<Value>>,
    /// The tables that were read, each with the version it had.
    pub versions: Vec<(String, u64)>,
}

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// As the statement calls it.
    pub name: String,
    /// As Arrow calls it, such as `Int64` or `Utf8View`.
    pub kind: String,
}

/// Runs a plan and collects what it gives.
pub(super) async fn collect(
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    limits: Limits,
    versions: Vec<(&'static str, u64)>,
) -> Result<Answer, QueryError> {
    let columns =
        plan.schema().fields().iter().map(|field| Column { name: field.name().clone(), kind: field.data_type().to_string() }).collect();
    let versions = versions.into_iter().map(|(table, version)| (table.to_owned(), version)).collect();
    let mut answer = Answer { columns, rows: Vec::new(), versions };
    let mut bytes = 0;
    let mut batches = execute_stream(plan, context).map_err(QueryError::running)?;
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(QueryError::running)?;
        if answer.rows.len() + batch.num_rows() > limits.rows {
            return Err(QueryError::TooManyRows { limit: limits.rows });
        }
        for index in 0..batch.num_rows() {
            let row = row(&batch, index)?;
            bytes += row.iter().map(size).sum::<usize>();
            if bytes > limits.answer_bytes {
                return Err(QueryError::TooLarge { limit: limits.answer_bytes });
            }
            answer.rows.push(row);
        }
    }
    Ok(answer)
}

fn row(batch: &RecordBatch, index: usize) -> Result<Vec<Value>, QueryError> {
    batch.columns().iter().map(|column| value(column, index)).collect()
}

/// Returns one value. What JSON has no type for is text: times, days, decimals.
fn value(array: &dyn Array, index: usize) -> Result<Value, QueryError> {
    if array.is_null(index) || array.data_type() == &DataType::Null {
        return Ok(Value::Null);
    }
    Ok(match array.data_type() {
        DataType::Boolean => array.as_boolean().value(index).into(),
        DataType::Int8 => array.as_primitive::<Int8Type>().value(index).into(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(index).into(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(index).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(index).into(),
        DataType::UInt8 => array.as_primitive::<UInt8Type>().value(index).into(),
        DataType::UInt16 => array.as_primitive::<UInt16Type>().value(index).into(),
        DataType::UInt32 => array.as_primitive::<UInt32Type>().value(index).into(),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().value(index).into(),
        DataType::Float32 => array.as_primitive::<Float32Type>().value(index).into(),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(index).into(),
        DataType::List(_) => {
            let list = array.as_list::<i32>().value(index);
            (0..list.len()).map(|index| value(&list, index)).collect::<Result<Vec<_>, _>>()?.into()
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct();
            let values = fields.iter().zip(columns.columns()).map(|(field, column)| Ok((field.name().clone(), value(column, index)?)));
            Value::Object(values.collect::<Result<Map<_, _>, QueryError>>()?)
        }
        _ => {
            let options = FormatOptions::default();
            let formatter = ArrayFormatter::try_new(array, &options).map_err(|error| QueryError::Failed(error.to_string()))?;
            formatter.value(index).to_string().into()
        }
    })
}

/// Returns about how many bytes a value takes as JSON.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => 16,
        Value::String(text) => text.len() + 3,
        Value::Array(values) => 2 + values.iter().map(size).sum::<usize>(),
        Value::Object(fields) => 2 + fields.iter().map(|(name, value)| name.len() + 4 + size(value)).sum::<usize>(),
    }
}
