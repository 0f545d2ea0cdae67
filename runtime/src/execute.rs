//! From command to events: load the stream, fold it, decide, append; again when somebody else was faster.
//!
//! A [`Context`] is for one request: its commit id is accepted once, so that a repeat, by a client or by redelivery, appends nothing.

use crate::ids;
use crate::log::{AppendError, Appended, Commit, Conflict, Expected, Invalid, Log, LogFull, StreamAppend, Verdict};
use crate::retry::Backoff;
use crate::token::Token;
use anyhow::Context as _;
use domain::id::{CommitId, EventId, WorkspaceId};
use domain::{Decider, Timestamp};
use proto::{Encoded, Metadata, NewEvent, Recorded, StreamName, Wire};
use std::any::Any;
use std::collections::HashMap;
use std::error::Error as StdError;
use std::marker::PhantomData;
use std::time::Duration;
use thiserror::Error;
use uuid::Uuid;

/// Decisions in a row that may lose to other writers. Streams have few writers, so more than a few losses mean a loop.
pub const CONFLICTS_MAX: u32 = 8;

/// Times the same commit is sent while its outcome is unknown.
pub const SENDS_MAX: u32 = 5;

/// Events that one read of a stream asks for.
const PAGE_EVENTS: usize = 1_000;

/// Longest stream that is folded; the longest sensible one (a video edited every second of a day) is shorter.
const STREAM_EVENTS_MAX: usize = 100_000;

const CONFLICT_BACKOFF: Backoff = Backoff { first: Duration::from_millis(2), longest: Duration::from_millis(100) };
const SEND_BACKOFF: Backoff = Backoff { first: Duration::from_millis(50), longest: Duration::from_secs(2) };

/// Who asks for one commit, when and why. Not `Clone`: a second commit with the same id would be taken for a repeat of the first.
#[derive(Debug)]
pub struct Context {
    /// Accepted once; see [`ids`] for where it comes from.
    pub commit: CommitId,
    /// Where.
    pub workspace: WorkspaceId,
    /// Who: `owner`, `processor:transcribe`, …
    pub actor: String,
    /// The id shared by everything that one request set off.
    pub correlation: Uuid,
    /// The event behind it, when there is one.
    pub causation: Option<EventId>,
    /// The moment of deciding.
    pub now: Timestamp,
    /// W3C trace context, when tracing is on.
    pub traceparent: Option<String>,
}

impl Context {
    /// Returns the context of a request by a person or a program outside: its own correlation, no cause.
    #[must_use]
    pub fn request(commit: CommitId, workspace: WorkspaceId, actor: impl Into<String>, now: Timestamp) -> Self {
        let (actor, correlation) = (actor.into(), commit.0);
        Self { commit, workspace, actor, correlation, causation: None, now, traceparent: crate::telemetry::traceparent() }
    }
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The events that it caused, in order; none when what was asked for had happened already.
    pub events: Vec<EventId>,
    /// Give it to a query to see at least this.
    pub token: Token,
    /// The commit id was known: this is what the first request did.
    pub is_repeat: bool,
}

/// Why a command had no effect.
#[derive(Debug, Error)]
pub enum ExecuteError<E: StdError + 'static> {
    /// A rule refuses it.
    #[error(transparent)]
    Refused(E),
    /// Other writers were faster every time.
    #[error("gave up after {CONFLICTS_MAX} conflicts with other writers")]
    Conflict(#[source] Conflict),
    /// The disk is full; nothing was written.
    #[error("nothing was written: free some space")]
    Full(#[source] LogFull),
    /// The log failed.
    #[error("the log failed")]
    Log(#[source] anyhow::Error),
}

/// A refusal by any of a transaction's aggregates.
pub type AnyRefusal = Box<dyn StdError + Send + Sync>;

/// Why a transaction had no effect.
#[derive(Debug, Error)]
pub enum TransactError {
    /// A rule refuses one of its commands; downcast to the aggregate's error to see which.
    #[error("{0}")]
    Refused(AnyRefusal),
    /// Other writers were faster every time.
    #[error("gave up after {CONFLICTS_MAX} conflicts with other writers")]
    Conflict(#[source] Conflict),
    /// The disk is full; nothing was written.
    #[error("nothing was written: free some space")]
    Full(#[source] LogFull),
    /// The log failed.
    #[error("the log failed")]
    Log(#[source] anyhow::Error),
}

/// Gives `command` to aggregate `id` and appends what it decides.
///
/// # Errors
/// See [`ExecuteError`]; with [`ExecuteError::Log`] the outcome may be unknown, and the same request may be sent again.
pub async fn execute<D>(log: &impl Log, context: Context, id: Uuid, command: D::Command) -> Result<Receipt, ExecuteError<D::Error>>
where
    D: Wire + Send + 'static,
    D::Command: Clone + Send + Sync + 'static,
    D::Error: StdError + Send + Sync + 'static,
{
    match Transaction::new(log, context).then::<D>(id, command).commit().await {
        Ok(receipt) => Ok(receipt),
        Err(TransactError::Refused(refusal)) => {
            Err(ExecuteError::Refused(*refusal.downcast::<D::Error>().expect("the only command is D's")))
        }
        Err(TransactError::Conflict(conflict)) => Err(ExecuteError::Conflict(conflict)),
        Err(TransactError::Full(full)) => Err(ExecuteError::Full(full)),
        Err(TransactError::Log(error)) => Err(ExecuteError::Log(error)),
    }
}

/// Returns the present state of aggregate `id`, for showing; a decision belongs in a command.
///
/// # Errors
/// When the log cannot be read or holds bytes that are not what they say.
pub async fn load<D: Wire>(log: &impl Log, workspace: WorkspaceId, id: Uuid) -> anyhow::Result<D> {
    let events = read_all(log, workspace, &D::stream(id)).await?;
    fold(&events)
}

/// Commands to several aggregates of one workspace whose events are appended together, or not at all.
///
/// Commands are decided in order, each on the state that the ones before it left. A refusal of any refuses all.
#[must_use = "a transaction does nothing until it is committed"]
pub struct Transaction<'a, L> {
    log: &'a L,
    context: Context,
    steps: Vec<Box<dyn Step>>,
}

impl<'a, L: Log> Transaction<'a, L> {
    /// Returns an empty transaction.
    pub fn new(log: &'a L, context: Context) -> Self {
        Self { log, context, steps: Vec::new() }
    }

    /// Adds a command to aggregate `id`.
    pub fn then<D>(mut self, id: Uuid, command: D::Command) -> Self
    where
        D: Wire + Send + 'static,
        D::Command: Clone + Send + Sync + 'static,
        D::Error: StdError + Send + Sync + 'static,
    {
        self.steps.push(Box::new(Ask::<D> { stream: D::stream(id), command, aggregate: PhantomData }));
        self
    }

    /// Decides every command and appends what they decide, again from the start when another writer was faster.
    ///
    /// # Errors
    /// See [`TransactError`].
    pub async fn commit(self) -> Result<Receipt, TransactError> {
        let mut attempt = 0;
        loop {
            let commit = ids::attempt_commit(self.context.commit, attempt);
            match self.attempt(commit).await {
                Err(TransactError::Conflict(_)) if attempt + 1 < CONFLICTS_MAX => attempt += 1,
                done => return done,
            }
            tokio::time::sleep(CONFLICT_BACKOFF.after(attempt)).await;
        }
    }

    async fn attempt(&self, commit: CommitId) -> Result<Receipt, TransactError> {
        match self.log.verdict(self.context.workspace, commit).await.map_err(TransactError::Log)? {
            Some(Verdict::Accepted(first)) => return Ok(self.receipt(commit, first)),
            Some(Verdict::Rejected(conflict)) => return Err(TransactError::Conflict(conflict)),
            None => {}
        }
        let mut streams: HashMap<StreamName, Open> = HashMap::new();
        let mut order = Vec::new();
        for step in &self.steps {
            if !streams.contains_key(step.stream()) {
                let events = read_all(self.log, self.context.workspace, step.stream()).await.map_err(TransactError::Log)?;
                let expected = events.last().map_or(Expected::Empty, |last| Expected::Exact(last.version));
                let state = step.fold(&events).map_err(TransactError::Log)?;
                streams.insert(step.stream().clone(), Open { expected, state, decided: Vec::new() });
                order.push(step.stream().clone());
            }
            let open = streams.get_mut(step.stream()).expect("it was opened above");
            step.decide(open, self.context.now).map_err(TransactError::Refused)?;
        }
        let streams = order.into_iter().filter_map(|stream| streams.remove_entry(&stream)).filter(|(_, open)| !open.decided.is_empty());
        let streams = number(commit, streams);
        if streams.is_empty() {
            return self.nothing_new().await.map_err(TransactError::Log);
        }
        let commit = Commit { id: commit, workspace: self.context.workspace, streams, metadata: self.metadata() };
        Ok(self.receipt(commit.id, send(self.log, commit).await?))
    }

    /// Returns the receipt for a request that had been fulfilled already: its reader must see at least what we saw.
    async fn nothing_new(&self) -> anyhow::Result<Receipt> {
        let workspace = self.context.workspace;
        let head = self.log.head(self.log.partition(workspace)).await?;
        Ok(Receipt { events: Vec::new(), token: Token { workspace, position: head.checked_sub(1) }, is_repeat: false })
    }

    fn receipt(&self, commit: CommitId, appended: Appended) -> Receipt {
        let events = (appended.last_position - appended.first_position + 1) as usize;
        Receipt {
            events: (0..events).map(|index| ids::event(commit, index)).collect(),
            token: Token { workspace: self.context.workspace, position: Some(appended.last_position) },
            is_repeat: appended.is_repeat,
        }
    }

    fn metadata(&self) -> Metadata {
        let Context { actor, correlation, causation, now, traceparent, .. } = &self.context;
        Metadata { at: *now, actor: actor.clone(), correlation: *correlation, causation: *causation, traceparent: traceparent.clone() }
    }
}

/// Gives the events of a commit their ids, in order of appending.
fn number(commit: CommitId, streams: impl Iterator<Item = (StreamName, Open)>) -> Vec<StreamAppend> {
    let mut index = 0;
    let mut numbered = |Encoded { event_type, schema_version, payload }| {
        let id = ids::event(commit, index);
        index += 1;
        NewEvent { id, event_type: event_type.into(), schema_version, payload }
    };
    streams
        .map(|(stream, open)| {
            let events = open.decided.into_iter().map(&mut numbered).collect();
            StreamAppend { stream, expected: open.expected, events }
        })
        .collect()
}

/// Appends a commit; sends it again while its outcome is unknown, which the commit id makes safe.
async fn send(log: &impl Log, commit: Commit) -> Result<Appended, TransactError> {
    let mut sends = 0;
    loop {
        sends += 1;
        match log.append(commit.clone()).await {
            Ok(appended) => return Ok(appended),
            Err(AppendError::Conflict(conflict)) => return Err(TransactError::Conflict(conflict)),
            Err(AppendError::Full(full)) => return Err(TransactError::Full(full)),
            Err(AppendError::Invalid(invalid)) => return Err(TransactError::Log(Invalid::into(invalid))),
            Err(AppendError::Unknown(error)) if sends == SENDS_MAX => return Err(TransactError::Log(error)),
            Err(AppendError::Unknown(error)) => tracing::warn!(error = ?error, commit.id = %commit.id, "appending again"),
        }
        tokio::time::sleep(SEND_BACKOFF.after(sends)).await;
    }
}

async fn read_all(log: &impl Log, workspace: WorkspaceId, stream: &StreamName) -> anyhow::Result<Vec<Recorded>> {
    let mut events: Vec<Recorded> = Vec::new();
    loop {
        let page = log.read_stream(workspace, stream, events.len() as u64, PAGE_EVENTS).await;
        let page = page.with_context(|| format!("reading stream {stream}"))?;
        let is_last = page.len() < PAGE_EVENTS;
        events.extend(page);
        if is_last {
            return Ok(events);
        }
        anyhow::ensure!(events.len() < STREAM_EVENTS_MAX, "stream {stream} has more than {STREAM_EVENTS_MAX} events");
    }
}

fn fold<D: Wire>(events: &[Recorded]) -> anyhow::Result<D> {
    let mut state = D::default();
    for event in events {
        match D::recorded(event).with_context(|| format!("decoding event {}", event.id))? {
            Some(event) => state = state.evolve(&event),
            None => anyhow::bail!("stream {} holds a {} event, which this version does not know: upgrade", event.stream, event.event_type),
        }
    }
    Ok(state)
}

/// A stream that a transaction has read and may append to.
struct Open {
    expected: Expected,
    state: Box<dyn Any + Send>,
    decided: Vec<Encoded>,
}

/// A command with its aggregate's type forgotten.
trait Step: Send + Sync {
    fn stream(&self) -> &StreamName;
    fn fold(&self, events: &[Recorded]) -> anyhow::Result<Box<dyn Any + Send>>;
    fn decide(&self, open: &mut Open, now: Timestamp) -> Result<(), AnyRefusal>;
}

struct Ask<D: Decider> {
    stream: StreamName,
    command: D::Command,
    aggregate: PhantomData<fn() -> D>,
}

impl<D> Step for Ask<D>
where
    D: Wire + Send + 'static,
    D::Command: Clone + Send + Sync + 'static,
    D::Error: StdError + Send + Sync + 'static,
{
    fn stream(&self) -> &StreamName {
        &self.stream
    }

    fn fold(&self, events: &[Recorded]) -> anyhow::Result<Box<dyn Any + Send>> {
        Ok(Box::new(fold::<D>(events)?))
    }

    fn decide(&self, open: &mut Open, now: Timestamp) -> Result<(), AnyRefusal> {
        let state = open.state.downcast_mut::<D>().expect("a stream belongs to one aggregate type");
        for event in state.decide(self.command.clone(), now)? {
            open.decided.push(D::encode(&event));
            *state = std::mem::take(state).evolve(&event);
        }
        Ok(())
    }
}
