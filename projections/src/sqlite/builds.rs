//! Builds: each version of a read model may be built again beside the one that is read, compared with it, and put in its place.

use super::statements::Physical;
use super::{Store, Target, begin, cells};
use crate::{ALL, Model, run};
use anyhow::{Context as _, Result, bail};
use domain::blob::Digest;
use runtime::log::{Log, Partition};
use rusqlite::{Connection, OptionalExtension as _, Transaction};
use sha2::{Digest as _, Sha256};

/// How often a rebuild catches up with a log that is being written before it gives up; each time the rest is shorter.
const CATCH_UPS_MAX: u32 = 1_000;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS builds (
    name TEXT NOT NULL, version INTEGER NOT NULL, build INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('building', 'live', 'old')),
    next INTEGER NOT NULL,
    PRIMARY KEY (name, version, build)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS one_live_build ON builds (name, version) WHERE state = 'live';
CREATE TABLE IF NOT EXISTS cut_overs (
    name TEXT NOT NULL, version INTEGER NOT NULL, build INTEGER NOT NULL,
    next INTEGER NOT NULL, digest TEXT NOT NULL, previous_digest TEXT NOT NULL,
    PRIMARY KEY (name, version, build)
) STRICT, WITHOUT ROWID;
";

/// How a read model stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its name.
    pub name: &'static str,
    /// Version of its shape.
    pub version: u32,
    /// Which build is read, from 1.
    pub build: u32,
    /// Every event below this position is in its rows.
    pub next: u64,
    /// How many positions it is behind the log.
    pub lag: u64,
    /// How many rows its tables have together.
    pub rows: u64,
}

/// What a rebuild found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// Its name.
    pub name: &'static str,
    /// Which build is read from now on.
    pub build: u32,
    /// Every event below this position is in its rows.
    pub next: u64,
    /// Digest of all rows of the build that was read so far, at this position.
    pub before: Digest,
    /// Digest of all rows of the new build, at this position.
    pub after: Digest,
}

impl Rebuilt {
    /// Tells whether the rebuild changed nothing.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.before == self.after
    }
}

impl Store {
    /// Returns how each read model in `models` stands against `log`.
    ///
    /// # Errors
    /// The log or the file cannot be read.
    pub async fn status(&self, log: &impl Log, models: &'static [Model]) -> Result<Vec<Status>> {
        let head = log.head(Partition::EMBEDDED).await?;
        self.read(move |transaction| models.iter().map(|model| status(transaction, *model, head)).collect()).await
    }

    /// Builds the read model called `name` from the first event beside the one that is read, compares both, and puts it in its place.
    /// Reads and the live projector go on meanwhile; the build before is kept until the next rebuild.
    ///
    /// # Errors
    /// There is no such read model, or the log or the file fails.
    pub async fn rebuild(&self, log: &impl Log, name: &str) -> Result<Rebuilt> {
        let Some(model) = ALL.into_iter().find(|model| model.name == name) else {
            bail!("there is no read model {name:?}; they are {}", ALL.map(|model| model.name).join(", "));
        };
        let build = self.write(move |connection| start(connection, model)).await?;
        for _ in 0..CATCH_UPS_MAX {
            run::catch_up(log, self, model, Target::Build(build)).await?;
            // The live build may wait for its projector, or have none right now: bring it to the same place.
            run::catch_up(log, self, model, Target::Live).await?;
            if let Some(rebuilt) = self.write(move |connection| cut_over(connection, model, build)).await? {
                tracing::info!(projection = name, build, is_same = rebuilt.is_same(), "rebuilt {name}");
                return Ok(rebuilt);
            }
        }
        bail!("the log grew faster than {name} could be rebuilt; try again when less is written");
    }

    /// Returns a digest of all rows of the live build of `model`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn digest(&self, model: Model) -> Result<Digest> {
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

pub(crate) fn checkpoint(transaction: &Transaction<'_>, model: Model, build: u32) -> Result<u64> {
    let next: i64 = transaction
        .prepare_cached("SELECT next FROM builds WHERE name = ? AND version = ? AND build = ?")?
        .query_row((model.name, model.version, build), |row| row.get(0))?;
    Ok(next.unsigned_abs())
}

pub(crate) fn set_checkpoint(transaction: &Transaction<'_>, model: Model, build: u32, next: u64) -> Result<()> {
    transaction.prepare_cached("UPDATE builds SET next = ? WHERE name = ? AND version = ? AND build = ?")?.execute((
        i64::try_from(next)?,
        model.name,
        model.version,
        build,
    ))?;
    Ok(())
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
    for build in builds {
        for table in model.tables {
            transaction.execute_batch(&Physical { table, version: model.version, build }.drop())?;
        }
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
    let next = checkpoint(&transaction, model, build)?;
    if next != checkpoint(&transaction, model, previous)? {
        return Ok(None);
    }
    let (before, after) = (digest(&transaction, model, previous)?, digest(&transaction, model, build)?);
    drop_builds(&transaction, model, "old")?;
    for (state, build) in [("old", previous), ("live", build)] {
        let sql = "UPDATE builds SET state = ? WHERE name = ? AND version = ? AND build = ?";
        transaction.execute(sql, (state, model.name, model.version, build))?;
    }
    transaction.execute(
        "INSERT INTO cut_overs VALUES (?, ?, ?, ?, ?, ?)",
        (model.name, model.version, build, i64::try_from(next)?, after.to_string(), before.to_string()),
    )?;
    transaction.commit()?;
    Ok(Some(Rebuilt { name: model.name, build, next, before, after }))
}

fn digest(transaction: &Transaction<'_>, model: Model, build: u32) -> Result<Digest> {
    let mut hasher = Sha256::new();
    for table in model.tables {
        hasher.update(table.name);
        let mut statement = transaction.prepare(&Physical { table, version: model.version, build }.all())?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for index in 0..columns {
                cells::digest(&mut hasher, row.get_ref(index)?);
            }
        }
    }
    Ok(Digest(hasher.finalize().into()))
}

fn status(transaction: &Transaction<'_>, model: Model, head: u64) -> Result<Status> {
    let build = live(transaction, model)?;
    let next = checkpoint(transaction, model, build)?;
    let mut rows = 0;
    for table in model.tables {
        let count: i64 = transaction.query_row(&Physical { table, version: model.version, build }.count(), [], |row| row.get(0))?;
        rows += count.unsigned_abs();
    }
    Ok(Status { name: model.name, version: model.version, build, next, lag: head.saturating_sub(next), rows })
}
