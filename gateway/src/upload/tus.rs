//! The protocol: headers in, headers out.

use super::receive::Checksum;
use super::store::{NewUpload, UPLOAD_BYTES_MAX, Upload, UploadId};
use crate::Gateway;
use crate::auth::Principal;
use crate::problem::Problem;
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;
use domain::Timestamp;
use std::sync::Arc;

const VERSION: &str = "1.0.0";
const EXTENSIONS: &str = "creation,creation-with-upload,expiration,checksum,termination,concatenation";
const ALGORITHMS: &str = "sha1,sha256";
const CHUNK: &str = "application/offset+octet-stream";

const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const TUS_VERSION: HeaderName = HeaderName::from_static("tus-version");
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const LENGTH: HeaderName = HeaderName::from_static("upload-length");
const EXPIRES: HeaderName = HeaderName::from_static("upload-expires");
const CONCAT: HeaderName = HeaderName::from_static("upload-concat");
const METADATA: HeaderName = HeaderName::from_static("upload-metadata");

pub(crate) fn routes() -> Router<Arc<Gateway>> {
    // The limit of an upload is its announced length, which is checked as it comes in.
    Router::new()
        .route("/files", any(collection))
        .route("/files/", any(collection))
        .route("/files/{id}", any(single))
        .route_layer(DefaultBodyLimit::disable())
        .route_layer(axum::middleware::from_fn(version))
}

/// Refuses other versions of the protocol, and puts ours on every answer.
async fn version(mut request: Request, next: Next) -> Response {
    // For clients behind proxies that know no PATCH.
    if let Some(method) = text(request.headers(), "x-http-method-override").and_then(|method| method.parse().ok())
        && request.method() == Method::POST
    {
        *request.method_mut() = method;
    }
    let is_ours = request.method() == Method::OPTIONS || text(request.headers(), "tus-resumable") == Some(VERSION);
    let mut response = if is_ours {
        next.run(request).await
    } else {
        let problem = Problem::new(StatusCode::PRECONDITION_FAILED, "BAD_TUS_VERSION", "send the header Tus-Resumable: 1.0.0");
        problem.with(TUS_VERSION, HeaderValue::from_static(VERSION)).into_response()
    };
    response.headers_mut().insert(RESUMABLE, HeaderValue::from_static(VERSION));
    response
}

async fn collection(State(gateway): State<Arc<Gateway>>, request: Request) -> Result<Response, Problem> {
    match *request.method() {
        Method::OPTIONS => Ok(options()),
        Method::POST => create(&gateway, request).await,
        _ => Err(not_allowed("OPTIONS, POST")),
    }
}

async fn single(State(gateway): State<Arc<Gateway>>, Path(id): Path<String>, request: Request) -> Result<Response, Problem> {
    if request.method() == Method::OPTIONS {
        return Ok(options());
    }
    let principal = gateway.auth.admit(request.method(), request.headers(), gateway.clock.now())?;
    let id = id.parse().map_err(|_| Problem::new(StatusCode::NOT_FOUND, "UPLOAD_NOT_FOUND", "there is no such upload"))?;
    match *request.method() {
        Method::HEAD => head(&gateway, &principal, id).await,
        Method::PATCH => patch(&gateway, &principal, id, request).await,
        Method::DELETE => {
            gateway.uploads.delete(principal.workspace, id, gateway.clock.now()).await?;
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        _ => Err(not_allowed("OPTIONS, HEAD, PATCH, DELETE")),
    }
}

fn options() -> Response {
    let headers = [
        (TUS_VERSION, VERSION.to_owned()),
        (HeaderName::from_static("tus-extension"), EXTENSIONS.to_owned()),
        (HeaderName::from_static("tus-checksum-algorithm"), ALGORITHMS.to_owned()),
        (HeaderName::from_static("tus-max-size"), UPLOAD_BYTES_MAX.to_string()),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

async fn create(gateway: &Gateway, request: Request) -> Result<Response, Problem> {
    let now = gateway.clock.now();
    let principal = gateway.auth.admit(request.method(), request.headers(), now)?;
    let (parts, body) = request.into_parts();
    let headers = &parts.headers;
    let concat = text(headers, "upload-concat").unwrap_or_default();
    let (file_name, media_type) = metadata(headers)?;
    let new = |bytes| NewUpload { bytes, file_name, media_type, is_partial: concat == "partial" };
    if let Some(urls) = concat.strip_prefix("final;") {
        let ids = urls.split_ascii_whitespace().map(part).collect::<Result<Vec<_>, _>>()?;
        let upload = gateway.uploads.join(&gateway.blobs, principal.workspace, ids, new(0), now).await?;
        return created(&upload, None);
    }
    let length = number(headers, &LENGTH)?.ok_or_else(|| bad("say how many bytes will come in the header Upload-Length"))?;
    let mut upload = gateway.uploads.create(principal.workspace, new(length), now).await?;
    let mut offset = 0;
    let has_bytes = text(headers, "content-type") == Some(CHUNK);
    if has_bytes || length == 0 {
        let (name, checksum) = ((principal.workspace, upload.id), checksum(headers)?);
        let body = if has_bytes { body } else { Body::empty() };
        (upload, offset) = gateway.uploads.append(&gateway.blobs, name, 0, body.into_data_stream(), checksum, now).await?;
    }
    created(&upload, has_bytes.then_some(offset))
}

fn created(upload: &Upload, offset: Option<u64>) -> Result<Response, Problem> {
    let mut headers = HeaderMap::new();
    headers.insert(header::LOCATION, value(&upload.path())?);
    headers.insert(EXPIRES, expiry(upload.expires)?);
    if let Some(offset) = offset {
        headers.insert(OFFSET, offset.into());
    }
    Ok((StatusCode::CREATED, headers).into_response())
}

async fn head(gateway: &Gateway, principal: &Principal, id: UploadId) -> Result<Response, Problem> {
    let (upload, offset) = gateway.uploads.get(principal.workspace, id, gateway.clock.now()).await?;
    let mut headers = HeaderMap::new();
    headers.insert(OFFSET, offset.into());
    headers.insert(LENGTH, upload.bytes.into());
    headers.insert(EXPIRES, expiry(upload.expires)?);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if !upload.file_name.is_empty() {
        headers.insert(METADATA, value(&format!("filename {}", STANDARD.encode(&upload.file_name)))?);
    }
    if upload.is_partial {
        headers.insert(CONCAT, HeaderValue::from_static("partial"));
    } else if !upload.joined.is_empty() {
        let parts: Vec<_> = upload.joined.iter().map(|part| format!("/files/{part}")).collect();
        headers.insert(CONCAT, value(&format!("final;{}", parts.join(" ")))?);
    }
    Ok((StatusCode::OK, headers).into_response())
}

async fn patch(gateway: &Gateway, principal: &Principal, id: UploadId, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let headers = &parts.headers;
    if text(headers, "content-type") != Some(CHUNK) {
        let message = format!("send the bytes as {CHUNK}");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message));
    }
    let offset = number(headers, &OFFSET)?.ok_or_else(|| bad("say where the bytes belong in the header Upload-Offset"))?;
    let (name, checksum, now) = ((principal.workspace, id), checksum(headers)?, gateway.clock.now());
    let (upload, offset) = gateway.uploads.append(&gateway.blobs, name, offset, body.into_data_stream(), checksum, now).await?;
    let mut headers = HeaderMap::new();
    headers.insert(OFFSET, offset.into());
    headers.insert(EXPIRES, expiry(upload.expires)?);
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

/// Returns the file name and type that the client gave.
fn metadata(headers: &HeaderMap) -> Result<(String, Option<String>), Problem> {
    let (mut name, mut media_type) = (String::new(), None);
    for pair in text(headers, "upload-metadata").unwrap_or_default().split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, encoded) = pair.split_once(' ').unwrap_or((pair, ""));
        let bytes = STANDARD.decode(encoded).map_err(|_| bad("Upload-Metadata holds pairs of a key and a value in Base64"))?;
        match key {
            "filename" | "name" if name.is_empty() => {
                name = String::from_utf8(bytes).map_err(|_| bad("the file name in Upload-Metadata is not UTF-8"))?;
            }
            "filetype" | "type" => media_type = String::from_utf8(bytes).ok(),
            _ => {}
        }
    }
    Ok((name, media_type))
}

fn checksum(headers: &HeaderMap) -> Result<Option<Checksum>, Problem> {
    let Some(given) = text(headers, "upload-checksum") else { return Ok(None) };
    let (algorithm, encoded) = given.split_once(' ').ok_or_else(|| bad("Upload-Checksum holds an algorithm and a value in Base64"))?;
    let value = STANDARD.decode(encoded.trim()).map_err(|_| bad("the value in Upload-Checksum is not Base64"))?;
    match algorithm {
        "sha1" => Ok(Some(Checksum::Sha1(value))),
        "sha256" => Ok(Some(Checksum::Sha256(value))),
        _ => Err(bad("use sha1 or sha256 in Upload-Checksum")),
    }
}

/// A part may be named by its path or by its whole address.
fn part(url: &str) -> Result<UploadId, Problem> {
    let id = url.rsplit_once("/files/").map(|(_, id)| id);
    id.and_then(|id| id.parse().ok()).ok_or_else(|| bad("Upload-Concat names parts by their addresses"))
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| bad("Upload-Length and Upload-Offset are whole numbers of bytes"))
}

fn expiry(at: Timestamp) -> Result<HeaderValue, Problem> {
    let date = i64::try_from(at.0).ok().and_then(DateTime::from_timestamp_micros).unwrap_or_default();
    value(&date.format("%a, %d %b %Y %H:%M:%S GMT").to_string())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn value(text: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(text).map_err(Problem::internal)
}

fn bad(message: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", message)
}

fn not_allowed(allowed: &'static str) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "this method means nothing here")
        .with(header::ALLOW, HeaderValue::from_static(allowed))
}
