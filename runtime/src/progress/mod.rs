//! How far running work has come: for those who watch now, kept nowhere. What must be known later is an event.

pub mod relay;

use domain::id::{VideoId, WorkspaceId};
use futures::Stream;
use tokio::sync::broadcast;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::BroadcastStream;

/// Messages that a watcher may be behind; older ones are worthless, so it skips them.
const BEHIND_MAX: usize = 256;

/// A moment of a stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// Where.
    pub workspace: WorkspaceId,
    /// Of which video.
    pub video: VideoId,
    /// Such as `transcribe`.
    pub stage: &'static str,
    /// From 0 to 1.
    pub fraction: f32,
    /// Until the stage ends, as far as that can be told.
    pub eta_ms: Option<u64>,
    /// Seconds of film per second of work.
    pub realtime_factor: Option<f32>,
    /// One line for people; may be empty.
    pub detail: String,
}

/// A handle on the process's channel of progress.
#[derive(Clone, Debug)]
pub struct ProgressChannel {
    /// Of this process's own work.
    own: broadcast::Sender<Progress>,
    /// Of that and of what other processes told.
    all: broadcast::Sender<Progress>,
}

impl Default for ProgressChannel {
    fn default() -> Self {
        Self { own: broadcast::channel(BEHIND_MAX).0, all: broadcast::channel(BEHIND_MAX).0 }
    }
}

impl ProgressChannel {
    /// Tells everybody who watches; never waits.
    pub fn send(&self, progress: Progress) {
        // An error means that nobody watches.
        drop(self.own.send(progress.clone()));
        drop(self.all.send(progress));
    }

    /// Returns what is sent from now on, by other processes too. A watcher that is slow misses old messages, never the newest.
    pub fn subscribe(&self) -> impl Stream<Item = Progress> + Send + use<> {
        BroadcastStream::new(self.all.subscribe()).filter_map(Result::ok)
    }

    /// Returns what this process itself sends from now on.
    fn subscribe_own(&self) -> impl Stream<Item = Progress> + Send + use<> {
        BroadcastStream::new(self.own.subscribe()).filter_map(Result::ok)
    }

    /// Passes on what another process told.
    fn pass_on(&self, progress: Progress) {
        drop(self.all.send(progress));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[tokio::test]
    async fn a_slow_watcher_skips_to_what_is_recent() {
        let channel = ProgressChannel::default();
        let mut watcher = Box::pin(channel.subscribe());
        for step in 0..=1_000_u16 {
            channel.send(Progress {
                workspace: WorkspaceId(Uuid::nil()),
                video: VideoId(Uuid::nil()),
                stage: "render",
                fraction: f32::from(step) / 1_000.0,
                eta_ms: None,
                realtime_factor: None,
                detail: String::new(),
            });
        }
        let first = watcher.next().await.expect("the channel is open");
        assert!(first.fraction > 0.7, "it starts at {}", first.fraction);
        drop(channel);
        let rest: Vec<Progress> = watcher.collect().await;
        assert_eq!(rest.last().map(|progress| progress.fraction), Some(1.0));
    }
}
