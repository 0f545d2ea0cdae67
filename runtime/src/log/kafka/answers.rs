//! Who waits for a verdict, and how far the copies are behind what was answered.
//!
//! A verdict is a pure function of the commits before it, and those are on the brokers when anybody can read them. So it may be told by whoever
//! knows it first: this process's sequencer when it has judged, or the follower when the events arrive. The copies come later, and reads wait for them.

use crate::log::sequencer::{Answer, CommitKey};
use rdkafka::error::KafkaError;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// How long a read waits for what was answered before it, and an appender for copies that are far behind. Afterwards a read may be stale,
/// as every read may be: `append` will tell.
const FRESH_WITHIN: Duration = Duration::from_secs(1);

/// Records of commits that the copies may be behind before appenders are held up: as many as are written in half a second.
const RECORDS_BEHIND_MAX: u64 = 512;

/// What an appender hears; an error leaves open what becomes of its commit.
pub(super) type Told = Result<Answer, KafkaError>;

/// Shared by the appenders of a log, its follower, and the sequencer of the same process if there is one.
#[derive(Clone)]
pub(super) struct Answers(Arc<Shared>);

struct Shared {
    waiting: Mutex<HashMap<CommitKey, Vec<oneshot::Sender<Told>>>>,
    partitions: Vec<Partition>,
    failure: OnceLock<String>,
}

/// Both count records of commits of the partition: the offset after the last one.
struct Partition {
    answered: AtomicU64,
    copied: watch::Sender<u64>,
}

impl Answers {
    /// For partitions whose copies hold the commits below these offsets.
    pub(super) fn new(copied: impl IntoIterator<Item = u64>) -> Self {
        let partition = |copied| Partition { answered: AtomicU64::new(copied), copied: watch::Sender::new(copied) };
        let partitions = copied.into_iter().map(partition).collect();
        Self(Arc::new(Shared { waiting: Mutex::default(), partitions, failure: OnceLock::new() }))
    }

    /// Returns where the answer to a commit will arrive.
    pub(super) fn register(&self, key: CommitKey) -> oneshot::Receiver<Told> {
        let (sender, receiver) = oneshot::channel();
        self.lock().entry(key).or_default().push(sender);
        receiver
    }

    /// Forgets those who no longer wait.
    pub(super) fn forget(&self, key: CommitKey) {
        let mut waiting = self.lock();
        if let Some(senders) = waiting.get_mut(&key) {
            senders.retain(|sender| !sender.is_closed());
            if senders.is_empty() {
                waiting.remove(&key);
            }
        }
    }

    /// Answers whoever waits; what they may know now is in the copies once those hold the commits below `next_commit`.
    pub(super) fn tell(&self, partition: usize, next_commit: u64, answers: impl IntoIterator<Item = (CommitKey, Answer)>) {
        self.0.partitions[partition].answered.fetch_max(next_commit, Ordering::AcqRel);
        self.hear(answers.into_iter().map(|(key, answer)| (key, Ok(answer))));
    }

    /// Says that commits may not have reached the brokers.
    pub(super) fn not_sent(&self, keys: Vec<CommitKey>, error: &KafkaError) {
        self.hear(keys.into_iter().map(|key| (key, Err(error.clone()))));
    }

    fn hear(&self, told: impl Iterator<Item = (CommitKey, Told)>) {
        let mut waiting = self.lock();
        for (key, told) in told {
            for sender in waiting.remove(&key).into_iter().flatten() {
                // Whoever gave up learns it by asking again.
                drop(sender.send(told.clone()));
            }
        }
    }

    /// Says that a copy holds the commits below `next_commit`.
    pub(super) fn copied(&self, partition: usize, next_commit: u64) {
        self.0.partitions[partition].copied.send_if_modified(|copied| std::mem::replace(copied, next_commit) != next_commit);
    }

    /// Waits until a copy holds everything that was answered before this call.
    pub(super) async fn until_fresh(&self, partition: usize) {
        self.until_copied(partition, self.answered(partition)).await;
    }

    /// Waits while a copy is so far behind what was answered that it should not become more.
    pub(super) async fn until_not_far_behind(&self, partition: usize) {
        self.until_copied(partition, self.answered(partition).saturating_sub(RECORDS_BEHIND_MAX)).await;
    }

    /// Says why the log can no longer be followed; the first reason stays.
    pub(super) fn fail(&self, reason: String) {
        // Only the follower's thread says so, once.
        drop(self.0.failure.set(reason));
        for partition in &self.0.partitions {
            partition.copied.send_modify(|_| {});
        }
    }

    /// Returns why the log can no longer be followed.
    pub(super) fn failure(&self) -> Option<&str> {
        self.0.failure.get().map(String::as_str)
    }

    fn answered(&self, partition: usize) -> u64 {
        self.0.partitions[partition].answered.load(Ordering::Acquire)
    }

    async fn until_copied(&self, partition: usize, next_commit: u64) {
        let copied = &self.0.partitions[partition].copied;
        if *copied.borrow() >= next_commit {
            return;
        }
        let mut copied = copied.subscribe();
        let arrived = copied.wait_for(|copied| *copied >= next_commit || self.failure().is_some());
        // Too late is as good as it gets: see `FRESH_WITHIN`.
        drop(tokio::time::timeout(FRESH_WITHIN, arrived).await);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CommitKey, Vec<oneshot::Sender<Told>>>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
