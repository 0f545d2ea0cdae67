//! A sequencer on a new machine starts from a snapshot in the blob store.

use crate::kafka::{LAYOUT, Running, fresh, remove};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{Offset, TopicPartitionList};
use runtime::blobs::Blobs;
use runtime::log::conformance::append_many;
use runtime::log::kafka::{KafkaLog, Settings, init};
use runtime::log::{Log, Partition};
use std::num::NonZeroU64;
use std::path::Path;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Events from one snapshot to the next.
const EVERY: u64 = 100;

/// How long a snapshot may take to be there.
const PATIENCE: Duration = Duration::from_secs(30);

/// A log with three snapshots' worth of events, whose sequencer has ended; and the snapshots.
struct Scene {
    settings: Settings,
    log: KafkaLog,
    blobs: Blobs,
    series: String,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { snapshot_events: NonZeroU64::new(EVERY).unwrap(), ..fresh(name) };
        let generation = init(&settings, LAYOUT, &[], Uuid::new_v4()).await.unwrap();
        let log = KafkaLog::open(settings.clone(), folder.path()).await.unwrap();
        let blobs = Blobs::open(&folder.path().join("blobs")).unwrap();
        let series = format!("log-{}/sequencer-0-v1", generation.id);
        let scene = Self { settings, log, blobs, series, folder };
        let sequencer = scene.sequencer("first");
        append_many(&scene.log, 0, 3 * EVERY).await;
        let started = Instant::now();
        while scene.blobs.snapshots(&scene.series).await.unwrap().is_empty() {
            assert!(started.elapsed() < PATIENCE, "a snapshot is kept");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        sequencer.stop().await;
        scene
    }

    /// Starts a sequencer on a machine of this name.
    fn sequencer(&self, machine: &str) -> Running {
        let own = self.folder.path().join(machine);
        std::fs::create_dir_all(&own).unwrap();
        Running::start_with(&self.settings, &own, &self.blobs)
    }

    /// Appends what was appended before, which changes nothing, and one more event; returns how many there are.
    async fn goes_on(&self, round: u64) -> u64 {
        append_many(&self.log, 0, 3 * EVERY).await;
        append_many(&self.log, round, 1).await;
        self.log.head(Partition(0)).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sequencer_on_a_new_machine_needs_no_event_from_before_the_snapshot() {
    let scene = Scene::new("snapshot").await;
    let known = scene.blobs.snapshots(&scene.series).await.unwrap()[0].number;
    // Who reads from the beginning fails now.
    delete_events_below(&scene.settings, known).await;
    let sequencer = scene.sequencer("second");
    assert_eq!(scene.goes_on(1).await, 3 * EVERY + 1, "what was judged before the snapshot keeps its verdict");
    sequencer.stop().await;

    // That they are gone is real: without a snapshot nobody can take over.
    std::fs::remove_dir_all(scene.folder.path().join("blobs/snapshots")).unwrap();
    let refused = scene.sequencer("third").ended().await.expect_err("the events from the beginning are gone");
    assert!(format!("{refused:#}").contains("reading back events"), "{refused:#}");
    remove(&scene.settings).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damaged_snapshots_are_done_without() {
    let scene = Scene::new("damaged").await;
    damage_files(&scene.folder.path().join("blobs/snapshots"));
    let sequencer = scene.sequencer("second");
    assert_eq!(scene.goes_on(1).await, 3 * EVERY + 1);
    sequencer.stop().await;
    remove(&scene.settings).await;
}

async fn delete_events_below(settings: &Settings, offset: u64) {
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", &settings.brokers);
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let mut below = TopicPartitionList::new();
    below.add_partition_offset(&settings.events(), 0, Offset::Offset(offset.cast_signed())).unwrap();
    admin.delete_records(&below, &AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)))).await.unwrap();
}

fn damage_files(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            damage_files(&path);
        } else {
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(&path, bytes).unwrap();
        }
    }
}
