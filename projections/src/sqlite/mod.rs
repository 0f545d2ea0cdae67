//! The embedded store: every read model in one SQLite file.
//!
//! A batch's rows and its checkpoint are one transaction, and events below the checkpoint are skipped inside it. So a redelivery, a
//! replay and a second projector over the same file change nothing. Rows can always be rebuilt, so a commit need not reach the disk at
//! once: after a power cut the file is consistent, a little older, and catches up.

mod builds;
mod cells;
mod statements;

use crate::store::{ROWS_MAX, Target, scoped};
use crate::table::{Value, Write};
use crate::{Model, Row, rows};
use anyhow::{Context as _, Result, anyhow};
use domain::id::WorkspaceId;
use proto::Recorded;
use runtime::log::Partition;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use statements::Physical;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a statement waits for another process that writes the same file; a rebuild's cut-over holds it longest.
const BUSY: Duration = Duration::from_secs(30);

/// Idle read connections that are kept: more than this many reads at once are rare on one machine.
const READERS_KEPT_MAX: usize = 8;

/// Prepared statements that a connection keeps: all statements of all read models fit.
const STATEMENTS_KEPT_MAX: usize = 128;

/// A handle on the file. A clone is another handle.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

struct Shared {
    path: PathBuf,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
}

impl Store {
    /// Opens the file at `path`, making it and the tables of the read models in `models` that have none.
    ///
    /// # Errors
    /// The file cannot be opened, or is not one of ours.
    pub fn open(path: &Path, models: &[Model]) -> Result<Self> {
        let mut writer = connect(path)?;
        builds::prepare(&mut writer, models)?;
        Ok(Self(Arc::new(Shared { path: path.into(), writer: Mutex::new(writer), readers: Mutex::default() })))
    }

    pub(crate) async fn get_many<R: Row>(&self, workspace: WorkspaceId, keys: Vec<Vec<Value>>) -> Result<Vec<Option<R>>> {
        self.read(move |transaction| {
            let sql = physical::<R>(transaction)?.point();
            let mut statement = transaction.prepare_cached(&sql)?;
            let mut rows = vec![];
            for key in keys {
                let key = scoped(workspace, key);
                let mut found = statement.query(rusqlite::params_from_iter(key))?;
                rows.push(found.next()?.map(|row| rows::decode::<R>(cells::of(row)?)).transpose()?);
            }
            Ok(rows)
        })
        .await
    }

    pub(crate) async fn range<R: Row>(
        &self,
        workspace: WorkspaceId,
        partition: Vec<Value>,
        after: Option<Vec<Value>>,
        limit: u32,
    ) -> Result<Vec<R>> {
        let mut values = scoped(workspace, partition);
        self.read(move |transaction| {
            let sql = physical::<R>(transaction)?.range(after.is_some());
            values.extend(after.into_iter().flatten());
            values.push(limit.min(ROWS_MAX).into());
            let mut statement = transaction.prepare_cached(&sql)?;
            let mut found = statement.query(rusqlite::params_from_iter(values))?;
            let mut rows = vec![];
            while let Some(row) = found.next()? {
                rows.push(rows::decode::<R>(cells::of(row)?)?);
            }
            Ok(rows)
        })
        .await
    }

    pub(crate) async fn next(&self, model: Model, target: Target, partition: Partition) -> Result<u64> {
        self.read(move |transaction| builds::checkpoint(transaction, model, build_of(transaction, model, target)?, partition)).await
    }

    /// All of it, or nothing.
    pub(crate) async fn apply(&self, model: Model, target: Target, partition: Partition, events: Vec<Recorded>, next: u64) -> Result<u64> {
        self.write(move |connection| {
            let transaction = begin(connection)?;
            let build = build_of(&transaction, model, target)?;
            let done = builds::checkpoint(&transaction, model, build, partition)?;
            for event in events.iter().filter(|event| event.position >= done) {
                apply(&transaction, model, build, event)?;
            }
            let next = next.max(done);
            builds::set_checkpoint(&transaction, model, build, partition, next)?;
            transaction.commit()?;
            Ok(next)
        })
        .await
    }

    async fn read<T: Send + 'static>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static) -> Result<T> {
        let shared = self.0.clone();
        tokio::task::spawn_blocking(move || {
            let idle = shared.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut connection = match idle {
                Some(connection) => connection,
                None => connect(&shared.path)?,
            };
            // One transaction: the choice of the live build and the rows are of the same moment.
            let result = connection.transaction().map_err(Into::into).and_then(|transaction| work(&transaction));
            let mut readers = shared.readers.lock().unwrap_or_else(PoisonError::into_inner);
            if readers.len() < READERS_KEPT_MAX {
                readers.push(connection);
            }
            result
        })
        .await
        .map_err(|error| anyhow!(error).context("reading read models"))?
    }

    async fn write<T: Send + 'static>(&self, work: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static) -> Result<T> {
        let shared = self.0.clone();
        tokio::task::spawn_blocking(move || work(&mut shared.writer.lock().unwrap_or_else(PoisonError::into_inner)))
            .await
            .map_err(|error| anyhow!(error).context("writing read models"))?
    }
}

fn connect(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path).with_context(|| format!("opening the read models in {}", path.display()))?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT_MAX);
    Ok(connection)
}

fn begin(connection: &mut Connection) -> Result<Transaction<'_>> {
    Ok(connection.transaction_with_behavior(TransactionBehavior::Immediate)?)
}

fn build_of(transaction: &Transaction<'_>, model: Model, target: Target) -> Result<u32> {
    match target {
        Target::Live => builds::live(transaction, model),
        Target::Build(build) => Ok(build),
    }
}

fn physical<R: Row>(transaction: &Transaction<'_>) -> Result<Physical> {
    let model = Model::of::<R::Of>();
    let build = builds::live(transaction, model)?;
    Ok(Physical { table: R::TABLE, version: model.version, build })
}

fn apply(transaction: &Transaction<'_>, model: Model, build: u32, event: &Recorded) -> Result<()> {
    for (table, write) in model.writes(event)? {
        let physical = Physical { table, version: model.version, build };
        execute(transaction, physical, write).with_context(|| format!("writing {} for {}", table.name, event.id))?;
    }
    Ok(())
}

fn execute(transaction: &Transaction<'_>, physical: Physical, write: Write) -> Result<()> {
    match write {
        Write::Upsert { key, cells } => {
            let names: Vec<_> = cells.iter().map(|(name, _)| *name).collect();
            let values = key.into_iter().chain(cells.into_iter().map(|(_, value)| value));
            transaction.prepare_cached(&physical.upsert(&names))?.execute(rusqlite::params_from_iter(values))?;
        }
        Write::Delete { prefix } => {
            transaction.prepare_cached(&physical.delete(prefix.len()))?.execute(rusqlite::params_from_iter(prefix))?;
        }
    }
    Ok(())
}
