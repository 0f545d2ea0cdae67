//! What only the embedded log has: a file, that is opened again, by several handles, on a disk that can be full.

use bytes::Bytes;
use domain::Timestamp;
use domain::id::{CommitId, EventId, WorkspaceId};
use futures::StreamExt as _;
use proto::{Metadata, NewEvent, StreamName};
use runtime::log::sqlite::{NewerFile, SqliteLog};
use runtime::log::{AppendError, Commit, Expected, Filter, Item, Log, Partition, StreamAppend, Verdict};
use std::time::Duration;
use uuid::Uuid;

fn workspace() -> WorkspaceId {
    WorkspaceId(Uuid::from_u128(1))
}

fn stream() -> StreamName {
    StreamName::new("video", Uuid::from_u128(1))
}

fn commit(number: u64, expected: Expected, bytes: usize) -> Commit {
    let id = Uuid::from_u128(u128::from(number));
    let event = NewEvent { id: EventId(id), event_type: "video.tested".into(), schema_version: 1, payload: Bytes::from(vec![7; bytes]) };
    let metadata = Metadata { at: Timestamp(7), actor: "test".to_owned(), correlation: id, causation: None, traceparent: None };
    Commit {
        id: CommitId(id),
        workspace: workspace(),
        streams: vec![StreamAppend { stream: stream(), expected, events: vec![event] }],
        metadata,
    }
}

#[tokio::test]
async fn everything_is_there_when_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    let log = SqliteLog::open(&path).unwrap();
    log.append(commit(1, Expected::Empty, 10)).await.unwrap();
    log.append(commit(2, Expected::Empty, 10)).await.unwrap_err();
    drop(log);
    let log = SqliteLog::open(&path).unwrap();
    assert_eq!(log.head(Partition::EMBEDDED).await.unwrap(), 1);
    assert!(log.append(commit(1, Expected::Empty, 10)).await.unwrap().is_repeat);
    assert!(matches!(log.verdict(workspace(), CommitId(Uuid::from_u128(2))).await.unwrap(), Some(Verdict::Rejected(_))));
    assert_eq!(log.append(commit(3, Expected::Exact(0), 10)).await.unwrap().first_position, 1);
}

#[tokio::test]
async fn two_openers_of_one_file_agree_and_follow_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    let (first, second) = (SqliteLog::open(&path).unwrap(), SqliteLog::open(&path).unwrap());
    let mut reading = second.read(Partition::EMBEDDED, 0, Filter::all());
    for number in 0..20 {
        let log = if number % 2 == 0 { &first } else { &second };
        let expected = if number == 0 { Expected::Empty } else { Expected::Exact(number - 1) };
        assert_eq!(log.append(commit(number, expected, 10)).await.unwrap().first_position, number);
    }
    let mut next = 0;
    while next < 20 {
        let item = tokio::time::timeout(Duration::from_secs(10), reading.next()).await.unwrap().unwrap().unwrap();
        if let Item::Event(event) = item {
            assert_eq!(event.position, next);
            next += 1;
        }
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_leaves_the_log_usable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    let log = SqliteLog::open_with_pages_max(&path, 40).unwrap();
    let mut accepted = 0;
    let error = loop {
        match log.append(commit(accepted, Expected::Any, 20_000)).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, AppendError::Full(_)), "{error:?}");
    assert!(accepted > 0);
    assert_eq!(log.head(Partition::EMBEDDED).await.unwrap(), accepted);
    drop(log);
    let log = SqliteLog::open(&path).unwrap();
    let appended = log.append(commit(accepted, Expected::Any, 20_000)).await.unwrap();
    assert_eq!((appended.first_position, appended.is_repeat), (accepted, false), "the same commit passes when there is room");
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = SqliteLog::open(&path).err().unwrap();
    assert_eq!(error.downcast_ref(), Some(&NewerFile { schema: 99 }), "{error:#}");
}
