//! The log on Kafka beside raw produce and consume: how long a commit waits for its verdict, and how many a second there are.
//!
//! Raw is one hop: a producer with the log's settings writes the bytes of a commit to a topic of one partition, a consumer with the log's
//! settings reads it back, and whoever sent it waits for that. The log is two hops with a judge between them. Both are on the same brokers and in
//! this process, sequencer included, and take turns. Nobody's latency leaves out anything: it is from the call to the answer.
//! A third one sends the log's two records of each commit through the same client library and judges nothing: what the protocol costs whoever speaks it.

use crate::raw::{Hops, Raw};
use crate::rounds::{PAYLOAD_BYTES, ROUND, Round, Writer, median, medians, next, noisy, progress, round, runs};
use domain::id::WorkspaceId;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use runtime::blobs::Blobs;
use runtime::log::kafka::{KafkaLog, Layout, Settings, init, sequence};
use runtime::log::{Log, Partition};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const CLIENTS: [usize; 3] = [1, 16, 256];

/// Commits before the first round: connections, topics and the broker's compiler are warm then.
const WARM_UP_COMMITS: u64 = 200;

pub(crate) const WORKSPACE: WorkspaceId = WorkspaceId(Uuid::from_u128(1));

/// A log of our own with its sequencer.
pub(crate) struct Bench {
    pub(crate) settings: Settings,
    pub(crate) log: KafkaLog,
    pub(crate) layout: Layout,
    stop: CancellationToken,
    sequencer: JoinHandle<anyhow::Result<()>>,
}

/// Where the sequencer works.
#[derive(Clone, Copy)]
pub(crate) enum Sequencer {
    /// In the appenders' process, which it answers at once.
    Here,
    /// As in another process: appenders learn of a verdict by reading the events.
    Elsewhere,
}

impl Bench {
    pub(crate) async fn start(name: &str, folder: &Path, sequencer: Sequencer) -> Self {
        #[allow(clippy::disallowed_methods, reason = "a benchmark is configured like its recipe")]
        let brokers = std::env::var("CLIPFLOW_KAFKA_BROKERS").expect("CLIPFLOW_KAFKA_BROKERS names running brokers");
        #[allow(clippy::disallowed_methods, reason = "topics of an earlier run may still be there")]
        let id = Uuid::new_v4();
        let settings = Settings::plain(brokers, format!("bench.{name}.{}", id.simple()));
        let layout = layout(&settings);
        init(&settings, layout, &[], id).await.unwrap();
        let folder = folder.join(name);
        std::fs::create_dir(&folder).unwrap();
        let log = KafkaLog::open(settings.clone(), &folder).await.unwrap();
        let stop = CancellationToken::new();
        let (own, settings_too, token) = (log.clone(), settings.clone(), stop.clone());
        let sequencer = tokio::spawn(async move {
            match sequencer {
                Sequencer::Here => own.sequence(&folder, &Blobs::in_memory(), token).await,
                Sequencer::Elsewhere => sequence(settings_too, &folder, &Blobs::in_memory(), token).await,
            }
        });
        Self { settings, log, layout, stop, sequencer }
    }

    pub(crate) async fn stop_sequencer(&mut self) {
        self.stop.cancel();
        (&mut self.sequencer).await.unwrap().unwrap();
    }

    /// Deletes the topics, and `others`.
    pub(crate) async fn remove(self, others: &[String]) {
        let topics = [self.settings.commits(), self.settings.events(), self.settings.generation()];
        let all: Vec<&str> = topics.iter().map(String::as_str).chain(others.iter().map(String::as_str)).collect();
        drop(self.log);
        admin(&self.settings).delete_topics(&all, &options()).await.unwrap();
    }
}

/// Every broker has a copy, and all but one must have a record: what the brokers' own defaults say.
fn layout(settings: &Settings) -> Layout {
    let client: BaseConsumer = settings.reader("size").create().unwrap();
    let brokers = client.fetch_metadata(None, Duration::from_secs(20)).unwrap().brokers().len() as u32;
    Layout { partitions: 1, replication: brokers.min(3), min_insync: brokers.min(3).saturating_sub(1).max(1) }
}

/// Measures with so many clients as `clients` says, or as the page has.
pub(crate) async fn report(clients: &[&str]) -> Value {
    let clients: Vec<usize> = clients.iter().map(|clients| clients.parse().expect("a number of clients")).collect();
    let levels = if clients.is_empty() { CLIENTS.to_vec() } else { clients };
    let folder = tempfile::Builder::new().prefix("bench-log").tempdir_in(std::env::current_dir().unwrap()).unwrap();
    let mut here = Bench::start("here", folder.path(), Sequencer::Here).await;
    let mut elsewhere = Bench::start("elsewhere", folder.path(), Sequencer::Elsewhere).await;
    let streams = AtomicU64::new(0);
    let writer = || Writer { workspace: WORKSPACE, stream: u128::from(streams.fetch_add(1, Ordering::Relaxed)) };
    for log in [&here.log, &elsewhere.log] {
        let first = writer();
        for number in 0..WARM_UP_COMMITS {
            log.append(noisy(next(first, number))).await.unwrap();
        }
    }
    let (one_hop, two_hops) = (Raw::start(&here, Hops::One).await, Raw::start(&here, Hops::Two).await);
    for raw in [&one_hop, &two_hops] {
        for _ in 0..WARM_UP_COMMITS {
            raw.client.ask().await;
        }
    }
    let mut appends = Vec::new();
    for clients in levels {
        let (mut with_raw, mut with_two, mut with_here, mut with_elsewhere) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for run in 0..runs() {
            progress(&format!(
                "{clients} clients, run {} of {}: raw, raw in two hops, the log, the log with its sequencer elsewhere",
                run + 1,
                runs()
            ));
            with_raw.push(raw_round(&one_hop, clients).await);
            with_two.push(raw_round(&two_hops, clients).await);
            with_here.push(log_round(&here.log, clients, &writer).await);
            with_elsewhere.push(log_round(&elsewhere.log, clients, &writer).await);
        }
        appends.push(json!({
            "clients": clients, "raw": medians(&with_raw), "raw_two_hops": beside(&with_two, &with_raw),
            "log": beside(&with_here, &with_raw), "log_sequencer_elsewhere": beside(&with_elsewhere, &with_raw),
        }));
    }
    let mut raw_topics = one_hop.stop();
    raw_topics.extend(two_hops.stop());
    here.stop_sequencer().await;
    elsewhere.stop_sequencer().await;
    let brokers = here.layout.replication;
    here.remove(&raw_topics).await;
    elsewhere.remove(&[]).await;
    json!({ "runs": runs(), "brokers": brokers, "payload_bytes": PAYLOAD_BYTES, "round_ms": ROUND.as_millis(), "appends": appends })
}

/// Medians, and the medians of the ratios to what raw did in the same run.
fn beside(log: &[Round], raw: &[Round]) -> Value {
    let ratio = |of: fn(&Round) -> f64| median(log.iter().zip(raw).map(|(log, raw)| of(log) / of(raw)));
    json!({
        "figures": medians(log), "throughput_to_raw": ratio(|round| round.per_second), "p99_to_raw": ratio(|round| round.p99_ms),
    })
}

async fn log_round(log: &KafkaLog, clients: usize, writer: &impl Fn() -> Writer) -> Round {
    round(
        clients,
        |_| {
            let (log, writer) = (log.clone(), writer());
            move |version| {
                let log = log.clone();
                async move {
                    log.append(noisy(next(writer, version))).await.unwrap();
                }
            }
        }, // Answers may be ahead of the copies: a round is over when those hold it.
        async {
            log.head(Partition::EMBEDDED).await.unwrap();
        },
    )
    .await
}

async fn raw_round(raw: &Raw, clients: usize) -> Round {
    round(
        clients,
        |_| {
            let client = raw.client.clone();
            move |_| {
                let client = client.clone();
                async move { client.ask().await }
            }
        },
        raw.client.until_all_arrived(),
    )
    .await
}

/// A consumer with the log's settings, at a place of partition 0.
pub(crate) fn assigned(settings: &Settings, topic: &str, from: Offset) -> BaseConsumer {
    let consumer: BaseConsumer = settings.reader("raw").create().unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, from).unwrap();
    consumer.assign(&partitions).unwrap();
    consumer
}

pub(crate) fn admin(settings: &Settings) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &settings.brokers).create().unwrap()
}

pub(crate) fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)))
}
