//! Read models: declared once, folded from the log, read by point or by one range of one partition.
//!
//! One file per read model holds its tables, its row, how an event changes it, and its queries. `sqlite` executes all of them; nothing
//! outside it writes a statement. A projection never reads, never looks at a clock and never has an effect, so that it can be rebuilt.

pub mod audit;
pub mod clips;
pub mod jobs;
pub mod models;
pub mod run;
pub mod sqlite;
pub mod stages;
pub mod table;
pub mod transcripts;
pub mod videos;

use proto::{DecodeError, Recorded};
use serde::de::DeserializeOwned;
pub use sqlite::Store;
use table::{Table, Writes};

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
}

/// Every read model.
pub const ALL: [Model; 6] = [
    Model::of::<videos::Videos>(),
    Model::of::<transcripts::Transcripts>(),
    Model::of::<clips::Clips>(),
    Model::of::<jobs::Jobs>(),
    Model::of::<models::Models>(),
    Model::of::<audit::Audit>(),
];

#[cfg(test)]
mod tests;
