//! The embedded log's batches and their index: whatever is in which of them, the log says the same; and a file of the version before becomes one.

use bytes::Bytes;
use domain::Timestamp;
use domain::id::{CommitId, EventId, WorkspaceId};
use futures::StreamExt as _;
use proto::{Metadata, NewEvent, Recorded, StreamName};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use runtime::log::sequencer::{Body, Output, Place};
use runtime::log::simulated::{Faults, SimulatedLog};
use runtime::log::sqlite::{Followed, Replica, SqliteLog};
use runtime::log::{AppendError, Appended, Commit, Conflict, Expected, Filter, Item, Log, Partition, StreamAppend};
use rusqlite::Connection;
use std::path::Path;
use uuid::Uuid;

const WORKSPACES: u128 = 2;
const STREAMS: u128 = 5;

fn workspace(number: u128) -> WorkspaceId {
    WorkspaceId(Uuid::from_u128(1 + number))
}

fn stream(number: u128) -> StreamName {
    StreamName::new(if number.is_multiple_of(2) { "video" } else { "clip" }, Uuid::from_u128(number))
}

/// A commit that may conflict, repeat another one's id, or be large.
fn random_commit(random: &mut StdRng, ids: u128) -> Commit {
    let id = random.random_range(0..ids);
    let first = random.random_range(0..STREAMS);
    let last = (first + random.random_range(0..3)).min(STREAMS - 1);
    let streams: Vec<_> = (first..=last).map(|number| random_append(random, number)).collect();
    Commit {
        id: CommitId(Uuid::from_u128(id)),
        workspace: workspace(random.random_range(0..WORKSPACES)),
        streams,
        metadata: Metadata {
            at: Timestamp(random.random_range(0..1 << 60)),
            actor: ["owner", "processor:testing — ü"][random.random_range(0..2)].to_owned(),
            correlation: Uuid::from_u128(random.random()),
            causation: random.random_bool(0.5).then(|| EventId(Uuid::from_u128(random.random()))),
            traceparent: random.random_bool(0.3).then(|| "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        },
    }
}

fn random_append(random: &mut StdRng, number: u128) -> StreamAppend {
    StreamAppend {
        stream: stream(number),
        expected: match random.random_range(0..8) {
            0 => Expected::Empty,
            1 => Expected::Exists,
            2 => Expected::Exact(random.random_range(0..20)),
            _ => Expected::Any,
        },
        events: (0..random.random_range(1..4))
            .map(|_| NewEvent {
                id: EventId(Uuid::from_u128(random.random())),
                event_type: ["clip.tested", "video.tested", "video.tested_again"][random.random_range(0..3)].into(),
                schema_version: random.random_range(1..300),
                payload: Bytes::from(vec![random.random(); [0, 3, 200, 30_000][random.random_range(0..4)]]),
            })
            .collect(),
    }
}

fn said(result: Result<Appended, AppendError>) -> Result<Appended, Conflict> {
    match result {
        Ok(appended) => Ok(appended),
        Err(AppendError::Conflict(conflict)) => Err(conflict),
        Err(error) => panic!("{error:?}"),
    }
}

async fn all_from(log: &impl Log, from: u64, filter: Filter) -> Vec<Recorded> {
    let mut reading = log.read(Partition::EMBEDDED, from, filter);
    let mut events = Vec::new();
    while let Item::Event(event) = reading.next().await.unwrap().unwrap() {
        events.push(event);
    }
    events
}

/// Compares everything that can be asked of two logs.
async fn assert_same(one: &impl Log, other: &impl Log, ids: u128, random: &mut StdRng) {
    let head = one.head(Partition::EMBEDDED).await.unwrap();
    assert_eq!(head, other.head(Partition::EMBEDDED).await.unwrap());
    for workspace in (0..WORKSPACES).map(workspace) {
        for id in (0..ids).map(|id| CommitId(Uuid::from_u128(id))) {
            assert_eq!(one.verdict(workspace, id).await.unwrap(), other.verdict(workspace, id).await.unwrap(), "{id}");
        }
        for stream in (0..STREAMS).map(stream) {
            let (from, limit) = (random.random_range(0..30), random.random_range(0..40));
            for (from, limit) in [(0, usize::MAX), (from, limit)] {
                let events = one.read_stream(workspace, &stream, from, limit).await.unwrap();
                assert_eq!(events, other.read_stream(workspace, &stream, from, limit).await.unwrap(), "{stream} from {from}");
            }
        }
    }
    let filters = [
        Filter::all(),
        Filter::workspace(workspace(1)),
        Filter { categories: vec!["video".into()], event_types: vec!["video.tested".into()], ..Filter::all() },
    ];
    for filter in filters {
        for from in [0, random.random_range(0..=head)] {
            assert_eq!(all_from(one, from, filter.clone()).await, all_from(other, from, filter.clone()).await, "from {from}, {filter:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_the_index_ends_the_log_says_what_the_simulated_one_says() {
    for seed in 0..24 {
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.sqlite");
        let index_after = random.random_range(1..40);
        let open = || SqliteLog::open_indexing_after(&path, index_after).unwrap();
        let model = SimulatedLog::new(seed, Faults::NONE);
        // Two handles are to the file what two processes are.
        let mut handles = [open(), open()];
        for _ in 0..150 {
            let commit = random_commit(&mut random, 120);
            let handle = &handles[random.random_range(0..2)];
            assert_eq!(said(handle.append(commit.clone()).await), said(model.append(commit.clone()).await), "{commit:?}");
            if random.random_bool(0.05) {
                handles[random.random_range(0..2)] = open();
            }
            if random.random_bool(0.03) {
                assert_same(&handles[random.random_range(0..2)], &model, 120, &mut random).await;
            }
        }
        for handle in &handles {
            assert_same(handle, &model, 120, &mut random).await;
        }
    }
}

fn one_event(number: u64) -> Commit {
    let mut commit = random_commit(&mut StdRng::seed_from_u64(number), 1);
    commit.id = CommitId(Uuid::from_u128(u128::from(number)));
    commit.workspace = workspace(0);
    commit.streams.truncate(1);
    commit.streams[0].events.truncate(1);
    commit.streams[0].stream = stream(0);
    commit.streams[0].expected = if number == 0 { Expected::Empty } else { Expected::Exact(number - 1) };
    commit
}

fn indexed_and_written(path: &Path) -> (u64, u64) {
    let file = Connection::open(path).unwrap();
    file.query_row("SELECT below, (SELECT count(*) FROM batches) FROM indexed", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

#[tokio::test]
async fn a_log_is_opened_again_with_any_number_of_commits_that_are_not_in_the_index() {
    // An entry for the commit and one for its stream.
    const COMMITS_MAX: u64 = 8;
    let folder = tempfile::tempdir().unwrap();
    for commits in 0..COMMITS_MAX * 2 + 3 {
        let path = folder.path().join(format!("{commits}.sqlite"));
        let log = SqliteLog::open_indexing_after(&path, COMMITS_MAX as usize * 2).unwrap();
        for number in 0..commits {
            log.append(one_event(number)).await.unwrap();
            let (below, batches) = indexed_and_written(&path);
            // Half as many again come while those that were gathered are written.
            assert!(batches - below <= COMMITS_MAX * 3 / 2, "{below} of {batches} batches are in the index");
            assert!(below == 0 || batches >= COMMITS_MAX, "{below} of {batches} batches are in the index");
        }
        drop(log);
        let log = SqliteLog::open_indexing_after(&path, COMMITS_MAX as usize * 2).unwrap();
        for number in 0..commits {
            assert!(log.append(one_event(number)).await.unwrap().is_repeat);
        }
        assert_eq!(log.append(one_event(commits)).await.unwrap().first_position, commits);
        assert_eq!(log.read_stream(workspace(0), &stream(0), 0, 100).await.unwrap().len() as u64, commits + 1);
    }
}

#[tokio::test]
async fn a_damaged_batch_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    let log = SqliteLog::open_indexing_after(&path, 4).unwrap();
    for number in 0..8 {
        log.append(one_event(number)).await.unwrap();
    }
    Connection::open(&path).unwrap().execute("UPDATE batches SET data = substr(data, 1, 40) WHERE number = 2", []).unwrap();
    let error = log.read_stream(workspace(0), &stream(0), 0, 100).await.unwrap_err();
    assert!(format!("{error:#}").contains("batch 2 of the log is damaged"), "{error:#}");
    let items: Vec<_> = log.read(Partition::EMBEDDED, 0, Filter::all()).collect().await;
    let error = items.last().unwrap().as_ref().unwrap_err();
    assert!(format!("{error:#}").contains("batch 2 of the log is damaged"), "{error:#}");
    assert_eq!(all_from(&log, 3, Filter::all()).await.len(), 5, "what lies behind it can be read");
}

/// The tables of version 1, as it made them.
const VERSION_1: &str = "
CREATE TABLE streams (
  key INTEGER PRIMARY KEY, workspace BLOB NOT NULL, name TEXT NOT NULL,
  UNIQUE (workspace, name)
) STRICT;
CREATE TABLE events (
  position INTEGER PRIMARY KEY, stream INTEGER NOT NULL REFERENCES streams, version INTEGER NOT NULL,
  id BLOB NOT NULL, type TEXT NOT NULL, schema_version INTEGER NOT NULL, payload BLOB NOT NULL,
  at INTEGER NOT NULL, actor TEXT NOT NULL, correlation BLOB NOT NULL, causation BLOB, traceparent TEXT,
  UNIQUE (stream, version)
) STRICT;
CREATE TABLE commits (
  workspace BLOB NOT NULL, id BLOB NOT NULL,
  first_position INTEGER, last_position INTEGER,
  conflict_stream TEXT, conflict_expected INTEGER, conflict_actual INTEGER,
  PRIMARY KEY (workspace, id)
) STRICT, WITHOUT ROWID;
PRAGMA user_version = 1;
";

/// Writes what a commit came to as version 1 did.
fn write_as_version_1(file: &Connection, commit: &Commit, result: &Result<Appended, Conflict>, events: &[Recorded]) {
    let id = (commit.workspace.0.as_bytes(), commit.id.0.as_bytes());
    match result {
        Ok(appended) if appended.is_repeat => return,
        Ok(appended) => {
            let sql = "INSERT INTO commits (workspace, id, first_position, last_position) VALUES (?, ?, ?, ?)";
            file.execute(sql, (id.0, id.1, appended.first_position, appended.last_position)).unwrap();
        }
        Err(conflict) => {
            let expected = match conflict.expected {
                Expected::Any => -1,
                Expected::Exists => -2,
                Expected::Empty => -3,
                Expected::Exact(version) => i64::try_from(version).unwrap(),
            };
            let sql =
                "INSERT OR IGNORE INTO commits (workspace, id, conflict_stream, conflict_expected, conflict_actual) VALUES (?, ?, ?, ?, ?)";
            file.execute(sql, (id.0, id.1, conflict.stream.as_str(), expected, conflict.actual)).unwrap();
        }
    }
    for event in events {
        let name = (event.workspace.0.as_bytes(), event.stream.as_str());
        file.execute("INSERT OR IGNORE INTO streams (workspace, name) VALUES (?, ?)", name).unwrap();
        let sql = "INSERT INTO events SELECT ?, key, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM streams WHERE workspace = ? AND name = ?";
        let metadata = &event.metadata;
        let values = rusqlite::params![
            event.position,
            event.version,
            event.id.0.as_bytes(),
            &*event.event_type,
            event.schema_version,
            &*event.payload,
            metadata.at.0,
            metadata.actor,
            metadata.correlation.as_bytes(),
            metadata.causation.map(|cause| cause.0.into_bytes()),
            metadata.traceparent,
            name.0,
            name.1,
        ];
        file.execute(sql, values).unwrap();
    }
}

#[tokio::test]
async fn a_file_of_version_1_is_brought_up_to_date_with_everything_in_it() {
    let (seed, ids) = (7, 400);
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    let (model, file) = (SimulatedLog::new(seed, Faults::NONE), Connection::open(&path).unwrap());
    file.execute_batch(VERSION_1).unwrap();
    for _ in 0..ids {
        let commit = random_commit(&mut random, ids);
        let head = model.head(Partition::EMBEDDED).await.unwrap();
        let result = said(model.append(commit.clone()).await);
        write_as_version_1(&file, &commit, &result, &all_from(&model, head, Filter::all()).await);
    }
    drop(file);
    let log = SqliteLog::open(&path).unwrap();
    assert_same(&log, &model, ids, &mut random).await;
    for number in 0..50 {
        let commit = random_commit(&mut random, ids + number);
        assert_eq!(said(log.append(commit.clone()).await), said(model.append(commit).await));
    }
    drop(log);
    assert_same(&SqliteLog::open(&path).unwrap(), &model, ids + 50, &mut random).await;
}

#[tokio::test]
async fn a_file_of_version_1_that_lacks_an_event_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    let (model, file) = (SimulatedLog::new(1, Faults::NONE), Connection::open(&path).unwrap());
    file.execute_batch(VERSION_1).unwrap();
    for number in 0..3 {
        let result = said(model.append(one_event(number)).await);
        write_as_version_1(&file, &one_event(number), &result, &all_from(&model, number, Filter::all()).await);
    }
    file.execute("DELETE FROM events WHERE position = 1", []).unwrap();
    let error = SqliteLog::open(&path).err().unwrap();
    assert!(format!("{error:#}").contains("the commit at position 1 has no events"), "{error:#}");
    let left: i64 = file.query_row("SELECT count(*) FROM events", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 2);
}

/// Returns what a sequencer says of a commit.
fn outputs(number: u64, result: &Result<Appended, Conflict>, commit: &Commit, events: Vec<Recorded>) -> Vec<Output> {
    let place = |index| Place { commit_offset: number, index };
    match result {
        Err(conflict) => {
            let body = Body::Rejected { workspace: commit.workspace, conflict: conflict.clone() };
            vec![Output { place: place(0), count: 1, commit: commit.id, body }]
        }
        Ok(_) => {
            let count = events.len() as u32;
            let output = |(index, event)| Output { place: place(index), count, commit: commit.id, body: Body::Event(event) };
            (0..).zip(events).map(output).collect()
        }
    }
}

#[tokio::test]
async fn a_copy_holds_what_was_recorded_and_one_of_version_1_is_made_anew() {
    let (seed, ids) = (3, 200);
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log-0.sqlite");
    Connection::open(&path).unwrap().execute_batch(VERSION_1).unwrap();
    let model = SimulatedLog::new(seed, Faults::NONE);
    let (mut replica, mut log, followed) = Replica::open(&path).unwrap();
    assert_eq!(followed, None);
    let (mut waiting, mut followed) = (Vec::new(), Followed { generation: "here".to_owned(), ..Followed::default() });
    for number in 0..150 {
        let commit = random_commit(&mut random, ids);
        let head = model.head(Partition::EMBEDDED).await.unwrap();
        let result = said(model.append(commit.clone()).await);
        if result.as_ref().is_ok_and(|appended| appended.is_repeat) {
            continue;
        }
        waiting.push(outputs(number, &result, &commit, all_from(&model, head, Filter::all()).await));
        if random.random_bool(0.3) {
            followed.next_offset = i64::try_from(number).unwrap();
            replica.record(&std::mem::take(&mut waiting), &followed).unwrap();
            assert_same(&log, &model, ids, &mut random).await;
        }
        if random.random_bool(0.05) && waiting.is_empty() {
            drop((replica, log));
            let found;
            (replica, log, found) = Replica::open(&path).unwrap();
            assert_eq!(found.as_ref(), Some(&followed));
        }
    }
    let gap = outputs(999, &Ok(Appended { first_position: 0, last_position: 0, is_repeat: false }), &one_event(1), {
        let mut events = all_from(&model, 0, Filter::all()).await;
        events.truncate(1);
        events
    });
    replica.record(&[gap], &followed).unwrap_err();
    replica.record(&waiting, &followed).unwrap();
    assert_eq!(replica.next_position(), model.head(Partition::EMBEDDED).await.unwrap());
    assert_same(&log, &model, ids, &mut random).await;
}
