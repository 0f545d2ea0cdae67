//! The harness's end of a client process: questions go in, answers come out, and a death loses both.

use crate::history::{Entry, History};
use crate::talk::{Answer, Ask, Outcome, Question, Said};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::oneshot;

/// One client process, through all its lives.
pub(crate) struct Remote {
    history: Arc<History>,
    /// The highest token in any answer so far, of all clients: what a read must have seen to be linearizable. All read one partition.
    token: Arc<AtomicU64>,
    input: tokio::sync::Mutex<Option<ChildStdin>>,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Said>>>,
    next: AtomicU64,
}

impl Remote {
    pub(crate) fn new(history: Arc<History>, token: Arc<AtomicU64>) -> Self {
        Self { history, token, input: Default::default(), waiting: Mutex::default(), next: AtomicU64::new(0) }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Said>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Speaks to a process that has just started. What the one before it was asked is lost.
    pub(crate) async fn attach(self: &Arc<Self>, input: ChildStdin, output: ChildStdout) {
        *self.input.lock().await = Some(input);
        self.waiting().clear();
        let remote = self.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                // A process that is killed may leave half a line behind.
                if let Ok(answer) = serde_json::from_str(&line) {
                    remote.take(answer);
                }
            }
        });
    }

    fn take(&self, Answer { id, said, head }: Answer) {
        if let Said::Append { commit, outcome } = &said
            && *outcome != Outcome::Unknown
            && let Err(error) = self.history.write(&Entry::Verdict { commit: *commit, outcome })
        {
            self.history.tell(&format!("{error:#}"));
        }
        let Some(sender) = self.waiting().remove(&id) else { return };
        // Before the operation ends, so that whatever starts afterwards knows of it.
        self.token.fetch_max(head, Ordering::SeqCst);
        // Whoever lost patience is gone.
        drop(sender.send(said));
    }

    /// Asks; `None` when the process is not there, or dies before it answers.
    pub(crate) async fn ask(&self, ask: Ask) -> Option<Said> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        {
            let mut input = self.input.lock().await;
            let mut line = serde_json::to_vec(&Question { id, ask }).ok()?;
            line.push(b'\n');
            self.waiting().insert(id, sender);
            if input.as_mut()?.write_all(&line).await.is_err() {
                *input = None;
                self.waiting().remove(&id);
                return None;
            }
        }
        receiver.await.ok()
    }
}
