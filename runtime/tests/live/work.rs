//! Jobs that processes share over real brokers.

use crate::kafka::{Running, fresh, remove};
use domain::id::{CommitId, EventId, WorkspaceId};
use domain::workspace::{self, Workspace};
use domain::{Timestamp, id::VideoId};
use proto::{Recorded, Wire as _};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use runtime::clock::Clock;
use runtime::consume::Surroundings;
use runtime::consumers::Consumers;
use runtime::dispatch::{Desk, JobContext, Processor, Retry, hand_out, parked_jobs, replay, topic, work_off};
use runtime::execute::{Context, execute};
use runtime::log::Log;
use runtime::log::kafka::{KafkaLog, Layout, Settings, init};
use runtime::progress::{Progress, ProgressChannel, relay};
use runtime::retry::Backoff;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt as _;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

const LAYOUT: Layout = Layout { partitions: 3, replication: 1, min_insync: 1 };

/// What the workers of a test share.
#[derive(Default)]
struct Book {
    /// Who did the job of which event.
    done: Mutex<Vec<(EventId, &'static str)>>,
    begun: AtomicUsize,
    is_broken: AtomicBool,
    takes: Mutex<Duration>,
}

/// Notes each workspace that is made, as slowly as the book says.
#[derive(Clone)]
struct Clerk(Arc<Book>, &'static str);

impl Processor for Clerk {
    const NAME: &'static str = "clerk";
    const RETRY: Retry = Retry { attempts: 2, backoff: Backoff { first: Duration::from_millis(5), longest: Duration::from_millis(5) } };
    type Job = ();

    fn job(&self, event: &Recorded) -> Option<()> {
        (event.stream.category() == Workspace::CATEGORY).then_some(())
    }

    async fn run<L: Log>(&self, (): (), context: &JobContext<L>) -> anyhow::Result<()> {
        anyhow::ensure!(!self.0.is_broken.load(Ordering::SeqCst), "no disk");
        self.0.begun.fetch_add(1, Ordering::SeqCst);
        let takes = *self.0.takes.lock().unwrap();
        tokio::time::sleep(takes).await;
        self.0.done.lock().unwrap().push((context.cause.id, self.1));
        Ok(())
    }
}

/// A worker process, as far as jobs are concerned: its own copy of the log, its own memory.
struct Worker {
    stop: DropGuard,
    tasks: Vec<JoinHandle<anyhow::Result<()>>>,
    log: KafkaLog,
    _folder: tempfile::TempDir,
}

impl Worker {
    async fn start(settings: &Settings, clerk: Clerk) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = KafkaLog::open(settings.clone(), folder.path()).await.unwrap();
        let stop = CancellationToken::new();
        let surroundings = Surroundings {
            consumers: Consumers::in_memory().unwrap(),
            positions: Default::default(),
            progress: Default::default(),
            clock: Clock::from_fn(|| Timestamp(7)),
            disk_full: Default::default(),
            shutdown: stop.clone(),
        };
        let (door, work) = (settings.clone(), settings.clone());
        let (desks, token, reads) = (vec![Desk::of(Arc::new(clerk.clone()), settings)], stop.clone(), log.clone());
        let tasks = vec![
            tokio::spawn(async move { hand_out(desks, &door, token).await }),
            tokio::spawn(async move { work_off(reads, Arc::new(clerk), NonZeroUsize::MIN, &work, surroundings).await }),
        ];
        Self { stop: stop.drop_guard(), tasks, log, _folder: folder }
    }

    async fn stop(self) {
        drop(self.stop);
        for task in self.tasks {
            task.await.unwrap().expect("a worker ends without an error");
        }
    }
}

async fn prepared(name: &str) -> (Settings, tempfile::TempDir, Running) {
    let (settings, folder) = (fresh(name), tempfile::tempdir().unwrap());
    init(&settings, LAYOUT, &[Clerk::NAME], Uuid::new_v4()).await.unwrap();
    let sequencer = Running::start(&settings, folder.path());
    (settings, folder, sequencer)
}

fn request(workspace: WorkspaceId, commit: u128) -> Context {
    Context::request(CommitId(Uuid::from_u128(commit)), workspace, "test", Timestamp(7))
}

/// Makes workspaces; ids that differ early lie in different partitions.
async fn make(log: &KafkaLog, numbers: std::ops::Range<u128>) {
    for number in numbers {
        let workspace = WorkspaceId(Uuid::from_u128(number));
        let command = workspace::Command::Create { name: number.to_string() };
        execute::<Workspace>(log, request(workspace, number), workspace.0, command).await.unwrap();
    }
}

async fn until(what: &str, seconds: u64, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..seconds * 20 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("waited {seconds} seconds for: {what}");
}

async fn finish(settings: Settings, sequencer: Running, workers: Vec<Worker>) {
    for worker in workers {
        worker.stop().await;
    }
    sequencer.stop().await;
    remove(&settings).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_share_the_jobs_of_all_partitions_and_each_is_done_once() {
    let (settings, _folder, sequencer) = prepared("share").await;
    let book = Arc::new(Book::default());
    *book.takes.lock().unwrap() = Duration::from_millis(100);
    let workers = vec![Worker::start(&settings, Clerk(book.clone(), "a")).await, Worker::start(&settings, Clerk(book.clone(), "b")).await];
    make(&workers[0].log, 1..41).await;
    until("forty jobs", 60, async || book.done.lock().unwrap().len() >= 40).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let done = book.done.lock().unwrap().clone();
    let mut times: HashMap<EventId, usize> = HashMap::new();
    done.iter().for_each(|(event, _)| *times.entry(*event).or_default() += 1);
    // A worker that joins may take a partition over while the job of its last record ends: done twice, counted once.
    let twice = times.values().filter(|count| **count > 1).count();
    assert!(times.len() == 40 && twice <= 2, "{} jobs, {twice} twice", times.len());
    assert!(["a", "b"].iter().all(|name| done.iter().any(|(_, who)| who == name)), "both workers worked");
    finish(settings, sequencer, workers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_takes_longer_than_the_patience_of_the_group_keeps_its_place_and_is_done_once() {
    let (mut settings, _folder, sequencer) = prepared("patience").await;
    // The least that a session of ten seconds allows.
    for name in ["session.timeout.ms", "max.poll.interval.ms"] {
        settings.client.insert(name.into(), "10000".into());
    }
    let book = Arc::new(Book::default());
    *book.takes.lock().unwrap() = Duration::from_secs(14);
    let worker = Worker::start(&settings, Clerk(book.clone(), "a")).await;
    make(&worker.log, 1..3).await;
    until("both jobs, one after the other", 60, async || book.done.lock().unwrap().len() >= 2).await;
    // Had the group lost patience, it would give the records out again.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(book.done.lock().unwrap().len(), 2);
    assert!(worker.tasks.iter().all(|task| !task.is_finished()), "the worker goes on");
    finish(settings, sequencer, vec![worker]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_one_worker_parked_is_seen_and_asked_for_elsewhere_and_done_by_whoever_is_free() {
    let (settings, folder, sequencer) = prepared("parked").await;
    let book = Arc::new(Book::default());
    book.is_broken.store(true, Ordering::SeqCst);
    let first = Worker::start(&settings, Clerk(book.clone(), "first")).await;
    make(&first.log, 7..8).await;
    let workspace = WorkspaceId(Uuid::from_u128(7));
    let elsewhere = folder.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let elsewhere = KafkaLog::open(settings.clone(), &elsewhere).await.unwrap();
    until("the job to be parked", 30, async || parked_jobs(&elsewhere, workspace).await.unwrap().len() == 1).await;
    let parked = parked_jobs(&elsewhere, workspace).await.unwrap().remove(0);
    assert_eq!((parked.parking.processor.as_str(), parked.parking.error.as_str(), parked.parking.attempts), ("clerk", "no disk", 2));
    first.stop().await;

    book.is_broken.store(false, Ordering::SeqCst);
    replay(&elsewhere, request(workspace, 1_000), parked.job).await.unwrap();
    let second = Worker::start(&settings, Clerk(book.clone(), "second")).await;
    until("the job to leave the list", 40, async || parked_jobs(&elsewhere, workspace).await.unwrap().is_empty()).await;
    assert_eq!(*book.done.lock().unwrap(), [(parked.parking.cause, "second")]);
    finish(settings, sequencer, vec![second]).await;
}

/// Puts the records of these jobs on the processor's topic once more, as a crash right after handing out does, and one that is no job.
async fn hand_out_again(settings: &Settings, which: impl Fn(&str) -> bool) -> usize {
    let config = || {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &settings.brokers).set("group.id", "again");
        config
    };
    let (reader, producer): (BaseConsumer, FutureProducer) = (config().create().unwrap(), config().create().unwrap());
    let topic = topic(settings, Clerk::NAME);
    let mut again = 0;
    for partition in 0..12 {
        let (first, end) = reader.fetch_watermarks(&topic, partition, Duration::from_secs(10)).unwrap();
        if first == end {
            continue;
        }
        let mut place = TopicPartitionList::new();
        place.add_partition_offset(&topic, partition, Offset::Beginning).unwrap();
        reader.assign(&place).unwrap();
        for _ in first..end {
            // A poll may end early, for news of the client's own.
            let record = (0..100).find_map(|_| reader.poll(Duration::from_millis(500))).expect("it is there").unwrap();
            if !which(std::str::from_utf8(record.key().unwrap()).unwrap()) {
                continue;
            }
            let copy = FutureRecord::<[u8], [u8]>::to(&topic).partition(partition).key(record.key().unwrap());
            let copy = copy.payload(record.payload().unwrap()).headers(record.headers().unwrap().detach());
            producer.send(copy, Duration::from_secs(10)).await.unwrap();
            again += 1;
        }
        let wrong = FutureRecord::<[u8], _>::to(&topic).partition(partition).payload("no job");
        producer.send(wrong, Duration::from_secs(10)).await.unwrap();
    }
    again
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_handed_out_twice_is_done_once_and_a_record_that_is_no_job_holds_up_nothing() {
    let (settings, _folder, sequencer) = prepared("twice").await;
    let book = Arc::new(Book::default());
    let worker = Worker::start(&settings, Clerk(book.clone(), "a")).await;
    make(&worker.log, 1..11).await;
    until("ten jobs", 40, async || book.done.lock().unwrap().len() == 10).await;
    assert_eq!(hand_out_again(&settings, |_| true).await, 10);
    make(&worker.log, 11..21).await;
    until("ten more", 40, async || book.done.lock().unwrap().len() >= 20).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(book.done.lock().unwrap().len(), 20);
    finish(settings, sequencer, vec![worker]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_moved_away_from_a_busy_worker_flow_again_when_they_come_back() {
    let (settings, _folder, sequencer) = prepared("moved").await;
    let book = Arc::new(Book::default());
    let takes = |duration| *book.takes.lock().unwrap() = duration;
    takes(Duration::from_secs(15));
    let stays = Worker::start(&settings, Clerk(book.clone(), "stays")).await;
    make(&stays.log, 1..2).await;
    until("the job to begin", 30, async || book.begun.load(Ordering::SeqCst) == 1).await;
    takes(Duration::ZERO);
    // More than wait at a worker: its partitions are paused when they move.
    make(&stays.log, 2..202).await;
    let leaves = Worker::start(&settings, Clerk(book.clone(), "leaves")).await;
    until("the jobs of both", 60, async || book.done.lock().unwrap().len() >= 201).await;
    leaves.stop().await;
    let done = book.done.lock().unwrap().clone();
    let moved: Vec<_> = done.iter().filter(|(_, who)| *who == "leaves").map(|(event, _)| event.to_string()).collect();
    assert!(!moved.is_empty(), "some partitions moved");
    // Where a worker never was busy again, nothing but the group can tell it to go on.
    let again = hand_out_again(&settings, |key| moved.iter().any(|event| event == key)).await;
    until("the jobs that come back", 30, async || book.done.lock().unwrap().len() == done.len() + again).await;
    finish(settings, sequencer, vec![stays]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_jobs_that_wait_for_each_other_do_not_wait_for_the_reader() {
    let (settings, folder, sequencer) = prepared("short").await;
    let book = Arc::new(Book::default());
    // They are on the topic before anybody works, as after a failure.
    let copy = folder.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    let log = KafkaLog::open(settings.clone(), &copy).await.unwrap();
    let (desks, door, stop) =
        (vec![Desk::of(Arc::new(Clerk(book.clone(), "desk")), &settings)], settings.clone(), CancellationToken::new());
    let (token, _ends) = (stop.clone(), stop.clone().drop_guard());
    let handing_out = tokio::spawn(async move { hand_out(desks, &door, token).await });
    make(&log, 1..601).await;
    until("all jobs on the topic", 30, async || jobs_on_topic(&settings) == 600).await;
    let worker = Worker::start(&settings, Clerk(book.clone(), "a")).await;
    // One a second of each partition would take a minute.
    until("600 jobs", 25, async || book.done.lock().unwrap().len() >= 600).await;
    stop.cancel();
    handing_out.await.unwrap().unwrap();
    finish(settings, sequencer, vec![worker]).await;
}

fn jobs_on_topic(settings: &Settings) -> i64 {
    let reader: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &settings.brokers).create().unwrap();
    let topic = topic(settings, Clerk::NAME);
    let records = |partition| reader.fetch_watermarks(&topic, partition, Duration::from_secs(10)).map(|(first, end)| end - first);
    (0..12).map(|partition| records(partition).unwrap()).sum()
}

#[tokio::test]
async fn progress_of_a_worker_is_seen_at_a_gateway() {
    let (settings, _folder, sequencer) = prepared("progress").await;
    let (stop, worker, gateway) = (CancellationToken::new(), ProgressChannel::default(), ProgressChannel::default());
    let (told, heard) = (settings.clone(), settings.clone());
    let (tells, hears, ends) = (worker.clone(), gateway.clone(), (stop.clone(), stop.clone()));
    let telling = tokio::spawn(async move { relay::tell(tells, Uuid::from_u128(1), &told, ends.0).await });
    let hearing = tokio::spawn(async move { relay::hear(hears, Uuid::from_u128(2), &heard, ends.1).await });
    let mut seen = Box::pin(gateway.subscribe());
    let (workspace, video) = (WorkspaceId(Uuid::from_u128(1)), VideoId(Uuid::from_u128(2)));
    let progress =
        |fraction| Progress { workspace, video, stage: "render", fraction, eta_ms: None, realtime_factor: None, detail: "clip".into() };
    // A reader that starts at the end misses what was told before it was there, so it is told again and again.
    let first = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            worker.send(progress(0.5));
            if let Ok(seen) = tokio::time::timeout(Duration::from_secs(1), seen.next()).await {
                return seen;
            }
        }
    });
    assert_eq!(first.await.expect("it is seen within thirty seconds"), Some(progress(0.5)));
    stop.cancel();
    telling.await.unwrap().unwrap();
    hearing.await.unwrap().unwrap();
    sequencer.stop().await;
    remove(&settings).await;
}
