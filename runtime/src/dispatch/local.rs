//! Jobs in the process that reads an embedded log, which has one partition: a pool, and a checkpoint below which everything is finished.

use super::Processor;
use super::pool::{Done, End, Pool, Unrecorded};
use crate::consume::{Surroundings, event_at};
use crate::log::{Filter, Item, Log, Partition};
use crate::shutdown::DRAIN;
use anyhow::Context as _;
use futures::StreamExt as _;
use std::collections::{BTreeSet, HashSet};
use std::num::NonZeroUsize;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Jobs that run, wait for a worker or wait for their next try; reading stops there. Each holds one event in memory.
const UNFINISHED_MAX: usize = 1_024;

/// Events without a job after which the checkpoint is stored all the same, so that a restart skips them.
const CHECKPOINT_EVENTS: u64 = 1_000;

/// Runs the jobs of `processor`, at most `workers` at a time, until shutdown; then waits a little for those that run.
///
/// # Errors
/// When the log or the consumers' memory cannot be read or written.
pub async fn dispatch<L: Log, P: Processor>(log: L, processor: P, workers: NonZeroUsize, surroundings: Surroundings) -> anyhow::Result<()> {
    let checkpoint = surroundings.consumers.checkpoint(P::NAME).await?;
    let finished = surroundings.consumers.finished(P::NAME).await?.into_iter().collect();
    surroundings.positions.publish(P::NAME, Partition::EMBEDDED, checkpoint);
    let frontier = checkpoint.map_or(0, |checkpoint| checkpoint + 1);
    let shutdown = surroundings.shutdown.clone();
    let mut replays = surroundings.consumers.changes();
    replays.mark_changed();
    let mut reading = log.read(Partition::EMBEDDED, frontier, Filter::all());
    let pool = Arc::new(Pool::new(log, Arc::new(processor), workers, Unrecorded::Remember, surroundings));
    let mut jobs = JoinSet::new();
    let mut desk = Desk { pool, finished, unfinished: BTreeSet::new(), replaying: HashSet::new(), frontier, stored: frontier };
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(done) = jobs.join_next() => desk.settle(done.context("a job's task failed")??).await?,
            _ = replays.changed() => desk.start_replays(&mut jobs).await?,
            item = reading.next(), if jobs.len() < UNFINISHED_MAX => {
                let item = item.context("the log's reading ended")?;
                desk.take(item.with_context(|| format!("reading the log for {}", P::NAME))?, &mut jobs).await?;
            }
        }
    }
    let drained = tokio::time::timeout(DRAIN, async {
        while let Some(done) = jobs.join_next().await {
            desk.settle(done.context("a job's task failed")??).await?;
        }
        anyhow::Ok(())
    });
    match drained.await {
        Ok(result) => result,
        Err(_) => {
            tracing::warn!(processor = P::NAME, jobs = jobs.len(), "jobs are still running, they will be done again at the next start");
            Ok(())
        }
    }
}

type Jobs = JoinSet<anyhow::Result<Done>>;

/// Keeps account of what is finished.
struct Desk<L, P> {
    pool: Arc<Pool<L, P>>,
    /// Positions at or above `frontier` that an earlier run finished.
    finished: HashSet<u64>,
    /// Positions below `frontier` whose jobs are not.
    unfinished: BTreeSet<u64>,
    replaying: HashSet<u64>,
    /// The next position to look at.
    frontier: u64,
    /// Everything below is finished, and stored as such.
    stored: u64,
}

impl<L: Log, P: Processor> Desk<L, P> {
    async fn take(&mut self, item: Item, jobs: &mut Jobs) -> anyhow::Result<()> {
        match item {
            Item::Event(event) => {
                self.frontier = event.position + 1;
                if !self.finished.remove(&event.position) && self.pool.wants(&event) {
                    self.unfinished.insert(event.position);
                    jobs.spawn(self.pool.clone().work(event));
                }
                if self.low_water() >= self.stored + CHECKPOINT_EVENTS {
                    self.store().await?;
                }
            }
            Item::CaughtUp(head) => {
                self.frontier = head;
                self.store().await?;
                let lag = head.saturating_sub(self.low_water());
                metrics::gauge!("clipflow_consumer_lag_events", "consumer" => P::NAME).set(lag as f64);
            }
        }
        Ok(())
    }

    async fn settle(&mut self, done: Done) -> anyhow::Result<()> {
        let Done { position, end } = done;
        let consumers = &self.pool.surroundings.consumers;
        if self.replaying.remove(&position) {
            if matches!(end, End::Settled) {
                consumers.unpark(P::NAME, position).await?;
            }
            return Ok(());
        }
        if matches!(end, End::Interrupted) {
            return Ok(());
        }
        self.unfinished.remove(&position);
        if position < self.low_water() {
            return self.store().await;
        }
        consumers.finish(P::NAME, position).await
    }

    /// Returns the position below which everything is finished.
    fn low_water(&self) -> u64 {
        self.unfinished.first().copied().unwrap_or(self.frontier)
    }

    async fn store(&mut self) -> anyhow::Result<()> {
        let low_water = self.low_water();
        if low_water > self.stored {
            let Surroundings { consumers, positions, .. } = &self.pool.surroundings;
            consumers.set_checkpoint(P::NAME, low_water - 1).await?;
            positions.publish(P::NAME, Partition::EMBEDDED, Some(low_water - 1));
            self.stored = low_water;
        }
        Ok(())
    }

    async fn start_replays(&mut self, jobs: &mut Jobs) -> anyhow::Result<()> {
        for position in self.pool.surroundings.consumers.to_replay(P::NAME).await? {
            if !self.unfinished.contains(&position) && self.replaying.insert(position) {
                let event = event_at(&self.pool.log, Partition::EMBEDDED, position).await?;
                jobs.spawn(self.pool.clone().work(event));
            }
        }
        Ok(())
    }
}
