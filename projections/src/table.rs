//! Shapes of read models: tables, values, and the writes that one event causes.

use domain::id::WorkspaceId;
use serde::Serialize;
use std::fmt;

/// A table, declared once for every store.
///
/// Each key starts with the workspace, which is the first column of the partition key and never written by hand.
#[derive(Debug)]
pub struct Table {
    /// Plural noun, unique among all read models.
    pub name: &'static str,
    /// Names of the rest of the partition key: what a read always names. All text.
    pub partition: &'static [&'static str],
    /// Names and kinds of the clustering key: what a partition is sorted by.
    pub clustering: &'static [Column],
    /// How a partition is sorted.
    pub order: Order,
    /// Everything else.
    pub columns: &'static [Column],
}

/// How a partition is sorted by its clustering key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// As the field of the row.
    pub name: &'static str,
    /// What it holds; every column may be absent.
    pub kind: Kind,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// 64 bits, signed.
    Integer,
    /// 64-bit float.
    Real,
    /// True or false.
    Bool,
    /// A document that is read and written as a whole.
    Json,
    /// Bytes; a row gets them as base64.
    Bytes,
}

impl Column {
    /// Returns a column of text.
    #[must_use]
    pub const fn text(name: &'static str) -> Self {
        Self { name, kind: Kind::Text }
    }

    /// Returns a column of integers.
    #[must_use]
    pub const fn integer(name: &'static str) -> Self {
        Self { name, kind: Kind::Integer }
    }

    /// Returns a column of floats.
    #[must_use]
    pub const fn real(name: &'static str) -> Self {
        Self { name, kind: Kind::Real }
    }

    /// Returns a column of truth values.
    #[must_use]
    pub const fn bool(name: &'static str) -> Self {
        Self { name, kind: Kind::Bool }
    }

    /// Returns a column of bytes.
    #[must_use]
    pub const fn bytes(name: &'static str) -> Self {
        Self { name, kind: Kind::Bytes }
    }

    /// Returns a column of documents.
    #[must_use]
    pub const fn json(name: &'static str) -> Self {
        Self { name, kind: Kind::Json }
    }
}

/// The name of the first column of every table.
pub const WORKSPACE: Column = Column::text("workspace");

impl Table {
    /// Returns the columns of the partition key: the workspace, then what the table names.
    pub fn partition_columns(&self) -> impl Iterator<Item = Column> + '_ {
        std::iter::once(WORKSPACE).chain(self.partition.iter().map(|name| Column::text(name)))
    }

    /// Returns the columns of the whole key, in order.
    pub fn key_columns(&self) -> impl Iterator<Item = Column> + '_ {
        self.partition_columns().chain(self.clustering.iter().copied())
    }

    /// Returns every column, the key first.
    pub fn all_columns(&self) -> impl Iterator<Item = Column> + '_ {
        self.key_columns().chain(self.columns.iter().copied())
    }

    /// Returns the column called `name`.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<Column> {
        self.columns.iter().copied().find(|column| column.name == name)
    }
}

/// What a cell holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// UTF-8; also documents.
    Text(String),
    /// 64 bits, signed; also truth values.
    Integer(i64),
    /// 64-bit float.
    Real(f64),
    /// Bytes.
    Bytes(bytes::Bytes),
}

impl Value {
    /// Returns a document.
    ///
    /// # Panics
    /// When `document` cannot be JSON, such as a map with keys that are not text: a mistake in the row's type.
    #[must_use]
    pub fn json(document: &impl Serialize) -> Self {
        Self::Text(serde_json::to_string(document).expect("rows hold plain data"))
    }

    /// Returns the text of an id or another thing with one text form.
    #[must_use]
    pub fn shown(thing: &impl fmt::Display) -> Self {
        Self::Text(thing.to_string())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bytes::Bytes> for Value {
    fn from(bytes: bytes::Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<u64> for Value {
    /// Positions and microseconds stay far below 2⁶³.
    fn from(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Integer(truth.into())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl<T> From<Option<T>> for Value
where
    Self: From<T>,
{
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Self::from)
    }
}

/// Cells to write, by column name.
pub type Cells = Vec<(&'static str, Value)>;

/// One write to one table. Keys lie in the order of [`Table::key_columns`].
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// Set these cells and leave the others of the row as they are; make the row if there is none.
    Upsert {
        /// The whole key.
        key: Vec<Value>,
        /// Cells that are set.
        cells: Cells,
    },
    /// Remove the rows whose key starts with this.
    Delete {
        /// At least the partition key.
        prefix: Vec<Value>,
    },
}

/// What one event writes, all in the event's workspace.
#[derive(Debug)]
pub struct Writes {
    workspace: Value,
    writes: Vec<(&'static Table, Write)>,
}

impl Writes {
    /// Returns no writes, in `workspace`.
    #[must_use]
    pub fn of(workspace: WorkspaceId) -> Self {
        Self { workspace: Value::shown(&workspace), writes: vec![] }
    }

    /// Sets `cells` of the row at `key` and makes it if needed.
    pub fn upsert(&mut self, table: &'static Table, key: impl IntoIterator<Item = Value>, cells: Cells) {
        let key = self.scoped(key);
        self.writes.push((table, Write::Upsert { key, cells }));
    }

    /// Removes the row at `prefix`, or every row below it when it names less than the whole key.
    pub fn delete(&mut self, table: &'static Table, prefix: impl IntoIterator<Item = Value>) {
        let prefix = self.scoped(prefix);
        self.writes.push((table, Write::Delete { prefix }));
    }

    /// Returns the writes in the order they were made.
    #[must_use]
    pub fn into_vec(self) -> Vec<(&'static Table, Write)> {
        self.writes
    }

    fn scoped(&self, key: impl IntoIterator<Item = Value>) -> Vec<Value> {
        std::iter::once(self.workspace.clone()).chain(key).collect()
    }
}
