//! Read-your-writes: a token says what the caller has written, a read model waits until it has seen that.

use crate::log::Partition;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::id::WorkspaceId;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::watch;
use uuid::Uuid;

/// What a caller has seen or written: everything in `workspace` up to and including `position`, which counts in the workspace's
/// partition. Opaque to callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Where.
    pub workspace: WorkspaceId,
    /// `None`: nothing yet.
    pub position: Option<u64>,
}

/// Text that is not a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a token that this service gave out")]
pub struct NotAToken;

/// The first byte, so that another layout can follow.
const LAYOUT: u8 = 1;

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![LAYOUT];
        bytes.extend_from_slice(self.workspace.0.as_bytes());
        bytes.extend_from_slice(&self.position.map_or(0, |position| position + 1).to_be_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for Token {
    type Err = NotAToken;
    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NotAToken)?;
        let [LAYOUT, rest @ ..] = bytes.as_slice() else { return Err(NotAToken) };
        let (workspace, events) = rest.split_at_checked(16).ok_or(NotAToken)?;
        let workspace = WorkspaceId(Uuid::from_slice(workspace).map_err(|_| NotAToken)?);
        let events = u64::from_be_bytes(events.try_into().map_err(|_| NotAToken)?);
        Ok(Self { workspace, position: events.checked_sub(1) })
    }
}

/// A consumer has not come as far as was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the answer would be {lag} events old")]
pub struct Stale {
    /// How many positions are missing.
    pub lag: u64,
}

/// Who reads what.
type Place = (&'static str, Partition);

/// How far each consumer of this process has come in each partition. A clone is another handle.
#[derive(Clone, Default)]
pub struct Positions(Arc<Mutex<HashMap<Place, watch::Sender<Option<u64>>>>>);

impl Positions {
    /// Says that consumer `name` has finished everything in `partition` up to and including `checkpoint`.
    pub fn publish(&self, name: &'static str, partition: Partition, checkpoint: Option<u64>) {
        self.channel(name, partition).send_if_modified(|current| {
            let is_news = checkpoint > *current;
            *current = checkpoint.max(*current);
            is_news
        });
    }

    /// Returns how far consumer `name` has come in `partition`.
    #[must_use]
    pub fn checkpoint(&self, name: &'static str, partition: Partition) -> Option<u64> {
        *self.channel(name, partition).borrow()
    }

    /// Waits until consumer `name` has finished everything in `partition` up to and including `position`, at most for `deadline`.
    ///
    /// # Errors
    /// [`Stale`] when it has not by then.
    pub async fn wait(&self, name: &'static str, partition: Partition, position: Option<u64>, deadline: Duration) -> Result<(), Stale> {
        let mut checkpoints = self.channel(name, partition).subscribe();
        let reached = checkpoints.wait_for(|checkpoint| *checkpoint >= position);
        if matches!(tokio::time::timeout(deadline, reached).await, Ok(Ok(_))) {
            return Ok(());
        }
        let events = |position: Option<u64>| position.map_or(0, |position| position + 1);
        Err(Stale { lag: events(position).saturating_sub(events(self.checkpoint(name, partition))) })
    }

    fn channel(&self, name: &'static str, partition: Partition) -> watch::Sender<Option<u64>> {
        let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        channels.entry((name, partition)).or_insert_with(|| watch::channel(None).0).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_what_it_shows() {
        for position in [None, Some(0), Some(12_345_678_901)] {
            let token = Token { workspace: WorkspaceId(Uuid::from_u128(7)), position };
            assert_eq!(token.to_string().parse(), Ok(token));
        }
    }

    #[test]
    fn other_text_is_not_a_token() {
        for text in ["", "x", "AAAA", "Ag", &"A".repeat(34), &"A".repeat(500)] {
            assert_eq!(text.parse::<Token>(), Err(NotAToken), "{text}");
        }
    }

    #[tokio::test]
    async fn a_wait_ends_when_the_consumer_gets_there() {
        let positions = Positions::default();
        positions.publish("clips", Partition::EMBEDDED, Some(3));
        positions.wait("clips", Partition::EMBEDDED, Some(3), Duration::ZERO).await.expect("it is there already");
        assert_eq!(positions.wait("clips", Partition::EMBEDDED, Some(10), Duration::from_millis(1)).await, Err(Stale { lag: 7 }));
        let waiting = tokio::spawn({
            let positions = positions.clone();
            async move { positions.wait("clips", Partition::EMBEDDED, Some(10), Duration::from_secs(60)).await }
        });
        tokio::task::yield_now().await;
        positions.publish("clips", Partition::EMBEDDED, Some(11));
        assert_eq!(waiting.await.expect("it does not panic"), Ok(()));
    }

    #[tokio::test]
    async fn partitions_count_for_themselves() {
        let positions = Positions::default();
        positions.publish("clips", Partition(2), Some(11));
        assert_eq!(positions.wait("clips", Partition(2), Some(11), Duration::ZERO).await, Ok(()));
        assert_eq!(positions.wait("clips", Partition(1), Some(3), Duration::ZERO).await, Err(Stale { lag: 4 }));
    }

    #[tokio::test]
    async fn a_checkpoint_never_goes_back() {
        let positions = Positions::default();
        positions.publish("clips", Partition::EMBEDDED, Some(3));
        positions.publish("clips", Partition::EMBEDDED, Some(1));
        assert_eq!(positions.checkpoint("clips", Partition::EMBEDDED), Some(3));
    }
}
