//! A process is killed in the middle of writes, hundreds of times: nothing that it acknowledged is lost, and no commit is torn.

use bytes::Bytes;
use domain::Timestamp;
use domain::id::{CommitId, EventId, WorkspaceId};
use proto::{Metadata, NewEvent, StreamName};
use runtime::log::sqlite::SqliteLog;
use runtime::log::{Commit, Expected, Filter, Item, Log, Partition, StreamAppend, Verdict};
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use uuid::Uuid;

const KILLS: u64 = 500;
const WRITERS: u64 = 3;

/// Numbers that each process may use.
const KILL_NUMBERS: u64 = 1_000_000;

/// Events of one commit, over two streams.
const COMMIT_EVENTS: usize = 3;

/// Every other process writes the index this often, so that many are killed in the middle of that.
const INDEX_AFTER: usize = 24;

/// Names the log for the writing process, and the first number it may use.
const LOG_VARIABLE: &str = "CLIPFLOW_KILL_TEST_LOG";
const FIRST_VARIABLE: &str = "CLIPFLOW_KILL_TEST_FIRST";

fn workspace() -> WorkspaceId {
    WorkspaceId(Uuid::from_u128(1))
}

fn commit(number: u64) -> Commit {
    let append = |category: &str, id: u64, events: std::ops::Range<usize>| StreamAppend {
        stream: StreamName::new(category, Uuid::from_u128(u128::from(id))),
        expected: Expected::Any,
        events: events
            .map(|index| NewEvent {
                id: EventId(Uuid::from_u128((u128::from(number) << 64) + index as u128)),
                event_type: "test.written".into(),
                schema_version: 1,
                payload: Bytes::from(vec![number as u8; 200]),
            })
            .collect(),
    };
    Commit {
        id: CommitId(Uuid::from_u128(u128::from(number))),
        workspace: workspace(),
        streams: vec![append("video", number % 5, 0..2), append("clip", number % 3, 2..COMMIT_EVENTS)],
        metadata: Metadata {
            at: Timestamp(number),
            actor: "test".to_owned(),
            correlation: Uuid::nil(),
            causation: None,
            traceparent: None,
        },
    }
}

/// Not a test by itself: the process that is killed. It prints the number of each commit that was acknowledged.
#[test]
fn writing_process() {
    #[allow(clippy::disallowed_methods, reason = "how the parent speaks to it")]
    let (Ok(path), Ok(first)) = (std::env::var(LOG_VARIABLE), std::env::var(FIRST_VARIABLE)) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let first: u64 = first.parse().unwrap();
        let is_odd = first / KILL_NUMBERS % 2 == 1;
        let log = if is_odd { SqliteLog::open_indexing_after(path, INDEX_AFTER) } else { SqliteLog::open(path) }.unwrap();
        let writers = (0..WRITERS).map(|writer| {
            let log = log.clone();
            async move {
                for number in (first + writer..).step_by(WRITERS as usize) {
                    log.append(commit(number)).await.unwrap();
                    writeln!(std::io::stdout(), "acknowledged {number}").unwrap();
                }
            }
        });
        futures::future::join_all(writers).await;
    });
}

fn start_writing(log: &Path, first: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::writing_process", "--nocapture"])
        .env(LOG_VARIABLE, log)
        .env(FIRST_VARIABLE, first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Lets a process write for a while after its first acknowledgement, kills it, and returns what it acknowledged.
fn write_and_be_killed(log: &Path, first: u64, after: Duration) -> Vec<u64> {
    let mut child = start_writing(log, first);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let number = |line: String| line.split_once("acknowledged ").and_then(|(_, number)| number.parse::<u64>().ok());
    let mut acknowledged: Vec<u64> = lines.by_ref().map_while(Result::ok).find_map(number).into_iter().collect();
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    // The last line may be cut; its commit was acknowledged all the same, but its number may be too.
    let mut rest: Vec<String> = lines.map_while(Result::ok).collect();
    rest.pop();
    acknowledged.extend(rest.into_iter().filter_map(number));
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_kills_lose_nothing_acknowledged_and_tear_no_commit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    let started = Instant::now();
    let (mut acknowledged, mut checked) = (0, 0);
    for kill in 0..KILLS {
        let first = kill * KILL_NUMBERS;
        let after = Duration::from_micros(kill * 7_919 % 20_000);
        let numbers = write_and_be_killed(&path, first, after);
        assert!(!numbers.is_empty(), "the process wrote nothing");
        acknowledged += numbers.len();
        let log = SqliteLog::open(&path).unwrap();
        for number in numbers {
            let verdict = log.verdict(workspace(), commit(number).id).await.unwrap();
            let Some(Verdict::Accepted(appended)) = verdict else { panic!("commit {number} was acknowledged and is lost") };
            assert_eq!(appended.last_position - appended.first_position + 1, COMMIT_EVENTS as u64);
        }
        checked = check_from(&log, checked).await;
    }
    check_from(&SqliteLog::open(&path).unwrap(), 0).await;
    println!("{KILLS} kills, {acknowledged} commits acknowledged, {checked} events, {:?}", started.elapsed());
}

/// Checks that every event from `from` on is there with its whole commit, and returns the head.
async fn check_from(log: &SqliteLog, from: u64) -> u64 {
    use futures::StreamExt as _;
    let mut reading = log.read(Partition::EMBEDDED, from, Filter::all());
    let (mut next, mut commits) = (from, HashMap::<u128, usize>::new());
    let mut versions = HashMap::<StreamName, u64>::new();
    while let Item::Event(event) = reading.next().await.unwrap().unwrap() {
        assert_eq!(event.position, next, "positions are contiguous");
        next += 1;
        *commits.entry(event.id.0.as_u128() >> 64).or_default() += 1;
        let previous = versions.insert(event.stream.clone(), event.version);
        assert!(previous.is_none_or(|previous| previous + 1 == event.version), "versions rise one by one");
    }
    assert!(commits.values().all(|events| *events == COMMIT_EVENTS), "a commit is torn");
    next
}
