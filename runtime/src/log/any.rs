//! The log that a configuration chose, as one type.

use super::kafka::KafkaLog;
use super::sqlite::SqliteLog;
use super::{AppendError, Appended, Commit, Filter, Log, Partition, Reading, Verdict};
use domain::id::{CommitId, WorkspaceId};
use proto::{Recorded, StreamName};

/// One of the durable adapters.
#[derive(Clone)]
pub enum AnyLog {
    /// In a file of this machine.
    Sqlite(SqliteLog),
    /// On brokers.
    Kafka(KafkaLog),
}

/// Calls the same on whichever it is.
macro_rules! either {
    ($log:expr, $adapter:ident => $call:expr) => {
        match $log {
            AnyLog::Sqlite($adapter) => $call,
            AnyLog::Kafka($adapter) => $call,
        }
    };
}

impl Log for AnyLog {
    async fn append(&self, commit: Commit) -> Result<Appended, AppendError> {
        either!(self, log => log.append(commit).await)
    }

    async fn verdict(&self, workspace: WorkspaceId, commit: CommitId) -> anyhow::Result<Option<Verdict>> {
        either!(self, log => log.verdict(workspace, commit).await)
    }

    async fn read_stream(
        &self,
        workspace: WorkspaceId,
        stream: &StreamName,
        from_version: u64,
        limit: usize,
    ) -> anyhow::Result<Vec<Recorded>> {
        either!(self, log => log.read_stream(workspace, stream, from_version, limit).await)
    }

    fn read(&self, partition: Partition, from: u64, filter: Filter) -> Reading {
        either!(self, log => log.read(partition, from, filter))
    }

    async fn head(&self, partition: Partition) -> anyhow::Result<u64> {
        either!(self, log => log.head(partition).await)
    }

    fn partition(&self, workspace: WorkspaceId) -> Partition {
        either!(self, log => log.partition(workspace))
    }

    fn partitions(&self) -> Vec<Partition> {
        either!(self, log => log.partitions())
    }
}
