//! Sends commits: what comes while records are on their way waits, and then goes together in one.
//!
//! Brokers and clients work per record more than per byte. So a log with many appenders takes many commits at a time, as databases do, and
//! one with few lets nobody wait.

use super::answers::Answers;
use super::settings::Settings;
use super::topics::Generation;
use super::{APPEND_DEADLINE, wire};
use crate::log::Commit;
use crate::log::sequencer::CommitKey;
use anyhow::Context as _;
use prost::Message as _;
use proto::log_v1::{self, Commits};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// Commits that a record holds.
const RECORD_COMMITS_MAX: usize = 128;

/// Bytes after which a record takes no further commit; one alone may have more.
const RECORD_BYTES: usize = 64 * 1024;

/// Records of a partition that are on their way at a time: the second waits at the brokers while the first is copied.
const RECORDS_ON_THE_WAY_MAX: usize = 2;

/// Commits of a partition that wait for a record; who comes later tries again and again.
const WAITING_MAX: usize = 16_384;

/// Pause before a commit or a record is offered again where a queue is full.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(1);

/// Kept by who wants a commit sent: once it is dropped, a commit that still waits is not.
pub(super) struct Waiter(#[expect(dead_code, reason = "it only has to live")] Arc<()>);

/// Sends the commits of one process.
#[derive(Clone)]
pub(super) struct Appender(Arc<Shared>);

struct Shared {
    topic: String,
    producer: FutureProducer,
    answers: Answers,
    lanes: Vec<Mutex<Lane>>,
    /// A log of rule 1 has one commit in a record.
    is_grouping: bool,
}

/// One partition.
#[derive(Default)]
struct Lane {
    waiting: VecDeque<Waiting>,
    on_the_way: usize,
}

struct Waiting {
    key: CommitKey,
    commit: log_v1::Commit,
    bytes: usize,
    waiter: Weak<()>,
}

impl Appender {
    /// Who waits for an answer is told through `answers` where a commit could not be sent.
    pub(super) fn new(settings: &Settings, generation: &Generation, answers: Answers) -> anyhow::Result<Self> {
        let producer = settings.appender(APPEND_DEADLINE.as_millis()).create().context("starting the producer of commits")?;
        let lanes = (0..generation.partitions).map(|_| Mutex::default()).collect();
        let (topic, is_grouping) = (settings.commits(), generation.groups_commits());
        Ok(Self(Arc::new(Shared { topic, producer, answers, lanes, is_grouping })))
    }

    /// Sends a commit as soon as may be.
    pub(super) async fn send(&self, partition: usize, commit: &Commit) -> Waiter {
        let (key, commit, waiter) = ((commit.workspace, commit.id), wire::commit_to_message(commit), Arc::default());
        let waiting = Waiting { key, bytes: commit.encoded_len(), commit, waiter: Arc::downgrade(&waiter) };
        while self.lane(partition).waiting.len() >= WAITING_MAX {
            tokio::time::sleep(QUEUE_FULL_PAUSE).await;
        }
        self.lane(partition).waiting.push_back(waiting);
        self.go(partition);
        Waiter(waiter)
    }

    /// Sends what waits, if it may go now.
    fn go(&self, partition: usize) {
        while let Some(group) = self.group(partition) {
            let appender = self.clone();
            tokio::spawn(async move {
                let (keys, commits): (Vec<_>, Vec<_>) = group.into_iter().map(|waiting| (waiting.key, waiting.commit)).unzip();
                let result = appender.deliver(partition, commits).await;
                appender.lane(partition).on_the_way -= 1;
                appender.go(partition);
                if let Err(error) = result {
                    appender.0.answers.not_sent(keys, &error);
                }
            });
        }
    }

    async fn deliver(&self, partition: usize, commits: Vec<log_v1::Commit>) -> Result<(), KafkaError> {
        let payload = match &*commits {
            [only] if !self.0.is_grouping => only.encode_to_vec(),
            _ => Commits { commits }.encode_to_vec(),
        };
        let partition = i32::try_from(partition).unwrap_or_default();
        loop {
            let record = FutureRecord::<(), _>::to(&self.0.topic).partition(partition).payload(&payload);
            match self.0.producer.send_result(record) {
                Ok(delivery) => return delivery.await.map_err(|_| KafkaError::Canceled)?.map(drop).map_err(|(error, _)| error),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => tokio::time::sleep(QUEUE_FULL_PAUSE).await,
                Err((error, _)) => return Err(error),
            }
        }
    }

    fn group(&self, partition: usize) -> Option<Vec<Waiting>> {
        self.lane(partition).group(self.0.is_grouping)
    }

    fn lane(&self, partition: usize) -> MutexGuard<'_, Lane> {
        self.0.lanes[partition].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// Takes what goes into the next record, if one may go.
    fn group(&mut self, is_grouping: bool) -> Option<Vec<Waiting>> {
        if is_grouping && self.on_the_way >= RECORDS_ON_THE_WAY_MAX {
            return None;
        }
        let commits_max = if is_grouping { RECORD_COMMITS_MAX } else { 1 };
        let (mut group, mut bytes) = (Vec::new(), 0);
        while group.len() < commits_max
            && let Some(next) = self.waiting.pop_front_if(|next| group.is_empty() || bytes + next.bytes <= RECORD_BYTES)
        {
            // Nobody waits for it any more, so nobody needs it to arrive.
            if next.waiter.strong_count() > 0 {
                bytes += next.bytes;
                group.push(next);
            }
        }
        if group.is_empty() {
            return None;
        }
        self.on_the_way += 1;
        Some(group)
    }
}
