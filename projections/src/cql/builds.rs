//! Builds: each version of a read model may be built again beside the one that is read, compared with it, and put in its place.
//!
//! 1. The rebuild makes the tables of the next build and *marks* it. From then on a projector writes each batch to marked builds first,
//!    then to the live one. It looks for marks before a batch and again after it, and starts over when they changed.
//! 2. The rebuild folds the log into the new build up to an end that it learns after the mark. An event that comes later is in a batch
//!    that began after the mark, so it is written to both; an earlier one is folded. So the new build never lacks what the live one shows.
//! 3. It compares both, slice by slice of the ring. Projectors write meanwhile, so a slice that differs is read again a few times.
//! 4. It sets one row: the new build is live. Queries look for that row each time, so no caller ever sees an older state than before.
//!
//! Nothing is locked, no time is waited for, and numbers are never used twice: a rebuild that crashed leaves a marked build, which the
//! next rebuild removes; two rebuilds at once make two builds, and the higher number stays. These rows have fixed timestamps, in the
//! order of a build's life, so that no clock decides between them.

use super::Store;
use super::cells::Bound;
use super::statements::Physical;
use crate::Model;
use crate::rows::Sum;
use crate::store::{Rebuilt, Target};
use crate::table::{Table, Value};
use anyhow::{Context as _, Result, bail};
use domain::blob::Digest;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use runtime::log::Partition;
use scylla::value::CqlValue;
use std::collections::BTreeMap;
use std::time::Duration;

/// The statements that make the tables of this file.
pub(crate) const SCHEMA: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS builds (\n    model text,\n    version bigint,\n    build bigint,\n    is_live boolean,\n    PRIMARY KEY ((model, version), build)\n)",
    "CREATE TABLE IF NOT EXISTS checkpoints (\n    model text,\n    version bigint,\n    build bigint,\n    partition bigint,\n    next bigint,\n    PRIMARY KEY ((model, version), build, partition)\n)",
    "CREATE TABLE IF NOT EXISTS cut_overs (\n    model text,\n    version bigint,\n    build bigint,\n    next bigint,\n    digest text,\n    previous_digest text,\n    PRIMARY KEY ((model, version), build)\n)",
];

/// Timestamps of a build's life.
const MARKED: i64 = 1;
pub(crate) const LIVE: i64 = 2;
const REMOVED: i64 = 3;

/// Pieces of the ring that are compared one by one: small, so that few events happen to one while it is read.
const SLICES: i128 = 64;

/// Slices that are read at the same time.
const SLICES_AT_ONCE: usize = 4;

/// How often a slice is read again before it counts as different, and how long between: a batch lies in one build before the other.
const COMPARISONS_MAX: u32 = 20;
const COMPARE_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Which builds a projector writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The one that is read.
    pub(crate) live: u32,
    /// Those that are being built.
    pub(crate) candidates: Vec<u32>,
}

impl Store {
    /// Returns the number of the build of `model` that is read.
    ///
    /// # Errors
    /// The cluster cannot be read, or there is none.
    pub async fn live(&self, model: Model) -> Result<u32> {
        Ok(self.plan(model).await?.live)
    }

    pub(crate) async fn plan(&self, model: Model) -> Result<Plan> {
        let builds = self.builds(model).await?;
        let live = builds.iter().filter(|(_, is_live)| *is_live).map(|(build, _)| *build).max();
        let live = live.with_context(|| format!("{} has no build that can be read: run `clipflow migrate`", model.name))?;
        Ok(Plan { live, candidates: builds.into_iter().map(|(build, _)| build).filter(|build| *build > live).collect() })
    }

    pub(crate) async fn next(&self, model: Model, target: Target, partition: Partition) -> Result<u64> {
        let build = match target {
            Target::Live => self.live(model).await?,
            Target::Build(build) => build,
        };
        self.checkpoint(model, build, partition).await
    }

    pub(crate) async fn checkpoint(&self, model: Model, build: u32, partition: Partition) -> Result<u64> {
        let keyspace = &self.0.keyspace;
        let text = format!("SELECT next FROM {keyspace}.checkpoints WHERE model = ? AND version = ? AND build = ? AND partition = ?");
        let mut key = key(model, Some(build));
        key.push(integer(partition.0.into()));
        let found = self.rows(text, key).await.with_context(|| format!("reading the checkpoint of {}", model.name))?;
        Ok(match found.first().and_then(|cells| cells.first()) {
            Some(Value::Integer(next)) => next.unsigned_abs(),
            _ => 0,
        })
    }

    /// The position is the timestamp, so that the checkpoint never goes back.
    pub(crate) async fn set_checkpoint(&self, model: Model, build: u32, partition: Partition, next: u64) -> Result<()> {
        let keyspace = &self.0.keyspace;
        let text =
            format!("INSERT INTO {keyspace}.checkpoints (model, version, build, partition, next) VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?");
        let mut values = key(model, Some(build));
        let next = integer(i64::try_from(next)?);
        values.extend([integer(partition.0.into()), next.clone(), next]);
        self.write(text, values).await.with_context(|| format!("writing the checkpoint of {}", model.name))
    }

    /// Returns the checkpoint of each partition that has one.
    async fn checkpoints(&self, model: Model, build: u32) -> Result<BTreeMap<u32, u64>> {
        let keyspace = &self.0.keyspace;
        let text = format!("SELECT partition, next FROM {keyspace}.checkpoints WHERE model = ? AND version = ? AND build = ?");
        let found = self.rows(text, key(model, Some(build))).await.with_context(|| format!("reading the checkpoints of {}", model.name))?;
        found
            .into_iter()
            .map(|cells| match cells.as_slice() {
                [Value::Integer(partition), Value::Integer(next)] => Ok((u32::try_from(*partition)?, next.unsigned_abs())),
                other => bail!("no checkpoint is {other:?}"),
            })
            .collect()
    }

    /// Makes an empty build of `model` beside the live one, marks it, and returns its number.
    pub(crate) async fn start(&self, model: Model) -> Result<u32> {
        let keyspace = &self.0.keyspace;
        let build = self.builds(model).await?.iter().map(|(build, _)| *build).max().unwrap_or(0) + 1;
        for table in model.tables {
            self.change_schema(&self.physical(model, table, build).create()).await?;
        }
        let mut values = key(model, Some(build));
        values.push(integer(MARKED));
        self.write(format!("INSERT INTO {keyspace}.builds (model, version, build) VALUES (?, ?, ?) USING TIMESTAMP ?"), values).await?;
        Ok(build)
    }

    /// Puts `build`, which was caught up, in place of the live one. The one before stays; those before that are removed.
    pub(crate) async fn cut_over(&self, model: Model, build: u32) -> Result<Rebuilt> {
        let keyspace = &self.0.keyspace;
        let plan = self.plan(model).await?;
        if !plan.candidates.contains(&build) {
            bail!("another rebuild of {} took the place of this one", model.name);
        }
        // What projectors have finished since the mark they wrote to both.
        let mut next = self.checkpoints(model, build).await?;
        for (partition, done) in self.checkpoints(model, plan.live).await? {
            next.entry(partition).and_modify(|next| *next = done.max(*next)).or_insert(done);
        }
        let (before, after) = self.compare(model, plan.live, build).await?;
        for (partition, next) in &next {
            self.set_checkpoint(model, build, Partition(*partition), *next).await?;
        }
        let applied = next.into_values().sum();
        let mut values = key(model, Some(build));
        values.extend([
            integer(i64::try_from(applied)?),
            Some(CqlValue::Text(after.to_string())),
            Some(CqlValue::Text(before.to_string())),
            integer(LIVE),
        ]);
        let text = format!(
            "INSERT INTO {keyspace}.cut_overs (model, version, build, next, digest, previous_digest) VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"
        );
        self.write(text, values).await?;
        let mut values = key(model, Some(build));
        values.push(integer(LIVE));
        self.write(
            format!("INSERT INTO {keyspace}.builds (model, version, build, is_live) VALUES (?, ?, ?, true) USING TIMESTAMP ?"),
            values,
        )
        .await?;
        self.remove_older(model, build, plan.live).await?;
        Ok(Rebuilt { name: model.name, build, applied, before, after })
    }

    async fn remove_older(&self, model: Model, live: u32, kept: u32) -> Result<()> {
        let keyspace = &self.0.keyspace;
        for (build, _) in self.builds(model).await?.into_iter().filter(|(build, _)| *build < live && *build != kept) {
            for table in model.tables {
                self.change_schema(&self.physical(model, table, build).drop()).await?;
            }
            for table in ["checkpoints", "builds"] {
                let timestamp = if table == "builds" { REMOVED } else { i64::MAX };
                let values = [integer(timestamp)].into_iter().chain(key(model, Some(build))).collect();
                let text = format!("DELETE FROM {keyspace}.{table} USING TIMESTAMP ? WHERE model = ? AND version = ? AND build = ?");
                self.write(text, values).await?;
            }
        }
        Ok(())
    }

    /// Returns all builds with whether each is or was live.
    async fn builds(&self, model: Model) -> Result<Vec<(u32, bool)>> {
        let keyspace = &self.0.keyspace;
        let text = format!("SELECT build, is_live FROM {keyspace}.builds WHERE model = ? AND version = ?");
        let found = self.rows(text, key(model, None)).await.with_context(|| format!("reading the builds of {}", model.name))?;
        found
            .into_iter()
            .map(|cells| match cells.as_slice() {
                [Value::Integer(build), is_live] => Ok((u32::try_from(*build)?, *is_live == true.into())),
                other => bail!("no build is {other:?}"),
            })
            .collect()
    }

    pub(crate) async fn digest(&self, model: Model) -> Result<Digest> {
        let build = self.live(model).await?;
        let mut all = Sum::default();
        for table in model.tables {
            let sums = slices().map(|slice| self.sum(self.physical(model, table, build), slice));
            let sums: Vec<Sum> = stream::iter(sums).buffer_unordered(SLICES_AT_ONCE).try_collect().await?;
            sums.into_iter().for_each(|sum| all.merge(sum));
        }
        Ok(all.digest())
    }

    async fn compare(&self, model: Model, before: u32, after: u32) -> Result<(Digest, Digest)> {
        let mut all = (Sum::default(), Sum::default());
        for table in model.tables {
            let pairs = slices().map(|slice| self.compare_slice(model, table, (before, after), slice));
            let pairs: Vec<(Sum, Sum)> = stream::iter(pairs).buffer_unordered(SLICES_AT_ONCE).try_collect().await?;
            for (before, after) in pairs {
                all.0.merge(before);
                all.1.merge(after);
            }
        }
        Ok((all.0.digest(), all.1.digest()))
    }

    async fn compare_slice(&self, model: Model, table: &'static Table, builds: (u32, u32), slice: (i64, i64)) -> Result<(Sum, Sum)> {
        let mut pair = (Sum::default(), Sum::default());
        for _ in 0..COMPARISONS_MAX {
            let sum = |build| self.sum(self.physical(model, table, build), slice);
            pair = tokio::try_join!(sum(builds.0), sum(builds.1))?;
            if pair.0 == pair.1 {
                break;
            }
            tokio::time::sleep(COMPARE_AGAIN_AFTER).await;
        }
        Ok(pair)
    }

    async fn sum(&self, physical: Physical<'_>, (first, last): (i64, i64)) -> Result<Sum> {
        let mut preparations = 0;
        loop {
            match self.sum_once(physical, (first, last)).await {
                Err(error) if self.is_to_repeat(&mut preparations, &physical.slice(), &error).await => {}
                other => return other,
            }
        }
    }

    async fn sum_once(&self, physical: Physical<'_>, (first, last): (i64, i64)) -> Result<Sum> {
        let mut rows = std::pin::pin!(self.stream(physical.slice(), vec![integer(first), integer(last)]).await?);
        let mut sum = Sum::default();
        while let Some(cells) = rows.next().await {
            sum.add(physical.table, &cells?);
        }
        Ok(sum)
    }
}

/// Returns the pieces of the ring, each by its first and last token.
fn slices() -> impl Iterator<Item = (i64, i64)> {
    let start = |index: i128| i128::from(i64::MIN) + (index << 64) / SLICES;
    let token = |place: i128| i64::try_from(place).expect("a slice lies between the least and the greatest token");
    (0..SLICES).map(move |index| (token(start(index)), token(start(index + 1) - 1)))
}

fn key(model: Model, build: Option<u32>) -> Vec<Bound> {
    let name = Some(CqlValue::Text(model.name.into()));
    [name, integer(model.version.into())].into_iter().chain(build.map(|build| integer(build.into()))).collect()
}

fn integer(number: i64) -> Bound {
    Some(CqlValue::BigInt(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_cover_the_ring_without_gaps_or_overlaps() {
        let all: Vec<_> = slices().collect();
        assert_eq!((all[0].0, all[all.len() - 1].1), (i64::MIN, i64::MAX));
        assert!(all.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0));
    }
}
