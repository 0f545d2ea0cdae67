//! `clipflow bench lake` and `clipflow bench rows`: a log with what usually is in one, written to an empty lake and to empty read models.

use crate::rows::Cluster;
use anyhow::Context as _;
use domain::artefact::{CaptionStyle, Contribution, FeatureGroup};
use domain::blob::Digest;
use domain::clip::{Clip, Event, Proposal};
use domain::id::{CommitId, EventId, VideoId};
use domain::{BlobRef, MediaTime, Span, Timestamp};
use futures::StreamExt as _;
use lake::Lake;
use lake::follow::{Limits, sync};
use projections::table::Writes;
use proto::{Metadata, Wire as _};
use runtime::clock::Clock;
use runtime::consume::Surroundings;
use runtime::consumers::Consumers;
use runtime::log::sqlite::SqliteLog;
use runtime::log::{Commit, Expected, Filter, Item, Log as _, Partition, StreamAppend};
use runtime::progress::ProgressChannel;
use runtime::token::Positions;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Events of one commit: filling the log is not what is measured.
const COMMIT_CLIPS: u64 = 500;

/// As many as the ranker has.
const FEATURES: usize = 16;

/// How long the read models may take.
const ROWS_DEADLINE: Duration = Duration::from_secs(3_600);

/// Writes everything to a lake in a folder.
pub(super) async fn lake(events: u64) -> anyhow::Result<Value> {
    let folder = tempfile::tempdir()?;
    let log = filled(folder.path(), events).await?;
    let lake = Lake::in_folder(&folder.path().join("lake"))?;
    let started = Instant::now();
    let synced = sync(log, lake, Limits::default()).await?;
    let seconds = started.elapsed().as_secs_f64();
    Ok(json!({ "seconds": seconds, "events": synced.events, "rows": synced.rows, "rows_per_second": synced.rows as f64 / seconds }))
}

/// Lets every read model catch up side by side, as a gateway that starts with an old log does; on a cluster their tables must be empty.
pub(super) async fn rows(events: u64, cluster: &Cluster) -> anyhow::Result<Value> {
    let folder = tempfile::tempdir()?;
    let log = filled(folder.path(), events).await?;
    let last = log.head(Partition::EMBEDDED).await?.checked_sub(1);
    let models = &projections::ALL;
    // A row is one write: what a read model does with one event to one row.
    let mut written = 0;
    let mut reading = log.read(Partition::EMBEDDED, 0, Filter::all());
    while let Item::Event(event) = reading.next().await.context("the log's reading ended")?? {
        for model in models {
            let mut writes = Writes::of(event.workspace);
            (model.project)(&event, &mut writes)?;
            written += writes.into_vec().len();
        }
    }
    let store = cluster.open(folder.path()).await?;
    let shutdown = CancellationToken::new();
    let surroundings = Surroundings {
        consumers: Consumers::in_memory()?,
        positions: Positions::default(),
        progress: ProgressChannel::default(),
        clock: Clock::system(),
        disk_full: Default::default(),
        shutdown: shutdown.clone(),
    };
    let positions = surroundings.positions.clone();
    let started = Instant::now();
    let running = tokio::spawn(projections::run::run(log, store, surroundings));
    for model in models {
        positions
            .wait(model.name, Partition::EMBEDDED, last, ROWS_DEADLINE)
            .await
            .with_context(|| format!("waiting for {}", model.name))?;
    }
    let seconds = started.elapsed().as_secs_f64();
    shutdown.cancel();
    running.await.context("the read models panicked")??;
    Ok(json!({ "seconds": seconds, "events": events, "rows": written, "rows_per_second": written as f64 / seconds }))
}

/// Half of the events propose clips, half accept them: the widest rows, and those that look up how their stream began.
async fn filled(folder: &Path, events: u64) -> anyhow::Result<SqliteLog> {
    let log = SqliteLog::open(folder.join("log.sqlite"))?;
    let workspace = crate::engine::LOCAL_WORKSPACE;
    for first in (0..events / 2).step_by(COMMIT_CLIPS as usize) {
        let metadata = Metadata {
            at: Timestamp(1_700_000_000_000_000 + first * 1_000_000),
            actor: "owner".into(),
            correlation: Uuid::from_u128(u128::from(first)),
            causation: None,
            traceparent: None,
        };
        let streams = (first..(first + COMMIT_CLIPS).min(events / 2)).map(clip).collect::<anyhow::Result<_>>()?;
        let id = CommitId(Uuid::from_u128(u128::from(first) + 1));
        log.append(Commit { id, workspace, streams, metadata }).await.context("filling the log")?;
    }
    Ok(log)
}

fn clip(number: u64) -> anyhow::Result<StreamAppend> {
    let id = Uuid::from_u128(u128::from(number) + 1);
    let event = |version: u128, event: &Event| Clip::new_event(EventId(Uuid::from_u128(version << 64 | u128::from(number))), event);
    let span = Span::new(MediaTime::from_millis(number % 600_000), MediaTime::from_millis(number % 600_000 + 30_000))?;
    let proposed = Event::Proposed(Box::new(proposal(number, span)));
    Ok(StreamAppend { stream: Clip::stream(id), expected: Expected::Empty, events: vec![event(1, &proposed), event(2, &Event::Accepted)] })
}

fn proposal(number: u64, span: Span) -> Proposal {
    let blob = |media_type: &str| BlobRef { sha256: Digest([7; 32]), bytes: 1, media_type: media_type.into() };
    let contribution = |index: usize| Contribution {
        feature: format!("feature_{index}"),
        group: FeatureGroup::Hook,
        value: index as f64,
        percentile: 0.5,
        weight: 1.0,
        effect: 0.25,
        at: span,
    };
    Proposal {
        video: VideoId(Uuid::from_u128(u128::from(number / 8))),
        original: blob("video/mp4"),
        video_duration: MediaTime::from_millis(700_000),
        words: blob("application/json"),
        analysis: blob("application/json"),
        rank: (number % 8) as u32 + 1,
        span,
        score: (number % 100) as f64,
        title: "What nobody tells you about the first year".into(),
        keywords: vec!["year".into(), "first".into(), "tell".into()],
        contributions: (0..FEATURES).map(contribution).collect(),
        reasons: vec![],
        model: "frozen-1".into(),
        style: CaptionStyle::Karaoke,
    }
}
