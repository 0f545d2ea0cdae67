//! Statements from declarations. Names come from constants, values are always bound: no text from outside reaches a statement.
//!
//! Every write carries its timestamp. There is no `IF`, no counter and no `ALLOW FILTERING`.

use super::Keyspace;
use crate::table::{Column, Kind, Order, Table};

/// How long a tombstone is kept. Whoever delivers an old event again later than this after a deletion could bring a row back, so an
/// attempt to apply a batch must end long before.
const GC_GRACE_S: u32 = 10 * 24 * 60 * 60;

/// A table as it lies in the keyspace: one version and build of a read model has its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Physical<'a> {
    /// Named in what is prepared, which depends on no session's keyspace; migrations leave it to whoever applies them.
    pub(crate) keyspace: Option<&'a Keyspace>,
    pub(crate) table: &'static Table,
    pub(crate) version: u32,
    pub(crate) build: u32,
}

impl Physical<'_> {
    pub(crate) fn name(self) -> String {
        let keyspace = self.keyspace.map(|keyspace| format!("{keyspace}.")).unwrap_or_default();
        format!("{keyspace}{}_v{}_b{}", self.table.name, self.version, self.build)
    }

    pub(crate) fn create(self) -> String {
        let columns = self.table.all_columns().map(|column| format!("    {} {}", quoted(column.name), cql_type(column)));
        let partition = list(self.table.partition_columns().map(|column| column.name));
        let clustering = self.table.clustering.iter().map(|column| format!(", {}", quoted(column.name))).collect::<String>();
        let direction = match self.table.order {
            Order::Ascending => "ASC",
            Order::Descending => "DESC",
        };
        let order = self.table.clustering.iter().map(|column| format!("{} {direction}", quoted(column.name))).collect::<Vec<_>>();
        let order = if order.is_empty() { String::new() } else { format!("CLUSTERING ORDER BY ({}) AND ", order.join(", ")) };
        format!(
            "CREATE TABLE IF NOT EXISTS {} (\n{},\n    PRIMARY KEY (({partition}){clustering})\n) WITH {order}gc_grace_seconds = {GC_GRACE_S}",
            self.name(),
            columns.collect::<Vec<_>>().join(",\n"),
        )
    }

    pub(crate) fn drop(self) -> String {
        format!("DROP TABLE IF EXISTS {}", self.name())
    }

    /// Binds the key, then the cells, then the timestamp.
    pub(crate) fn upsert(self, cells: &[&'static str]) -> String {
        let names: Vec<_> = self.table.key_columns().map(|column| column.name).chain(cells.iter().copied()).collect();
        let marks = vec!["?"; names.len()].join(", ");
        format!("INSERT INTO {} ({}) VALUES ({marks}) USING TIMESTAMP ?", self.name(), list(names))
    }

    /// Binds the timestamp, then the first `values` columns of the key.
    pub(crate) fn delete(self, values: usize) -> String {
        format!("DELETE FROM {} USING TIMESTAMP ? WHERE {}", self.name(), self.equals(values))
    }

    /// Binds the whole key.
    pub(crate) fn point(self) -> String {
        format!("{} WHERE {}", self.select(), self.equals(self.table.key_columns().count()))
    }

    /// Binds the partition key, then the clustering key to start behind when `is_after`, then the limit.
    pub(crate) fn range(self, is_after: bool) -> String {
        let comparison = match self.table.order {
            Order::Ascending => ">",
            Order::Descending => "<",
        };
        let clustering = self.table.clustering;
        let behind = if is_after {
            format!(
                " AND ({}) {comparison} ({})",
                list(clustering.iter().map(|column| column.name)),
                vec!["?"; clustering.len()].join(", ")
            )
        } else {
            String::new()
        };
        format!("{} WHERE {}{behind} LIMIT ?", self.select(), self.equals(self.table.partition_columns().count()))
    }

    /// Binds the first and the last token of a slice of the ring; all rows of its partitions.
    pub(crate) fn slice(self) -> String {
        let partition = list(self.table.partition_columns().map(|column| column.name));
        format!("{} WHERE token({partition}) >= ? AND token({partition}) <= ?", self.select())
    }

    fn select(self) -> String {
        format!("SELECT {} FROM {}", list(self.table.all_columns().map(|column| column.name)), self.name())
    }

    fn equals(self, values: usize) -> String {
        self.table.key_columns().take(values).map(|column| format!("{} = ?", quoted(column.name))).collect::<Vec<_>>().join(" AND ")
    }
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

fn list(names: impl IntoIterator<Item = &'static str>) -> String {
    names.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
}

fn cql_type(column: Column) -> &'static str {
    match column.kind {
        Kind::Text | Kind::Json => "text",
        Kind::Integer => "bigint",
        Kind::Bool => "boolean",
        Kind::Real => "double",
        Kind::Bytes => "blob",
    }
}
