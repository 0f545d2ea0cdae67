//! Downloads from addresses that somebody else chose.
//!
//! The name is resolved here, every address is checked, and the connection is pinned to what was checked, again at each redirect; so neither
//! a redirect nor a name that changes its mind leads into our own network. Nothing here looks at what it downloads.

mod address;
mod transfer;

pub use address::is_public;
pub use transfer::Start;

use crate::blobs::{BlobError, Blobs, Scratch};
use reqwest::Method;
use reqwest::header::{HeaderMap, LOCATION};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use thiserror::Error;
use url::Url;

/// Redirects that are followed; browsers follow 20, but honest downloads need two or three.
pub const REDIRECTS_MAX: usize = 5;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

const USER_AGENT: &str = concat!("clipflow/", env!("CARGO_PKG_VERSION"));

/// Where requests may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// The public internet: for addresses that users give.
    #[default]
    Public,
    /// Also these addresses, which the operator named.
    PublicAnd(Vec<SocketAddr>),
    /// Anywhere: for addresses that the operator configured.
    Anywhere,
}

/// What a download may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Where requests may go.
    pub reach: Reach,
    /// Most bytes.
    pub bytes_max: u64,
    /// Longest time for everything.
    pub duration_max: Duration,
    /// Longest time without a byte before the connection is given up and made anew.
    pub stall_max: Duration,
}

impl Default for Limits {
    /// For a video that a user names: 32 GiB is six hours at 12 Mbps.
    fn default() -> Self {
        Self {
            reach: Reach::Public,
            bytes_max: 32 << 30,
            duration_max: Duration::from_secs(6 * 60 * 60),
            stall_max: Duration::from_secs(30),
        }
    }
}

/// Why there is no download.
#[derive(Debug, Error)]
pub enum FetchError {
    /// Not an address at all.
    #[error("{url:?} is not a web address")]
    NotAUrl {
        /// What was given, cut to 200 characters.
        url: String,
    },
    /// An address that we do not fetch from.
    #[error("{url} is refused: {reason}")]
    Refused {
        /// Which; after redirects not the one that was given.
        url: String,
        /// Why, for people.
        reason: String,
    },
    /// More than [`REDIRECTS_MAX`].
    #[error("{url} redirects more than {REDIRECTS_MAX} times")]
    TooManyRedirects {
        /// What was given.
        url: String,
    },
    /// The server said no.
    #[error("{url} answered with status {status}")]
    Status {
        /// Which.
        url: String,
        /// An HTTP status.
        status: u16,
    },
    /// See [`Limits::bytes_max`].
    #[error("the download is larger than {bytes_max} bytes")]
    TooLarge {
        /// The limit.
        bytes_max: u64,
    },
    /// See [`Limits::duration_max`].
    #[error("the download took longer than {} s", duration_max.as_secs())]
    TooSlow {
        /// The limit.
        duration_max: Duration,
    },
    /// The connection failed again and again.
    #[error("the connection to {host} kept failing, {bytes} bytes had arrived: {problem}")]
    Broken {
        /// Which.
        host: String,
        /// How far it came.
        bytes: u64,
        /// The last failure.
        problem: String,
    },
    /// It could not be kept here.
    #[error(transparent)]
    Keep(#[from] BlobError),
}

/// A finished download.
#[derive(Debug)]
pub struct Fetched {
    /// Where it lies; deleted when dropped, unless it was taken.
    pub file: Scratch,
    /// Its size.
    pub bytes: u64,
    /// What the server says it is; do not believe it.
    pub media_type: Option<String>,
    /// Where it came from, after redirects.
    pub url: Url,
}

/// Downloads `url` beside the blobs; `on_progress` is told bytes so far and, when known, in all.
///
/// # Errors
/// See [`FetchError`].
pub async fn fetch(
    url: &str,
    blobs: &Blobs,
    limits: &Limits,
    on_progress: impl FnMut(u64, Option<u64>) + Send,
) -> Result<Fetched, FetchError> {
    let url: Url = url.parse().map_err(|_| FetchError::NotAUrl { url: url.chars().take(200).collect() })?;
    let file = blobs.scratch()?;
    let transferred = download(&url, &file.path, Start::Fresh, limits, on_progress).await?;
    Ok(Fetched { file, bytes: transferred.bytes, media_type: transferred.media_type, url: transferred.url })
}

/// Downloads `url` into the file at `path`, and goes on where a broken connection stopped.
pub(crate) async fn download(
    url: &Url,
    path: &Path,
    start: Start,
    limits: &Limits,
    on_progress: impl FnMut(u64, Option<u64>) + Send,
) -> Result<transfer::Transferred, FetchError> {
    let transfer = transfer::run(url, path, start, limits, on_progress);
    let too_slow = |_| FetchError::TooSlow { duration_max: limits.duration_max };
    tokio::time::timeout(limits.duration_max, transfer).await.map_err(too_slow)?
}

/// Why one request did not lead to an answer.
pub(crate) enum RequestError {
    /// Trying again is no use.
    Final(FetchError),
    /// The network failed.
    Network(reqwest::Error),
}

impl From<FetchError> for RequestError {
    fn from(error: FetchError) -> Self {
        Self::Final(error)
    }
}

/// Sends one request to a checked address and follows no redirect.
pub(crate) async fn send(method: Method, url: &Url, headers: HeaderMap, limits: &Limits) -> Result<reqwest::Response, RequestError> {
    let addresses = address::resolve(url, &limits.reach).await?;
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(limits.stall_max)
        .resolve_to_addrs(url.host_str().unwrap_or_default(), &addresses)
        .build()
        .map_err(RequestError::Network)?;
    client.request(method, url.clone()).headers(headers).send().await.map_err(RequestError::Network)
}

/// Sends a GET and follows redirects, each to an address that is checked anew.
async fn get(url: &Url, headers: &HeaderMap, limits: &Limits) -> Result<reqwest::Response, RequestError> {
    let mut at = url.clone();
    for _ in 0..=REDIRECTS_MAX {
        let response = send(Method::GET, &at, headers.clone(), limits).await?;
        match redirect(&at, &response)? {
            Some(next) => at = next,
            None => return Ok(response),
        }
    }
    Err(FetchError::TooManyRedirects { url: url.to_string() }.into())
}

/// Returns where a response sends its reader, when it does.
pub(crate) fn redirect(from: &Url, response: &reqwest::Response) -> Result<Option<Url>, FetchError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let refused = || FetchError::Refused { url: from.to_string(), reason: "it redirects to nowhere".to_owned() };
    let target = response.headers().get(LOCATION).and_then(|target| target.to_str().ok()).ok_or_else(refused)?;
    Ok(Some(from.join(target).map_err(|_| refused())?))
}
