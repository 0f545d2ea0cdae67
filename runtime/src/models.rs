//! Pulls the files of a model from a hub shaped like Hugging Face's: `HUB/OWNER/NAME/resolve/REVISION/FILE`.
//!
//! The hub says a file's size and checksum in the headers of a HEAD request; what arrives must match both, or it is deleted.
//! A pull that was interrupted goes on where it stopped, also in another process.

use crate::blobs::BlobError;
use crate::fetch::{FetchError, Limits, REDIRECTS_MAX, RequestError, Start, download, redirect, send};
use crate::retry::Backoff;
use domain::blob::Digest;
use reqwest::Method;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::{Component, Path};
use std::time::Duration;
use thiserror::Error;
use url::Url;

/// The file that says what a model's folder holds.
pub const LOCK_FILE: &str = "model.lock.json";

/// Added to the name of a file that is not whole yet.
const PART_SUFFIX: &str = ".part";

const CHUNK_BYTES: usize = 1024 * 1024;

/// Tries of one question to the hub while the network fails.
const ASK_TRIES_MAX: u32 = 4;

const ASK_BACKOFF: Backoff = Backoff { first: Duration::from_millis(200), longest: Duration::from_secs(5) };

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Such as `https://huggingface.co`.
    pub hub: Url,
    /// Such as `openai/whisper-tiny.en`.
    pub repository: String,
    /// A branch, tag or commit; a commit is the same for ever.
    pub revision: String,
}

/// What was pulled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Where from.
    pub source: Source,
    /// The commit that the revision meant, when the hub says so.
    pub commit: Option<String>,
    /// Every file.
    pub files: Vec<LockedFile>,
}

/// A file of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedFile {
    /// Its name in the folder.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Its digest, as computed here.
    pub sha256: Digest,
}

/// How far a pull has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PullProgress<'a> {
    /// Which file.
    pub file: &'a str,
    /// Bytes of it so far.
    pub bytes: u64,
    /// Bytes in all.
    pub total: u64,
}

/// Why a model was not pulled.
#[derive(Debug, Error)]
pub enum PullError {
    /// Not the name of a file inside the model's folder.
    #[error("{0:?} is not the name of a file of a model")]
    Name(String),
    /// Without a checksum nothing is accepted.
    #[error("the hub does not say size and checksum of {file}")]
    NoChecksum {
        /// Which.
        file: String,
    },
    /// What arrived is not what the hub announced. It was deleted.
    #[error("{file} is not what the hub announced: expected {expected}, got {actual}; it was deleted, pull again or choose another hub")]
    Wrong {
        /// Which.
        file: String,
        /// Size or checksum.
        expected: String,
        /// Size or checksum.
        actual: String,
    },
    /// The download failed; the next pull goes on where this one stopped.
    #[error("could not download {file}")]
    Fetch {
        /// Which.
        file: String,
        /// Why.
        #[source]
        error: FetchError,
    },
    /// It could not be kept here.
    #[error(transparent)]
    Keep(#[from] BlobError),
}

impl From<io::Error> for PullError {
    fn from(error: io::Error) -> Self {
        Self::Keep(error.into())
    }
}

/// What the hub says about a file.
struct Announced {
    bytes: u64,
    checksum: Checksum,
    commit: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Checksum {
    /// Of large files.
    Sha256(Digest),
    /// Of small files, which lie in git: SHA-1 over a header and the content.
    GitBlob(String),
}

/// Makes `folder` hold `files` of a model, downloads what is missing, and writes the lock.
///
/// # Errors
/// See [`PullError`].
pub async fn pull(
    source: &Source,
    files: &[&str],
    folder: &Path,
    limits: &Limits,
    mut on_progress: impl FnMut(PullProgress<'_>) + Send,
) -> Result<Lock, PullError> {
    std::fs::create_dir_all(folder)?;
    let mut lock = Lock { source: source.clone(), commit: None, files: Vec::new() };
    for &file in files {
        let url = file_url(source, file)?;
        let fetch_error = |error| PullError::Fetch { file: file.to_owned(), error };
        let announced = announced(&url, limits).await.map_err(fetch_error)?;
        let announced = announced.ok_or_else(|| PullError::NoChecksum { file: file.to_owned() })?;
        let target = folder.join(file);
        let progress = |bytes| on_progress(PullProgress { file, bytes, total: announced.bytes });
        let sha256 = match check(&target, &announced).await? {
            Ok(sha256) => sha256,
            Err(_) => bring(&url, file, &target, &announced, limits, progress).await?,
        };
        lock.commit = lock.commit.or(announced.commit);
        lock.files.push(LockedFile { path: file.to_owned(), bytes: announced.bytes, sha256 });
    }
    let text = serde_json::to_vec_pretty(&lock).expect("a lock is plain data");
    replace(&folder.join(LOCK_FILE), &text)?;
    Ok(lock)
}

/// Downloads a file beside its place, checks it, and moves it there.
async fn bring(
    url: &Url,
    file: &str,
    target: &Path,
    announced: &Announced,
    limits: &Limits,
    mut on_progress: impl FnMut(u64) + Send,
) -> Result<Digest, PullError> {
    let part = target.with_file_name(format!("{}{PART_SUFFIX}", target.file_name().unwrap_or_default().to_string_lossy()));
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let is_part_whole = std::fs::metadata(&part).is_ok_and(|part| part.len() >= announced.bytes);
    if !is_part_whole {
        let limits = Limits { bytes_max: announced.bytes.min(limits.bytes_max), ..limits.clone() };
        let fetched = download(url, &part, Start::Resume, &limits, |bytes, _| on_progress(bytes)).await;
        match fetched {
            Ok(_) => {}
            Err(FetchError::TooLarge { bytes_max }) if bytes_max == announced.bytes => {
                std::fs::remove_file(&part)?;
                let (expected, actual) = (format!("{bytes_max} bytes"), "more".to_owned());
                return Err(PullError::Wrong { file: file.to_owned(), expected, actual });
            }
            Err(error) => return Err(PullError::Fetch { file: file.to_owned(), error }),
        }
    }
    match check(&part, announced).await? {
        Ok(sha256) => {
            std::fs::rename(&part, target)?;
            Ok(sha256)
        }
        Err(Mismatch { expected, actual }) => {
            std::fs::remove_file(&part)?;
            Err(PullError::Wrong { file: file.to_owned(), expected, actual })
        }
    }
}

struct Mismatch {
    expected: String,
    actual: String,
}

/// Returns the digest of a file that is as announced, or how it differs.
async fn check(path: &Path, announced: &Announced) -> io::Result<Result<Digest, Mismatch>> {
    let (path, bytes, checksum) = (path.to_owned(), announced.bytes, announced.checksum.clone());
    let work = move || {
        let actual = match std::fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        if actual != bytes {
            return Ok(Err(Mismatch { expected: format!("{bytes} bytes"), actual: format!("{actual} bytes") }));
        }
        let (sha256, git_blob) = digests(&path, bytes)?;
        let (expected, actual) = match checksum {
            Checksum::Sha256(expected) => (expected.to_string(), sha256.to_string()),
            Checksum::GitBlob(expected) => (expected, git_blob),
        };
        Ok(if expected == actual { Ok(sha256) } else { Err(Mismatch { expected, actual }) })
    };
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn digests(path: &Path, bytes: u64) -> io::Result<(Digest, String)> {
    let mut input = File::open(path)?;
    let mut sha256 = Sha256::new();
    let mut git_blob = Sha1::new_with_prefix(format!("blob {bytes}\0"));
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let filled = input.read(&mut chunk)?;
        if filled == 0 {
            return Ok((Digest(sha256.finalize().into()), hex::encode(git_blob.finalize())));
        }
        sha256.update(&chunk[..filled]);
        git_blob.update(&chunk[..filled]);
    }
}

/// Asks the hub about a file. Redirects are followed within the hub only: elsewhere they lead to the content, whose headers say nothing.
async fn announced(url: &Url, limits: &Limits) -> Result<Option<Announced>, FetchError> {
    let mut at = url.clone();
    for _ in 0..=REDIRECTS_MAX {
        let response = ask(&at, limits).await?;
        let next = redirect(&at, &response)?;
        if let Some(announced) = read_headers(response.headers(), next.is_some()) {
            return Ok(Some(announced));
        }
        match next {
            Some(next) if next.origin() == at.origin() => at = next,
            Some(_) => return Ok(None),
            None if response.status().is_success() => return Ok(None),
            None => return Err(FetchError::Status { url: at.to_string(), status: response.status().as_u16() }),
        }
    }
    Err(FetchError::TooManyRedirects { url: url.to_string() })
}

/// Sends a HEAD request, again when the network fails.
async fn ask(url: &Url, limits: &Limits) -> Result<reqwest::Response, FetchError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
        match send(Method::HEAD, url, headers, limits).await {
            Ok(response) => return Ok(response),
            Err(RequestError::Final(error)) => return Err(error),
            Err(RequestError::Network(error)) if tries == ASK_TRIES_MAX => {
                let host = url.host_str().unwrap_or_default().to_owned();
                return Err(FetchError::Broken { host, bytes: 0, problem: error.to_string() });
            }
            Err(RequestError::Network(_)) => tokio::time::sleep(ASK_BACKOFF.after(tries)).await,
        }
    }
}

/// Returns what the headers announce; `ETag` and `Content-Length` of a redirect are about the redirect.
fn read_headers(headers: &HeaderMap, is_redirect: bool) -> Option<Announced> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let own = |name: &str| text(name).filter(|_| !is_redirect);
    let bytes = text("x-linked-size").or_else(|| own("content-length"))?.parse().ok()?;
    let tag = text("x-linked-etag").or_else(|| own("etag"))?;
    let tag = tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"').to_ascii_lowercase();
    let is_hexadecimal = tag.bytes().all(|byte| byte.is_ascii_hexdigit());
    let checksum = match tag.len() {
        64 => Checksum::Sha256(tag.parse().ok()?),
        40 if is_hexadecimal => Checksum::GitBlob(tag),
        _ => return None,
    };
    Some(Announced { bytes, checksum, commit: text("x-repo-commit").map(str::to_owned) })
}

fn file_url(source: &Source, file: &str) -> Result<Url, PullError> {
    let is_inside = !file.is_empty() && Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
    let mut url = source.hub.clone();
    let path = format!("{}/resolve/{}/{file}", source.repository, source.revision);
    match url.path_segments_mut() {
        Ok(mut segments) if is_inside => {
            segments.pop_if_empty().extend(path.split('/'));
        }
        _ => return Err(PullError::Name(file.to_owned())),
    }
    Ok(url)
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let aside = path.with_extension("new");
    let mut file = File::create(&aside)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(aside, path)
}
