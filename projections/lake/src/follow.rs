//! Keeps the lake up to date: follows the log, and writes when enough has come together or enough time has passed.

use crate::place::Lake;
use crate::pool::Pool;
use crate::writer::Writer;
use anyhow::Context as _;
use futures::StreamExt as _;
use runtime::log::{Filter, Item, Log, Partition};
use runtime::retry::Backoff;
use runtime::token::Positions;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// What the lake's checkpoint is called where others wait for it.
pub const NAME: &str = "lake";

/// How long the last write may take when the process is told to stop; what is not written then is written after the next start.
const LAST_FLUSH_TIME_MAX: Duration = Duration::from_secs(10);

const BACKOFF: Backoff = Backoff { first: Duration::from_millis(200), longest: Duration::from_secs(60) };

/// Encoding takes one core; a second thread lets uploads go on meanwhile.
const THREADS: usize = 2;

/// When rows are written. Many small files are slow to read, few large ones make readers wait and take memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// After so many rows of all tables together.
    pub rows: usize,
    /// After so many bytes of events.
    pub bytes: usize,
    /// So many seconds after the first row that waits.
    pub seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rows: 50_000, bytes: 32 << 20, seconds: 30 }
    }
}

impl Limits {
    fn are_reached_by(self, writer: &Writer) -> bool {
        writer.rows() >= self.rows || writer.bytes() >= self.bytes
    }
}

/// Keeps the lake up to date until shutdown; waits for the end of an outage.
///
/// # Errors
/// Its threads cannot be started, or it panicked.
pub async fn follow<L: Log>(log: L, lake: Lake, limits: Limits, positions: Positions, shutdown: CancellationToken) -> anyhow::Result<()> {
    let pool = Pool::start("lake-writer", THREADS)?;
    pool.spawn(async move {
        let (log, lake, positions, shutdown) = (&log, &lake, &positions, &shutdown);
        let each = |partition| async move { Follower { log, partition, lake, limits, positions, shutdown }.follow().await };
        futures::future::join_all(log.partitions().into_iter().map(each)).await;
    })
    .await
    .context("the lake's writer panicked")
}

/// What one partition is followed with.
struct Follower<'a, L> {
    log: &'a L,
    partition: Partition,
    lake: &'a Lake,
    limits: Limits,
    positions: &'a Positions,
    shutdown: &'a CancellationToken,
}

impl<L: Log> Follower<'_, L> {
    async fn follow(&self) {
        let mut failures = 0;
        while let Err(error) = self.write_on(&mut failures).await {
            failures += 1;
            metrics::counter!("clipflow_consumer_failures_total", "consumer" => NAME).increment(1);
            tracing::warn!(partition = self.partition.0, failures, error = ?error, "the lake could not be written, trying again");
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = sleep(BACKOFF.after(failures)) => {}
            }
        }
    }

    async fn write_on(&self, failures: &mut u32) -> anyhow::Result<()> {
        let mut writer = Writer::open(self.lake, self.partition).await?;
        self.publish(&writer);
        let mut reading = self.log.read(self.partition, writer.next(), Filter::all());
        let mut due = None;
        loop {
            let is_due = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => {
                    return timeout(LAST_FLUSH_TIME_MAX, writer.flush()).await.context("the last write took too long")?.map(|_| ());
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => true,
                item = reading.next() => match item.context("the log's reading ended")?? {
                    Item::Event(event) => {
                        writer.take(self.log, &event).await?;
                        due.get_or_insert_with(|| Instant::now() + Duration::from_secs(self.limits.seconds));
                        self.limits.are_reached_by(&writer)
                    }
                    Item::CaughtUp(head) => {
                        metrics::gauge!("clipflow_consumer_lag_events", "consumer" => NAME).set(head.saturating_sub(writer.next()) as f64);
                        false
                    }
                },
            };
            if is_due {
                writer.flush().await?;
                self.publish(&writer);
                (due, *failures) = (None, 0);
            }
        }
    }

    fn publish(&self, writer: &Writer) {
        self.positions.publish(NAME, self.partition, writer.next().checked_sub(1));
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Synced {
    /// Events that were read; more than were missing, when a table was behind the others.
    pub events: u64,
    /// Rows that were written.
    pub rows: u64,
    /// Events of the log that the lake holds.
    pub covered: u64,
}

/// Writes everything up to the present end of the log.
///
/// # Errors
/// The log cannot be read, or the lake not be written.
pub async fn sync<L: Log>(log: L, lake: Lake, limits: Limits) -> anyhow::Result<Synced> {
    let pool = Pool::start("lake-sync", THREADS)?;
    let catching_up = pool.spawn(async move {
        let mut synced = Synced { events: 0, rows: 0, covered: 0 };
        for partition in log.partitions() {
            let mut writer = Writer::open(&lake, partition).await?;
            let mut reading = log.read(partition, writer.next(), Filter::all());
            while let Item::Event(event) = reading.next().await.context("the log's reading ended")?? {
                writer.take(&log, &event).await?;
                synced.events += 1;
                if limits.are_reached_by(&writer) {
                    synced.rows += writer.flush().await?;
                }
            }
            synced.rows += writer.flush().await?;
            synced.covered += writer.next();
        }
        Ok(synced)
    });
    catching_up.await.context("writing the lake panicked")?
}
