//! Where ids come from: fresh ones at the edge, derived ones for everything that must be the same when it is done again.

use domain::id::{CommitId, EventId, WorkspaceId};
use uuid::Uuid;

/// Returns a fresh, time-ordered id.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "the one place that makes fresh ids")]
pub fn fresh() -> Uuid {
    Uuid::now_v7()
}

/// Returns a fresh commit id, for a request that carries no idempotency key.
#[must_use]
pub fn fresh_commit() -> CommitId {
    CommitId(fresh())
}

/// Returns the commit id of a request with an idempotency key: the same key in the same workspace is the same commit.
#[must_use]
pub fn keyed_commit(workspace: WorkspaceId, key: &str) -> CommitId {
    CommitId(Uuid::new_v5(&workspace.0, format!("key/{key}").as_bytes()))
}

/// Returns the commit id of the outcome number `index` that consumer `name` draws from event `cause`.
#[must_use]
pub fn outcome_commit(cause: EventId, name: &str, index: u32) -> CommitId {
    CommitId(Uuid::new_v5(&cause.0, format!("{name}/{index}").as_bytes()))
}

/// Returns the commit id of try number `attempt` of a commit: a first verdict stands, so a new decision needs a new id.
#[must_use]
pub fn attempt_commit(commit: CommitId, attempt: u32) -> CommitId {
    if attempt == 0 { commit } else { CommitId(Uuid::new_v5(&commit.0, format!("attempt/{attempt}").as_bytes())) }
}

/// Returns the id of the event at `index` of a commit.
#[must_use]
pub fn event(commit: CommitId, index: usize) -> EventId {
    EventId(Uuid::new_v5(&commit.0, &(index as u64).to_be_bytes()))
}

/// Returns the id that a consumer may give to something new that it derives from `cause`, such as the clip number `index` of a video.
#[must_use]
pub fn derived(cause: EventId, name: &str, index: u32) -> Uuid {
    Uuid::new_v5(&cause.0, format!("new/{name}/{index}").as_bytes())
}
