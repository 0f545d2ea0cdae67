//! What all contestants share: the commit, the round of closed-loop clients, the medians.

use bytes::Bytes;
use domain::Timestamp;
use domain::id::{CommitId, EventId, WorkspaceId};
use proto::{Metadata, NewEvent, StreamName};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use runtime::log::{Commit, Expected, StreamAppend};
use serde::Serialize;
use std::future::Future;
use std::time::{Duration, Instant};
use uuid::Uuid;

pub(crate) const PAYLOAD_BYTES: usize = 256;

/// How long the clients of a round go on.
pub(crate) const ROUND: Duration = Duration::from_millis(1_500);

/// What one round measured.
#[derive(Serialize)]
pub(crate) struct Round {
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Says on the error stream what is being measured: the output is for a program.
pub(crate) fn progress(what: &str) {
    eprintln!("  {what}");
}

/// Returns how many rounds there are, from the environment's `RUNS`.
pub(crate) fn runs() -> usize {
    #[allow(clippy::disallowed_methods, reason = "a benchmark is configured like its recipe")]
    let runs = std::env::var("RUNS");
    runs.ok().map_or(5, |runs| runs.parse().expect("RUNS is a number"))
}

/// Lets `clients` tasks ask one thing after another until the round is over; what they left behind is done in `finish`, which counts too.
pub(crate) async fn round<A, F>(clients: usize, client: impl Fn(usize) -> A, finish: impl Future<Output = ()>) -> Round
where
    A: Fn(u64) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let started = Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|number| {
            let ask = client(number);
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                while started.elapsed() < ROUND {
                    let asked = Instant::now();
                    ask(latencies.len() as u64).await;
                    latencies.push(asked.elapsed());
                }
                latencies
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.unwrap());
    }
    finish.await;
    let elapsed = started.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let quantile = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    Round { per_second: latencies.len() as f64 / elapsed, p50_ms: quantile(0.5), p99_ms: quantile(0.99) }
}

/// Who appends: a stream of its own for every client of every round.
#[derive(Clone, Copy)]
pub(crate) struct Writer {
    pub(crate) workspace: WorkspaceId,
    pub(crate) stream: u128,
}

/// Returns the append of a writer's `number`th commit, which names the version it follows.
pub(crate) fn next(writer: Writer, number: u64) -> Commit {
    commit(writer, number, if number == 0 { Expected::Empty } else { Expected::Exact(number - 1) }, 1)
}

/// Returns a commit of so many events to one stream.
pub(crate) fn commit(writer: Writer, number: u64, expected: Expected, events: usize) -> Commit {
    let id = |index: u64| Uuid::from_u128((writer.stream << 80) | (u128::from(number) << 32) | u128::from(index));
    let event = |index: usize| NewEvent {
        id: EventId(id(index as u64)),
        event_type: "clip.measured".into(),
        schema_version: 1,
        payload: Bytes::from(vec![index as u8; PAYLOAD_BYTES]),
    };
    Commit {
        id: CommitId(id(u64::from(u32::MAX))),
        workspace: writer.workspace,
        streams: vec![StreamAppend {
            stream: StreamName::new("clip", Uuid::from_u128(writer.stream)),
            expected,
            events: (0..events).map(event).collect(),
        }],
        metadata: Metadata {
            at: Timestamp(1_700_000_000_000_000),
            actor: "processor:measure".to_owned(),
            correlation: Uuid::from_u128(7),
            causation: Some(EventId(Uuid::from_u128(8))),
            traceparent: None,
        },
    }
}

/// Returns the commit with ids and payloads of noise, so that nobody gains by compressing what real ones do not repeat.
pub(crate) fn noisy(mut commit: Commit) -> Commit {
    let mut noise = StdRng::seed_from_u64(commit.id.0.as_u64_pair().0 ^ commit.id.0.as_u64_pair().1);
    let mut id = || Uuid::from_u128(noise.random());
    commit.id = CommitId(id());
    commit.metadata.correlation = id();
    commit.metadata.causation = Some(EventId(id()));
    for event in commit.streams.iter_mut().flat_map(|append| &mut append.events) {
        event.id = EventId(Uuid::from_u128(noise.random()));
        let mut payload = vec![0; PAYLOAD_BYTES];
        noise.fill(&mut payload[..]);
        event.payload = payload.into();
    }
    commit
}

/// Returns the medians of each figure.
pub(crate) fn medians(rounds: &[Round]) -> Round {
    Round {
        per_second: median(rounds.iter().map(|round| round.per_second)),
        p50_ms: median(rounds.iter().map(|round| round.p50_ms)),
        p99_ms: median(rounds.iter().map(|round| round.p99_ms)),
    }
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
