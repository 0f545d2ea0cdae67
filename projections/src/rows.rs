//! Cells of a row, as every store gives them ⇄ the row's type, and their digest.

use crate::Row;
use crate::table::{Column, Kind, Table, Value};
use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::blob::Digest;
use serde_json::{Map, Value as Json};
use sha2::{Digest as _, Sha256};

/// Returns the row whose cells lie in the order of [`Table::all_columns`].
pub(crate) fn decode<R: Row>(cells: Vec<Value>) -> Result<R> {
    let table: &'static Table = R::TABLE;
    let mut fields = Map::new();
    for (column, cell) in table.all_columns().zip(cells) {
        let field = json(column, cell).with_context(|| format!("reading {}.{}", table.name, column.name))?;
        fields.insert(column.name.into(), field);
    }
    serde_json::from_value(Json::Object(fields)).with_context(|| format!("reading a row of {}", table.name))
}

fn json(column: Column, cell: Value) -> Result<Json> {
    Ok(match (column.kind, cell) {
        (_, Value::Null) => Json::Null,
        (Kind::Json, Value::Text(text)) => serde_json::from_str(&text)?,
        (Kind::Text, Value::Text(text)) => text.into(),
        (Kind::Integer, Value::Integer(number)) => number.into(),
        (Kind::Real, Value::Real(number)) => number.into(),
        (Kind::Bool, Value::Integer(number)) => (number != 0).into(),
        (Kind::Bytes, Value::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        (kind, cell) => bail!("a column of {kind:?} holds {cell:?}"),
    })
}

/// A digest of a set of rows, the same in whatever order they come and in whichever store they lie.
///
/// It is the exclusive or of the rows' SHA-256: rows have keys, so none is there twice. It finds mistakes, not forgeries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum([u8; 32]);

impl Sum {
    /// Adds a row of `table`.
    pub(crate) fn add(&mut self, table: &Table, cells: &[Value]) {
        let mut hasher = Sha256::new();
        hasher.update(table.name);
        for cell in cells {
            feed(&mut hasher, cell);
        }
        self.merge(Self(hasher.finalize().into()));
    }

    /// Adds the rows of `other`, which has none of those that are in here.
    pub(crate) fn merge(&mut self, other: Self) {
        for (byte, other) in self.0.iter_mut().zip(other.0) {
            *byte ^= other;
        }
    }

    pub(crate) fn digest(self) -> Digest {
        Digest(self.0)
    }
}

/// Feeds a cell, so that different cells in a row always give different bytes.
fn feed(hasher: &mut Sha256, cell: &Value) {
    let mut sized = |kind: u8, bytes: &[u8]| {
        hasher.update([kind]);
        hasher.update((bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
    };
    match cell {
        Value::Null => sized(0, &[]),
        Value::Integer(number) => sized(1, &number.to_be_bytes()),
        Value::Real(number) => sized(2, &number.to_bits().to_be_bytes()),
        Value::Text(text) => sized(3, text.as_bytes()),
        Value::Bytes(bytes) => sized(4, bytes),
    }
}
