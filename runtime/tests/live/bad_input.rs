//! What should not be on the topics, or cannot be kept: each is told by name, and nothing that was acknowledged is lost.

use crate::kafka::{Running, fresh, remove};
use domain::Timestamp;
use domain::id::{CommitId, EventId, WorkspaceId};
use prost::Message as _;
use proto::{Metadata, NewEvent, StreamName, log_v1 as wire};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use runtime::log::conformance::append_one;
use runtime::log::kafka::{Generation, KafkaLog, Layout, LogProblem, Settings, check, generation, init};
use runtime::log::{AppendError, Commit, EVENT_BYTES_MAX, Expected, Log, Partition, StreamAppend};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use uuid::Uuid;

const LAYOUT: Layout = Layout { partitions: 1, replication: 1, min_insync: 1 };

/// Writes a record that no program of ours wrote.
async fn smuggle(settings: &Settings, topic: &str, payload: &[u8]) {
    let producer: FutureProducer = ClientConfig::new().set("bootstrap.servers", &settings.brokers).create().unwrap();
    producer.send(FutureRecord::<[u8], _>::to(topic).partition(0).payload(payload), Duration::from_secs(20)).await.unwrap();
}

/// Returns a commit as another program could write it, with an event of these many bytes.
fn stranger(commit: u128, event_bytes: usize) -> wire::Commit {
    let id = |number| Uuid::from_u128(number).as_bytes().to_vec();
    let event = wire::NewEvent { id: id(commit), r#type: "clip.accepted".into(), schema_version: 1, payload: vec![0; event_bytes] };
    let any = wire::Expected { what: Some(wire::expected::What::Any(wire::expected::Any {})) };
    let stream = StreamName::new("clip", Uuid::from_u128(2)).as_str().to_owned();
    let metadata = wire::Metadata { at_us: 7, actor: "stranger".into(), correlation: id(3), causation: None, traceparent: None };
    let streams = vec![wire::Append { stream, expected: Some(any), events: vec![event] }];
    wire::Commit { id: id(commit), workspace: id(5), streams, metadata: Some(metadata) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_are_no_commits_and_events_that_are_too_large_are_skipped_and_the_log_goes_on() {
    const TOO_LARGE: usize = EVENT_BYTES_MAX + 1;
    let (settings, folder) = (fresh("commits"), tempfile::tempdir().unwrap());
    init(&settings, LAYOUT, &[], Uuid::new_v4()).await.unwrap();
    smuggle(&settings, &settings.commits(), b"no commit").await;
    smuggle(&settings, &settings.commits(), &stranger(4, TOO_LARGE).encode_to_vec()).await;
    smuggle(&settings, &settings.commits(), b"").await;
    // In company it takes nobody with it.
    let together = wire::Commits { commits: vec![stranger(6, 1), stranger(7, TOO_LARGE), stranger(8, 1)] };
    smuggle(&settings, &settings.commits(), &together.encode_to_vec()).await;
    let sequencer = Running::start(&settings, folder.path());
    let log = KafkaLog::open(settings.clone(), folder.path()).await.unwrap();
    append_one(&log).await;
    let report = check(&settings).await.unwrap();
    assert_eq!((report.events, report.wrong), (3, 2), "{report:?}");
    sequencer.stop().await;
    remove(&settings).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_among_the_events_that_cannot_be_read_is_named_and_nothing_behind_it_is_made_up() {
    let (settings, folder) = (fresh("events"), tempfile::tempdir().unwrap());
    init(&settings, LAYOUT, &[], Uuid::new_v4()).await.unwrap();
    let sequencer = Running::start(&settings, folder.path());
    let log = KafkaLog::open(settings.clone(), folder.path()).await.unwrap();
    append_one(&log).await;
    smuggle(&settings, &settings.events(), b"no event").await;
    let named = format!("record 1 of partition 0 of {} cannot be read", settings.events());
    let refused = async {
        loop {
            match log.head(Partition::EMBEDDED).await {
                Ok(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(error) => return format!("{error:#}"),
            }
        }
    };
    let refused = tokio::time::timeout(Duration::from_secs(20), refused).await.expect("who asks how far the log is hears of it");
    assert!(refused.contains(&named), "{refused}");
    let unopened = KafkaLog::open(settings.clone(), &made(folder.path(), "second")).await.err().unwrap();
    assert!(format!("{unopened:#}").contains(&named), "{unopened:#}");
    let report = check(&settings).await.unwrap();
    assert_eq!((report.events, report.wrong), (1, 1), "{report:?}");
    assert!(report.findings[0].contains("partition 0, record 1 cannot be read"), "{report:?}");
    sequencer.stop().await;
    remove(&settings).await;
}

/// Makes a log of one partition that says of itself to be of another rule.
pub(crate) async fn init_of_rule(settings: &Settings, rule_version: u32) {
    let made = Generation { id: Uuid::new_v4(), partitions: 1, rule_version };
    let admin: rdkafka::admin::AdminClient<_> = ClientConfig::new().set("bootstrap.servers", &settings.brokers).create().unwrap();
    let names = [settings.generation(), settings.commits(), settings.events()];
    let topics = names.each_ref().map(|name| rdkafka::admin::NewTopic::new(name, 1, rdkafka::admin::TopicReplication::Fixed(1)));
    admin.create_topics(&topics, &rdkafka::admin::AdminOptions::new()).await.unwrap();
    smuggle(settings, &settings.generation(), &serde_json::to_vec(&made).unwrap()).await;
}

#[tokio::test]
async fn a_log_that_was_made_for_another_rule_is_refused_by_name() {
    let (settings, folder) = (fresh("rule"), tempfile::tempdir().unwrap());
    init_of_rule(&settings, 999).await;
    for error in [KafkaLog::open(settings.clone(), folder.path()).await.err().unwrap(), generation(&settings).await.err().unwrap()] {
        assert!(matches!(error.downcast_ref(), Some(LogProblem::OtherRule { found: 999 })), "{error:#}");
    }
    remove(&settings).await;
}

fn made(folder: &Path, name: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::create_dir(&path).unwrap();
    path
}

/// A disk in memory, for root only.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder.path()).output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(self.0.path()).output());
    }
}

fn large(number: u128) -> Commit {
    let payload = vec![7; 100_000].into();
    let event = NewEvent { id: EventId(Uuid::from_u128(number)), event_type: "video.completed".into(), schema_version: 1, payload };
    let stream = StreamName::new("video", Uuid::from_u128(number));
    let metadata = Metadata { at: Timestamp(7), actor: "test".into(), correlation: Uuid::nil(), causation: None, traceparent: None };
    let streams = vec![StreamAppend { stream, expected: Expected::Empty, events: vec![event] }];
    Commit { id: CommitId(Uuid::from_u128(number)), workspace: WorkspaceId(Uuid::from_u128(1)), streams, metadata }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_of_the_log_on_a_full_disk_is_told_with_its_file_and_every_acknowledged_commit_is_on_the_log() {
    let Some(disk) = SmallDisk::mount("2m") else {
        println!("skipped: this user cannot mount a small disk");
        return;
    };
    let (settings, folder) = (fresh("full"), tempfile::tempdir().unwrap());
    init(&settings, LAYOUT, &[], Uuid::new_v4()).await.unwrap();
    let sequencer = Running::start(&settings, folder.path());
    let log = KafkaLog::open(settings.clone(), disk.0.path()).await.unwrap();
    let mut acknowledged = 0;
    let failure = loop {
        match log.append(large(acknowledged + 1)).await {
            Ok(_) => acknowledged += 1,
            Err(AppendError::Unknown(error)) => break format!("{error:#}"),
            Err(other) => panic!("{other:?}"),
        }
        assert!(acknowledged < 100, "two megabytes hold no ten");
    };
    assert!(failure.contains("log-0.sqlite") && failure.contains("disk is full"), "{failure}");
    drop(log);

    let log = KafkaLog::open(settings.clone(), folder.path()).await.unwrap();
    for number in 1..=acknowledged {
        assert!(log.append(large(number)).await.unwrap().is_repeat, "commit {number} of {acknowledged}");
    }
    assert!(acknowledged > 3, "{acknowledged}");
    sequencer.stop().await;
    remove(&settings).await;
}
