//! The log on real Kafka brokers.

use crate::bad_input::init_of_rule;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use runtime::blobs::Blobs;
use runtime::log::conformance::{append_together, suite};
use runtime::log::kafka::{KafkaLog, Layout, LogProblem, Settings, check, init, sequence};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// Enough for what a suite writes; conformance is about one partition.
pub(crate) const LAYOUT: Layout = Layout { partitions: 1, replication: 1, min_insync: 1 };

/// Returns what `just test-live` says of the engines that it starts.
pub(crate) fn of(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("`just test-live` sets {name}"))
}

pub(crate) fn brokers() -> String {
    of("CLIPFLOW_KAFKA_BROKERS")
}

/// Returns settings for a log that no other test uses.
pub(crate) fn fresh(name: &str) -> Settings {
    // What clients and sequencers have to say is shown when a test fails.
    drop(tracing_subscriber::fmt().with_test_writer().with_env_filter("warn,runtime=debug").try_init());
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    Settings::plain(brokers(), format!("test.{name}.{nanos:x}"))
}

/// A sequencer at work; it ends with its test, also where that fails.
pub(crate) struct Running {
    stop: DropGuard,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    pub(crate) fn start(settings: &Settings, folder: &Path) -> Self {
        Self::start_with(settings, folder, &Blobs::in_memory())
    }

    /// Starts one that keeps snapshots.
    pub(crate) fn start_with(settings: &Settings, folder: &Path, blobs: &Blobs) -> Self {
        let stop = CancellationToken::new();
        let (settings, folder, blobs, token) = (settings.clone(), folder.to_owned(), blobs.clone(), stop.clone());
        Self { stop: stop.drop_guard(), task: tokio::spawn(async move { sequence(settings, &folder, &blobs, token).await }) }
    }

    /// Starts one that answers the appenders of `log` at once.
    pub(crate) fn start_answering(log: &KafkaLog, folder: &Path) -> Self {
        let stop = CancellationToken::new();
        let (log, folder, token) = (log.clone(), folder.to_owned(), stop.clone());
        Self { stop: stop.drop_guard(), task: tokio::spawn(async move { log.sequence(&folder, &Blobs::in_memory(), token).await }) }
    }

    pub(crate) async fn stop(self) {
        drop(self.stop);
        self.task.await.unwrap().expect("a sequencer ends without an error");
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(self) -> anyhow::Result<()> {
        self.task.await.unwrap()
    }
}

/// Removes a test's topics.
pub(crate) async fn remove(settings: &Settings) {
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", &settings.brokers);
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let metadata = admin.inner().fetch_metadata(None, Duration::from_secs(20)).unwrap();
    let ours = format!("{}.", settings.prefix);
    let topics: Vec<&str> = metadata.topics().iter().map(|topic| topic.name()).filter(|name| name.starts_with(&ours)).collect();
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
    admin.delete_topics(&topics, &options).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_is_a_log() {
    suite_on_brokers("suite", init_new, |settings, _, folder| Running::start(settings, folder)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_is_a_log_too_where_the_sequencer_answers_at_once() {
    suite_on_brokers("answering", init_new, |_, log, folder| Running::start_answering(log, folder)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_of_the_rule_before_is_still_a_log_and_holds_one_commit_in_a_record() {
    let made = async |settings: &Settings| init_of_rule(settings, 1).await;
    suite_on_brokers("before", made, |settings, _, folder| Running::start(settings, folder)).await;

    let (settings, folder) = (fresh("alone"), tempfile::tempdir().unwrap());
    init_of_rule(&settings, 1).await;
    assert_eq!(records_of_commits(&settings, folder.path()).await, TOGETHER);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_that_wait_go_together_and_each_counts_once() {
    let (settings, folder) = (fresh("together"), tempfile::tempdir().unwrap());
    init_new(&settings).await;
    let records = records_of_commits(&settings, folder.path()).await;
    assert!(records < TOGETHER / 5, "{records} records for {TOGETHER} commits");
}

/// Commits that are appended at the same time.
const TOGETHER: u64 = 500;

/// Appends commits at the same time; returns how many records they went in.
async fn records_of_commits(settings: &Settings, folder: &Path) -> u64 {
    let sequencer = Running::start(settings, folder);
    let log = KafkaLog::open(settings.clone(), folder).await.unwrap();
    append_together(&log, 0, TOGETHER).await;
    sequencer.stop().await;
    let report = check(settings).await.unwrap();
    assert_eq!((report.events, report.wrong, report.duplicates), (TOGETHER, 0, 0), "{report:?}");
    let client: BaseConsumer = settings.reader("test").create().unwrap();
    let (first, end) = client.fetch_watermarks(&settings.commits(), 0, Duration::from_secs(20)).unwrap();
    remove(settings).await;
    u64::try_from(end - first).unwrap()
}

async fn init_new(settings: &Settings) {
    init(settings, LAYOUT, &[], Uuid::new_v4()).await.unwrap();
}

async fn suite_on_brokers(name: &str, make: impl AsyncFn(&Settings), sequencer: impl Fn(&Settings, &KafkaLog, &Path) -> Running) {
    let folder = tempfile::tempdir().unwrap();
    let made = std::cell::RefCell::new(Vec::new());
    suite(|| {
        let settings = fresh(name);
        let own = folder.path().join(&settings.prefix);
        std::fs::create_dir(&own).unwrap();
        let (made, make, sequencer) = (&made, &make, &sequencer);
        async move {
            make(&settings).await;
            let log = KafkaLog::open(settings.clone(), &own).await.unwrap();
            made.borrow_mut().push((settings.clone(), sequencer(&settings, &log, &own)));
            log
        }
    })
    .await;
    for (settings, sequencer) in made.into_inner() {
        sequencer.stop().await;
        let report = check(&settings).await.unwrap();
        assert_eq!((report.wrong, report.duplicates), (0, 0), "{report:?}");
        remove(&settings).await;
    }
}

#[tokio::test]
async fn a_log_is_made_once_and_known_by_its_generation() {
    let folder = tempfile::tempdir().unwrap();
    let settings = fresh("generation");
    let absent = KafkaLog::open(settings.clone(), folder.path()).await.err().unwrap();
    assert!(matches!(absent.downcast_ref(), Some(LogProblem::Absent { .. })), "{absent:#}");
    let first = init(&settings, LAYOUT, &[], Uuid::new_v4()).await.unwrap();
    assert!(init(&settings, LAYOUT, &[], Uuid::new_v4()).await.is_err(), "a log is never made over another");
    assert_eq!(KafkaLog::open(settings.clone(), folder.path()).await.unwrap().generation(), &first);

    // The copy must have followed something to belong to a log.
    let sequencer = Running::start(&settings, folder.path());
    let log = KafkaLog::open(settings.clone(), folder.path()).await.unwrap();
    runtime::log::conformance::append_one(&log).await;
    sequencer.stop().await;
    drop(log);
    remove(&settings).await;
    let other = Settings { prefix: format!("{}.other", settings.prefix), ..settings };
    init(&other, LAYOUT, &[], Uuid::new_v4()).await.unwrap();
    let refused = KafkaLog::open(other.clone(), folder.path()).await.err().unwrap();
    assert!(matches!(refused.downcast_ref(), Some(LogProblem::OtherGeneration { .. })), "{refused:#}");
    remove(&other).await;
}

#[tokio::test]
async fn brokers_that_are_not_there_are_named() {
    let settings = Settings::plain("127.0.0.1:9", "none");
    let error = KafkaLog::open(settings, Path::new(".")).await.err().unwrap();
    assert!(matches!(error.downcast_ref(), Some(LogProblem::Unreachable { .. })), "{error:#}");
    assert!(error.to_string().contains("127.0.0.1:9"));
}

/// Returns settings for the listener that asks who comes, and encrypts.
fn secured(name: &str, password: &str) -> Settings {
    let mut settings = fresh(name);
    settings.brokers = of("CLIPFLOW_KAFKA_TLS_BROKERS");
    let client = [
        ("security.protocol", "SASL_SSL".to_owned()),
        ("sasl.mechanism", "SCRAM-SHA-512".to_owned()),
        ("sasl.username", of("CLIPFLOW_KAFKA_USERNAME")),
        ("sasl.password", password.to_owned()),
        ("ssl.ca.location", of("CLIPFLOW_KAFKA_CA")),
    ];
    settings.client = client.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    settings
}

#[tokio::test]
async fn a_log_works_over_tls_with_a_password_and_a_wrong_one_is_named_without_being_shown() {
    let folder = tempfile::tempdir().unwrap();
    let settings = secured("secured", &std::env::var("CLIPFLOW_KAFKA_PASSWORD").unwrap());
    init(&settings, LAYOUT, &[], Uuid::new_v4()).await.unwrap();
    let sequencer = Running::start(&settings, folder.path());
    let log = KafkaLog::open(settings.clone(), folder.path()).await.unwrap();
    runtime::log::conformance::append_one(&log).await;
    sequencer.stop().await;
    remove(&Settings { brokers: brokers(), client: Default::default(), ..settings }).await;

    let refused = KafkaLog::open(secured("refused", "hunter2"), folder.path()).await.err().unwrap();
    assert!(matches!(refused.downcast_ref(), Some(LogProblem::Refused { .. })), "{refused:#}");
    assert!(!format!("{refused:?}").contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sequencer_that_takes_over_goes_on_where_the_last_one_ended() {
    let folder = tempfile::tempdir().unwrap();
    let settings = fresh("takeover");
    init(&settings, LAYOUT, &[], Uuid::new_v4()).await.unwrap();
    let log = KafkaLog::open(settings.clone(), folder.path()).await.unwrap();
    for round in 0..3_u64 {
        // Each has an index of its own: one that is new reads back everything, one that was here before only the rest.
        let own = folder.path().join((round % 2).to_string());
        std::fs::create_dir_all(&own).unwrap();
        let sequencer = Running::start(&settings, &own);
        runtime::log::conformance::append_many(&log, round, 50).await;
        sequencer.stop().await;
    }
    let report = check(&settings).await.unwrap();
    assert_eq!((report.events, report.wrong, report.duplicates), (150, 0, 0), "{report:?}");
    remove(&settings).await;
}
