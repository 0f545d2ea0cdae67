//! Answers questions in a process of their own, which may be ended at any time and holds no more memory than it may.
//!
//! The engine counts what sorts, joins and groups hold, and gives way between batches; a single expression is neither counted nor
//! interrupted. So a question of somebody else's is asked of a child: the kernel limits its memory and processor time, and the parent its
//! time. A child has the place of the tables and the workspace in its request, and nothing else.

use super::{Answer, AsOf, Limits, QueryError, Reader};
use crate::place::{Lake, Settings};
use anyhow::Context as _;
use domain::id::WorkspaceId;
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use serde::{Deserialize, Serialize};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Private memory of a child beyond what its question may hold: its stacks, libraries, parquet pages and the answer.
const MEMORY_BESIDE_BYTES: u64 = 768 << 20;

/// Largest reply: an answer as JSON with its frame, and an eighth for escapes.
const REPLY_FACTOR: u64 = 2;

/// How much longer than its question a child may live: it starts, and opens the tables.
const GRACE: Duration = Duration::from_secs(5);

/// What an allocator says before it gives up.
const OUT_OF_MEMORY: &str = "memory allocation of";

/// Asks children. A clone is another handle.
#[derive(Clone)]
pub struct Asker {
    exe: PathBuf,
    /// The hidden subcommand that leads to [`serve`].
    subcommand: &'static str,
    settings: Settings,
    limits: Limits,
    turns: Arc<Semaphore>,
}

/// What travels to a child.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    settings: Settings,
    workspace: WorkspaceId,
    sql: String,
    as_of: Option<AsOf>,
    limits: Limits,
}

/// What travels back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Answer(Answer),
    Refused { code: String, reason: String },
    Failed(String),
}

impl Asker {
    /// Prepares to ask `exe SUBCOMMAND` about the tables at a place.
    #[must_use]
    pub fn new(exe: PathBuf, subcommand: &'static str, settings: Settings, limits: Limits) -> Self {
        Self { exe, subcommand, settings, limits, turns: Arc::new(Semaphore::new(limits.at_once)) }
    }

    /// Answers one statement from a workspace's rows.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub async fn query(&self, workspace: WorkspaceId, sql: String, as_of: Option<AsOf>) -> Result<Answer, QueryError> {
        let request = Request { settings: self.settings.clone(), workspace, sql, as_of, limits: self.limits };
        let limit = self.limits.time;
        timeout(limit + GRACE, self.ask(&request)).await.unwrap_or(Err(QueryError::TooSlow { limit }))
    }

    async fn ask(&self, request: &Request) -> Result<Answer, QueryError> {
        let _turn = self.turns.acquire().await.map_err(|_| QueryError::Interrupted)?;
        let mut command = Command::new(&self.exe);
        // Dropping it ends it: a caller who goes, or whose time is over, leaves nothing behind.
        command.arg(self.subcommand).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("starting a process for a question")?;
        let mut input = child.stdin.take().context("a child has a standard input")?;
        let bytes = serde_json::to_vec(request).context("writing a question")?;
        // One that died at once does not read; how it ended says more than the broken pipe.
        let _sent = input.write_all(&bytes).await;
        drop(input);
        let (mut reply, mut words) = (Vec::new(), Vec::new());
        let output = child.stdout.take().context("a child has a standard output")?;
        let errors = child.stderr.take().context("a child has a standard error")?;
        let reply_bytes_max = self.limits.answer_bytes as u64 * REPLY_FACTOR + (1 << 16);
        let (mut output, mut errors) = (output.take(reply_bytes_max), errors.take(1 << 14));
        let heard = tokio::try_join!(output.read_to_end(&mut reply), errors.read_to_end(&mut words));
        heard.context("hearing the answer to a question")?;
        let status = child.wait().await.context("waiting for a question's process")?;
        match serde_json::from_slice(&reply) {
            Ok(Reply::Answer(answer)) => Ok(answer),
            Ok(Reply::Refused { code, reason }) => Err(QueryError::Told { code, reason }),
            Ok(Reply::Failed(reason)) => Err(QueryError::Unavailable(anyhow::anyhow!(reason))),
            Err(_) if String::from_utf8_lossy(&words).contains(OUT_OF_MEMORY) => Err(QueryError::TooMuchMemory),
            Err(_) => {
                tracing::warn!(status = %status, words = %String::from_utf8_lossy(&words), "a question's process ended without an answer");
                Err(QueryError::Interrupted)
            }
        }
    }
}

/// Answers the one question that stands on standard input: the whole `main` of the hidden subcommand.
///
/// Call it before anything else starts threads.
#[must_use]
pub fn serve() -> ExitCode {
    let reply = answer().unwrap_or_else(|error| match error {
        QueryError::Unavailable(error) => Reply::Failed(format!("{error:#}")),
        refused => Reply::Refused { code: refused.code().to_owned(), reason: refused.to_string() },
    });
    let sent =
        serde_json::to_writer(std::io::stdout().lock(), &reply).map_err(std::io::Error::from).and_then(|()| std::io::stdout().flush());
    if sent.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn answer() -> Result<Reply, QueryError> {
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text).context("reading a question")?;
    let Request { settings, workspace, sql, as_of, limits } = serde_json::from_str(&text).context("reading a question")?;
    confine(limits).context("limiting a question's process")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting a question's thread")?;
    let lake = Lake::open(&settings)?;
    let answer = runtime.block_on(async { Reader::open(lake, limits)?.query(workspace, sql, as_of).await })?;
    Ok(Reply::Answer(answer))
}

fn confine(limits: Limits) -> std::io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let memory = limits.memory_bytes as u64 + MEMORY_BESIDE_BYTES;
    // Private writable memory rather than address space: libraries map far more than they touch.
    setrlimit(Resource::Data, Rlimit { current: Some(memory), maximum: Some(memory) })?;
    let processor_s = (limits.time + GRACE).as_secs() * 2;
    setrlimit(Resource::Cpu, Rlimit { current: Some(processor_s), maximum: Some(processor_s) })?;
    setrlimit(Resource::Fsize, Rlimit { current: Some(0), maximum: Some(0) })?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(())
}
