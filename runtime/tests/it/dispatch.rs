//! Jobs are done at least once and their outcomes count once, through crashes, failures and panics.

use crate::counter::{Command, Counter, id, request, surroundings, surroundings_with, until, workspace};
use anyhow::Context as _;
use proto::{Recorded, Wire as _};
use runtime::consume::Surroundings;
use runtime::consumers::Consumers;
use runtime::dispatch::{Failure, GIVE_UP, JobContext, ParkedJob, Processor, Retry, dispatch, parked_jobs, replay};
use runtime::execute::{execute, load};
use runtime::log::simulated::{Faults, SimulatedLog};
use runtime::log::sqlite::SqliteLog;
use runtime::log::{Log, Partition};
use runtime::retry::Backoff;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Adds one to a counter's mirror for each event of the counter.
#[derive(Clone)]
struct Mirror(Arc<Shared>);

struct Shared {
    /// A job takes a permit before it ends.
    gate: Semaphore,
    /// How many passed the gate.
    runs: AtomicUsize,
    running: AtomicUsize,
    running_max: AtomicUsize,
    mood: Mutex<fn(u64, u32) -> anyhow::Result<()>>,
}

impl Mirror {
    fn new(gate: usize) -> Self {
        Self(Arc::new(Shared {
            gate: Semaphore::new(gate),
            runs: AtomicUsize::default(),
            running: AtomicUsize::default(),
            running_max: AtomicUsize::default(),
            mood: Mutex::new(|_, _| Ok(())),
        }))
    }

    fn runs(&self) -> usize {
        self.0.runs.load(Ordering::SeqCst)
    }
}

const MIRROR: u128 = 1 << 64;

impl Processor for Mirror {
    const NAME: &'static str = "mirror";
    const RETRY: Retry = Retry { attempts: 3, backoff: Backoff { first: Duration::from_millis(5), longest: Duration::from_millis(20) } };
    type Job = u128;

    fn job(&self, event: &Recorded) -> Option<u128> {
        let counter = event.stream.id().as_u128();
        (event.stream.category() == Counter::CATEGORY && counter < MIRROR).then_some(counter)
    }

    async fn run<L: Log>(&self, counter: u128, context: &JobContext<L>) -> anyhow::Result<()> {
        let running = self.0.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.running_max.fetch_max(running, Ordering::SeqCst);
        let permit = tokio::select! {
            permit = self.0.gate.acquire() => Some(permit?),
            () = context.cancel.cancelled() => None,
        };
        self.0.running.fetch_sub(1, Ordering::SeqCst);
        permit.context("cancelled")?.forget();
        self.0.runs.fetch_add(1, Ordering::SeqCst);
        let mood = *self.0.mood.lock().unwrap();
        mood(context.cause.position, context.attempt)?;
        context.execute::<Counter>(0, id(MIRROR + counter), Command::Add(1)).await?;
        Ok(())
    }
}

async fn add<L: Log>(log: &L, commits: std::ops::Range<u128>) {
    for commit in commits {
        execute::<Counter>(log, request(commit + 1), id(commit % 7), Command::Add(1)).await.unwrap();
    }
}

async fn mirrored<L: Log>(log: &L) -> u64 {
    let mut sum = 0;
    for counter in 0..7 {
        sum += load::<Counter>(log, workspace(), id(MIRROR + counter)).await.unwrap().count;
    }
    sum
}

async fn parked<L: Log>(log: &L) -> Vec<ParkedJob> {
    parked_jobs(log, workspace()).await.unwrap()
}

fn start<L: Log>(log: &L, mirror: &Mirror, surroundings: &Surroundings) -> tokio::task::JoinHandle<anyhow::Result<()>> {
    tokio::spawn(dispatch(log.clone(), mirror.clone(), NonZeroUsize::new(4).unwrap(), surroundings.clone()))
}

#[tokio::test]
async fn jobs_run_side_by_side_up_to_the_limit() {
    let (log, mirror, surroundings) = (SimulatedLog::new(1, Faults::NONE), Mirror::new(0), surroundings());
    add(&log, 0..30).await;
    let running = start(&log, &mirror, &surroundings);
    until("the pool to be full", async || mirror.0.running.load(Ordering::SeqCst) == 4).await;
    mirror.0.gate.add_permits(1_000);
    until("every job to be done", async || mirrored(&log).await == 30).await;
    surroundings.shutdown.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(mirror.0.running_max.load(Ordering::SeqCst), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_loses_no_job_and_counts_none_twice() {
    let folder = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(folder.path().join("log.sqlite")).unwrap();
    let consumers = || Consumers::open(&folder.path().join("consumers.sqlite")).unwrap();
    add(&log, 0..40).await;
    let mut runs = 0;
    for round in 1..=4 {
        // Jobs that ended just before the crash, without their end being stored, take a permit again: as many as run side by side.
        let (mirror, surroundings) = (Mirror::new(10 + 4), surroundings_with(consumers()));
        let running = start(&log, &mirror, &surroundings);
        until("ten more jobs to be done", async || mirrored(&log).await >= round * 10).await;
        // As abrupt as a kill: nothing of the dispatcher runs after this.
        running.abort();
        drop(running.await);
        runs += mirror.runs();
    }
    let (mirror, surroundings) = (Mirror::new(100), surroundings_with(consumers()));
    let running = start(&log, &mirror, &surroundings);
    let head = log.head(Partition::EMBEDDED).await.unwrap();
    surroundings.positions.wait(Mirror::NAME, Partition::EMBEDDED, Some(head - 1), Duration::from_secs(10)).await.unwrap();
    surroundings.shutdown.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(mirrored(&log).await, 40, "each event counts once");
    assert!((runs + mirror.runs()) <= 40 + 4 * 4, "{} jobs were run for 40 events", runs + mirror.runs());
}

#[tokio::test]
async fn a_job_that_fails_is_tried_again() {
    let (log, mirror, surroundings) = (SimulatedLog::new(1, Faults::NONE), Mirror::new(1_000), surroundings());
    *mirror.0.mood.lock().unwrap() = |_, attempt| if attempt < 3 { Err(anyhow::anyhow!("not yet")) } else { Ok(()) };
    add(&log, 0..5).await;
    let running = start(&log, &mirror, &surroundings);
    until("every job to be done", async || mirrored(&log).await == 5).await;
    surroundings.shutdown.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(mirror.runs(), 15);
    assert_eq!(parked(&log).await, []);
}

#[tokio::test]
async fn a_job_that_keeps_failing_or_panics_is_parked_and_can_be_replayed() {
    let (log, mirror, surroundings) = (SimulatedLog::new(1, Faults::NONE), Mirror::new(1_000), surroundings());
    *mirror.0.mood.lock().unwrap() = |position, _| match position {
        2 => Err(anyhow::anyhow!("no disk").context("rendering")),
        3 => panic!("a bug"),
        _ => Ok(()),
    };
    add(&log, 0..5).await;
    let running = start(&log, &mirror, &surroundings);
    until("two jobs to be parked", async || parked(&log).await.len() == 2).await;
    until("the others to be done", async || mirrored(&log).await == 3).await;
    let put_aside = parked(&log).await;
    let told = |job: &ParkedJob| (job.parking.position, job.parking.attempts, job.parking.error.clone(), job.parking.processor.clone());
    assert_eq!(told(&put_aside[0]), (2, 3, "rendering: no disk".to_owned(), "mirror".to_owned()));
    assert_eq!(told(&put_aside[1]), (3, 1, "panicked: a bug".to_owned(), "mirror".to_owned()));
    surroundings
        .positions
        .wait(Mirror::NAME, Partition::EMBEDDED, Some(9), Duration::from_secs(10))
        .await
        .expect("parked jobs hold up nothing");

    // Asked for while it still fails, a job is parked again, with its new error.
    *mirror.0.mood.lock().unwrap() = |position, _| if position == 2 { Err(anyhow::anyhow!("still no disk")) } else { Ok(()) };
    for (job, commit) in put_aside.iter().zip(1_000..) {
        replay(&log, request(commit), job.job).await.unwrap();
    }
    until("one to be done and one to be parked again", async || {
        let now = parked(&log).await;
        now.len() == 1 && !now[0].is_replaying && now[0].parking.error == "still no disk"
    })
    .await;
    *mirror.0.mood.lock().unwrap() = |_, _| Ok(());
    replay(&log, request(2_000), put_aside[0].job).await.unwrap();
    until("the parked jobs to be done", async || parked(&log).await.is_empty()).await;
    assert_eq!(mirrored(&log).await, 5);
    assert!(replay(&log, request(2_001), put_aside[0].job).await.is_err(), "what is done cannot be asked for");
    surroundings.shutdown.cancel();
    running.await.unwrap().unwrap();
}

/// Breaks on every event of a counter, each in its own way, and says so by adding to another counter.
struct Breaks;

impl Processor for Breaks {
    const NAME: &'static str = "breaks";
    const RETRY: Retry = Mirror::RETRY;
    type Job = u128;

    fn job(&self, event: &Recorded) -> Option<u128> {
        let counter = event.stream.id().as_u128();
        assert_ne!(counter, 3, "a bug in telling the job");
        (counter < MIRROR).then_some(counter)
    }

    async fn run<L: Log>(&self, counter: u128, _context: &JobContext<L>) -> anyhow::Result<()> {
        assert_ne!(counter, 2, "a bug in doing the job");
        anyhow::bail!("no disk")
    }

    async fn give_up<L: Log>(&self, failure: &Failure, context: &JobContext<L>) -> anyhow::Result<()> {
        let counter = context.cause.stream.id().as_u128();
        assert_ne!(counter, 4, "a bug in giving up");
        let tries = match failure {
            Failure::Error(_) => u64::from(context.attempt),
            Failure::Panic(_) => 100,
        };
        context.execute::<Counter>(GIVE_UP, id(MIRROR + counter), Command::Add(tries)).await?;
        Ok(())
    }
}

#[tokio::test]
async fn a_job_that_keeps_failing_or_panics_ends_in_what_its_processor_says_of_it_once() {
    let (log, surroundings) = (SimulatedLog::new(1, Faults::NONE), surroundings());
    for counter in 1..=4 {
        execute::<Counter>(&log, request(counter), id(counter), Command::Add(1)).await.unwrap();
    }
    let running = tokio::spawn(dispatch(log.clone(), Breaks, NonZeroUsize::MIN, surroundings.clone()));
    surroundings
        .positions
        .wait(Breaks::NAME, Partition::EMBEDDED, Some(7), Duration::from_secs(10))
        .await
        .expect("four jobs and what is said of them");
    let put_aside = parked(&log).await;
    assert_eq!(put_aside.len(), 1, "the others said so: {put_aside:?}");
    assert_eq!((put_aside[0].parking.position, put_aside[0].parking.error.as_str(), put_aside[0].is_replaying), (3, "no disk", false));
    let said = async || {
        let mut said = Vec::new();
        for counter in 1..=4 {
            said.push(load::<Counter>(&log, workspace(), id(MIRROR + counter)).await.unwrap().count);
        }
        said
    };
    assert_eq!(said().await, [3, 100, 100, 0]);

    // The next start, without its memory, does every job again: nothing is said twice.
    surroundings.shutdown.cancel();
    running.await.unwrap().unwrap();
    let again = crate::counter::surroundings();
    let running = tokio::spawn(dispatch(log.clone(), Breaks, NonZeroUsize::MIN, again.clone()));
    again.positions.wait(Breaks::NAME, Partition::EMBEDDED, Some(7), Duration::from_secs(10)).await.expect("nothing is added");
    again.shutdown.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(said().await, [3, 100, 100, 0]);
    assert_eq!(parked(&log).await, put_aside);
}

#[tokio::test]
async fn a_job_that_is_asked_for_while_nobody_works_is_done_at_the_next_start_once() {
    let (log, mirror, first) = (SimulatedLog::new(1, Faults::NONE), Mirror::new(1_000), surroundings());
    *mirror.0.mood.lock().unwrap() = |_, _| Err(anyhow::anyhow!("no disk"));
    add(&log, 0..2).await;
    let running = start(&log, &mirror, &first);
    until("both jobs to be parked", async || parked(&log).await.len() == 2).await;
    first.shutdown.cancel();
    running.await.unwrap().unwrap();

    *mirror.0.mood.lock().unwrap() = |_, _| Ok(());
    let job = parked(&log).await[0].job;
    for commit in [1_000, 1_001] {
        replay(&log, request(commit), job).await.unwrap();
    }
    assert!(parked(&log).await[0].is_replaying);
    // Another process, without the first one's memory, does every job; the parked ones leave the list as they end.
    let second = surroundings();
    let running = start(&log, &mirror, &second);
    until("both jobs to be done", async || parked(&log).await.is_empty()).await;
    second
        .positions
        .wait(Mirror::NAME, Partition::EMBEDDED, Some(log.head(Partition::EMBEDDED).await.unwrap() - 1), Duration::from_secs(10))
        .await
        .unwrap();
    assert_eq!(mirrored(&log).await, 2);
    second.shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_log_that_is_full_is_told_at_the_first_try_and_the_job_is_done_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    let log = SqliteLog::open_with_pages_max(&path, 40).unwrap();
    let mut commits = 0;
    while execute::<Counter>(&log, request(commits + 1), id(commits % 7), Command::Add(1)).await.is_ok() {
        commits += 1;
    }
    let (mirror, first) = (Mirror::new(10_000), surroundings());
    let running = start(&log, &mirror, &first);
    tokio::time::timeout(Duration::from_secs(10), first.disk_full.notified()).await.expect("it is told");
    until("what the log does not take to be remembered", async || !first.consumers.parked().await.unwrap().is_empty()).await;
    first.shutdown.cancel();
    running.await.unwrap().unwrap();
    drop(log);

    let log = SqliteLog::open(&path).unwrap();
    let second = surroundings_with(first.consumers.clone());
    second.consumers.replay_all(Mirror::NAME).await.unwrap();
    let running = start(&log, &mirror, &second);
    until("every job to be done", async || u128::from(mirrored(&log).await) == commits).await;
    until("nothing to be remembered", async || second.consumers.parked().await.unwrap().is_empty()).await;
    assert_eq!(parked(&log).await, []);
    second.shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_shutdown_interrupts_jobs_and_the_next_start_does_them_again() {
    let (log, mirror, first) = (SimulatedLog::new(1, Faults::NONE), Mirror::new(0), surroundings());
    add(&log, 0..3).await;
    let running = start(&log, &mirror, &first);
    until("the jobs to run", async || mirror.0.running.load(Ordering::SeqCst) == 3).await;
    first.shutdown.cancel();
    running.await.unwrap().unwrap();
    assert!(first.consumers.parked().await.unwrap().is_empty(), "an interruption is no failure");

    mirror.0.gate.add_permits(100);
    let second = surroundings_with(first.consumers.clone());
    let running = start(&log, &mirror, &second);
    until("every job to be done", async || mirrored(&log).await == 3).await;
    second.shutdown.cancel();
    running.await.unwrap().unwrap();
}
