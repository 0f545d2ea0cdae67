//! Processes under test, and the one who starts them again when they end.

use crate::history::History;
use crate::remote::Remote;
use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How often it is looked whether a process has ended.
const WATCH_EVERY: Duration = Duration::from_millis(100);

/// Pause before a process that ended by itself is started again, as a service manager would.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// A process under test.
pub(crate) struct Part {
    pub(crate) name: String,
    program: PathBuf,
    arguments: Vec<OsString>,
    log: PathBuf,
    /// Of a client: its standard input and output.
    remote: Option<Arc<Remote>>,
    state: Mutex<State>,
    /// Times that it ended although nobody killed it.
    pub(crate) ended: AtomicU32,
}

#[derive(Default)]
struct State {
    child: Option<Child>,
    is_held_down: bool,
    not_before: Option<Instant>,
}

impl Part {
    pub(crate) fn new(name: &str, program: &Path, arguments: Vec<OsString>, folder: &Path, remote: Option<Arc<Remote>>) -> Arc<Self> {
        let (name, program, log) = (name.to_owned(), program.to_owned(), folder.join(format!("{name}.log")));
        Arc::new(Self { name, program, arguments, log, remote, state: Mutex::default(), ended: AtomicU32::new(0) })
    }

    /// Starts the process, and again whenever it ends, for as long as the harness lives.
    pub(crate) async fn watch(self: Arc<Self>, history: Arc<History>) -> anyhow::Result<()> {
        loop {
            let mut state = self.state.lock().await;
            let ended = match &mut state.child {
                Some(child) => child.try_wait().context("watching a process")?,
                None => None,
            };
            if let Some(status) = ended {
                state.child = None;
                state.not_before = Some(Instant::now() + RESTART_PAUSE);
                self.ended.fetch_add(1, Ordering::Relaxed);
                history.tell(&format!("{} ended by itself ({status}): {}", self.name, self.last_words()));
            }
            let may_start = !state.is_held_down && state.not_before.is_none_or(|at| at <= Instant::now());
            if state.child.is_none() && may_start {
                state.child = Some(self.start().await?);
            }
            drop(state);
            tokio::time::sleep(WATCH_EVERY).await;
        }
    }

    async fn start(&self) -> anyhow::Result<Child> {
        let log = File::options().create(true).append(true).open(&self.log).with_context(|| format!("opening {}", self.log.display()))?;
        let mut command = Command::new(&self.program);
        // Read models are where the arguments say, or else in the process's own folder, whatever else this machine has.
        command.args(&self.arguments).env_remove("CLIPFLOW_CQL_NODES").kill_on_drop(true).stderr(log.try_clone()?);
        match self.remote {
            Some(_) => command.stdin(Stdio::piped()).stdout(Stdio::piped()),
            None => command.stdin(Stdio::null()).stdout(log),
        };
        let mut child = command.spawn().with_context(|| format!("starting {}", self.name))?;
        if let (Some(remote), Some(input), Some(output)) = (&self.remote, child.stdin.take(), child.stdout.take()) {
            remote.attach(input, output).await;
        }
        Ok(child)
    }

    /// Kills it with a signal that it cannot hear coming, and keeps it down.
    pub(crate) async fn kill(&self) -> anyhow::Result<()> {
        let mut state = self.state.lock().await;
        state.is_held_down = true;
        if let Some(mut child) = state.child.take() {
            child.kill().await.with_context(|| format!("killing {}", self.name))?;
        }
        Ok(())
    }

    /// Deletes what it kept, as if it came back on another machine; it must have been killed.
    pub(crate) fn lose(&self, folder: &Path) -> anyhow::Result<()> {
        let own = folder.join(&self.name);
        std::fs::remove_dir_all(&own).with_context(|| format!("deleting what {} kept in {}", self.name, own.display()))
    }

    /// Lets it be started again.
    pub(crate) async fn revive(&self) {
        let mut state = self.state.lock().await;
        state.is_held_down = false;
        state.not_before = None;
    }

    /// Sends a signal, where there is a process to take it.
    pub(crate) async fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let state = self.state.lock().await;
        let pid = state.child.as_ref().and_then(Child::id).and_then(|id| Pid::from_raw(id.cast_signed()));
        match pid {
            // Not reaped yet, since we hold it: the number is still its own.
            Some(pid) => kill_process(pid, signal).with_context(|| format!("sending {signal:?} to {}", self.name)),
            None => Ok(()),
        }
    }

    /// Counts the lines of its log with this text.
    pub(crate) fn said(&self, text: &str) -> usize {
        self.log_text().lines().filter(|line| line.contains(text)).count()
    }

    fn log_text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    fn last_words(&self) -> String {
        self.log_text().lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no word").to_owned()
    }
}
