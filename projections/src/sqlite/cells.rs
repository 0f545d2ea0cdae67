//! Cells ⇄ SQLite values ⇄ rows.

use crate::Row;
use crate::table::{Column, Kind, Table, Value};
use anyhow::{Context as _, Result};
use rusqlite::types::{ToSql, ToSqlOutput, Value as SqlValue, ValueRef};
use serde_json::{Map, Value as Json};
use sha2::{Digest as _, Sha256};

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(SqlValue::Null),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Integer(number) => ToSqlOutput::Owned(SqlValue::Integer(*number)),
            Self::Real(number) => ToSqlOutput::Owned(SqlValue::Real(*number)),
        })
    }
}

/// Returns the row whose cells lie in the order of [`Table::all_columns`].
pub(crate) fn decode<R: Row>(row: &rusqlite::Row<'_>) -> Result<R> {
    let table: &'static Table = R::TABLE;
    let mut fields = Map::new();
    for (index, column) in table.all_columns().enumerate() {
        let cell = row.get_ref(index)?;
        let field = json(column, cell).with_context(|| format!("reading {}.{}", table.name, column.name))?;
        fields.insert(column.name.into(), field);
    }
    serde_json::from_value(Json::Object(fields)).with_context(|| format!("reading a row of {}", table.name))
}

fn json(column: Column, cell: ValueRef<'_>) -> Result<Json> {
    Ok(match (column.kind, cell) {
        (_, ValueRef::Null) => Json::Null,
        (Kind::Json, cell) => serde_json::from_str(cell.as_str()?)?,
        (Kind::Text, cell) => cell.as_str()?.into(),
        (Kind::Integer, cell) => cell.as_i64()?.into(),
        (Kind::Real, cell) => cell.as_f64()?.into(),
        (Kind::Bool, cell) => (cell.as_i64()? != 0).into(),
    })
}

/// Adds a cell to a digest, so that different cells in a row always give different bytes.
pub(crate) fn digest(hasher: &mut Sha256, cell: ValueRef<'_>) {
    match cell {
        ValueRef::Null => hasher.update([0]),
        ValueRef::Integer(number) => {
            hasher.update([1]);
            hasher.update(number.to_be_bytes());
        }
        ValueRef::Real(number) => {
            hasher.update([2]);
            hasher.update(number.to_bits().to_be_bytes());
        }
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            hasher.update([3]);
            hasher.update((bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        }
    }
}
