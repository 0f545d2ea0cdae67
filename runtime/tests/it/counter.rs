//! A tiny aggregate: counts up to a limit.

use bytes::Bytes;
use domain::id::{CommitId, WorkspaceId};
use domain::{Decider, Timestamp};
use proto::{DecodeError, Encoded, Wire};
use runtime::clock::Clock;
use runtime::consume::Surroundings;
use runtime::consumers::Consumers;
use runtime::execute::Context;
use std::time::Duration;
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub const LIMIT: u64 = 1_000;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counter {
    pub count: u64,
}

#[derive(Clone, Copy, Debug)]
pub enum Command {
    Add(u64),
    /// Does nothing when the count is there already.
    Reach(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Added(pub u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a counter ends at {LIMIT}")]
pub struct AboveLimit;

impl Decider for Counter {
    type Command = Command;
    type Event = Added;
    type Error = AboveLimit;

    fn decide(&self, command: Command, _: Timestamp) -> Result<Vec<Added>, AboveLimit> {
        let more = match command {
            Command::Add(more) => more,
            Command::Reach(count) => count.saturating_sub(self.count),
        };
        match more {
            0 => Ok(vec![]),
            _ if self.count + more > LIMIT => Err(AboveLimit),
            _ => Ok(vec![Added(more)]),
        }
    }

    fn evolve(self, event: &Added) -> Self {
        Self { count: self.count + event.0 }
    }
}

impl Wire for Counter {
    const CATEGORY: &'static str = "counter";

    fn encode(event: &Added) -> Encoded {
        Encoded { event_type: "counter.added", schema_version: 1, payload: Bytes::copy_from_slice(&event.0.to_be_bytes()) }
    }

    fn decode(event_type: &str, schema_version: u32, payload: &[u8]) -> Result<Option<Added>, DecodeError> {
        let problem = |_| DecodeError { event_type: event_type.to_owned(), schema_version, problem: "not eight bytes".to_owned() };
        match event_type {
            "counter.added" => Ok(Some(Added(u64::from_be_bytes(payload.try_into().map_err(problem)?)))),
            _ => Ok(None),
        }
    }
}

pub fn workspace() -> WorkspaceId {
    WorkspaceId(Uuid::from_u128(1))
}

pub fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub fn request(commit: u128) -> Context {
    Context::request(CommitId(Uuid::from_u128(commit)), workspace(), "test", Timestamp(7))
}

pub fn surroundings() -> Surroundings {
    surroundings_with(Consumers::in_memory().unwrap())
}

pub fn surroundings_with(consumers: Consumers) -> Surroundings {
    Surroundings {
        consumers,
        positions: Default::default(),
        progress: Default::default(),
        clock: Clock::from_fn(|| Timestamp(7)),
        disk_full: Default::default(),
        shutdown: CancellationToken::new(),
    }
}

/// Waits until `condition` holds.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..2_000 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited ten seconds for: {what}");
}
