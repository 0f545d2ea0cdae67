//! Events → rows.

use super::builds::Plan;
use super::cells::{bind, bind_key};
use super::statements::Physical;
use super::{REPLANS_MAX, Store};
use crate::Model;
use crate::store::Target;
use crate::table::{Table, Write};
use anyhow::{Context as _, Result, bail, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use proto::Recorded;
use runtime::log::Partition;
use scylla::value::CqlValue;

/// Most writes of one event: each has a timestamp of its own, and 2⁶³ / 4096 positions are left.
const WRITES_PER_EVENT_MAX: u64 = 1 << 12;

/// Writes that are under way at the same time: enough to keep a node busy, few enough to leave room for reads.
const WRITES_AT_ONCE: usize = 64;

impl Store {
    pub(crate) async fn apply(&self, model: Model, target: Target, partition: Partition, events: &[Recorded], next: u64) -> Result<u64> {
        match target {
            Target::Build(build) => {
                self.write_rows(model, build, events).await?;
                self.set_checkpoint(model, build, partition, next).await?;
                Ok(next)
            }
            Target::Live => self.apply_live(model, partition, events, next).await,
        }
    }

    /// Writes to builds that are being made first, then to the live one, and starts over when a rebuild changed which builds there are.
    async fn apply_live(&self, model: Model, partition: Partition, events: &[Recorded], next: u64) -> Result<u64> {
        for _ in 0..REPLANS_MAX {
            let plan = self.plan(model).await?;
            let done = self.checkpoint(model, plan.live, partition).await?;
            let fresh = &events[events.partition_point(|event| event.position < done)..];
            let written = self.write_all(model, &plan, fresh).await;
            if self.plan(model).await? != plan {
                continue;
            }
            written?;
            let next = next.max(done);
            self.set_checkpoint(model, plan.live, partition, next).await?;
            return Ok(next);
        }
        bail!("{} was rebuilt {REPLANS_MAX} times while one batch was written", model.name)
    }

    async fn write_all(&self, model: Model, plan: &Plan, events: &[Recorded]) -> Result<()> {
        for build in plan.candidates.iter().chain([&plan.live]) {
            self.write_rows(model, *build, events).await?;
        }
        Ok(())
    }

    /// Writes the rows of `events`, in whatever order and how often they come. Touches no checkpoint.
    ///
    /// # Errors
    /// The cluster cannot be written; some of the rows may be.
    pub async fn write_rows(&self, model: Model, build: u32, events: &[Recorded]) -> Result<()> {
        let mut writes = vec![];
        for event in events {
            for (index, (table, write)) in (0..).zip(model.writes(event)?) {
                let physical = self.physical(model, table, build);
                let timestamp = ticks(event.position, index).with_context(|| format!("writing {}", event.id))?;
                writes.push(self.execute(physical, write, timestamp));
            }
        }
        stream::iter(writes).buffer_unordered(WRITES_AT_ONCE).try_collect().await
    }

    async fn execute(&self, physical: Physical<'_>, write: Write, timestamp: i64) -> Result<()> {
        let table: &'static Table = physical.table;
        let timestamp = Some(CqlValue::BigInt(timestamp));
        let written = match write {
            Write::Upsert { key, cells } => {
                let names: Vec<_> = cells.iter().map(|(name, _)| *name).collect();
                let columns = names.iter().filter_map(|name| table.column(name));
                let mut values = bind_key(table, key)?;
                values.extend(bind(columns, cells.into_iter().map(|(_, value)| value))?);
                values.push(timestamp);
                self.write(physical.upsert(&names), values).await
            }
            Write::Delete { prefix } => {
                let text = physical.delete(prefix.len());
                let values = [timestamp].into_iter().chain(bind_key(table, prefix)?).collect();
                self.write(text, values).await
            }
        };
        written.with_context(|| format!("writing {}", table.name))
    }
}

/// Returns the timestamp of the write at `index` among those of the event at `position`.
fn ticks(position: u64, index: u64) -> Result<i64> {
    ensure!(index < WRITES_PER_EVENT_MAX, "it writes more than {WRITES_PER_EVENT_MAX} rows");
    let ticks = position.checked_add(1).and_then(|number| number.checked_mul(WRITES_PER_EVENT_MAX)).map(|first| first + index);
    ticks.and_then(|ticks| i64::try_from(ticks).ok()).with_context(|| format!("position {position} is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_write_has_a_later_timestamp_than_those_before_it() {
        let ticks = |position, index| ticks(position, index).unwrap();
        assert!(ticks(0, 0) > 0, "timestamps of zero and below are special to some servers");
        assert!(ticks(7, 0) < ticks(7, 1) && ticks(7, WRITES_PER_EVENT_MAX - 1) < ticks(8, 0));
        assert!(super::ticks(7, WRITES_PER_EVENT_MAX).is_err());
        assert!(super::ticks(1 << 50, 0).is_ok() && super::ticks(1 << 51, 0).is_err() && super::ticks(u64::MAX, 0).is_err());
    }
}
