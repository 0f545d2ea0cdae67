//! One download over as many connections as it takes.

use super::{FetchError, Limits, RequestError, get};
use crate::blobs::BlobError;
use crate::retry::Backoff;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE};
use reqwest::{Response, StatusCode};
use std::path::Path;
use std::time::Duration;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};
use url::Url;

/// Connections in a row that may fail without bringing a byte.
const FAILURES_MAX: u32 = 5;

const BACKOFF: Backoff = Backoff { first: Duration::from_millis(200), longest: Duration::from_secs(10) };

/// What a file holds before its download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing that counts.
    Fresh,
    /// The beginning of the same content; the caller checks the whole afterwards.
    Resume,
}

pub(crate) struct Transferred {
    pub(crate) bytes: u64,
    pub(crate) media_type: Option<String>,
    pub(crate) url: Url,
}

struct Transfer<'a, P> {
    limits: &'a Limits,
    on_progress: P,
    file: File,
    bytes: u64,
    /// Tells the server which content we have the beginning of.
    validator: Option<HeaderValue>,
    /// Whether the beginning may be kept without a validator.
    trusts_beginning: bool,
}

/// How one connection ended.
enum End {
    Whole(Transferred),
    Broken(String),
}

pub(super) async fn run(
    url: &Url,
    path: &Path,
    start: Start,
    limits: &Limits,
    on_progress: impl FnMut(u64, Option<u64>) + Send,
) -> Result<Transferred, FetchError> {
    let open = OpenOptions::new().create(true).write(true).truncate(start == Start::Fresh).open(path).await;
    let mut file = open.map_err(BlobError::from)?;
    let bytes = file.seek(std::io::SeekFrom::End(0)).await.map_err(BlobError::from)?;
    let trusts_beginning = start == Start::Resume;
    let mut transfer = Transfer { limits, on_progress, file, bytes, validator: None, trusts_beginning };
    let mut failures = 0;
    loop {
        let before = transfer.bytes;
        let problem = match transfer.connect(url).await? {
            End::Whole(transferred) => return Ok(transferred),
            End::Broken(problem) => problem,
        };
        failures = if transfer.bytes > before { 1 } else { failures + 1 };
        tracing::info!(url.host = url.host_str(), bytes = transfer.bytes, failures, problem, "a download broke off, going on");
        if failures >= FAILURES_MAX {
            let host = url.host_str().unwrap_or_default().to_owned();
            return Err(FetchError::Broken { host, bytes: transfer.bytes, problem });
        }
        tokio::time::sleep(BACKOFF.after(failures)).await;
    }
}

impl<P: FnMut(u64, Option<u64>) + Send> Transfer<'_, P> {
    async fn connect(&mut self, url: &Url) -> Result<End, FetchError> {
        let response = match get(url, &self.request_headers(), self.limits).await {
            Ok(response) => response,
            Err(RequestError::Final(error)) => return Err(error),
            Err(RequestError::Network(error)) => return Ok(End::Broken(chain(&error))),
        };
        let status = response.status();
        if status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS) {
            return Ok(End::Broken(format!("status {}", status.as_u16())));
        }
        if status == StatusCode::RANGE_NOT_SATISFIABLE && self.bytes > 0 {
            // What we have is longer than what is there: begin again.
            self.restart().await?;
            return Ok(End::Broken("the content has changed".to_owned()));
        }
        if !status.is_success() {
            return Err(FetchError::Status { url: url.to_string(), status: status.as_u16() });
        }
        if status == StatusCode::PARTIAL_CONTENT && range_start(&response) != Some(self.bytes) {
            self.restart().await?;
            return Ok(End::Broken("the server sent another part than was asked for".to_owned()));
        }
        if status != StatusCode::PARTIAL_CONTENT {
            self.restart().await?;
        }
        self.validator = validator(response.headers());
        self.receive(response).await
    }

    fn request_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
        if self.bytes == 0 || (self.validator.is_none() && !self.trusts_beginning) {
            return headers;
        }
        headers.insert(RANGE, HeaderValue::from_str(&format!("bytes={}-", self.bytes)).expect("digits are a header value"));
        if let Some(validator) = &self.validator {
            headers.insert(IF_RANGE, validator.clone());
        }
        headers
    }

    async fn receive(&mut self, mut response: Response) -> Result<End, FetchError> {
        let total = response.content_length().map(|rest| rest + self.bytes);
        self.check_size(total.unwrap_or(0))?;
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    self.check_size(self.bytes + chunk.len() as u64)?;
                    self.file.write_all(&chunk).await.map_err(BlobError::from)?;
                    self.bytes += chunk.len() as u64;
                    (self.on_progress)(self.bytes, total);
                }
                Ok(None) => break,
                Err(error) => {
                    self.file.flush().await.map_err(BlobError::from)?;
                    return Ok(End::Broken(chain(&error)));
                }
            }
        }
        self.file.sync_all().await.map_err(BlobError::from)?;
        let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(End::Whole(Transferred { bytes: self.bytes, media_type, url: response.url().clone() }))
    }

    fn check_size(&self, bytes: u64) -> Result<(), FetchError> {
        let bytes_max = self.limits.bytes_max;
        if bytes > bytes_max { Err(FetchError::TooLarge { bytes_max }) } else { Ok(()) }
    }

    async fn restart(&mut self) -> Result<(), FetchError> {
        if self.bytes > 0 {
            self.file.set_len(0).await.map_err(BlobError::from)?;
            self.file.rewind().await.map_err(BlobError::from)?;
            self.bytes = 0;
        }
        Ok(())
    }
}

/// Returns what tells this content from another at the same address; a weak ETag does not.
fn validator(headers: &HeaderMap) -> Option<HeaderValue> {
    let strong = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
    strong.or_else(|| headers.get(LAST_MODIFIED)).cloned()
}

/// Returns where a partial response begins: `bytes 100-199/200`.
fn range_start(response: &Response) -> Option<u64> {
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

/// Returns an error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
