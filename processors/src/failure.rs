//! Tells failures that people must hear of from failures that another try may cure.

use domain::video::Failure;
use media::child::ChildError;
use runtime::blobs::BlobError;

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
        Self::Transient(error)
    }
}

impl From<BlobError> for Fault {
    fn from(error: BlobError) -> Self {
        Self::Transient(error.into())
    }
}

impl From<ChildError> for Fault {
    fn from(error: ChildError) -> Self {
        match error {
            ChildError::Refused { code, message } => Self::permanent(&code, message),
            // A file that exhausts its limits does so again; the limits are generous.
            ChildError::TimedOut(_) => Self::permanent("MEDIA_TOO_SLOW", error),
            ChildError::Killed(_) => Self::permanent("MEDIA_CRASHED", error),
            ChildError::Failed { .. } | ChildError::Cancelled | ChildError::Unusable(_) => Self::Transient(error.into()),
        }
    }
}

/// Says that nothing more is tried by itself.
pub(crate) fn gave_up(error: &anyhow::Error) -> Failure {
    Failure { code: "GAVE_UP".into(), reason: format!("it failed several times and can be tried again: {error:#}") }
}
