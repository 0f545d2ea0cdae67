//! Cells ⇄ SQLite values.

use crate::table::Value;
use anyhow::Result;
use rusqlite::types::{ToSql, ToSqlOutput, Value as SqlValue, ValueRef};

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(SqlValue::Null),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Integer(number) => ToSqlOutput::Owned(SqlValue::Integer(*number)),
            Self::Real(number) => ToSqlOutput::Owned(SqlValue::Real(*number)),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

/// Returns the cells of a row, in the order of the statement.
pub(crate) fn of(row: &rusqlite::Row<'_>) -> Result<Vec<Value>> {
    let mut cells = Vec::with_capacity(row.as_ref().column_count());
    for index in 0..row.as_ref().column_count() {
        cells.push(match row.get_ref(index)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => Value::Integer(number),
            ValueRef::Real(number) => Value::Real(number),
            ValueRef::Text(text) => Value::Text(std::str::from_utf8(text)?.into()),
            ValueRef::Blob(bytes) => Value::Bytes(bytes::Bytes::copy_from_slice(bytes)),
        });
    }
    Ok(cells)
}
