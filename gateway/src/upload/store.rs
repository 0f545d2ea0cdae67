//! Uploads on disk: `ID.json` says what is coming, `ID.part` holds what has come. The length of the second is the offset.

use super::receive::{Checksum, failed, receive};
use crate::problem::Problem;
use anyhow::Context as _;
use axum::body::Bytes;
use axum::http::StatusCode;
use domain::id::WorkspaceId;
use domain::{BlobRef, Timestamp};
use futures::Stream;
use runtime::blobs::Blobs;
use runtime::ids;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use thiserror::Error;
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

/// Largest upload: six hours of 7 Mbit/s.
pub(crate) const UPLOAD_BYTES_MAX: u64 = 20 << 30;

/// How long an upload may rest, in seconds, before it is forgotten: until tomorrow.
const REST_SECONDS_MAX: u64 = 24 * 3_600;

/// Most uploads that are kept at once, in all states: more is a program that has lost its way.
const UPLOADS_MAX: usize = 10_000;

/// Most partial uploads that one final upload joins.
const PARTS_MAX: usize = 64;

/// Longest file name, in bytes.
const NAME_BYTES_MAX: usize = 1_024;

/// Names an upload; as hard to guess as a version 4 UUID may be, though guessing it alone opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct UploadId(Uuid);

/// Text that is not the id of an upload.
#[derive(Debug, Error)]
#[error("expected the id of an upload, such as upload_018f3c0a…")]
pub(crate) struct NotAnUploadId;

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "upload_{}", self.0.simple())
    }
}

impl FromStr for UploadId {
    type Err = NotAnUploadId;
    fn from_str(text: &str) -> Result<Self, NotAnUploadId> {
        let digits = text.strip_prefix("upload_").filter(|digits| digits.len() == 32).ok_or(NotAnUploadId)?;
        Uuid::try_parse(digits).map(Self).map_err(|_| NotAnUploadId)
    }
}

/// What is known before the first byte.
#[derive(Clone, Debug)]
pub(crate) struct NewUpload {
    pub(crate) bytes: u64,
    pub(crate) file_name: String,
    pub(crate) media_type: Option<String>,
    /// Whether it is one part of several that will be joined.
    pub(crate) is_partial: bool,
}

/// An upload, as `ID.json` says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Upload {
    pub(crate) id: UploadId,
    workspace: WorkspaceId,
    pub(crate) bytes: u64,
    pub(crate) file_name: String,
    pub(super) media_type: String,
    pub(crate) is_partial: bool,
    /// The parts that it was joined from.
    pub(crate) joined: Vec<UploadId>,
    pub(crate) expires: Timestamp,
    /// While bytes with a checksum come in: where they begin. After a crash they are dropped, because nobody has checked them.
    unchecked_from: Option<u64>,
    /// What the bytes are called, once all have come. As long as `ID.part` is there they are not kept yet.
    pub(super) blob: Option<BlobRef>,
}

impl Upload {
    /// Returns its path on this server.
    pub(crate) fn path(&self) -> String {
        format!("/files/{}", self.id)
    }
}

/// The folder of uploads. A clone is another handle.
#[derive(Clone)]
pub struct Uploads(Arc<Shared>);

struct Shared {
    folder: PathBuf,
    /// One writer per upload.
    locks: Mutex<HashMap<UploadId, Weak<tokio::sync::Mutex<()>>>>,
}

impl Uploads {
    /// Opens the uploads in `folder`, and makes it when there is none.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(Self(Arc::new(Shared { folder: folder.into(), locks: Mutex::default() })))
    }

    /// Opens an upload.
    pub(crate) async fn create(&self, workspace: WorkspaceId, new: NewUpload, now: Timestamp) -> Result<Upload, Problem> {
        if new.bytes > UPLOAD_BYTES_MAX {
            let message = format!("an upload has at most {UPLOAD_BYTES_MAX} bytes (20 GiB)");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE", message));
        }
        if new.file_name.len() > NAME_BYTES_MAX || new.file_name.chars().any(char::is_control) {
            return Err(Problem::new(StatusCode::BAD_REQUEST, "BAD_FILE_NAME", "a file name is one line of at most 1,024 bytes"));
        }
        if self.infos().await?.len() >= UPLOADS_MAX {
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_UPLOADS", "there are too many unfinished uploads"));
        }
        let given = new.media_type.filter(|given| is_media_type(given));
        let upload = Upload {
            id: UploadId(ids::fresh()),
            workspace,
            bytes: new.bytes,
            media_type: given.unwrap_or_else(|| media_type(&new.file_name).into()),
            file_name: new.file_name,
            is_partial: new.is_partial,
            joined: vec![],
            expires: now.plus_seconds(REST_SECONDS_MAX),
            unchecked_from: None,
            blob: None,
        };
        File::create(self.part(upload.id)).await.map_err(failed)?.sync_all().await.map_err(failed)?;
        self.write(&upload).await?;
        Ok(upload)
    }

    /// Joins finished partial uploads of the same workspace into a new one.
    pub(crate) async fn join(
        &self,
        blobs: &Blobs,
        workspace: WorkspaceId,
        parts: Vec<UploadId>,
        mut new: NewUpload,
        now: Timestamp,
    ) -> Result<Upload, Problem> {
        let refused = |message| Problem::new(StatusCode::BAD_REQUEST, "BAD_PARTS", message);
        if parts.is_empty() || parts.len() > PARTS_MAX {
            return Err(refused("a final upload joins 1 to 64 partial ones"));
        }
        new.bytes = 0;
        for id in &parts {
            let (part, offset) = self.get(workspace, *id, now).await?;
            if !part.is_partial || offset != part.bytes {
                return Err(refused("every part must be a finished partial upload"));
            }
            new.bytes += part.bytes;
        }
        let mut upload = self.create(workspace, new, now).await?;
        let paths: Vec<_> = parts.iter().map(|id| self.part(*id)).collect();
        let target = self.part(upload.id);
        let joining = move || -> io::Result<()> {
            let mut target = std::fs::OpenOptions::new().append(true).open(target)?;
            for path in paths {
                io::copy(&mut std::fs::File::open(path)?, &mut target)?;
            }
            target.sync_all()
        };
        tokio::task::spawn_blocking(joining).await.map_err(Problem::internal)?.map_err(failed)?;
        upload.joined = parts;
        self.write(&upload).await?;
        self.finish(blobs, upload).await
    }

    /// Returns an upload and how many of its bytes are here for good.
    pub(crate) async fn get(&self, workspace: WorkspaceId, id: UploadId, now: Timestamp) -> Result<(Upload, u64), Problem> {
        let upload = self.read(id).await?.filter(|upload| upload.workspace == workspace).ok_or_else(not_found)?;
        if upload.expires <= now {
            return Err(Problem::new(StatusCode::GONE, "UPLOAD_EXPIRED", "the upload rested for too long; start again"));
        }
        if upload.blob.is_some() {
            return Ok((upload.clone(), upload.bytes));
        }
        let part = File::open(self.part(id)).await.map_err(failed)?;
        let length = part.metadata().await.map_err(failed)?.len();
        // Another request may be writing right now: what we tell must survive a crash.
        part.sync_all().await.map_err(failed)?;
        Ok((upload.clone(), upload.unchecked_from.unwrap_or(length).min(length)))
    }

    /// Takes bytes from `offset` on, as far as they come, and returns the upload and the new offset, which survives a crash.
    pub(crate) async fn append<E: Into<axum::BoxError>>(
        &self,
        blobs: &Blobs,
        (workspace, id): (WorkspaceId, UploadId),
        offset: u64,
        bytes: impl Stream<Item = Result<Bytes, E>> + Unpin,
        checksum: Option<Checksum>,
        now: Timestamp,
    ) -> Result<(Upload, u64), Problem> {
        let lock = self.lock(id)?;
        let (mut upload, present) = self.get(workspace, id, now).await?;
        if !upload.joined.is_empty() {
            return Err(Problem::new(StatusCode::FORBIDDEN, "UPLOAD_IS_FINAL", "a final upload takes no bytes of its own"));
        }
        if present != offset {
            return Err(Problem::new(StatusCode::CONFLICT, "OFFSET_MISMATCH", format!("the upload is at {present}, not at {offset}")));
        }
        if upload.blob.is_some() {
            return Ok((upload, present));
        }
        let mut file = OpenOptions::new().write(true).open(self.part(id)).await.map_err(failed)?;
        upload.expires = now.plus_seconds(REST_SECONDS_MAX);
        upload.unchecked_from = checksum.as_ref().map(|_| offset);
        self.write(&upload).await?;
        // What a crash left behind the offset was never acknowledged, or never checked.
        file.set_len(offset).await.map_err(failed)?;
        let mut end = receive(&mut file, offset, upload.bytes, bytes, checksum.as_ref()).await;
        if end.is_err() {
            file.set_len(offset).await.map_err(failed)?;
        }
        file.sync_all().await.map_err(failed)?;
        if upload.unchecked_from.take().is_some() {
            self.write(&upload).await?;
        }
        if let Ok(end) = &mut end
            && *end == upload.bytes
            && !upload.is_partial
        {
            upload = self.end_apart(blobs, upload, *end, lock).await?;
        }
        Ok((upload, end?))
    }

    /// Returns the bytes and the file name of a finished upload.
    pub(crate) async fn finished(
        &self,
        blobs: &Blobs,
        workspace: WorkspaceId,
        id: UploadId,
        now: Timestamp,
    ) -> Result<(BlobRef, String), Problem> {
        let lock = self.lock(id)?;
        let (upload, offset) = self.get(workspace, id, now).await?;
        let upload = self.end_apart(blobs, upload, offset, lock).await?;
        let blob = upload.blob.context("a finished upload has its bytes").map_err(Problem::internal)?;
        Ok((blob, upload.file_name))
    }

    /// Forgets an upload. Bytes that became a blob stay: a video may be made of them.
    pub(crate) async fn delete(&self, workspace: WorkspaceId, id: UploadId, now: Timestamp) -> Result<(), Problem> {
        let _lock = self.lock(id)?;
        self.get(workspace, id, now).await?;
        self.remove(id).await
    }

    /// Forgets uploads that rested for too long.
    pub(crate) async fn sweep(&self, now: Timestamp) -> anyhow::Result<()> {
        for id in self.infos().await.map_err(|problem| anyhow::anyhow!(problem.message))? {
            // A look without the lock, so that nobody's request is refused because of us.
            if matches!(self.read(id).await, Ok(Some(upload)) if upload.expires > now) {
                continue;
            }
            let Ok(_lock) = self.lock(id) else { continue };
            match self.read(id).await {
                Ok(Some(upload)) if upload.expires > now => {}
                Ok(_) => self.remove(id).await.map_err(|problem| anyhow::anyhow!(problem.message))?,
                Err(problem) => tracing::error!(upload = %id, problem = %problem.message, "unreadable upload"),
            }
        }
        Ok(())
    }

    fn lock(&self, id: UploadId) -> Result<OwnedMutexGuard<()>, Problem> {
        let mut locks = self.0.locks.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, lock| lock.strong_count() > 0);
        let lock = locks.get(&id).and_then(Weak::upgrade).unwrap_or_default();
        locks.insert(id, Arc::downgrade(&lock));
        lock.try_lock_owned().map_err(|_| Problem::new(StatusCode::LOCKED, "UPLOAD_LOCKED", "another request is writing this upload"))
    }

    pub(super) fn part(&self, id: UploadId) -> PathBuf {
        self.0.folder.join(format!("{id}.part"))
    }

    /// Where a file that was sent past us comes in, because the length of `ID.part` is what tus clients are told.
    pub(super) fn aside(&self, id: UploadId) -> PathBuf {
        self.0.folder.join(format!("{id}.direct"))
    }

    fn info(&self, id: UploadId) -> PathBuf {
        self.0.folder.join(format!("{id}.json"))
    }

    async fn infos(&self) -> Result<Vec<UploadId>, Problem> {
        let mut entries = tokio::fs::read_dir(&self.0.folder).await.map_err(failed)?;
        let mut ids = vec![];
        while let Some(entry) = entries.next_entry().await.map_err(failed)? {
            let name = entry.file_name();
            ids.extend(name.to_str().and_then(|name| name.strip_suffix(".json")).and_then(|id| id.parse::<UploadId>().ok()));
        }
        Ok(ids)
    }

    async fn read(&self, id: UploadId) -> Result<Option<Upload>, Problem> {
        match tokio::fs::read(self.info(id)).await {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).map_err(Problem::internal)?)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Replaces `ID.json` as a whole: a crash leaves the one before or this one.
    pub(super) async fn write(&self, upload: &Upload) -> Result<(), Problem> {
        let fresh = self.0.folder.join(format!("{}.new", upload.id));
        let mut file = File::create(&fresh).await.map_err(failed)?;
        file.write_all(&serde_json::to_vec(upload).map_err(Problem::internal)?).await.map_err(failed)?;
        file.sync_all().await.map_err(failed)?;
        tokio::fs::rename(&fresh, self.info(upload.id)).await.map_err(failed)?;
        File::open(&self.0.folder).await.map_err(failed)?.sync_all().await.map_err(failed)
    }

    /// Removes the bytes first: what a crash leaves can be found by its `ID.json` again.
    async fn remove(&self, id: UploadId) -> Result<(), Problem> {
        for path in [self.part(id), self.aside(id), self.info(id)] {
            match tokio::fs::remove_file(path).await {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

/// Only kinds that a browser does not run.
fn is_media_type(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.+".contains(&byte);
    let kind = text.strip_prefix("video/").or(text.strip_prefix("audio/"));
    kind.is_some_and(|kind| !kind.is_empty() && kind.len() <= 60 && kind.bytes().all(is_plain))
}

/// Returns a media type by the name's ending; ingest looks into the file, so this decides nothing.
fn media_type(file_name: &str) -> &'static str {
    let ending = file_name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
    match ending.as_str() {
        "mp4" | "m4v" => "video/mp4",
        "mov" => "video/quicktime",
        "mkv" => "video/x-matroska",
        "webm" => "video/webm",
        "avi" => "video/x-msvideo",
        "ts" | "mts" | "m2ts" => "video/mp2t",
        "mp3" => "audio/mpeg",
        "m4a" => "audio/mp4",
        "wav" => "audio/wav",
        "flac" => "audio/flac",
        "ogg" | "opus" => "audio/ogg",
        "srt" => "application/x-subrip",
        "vtt" => "text/vtt",
        "json" => "application/json",
        _ => "application/octet-stream",
    }
}

fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "UPLOAD_NOT_FOUND", "there is no such upload")
}
