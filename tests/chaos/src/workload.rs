//! What clients do: conditional appends to a few streams that all of them want, and reads; and what others append beside them.

use crate::LOCAL_WORKSPACE;
use crate::history::{Entry, History};
use crate::remote::Remote;
use crate::talk::{Ask, Expectation, Outcome, Part, Said};
use domain::clip::Clip;
use domain::id::{CommitId, EventId, WorkspaceId};
use domain::video::Video;
use proto::Wire as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use runtime::clock::Clock;
use runtime::log::Partition;
use runtime::log::kafka::partition_of;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// Streams of the local workspace that all clients write: few, so that they meet.
const STREAMS: usize = 4;

/// How long a client waits for an answer before it sends the same commit by another process.
const PATIENCE_MS: Range<u64> = 1_500..6_000;

/// Tries of one append; afterwards its outcome stays unknown, at least until the end.
const TRIES_MAX: usize = 5;

/// Pause before another try: a process that is down says so at once.
const TRY_PAUSE: Duration = Duration::from_millis(200);

/// Pause between a client's operations, so that the machine is not the bottleneck.
const THINK_MS: Range<u64> = 0..20;

/// Others who only append, each to a stream of its own in a workspace of its own, beside each client in its process: while a fault lasts they
/// pile up, and then their commits go together. Each process has some for every partition. What they see is judged by versions and
/// verdicts: a search through so much at once would never end.
pub(crate) const APPENDERS: usize = 7;

/// Workspaces that are looked at for one in a given partition: of so few partitions, each is met long before.
const WORKSPACE_TRIES_MAX: usize = 10_000;

/// Pause between operations of one of them.
const APPENDER_THINK_MS: Range<u64> = 0..400;

/// Events before what a client knows of a stream that it reads again: what was there must still be there.
const OVERLAP: u64 = 10;

/// Of a client's operations, the share that are reads.
const READS: f64 = 0.25;

/// Of the reads, the share that wait for no token.
const LOCAL_READS: f64 = 0.4;

/// How often an unknown outcome is asked for once everything is well again.
const RESOLVE_TRIES_MAX: usize = 12;

/// One in so many appends whose outcome is unknown is never asked for again: its client never came back.
const FORGOTTEN: u32 = 3;

/// What all clients share.
pub(crate) struct Workload {
    history: Arc<History>,
    remotes: Vec<Arc<Remote>>,
    token: Arc<AtomicU64>,
    partitions: u32,
    /// Those that clients share, then those of appenders.
    streams: Vec<Stream>,
    /// One stream of each partition, of the first client or an appender beside it.
    barriers: Vec<usize>,
    seed: u64,
    pub(crate) stop: AtomicBool,
    pub(crate) counts: Counts,
}

/// How operations ended.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) accepted: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) unknown: AtomicU64,
    pub(crate) reads: AtomicU64,
    pub(crate) reads_failed: AtomicU64,
    /// Tries of appends after the first.
    pub(crate) retries: AtomicU64,
    /// When something was last acknowledged in each partition, and the longest time until the next was; in nanoseconds.
    last_accepted: Vec<AtomicU64>,
    pub(crate) longest_pause: AtomicU64,
}

struct Stream {
    workspace: WorkspaceId,
    name: String,
    /// Events that it has at least; what the next append will expect.
    next: AtomicU64,
}

struct Append {
    /// Appenders count on behind the clients; modulo their number it is the process.
    client: usize,
    call: u64,
    workspace: WorkspaceId,
    commit: CommitId,
    at_us: u64,
    parts: Vec<Part>,
}

impl Workload {
    pub(crate) fn new(seed: u64, partitions: u32, history: Arc<History>, remotes: Vec<Arc<Remote>>, token: Arc<AtomicU64>) -> Self {
        let streams = streams(seed, partitions, remotes.len());
        let mut met = HashSet::new();
        let barriers = (0..streams.len()).filter(|stream| met.insert(partition_of(streams[*stream].workspace, partitions))).collect();
        let counts = Counts { last_accepted: (0..partitions).map(|_| AtomicU64::new(0)).collect(), ..Counts::default() };
        Self { history, remotes, token, partitions, streams, barriers, seed, stop: AtomicBool::new(false), counts }
    }

    /// Lets a client work, or one of the appenders beside it (counted from 1; the client itself is 0), until told to stop, and then once
    /// more settles what it does not know.
    pub(crate) async fn work(self: Arc<Self>, client: usize, appender: usize) -> anyhow::Result<()> {
        // Its own sequence, whatever the others do.
        let number = appender * self.remotes.len() + client;
        let own = (appender > 0).then(|| STREAMS + number - self.remotes.len());
        let mut random = StdRng::seed_from_u64(self.seed.wrapping_add(number as u64 + 1));
        let (reads, think_ms) = if appender == 0 { (READS, THINK_MS) } else { (0.0, APPENDER_THINK_MS) };
        let mut unknown = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            if random.random_bool(reads) {
                self.read(client, random.random_range(0..STREAMS), random.random_bool(LOCAL_READS)).await?;
            } else {
                let append = self.choose(number, own, &mut random);
                match self.append(&append, &mut random, TRIES_MAX).await? {
                    Some(outcome) => self.record(&append, &outcome)?,
                    None => unknown.push(append),
                }
            }
            tokio::time::sleep(Duration::from_millis(random.random_range(think_ms.clone()))).await;
        }
        for append in unknown {
            let is_forgotten = random.random_ratio(1, FORGOTTEN);
            let outcome = if is_forgotten { None } else { self.append(&append, &mut random, RESOLVE_TRIES_MAX).await? };
            self.record(&append, &outcome.unwrap_or(Outcome::Unknown))?;
        }
        Ok(())
    }

    /// Appends to each partition, by the first client's process, whatever is there. When that is on the log, so is everything that was put
    /// in order before it.
    pub(crate) async fn barrier(&self) -> anyhow::Result<()> {
        let mut random = StdRng::from_os_rng();
        for stream in &self.barriers {
            while !self.mark(*stream, &mut random).await? {}
        }
        Ok(())
    }

    /// Appends to a stream whatever is there, as whoever writes it; tells whether the outcome is known.
    async fn mark(&self, stream: usize, random: &mut StdRng) -> anyhow::Result<bool> {
        let client = if stream < STREAMS { 0 } else { stream - STREAMS + self.remotes.len() };
        let append = self.one(client, stream, vec![self.part(stream, Expectation::Any, random)], random);
        let outcome = self.append(&append, random, RESOLVE_TRIES_MAX).await?;
        self.record(&append, outcome.as_ref().unwrap_or(&Outcome::Unknown))?;
        Ok(outcome.is_some())
    }

    fn choose(&self, client: usize, own: Option<usize>, random: &mut StdRng) -> Append {
        let first = own.unwrap_or_else(|| random.random_range(0..STREAMS));
        let parts = match random.random_range(0..100) {
            _ if own.is_some() => vec![self.part(first, Expectation::Exact, random)],
            0..4 => {
                let video = Video::stream(Uuid::from_u128(random.random())).to_string();
                vec![Part { stream: video, expected: Expectation::Empty, version: 0, events: events(1, random) }]
            }
            4..14 => {
                let second = (first + random.random_range(1..STREAMS)) % STREAMS;
                vec![self.part(first, Expectation::Exact, random), self.part(second, Expectation::Exact, random)]
            }
            14..22 => vec![self.part(first, Expectation::Any, random)],
            22..27 => vec![self.part(first, Expectation::Exists, random)],
            27..30 => vec![self.part(first, Expectation::Empty, random)],
            _ => vec![self.part(first, Expectation::Exact, random)],
        };
        self.one(client, first, parts, random)
    }

    /// Returns an append that begins now, in the workspace of `stream`.
    fn one(&self, client: usize, stream: usize, parts: Vec<Part>, random: &mut StdRng) -> Append {
        let (workspace, commit) = (self.streams[stream].workspace, CommitId(Uuid::from_u128(random.random())));
        Append { client, call: self.history.now(), workspace, commit, at_us: Clock::system().now().0, parts }
    }

    fn part(&self, stream: usize, wanted: Expectation, random: &mut StdRng) -> Part {
        let stream = &self.streams[stream];
        let (expected, version) = match (wanted, stream.next.load(Ordering::Relaxed).checked_sub(1)) {
            (Expectation::Exact, Some(version)) => (Expectation::Exact, version),
            (Expectation::Exact, None) => (Expectation::Empty, 0),
            (other, _) => (other, 0),
        };
        let count = random.random_range(1..=3);
        Part { stream: stream.name.clone(), expected, version, events: events(count, random) }
    }

    /// Sends a commit until somebody knows its verdict: each time the same commit, by one process after the other.
    async fn append(&self, append: &Append, random: &mut StdRng, tries_max: usize) -> anyhow::Result<Option<Outcome>> {
        for tried in 0..tries_max {
            if tried > 0 {
                self.counts.retries.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(TRY_PAUSE).await;
            }
            let remote = &self.remotes[(append.client + tried) % self.remotes.len()];
            let Append { workspace, commit, at_us, .. } = *append;
            let ask = Ask::Append { workspace, commit, at_us, parts: append.parts.clone() };
            let patience = Duration::from_millis(random.random_range(PATIENCE_MS));
            match tokio::time::timeout(patience, remote.ask(ask)).await {
                Ok(Some(Said::Append { outcome: outcome @ (Outcome::Accepted { .. } | Outcome::Rejected { .. }), .. })) => {
                    self.learn(append, &outcome);
                    return Ok(Some(outcome));
                }
                Ok(Some(Said::Failed { why })) => anyhow::bail!("a client cannot send {}: {why}", append.commit),
                Ok(Some(Said::Append { outcome: Outcome::Unknown, .. } | Said::Read { .. }) | None) | Err(_) => {}
            }
        }
        Ok(None)
    }

    fn learn(&self, append: &Append, outcome: &Outcome) {
        let next = |name: &str| self.streams.iter().find(|stream| stream.name == name).map(|stream| &stream.next);
        match outcome {
            Outcome::Accepted { .. } => {
                for part in &append.parts {
                    let before = match part.expected {
                        Expectation::Exact => part.version + 1,
                        Expectation::Any | Expectation::Exists | Expectation::Empty => 0,
                    };
                    if let Some(next) = next(&part.stream) {
                        next.fetch_max(before + part.events.len() as u64, Ordering::Relaxed);
                    }
                }
            }
            Outcome::Rejected { stream, actual } => {
                if let (Some(next), Ok(actual)) = (next(stream), u64::try_from(*actual)) {
                    next.fetch_max(actual + 1, Ordering::Relaxed);
                }
            }
            Outcome::Unknown => {}
        }
    }

    fn record(&self, append: &Append, outcome: &Outcome) -> anyhow::Result<()> {
        let count = match outcome {
            Outcome::Accepted { .. } => &self.counts.accepted,
            Outcome::Rejected { .. } => &self.counts.rejected,
            Outcome::Unknown => &self.counts.unknown,
        };
        count.fetch_add(1, Ordering::Relaxed);
        let Append { client, call, workspace, commit, ref parts, .. } = *append;
        let r#return = self.history.now();
        if matches!(outcome, Outcome::Accepted { .. }) {
            let Partition(partition) = partition_of(workspace, self.partitions);
            let before = self.counts.last_accepted[partition as usize].fetch_max(r#return, Ordering::Relaxed);
            if before > 0 {
                self.counts.longest_pause.fetch_max(r#return.saturating_sub(before), Ordering::Relaxed);
            }
        }
        self.history.write(&Entry::Append { client, call, r#return, workspace, commit, parts, outcome })
    }

    /// Reads the end of a stream. Unless it is a local read, it carries the highest token that anybody was given, so it must see all that
    /// is known to have happened.
    async fn read(&self, client: usize, stream: usize, is_local: bool) -> anyhow::Result<()> {
        let stream = &self.streams[stream];
        let call = self.history.now();
        let after = if is_local { 0 } else { self.token.load(Ordering::SeqCst) };
        let from = stream.next.load(Ordering::Relaxed).saturating_sub(OVERLAP);
        let ask = Ask::Read { stream: stream.name.clone(), from, after };
        let longest = Duration::from_millis(PATIENCE_MS.end);
        let Ok(Some(Said::Read { events })) = tokio::time::timeout(longest, self.remotes[client].ask(ask)).await else {
            self.counts.reads_failed.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(TRY_PAUSE).await;
            return Ok(());
        };
        self.counts.reads.fetch_add(1, Ordering::Relaxed);
        stream.next.fetch_max(from + events.len() as u64, Ordering::Relaxed);
        let r#return = self.history.now();
        self.history.write(&Entry::Read { client, call, r#return, is_local, stream: &stream.name, from, events: &events })
    }
}

/// Returns the streams of a seed: those that clients share, and then each appender's, by process within appender.
fn streams(seed: u64, partitions: u32, clients: usize) -> Vec<Stream> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut workspaces = vec![LOCAL_WORKSPACE; STREAMS];
    for appender in 0..APPENDERS as u32 {
        let partition = Partition(appender % partitions);
        workspaces.extend((0..clients).map(|_| workspace_in(partition, partitions, &mut random)));
    }
    let mut name = || Clip::stream(Uuid::from_u128(random.random())).to_string();
    workspaces.into_iter().map(|workspace| Stream { workspace, name: name(), next: AtomicU64::new(0) }).collect()
}

/// Returns some workspace that the log keeps in a partition.
fn workspace_in(partition: Partition, partitions: u32, random: &mut StdRng) -> WorkspaceId {
    let mut workspaces = (0..WORKSPACE_TRIES_MAX).map(|_| WorkspaceId(Uuid::from_u128(random.random())));
    workspaces.find(|workspace| partition_of(*workspace, partitions) == partition).expect("a hash meets every partition")
}

fn events(count: usize, random: &mut StdRng) -> Vec<EventId> {
    (0..count).map(|_| EventId(Uuid::from_u128(random.random()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_process_has_an_appender_in_every_partition() {
        const CLIENTS: usize = 4;
        for partitions in 1..=APPENDERS as u32 {
            let streams = streams(7, partitions, CLIENTS);
            assert_eq!(streams.len(), STREAMS + APPENDERS * CLIENTS);
            for client in 0..CLIENTS {
                let own = streams.iter().skip(STREAMS + client).step_by(CLIENTS);
                let met: HashSet<_> = own.map(|stream| partition_of(stream.workspace, partitions)).collect();
                assert_eq!(met.len(), partitions as usize, "client {client}");
            }
        }
    }
}
