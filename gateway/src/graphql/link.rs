//! Links to media: signed, so that a player needs no key, and expiring.

use super::Caller;
use crate::media;
use async_graphql::SimpleObject;
use chrono::{DateTime, Utc};
use domain::{BlobRef, Timestamp};

/// A file that can be fetched without a key for some hours. It answers range requests.
#[derive(SimpleObject)]
pub(crate) struct MediaLink {
    /// Path and query on this server. Ask again for a fresh one when it has expired.
    url: String,
    /// When the URL stops working.
    expires_at: DateTime<Utc>,
    /// IANA media type, such as `video/mp4`.
    media_type: String,
    /// Size in bytes.
    bytes: u64,
    /// SHA-256 of the bytes, 64 hexadecimal digits.
    sha256: String,
}

impl MediaLink {
    pub(crate) fn to(caller: Caller<'_>, blob: &BlobRef) -> Self {
        let (url, expires) = media::link(&caller.gateway.auth, caller.workspace(), blob, caller.gateway.clock.now());
        Self { url, expires_at: date(expires), media_type: blob.media_type.clone(), bytes: blob.bytes, sha256: blob.sha256.to_string() }
    }
}

/// Returns a moment as GraphQL shows it.
pub(crate) fn date(at: Timestamp) -> DateTime<Utc> {
    i64::try_from(at.0).ok().and_then(DateTime::from_timestamp_micros).unwrap_or_default()
}
