//! Keeps read models up to date: follows the log and applies it in batches.

use crate::Model;
use crate::sqlite::{Applied, Batch, Store, Target};
use anyhow::{Result, bail};
use futures::StreamExt as _;
use runtime::log::{Filter, Item, Log, Partition, Reading};
use std::time::Duration;

/// Most events in one transaction: long enough to make a replay fast, short enough that others get to write.
const BATCH_EVENTS_MAX: usize = 512;

/// First wait after a failure; doubled each time.
const BACKOFF_MIN: Duration = Duration::from_millis(200);
/// Longest wait after a failure: a full disk is noticed within half a minute of being cleaned up.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// Keeps `model` up to date until the future is dropped. A failure is logged and tried again: nobody else can mend it.
pub async fn follow(log: impl Log, store: Store, model: Model) {
    let mut wait = BACKOFF_MIN;
    loop {
        let before = store.positions().checkpoint(model.name);
        let Err(error) = follow_once(&log, &store, model).await else { continue };
        if store.positions().checkpoint(model.name) > before {
            wait = BACKOFF_MIN;
        }
        tracing::error!(projection = model.name, error = ?error, wait_ms = wait.as_millis() as u64, "projection stopped, trying again");
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(BACKOFF_MAX);
    }
}

/// Brings a build of `model` to the present end of the log.
///
/// # Errors
/// The log or the store fails.
pub(crate) async fn catch_up(log: &impl Log, store: &Store, model: Model, target: Target) -> Result<()> {
    let head = log.head(Partition::EMBEDDED).await?;
    let mut batches = Batches::from(log, store.next(model, target).await?);
    while batches.next < head {
        if !batches.apply_next(store, model, target).await? {
            batches = Batches::from(log, store.next(model, target).await?);
        }
    }
    Ok(())
}

/// Follows the log until it fails or a batch does not follow the rows.
async fn follow_once(log: &impl Log, store: &Store, model: Model) -> Result<()> {
    let mut batches = Batches::from(log, store.next(model, Target::Live).await?);
    while batches.apply_next(store, model, Target::Live).await? {}
    Ok(())
}

struct Batches {
    reading: futures::stream::ReadyChunks<Reading>,
    next: u64,
}

impl Batches {
    fn from(log: &impl Log, next: u64) -> Self {
        Self { reading: log.read(Partition::EMBEDDED, next, Filter::all()).ready_chunks(BATCH_EVENTS_MAX), next }
    }

    /// Applies what there is, or waits until there is something. Returns false when the rows turned out to end earlier.
    async fn apply_next(&mut self, store: &Store, model: Model, target: Target) -> Result<bool> {
        let Some(items) = self.reading.next().await else { bail!("the log ended") };
        let from = self.next;
        let mut events = Vec::with_capacity(items.len());
        for item in items {
            match item? {
                Item::Event(event) => {
                    self.next = event.position + 1;
                    events.push(event);
                }
                Item::CaughtUp(next) => self.next = self.next.max(next),
            }
        }
        Ok(match store.apply(model, target, Batch { events, from, next: self.next }).await? {
            Applied::UpTo(_) => true,
            Applied::Gap => false,
        })
    }
}
