//! A producer that never skips a record: the first that cannot be written ends whoever writes, and the next one goes on behind the last.

use super::settings::Settings;
use super::wire::Record;
use anyhow::{Context as _, ensure};
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long outputs may take to be acknowledged when somebody waits for all of them.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause before a record is offered again to a producer whose queue is full.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(1);

/// Writes the records of one topic.
pub(super) struct Outputs {
    producer: ThreadedProducer<Deliveries>,
    topic: String,
}

impl Outputs {
    /// Starts a producer for `topic`, whose records wait for company for `linger_ms`.
    pub(super) fn start(settings: &Settings, topic: String, linger_ms: u32) -> anyhow::Result<Self> {
        let producer = settings.outputs(linger_ms).create_with_context(Deliveries::default());
        Ok(Self { producer: producer.with_context(|| format!("starting the producer of {topic}"))?, topic })
    }

    /// Fails once a record could not be written.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let has_failed = self.producer.context().has_failed.load(Ordering::Relaxed);
        ensure!(!has_failed, "a record of {} could not be written: whoever takes over goes on after the last one that was", self.topic);
        Ok(())
    }

    /// Hands a record over; it is on the topic after the next [`Self::flush`].
    pub(super) fn write(&self, partition: i32, Record { key, headers, payload }: Record) -> anyhow::Result<()> {
        let mut record = BaseRecord::to(&self.topic).partition(partition).key(&key).payload(&*payload).headers(headers);
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    self.check()?;
                    record = refused;
                    std::thread::sleep(QUEUE_FULL_PAUSE);
                }
                Err((error, _)) => return Err(error).with_context(|| format!("writing to {}", self.topic)),
            }
        }
    }

    /// Waits until everything is on the topic.
    pub(super) fn flush(&self) -> anyhow::Result<()> {
        self.producer.flush(FLUSH_TIMEOUT).with_context(|| format!("waiting for records of {} to be written", self.topic))?;
        self.check()
    }

    /// Returns the offset after the last record of a partition that is on the topic, where we wrote one.
    pub(super) fn next_offset(&self, partition: i32) -> Option<i64> {
        self.producer.context().next_offsets.lock().unwrap_or_else(PoisonError::into_inner).get(&partition).copied()
    }
}

/// Notices records that could not be written, and where the others went.
#[derive(Default)]
struct Deliveries {
    has_failed: AtomicBool,
    next_offsets: Mutex<HashMap<i32, i64>>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(record) => {
                let mut offsets = self.next_offsets.lock().unwrap_or_else(PoisonError::into_inner);
                let next = offsets.entry(record.partition()).or_default();
                *next = (*next).max(record.offset() + 1);
            }
            Err((error, record)) => {
                tracing::error!(topic = record.topic(), error = %error, "a record could not be written");
                self.has_failed.store(true, Ordering::Relaxed);
            }
        }
    }
}
