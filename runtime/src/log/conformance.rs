//! What every adapter of the log must do: one suite, run on each.
//!
//! A case panics with a sentence when an adapter is wrong. Cases tolerate what the port tolerates: unknown outcomes and stale reads.

use super::{AppendError, Appended, Commit, Expected, Filter, Invalid, Item, Log, Partition, StreamAppend, Verdict};
use bytes::Bytes;
use domain::Timestamp;
use domain::id::{CommitId, EventId, WorkspaceId};
use futures::StreamExt as _;
use futures::future::join_all;
use proto::{Metadata, NewEvent, Recorded, StreamName};
use std::collections::HashMap;
use std::time::Duration;
use uuid::Uuid;

/// How long a case waits for something that must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Most tries of one append whose outcome stays unknown.
const ATTEMPTS_MAX: usize = 100;

/// Runs every case on logs made by `make`, a fresh one for each.
pub async fn suite<L: Log, F: Future<Output = L>>(make: impl Fn() -> F) {
    expected_versions_are_enforced(&make().await).await;
    a_commit_to_several_streams_is_all_or_nothing(&make().await).await;
    a_commit_id_keeps_its_first_verdict(&make().await).await;
    events_come_back_as_they_were_written(&make().await).await;
    a_reader_catches_up_and_then_follows(&make().await).await;
    a_filter_lets_only_wanted_events_through(&make().await).await;
    workspaces_do_not_see_each_other(&make().await).await;
    invalid_commits_are_refused(&make().await).await;
    concurrent_writers_of_one_stream_make_one_history(&make().await).await;
    readers_see_no_gap_and_no_duplicate_while_others_write(&make().await).await;
}

async fn expected_versions_are_enforced(log: &impl Log) {
    let stream = name("video", 1);
    assert_conflict(append(log, one(1, &stream, Expected::Exists)).await, None);
    assert_conflict(append(log, one(2, &stream, Expected::Exact(0))).await, None);
    accepted(append(log, one(3, &stream, Expected::Empty)).await);
    assert_conflict(append(log, one(4, &stream, Expected::Empty)).await, Some(0));
    assert_conflict(append(log, one(5, &stream, Expected::Exact(1))).await, Some(0));
    accepted(append(log, one(6, &stream, Expected::Exact(0))).await);
    accepted(append(log, one(7, &stream, Expected::Exists)).await);
    accepted(append(log, one(8, &stream, Expected::Any)).await);
    assert_conflict(append(log, one(9, &stream, Expected::Exact(0))).await, Some(3));
    let versions: Vec<u64> = stream_events(log, workspace(), &stream, 4).await.iter().map(|event| event.version).collect();
    assert_eq!(versions, [0, 1, 2, 3], "versions of a stream count up from 0");
}

async fn a_commit_to_several_streams_is_all_or_nothing(log: &impl Log) {
    let (video, first, second) = (name("video", 1), name("clip", 1), name("clip", 2));
    accepted(append(log, one(1, &second, Expected::Empty)).await);
    let both = |id, expected| commit(id, &[(&video, Expected::Empty, 2), (&first, Expected::Empty, 3), (&second, expected, 1)]);
    assert_conflict(append(log, both(2, Expected::Empty)).await, Some(0));
    let appended = accepted(append(log, both(3, Expected::Exact(0))).await);
    assert_eq!(appended.last_position - appended.first_position, 5, "a commit's positions are contiguous");
    assert_eq!(stream_events(log, workspace(), &video, 2).await.len(), 2);
    assert_eq!(stream_events(log, workspace(), &first, 3).await.len(), 3, "the rejected commit left nothing behind");
    assert_eq!(stream_events(log, workspace(), &second, 2).await.len(), 2);
}

async fn a_commit_id_keeps_its_first_verdict(log: &impl Log) {
    let stream = name("video", 1);
    let first = accepted(append(log, one(1, &stream, Expected::Empty)).await);
    let again = accepted(append(log, one(1, &stream, Expected::Empty)).await);
    assert!(again.is_repeat, "a repeated commit id appends nothing");
    assert_eq!((again.first_position, again.last_position), (first.first_position, first.last_position));

    assert_conflict(append(log, one(2, &stream, Expected::Exact(1))).await, Some(0));
    accepted(append(log, one(3, &stream, Expected::Exact(0))).await);
    // Now it would pass, but its verdict was given.
    assert_conflict(append(log, one(2, &stream, Expected::Exact(1))).await, Some(0));

    let verdict = |id| async move { log.verdict(workspace(), commit_id(id)).await.expect("the log answers") };
    assert_eq!(verdict(1).await, Some(Verdict::Accepted(again)));
    assert!(matches!(verdict(2).await, Some(Verdict::Rejected(conflict)) if conflict.actual == Some(0)));
    assert_eq!(verdict(99).await, None);
    assert_eq!(stream_events(log, workspace(), &stream, 2).await.len(), 2);
}

async fn events_come_back_as_they_were_written(log: &impl Log) {
    let stream = name("video", 1);
    let mut full = one(1, &stream, Expected::Empty);
    full.metadata.causation = Some(EventId(Uuid::from_u128(77)));
    full.metadata.traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    full.metadata.actor = "processor:transcribe — ü".to_owned();
    full.streams[0].events[0].payload = Bytes::from((0..=255).collect::<Vec<u8>>());
    full.streams[0].events[0].schema_version = 3;
    accepted(append(log, full.clone()).await);
    let mut bare = one(2, &stream, Expected::Any);
    bare.streams[0].events[0].payload = Bytes::new();
    accepted(append(log, bare.clone()).await);

    let expected: Vec<Recorded> = [(full, 0), (bare, 1)].map(|(commit, at)| recorded(&commit, &commit.streams[0].events[0], at, at)).into();
    assert_eq!(stream_events(log, workspace(), &stream, 2).await, expected);
    assert_eq!(follow(log, 0, Filter::all(), 2).await, expected, "both ways to read give the same events");
    let second = log.read_stream(workspace(), &stream, 1, 1).await.expect("the log reads");
    assert_eq!(second, expected[1..]);
}

async fn a_reader_catches_up_and_then_follows(log: &impl Log) {
    let stream = name("video", 1);
    let mut reading = log.read(Partition::EMBEDDED, 0, Filter::all());
    assert_eq!(within(reading.next()).await.transpose().expect("the log reads"), Some(Item::CaughtUp(0)), "an empty log is caught up at 0");
    for id in 0..3 {
        accepted(append(log, one(id, &stream, Expected::Any)).await);
    }
    let mut positions = Vec::new();
    let mut caught_up = 0;
    while caught_up < 3 {
        match within(reading.next()).await.expect("a reading does not end").expect("the log reads") {
            Item::Event(event) => positions.push(event.position),
            Item::CaughtUp(head) => caught_up = head,
        }
    }
    assert_eq!(positions, [0, 1, 2]);
    assert_eq!(follow(log, 2, Filter::all(), 1).await[0].position, 2, "`from` is inclusive");
    assert_eq!(log.head(Partition::EMBEDDED).await.expect("the log answers"), 3);
}

async fn a_filter_lets_only_wanted_events_through(log: &impl Log) {
    let (video, clip) = (name("video", 1), name("clip", 1));
    for id in 0..10 {
        accepted(append(log, one(id, if id % 2 == 0 { &video } else { &clip }, Expected::Any)).await);
    }
    let clips = Filter { categories: vec!["clip".into()], ..Filter::all() };
    let got: Vec<u64> = follow(log, 3, clips, 4).await.iter().map(|event| event.position).collect();
    assert_eq!(got, [3, 5, 7, 9]);
    let typed = Filter { event_types: vec!["video.tested".into()], ..Filter::all() };
    assert_eq!(follow(log, 0, typed, 5).await.len(), 5);

    let nothing = Filter { event_types: vec!["none.such".into()], ..Filter::all() };
    let mut reading = log.read(Partition::EMBEDDED, 0, nothing);
    let mut caught_up = 0;
    while caught_up < 10 {
        match within(reading.next()).await.expect("a reading does not end").expect("the log reads") {
            Item::Event(event) => panic!("an unwanted event came through: {event:?}"),
            Item::CaughtUp(head) => caught_up = head,
        }
    }
}

async fn workspaces_do_not_see_each_other(log: &impl Log) {
    let stream = name("video", 1);
    let other = WorkspaceId(Uuid::from_u128(2));
    accepted(append(log, one(1, &stream, Expected::Empty)).await);
    // The same stream name and the same commit id, elsewhere.
    let there = accepted(append(log, Commit { workspace: other, ..one(1, &stream, Expected::Empty) }).await);
    assert!(!there.is_repeat, "a commit id belongs to a workspace");
    assert_eq!(stream_events(log, other, &stream, 1).await[0].position, there.first_position);
    assert_eq!(follow(log, 0, Filter::workspace(other), 1).await[0].workspace, other);
}

async fn invalid_commits_are_refused(log: &impl Log) {
    let stream = name("video", 1);
    let refusal = |commit| async move {
        match log.append(commit).await {
            Err(AppendError::Invalid(invalid)) => invalid,
            other => panic!("expected a refusal, got {other:?}"),
        }
    };
    let mut large = one(1, &stream, Expected::Any);
    large.streams[0].events[0].payload = Bytes::from(vec![0; super::EVENT_BYTES_MAX + 1]);
    assert!(matches!(refusal(large).await, Invalid::EventTooLarge { .. }));
    assert!(matches!(refusal(commit(1, &[])).await, Invalid::CommitSize { events: 0, .. }));
    assert!(matches!(refusal(commit(1, &[(&stream, Expected::Any, 0)])).await, Invalid::NoEvents { .. }));
    let twice = commit(1, &[(&stream, Expected::Any, 1), (&stream, Expected::Any, 1)]);
    assert!(matches!(refusal(twice).await, Invalid::StreamTwice { .. }));
    let many = commit(1, &[(&stream, Expected::Any, super::COMMIT_EVENTS_MAX + 1)]);
    assert!(matches!(refusal(many).await, Invalid::CommitSize { .. }));
    accepted(append(log, one(1, &stream, Expected::Empty)).await);
}

async fn concurrent_writers_of_one_stream_make_one_history(log: &impl Log) {
    const WRITERS: u64 = 8;
    const COMMITS_EACH: u64 = 10;
    let stream = name("video", 1);
    let writer = |writer: u64| {
        let (log, stream) = (log.clone(), stream.clone());
        async move {
            let (mut done, mut attempt, mut expected) = (0, 0, Expected::Empty);
            while done < COMMITS_EACH {
                attempt += 1;
                match append(&log, one(writer * 1_000_000 + attempt, &stream, expected)).await {
                    Ok(_) => {
                        done += 1;
                        expected = match expected {
                            Expected::Exact(version) => Expected::Exact(version + 1),
                            Expected::Any | Expected::Exists | Expected::Empty => Expected::Exact(0),
                        };
                    }
                    Err(AppendError::Conflict(conflict)) => {
                        expected = conflict.actual.map_or(Expected::Empty, Expected::Exact);
                    }
                    Err(other) => panic!("an append failed: {other:?}"),
                }
            }
        }
    };
    let tasks: Vec<_> = (0..WRITERS).map(|index| tokio::spawn(writer(index))).collect();
    for task in tasks {
        within(task).await.expect("a writer does not panic");
    }
    let events = stream_events(log, workspace(), &stream, WRITERS * COMMITS_EACH).await;
    let versions: Vec<u64> = events.iter().map(|event| event.version).collect();
    assert_eq!(versions, (0..WRITERS * COMMITS_EACH).collect::<Vec<_>>(), "every accepted commit is one version");
}

async fn readers_see_no_gap_and_no_duplicate_while_others_write(log: &impl Log) {
    const WRITERS: u64 = 4;
    const COMMITS_EACH: u64 = 50;
    const EVENTS: u64 = WRITERS * COMMITS_EACH * 3;
    let writer = |writer: u64| {
        let log = log.clone();
        async move {
            for number in 0..COMMITS_EACH {
                let (own, shared) = (name("video", 10 + writer), name("clip", 1));
                let both = commit(writer * 1_000 + number, &[(&own, Expected::Any, 2), (&shared, Expected::Any, 1)]);
                accepted(append(&log, both).await);
            }
        }
    };
    let early = tokio::spawn({
        let log = log.clone();
        async move { follow(&log, 0, Filter::all(), EVENTS).await }
    });
    let writers: Vec<_> = (0..WRITERS).map(|index| tokio::spawn(writer(index))).collect();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let middle = follow(log, 100, Filter::all(), EVENTS - 100).await;
    for task in writers {
        within(task).await.expect("a writer does not panic");
    }
    let early = within(early).await.expect("a reader does not panic");
    let late = follow(log, 0, Filter::all(), EVENTS).await;
    assert!(late.iter().map(|event| event.position).eq(0..EVENTS), "positions are contiguous");
    assert_eq!(early, late, "a reader that was there from the start saw the same");
    assert_eq!(middle, late[100..], "a reader that came in the middle saw the same");
    let mut versions: HashMap<&StreamName, u64> = HashMap::new();
    for event in &late {
        let next = versions.entry(&event.stream).or_default();
        assert_eq!(event.version, *next, "versions of {} rise one by one along the log", event.stream);
        *next += 1;
    }
}

/// Appends, and sends the same commit again while the outcome is unknown.
async fn append(log: &impl Log, commit: Commit) -> Result<Appended, AppendError> {
    let mut last = None;
    for _ in 0..ATTEMPTS_MAX {
        match log.append(commit.clone()).await {
            Err(AppendError::Unknown(reason)) => last = Some(reason),
            known => return known,
        }
    }
    panic!("the outcome stayed unknown in {ATTEMPTS_MAX} attempts: {last:?}")
}

fn accepted(result: Result<Appended, AppendError>) -> Appended {
    result.expect("the commit is accepted")
}

fn assert_conflict(result: Result<Appended, AppendError>, actual: Option<u64>) {
    match result {
        Err(AppendError::Conflict(conflict)) => assert_eq!(conflict.actual, actual, "a conflict tells the actual version"),
        other => panic!("expected a conflict, got {other:?}"),
    }
}

/// Returns the first `count` events from position `from` on that pass the filter.
async fn follow(log: &impl Log, from: u64, filter: Filter, count: u64) -> Vec<Recorded> {
    let mut reading = log.read(Partition::EMBEDDED, from, filter);
    let mut events = Vec::new();
    while (events.len() as u64) < count {
        match within(reading.next()).await.expect("a reading does not end").expect("the log reads") {
            Item::Event(event) => events.push(event),
            Item::CaughtUp(_) => {}
        }
    }
    events
}

/// Returns the events of a stream as soon as there are at least `count`.
async fn stream_events(log: &impl Log, workspace: WorkspaceId, stream: &StreamName, count: u64) -> Vec<Recorded> {
    within(async {
        loop {
            let events = log.read_stream(workspace, stream, 0, 10_000).await.expect("the log reads");
            if events.len() as u64 >= count {
                return events;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it comes in time")
}

fn workspace() -> WorkspaceId {
    WorkspaceId(Uuid::from_u128(1))
}

fn name(category: &str, id: u64) -> StreamName {
    StreamName::new(category, Uuid::from_u128(u128::from(id)))
}

fn commit_id(id: u64) -> CommitId {
    CommitId(Uuid::from_u128(u128::from(id)))
}

fn one(id: u64, stream: &StreamName, expected: Expected) -> Commit {
    commit(id, &[(stream, expected, 1)])
}

fn commit(id: u64, streams: &[(&StreamName, Expected, usize)]) -> Commit {
    let event = |stream: &StreamName, index: usize| NewEvent {
        id: EventId(Uuid::from_u128((u128::from(id) << 64) + index as u128)),
        event_type: format!("{}.tested", stream.category()).into(),
        schema_version: 1,
        payload: Bytes::from(format!("{id}/{index}")),
    };
    let streams = streams.iter().map(|&(stream, expected, events)| StreamAppend {
        stream: stream.clone(),
        expected,
        events: (0..events).map(|index| event(stream, index)).collect(),
    });
    let metadata = Metadata {
        at: Timestamp(1_700_000_000_000_000 + id),
        actor: "test".to_owned(),
        correlation: Uuid::from_u128(u128::from(id)),
        causation: None,
        traceparent: None,
    };
    Commit { id: commit_id(id), workspace: workspace(), streams: streams.collect(), metadata }
}

fn recorded(commit: &Commit, event: &NewEvent, version: u64, position: u64) -> Recorded {
    Recorded {
        id: event.id,
        workspace: commit.workspace,
        stream: commit.streams[0].stream.clone(),
        version,
        position,
        event_type: event.event_type.clone(),
        schema_version: event.schema_version,
        payload: event.payload.clone(),
        metadata: commit.metadata.clone(),
    }
}

/// Appends one event to a new stream, for tests that only need a log that is not empty.
///
/// # Panics
/// When the log refuses.
pub async fn append_one(log: &impl Log) -> Appended {
    accepted(append(log, one(1_000_000_007, &name("video", 1_000_000_007), Expected::Empty)).await)
}

/// Appends `count` events to one stream, one commit each; every `round` is other commits.
///
/// # Panics
/// When the log refuses one.
pub async fn append_many(log: &impl Log, round: u64, count: u64) {
    for number in 0..count {
        append_nth(log, round, number).await;
    }
}

/// Like [`append_many`], all at the same time.
///
/// # Panics
/// When the log refuses one.
pub async fn append_together(log: &impl Log, round: u64, count: u64) {
    join_all((0..count).map(|number| append_nth(log, round, number))).await;
}

async fn append_nth(log: &impl Log, round: u64, number: u64) {
    accepted(append(log, one(1_000_000 * (round + 1) + number, &name("video", 1), Expected::Any)).await);
}
