//! The one writer: takes what waits, writes it in one transaction, answers after the sync.

use super::Request;
use super::filter::{self, Filter};
use super::index;
use super::indexer::Indexer;
use super::pack::{EventRef, Packer};
use super::reader::verdict_at;
use super::tail::{self, CommitKey, Extent, StreamKey, Tail};
use crate::disk;
use crate::log::{AppendError, Appended, Commit, Conflict, LogFull, StreamAppend, Verdict};
use anyhow::Context as _;
use domain::id::CommitId;
use proto::NewEvent;
use rusqlite::{Connection, TransactionBehavior};
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::watch;

/// Most commits in one transaction: the last one's answer waits for all of them.
const GROUP_COMMITS_MAX: usize = 512;

/// Groups that are larger are answered by another thread, while the next one is written: waking up so many takes as long as packing them.
/// For a smaller one that detour would take longer.
const ANSWERED_BY_WRITER_MAX: usize = 16;

/// Groups that wait to be answered; more make the writer wait.
const ANSWERS_AHEAD_MAX: usize = 4;

/// Most events in one transaction before it takes no further commit, for the same reason.
const GROUP_EVENTS_MAX: usize = 8_192;

/// Streams whose heads are remembered, about 150 bytes each; beyond that all are forgotten and read again.
const HEADS_MAX: usize = 100_000;

/// How long a writer without work counts as busy.
const IDLE_AFTER: Duration = Duration::from_secs(1);

/// What it costs to look one id up, in ids that could be read one after another instead.
const LOOKUP_COST: u64 = 8;

/// How many prepared statements a connection keeps: more than there are statements in this adapter.
pub(super) const STATEMENTS_MAX: usize = 32;

/// No data version: the next group reads everything anew.
const UNKNOWN: i64 = -1;

pub(super) struct Writer {
    connection: Connection,
    indexer: Indexer,
    extent: Extent,
    /// The last versions of streams, as long as nobody else writes.
    heads: HashMap<StreamKey, u64>,
    ids: Ids,
    /// Changes when another connection commits (`PRAGMA data_version`).
    data_version: i64,
    /// Since the index was last written.
    has_written: bool,
}

type Answer = Result<Appended, AppendError>;

/// A group with what is said to each of it.
type Answered = (Vec<Request>, Vec<Answer>);

impl Writer {
    pub(super) fn new(connection: Connection, indexer: Indexer) -> anyhow::Result<Self> {
        let data_version = data_version(&connection)?;
        let extent = tail::lock(indexer.tail()).catch_up(&connection).context("reading what is not in the index")?;
        Ok(Self { connection, indexer, extent, heads: HashMap::new(), ids: Ids::default(), data_version, has_written: false })
    }

    pub(super) fn head(&self) -> u64 {
        self.extent.next_position
    }

    /// Serves requests until every handle on the log is gone.
    pub(super) fn run(mut self, requests: &flume::Receiver<Request>, head: &watch::Sender<u64>) {
        let (answered, answers) = flume::bounded(ANSWERS_AHEAD_MAX);
        std::thread::scope(|scope| {
            let answering = std::thread::Builder::new().name("log-answers".to_owned());
            if let Err(error) = answering.spawn_scoped(scope, || answers.into_iter().for_each(answer)) {
                tracing::warn!(error = %error, "no thread for the log's answers: its writer gives them all");
            }
            self.serve(requests, head, &answered);
            drop(answered);
        });
    }

    fn serve(&mut self, requests: &flume::Receiver<Request>, head: &watch::Sender<u64>, answered: &flume::Sender<Answered>) {
        loop {
            let first = match requests.recv_timeout(IDLE_AFTER) {
                Ok(first) => first,
                Err(flume::RecvTimeoutError::Timeout) => {
                    self.index_while_idle(requests);
                    let Ok(first) = requests.recv() else { break };
                    first
                }
                Err(flume::RecvTimeoutError::Disconnected) => break,
            };
            let group = collect(first, requests);
            metrics::histogram!("clipflow_log_batch_commits").record(group.len() as f64);
            let answers = match self.commit(&group) {
                Ok(answers) => answers,
                Err(error) => self.recover(&error, group.len()),
            };
            let next_position = self.extent.next_position;
            head.send_if_modified(|head| std::mem::replace(head, next_position) != next_position);
            if group.len() <= ANSWERED_BY_WRITER_MAX {
                answer((group, answers));
            } else if let Err(unsent) = answered.send((group, answers)) {
                answer(unsent.into_inner());
            }
        }
        self.index_while_idle(requests);
    }

    fn commit(&mut self, group: &[Request]) -> anyhow::Result<Vec<Answer>> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (answers, packer) = {
            let mut tail = tail::lock(self.indexer.tail());
            let version = data_version(&transaction)?;
            if version != self.data_version {
                self.extent = tail.catch_up(&transaction)?;
                self.heads.clear();
                self.ids = Ids::default();
                self.data_version = version;
            }
            if self.heads.len() > HEADS_MAX {
                self.heads.clear();
            }
            self.ids.learn(&transaction, &tail, self.extent)?;
            let Self { heads, ids, extent, .. } = self;
            let packer = Packer::new(*extent);
            let mut judge = Judge { connection: &transaction, tail: &tail, is_indexed: extent.indexed_below > 0, heads, ids, packer };
            let answers = group.iter().map(|request| judge.apply(&request.commit)).collect::<anyhow::Result<_>>()?;
            (answers, judge.packer)
        };
        self.extent = self.indexer.write(transaction, packer, self.extent)?;
        self.has_written = true;
        Ok(answers)
    }

    /// Brings the index up to date until there is something else to do, which makes the next start quick. Without it everything works the same.
    fn index_while_idle(&mut self, requests: &flume::Receiver<Request>) {
        // Who only reads leaves it to those who write.
        if !std::mem::take(&mut self.has_written) {
            return;
        }
        while requests.is_empty() {
            match self.indexer.write_idle(&mut self.connection) {
                Ok(Some(indexed_below)) => self.extent.indexed_below = indexed_below,
                Ok(None) => return,
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::warn!(error, "the log's index could not be written, what it lacks stays in memory");
                    return;
                }
            }
        }
    }

    /// Forgets what the failed transaction made us believe, and answers everybody who waited for it.
    fn recover(&mut self, error: &anyhow::Error, waiting: usize) -> Vec<Answer> {
        tracing::error!(error = format!("{error:#}"), waiting, "the log could not write");
        self.heads.clear();
        self.data_version = UNKNOWN;
        let is_full = disk::is_full(error);
        let answer = || {
            if is_full { AppendError::Full(LogFull) } else { AppendError::Unknown(anyhow::anyhow!("the log could not write: {error:#}")) }
        };
        (0..waiting).map(|_| Err(answer())).collect()
    }
}

fn answer((group, answers): Answered) {
    for (request, answer) in group.into_iter().zip(answers) {
        // The asker may have given up; the commit stands all the same.
        drop(request.reply.send(answer));
    }
}

/// Returns the first request and what waits behind it, up to a group.
fn collect(first: Request, requests: &flume::Receiver<Request>) -> Vec<Request> {
    let mut events = first.commit.events();
    let mut group = vec![first];
    while group.len() < GROUP_COMMITS_MAX && events < GROUP_EVENTS_MAX {
        let Ok(next) = requests.try_recv() else { break };
        events += next.commit.events();
        group.push(next);
    }
    group
}

/// Judges the commits of one transaction, and packs what it says.
struct Judge<'a> {
    connection: &'a Connection,
    tail: &'a Tail,
    /// The index has something.
    is_indexed: bool,
    heads: &'a mut HashMap<StreamKey, u64>,
    ids: &'a mut Ids,
    packer: Packer,
}

impl Judge<'_> {
    /// Packs one commit with its verdict.
    fn apply(&mut self, commit: &Commit) -> anyhow::Result<Answer> {
        let key = CommitKey { workspace: commit.workspace, id: commit.id };
        match self.verdict(key)? {
            Some(Verdict::Accepted(first)) => return Ok(Ok(first)),
            Some(Verdict::Rejected(conflict)) => return Ok(Err(conflict.into())),
            None => self.ids.add(key.id),
        }
        let mut streams = Vec::with_capacity(commit.streams.len());
        for StreamAppend { stream, expected, .. } in &commit.streams {
            let stream = StreamKey { workspace: commit.workspace, stream: stream.clone() };
            let actual = self.last_version(&stream)?;
            if !expected.accepts(actual) {
                let conflict = Conflict { stream: stream.stream, expected: *expected, actual };
                self.packer.reject(key, conflict.clone());
                return Ok(Err(conflict.into()));
            }
            streams.push((stream, actual.map_or(0, |last| last + 1)));
        }
        self.packer.begin(key, commit.events(), &commit.metadata);
        for (append, (stream, version)) in commit.streams.iter().zip(streams) {
            self.packer.section(&append.stream, version, append.events.iter().map(EventRef::from));
            self.heads.insert(stream, version + append.events.len() as u64 - 1);
        }
        Ok(Ok(self.packer.end()))
    }

    fn verdict(&mut self, key: CommitKey) -> anyhow::Result<Option<Verdict>> {
        let known = self.packer.verdict(&key).or_else(|| self.tail.commit(&key).map(|known| &known.verdict));
        match known {
            Some(verdict) => Ok(Some(verdict.clone())),
            None if !self.is_indexed || self.ids.is_new(key.id) => Ok(None),
            None => verdict_at(self.connection, &index::commit_places(self.connection, key.id)?, key),
        }
    }

    fn last_version(&mut self, stream: &StreamKey) -> anyhow::Result<Option<u64>> {
        if let Some(last) = self.heads.get(stream) {
            return Ok(Some(*last));
        }
        let last = match self.tail.last_version(stream) {
            Some(last) => Some(last),
            None => index::last_version(self.connection, stream)?,
        };
        if let Some(last) = last {
            self.heads.insert(stream.clone(), last);
        }
        Ok(last)
    }
}

/// Which commit ids there are, once that is worth knowing.
#[derive(Default)]
struct Ids {
    filter: Option<Filter>,
    lookups: u64,
}

impl Ids {
    /// Reads all ids when so many were looked up one by one that reading them will have cost little more.
    fn learn(&mut self, connection: &Connection, tail: &Tail, extent: Extent) -> anyhow::Result<()> {
        if self.filter.as_ref().is_some_and(Filter::is_full) {
            self.filter = None;
        }
        let is_worth_it = self.lookups * LOOKUP_COST > extent.next_position && extent.next_position < filter::IDS_MAX as u64;
        if self.filter.is_some() || !is_worth_it {
            return Ok(());
        }
        let mut filter = Filter::for_ids(usize::try_from(extent.next_position)?);
        tail.commit_ids().for_each(|id| filter.add(id));
        index::each_commit_id(connection, |id| filter.add(id))?;
        *self = Self { filter: Some(filter), lookups: 0 };
        Ok(())
    }

    fn add(&mut self, id: CommitId) {
        if let Some(filter) = &mut self.filter {
            filter.add(id);
        }
    }

    /// Tells whether an id was certainly never seen.
    fn is_new(&mut self, id: CommitId) -> bool {
        match &self.filter {
            Some(filter) => !filter.may_have(id),
            None => {
                self.lookups += 1;
                false
            }
        }
    }
}

impl<'a> From<&'a NewEvent> for EventRef<'a> {
    fn from(event: &'a NewEvent) -> Self {
        Self { id: event.id, event_type: &event.event_type, schema_version: event.schema_version, payload: &event.payload }
    }
}

fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}
