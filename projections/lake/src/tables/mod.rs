//! The tables: their columns, and which rows an event gives. Pure: no IO, and the same rows whenever they are made.
//!
//! One file per table. Columns are only ever added, at the end and always allowed to be absent: an older program leaves them out, and a
//! newer one adds them to the table that it finds.

mod clips;
mod decisions;
mod events;
mod features;
mod performance;
mod usage;

use domain::artefact::Contribution;
use proto::{Event, Recorded};
use runtime::log::Partition;

/// A table of the lake.
#[derive(Debug)]
pub struct Table {
    /// Plural noun: its folder, and its name in SQL.
    pub name: &'static str,
    /// Raised when the same events give other rows; then the table has to be made again.
    pub version: u32,
    /// What a row is.
    pub about: &'static str,
    /// What comes after [`ENVELOPE`].
    pub columns: &'static [Column],
    /// Returns the rows of an event.
    pub(crate) rows: fn(&Fact<'_>) -> Vec<Cells>,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name in SQL.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What it means, with its unit.
    pub about: &'static str,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A calendar day, UTC.
    Day,
    /// A moment, UTC, in microseconds.
    Moment,
    /// UTF-8.
    Text,
    /// 64 bits, signed.
    Integer,
    /// 64-bit float.
    Real,
    /// A list of texts.
    Texts,
    /// A list of [`Contribution`]s, as structs.
    Contributions,
}

/// A value of a column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Absent,
    Text(String),
    Integer(i64),
    Real(f64),
    Texts(Vec<String>),
    Contributions(Vec<Contribution>),
}

/// The values of a row, by column; what is not named is absent.
pub(crate) type Cells = Vec<(&'static str, Cell)>;

/// What every row of every table starts with. The first column is what the files are sorted into folders by.
pub const ENVELOPE: [Column; 4] = [
    Column::new("date", Kind::Day, "the day of `time`, UTC; the tables are partitioned by it"),
    Column::new("position", Kind::Integer, "the event's place in its partition of the log, from 0"),
    Column::new("workspace", Kind::Text, "whose it is"),
    Column::new("time", Kind::Moment, "when it was decided, UTC"),
];

/// Every table.
pub const ALL: [&Table; 6] =
    [&events::EVENTS, &clips::CLIPS, &decisions::DECISIONS, &features::FEATURES, &performance::PERFORMANCE, &usage::USAGE];

/// An event with what its rows need to know.
pub(crate) struct Fact<'a> {
    pub(crate) recorded: &'a Recorded,
    /// Where in the log it is.
    pub(crate) partition: Partition,
    /// `None` when this version of the program cannot read it.
    pub(crate) event: Option<&'a Event>,
    /// The first event of its stream, when [`crate::origin`] says that rows need it.
    pub(crate) origin: Option<&'a Event>,
}

impl Table {
    /// Returns all columns, in order.
    pub fn all_columns(&self) -> impl Iterator<Item = Column> {
        ENVELOPE.into_iter().chain(self.columns.iter().copied())
    }

    /// Returns who writes the table, as its application transactions say: this version of it, from a partition of the log.
    pub(crate) fn writer(&self, partition: Partition) -> String {
        format!("{}@{}/{}", self.name, self.version, partition.0)
    }
}

impl Column {
    pub(crate) const fn new(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name, kind, about }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::Integer(number.cast_signed())
    }
}

impl From<u32> for Cell {
    fn from(number: u32) -> Self {
        Self::Integer(i64::from(number))
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Into::into)
    }
}

/// Returns how something is shown.
pub(crate) fn shown(value: impl std::fmt::Display) -> Cell {
    Cell::Text(value.to_string())
}

/// Returns a clip's id from the stream of one of its events.
pub(crate) fn clip_of(recorded: &Recorded) -> Cell {
    shown(domain::id::ClipId(recorded.stream.id()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_tables_say_what_they_hold() {
        let names: HashSet<_> = ALL.iter().map(|table| table.name).collect();
        assert_eq!(names.len(), ALL.len());
        for table in ALL {
            let columns: HashSet<_> = table.all_columns().map(|column| column.name).collect();
            assert_eq!(columns.len(), table.all_columns().count(), "{}", table.name);
            assert!(table.all_columns().all(|column| !column.about.is_empty()));
        }
    }
}
