//! Where the brokers are, and how to speak to them.

use crate::log::Partition;
use domain::id::WorkspaceId;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU64;

/// Largest record: a whole commit with its names and ids. Brokers must take as much (`max.message.bytes` of the topics is set to it).
pub(super) const RECORD_BYTES_MAX: usize = crate::log::COMMIT_BYTES_MAX + 2 * 1024 * 1024;

/// How long nobody hears of a worker before its jobs go to others; they take all cores for minutes, and doing them twice is dear.
const WORKERS_SESSION_MS: u32 = 10_000;

/// How long a broker holds the request of a reader for whom there is nothing, where the configuration does not say. Records that come
/// meanwhile are sent at once; a partition that moves to this broker waits for it. A process has many readers, which are idle most of
/// the time, and with librdkafka's half a second their empty answers are the larger part of what idle processes cost brokers.
const IDLE_FETCH_MS: u32 = 2_000;

/// How to reach a log on Kafka.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `host:port` of some brokers, comma-separated.
    pub brokers: String,
    /// Start of every topic's and consumer group's name.
    #[serde(default = "default_prefix")]
    pub prefix: String,
    /// Further settings of librdkafka for every client, such as `security.protocol`, `sasl.mechanism` or `ssl.ca.location`.
    #[serde(default)]
    pub client: BTreeMap<String, String>,
    /// Events of a partition from one snapshot of its sequencer's state in the blob store to the next: a sequencer on a new machine reads
    /// little more than so many again. A snapshot has some 80 bytes for each of the last million commits, and for each stream.
    #[serde(default = "default_snapshot_events")]
    pub snapshot_events: NonZeroU64,
}

/// They are read in some eight seconds.
fn default_snapshot_events() -> NonZeroU64 {
    const { NonZeroU64::new(1_000_000).expect("it is not 0") }
}

fn default_prefix() -> String {
    "clipflow".to_owned()
}

impl fmt::Debug for Settings {
    /// Shows the names of the client's settings only: their values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let client: Vec<_> = self.client.keys().collect();
        f.debug_struct("Settings").field("brokers", &self.brokers).field("prefix", &self.prefix).field("client", &client).finish()
    }
}

impl Settings {
    /// Returns the settings for brokers without encryption or passwords.
    #[must_use]
    pub fn plain(brokers: impl Into<String>, prefix: impl Into<String>) -> Self {
        let (client, snapshot_events) = (BTreeMap::new(), default_snapshot_events());
        Self { brokers: brokers.into(), prefix: prefix.into(), client, snapshot_events }
    }

    /// The topic of ordered commits; internal.
    #[must_use]
    pub fn commits(&self) -> String {
        format!("{}.commits", self.prefix)
    }

    /// The topic of events that count; public.
    #[must_use]
    pub fn events(&self) -> String {
        format!("{}.events", self.prefix)
    }

    /// The topic of the same events with JSON as data, and the group that writes it; public, and there only where somebody writes it.
    #[must_use]
    pub fn json(&self) -> String {
        format!("{}.events.json", self.prefix)
    }

    /// The topic whose only record says which log this is.
    #[must_use]
    pub fn generation(&self) -> String {
        format!("{}.generation", self.prefix)
    }

    /// The consumer group that shares the partitions among sequencers.
    #[must_use]
    pub fn sequencers(&self) -> String {
        format!("{}.sequencer", self.prefix)
    }

    fn base(&self, client: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Warning);
        config.set("client.id", format!("{}-{client}", self.prefix));
        config.set("socket.keepalive.enable", "true");
        config.set("socket.nagle.disable", "true");
        config.set("reconnect.backoff.max.ms", "2000");
        config.set("message.max.bytes", RECORD_BYTES_MAX.to_string());
        for (name, value) in &self.client {
            config.set(name, value);
        }
        // Last, so that nothing else can point a client elsewhere.
        config.set("bootstrap.servers", &self.brokers);
        config
    }

    /// A producer whose records are never reordered, doubled or acknowledged before `min.insync.replicas` have them.
    fn durable(&self, client: &str) -> ClientConfig {
        let mut config = self.base(client);
        config.set("enable.idempotence", "true").set("acks", "all").set("linger.ms", "0");
        config
    }

    pub(super) fn admin(&self) -> ClientConfig {
        self.base("admin")
    }

    /// For commits: gives up after `timeout_ms`, and then the outcome is not known.
    #[must_use]
    pub fn appender(&self, timeout_ms: u128) -> ClientConfig {
        let mut config = self.durable("appender");
        config.set("message.timeout.ms", timeout_ms.to_string());
        config
    }

    /// For outputs: never skips a record and never gives up; what cannot be written ends the sequencer. They may wait for `linger_ms` for company.
    /// Compressed, because most of an event is headers that are the same as those of the event before.
    pub(super) fn outputs(&self, linger_ms: u32) -> ClientConfig {
        let mut config = self.durable("writer");
        config
            .set("compression.type", "lz4")
            .set("enable.gapless.guarantee", "true")
            .set("message.timeout.ms", "0")
            .set("linger.ms", linger_ms.to_string());
        config
    }

    /// For reading partitions that are assigned by hand.
    #[must_use]
    pub fn reader(&self, client: &str) -> ClientConfig {
        self.patient(self.consumer(client))
    }

    fn patient(&self, mut config: ClientConfig) -> ClientConfig {
        const NAME: &str = "fetch.wait.max.ms";
        if !self.client.contains_key(NAME) {
            config.set(NAME, IDLE_FETCH_MS.to_string());
        }
        config
    }

    fn consumer(&self, client: &str) -> ClientConfig {
        let mut config = self.base(client);
        config
            .set("group.id", format!("{}.{client}", self.prefix))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // Where a stored place no longer exists, records were deleted: that must be said, not skipped.
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "false")
            .set("check.crcs", "true")
            .set("fetch.message.max.bytes", RECORD_BYTES_MAX.to_string());
        config
    }

    /// For reading what a group shares, and telling it now and then how far everything is done.
    pub(crate) fn group(&self, group: &str) -> ClientConfig {
        let mut config = self.patient(self.member(group, WORKERS_SESSION_MS));
        config.set("enable.auto.commit", "true").set("auto.commit.interval.ms", "1000");
        config
    }

    /// For reading partitions that a group shares, and gives to others after `session_ms` without a sign of life.
    pub(super) fn member(&self, group: &str, session_ms: u32) -> ClientConfig {
        let mut config = self.consumer("member");
        config
            .set("group.id", group)
            .set("auto.offset.reset", "earliest")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", session_ms.to_string())
            .set("heartbeat.interval.ms", "1000");
        config
    }
}

/// Returns the partition that a workspace's records go to: what Kafka's own clients in other languages pick for the same key.
#[must_use]
pub fn partition_of(workspace: WorkspaceId, partitions: u32) -> Partition {
    let hash = murmur2(workspace.to_string().as_bytes()) & 0x7fff_ffff;
    Partition(hash % partitions.max(1))
}

/// Murmur2 as in `org.apache.kafka.common.utils.Utils.murmur2`, the hash of the Java client's default partitioner.
fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(data.len()).expect("keys are short");
    let (words, rest) = data.as_chunks::<4>();
    let mut hash = words.iter().fold(SEED ^ length, |hash, word| {
        let word = u32::from_le_bytes(*word).wrapping_mul(M);
        hash.wrapping_mul(M) ^ (word ^ (word >> 24)).wrapping_mul(M)
    });
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| (tail << 8) | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_key_hashes_as_in_kafkas_own_tests() {
        // From org.apache.kafka.common.utils.UtilsTest.testMurmur2.
        let cases: [(&str, i32); 5] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("abc", 479_470_107),
            ("", 275_646_681),
        ];
        for (key, hash) in cases {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    #[test]
    fn partitions_stay_in_range() {
        for id in 0..1_000 {
            assert!(partition_of(WorkspaceId(Uuid::from_u128(id)), 7).0 < 7);
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let mut settings = Settings::plain("localhost:9092", "x");
        settings.client.insert("sasl.password".into(), "hunter2".into());
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
