//! Members of a consumer group that divide partitions among themselves: one that the group gives us is made ready before its records come.
//!
//! That is for thrift only. Two that believe they have the same partition write the same, and readers drop the second of each.

use super::outputs::Outputs;
use super::settings::Settings;
use super::{follow, topics};
use anyhow::{Context as _, anyhow};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long nobody hears of a member before another takes its partitions over: the least that brokers allow by default. Taking over from one
/// who still lives is harmless, and costs both of them a read of the events since the last save.
const SESSION_MS: u32 = 6_000;

/// How long to wait for a record before looking whether to stop.
const IDLE: Duration = Duration::from_millis(100);

/// Makes a partition ready; returns the offset to read on from too.
type Start<P> = Box<dyn Fn(i32) -> anyhow::Result<(P, i64)> + Send + Sync>;

/// Our part of a group that reads one topic.
pub(super) struct Member<P: Send> {
    settings: Settings,
    client: BaseConsumer<Assignment<P>>,
}

impl<P: Send> Member<P> {
    /// Joins `group`, which reads `topic`.
    pub(super) fn join(
        settings: Settings,
        group: &str,
        topic: String,
        start: impl Fn(i32) -> anyhow::Result<(P, i64)> + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let start: Start<P> = Box::new(start);
        let assignment = Assignment { topic: topic.clone(), start, owned: Mutex::default(), failure: Mutex::default() };
        let client: BaseConsumer<_> =
            settings.member(group, SESSION_MS).create_with_context(assignment).with_context(|| format!("starting a reader of {topic}"))?;
        client.subscribe(&[&topic])?;
        Ok(Self { settings, client })
    }

    /// Gives each record to `take` with the partition that it belongs to, until shutdown or until one of the outputs could not be written.
    /// Returns what it owned at the end.
    pub(super) fn work(
        &self,
        outputs: &Outputs,
        shutdown: &CancellationToken,
        mut take: impl FnMut(&mut P, &BorrowedMessage<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<HashMap<i32, P>> {
        let assignment = self.client.context();
        while !shutdown.is_cancelled() {
            let record = self.client.poll(IDLE);
            if let Some(error) = assignment.failure().take() {
                return Err(error);
            }
            outputs.check()?;
            match record {
                None => {}
                Some(Ok(record)) => {
                    if let Some(partition) = assignment.owned().get_mut(&record.partition()) {
                        take(partition, &record)?;
                    }
                }
                Some(Err(error)) if follow::is_passing(&error) => {
                    tracing::warn!(error = %error, "the brokers are not there, waiting for them");
                }
                Some(Err(error)) => {
                    return Err(topics::unusable(&self.settings, &error).context(format!("reading {}", assignment.topic)));
                }
            }
        }
        Ok(std::mem::take(&mut *assignment.owned()))
    }
}

/// The group's view of us: which partitions are ours.
struct Assignment<P: Send> {
    topic: String,
    start: Start<P>,
    owned: Mutex<HashMap<i32, P>>,
    failure: Mutex<Option<anyhow::Error>>,
}

impl<P: Send> Assignment<P> {
    fn owned(&self) -> MutexGuard<'_, HashMap<i32, P>> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failure(&self) -> MutexGuard<'_, Option<anyhow::Error>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_over(&self, client: &BaseConsumer<Self>, given: &mut TopicPartitionList) -> anyhow::Result<()> {
        let partitions: Vec<i32> = given.elements().iter().map(TopicPartitionListElem::partition).collect();
        for number in partitions {
            let (partition, next) = (self.start)(number)?;
            given.set_partition_offset(&self.topic, number, Offset::Offset(next))?;
            self.owned().insert(number, partition);
        }
        Ok(client.incremental_assign(given)?)
    }
}

impl<P: Send> ClientContext for Assignment<P> {}

impl<P: Send> ConsumerContext for Assignment<P> {
    fn rebalance(&self, client: &BaseConsumer<Self>, event: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let result = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.take_over(client, partitions),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                for element in partitions.elements() {
                    // What is still on its way may arrive: the next owner writes the same.
                    self.owned().remove(&element.partition());
                }
                client.incremental_unassign(partitions).map_err(Into::into)
            }
            other => Err(anyhow!("the group that reads {} failed: {}", self.topic, RDKafkaErrorCode::from(other))),
        };
        if let Err(error) = result {
            self.failure().get_or_insert(error);
        }
    }
}
