//! Writes the tables, each row exactly once.
//!
//! Each table has its own checkpoint: the application transaction in its Delta log, committed together with the rows. A table skips what
//! its own checkpoint covers, so that a writer goes on from the lowest of them. Two writers are harmless: both commit under the same
//! application id, Delta lets one of them through, and the other one finds its rows covered.

use crate::batch::{self, Row};
use crate::origin::Origins;
use crate::place::Lake;
use crate::tables::{self, Fact, Table};
use anyhow::Context as _;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties, TableReference, TransactionError};
use deltalake::kernel::{Action, Transaction};
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::writer::{DeltaWriter as _, RecordBatchWriter};
use deltalake::{DeltaTable, DeltaTableError};
use proto::Recorded;
use runtime::log::{Log, Partition};

/// How far a table's checkpoint may fall behind the others' without rows: this many events are read again after a start, a fraction of a
/// second, and a table that has no rows is not committed to meanwhile.
const BEHIND_MAX: u64 = 10_000;

/// Tries of one commit. Each failed one means that somebody else committed to the same table in between.
const COMMIT_TRIES_MAX: usize = 10;

/// The tables with rows of one partition of the log that are not written yet.
pub struct Writer {
    partition: Partition,
    tables: Vec<Open>,
    origins: Origins,
    /// The first position that was not taken yet.
    next: u64,
    rows: usize,
    bytes: usize,
}

struct Open {
    table: &'static Table,
    partition: Partition,
    delta: DeltaTable,
    /// The first position that the table does not cover.
    next: u64,
    rows: Vec<Row>,
}

impl Writer {
    /// Opens all tables, and makes those and the columns that are missing.
    ///
    /// # Errors
    /// The lake cannot be read or written.
    pub async fn open(lake: &Lake, partition: Partition) -> anyhow::Result<Self> {
        Self::open_tables(lake, partition, &tables::ALL).await
    }

    /// Opens some tables, as [`Self::open`].
    ///
    /// # Errors
    /// The lake cannot be read or written.
    pub async fn open_tables(lake: &Lake, partition: Partition, tables: &[&'static Table]) -> anyhow::Result<Self> {
        let mut open = Vec::with_capacity(tables.len());
        for table in tables {
            open.push(Open::open(lake, partition, table).await.with_context(|| format!("opening the table {}", table.name))?);
        }
        let next = open.iter().map(|open| open.next).min().unwrap_or(0);
        Ok(Self { partition, tables: open, origins: Origins::default(), next, rows: 0, bytes: 0 })
    }

    /// Returns the first position that it has not taken yet.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Returns how many rows wait to be written.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns how large the events behind waiting rows are.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the rows of the next event.
    ///
    /// # Errors
    /// The log cannot be read.
    pub async fn take(&mut self, log: &impl Log, recorded: &Recorded) -> anyhow::Result<()> {
        if recorded.position < self.next {
            return Ok(());
        }
        let event = match recorded.event() {
            Ok(event) => event,
            Err(error) => {
                tracing::error!(event.id = %recorded.id, error = %error, "an unreadable event has no rows beyond `events`");
                None
            }
        };
        let origin = match &event {
            Some(event) => self.origins.of(log, recorded, event).await?,
            None => None,
        };
        let fact = Fact { recorded, partition: self.partition, event: event.as_ref(), origin: origin.as_ref() };
        for open in self.tables.iter_mut().filter(|open| open.next <= recorded.position) {
            let (position, workspace, at) = (recorded.position, recorded.workspace, recorded.metadata.at);
            let rows = (open.table.rows)(&fact).into_iter().map(|cells| Row { position, workspace, at, cells });
            let before = open.rows.len();
            open.rows.extend(rows);
            self.rows += open.rows.len() - before;
        }
        self.bytes += recorded.payload.len();
        self.next = recorded.position + 1;
        Ok(())
    }

    /// Writes what was taken, each table in one commit with its checkpoint, and returns how many rows that were; what another writer
    /// has written meanwhile does not count.
    ///
    /// # Errors
    /// A table cannot be written. Some may have been: open another writer, it goes on where each of them is.
    pub async fn flush(&mut self) -> anyhow::Result<u64> {
        let mut rows = 0;
        if self.rows == 0 {
            return Ok(rows);
        }
        for open in &mut self.tables {
            let written = open.flush(self.next).await.with_context(|| format!("writing the table {}", open.table.name))?;
            metrics::counter!("clipflow_lake_rows_total", "table" => open.table.name).increment(written);
            rows += written;
        }
        (self.rows, self.bytes) = (0, 0);
        Ok(rows)
    }
}

impl Open {
    async fn open(lake: &Lake, partition: Partition, table: &'static Table) -> anyhow::Result<Self> {
        let delta = with_columns(lake.table_or_new(table).await?, table).await?;
        let next = covered(&delta, table, partition).await?;
        Ok(Self { table, partition, delta, next, rows: Vec::new() })
    }

    /// Commits the rows below `next`, which are all that wait, and returns how many there were; or finds that somebody else has.
    async fn flush(&mut self, next: u64) -> anyhow::Result<u64> {
        let mut tries = 0;
        loop {
            let covered = self.next;
            self.rows.retain(|row| row.position >= covered);
            let is_far_behind = next.saturating_sub(covered) > BEHIND_MAX;
            if self.rows.is_empty() && !is_far_behind && covered > 0 || covered >= next {
                return Ok(0);
            }
            let Err(error) = self.commit(next).await else { break };
            tries += 1;
            self.delta.update_state().await.context("reading what others wrote")?;
            self.next = crate::writer::covered(&self.delta, self.table, self.partition).await?;
            // An answer that was lost on its way shows here too: the table covers what was sent.
            if self.next == covered && !(is_conflict(&error) && tries < COMMIT_TRIES_MAX) {
                return Err(error.into());
            }
            tracing::debug!(table = self.table.name, covered = self.next, "another writer was faster");
        }
        self.next = next;
        self.delta.update_state().await.context("reading the own commit")?;
        let written = self.rows.len() as u64;
        self.rows.clear();
        Ok(written)
    }

    async fn commit(&self, next: u64) -> Result<(), DeltaTableError> {
        let adds = self.files().await?;
        let checkpoint = next.saturating_sub(1).cast_signed();
        let properties =
            CommitProperties::default().with_application_transaction(Transaction::new(self.table.writer(self.partition), checkpoint));
        let operation = DeltaOperation::Write { mode: SaveMode::Append, partition_by: Some(vec!["date".into()]), predicate: None };
        let snapshot: &dyn TableReference = self.delta.snapshot()?;
        CommitBuilder::from(properties).with_actions(adds).build(Some(snapshot), self.delta.log_store(), operation).await?;
        Ok(())
    }

    /// Writes the rows as files that no version of the table has yet.
    async fn files(&self) -> Result<Vec<Action>, DeltaTableError> {
        if self.rows.is_empty() {
            return Ok(vec![]);
        }
        let mut writer = RecordBatchWriter::for_table(&self.delta)?;
        let rows =
            batch::batch(self.table, &self.rows, &writer.arrow_schema()).map_err(|error| DeltaTableError::generic(format!("{error:#}")))?;
        writer.write(rows).await?;
        Ok(writer.flush().await?.into_iter().map(Action::Add).collect())
    }
}

/// Adds the columns that the table was made without.
async fn with_columns(delta: DeltaTable, table: &Table) -> anyhow::Result<DeltaTable> {
    let has = delta.snapshot()?.schema();
    let missing: Vec<_> = table.all_columns().filter(|column| has.field(column.name).is_none()).map(batch::field).collect();
    if missing.is_empty() {
        return Ok(delta);
    }
    let names: Vec<_> = missing.iter().map(|field| field.name().clone()).collect();
    tracing::info!(table = table.name, columns = ?names, "adding columns");
    let mut delta = delta;
    if let Err(error) = delta.clone().add_columns().with_fields(missing).await {
        // Another writer may have added them meanwhile.
        delta.update_state().await?;
        let has = delta.snapshot()?.schema();
        anyhow::ensure!(names.iter().all(|name| has.field(name).is_some()), "columns cannot be added: {error}");
        return Ok(delta);
    }
    delta.update_state().await?;
    Ok(delta)
}

/// Returns the first position of a partition that a table does not cover.
pub(crate) async fn covered(delta: &DeltaTable, table: &Table, partition: Partition) -> anyhow::Result<u64> {
    let checkpoint = delta.snapshot()?.transaction_version(delta.log_store().as_ref(), table.writer(partition)).await?;
    Ok(checkpoint.map_or(0, |checkpoint| checkpoint.cast_unsigned() + 1))
}

fn is_conflict(error: &DeltaTableError) -> bool {
    match error {
        DeltaTableError::VersionAlreadyExists(_) => true,
        DeltaTableError::Transaction { source } => {
            matches!(
                source,
                TransactionError::CommitConflict(_) | TransactionError::MaxCommitAttempts(_) | TransactionError::VersionAlreadyExists(_)
            )
        }
        _ => false,
    }
}
