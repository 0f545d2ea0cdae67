//! Tells a full disk from other troubles, whichever part met it.

use crate::blobs::BlobError;
use crate::log::LogFull;
use rusqlite::ErrorCode;
use std::io;

/// Tells whether a full disk is behind an error.
#[must_use]
pub fn is_full(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let code = cause.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code);
        matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
            || code == Some(ErrorCode::DiskFull)
            || cause.is::<LogFull>()
            || matches!(cause.downcast_ref(), Some(BlobError::Full))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::TransactError;

    #[test]
    fn a_full_disk_is_told_from_other_errors_below_any_context() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert!(is_full(&anyhow::Error::from(full).context("writing a clip")));
        assert!(is_full(&anyhow::Error::from(BlobError::Full).context("keeping a blob")));
        assert!(is_full(&anyhow::Error::from(TransactError::Full(LogFull)).context("committing")));
        let full = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL), None);
        assert!(is_full(&anyhow::Error::from(full).context("opening the log")));
        assert!(!is_full(&anyhow::Error::from(io::Error::from(io::ErrorKind::NotFound))));
    }
}
