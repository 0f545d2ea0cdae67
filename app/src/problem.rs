//! What a person sees when something does not work: what happened, and what to do, with a stable code; never a stack trace.

use domain::video::Failure;
use runtime::disk;
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
        None if disk::is_full(error) => {
            eprintln!("error[DISK_FULL]: the disk is full: free some space, then run the same command again to go on ({error:#})");
        }
        None => eprintln!("error[INTERNAL]: {error:#}"),
    }
    ExitCode::FAILURE
}
