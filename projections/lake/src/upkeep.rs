//! Keeping tables fast and small: join small files, drop files that no kept version names, sum up the Delta log. And how things stand.

use crate::place::{Lake, State};
use crate::pool::Pool;
use crate::tables::{self, Table};
use crate::writer;
use anyhow::Context as _;
use deltalake::operations::vacuum::VacuumMode;
use deltalake::{DeltaTable, checkpoints};
use runtime::log::Partition;
use std::future::Future;
use std::num::NonZeroU64;
use std::time::Duration;

/// Files are joined up to this size: large enough to read fast, small enough that a day's filter leaves others out.
pub const FILE_BYTES: u64 = 128 << 20;

/// Files that no version names are kept so long: questions that began before may still read them, and time travel needs them.
pub const KEEP: Duration = Duration::from_secs(7 * 24 * 3600);

/// Shorter than this a file may belong to a commit that is on its way.
pub const KEEP_MIN: Duration = Duration::from_secs(3600);

/// Encoding takes one core; a second thread lets transfers go on meanwhile.
const THREADS: usize = 2;

/// How a table stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Which table.
    pub table: &'static str,
    /// Where it is.
    pub address: String,
    /// Its latest version, or `None` when nobody has written it yet.
    pub version: Option<u64>,
    /// Its files now.
    pub files: usize,
    /// Their size together.
    pub bytes: u64,
    /// Events of the log that it covers, in all partitions that were asked for.
    pub covered: u64,
}

/// What was done to a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Which table.
    pub table: &'static str,
    /// Files that are no longer part of it, or no longer there.
    pub files_removed: u64,
    /// Files that took their place.
    pub files_added: u64,
}

/// Returns how all tables stand, as far as `partitions` of the log go.
///
/// # Errors
/// A table cannot be read.
pub async fn status(lake: &Lake, partitions: &[Partition]) -> anyhow::Result<Vec<Status>> {
    let (lake, partitions) = (lake.clone(), partitions.to_vec());
    apart(async move {
        let mut all = Vec::with_capacity(tables::ALL.len());
        for table in tables::ALL {
            let address = lake.address(table);
            let mut status = Status { table: table.name, address, version: None, files: 0, bytes: 0, covered: 0 };
            if let Some(delta) = lake.table(table, State::Latest).await? {
                let files = delta.snapshot()?.log_data();
                status.version = delta.version();
                status.files = files.num_files();
                status.bytes = files.iter().map(|file| file.size().cast_unsigned()).sum();
                for partition in &partitions {
                    status.covered += writer::covered(&delta, table, *partition).await?;
                }
            }
            all.push(status);
        }
        Ok(all)
    })
    .await
}

/// Joins small files, day by day. The rows stay the same, and older versions can still be read.
///
/// # Errors
/// A table cannot be read or written.
pub async fn optimize(lake: &Lake, only: Option<&str>) -> anyhow::Result<Vec<Done>> {
    each(lake, only, |delta, table| async move {
        let target = NonZeroU64::new(FILE_BYTES).context("files have a size")?;
        let (_, done) = delta.optimize().with_target_size(target).await?;
        Ok(Done { table: table.name, files_removed: done.num_files_removed, files_added: done.num_files_added })
    })
    .await
}

/// Deletes files that no version of the last `keep` names; older versions can then not be read any more.
///
/// # Errors
/// A table cannot be read or written.
pub async fn vacuum(lake: &Lake, only: Option<&str>, keep: Duration) -> anyhow::Result<Vec<Done>> {
    let keep = chrono::Duration::from_std(keep).context("keeping files so long")?;
    each(lake, only, move |delta, table| async move {
        // Whole folders are looked through: what a crashed writer left is in no log.
        let vacuum = delta.vacuum().with_mode(VacuumMode::Full).with_retention_period(keep).with_enforce_retention_duration(false);
        let (_, done) = vacuum.await?;
        Ok(Done { table: table.name, files_removed: done.files_deleted.len() as u64, files_added: 0 })
    })
    .await
}

/// Sums up each Delta log in one file, so that it opens fast. Writing does so by itself every hundred versions.
///
/// # Errors
/// A table cannot be read or written.
pub async fn checkpoint(lake: &Lake, only: Option<&str>) -> anyhow::Result<Vec<Done>> {
    each(lake, only, |delta, table| async move {
        checkpoints::create_checkpoint(&delta, None).await?;
        Ok(Done { table: table.name, files_removed: 0, files_added: 1 })
    })
    .await
}

/// Does something with every table that there is, or with the one of a name.
async fn each<W, F>(lake: &Lake, only: Option<&str>, work: W) -> anyhow::Result<Vec<Done>>
where
    W: Fn(DeltaTable, &'static Table) -> F + Send + 'static,
    F: Future<Output = anyhow::Result<Done>> + Send,
{
    let (lake, only) = (lake.clone(), only.map(str::to_owned));
    apart(async move {
        let mut done = Vec::new();
        for table in tables::ALL.into_iter().filter(|table| only.as_deref().is_none_or(|only| only == table.name)) {
            if let Some(delta) = lake.table(table, State::Latest).await? {
                done.push(work(delta, table).await.with_context(|| format!("working on the table {}", table.name))?);
            }
        }
        Ok(done)
    })
    .await
}

/// Runs work on threads of its own.
async fn apart<T: Send + 'static>(work: impl Future<Output = anyhow::Result<T>> + Send + 'static) -> anyhow::Result<T> {
    let pool = Pool::start("lake-upkeep", THREADS)?;
    pool.spawn(work).await.context("work on the lake panicked")?
}
