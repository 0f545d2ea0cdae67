//! Why a blob could not be kept or given; and which setting to look at when S3 says no.

use super::IN_MEMORY_BYTES_MAX;
use domain::blob::Digest;
use object_store::client::{HttpError, HttpErrorKind};
use std::io;
use thiserror::Error;

/// Why a blob could not be kept or given.
#[derive(Debug, Error)]
pub enum BlobError {
    /// There is none with this digest.
    #[error("blob {0} is missing")]
    Missing(Digest),
    /// What is stored is not what was put.
    #[error("blob {digest} is damaged: {problem}")]
    Damaged {
        /// Which.
        digest: Digest,
        /// What differs.
        problem: String,
    },
    /// The disk is full. Nothing was kept.
    #[error("the disk that holds the blobs is full: free some space and try again")]
    Full,
    /// The local cache of a remote store is full of files in use.
    #[error("{bytes} bytes do not fit into the blob cache beside what is in use: raise the setting cache_bytes_max, which is {bytes_max}")]
    NoRoom {
        /// What was to come in.
        bytes: u64,
        /// The cache's limit.
        bytes_max: u64,
    },
    /// More than [`IN_MEMORY_BYTES_MAX`].
    #[error("a blob of {bytes} bytes is too large to be read into memory, the limit is {IN_MEMORY_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// S3 cannot be used the way it is set up.
    #[error("{code}: {problem}: look at the setting {setting}")]
    Unusable {
        /// Stable, such as `S3_REFUSED`.
        code: &'static str,
        /// Which setting has to do with it.
        setting: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// The store failed.
    #[error("the blob store failed")]
    Store(#[source] anyhow::Error),
}

impl From<io::Error> for BlobError {
    fn from(error: io::Error) -> Self {
        if is_full(&error) { Self::Full } else { Self::Store(error.into()) }
    }
}

impl From<anyhow::Error> for BlobError {
    fn from(error: anyhow::Error) -> Self {
        if error.chain().filter_map(|cause| cause.downcast_ref()).any(is_full) { Self::Full } else { Self::Store(error) }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl BlobError {
    /// Returns why a setting cannot be used at all.
    pub(super) fn bad_setting(setting: &'static str, problem: impl Into<String>) -> Self {
        Self::Unusable { code: "S3_BAD_SETTING", setting, problem: problem.into() }
    }

    pub(super) fn damaged(digest: Digest, problem: impl Into<String>) -> Self {
        Self::Damaged { digest, problem: problem.into() }
    }
}

/// Returns what a failure that concerns one blob means.
pub(super) fn refused(digest: Digest, error: object_store::Error) -> BlobError {
    match (explain(&error), &error) {
        (Some(unusable), _) => unusable,
        (None, object_store::Error::NotFound { .. }) => BlobError::Missing(digest),
        (None, _) => BlobError::from(anyhow::Error::new(error)),
    }
}

/// Returns what a failure while `doing` something means.
pub(super) fn failed(doing: &'static str, error: object_store::Error) -> BlobError {
    explain(&error).unwrap_or_else(|| BlobError::from(anyhow::Error::new(error).context(doing)))
}

/// What S3 says, its code for it, and what that means here. The first that is found counts.
const ANSWERS: [(&str, &str, &str, &str); 13] = [
    ("NoSuchBucket", "S3_NO_BUCKET", "bucket", "there is no such bucket"),
    ("InvalidAccessKeyId", "S3_REFUSED", "credentials", "S3 does not know the access key"),
    // versitygw's word for it.
    ("XAdminUserNotFound", "S3_REFUSED", "credentials", "S3 does not know the access key"),
    ("SignatureDoesNotMatch", "S3_REFUSED", "credentials", "the secret key does not belong to the access key"),
    ("ExpiredToken", "S3_REFUSED", "credentials", "the session token has expired"),
    ("InvalidToken", "S3_REFUSED", "credentials", "the session token is not valid"),
    ("RequestTimeTooSkewed", "S3_REFUSED", "credentials", "this machine's clock differs from S3's by more than 15 minutes"),
    ("KMS.", "S3_REFUSED", "encryption", "S3 cannot use the key for encryption"),
    ("AccessDenied", "S3_REFUSED", "credentials", "these credentials may not do this: see the bucket's policy"),
    ("AuthorizationHeaderMalformed", "S3_REFUSED", "region", "the bucket is in another region"),
    ("PermanentRedirect", "S3_REFUSED", "region", "the bucket is in another region"),
    ("incorrectly configured region", "S3_REFUSED", "region", "the bucket is in another region"),
    // The address of a cloud machine's own identity: asked when no key was given.
    ("169.254.", "S3_REFUSED", "credentials", "there are no credentials, and this machine has no identity of its own"),
];

/// Returns which setting is to blame, if one is.
fn explain(error: &object_store::Error) -> Option<BlobError> {
    let text = error.to_string();
    let unusable = |code, setting, problem: &str| Some(BlobError::Unusable { code, setting, problem: problem.to_owned() });
    if let Some((_, code, setting, problem)) = ANSWERS.iter().find(|(answer, ..)| text.contains(answer)) {
        return unusable(code, setting, problem);
    }
    match error {
        // The answer to HEAD has no body that could say more.
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            unusable("S3_REFUSED", "credentials", "S3 refuses these credentials, or does not let them do this")
        }
        _ => match http_kind(error)? {
            HttpErrorKind::Connect => unusable("S3_UNREACHABLE", "endpoint", "no connection to S3 could be made"),
            HttpErrorKind::Timeout => unusable("S3_UNREACHABLE", "endpoint", "S3 does not answer in time"),
            _ => None,
        },
    }
}

/// Tells whether a connection failed, and not the request.
pub(super) fn is_broken_connection(error: &object_store::Error) -> bool {
    http_kind(error).is_some()
}

fn http_kind(error: &(dyn std::error::Error + 'static)) -> Option<HttpErrorKind> {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            return Some(http.kind());
        }
        at = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: (&str, &str)) {
        let error = object_store::Error::Generic { store: "S3", source: text.into() };
        match failed("testing", error) {
            BlobError::Unusable { code, setting, .. } => assert_eq!((code, setting), expected),
            other => panic!("{text}: {other}"),
        }
    }

    #[test]
    fn what_s3_says_leads_to_the_setting() {
        check("404: <Error><Code>NoSuchBucket</Code></Error>", ("S3_NO_BUCKET", "bucket"));
        check("403: <Error><Code>SignatureDoesNotMatch</Code></Error>", ("S3_REFUSED", "credentials"));
        check("400: <Code>AuthorizationHeaderMalformed</Code>", ("S3_REFUSED", "region"));
        check("Error performing PUT http://169.254.169.254/latest/api/token", ("S3_REFUSED", "credentials"));
        let other = object_store::Error::Generic { store: "S3", source: "500 InternalError".into() };
        assert!(matches!(failed("testing", other), BlobError::Store(_)));
    }

    #[test]
    fn a_refusal_without_words_is_still_a_refusal() {
        let error = object_store::Error::PermissionDenied { path: "x".into(), source: "403".into() };
        assert!(matches!(refused(Digest([0; 32]), error), BlobError::Unusable { code: "S3_REFUSED", .. }));
        let error = object_store::Error::NotFound { path: "x".into(), source: "404".into() };
        assert!(matches!(refused(Digest([0; 32]), error), BlobError::Missing(_)));
    }
}
