//! Tells failures that people must hear of from failures that another try may cure.

use domain::video::Failure;
use media::child::ChildError;
use runtime::blobs::BlobError;
use runtime::dispatch::Failure as GaveUp;
use std::error::Error as StdError;
use std::fmt::Display;
use tokio::task::JoinError;

/// Why a stage did not get through.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Trying again gives the same: it becomes an event.
    Permanent(Failure),
    /// Trying again may work.
    Transient(anyhow::Error),
}

impl Fault {
    /// Returns a permanent fault.
    pub(crate) fn permanent(code: &str, reason: impl ToString) -> Self {
        Self::Permanent(Failure { code: code.into(), reason: reason.to_string() })
    }
}

impl From<anyhow::Error> for Fault {
    fn from(error: anyhow::Error) -> Self {
        let is_full = |cause: &(dyn StdError + 'static)| matches!(cause.downcast_ref(), Some(BlobError::Full));
        if error.chain().any(is_full) {
            return disk_full();
        }
        match error.chain().find_map(|cause| cause.downcast_ref::<JoinError>()) {
            Some(thread) if thread.is_panic() => Self::Permanent(panicked(thread)),
            _ => Self::Transient(error),
        }
    }
}

impl From<BlobError> for Fault {
    fn from(error: BlobError) -> Self {
        Self::from(anyhow::Error::from(error))
    }
}

/// What a media process says when it cannot write: the system's own words for `ENOSPC`.
const NO_SPACE: &str = "No space left on device";

/// A disk does not empty itself while a job waits, so it is said at once; the stage can be tried again.
fn disk_full() -> Fault {
    Fault::permanent("DISK_FULL", "the disk is full: free some space, then try again")
}

impl From<ChildError> for Fault {
    fn from(error: ChildError) -> Self {
        match error {
            ChildError::Refused { code, message } => Self::permanent(&code, message),
            // A file that exhausts its limits does so again; the limits are generous.
            ChildError::TimedOut(_) => Self::permanent("MEDIA_TOO_SLOW", error),
            ChildError::Killed(_) => Self::permanent("MEDIA_CRASHED", error),
            ChildError::Failed { message, .. } if message.contains(NO_SPACE) => disk_full(),
            ChildError::Failed { code, message } if code == "MISSING_PLUGIN" => Self::permanent(&code, message),
            ChildError::Failed { .. } | ChildError::Cancelled | ChildError::Unusable(_) => Self::Transient(error.into()),
        }
    }
}

/// Tells whether the machine is to blame and not the file: the same file may pass later.
pub(crate) fn is_of_the_machine(failure: &Failure) -> bool {
    matches!(failure.code.as_str(), "DISK_FULL" | "MISSING_PLUGIN" | "PANICKED")
}

/// Says that nothing more is tried by itself.
pub(crate) fn gave_up(failure: &GaveUp) -> Failure {
    match failure {
        GaveUp::Error(error) => {
            Failure { code: "GAVE_UP".into(), reason: format!("it failed several times and can be tried again: {error:#}") }
        }
        GaveUp::Panic(panic) => panicked(panic),
    }
}

fn panicked(panic: impl Display) -> Failure {
    let reason = format!("it met a bug in ClipFlow: try it again, and report this if it stays: {panic}");
    Failure { code: "PANICKED".into(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(fault: Fault) -> String {
        match fault {
            Fault::Permanent(failure) => failure.code,
            Fault::Transient(_) => "TRANSIENT".into(),
        }
    }

    #[test]
    fn a_full_disk_is_said_at_once_wherever_it_was_met() {
        let message = "writing the encoded picture: No space left on device (os error 28)".to_owned();
        assert_eq!(code(ChildError::Failed { code: "MEDIA".into(), message }.into()), "DISK_FULL");
        assert_eq!(code(BlobError::Full.into()), "DISK_FULL");
        assert_eq!(code(anyhow::Error::from(BlobError::Full).context("keeping words").into()), "DISK_FULL");
        assert_eq!(code(ChildError::Failed { code: "MEDIA".into(), message: "busy".into() }.into()), "TRANSIENT");
    }

    #[tokio::test]
    async fn a_panic_in_a_thread_of_its_own_is_not_tried_again() {
        let thread = tokio::task::spawn_blocking(|| panic!("an index is out of bounds")).await.expect_err("it panics");
        match Fault::from(anyhow::Error::from(thread).context("hearing")) {
            Fault::Permanent(failure) => {
                assert_eq!(failure.code, "PANICKED");
                assert!(failure.reason.contains("an index is out of bounds"), "{}", failure.reason);
                assert!(is_of_the_machine(&failure), "the file is not to blame");
            }
            Fault::Transient(error) => panic!("it would be tried again: {error:#}"),
        }
    }
}
