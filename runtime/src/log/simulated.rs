//! A log in memory that misbehaves as a distant one does, by a seed: answers get lost, readers see events late.
//!
//! What it never does: lose or reorder what it accepted, show an event twice, or forget a commit id.

use super::{AppendError, Appended, Commit, Conflict, Filter, Item, Log, Partition, Reading, StreamAppend, Verdict};
use domain::id::{CommitId, WorkspaceId};
use futures::StreamExt as _;
use proto::{Recorded, StreamName};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// What goes wrong, and how often.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Faults {
    /// Share of appends whose answer is lost although they were applied.
    pub lost_answers: f64,
    /// Share of appends that are lost on the way, with the same answer.
    pub lost_requests: f64,
    /// Longest time after which readers see an event that was acknowledged, in milliseconds.
    pub visible_after_ms_max: u64,
}

impl Faults {
    /// Nothing goes wrong.
    pub const NONE: Self = Self { lost_answers: 0.0, lost_requests: 0.0, visible_after_ms_max: 0 };
    /// Everything goes wrong now and then.
    pub const SOME: Self = Self { lost_answers: 0.1, lost_requests: 0.1, visible_after_ms_max: 3 };
}

/// A handle on a simulated log.
#[derive(Clone)]
pub struct SimulatedLog(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Positions below are shown to readers; it only rises.
    visible: watch::Sender<u64>,
    faults: Faults,
}

struct State {
    random: StdRng,
    events: Vec<Recorded>,
    /// Positions of a stream's events; the index is the version.
    streams: HashMap<(WorkspaceId, StreamName), Vec<u64>>,
    verdicts: HashMap<(WorkspaceId, CommitId), Verdict>,
}

impl SimulatedLog {
    /// Returns an empty log whose faults follow from `seed`.
    #[must_use]
    pub fn new(seed: u64, faults: Faults) -> Self {
        let random = StdRng::seed_from_u64(seed);
        let state = State { random, events: Vec::new(), streams: HashMap::new(), verdicts: HashMap::new() };
        Self(Arc::new(Shared { state: Mutex::new(state), visible: watch::channel(0).0, faults }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows everything that exists now to readers, at once or after a while.
    fn show(&self, head: u64, delay_ms: u64) {
        let raise = move |visible: &mut u64| {
            let is_news = head > *visible;
            *visible = head.max(*visible);
            is_news
        };
        if delay_ms == 0 {
            self.0.visible.send_if_modified(raise);
            return;
        }
        let shared = self.0.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            shared.visible.send_if_modified(raise);
        });
    }
}

impl State {
    fn apply(&mut self, commit: Commit) -> Result<Appended, AppendError> {
        let name = (commit.workspace, commit.id);
        match self.verdicts.get(&name) {
            Some(Verdict::Accepted(first)) => return Ok(Appended { is_repeat: true, ..*first }),
            Some(Verdict::Rejected(conflict)) => return Err(conflict.clone().into()),
            None => {}
        }
        for StreamAppend { stream, expected, .. } in &commit.streams {
            let events = self.streams.get(&(commit.workspace, stream.clone())).map_or(0, Vec::len);
            let actual = (events as u64).checked_sub(1);
            if !expected.accepts(actual) {
                let conflict = Conflict { stream: stream.clone(), expected: *expected, actual };
                self.verdicts.insert(name, Verdict::Rejected(conflict.clone()));
                return Err(conflict.into());
            }
        }
        let first_position = self.events.len() as u64;
        for append in commit.streams {
            let positions = self.streams.entry((commit.workspace, append.stream.clone())).or_default();
            for event in append.events {
                let position = self.events.len() as u64;
                self.events.push(Recorded {
                    id: event.id,
                    workspace: commit.workspace,
                    stream: append.stream.clone(),
                    version: positions.len() as u64,
                    position,
                    event_type: event.event_type,
                    schema_version: event.schema_version,
                    payload: event.payload,
                    metadata: commit.metadata.clone(),
                });
                positions.push(position);
            }
        }
        let appended = Appended { first_position, last_position: self.events.len() as u64 - 1, is_repeat: false };
        self.verdicts.insert(name, Verdict::Accepted(appended));
        Ok(appended)
    }
}

impl Log for SimulatedLog {
    async fn append(&self, commit: Commit) -> Result<Appended, AppendError> {
        commit.check()?;
        let lost = |what: &str| AppendError::Unknown(anyhow::anyhow!("simulated: the {what} was lost"));
        // Others get their turn here, as with a log that is far away.
        tokio::task::yield_now().await;
        let faults = self.0.faults;
        let (result, head, delay_ms, is_answer_lost) = {
            let mut state = self.state();
            if state.random.random_bool(faults.lost_requests) {
                return Err(lost("request"));
            }
            let result = state.apply(commit);
            let delay_ms = state.random.random_range(0..=faults.visible_after_ms_max);
            (result, state.events.len() as u64, delay_ms, state.random.random_bool(faults.lost_answers))
        };
        self.show(head, delay_ms);
        if is_answer_lost { Err(lost("answer")) } else { result }
    }

    async fn verdict(&self, workspace: WorkspaceId, commit: CommitId) -> anyhow::Result<Option<Verdict>> {
        let known = self.state().verdicts.get(&(workspace, commit)).cloned();
        Ok(known.map(|verdict| match verdict {
            Verdict::Accepted(first) => Verdict::Accepted(Appended { is_repeat: true, ..first }),
            Verdict::Rejected(conflict) => Verdict::Rejected(conflict),
        }))
    }

    async fn read_stream(
        &self,
        workspace: WorkspaceId,
        stream: &StreamName,
        from_version: u64,
        limit: usize,
    ) -> anyhow::Result<Vec<Recorded>> {
        let visible = *self.0.visible.borrow();
        let state = self.state();
        let positions = state.streams.get(&(workspace, stream.clone())).map_or(&[][..], Vec::as_slice);
        let wanted = positions.iter().take_while(|position| **position < visible).skip(from_version as usize).take(limit);
        Ok(wanted.map(|position| state.events[*position as usize].clone()).collect())
    }

    fn read(&self, _: Partition, from: u64, filter: Filter) -> Reading {
        let (log, visible) = (self.clone(), self.0.visible.subscribe());
        let follower = (log, visible, Arc::new(filter), from, true);
        futures::stream::unfold(follower, |(log, mut visible, filter, next, is_first)| async move {
            let head = if is_first { *visible.borrow_and_update() } else { *visible.wait_for(|head| *head > next).await.ok()? };
            let mut items: Vec<anyhow::Result<Item>> = {
                let state = log.state();
                let fresh = state.events.get(next.min(head) as usize..head as usize).unwrap_or_default();
                let wanted = fresh.iter().filter(|event| filter.accepts(event.workspace, &event.stream, &event.event_type));
                wanted.map(|event| Ok(Item::Event(event.clone()))).collect()
            };
            let next = next.max(head);
            items.push(Ok(Item::CaughtUp(next)));
            Some((futures::stream::iter(items), (log, visible, filter, next, false)))
        })
        .flatten()
        .boxed()
    }

    async fn head(&self, _: Partition) -> anyhow::Result<u64> {
        Ok(*self.0.visible.borrow())
    }

    fn partition(&self, _: WorkspaceId) -> Partition {
        Partition::EMBEDDED
    }
}
