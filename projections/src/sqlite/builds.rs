//! Builds: each version of a read model may be built again beside the one that is read, compared with it, and put in its place.

use super::statements::Physical;
use super::{Store, begin, cells};
use crate::Model;
use crate::rows::Sum;
use crate::store::Rebuilt;
use anyhow::{Context as _, Result};
use domain::blob::Digest;
use runtime::log::Partition;
use rusqlite::{Connection, OptionalExtension as _, Transaction};
use std::collections::BTreeMap;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS builds (
    name TEXT NOT NULL, version INTEGER NOT NULL, build INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('building', 'live', 'old')),
    next INTEGER NOT NULL,
    PRIMARY KEY (name, version, build)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS checkpoints (
    name TEXT NOT NULL, version INTEGER NOT NULL, build INTEGER NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL,
    PRIMARY KEY (name, version, build, partition)
) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO checkpoints SELECT name, version, build, 0, next FROM builds WHERE next > 0;
UPDATE builds SET next = 0 WHERE next > 0;
CREATE UNIQUE INDEX IF NOT EXISTS one_live_build ON builds (name, version) WHERE state = 'live';
CREATE TABLE IF NOT EXISTS cut_overs (
    name TEXT NOT NULL, version INTEGER NOT NULL, build INTEGER NOT NULL,
    next INTEGER NOT NULL, digest TEXT NOT NULL, previous_digest TEXT NOT NULL,
    PRIMARY KEY (name, version, build)
) STRICT, WITHOUT ROWID;
";

impl Store {
    /// Returns the live build of `model`.
    pub(crate) async fn live(&self, model: Model) -> Result<u32> {
        self.read(move |transaction| live(transaction, model)).await
    }

    /// Makes an empty build of `model` beside the live one and returns its number.
    pub(crate) async fn start(&self, model: Model) -> Result<u32> {
        self.write(move |connection| start(connection, model)).await
    }

    /// Puts `build` in place of the live one; `None` when one of them is behind the other.
    pub(crate) async fn cut_over(&self, model: Model, build: u32) -> Result<Option<Rebuilt>> {
        self.write(move |connection| cut_over(connection, model, build)).await
    }

    /// Returns a digest of all rows of the live build of `model`.
    pub(crate) async fn digest(&self, model: Model) -> Result<Digest> {
        self.read(move |transaction| digest(transaction, model, live(transaction, model)?)).await
    }
}

/// Makes the tables that `models` lack.
pub(crate) fn prepare(connection: &mut Connection, models: &[Model]) -> Result<()> {
    let transaction = begin(connection)?;
    transaction.execute_batch(SCHEMA).context("making the tables of builds")?;
    for model in models {
        if live_or_none(&transaction, *model)?.is_none() {
            create(&transaction, *model, 1, "live")?;
        }
    }
    transaction.commit()?;
    Ok(())
}

pub(crate) fn live(transaction: &Transaction<'_>, model: Model) -> Result<u32> {
    live_or_none(transaction, model)?.with_context(|| format!("{} has no build that can be read", model.name))
}

pub(crate) fn checkpoint(transaction: &Transaction<'_>, model: Model, build: u32, partition: Partition) -> Result<u64> {
    let next: Option<i64> = transaction
        .prepare_cached("SELECT next FROM checkpoints WHERE name = ? AND version = ? AND build = ? AND partition = ?")?
        .query_row((model.name, model.version, build, partition.0), |row| row.get(0))
        .optional()?;
    Ok(next.unwrap_or(0).unsigned_abs())
}

pub(crate) fn set_checkpoint(transaction: &Transaction<'_>, model: Model, build: u32, partition: Partition, next: u64) -> Result<()> {
    transaction.prepare_cached("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?, ?)")?.execute((
        model.name,
        model.version,
        build,
        partition.0,
        i64::try_from(next)?,
    ))?;
    Ok(())
}

/// Returns the checkpoints of all partitions that have one.
fn checkpoints(transaction: &Transaction<'_>, model: Model, build: u32) -> Result<BTreeMap<u32, i64>> {
    let sql = "SELECT partition, next FROM checkpoints WHERE name = ? AND version = ? AND build = ? AND next > 0";
    let mut statement = transaction.prepare_cached(sql)?;
    let found = statement.query_map((model.name, model.version, build), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

fn live_or_none(transaction: &Transaction<'_>, model: Model) -> Result<Option<u32>> {
    Ok(transaction
        .prepare_cached("SELECT build FROM builds WHERE name = ? AND version = ? AND state = 'live'")?
        .query_row((model.name, model.version), |row| row.get(0))
        .optional()?)
}

fn create(transaction: &Transaction<'_>, model: Model, build: u32, state: &str) -> Result<()> {
    for table in model.tables {
        transaction.execute_batch(&Physical { table, version: model.version, build }.create())?;
    }
    transaction.execute("INSERT INTO builds VALUES (?, ?, ?, ?, 0)", (model.name, model.version, build, state))?;
    Ok(())
}

fn drop_builds(transaction: &Transaction<'_>, model: Model, state: &str) -> Result<()> {
    let mut statement = transaction.prepare_cached("SELECT build FROM builds WHERE name = ? AND version = ? AND state = ?")?;
    let builds: Vec<u32> = statement.query_map((model.name, model.version, state), |row| row.get(0))?.collect::<Result<_, _>>()?;
    for build in &builds {
        for table in model.tables {
            transaction.execute_batch(&Physical { table, version: model.version, build: *build }.drop())?;
        }
    }
    for build in &builds {
        transaction.execute("DELETE FROM checkpoints WHERE name = ? AND version = ? AND build = ?", (model.name, model.version, build))?;
    }
    transaction.execute("DELETE FROM builds WHERE name = ? AND version = ? AND state = ?", (model.name, model.version, state))?;
    Ok(())
}

/// Makes an empty build, in place of one that a crash left unfinished.
fn start(connection: &mut Connection, model: Model) -> Result<u32> {
    let transaction = begin(connection)?;
    let newest: u32 = transaction.query_row(
        "SELECT coalesce(max(build), 0) FROM builds WHERE name = ? AND version = ?",
        (model.name, model.version),
        |row| row.get(0),
    )?;
    drop_builds(&transaction, model, "building")?;
    create(&transaction, model, newest + 1, "building")?;
    transaction.commit()?;
    Ok(newest + 1)
}

/// Puts `build` in place of the live one when both are equally far; nobody writes meanwhile.
fn cut_over(connection: &mut Connection, model: Model, build: u32) -> Result<Option<Rebuilt>> {
    let transaction = begin(connection)?;
    let previous = live(&transaction, model)?;
    let next = checkpoints(&transaction, model, build)?;
    if next != checkpoints(&transaction, model, previous)? {
        return Ok(None);
    }
    let applied: i64 = next.into_values().sum();
    let (before, after) = (digest(&transaction, model, previous)?, digest(&transaction, model, build)?);
    drop_builds(&transaction, model, "old")?;
    for (state, build) in [("old", previous), ("live", build)] {
        let sql = "UPDATE builds SET state = ? WHERE name = ? AND version = ? AND build = ?";
        transaction.execute(sql, (state, model.name, model.version, build))?;
    }
    transaction.execute(
        "INSERT INTO cut_overs VALUES (?, ?, ?, ?, ?, ?)",
        (model.name, model.version, build, applied, after.to_string(), before.to_string()),
    )?;
    transaction.commit()?;
    Ok(Some(Rebuilt { name: model.name, build, applied: applied.unsigned_abs(), before, after }))
}

fn digest(transaction: &Transaction<'_>, model: Model, build: u32) -> Result<Digest> {
    let mut sum = Sum::default();
    for table in model.tables {
        let mut statement = transaction.prepare(&Physical { table, version: model.version, build }.select())?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            sum.add(table, &cells::of(row)?);
        }
    }
    Ok(sum.digest())
}
