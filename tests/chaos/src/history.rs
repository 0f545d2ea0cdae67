//! What clients did and were told, and when: one JSON object a line, as `check/history.go` reads it.

use crate::talk::{Outcome, Part};
use anyhow::Context as _;
use domain::id::{CommitId, EventId, WorkspaceId};
use serde::Serialize;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Written when an operation has ended.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Entry<'a> {
    Append {
        client: usize,
        call: u64,
        r#return: u64,
        workspace: WorkspaceId,
        commit: CommitId,
        parts: &'a [Part],
        outcome: &'a Outcome,
    },
    Read {
        client: usize,
        call: u64,
        r#return: u64,
        /// Without a token: it may be stale, but never wrong, and never go back.
        is_local: bool,
        stream: &'a str,
        from: u64,
        events: &'a [EventId],
    },
    /// An answer to one try, also one that nobody waited for any more: all answers to a commit must agree.
    Verdict {
        commit: CommitId,
        outcome: &'a Outcome,
    },
}

/// The file, and the clock of the run.
pub(crate) struct History {
    file: Mutex<BufWriter<File>>,
    started: Instant,
}

impl History {
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self { file: Mutex::new(BufWriter::new(file)), started: Instant::now() })
    }

    /// Returns the nanoseconds since the run began; never less than before, in no process but this one.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    pub(crate) fn write(&self, entry: &Entry<'_>) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line).context("writing the history")
    }

    pub(crate) fn flush(&self) -> anyhow::Result<()> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).flush().context("writing the history")
    }

    /// Prints a line with the time before it.
    pub(crate) fn tell(&self, what: &str) {
        // Whoever closed our standard output does not want to know.
        drop(writeln!(std::io::stdout(), "{:7.1} s  {what}", self.started.elapsed().as_secs_f64()));
    }
}
