//! Read models: declared once, folded from the log, read by point or by one range of one partition.
//!
//! One file per read model holds its tables, its row, how an event changes it, and its queries. `store` executes all of them, on SQLite
//! or on a CQL cluster; nothing outside it writes a statement. A projection never reads, never looks at a clock and never has an effect,
//! so that it can be rebuilt.

pub mod audit;
pub mod clips;
pub mod cql;
pub mod events_by_stream;
pub mod jobs;
pub mod models;
pub mod parked_jobs;
mod rows;
pub mod run;
mod sqlite;
pub mod stages;
pub mod store;
pub mod table;
pub mod transcripts;
pub mod videos;

use anyhow::{Result as Outcome, bail};
use proto::{DecodeError, Recorded};
use serde::de::DeserializeOwned;
pub use store::Store;
use table::{Table, Write, Writes};

/// A fold of the log into tables.
pub trait Projection: Send + Sync + 'static {
    /// Plural noun: metric label, log field, argument of `clipflow projections rebuild`.
    const NAME: &'static str;
    /// Raised whenever `project` or a table changes: a new version is built from the first event.
    const VERSION: u32;
    /// Its tables.
    const TABLES: &'static [&'static Table];

    /// Adds what `event` changes. Pure: never a read.
    ///
    /// # Errors
    /// The event's bytes are not what its type says.
    fn project(event: &Recorded, writes: &mut Writes) -> Result<(), DecodeError>;
}

/// A row of a table.
pub trait Row: DeserializeOwned + Send + 'static {
    /// The read model it belongs to.
    type Of: Projection;
    /// Its table; each field is a column of the same name.
    const TABLE: &'static Table;
}

/// A projection as a value, for loops over all of them.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// See [`Projection::NAME`].
    pub name: &'static str,
    /// See [`Projection::VERSION`].
    pub version: u32,
    /// See [`Projection::TABLES`].
    pub tables: &'static [&'static Table],
    /// See [`Projection::project`].
    pub project: fn(&Recorded, &mut Writes) -> Result<(), DecodeError>,
}

impl Model {
    /// Returns `P` as a value.
    #[must_use]
    pub const fn of<P: Projection>() -> Self {
        Self { name: P::NAME, version: P::VERSION, tables: P::TABLES, project: P::project }
    }

    /// Returns what `event` writes, in order.
    pub(crate) fn writes(&self, event: &Recorded) -> Outcome<Vec<(&'static Table, Write)>> {
        let mut writes = Writes::of(event.workspace);
        if let Err(error) = (self.project)(event, &mut writes) {
            // One unreadable event must not stop a read model: the audit shows it, and a rebuild by a program that can read it mends the rows.
            tracing::error!(projection = self.name, event.id = %event.id, error = %error, "skipped an unreadable event");
            return Ok(vec![]);
        }
        let writes = writes.into_vec();
        for (table, write) in &writes {
            if let Write::Upsert { cells, .. } = write
                && let Some((unknown, _)) = cells.iter().find(|(name, _)| table.column(name).is_none())
            {
                bail!("{} has no column {unknown}", table.name);
            }
        }
        Ok(writes)
    }
}

/// Every read model; the first is what the log itself is asked for by stream.
pub const ALL: [Model; 8] = [
    Model::of::<events_by_stream::EventsByStream>(),
    Model::of::<videos::Videos>(),
    Model::of::<transcripts::Transcripts>(),
    Model::of::<clips::Clips>(),
    Model::of::<jobs::Jobs>(),
    Model::of::<models::Models>(),
    Model::of::<audit::Audit>(),
    Model::of::<parked_jobs::ParkedJobs>(),
];

/// The suite in `tests` is also run from outside, on a real cluster: it names this crate as others do.
#[cfg(test)]
extern crate self as projections;
#[cfg(test)]
mod tests;
