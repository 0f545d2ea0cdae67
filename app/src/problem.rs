//! What a person sees when something does not work: what happened, and what to do, with a stable code; never a stack trace.

use domain::video::Failure;
use runtime::blobs::BlobError;
use std::io;
use std::process::ExitCode;
use thiserror::Error;

/// A problem that was foreseen.
#[derive(Debug, Error)]
#[error("{reason}")]
pub(crate) struct Problem {
    /// Stable code, such as `NO_SUCH_FILE`.
    pub(crate) code: String,
    /// One sentence with what to do.
    pub(crate) reason: String,
}

impl Problem {
    pub(crate) fn new(code: &str, reason: impl Into<String>) -> Self {
        Self { code: code.into(), reason: reason.into() }
    }
}

impl From<Failure> for Problem {
    fn from(Failure { code, reason }: Failure) -> Self {
        Self { code, reason }
    }
}

/// Writes a problem to stderr and returns the exit code 1. Code 2 is for a wrong command line.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref::<Problem>() {
        Some(problem) => eprintln!("error[{}]: {}", problem.code, problem.reason),
        None if is_disk_full(error) => {
            eprintln!("error[DISK_FULL]: the disk is full: free some space, then run the same command again to go on ({error:#})");
        }
        None => eprintln!("error[INTERNAL]: {error:#}"),
    }
    ExitCode::FAILURE
}

/// Tells whether a full disk is behind an error, whichever part met it.
fn is_disk_full(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
            || matches!(cause.downcast_ref(), Some(BlobError::Full))
            // SQLite has no error type of ours: this is its own text for a full disk.
            || cause.to_string() == "database or disk is full"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_other_errors_below_any_context() {
        let full = anyhow::Error::from(io::Error::from(io::ErrorKind::StorageFull)).context("writing a clip");
        assert!(is_disk_full(&full));
        assert!(is_disk_full(&anyhow::Error::from(BlobError::Full).context("keeping a blob")));
        assert!(is_disk_full(&anyhow::anyhow!("database or disk is full").context("opening the log")));
        assert!(!is_disk_full(&anyhow::Error::from(io::Error::from(io::ErrorKind::NotFound))));
    }
}
