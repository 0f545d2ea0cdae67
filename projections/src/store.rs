//! Where rows are kept: in one SQLite file, or on a CQL cluster. Callers see no difference.

use crate::sqlite;
use crate::table::Value;
use crate::{ALL, Model, Row, cql, run};
use anyhow::{Result, bail};
use domain::blob::Digest;
use domain::id::WorkspaceId;
use proto::Recorded;
use runtime::log::{Log, Partition};
use std::path::Path;

/// Most rows that one range read returns.
pub const ROWS_MAX: u32 = 1_000;

/// How often a rebuild catches up with a log that is being written before it gives up; each time the rest is shorter.
const CATCH_UPS_MAX: u32 = 1_000;

/// A handle on the rows. A clone is another handle.
#[derive(Clone)]
pub enum Store {
    /// In one file of this machine.
    Sqlite(sqlite::Store),
    /// On a cluster of Apache Cassandra or ScyllaDB.
    Cql(cql::Store),
}

/// Which build of a read model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The one that is read.
    Live,
    /// One that is being built.
    Build(u32),
}

/// How a read model stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its name.
    pub name: &'static str,
    /// Version of its shape.
    pub version: u32,
    /// Which build is read, from 1.
    pub build: u32,
    /// How many events of all partitions are in its rows.
    pub applied: u64,
    /// How many events it is behind the log.
    pub lag: u64,
}

/// What a rebuild found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// Its name.
    pub name: &'static str,
    /// Which build is read from now on.
    pub build: u32,
    /// How many events of all partitions are in its rows.
    pub applied: u64,
    /// Digest of all rows of the build that was read so far.
    pub before: Digest,
    /// Digest of all rows of the new build, as of the same events.
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
    /// Opens the file at `path`, making it and the tables of the read models in `models` that have none.
    ///
    /// # Errors
    /// The file cannot be opened, or is not one of ours.
    pub fn open(path: &Path, models: &[Model]) -> Result<Self> {
        sqlite::Store::open(path, models).map(Self::Sqlite)
    }

    /// Returns the row at `key`, which lies in the order of the table's key without the workspace.
    ///
    /// # Errors
    /// The store cannot be read, or the row is not what its type says.
    pub async fn get<R: Row>(&self, workspace: WorkspaceId, key: impl IntoIterator<Item = Value>) -> Result<Option<R>> {
        let rows = self.get_many(workspace, vec![key.into_iter().collect()]).await?;
        Ok(rows.into_iter().next().flatten())
    }

    /// Returns the rows at `keys`, in their order.
    ///
    /// # Errors
    /// The store cannot be read, or a row is not what its type says.
    pub async fn get_many<R: Row>(&self, workspace: WorkspaceId, keys: Vec<Vec<Value>>) -> Result<Vec<Option<R>>> {
        match self {
            Self::Sqlite(store) => store.get_many(workspace, keys).await,
            Self::Cql(store) => store.get_many(workspace, keys).await,
        }
    }

    /// Returns at most `limit` rows of one partition, those behind the clustering key `after` when it is given.
    ///
    /// # Errors
    /// The store cannot be read, or a row is not what its type says.
    pub async fn range<R: Row>(
        &self,
        workspace: WorkspaceId,
        partition: impl IntoIterator<Item = Value>,
        after: Option<Vec<Value>>,
        limit: u32,
    ) -> Result<Vec<R>> {
        let partition = partition.into_iter().collect();
        match self {
            Self::Sqlite(store) => store.range(workspace, partition, after, limit).await,
            Self::Cql(store) => store.range(workspace, partition, after, limit).await,
        }
    }

    /// Returns how each read model in `models` stands against `log`.
    ///
    /// # Errors
    /// The log or the store cannot be read.
    pub async fn status(&self, log: &impl Log, models: &'static [Model]) -> Result<Vec<Status>> {
        let mut all = vec![];
        for model in models {
            let build = self.live(*model).await?;
            let (mut applied, mut lag) = (0, 0);
            for partition in log.partitions() {
                let next = self.next(*model, Target::Live, partition).await?;
                applied += next;
                lag += log.head(partition).await?.saturating_sub(next);
            }
            all.push(Status { name: model.name, version: model.version, build, applied, lag });
        }
        Ok(all)
    }

    /// Builds the read model called `name` from the first event beside the one that is read, compares both, and puts it in its place.
    /// Reads and the live projectors go on meanwhile; the build before is kept until the next rebuild.
    ///
    /// # Errors
    /// There is no such read model, or the log or the store fails.
    pub async fn rebuild(&self, log: &impl Log, name: &str) -> Result<Rebuilt> {
        let Some(model) = ALL.into_iter().find(|model| model.name == name) else {
            bail!("there is no read model {name:?}; they are {}", ALL.map(|model| model.name).join(", "));
        };
        let build = match self {
            Self::Sqlite(store) => store.start(model).await?,
            Self::Cql(store) => store.start(model).await?,
        };
        for _ in 0..CATCH_UPS_MAX {
            run::catch_up(log, self, model, Target::Build(build)).await?;
            // The live build may wait for its projector, or have none right now: bring it to the same place.
            run::catch_up(log, self, model, Target::Live).await?;
            let rebuilt = match self {
                Self::Sqlite(store) => store.cut_over(model, build).await?,
                Self::Cql(store) => Some(store.cut_over(model, build).await?),
            };
            if let Some(rebuilt) = rebuilt {
                tracing::info!(projection = name, build, is_same = rebuilt.is_same(), "rebuilt {name}");
                return Ok(rebuilt);
            }
        }
        bail!("the log grew faster than {name} could be rebuilt; try again when less is written");
    }

    /// Returns a digest of all rows of the live build of `model`, the same on every store that holds the same rows.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn digest(&self, model: Model) -> Result<Digest> {
        match self {
            Self::Sqlite(store) => store.digest(model).await,
            Self::Cql(store) => store.digest(model).await,
        }
    }

    /// Returns the position below which every event of `partition` is in the rows.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn next(&self, model: Model, target: Target, partition: Partition) -> Result<u64> {
        match self {
            Self::Sqlite(store) => store.next(model, target, partition).await,
            Self::Cql(store) => store.next(model, target, partition).await,
        }
    }

    /// Applies events of a partition that follow the rows, in order, and sets the checkpoint: everything below `next` was read.
    /// Returns the checkpoint, which never goes back.
    ///
    /// # Errors
    /// The store cannot be written. Then the checkpoint is as before, and the same call may be made again.
    pub async fn apply(&self, model: Model, target: Target, partition: Partition, events: Vec<Recorded>, next: u64) -> Result<u64> {
        match self {
            Self::Sqlite(store) => store.apply(model, target, partition, events, next).await,
            Self::Cql(store) => store.apply(model, target, partition, &events, next).await,
        }
    }

    async fn live(&self, model: Model) -> Result<u32> {
        match self {
            Self::Sqlite(store) => store.live(model).await,
            Self::Cql(store) => store.live(model).await,
        }
    }
}

/// Returns a key with its workspace.
pub(crate) fn scoped(workspace: WorkspaceId, rest: Vec<Value>) -> Vec<Value> {
    std::iter::once(Value::shown(&workspace)).chain(rest).collect()
}
