//! Snapshots of a sequencer's state in the blob store, for a sequencer on a machine that has not seen the log: it reads the events since,
//! instead of all there ever were.
//!
//! They save time and nothing else. A snapshot that cannot be made, found, fetched or used is told and done without.

use super::index::{Index, LAYOUT};
use super::topics::Generation;
use crate::blobs::{Blobs, Snapshot};
use crate::log::sequencer::PartitionState;
use anyhow::Context as _;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// The snapshots of one partition.
pub(super) struct Snapshots {
    blobs: Blobs,
    runtime: Handle,
    series: String,
    /// Events from one to the next.
    every_events: u64,
    /// The last one, or the one that is being made: the offset of events below which it knows them all.
    last: u64,
    /// The one that is being made.
    at_work: Option<JoinHandle<()>>,
}

/// What an index holds: the state, and the offset of events below which it knows them all.
pub(super) type Opened = (Index, PartitionState, i64);

impl Snapshots {
    /// Of a partition; for a thread that may wait, and the runtime that it belongs to.
    pub(super) fn new(blobs: &Blobs, runtime: &Handle, generation: &Generation, partition: i32, every_events: u64) -> Self {
        // Files of another layout are none of ours.
        let series = format!("log-{}/sequencer-{partition}-v{LAYOUT}", generation.id);
        Self { blobs: blobs.clone(), runtime: runtime.clone(), series, every_events, last: 0, at_work: None }
    }

    /// Opens the index at `path`; where it is empty, or lies more than a whole snapshot behind the last one, that one takes its place.
    pub(super) fn open_index(&mut self, path: &Path, generation: &Generation) -> anyhow::Result<Opened> {
        let opened = Index::open(path, generation)?;
        let started = Instant::now();
        let Some((aside, snapshot)) = self.newer(path, generation, opened.2) else { return Ok(opened) };
        opened.0.close()?;
        Index::remove(path)?;
        std::fs::rename(aside, path).with_context(|| format!("replacing {}", path.display()))?;
        let (offset, bytes) = (snapshot.number, snapshot.bytes());
        tracing::info!(series = self.series, offset, bytes, took_ms = started.elapsed().as_millis(), "took a snapshot over");
        metrics::counter!("clipflow_log_snapshots_total", "outcome" => "used").increment(1);
        Index::open(path, generation)
    }

    /// Fetches the last snapshot that can be used and is worth it, to a file beside `path`.
    fn newer(&mut self, path: &Path, generation: &Generation, known: i64) -> Option<(PathBuf, Snapshot)> {
        let known = known.cast_unsigned();
        let is_worth_it = |snapshot: &Snapshot| known == 0 || snapshot.number > known.saturating_add(self.every_events);
        let found = self.runtime.block_on(self.blobs.snapshots(&self.series));
        let found = found
            .inspect_err(|error| tracing::warn!(series = self.series, error = ?error, "cannot look for snapshots, reading events instead"));
        let found = found.ok()?;
        self.last = found.first().map_or(0, |snapshot| snapshot.number);
        found.into_iter().filter(is_worth_it).find_map(|snapshot| match self.fetch(&snapshot, path, generation) {
            Ok(aside) => Some((aside, snapshot)),
            Err(error) => {
                tracing::warn!(series = self.series, offset = snapshot.number, error = ?error, "a snapshot cannot be used");
                metrics::counter!("clipflow_log_snapshots_total", "outcome" => "unusable").increment(1);
                None
            }
        })
    }

    /// Fetches a snapshot and looks whether it is what it should be.
    fn fetch(&self, snapshot: &Snapshot, path: &Path, generation: &Generation) -> anyhow::Result<PathBuf> {
        let aside = path.with_extension("fetched");
        Index::remove(&aside)?;
        self.runtime.block_on(self.blobs.fetch_snapshot(snapshot, &aside))?;
        let (index, _, known) = Index::open(&aside, generation)?;
        index.close()?;
        anyhow::ensure!(known.cast_unsigned() == snapshot.number, "it knows the events below {known} instead of {}", snapshot.number);
        Ok(aside)
    }

    /// Makes a snapshot of the index at `path`, which was saved and knows the events below the offset `known`, when it is time; aside.
    pub(super) fn saved(&mut self, known: i64, path: &Path) {
        let known = known.cast_unsigned();
        if known < self.last.saturating_add(self.every_events) || self.at_work.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        self.last = known;
        let (blobs, series, path) = (self.blobs.clone(), self.series.clone(), path.to_owned());
        self.at_work = Some(self.runtime.spawn(async move {
            let started = Instant::now();
            let outcome = match make(&blobs, &series, &path).await {
                Ok(offset) => {
                    tracing::info!(series, offset, took_ms = started.elapsed().as_millis(), "kept a snapshot");
                    "kept"
                }
                Err(error) => {
                    tracing::warn!(series, error = ?error, "could not keep a snapshot, the next one is tried in its time");
                    "failed"
                }
            };
            metrics::counter!("clipflow_log_snapshots_total", "outcome" => outcome).increment(1);
        }));
    }
}

/// Keeps what the index at `path` has on disk now; returns the offset of events below which it knows them all.
async fn make(blobs: &Blobs, series: &str, path: &Path) -> anyhow::Result<u64> {
    let scratch = blobs.scratch()?;
    let (from, to) = (path.to_owned(), scratch.path.clone());
    let copying = tokio::task::spawn_blocking(move || Index::copy(&from, &to));
    let known = copying.await.context("copying the index panicked")??.cast_unsigned();
    blobs.keep_snapshot(series, known, &scratch.path).await?;
    Ok(known)
}
