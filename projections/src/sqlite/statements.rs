//! Statements from declarations. Names come from constants, values are always bound: no text from outside reaches a statement.

use crate::table::{Column, Kind, Order, Table};
use std::fmt::Write as _;

/// A table as it lies in the file: one version and build of a read model has its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Physical {
    pub(crate) table: &'static Table,
    pub(crate) version: u32,
    pub(crate) build: u32,
}

impl Physical {
    pub(crate) fn name(self) -> String {
        format!("\"{}@{}.{}\"", self.table.name, self.version, self.build)
    }

    pub(crate) fn create(self) -> String {
        let columns = self.table.all_columns().map(|column| {
            let is_key = self.table.key_columns().any(|key| key.name == column.name);
            format!("\"{}\" {}{}", column.name, sql_type(column), if is_key { " NOT NULL" } else { "" })
        });
        let order = match self.table.order {
            Order::Ascending => "ASC",
            Order::Descending => "DESC",
        };
        let partition = self.table.partition_columns().map(|column| format!("\"{}\"", column.name));
        let clustering = self.table.clustering.iter().map(|column| format!("\"{}\" {order}", column.name));
        format!(
            "CREATE TABLE {} ({}, PRIMARY KEY ({})) STRICT, WITHOUT ROWID",
            self.name(),
            columns.collect::<Vec<_>>().join(", "),
            partition.chain(clustering).collect::<Vec<_>>().join(", "),
        )
    }

    pub(crate) fn drop(self) -> String {
        format!("DROP TABLE IF EXISTS {}", self.name())
    }

    /// Binds the key, then the cells.
    pub(crate) fn upsert(self, cells: &[&'static str]) -> String {
        let keys: Vec<_> = self.table.key_columns().map(|column| column.name).collect();
        let names = quoted(keys.iter().chain(cells));
        let marks = vec!["?"; keys.len() + cells.len()].join(", ");
        let sets = cells.iter().map(|name| format!("\"{name}\" = excluded.\"{name}\"")).collect::<Vec<_>>().join(", ");
        let update = if cells.is_empty() { "NOTHING".into() } else { format!("UPDATE SET {sets}") };
        format!("INSERT INTO {} ({names}) VALUES ({marks}) ON CONFLICT ({}) DO {update}", self.name(), quoted(&keys))
    }

    /// Binds the first `values` columns of the key.
    pub(crate) fn delete(self, values: usize) -> String {
        format!("DELETE FROM {} WHERE {}", self.name(), self.equals(values))
    }

    /// Binds the whole key.
    pub(crate) fn point(self) -> String {
        format!("{} WHERE {}", self.select(), self.equals(self.table.key_columns().count()))
    }

    /// Binds the partition key, then the clustering key to start behind when `is_after`, then the limit.
    pub(crate) fn range(self, is_after: bool) -> String {
        let mut sql = format!("{} WHERE {}", self.select(), self.equals(self.table.partition_columns().count()));
        let (direction, comparison) = match self.table.order {
            Order::Ascending => ("ASC", ">"),
            Order::Descending => ("DESC", "<"),
        };
        let clustering: Vec<_> = self.table.clustering.iter().map(|column| format!("\"{}\"", column.name)).collect();
        if is_after {
            let marks = vec!["?"; clustering.len()].join(", ");
            write!(sql, " AND ({}) {comparison} ({marks})", clustering.join(", ")).expect("writing to text cannot fail");
        }
        if !clustering.is_empty() {
            let order: Vec<_> = clustering.iter().map(|name| format!("{name} {direction}")).collect();
            write!(sql, " ORDER BY {}", order.join(", ")).expect("writing to text cannot fail");
        }
        sql + " LIMIT ?"
    }

    /// Every row.
    pub(crate) fn select(self) -> String {
        let names: Vec<_> = self.table.all_columns().map(|column| column.name).collect();
        format!("SELECT {} FROM {}", quoted(&names), self.name())
    }

    fn equals(self, values: usize) -> String {
        self.table.key_columns().take(values).map(|column| format!("\"{}\" = ?", column.name)).collect::<Vec<_>>().join(" AND ")
    }
}

fn quoted<'a>(names: impl IntoIterator<Item = &'a &'static str>) -> String {
    names.into_iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}

fn sql_type(column: Column) -> &'static str {
    match column.kind {
        Kind::Text | Kind::Json => "TEXT",
        Kind::Integer | Kind::Bool => "INTEGER",
        Kind::Real => "REAL",
        Kind::Bytes => "BLOB",
    }
}
