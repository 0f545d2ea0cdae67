//! Blobs over HTTP, behind signed and expiring links, with range requests. A link shows one blob of one workspace and nothing else.
//! Where blobs lie in S3, large ones are not carried through here: the link, once checked, leads on to an address that S3 answers itself.

use crate::Gateway;
use crate::auth::Auth;
use crate::problem::Problem;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::blob::Digest;
use domain::id::WorkspaceId;
use domain::{BlobRef, Timestamp};
use runtime::blobs::BlobError;
use serde::Deserialize;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use url::form_urlencoded::Serializer;

/// How long a link works, in seconds: a working day with the page open.
pub const LINK_SECONDS: u64 = 8 * 3_600;

/// Links made within one such step are the same, so that a browser's cache is of use.
const LINK_STEP_SECONDS: u64 = 3_600;

/// From here on a blob is fetched from S3 itself. Smaller ones (subtitles, decisions, posters) are answered faster than redirected, and a page's
/// scripts may read them without a rule in the bucket that lets them.
const REDIRECT_BYTES_MIN: u64 = 1 << 20;

/// Longest time for which an address at S3 works, in seconds; never longer than the link that led there.
const REDIRECT_SECONDS_MAX: u64 = LINK_SECONDS;

/// How long a browser may go to S3 without asking here, in seconds. Shorter than the address works by far, so that a film has time to play.
const REDIRECT_KEPT_SECONDS: u64 = 600;

/// What a link says besides the digest.
#[derive(Debug, Deserialize)]
pub(crate) struct Link {
    workspace: WorkspaceId,
    bytes: u64,
    r#type: String,
    exp: u64,
    sig: String,
}

/// Returns the path and query under which a blob can be fetched, and until when.
#[must_use]
pub fn link(auth: &Auth, workspace: WorkspaceId, blob: &BlobRef, now: Timestamp) -> (String, Timestamp) {
    let step = 1_000_000 * LINK_STEP_SECONDS;
    let expires = Timestamp(now.0 / step * step).plus_seconds(LINK_STEP_SECONDS + LINK_SECONDS);
    let exp = expires.0 / 1_000_000;
    let query = Serializer::new(String::new())
        .append_pair("workspace", &workspace.to_string())
        .append_pair("bytes", &blob.bytes.to_string())
        .append_pair("type", &blob.media_type)
        .append_pair("exp", &exp.to_string())
        .append_pair("sig", &auth.sign(&signed_text(workspace, blob, exp)))
        .finish();
    (format!("/media/{}?{query}", blob.sha256), expires)
}

fn signed_text(workspace: WorkspaceId, blob: &BlobRef, exp: u64) -> String {
    format!("media\n{workspace}\n{}\n{}\n{}\n{exp}", blob.sha256, blob.bytes, blob.media_type)
}

pub(crate) async fn serve(
    State(gateway): State<Arc<Gateway>>,
    Path(sha256): Path<Digest>,
    Query(link): Query<Link>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let blob = BlobRef { sha256, bytes: link.bytes, media_type: link.r#type };
    if !gateway.auth.is_signed(&signed_text(link.workspace, &blob, link.exp), &link.sig) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "BAD_SIGNATURE", "this link was not made here, or was changed"));
    }
    let now = gateway.clock.now().0 / 1_000_000;
    if now >= link.exp {
        return Err(Problem::new(StatusCode::GONE, "LINK_EXPIRED", "this link has expired; ask for a fresh one"));
    }
    let tag = format!("\"{sha256}\"");
    let mut answer = HeaderMap::new();
    answer.insert(header::ETAG, value(&tag)?);
    answer.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    answer.insert(header::CACHE_CONTROL, value(&format!("private, max-age={}, immutable", link.exp - now))?);
    if text(&headers, header::IF_NONE_MATCH)
        .is_some_and(|tags| tags.split(',').any(|found| matches!(found.trim(), "*") || found.trim() == tag))
    {
        return Ok((StatusCode::NOT_MODIFIED, answer).into_response());
    }
    answer.insert(header::CONTENT_TYPE, value(&blob.media_type)?);
    let (status, range) = match wanted(&headers, &tag, blob.bytes) {
        Wanted::All => (StatusCode::OK, 0..blob.bytes),
        Wanted::Part(range) => {
            answer.insert(header::CONTENT_RANGE, value(&format!("bytes {}-{}/{}", range.start, range.end - 1, blob.bytes))?);
            (StatusCode::PARTIAL_CONTENT, range)
        }
        Wanted::Outside => {
            let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "BAD_RANGE", "the range lies outside the file");
            return Err(problem.with(header::CONTENT_RANGE, value(&format!("bytes */{}", blob.bytes))?));
        }
    };
    answer.insert(header::CONTENT_LENGTH, range.end.saturating_sub(range.start).into());
    if !gateway.blobs.contains(&blob).await.map_err(Problem::internal)? {
        return Err(Problem::new(StatusCode::NOT_FOUND, "NOT_FOUND", "the file is gone"));
    }
    // An address is signed for one method, and HEAD is answered at once.
    if method == Method::GET
        && blob.bytes >= REDIRECT_BYTES_MIN
        && let Some(redirect) = redirect(&gateway, &blob, link.exp - now).await?
    {
        return Ok(redirect);
    }
    let body = if method == Method::HEAD || range.is_empty() { Body::empty() } else { stream(&gateway, &blob, range).await? };
    Ok((status, answer, body).into_response())
}

/// Returns the way to S3, when blobs lie there. The browser sends its `Range` again.
async fn redirect(gateway: &Gateway, blob: &BlobRef, seconds: u64) -> Result<Option<Response>, Problem> {
    let lasts = Duration::from_secs(seconds.min(REDIRECT_SECONDS_MAX));
    let Some(url) = gateway.blobs.direct_link(blob, lasts).await.map_err(Problem::internal)? else { return Ok(None) };
    let kept = seconds.min(REDIRECT_KEPT_SECONDS);
    let headers = [(header::LOCATION, value(url.as_str())?), (header::CACHE_CONTROL, value(&format!("private, max-age={kept}"))?)];
    Ok(Some((StatusCode::TEMPORARY_REDIRECT, headers).into_response()))
}

async fn stream(gateway: &Gateway, blob: &BlobRef, range: Range<u64>) -> Result<Body, Problem> {
    match gateway.blobs.open_range(blob, range).await {
        Ok(bytes) => Ok(Body::from_stream(bytes)),
        Err(BlobError::Missing(_)) => Err(Problem::new(StatusCode::NOT_FOUND, "NOT_FOUND", "the file is gone")),
        Err(error) => Err(Problem::internal(error)),
    }
}

/// What a request wants of a file.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Part(Range<u64>),
    Outside,
}

/// Several ranges at once are answered with the whole file, as the standard allows.
fn wanted(headers: &HeaderMap, tag: &str, bytes: u64) -> Wanted {
    let Some(range) = text(headers, header::RANGE) else { return Wanted::All };
    if text(headers, header::IF_RANGE).is_some_and(|condition| condition.trim() != tag) {
        return Wanted::All;
    }
    let Some((first, last)) = range.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-')) else { return Wanted::All };
    let (first, last) = (first.trim(), last.trim());
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(bytes),
        (Ok(first), Err(_)) if last.is_empty() => first..bytes,
        (Err(_), Ok(suffix)) if first.is_empty() => bytes.saturating_sub(suffix)..bytes,
        _ => return Wanted::All,
    };
    if range.is_empty() { Wanted::Outside } else { Wanted::Part(range) }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn value(text: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(text).map_err(Problem::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(range: &str, expected: Wanted) {
        let headers = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_str(range).expect("printable"))]);
        assert_eq!(wanted(&headers, "\"x\"", 100), expected, "{range}");
    }

    #[test]
    fn a_range_is_read_as_the_standard_says() {
        check("bytes=0-9", Wanted::Part(0..10));
        check("bytes=90-", Wanted::Part(90..100));
        check("bytes=90-1000", Wanted::Part(90..100));
        check("bytes=-10", Wanted::Part(90..100));
        check("bytes=-1000", Wanted::Part(0..100));
        check("bytes=100-", Wanted::Outside);
        check("bytes=-0", Wanted::Outside);
        check("bytes=9-8", Wanted::All);
        check("bytes=0-1,5-6", Wanted::All);
        check("lines=0-9", Wanted::All);
        check("bytes=a-b", Wanted::All);
        check("bytes=18446744073709551615-18446744073709551615", Wanted::Outside);
    }

    #[test]
    fn a_condition_that_does_not_hold_gives_the_whole_file() {
        let mut headers = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static("bytes=0-9"))]);
        headers.insert(header::IF_RANGE, HeaderValue::from_static("\"x\""));
        assert_eq!(wanted(&headers, "\"x\"", 100), Wanted::Part(0..10));
        assert_eq!(wanted(&headers, "\"y\"", 100), Wanted::All);
    }
}
