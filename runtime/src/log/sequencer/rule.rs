//! The rule itself, and what it must know.

use super::output::{Body, Output, Place, by_commit};
use crate::log::{AppendError, Appended, Commit, Conflict, Verdict};
use domain::id::{CommitId, WorkspaceId};
use proto::{Recorded, StreamName};
use std::collections::{HashMap, VecDeque};

/// Version of the rule. It is part of a log's generation: another rule would judge old commits differently, or not see them.
///
/// Rule 2 lets a record hold several commits. A log of rule 1 has one in each, and they are judged the same.
pub const RULE_VERSION: u32 = 2;

/// The oldest rule whose logs this program reads and writes.
pub const RULE_VERSION_MIN: u32 = 1;

/// Commit ids of a partition that are remembered, the latest; about 100 MB. A repeat that comes later than this many others is judged anew.
pub const COMMIT_IDS_MAX: usize = 1_000_000;

/// A stream of a partition.
pub type StreamKey = (WorkspaceId, StreamName);

/// A commit of a partition.
pub type CommitKey = (WorkspaceId, CommitId);

/// What the rule knows of one partition: a fold of its outputs.
///
/// Streams that were not written for long may be taken out ([`Self::cool`]) and must be put back ([`Self::warm`]) before a commit to them
/// is judged; [`Self::cold`] names them. Whoever never cools never needs to warm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionState {
    next_position: u64,
    /// The version that a stream's next event gets, and the position at which it was last written.
    streams: HashMap<StreamKey, Stream>,
    verdicts: HashMap<CommitKey, Verdict>,
    /// The same commit ids, oldest first.
    order: VecDeque<CommitKey>,
    last: Option<Place>,
    is_cooled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stream {
    next_version: u64,
    written: u64,
}

/// What the rule says of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Its events count, and get these places.
    Accepted {
        /// Position of the first event; the others follow.
        first_position: u64,
        /// For each stream of the commit, the version of its first event.
        first_versions: Vec<u64>,
    },
    /// It counts for nothing.
    Rejected(Conflict),
    /// Its id was judged before: the first verdict stands, and nothing is written.
    Repeat(Verdict),
}

/// Judges the commit that comes next in order, and changes nothing.
#[must_use]
pub fn validate(state: &PartitionState, commit: &Commit) -> Decision {
    if let Some(first) = state.verdicts.get(&(commit.workspace, commit.id)) {
        return Decision::Repeat(first.clone());
    }
    let mut first_versions = Vec::with_capacity(commit.streams.len());
    for append in &commit.streams {
        let next_version = state.next_version(&(commit.workspace, append.stream.clone()));
        let actual = next_version.checked_sub(1);
        if !append.expected.accepts(actual) {
            return Decision::Rejected(Conflict { stream: append.stream.clone(), expected: append.expected, actual });
        }
        first_versions.push(next_version);
    }
    Decision::Accepted { first_position: state.next_position, first_versions }
}

/// What the appender of a commit may be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The verdict.
    pub verdict: Verdict,
    /// The commit was judged before.
    pub is_repeat: bool,
}

impl Answer {
    /// Returns what the outputs of a whole commit say, and of which; nothing when there are none.
    #[must_use]
    pub fn of(outputs: &[Output]) -> Option<(CommitKey, Self)> {
        Some((outputs.first()?.key(), Self { verdict: Output::verdict(outputs), is_repeat: false }))
    }

    /// Returns what `append` does.
    ///
    /// # Errors
    /// When the commit was rejected.
    pub fn result(self) -> Result<Appended, AppendError> {
        match self.verdict {
            Verdict::Accepted(appended) => Ok(Appended { is_repeat: self.is_repeat, ..appended }),
            Verdict::Rejected(conflict) => Err(conflict.into()),
        }
    }
}

/// What became of a record's commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// What is to be written; nothing for repeats.
    pub outputs: Vec<Output>,
    /// What is said of each commit.
    pub answers: Vec<(CommitKey, Answer)>,
}

/// Judges the commits of the record at `commit_offset`, one after the other, and takes them in.
///
/// The same state and record give the same result, whoever judges. Every stream that [`PartitionState::cold`] names must be warm.
pub fn judge(state: &mut PartitionState, commits: impl IntoIterator<Item = Commit>, commit_offset: u64) -> Judged {
    let mut judged = Judged::default();
    for commit in commits {
        let key = (commit.workspace, commit.id);
        let bodies = match validate(state, &commit) {
            Decision::Repeat(verdict) => {
                judged.answers.push((key, Answer { verdict, is_repeat: true }));
                continue;
            }
            Decision::Rejected(conflict) => vec![Body::Rejected { workspace: commit.workspace, conflict }],
            Decision::Accepted { first_position, first_versions } => accepted(commit, first_position, &first_versions),
        };
        let first = judged.outputs.len();
        for body in bodies {
            let index = u32::try_from(judged.outputs.len()).expect("a record's events are limited");
            judged.outputs.push(Output { place: Place { commit_offset, index }, count: 0, commit: key.1, body });
        }
        let said = &judged.outputs[first..];
        state.fold(said);
        judged.answers.extend(Answer::of(said));
    }
    let count = u32::try_from(judged.outputs.len()).expect("a record's events are limited");
    judged.outputs.iter_mut().for_each(|output| output.count = count);
    judged
}

/// The events of a commit that counts.
fn accepted(commit: Commit, first_position: u64, first_versions: &[u64]) -> Vec<Body> {
    let Commit { workspace, streams, metadata, .. } = commit;
    let mut positions = first_position..;
    let mut bodies = Vec::new();
    for (append, first_version) in streams.into_iter().zip(first_versions) {
        for ((event, version), position) in append.events.into_iter().zip(*first_version..).zip(&mut positions) {
            bodies.push(Body::Event(Recorded {
                id: event.id,
                workspace,
                stream: append.stream.clone(),
                version,
                position,
                event_type: event.event_type,
                schema_version: event.schema_version,
                payload: event.payload,
                metadata: metadata.clone(),
            }));
        }
    }
    bodies
}

impl PartitionState {
    /// Returns the position that the next accepted event gets.
    #[must_use]
    pub fn next_position(&self) -> u64 {
        self.next_position
    }

    /// Returns where the last folded output lies.
    #[must_use]
    pub fn last(&self) -> Option<Place> {
        self.last
    }

    /// Returns how many streams are kept in memory.
    #[must_use]
    pub fn warm_streams(&self) -> usize {
        self.streams.len()
    }

    /// Takes in the outputs of commits, all of them.
    ///
    /// Called with what was just decided, and with what is read back after a restart: both give the same state.
    pub fn fold(&mut self, outputs: &[Output]) {
        for said in by_commit(outputs) {
            let (Some(first), Some(last)) = (said.first(), said.last()) else { continue };
            self.last = Some(last.place);
            for output in said {
                if let Body::Event(event) = &output.body {
                    let stream = Stream { next_version: event.version + 1, written: event.position };
                    self.streams.insert((event.workspace, event.stream.clone()), stream);
                    self.next_position = event.position + 1;
                }
            }
            self.remember(first.key(), Output::verdict(said));
        }
    }

    fn remember(&mut self, key: CommitKey, verdict: Verdict) {
        if self.verdicts.insert(key, verdict).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > COMMIT_IDS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.verdicts.remove(&oldest);
        }
    }

    /// Returns the commit's streams that may have been taken out: their versions must be put back before it is judged.
    #[must_use]
    pub fn cold(&self, commit: &Commit) -> Vec<StreamKey> {
        if !self.is_cooled {
            return vec![];
        }
        let keys = commit.streams.iter().map(|append| (commit.workspace, append.stream.clone()));
        keys.filter(|key| !self.streams.contains_key(key)).collect()
    }

    /// Puts a stream back whose next event gets `next_version`; 0 for one that has no event.
    pub fn warm(&mut self, key: StreamKey, next_version: u64) {
        self.streams.entry(key).or_insert(Stream { next_version, written: self.next_position });
    }

    /// Takes out the streams that were not written for the longest time until `keep` are left, and returns them with their next versions.
    pub fn cool(&mut self, keep: usize) -> Vec<(StreamKey, u64)> {
        let surplus = self.streams.len().saturating_sub(keep);
        if surplus == 0 {
            return vec![];
        }
        self.is_cooled = true;
        let mut written: Vec<u64> = self.streams.values().map(|stream| stream.written).collect();
        let (_, &mut limit, _) = written.select_nth_unstable(surplus - 1);
        let taken: Vec<_> = self.streams.extract_if(|_, stream| stream.written <= limit).collect();
        taken.into_iter().map(|(key, stream)| (key, stream.next_version)).collect()
    }

    /// Returns the streams in memory with their next versions, in no order.
    pub fn streams(&self) -> impl Iterator<Item = (&StreamKey, u64)> {
        self.streams.iter().map(|(key, stream)| (key, stream.next_version))
    }

    /// Returns the remembered commit ids with their verdicts, oldest first.
    pub fn verdicts(&self) -> impl Iterator<Item = (&CommitKey, &Verdict)> {
        self.order.iter().filter_map(|id| self.verdicts.get_key_value(id))
    }

    /// Returns the state that was once described by [`Self::next_position`], [`Self::last`] and [`Self::verdicts`]; every stream is cold.
    #[must_use]
    pub fn restored(next_position: u64, last: Option<Place>, verdicts: impl IntoIterator<Item = (CommitKey, Verdict)>) -> Self {
        let (order, verdicts) = verdicts.into_iter().map(|(id, verdict)| (id, (id, verdict))).unzip();
        Self { next_position, streams: HashMap::new(), verdicts, order, last, is_cooled: true }
    }

    fn next_version(&self, key: &StreamKey) -> u64 {
        self.streams.get(key).map_or(0, |stream| stream.next_version)
    }
}

impl Output {
    /// Returns whose commit it belongs to, and which.
    #[must_use]
    pub fn key(&self) -> CommitKey {
        (self.body.workspace(), self.commit)
    }

    /// Returns the verdict that a whole commit's outputs tell.
    ///
    /// # Panics
    /// When there are none.
    #[must_use]
    pub fn verdict(outputs: &[Self]) -> Verdict {
        let [first, ..] = outputs else { panic!("a verdict has at least one output") };
        match &first.body {
            Body::Rejected { conflict, .. } => Verdict::Rejected(conflict.clone()),
            Body::Event(event) => {
                let last_position = event.position + outputs.len() as u64 - 1;
                Verdict::Accepted(Appended { first_position: event.position, last_position, is_repeat: true })
            }
        }
    }
}
