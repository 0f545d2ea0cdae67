//! Cells ⇄ CQL values.

use crate::table::{Column, Kind, Table, Value};
use anyhow::{Result, bail};
use scylla::value::{CqlValue, Row};

/// What is bound to a statement.
pub(crate) type Bound = Option<CqlValue>;

/// Returns the values of `columns`, as CQL types them.
pub(crate) fn bind(columns: impl Iterator<Item = Column>, values: impl IntoIterator<Item = Value>) -> Result<Vec<Bound>> {
    columns.zip(values).map(|(column, value)| bound(column, value)).collect()
}

/// Returns the values of the first columns of the table's key.
pub(crate) fn bind_key(table: &'static Table, values: Vec<Value>) -> Result<Vec<Bound>> {
    bind(table.key_columns(), values)
}

fn bound(column: Column, value: Value) -> Result<Bound> {
    Ok(Some(match (column.kind, value) {
        (_, Value::Null) => return Ok(None),
        (Kind::Text | Kind::Json, Value::Text(text)) => CqlValue::Text(text),
        (Kind::Integer, Value::Integer(number)) => CqlValue::BigInt(number),
        (Kind::Bool, Value::Integer(number)) => CqlValue::Boolean(number != 0),
        (Kind::Real, Value::Real(number)) => CqlValue::Double(number),
        (Kind::Bytes, Value::Bytes(bytes)) => CqlValue::Blob(bytes.into()),
        (kind, value) => bail!("{} is a column of {kind:?}, not of {value:?}", column.name),
    }))
}

/// Returns the cells of a row, in the order of the statement.
pub(crate) fn of(row: Row) -> Result<Vec<Value>> {
    row.columns.into_iter().map(cell).collect()
}

fn cell(value: Bound) -> Result<Value> {
    Ok(match value {
        None => Value::Null,
        Some(CqlValue::Text(text)) => Value::Text(text),
        Some(CqlValue::BigInt(number)) => Value::Integer(number),
        Some(CqlValue::Boolean(truth)) => truth.into(),
        Some(CqlValue::Double(number)) => Value::Real(number),
        Some(CqlValue::Blob(bytes)) => Value::Bytes(bytes.into()),
        Some(other) => bail!("no column of ours holds {other:?}"),
    })
}
