//! Keeps read models up to date: each follows the log by itself, so that one that is rebuilt or fails holds no other up.

use crate::store::{Store, Target};
use crate::{Model, Projection, audit, clips, events_by_stream, jobs, models, parked_jobs, transcripts, videos};
use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use proto::Recorded;
use runtime::consume::{Sink, Surroundings, consume};
use runtime::log::{Filter, Item, Log, Partition};
use std::marker::PhantomData;

/// Most events in one transaction of a catch-up: long enough to be fast, short enough that others get to write.
const BATCH_EVENTS_MAX: usize = 512;

/// Keeps every read model up to date until shutdown.
///
/// # Errors
/// The log or the consumers' memory cannot be read.
pub async fn run<L: Log>(log: L, store: Store, surroundings: Surroundings) -> Result<()> {
    let with = || (log.clone(), surroundings.clone());
    tokio::try_join!(
        follow::<_, events_by_stream::EventsByStream>(with(), &store),
        follow::<_, videos::Videos>(with(), &store),
        follow::<_, transcripts::Transcripts>(with(), &store),
        follow::<_, clips::Clips>(with(), &store),
        follow::<_, jobs::Jobs>(with(), &store),
        follow::<_, models::Models>(with(), &store),
        follow::<_, audit::Audit>(with(), &store),
        follow::<_, parked_jobs::ParkedJobs>(with(), &store),
    )
    .map(|_| ())
}

async fn follow<L: Log, P: Projection>((log, surroundings): (L, Surroundings), store: &Store) -> Result<()> {
    consume(log, Feed::<P> { store: store.clone(), projection: PhantomData }, surroundings).await
}

/// A projection as something that the log is fed to.
struct Feed<P> {
    store: Store,
    projection: PhantomData<P>,
}

impl<P: Projection> Sink for Feed<P> {
    const NAME: &'static str = P::NAME;

    async fn checkpoint(&self, partition: Partition) -> Result<Option<u64>> {
        Ok(self.store.next(Model::of::<P>(), Target::Live, partition).await?.checked_sub(1))
    }

    async fn apply(&self, partition: Partition, batch: &[Recorded], next: u64) -> Result<()> {
        self.store.apply(Model::of::<P>(), Target::Live, partition, batch.to_vec(), next).await.map(|_| ())
    }
}

/// Brings a build of `model` to the present end of the log.
///
/// # Errors
/// The log or the store fails.
pub async fn catch_up(log: &impl Log, store: &Store, model: Model, target: Target) -> Result<()> {
    for partition in log.partitions() {
        catch_up_partition(log, store, model, target, partition).await?;
    }
    Ok(())
}

async fn catch_up_partition(log: &impl Log, store: &Store, model: Model, target: Target, partition: Partition) -> Result<()> {
    let head = log.head(partition).await?;
    let mut next = store.next(model, target, partition).await?;
    let mut reading = log.read(partition, next, Filter::all()).ready_chunks(BATCH_EVENTS_MAX);
    while next < head {
        let Some(items) = reading.next().await else { bail!("the log's reading ended while {} caught up", model.name) };
        let mut events = Vec::with_capacity(items.len());
        for item in items {
            match item.with_context(|| format!("reading the log for {}", model.name))? {
                Item::Event(event) => {
                    next = event.position + 1;
                    events.push(event);
                }
                Item::CaughtUp(end) => next = next.max(end),
            }
        }
        next = store.apply(model, target, partition, events, next).await?;
    }
    Ok(())
}
