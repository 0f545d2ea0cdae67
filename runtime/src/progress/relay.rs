//! Progress between processes, over a topic of Kafka that keeps it for minutes: whoever watches at a gateway sees work of every worker.
//!
//! Nothing depends on it. A message that is lost, late or written by another version is skipped; what must be known is an event.

use super::{Progress, ProgressChannel};
use crate::log::kafka::{Settings, is_passing};
use anyhow::Context as _;
use domain::id::{VideoId, WorkspaceId};
use domain::video::Stage;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::Message as _;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Between two messages about the same part of a stage: as often as a person can follow.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// Parts of stages whose last message is remembered.
const PARTS_MAX: usize = 1_000;

/// A message that has not left after this is of no use any more.
const USEFUL: Duration = Duration::from_secs(5);

/// Pause after the brokers could not be read.
const PAUSE: Duration = Duration::from_secs(1);

/// Returns the topic of progress, which has one partition.
#[must_use]
pub fn topic(settings: &Settings) -> String {
    format!("{}.progress", settings.prefix)
}

/// A message as it travels.
#[derive(Serialize, Deserialize)]
struct Message {
    from: Uuid,
    workspace: WorkspaceId,
    video: VideoId,
    stage: String,
    fraction: f32,
    eta_ms: Option<u64>,
    realtime_factor: Option<f32>,
    detail: String,
}

impl Message {
    fn of(from: Uuid, progress: &Progress) -> Self {
        let Progress { workspace, video, stage, fraction, eta_ms, realtime_factor, detail } = progress.clone();
        Self { from, workspace, video, stage: stage.to_owned(), fraction, eta_ms, realtime_factor, detail }
    }

    /// Returns the progress, unless this version has no such stage.
    fn progress(self) -> Option<Progress> {
        let Self { workspace, video, stage, fraction, eta_ms, realtime_factor, detail, .. } = self;
        let stage: Stage = stage.parse().ok()?;
        Some(Progress { workspace, video, stage: stage.name(), fraction, eta_ms, realtime_factor, detail })
    }
}

/// Tells other processes of the work of this one, which is called `from`, until shutdown.
///
/// # Errors
/// When there can be no client.
pub async fn tell(channel: ProgressChannel, from: Uuid, settings: &Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    let producer: FutureProducer = settings.appender(USEFUL.as_millis()).create().context("starting the producer of progress")?;
    let topic = topic(settings);
    let mut told: HashMap<(VideoId, &'static str, String), Instant> = HashMap::new();
    let mut moments = Box::pin(channel.subscribe_own());
    loop {
        let progress = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            progress = moments.next() => progress.context("the channel of progress is closed")?,
        };
        let part = (progress.video, progress.stage, progress.detail.clone());
        if progress.fraction < 1.0 && told.get(&part).is_some_and(|at| at.elapsed() < TELL_EVERY) {
            continue;
        }
        if told.len() >= PARTS_MAX {
            told.clear();
        }
        told.insert(part, Instant::now());
        let key = progress.workspace.to_string();
        let payload = serde_json::to_vec(&Message::of(from, &progress)).context("writing progress")?;
        let record = FutureRecord::to(&topic).partition(0).key(&key).payload(&payload);
        if let Err((error, _)) = producer.send_result(record) {
            tracing::debug!(error = %error, "progress was not told");
        }
    }
}

/// Passes on to `channel` what other processes than `from` tell from now on, until shutdown.
///
/// # Errors
/// When there can be no client.
pub async fn hear(channel: ProgressChannel, from: Uuid, settings: &Settings, shutdown: CancellationToken) -> anyhow::Result<()> {
    let client: StreamConsumer =
        settings.reader("progress").set("auto.offset.reset", "latest").create().context("starting the reader of progress")?;
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(&topic(settings), 0, Offset::End)?;
    client.assign(&partitions)?;
    loop {
        let record = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            record = client.recv() => record,
        };
        match record {
            Ok(record) => {
                if let Ok(message) = serde_json::from_slice::<Message>(record.payload().unwrap_or_default())
                    && message.from != from
                    && let Some(progress) = message.progress()
                {
                    channel.pass_on(progress);
                }
            }
            Err(error) => {
                if !is_passing(&error) {
                    tracing::warn!(error = %error, "progress of other processes cannot be read");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        let (workspace, video) = (WorkspaceId(Uuid::from_u128(1)), VideoId(Uuid::from_u128(2)));
        let detail = "clip 1 9:16".to_owned();
        Progress { workspace, video, stage: "render", fraction: 0.5, eta_ms: Some(7), realtime_factor: Some(2.0), detail }
    }

    #[test]
    fn a_message_comes_back_as_it_was() {
        let bytes = serde_json::to_vec(&Message::of(Uuid::nil(), &progress())).unwrap();
        let message: Message = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(message.progress(), Some(progress()));
    }

    #[test]
    fn a_stage_of_another_version_is_skipped() {
        let message = Message { stage: "teleport".into(), ..Message::of(Uuid::nil(), &progress()) };
        assert_eq!(message.progress(), None);
    }

    #[tokio::test]
    async fn what_others_told_is_not_told_again() {
        let channel = ProgressChannel::default();
        let (mut own, mut all) = (Box::pin(channel.subscribe_own()), Box::pin(channel.subscribe()));
        channel.pass_on(Progress { fraction: 0.1, ..progress() });
        channel.send(progress());
        assert_eq!((own.next().await.unwrap().fraction, all.next().await.unwrap().fraction), (0.5, 0.1));
    }
}
