//! Ends the transactions of a log's one writer: with each it writes the batches, and a part of what the index lacks.
//!
//! Entries gather until there are many, are sorted, and then go into the index in steps: all at once they would hold up whoever appends.

use super::index;
use super::pack::Packer;
use super::tail::{self, Entries, Extent, Tail};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::sync::{Arc, Mutex};

/// How many entries, of commits and of their streams, wait until they are sorted. Fewer cost more pages written for each; more cost memory,
/// about 200 bytes each, and the time to read them at the next start.
pub(super) const GATHER: usize = 32_768;

/// Transactions that it takes at most until what was gathered is in the index.
const STEPS_MAX: usize = 256;

/// For each entry that is new, this many go into the index: so what was gathered is there before as many are gathered again.
const STEP_PER_NEW: usize = 2;

/// Without new ones, an idle writer takes larger steps; a commit that comes then waits for one.
const IDLE_STEPS: usize = 32;

/// An idle writer begins to write the index when this many entries wait for it: below, the next start reads them in no time.
const IDLE_MIN: usize = 1_024;

pub(super) struct Indexer {
    tail: Arc<Mutex<Tail>>,
    gather: usize,
    job: Option<Job>,
}

/// What is on its way into the index.
struct Job {
    entries: Entries,
    commits_done: usize,
    sections_done: usize,
}

impl Indexer {
    pub(super) fn new(tail: Arc<Mutex<Tail>>, gather: usize) -> Self {
        Self { tail, gather, job: None }
    }

    pub(super) fn tail(&self) -> &Mutex<Tail> {
        &self.tail
    }

    /// Writes what was packed, and commits. Returns how far the log goes then.
    pub(super) fn write(&mut self, transaction: Transaction<'_>, packer: Packer, before: Extent) -> anyhow::Result<Extent> {
        let next_position = packer.next_position();
        let (batches, outline) = packer.into_batches();
        index::insert(&transaction, &batches)?;
        let written = before.next_batch..before.next_batch + batches.len() as u64;
        let step = (STEP_PER_NEW * outline.entries()).max(self.gather / STEPS_MAX);
        let (indexed_below, job) = self.step(&transaction, before.indexed_below, self.gather, step)?;
        // Only what is in the file is in the tail, or done of the job.
        transaction.commit()?;
        self.job = job;
        let mut tail = tail::lock(&self.tail);
        tail.forget_below(indexed_below);
        tail.add(written.clone(), outline);
        Ok(Extent { next_batch: written.end, next_position, indexed_below })
    }

    /// Writes a part of what the index lacks while there is nothing else to do. Returns how far it goes then, or nothing if too little is left.
    pub(super) fn write_idle(&mut self, connection: &mut Connection) -> anyhow::Result<Option<u64>> {
        if self.job.is_none() && tail::lock(&self.tail).entries() < self.gather.min(IDLE_MIN) {
            return Ok(None);
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let extent = tail::lock(&self.tail).catch_up(&transaction)?;
        let (indexed_below, job) = self.step(&transaction, extent.indexed_below, 0, self.gather.div_ceil(IDLE_STEPS))?;
        transaction.commit()?;
        self.job = job;
        tail::lock(&self.tail).forget_below(indexed_below);
        Ok(Some(indexed_below))
    }

    /// Takes a step of the job that there is, or that begins if at least `gather` entries wait for one. Returns where the index ends once the
    /// transaction is committed, and what is left of the job: if it is not committed, all of it is done again.
    fn step(&mut self, connection: &Connection, indexed_below: u64, gather: usize, entries: usize) -> anyhow::Result<(u64, Option<Job>)> {
        // Another process may have written the index.
        let mut job = match self.job.take().filter(|job| job.entries.from == indexed_below) {
            Some(job) => job,
            None => {
                let mut tail = tail::lock(&self.tail);
                if tail.entries() < gather {
                    return Ok((indexed_below, None));
                }
                Job { entries: tail.sink(), commits_done: 0, sections_done: 0 }
            }
        };
        let is_done = job.step(connection, entries.max(1))?;
        Ok(if is_done { (job.entries.below, None) } else { (indexed_below, Some(job)) })
    }
}

impl Job {
    /// Writes some entries, and the watermark with the last. Returns whether that is done.
    fn step(&mut self, connection: &Connection, entries: usize) -> rusqlite::Result<bool> {
        let commits = &self.entries.commits[self.commits_done..];
        let commits = &commits[..commits.len().min(entries)];
        index::add_commits(connection, commits)?;
        self.commits_done += commits.len();
        let sections = &self.entries.sections[self.sections_done..];
        let sections = &sections[..sections.len().min(entries - commits.len())];
        index::add_sections(connection, sections)?;
        self.sections_done += sections.len();
        let is_done = self.commits_done == self.entries.commits.len() && self.sections_done == self.entries.sections.len();
        if is_done {
            index::set_indexed_below(connection, self.entries.below)?;
        }
        Ok(is_done)
    }
}

/// Writes everything that a tail has into the index.
pub(super) fn write_all(connection: &Connection, tail: &mut Tail) -> rusqlite::Result<()> {
    let mut job = Job { entries: tail.sink(), commits_done: 0, sections_done: 0 };
    job.step(connection, usize::MAX)?;
    tail.forget_below(job.entries.below);
    Ok(())
}
