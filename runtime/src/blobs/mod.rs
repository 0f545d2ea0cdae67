//! Bytes kept outside the log, under the SHA-256 of their content.
//!
//! A blob is written once, whole or not at all, and never changes; the same bytes are kept once, whoever puts them.
//! Who may see a blob is decided by who may see the event that names it, never here.

mod file;

pub use file::Scratch;

use anyhow::Context as _;
use bytes::Bytes;
use domain::BlobRef;
use domain::blob::Digest;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt as _};
use sha2::{Digest as _, Sha256};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// Largest blob that is read into memory: an hour's artefacts are a few MiB, and media is streamed or opened as a file.
pub const IN_MEMORY_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Bytes that go to a remote store in one part: S3 takes 10,000 parts, so this allows 80 GB.
const PART_BYTES: usize = 8 * 1024 * 1024;

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
    /// More than [`IN_MEMORY_BYTES_MAX`].
    #[error("a blob of {bytes} bytes is too large to be read into memory, the limit is {IN_MEMORY_BYTES_MAX}")]
    TooLarge {
        /// Its size.
        bytes: u64,
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

/// A kept blob, as [`Blobs::list`] sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub sha256: Digest,
    /// Its size.
    pub bytes: u64,
}

/// A handle on a store of blobs.
#[derive(Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    /// The store's folder, when it is one on this machine.
    folder: Option<Arc<PathBuf>>,
}

impl Blobs {
    /// Opens the blobs in `folder`, and creates it when there is none.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn open(folder: &Path) -> Result<Self, BlobError> {
        file::prepare(folder)?;
        let store = LocalFileSystem::new_with_prefix(folder).with_context(|| format!("opening {}", folder.display()))?;
        let folder = std::path::absolute(folder)?;
        Ok(Self { store: Arc::new(store), folder: Some(Arc::new(folder)) })
    }

    /// Returns a store that ends with the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { store: Arc::new(InMemory::new()), folder: None }
    }

    /// Keeps a copy of a file that belongs to somebody else.
    ///
    /// # Errors
    /// See [`BlobError`].
    pub async fn put_file(&self, path: &Path, media_type: &str) -> Result<BlobRef, BlobError> {
        let path = path.to_owned();
        let (sha256, bytes) = match self.folder.clone() {
            Some(folder) => blocking(move || file::copy_in(&folder, &path)).await?,
            None => self.upload(path).await?,
        };
        Ok(BlobRef { sha256, bytes, media_type: media_type.to_owned() })
    }

    /// Keeps a file of our own, which is gone afterwards: renamed where possible.
    ///
    /// # Errors
    /// See [`BlobError`].
    pub async fn take_file(&self, path: &Path, media_type: &str) -> Result<BlobRef, BlobError> {
        let path = path.to_owned();
        let (sha256, bytes) = match self.folder.clone() {
            Some(folder) => blocking(move || file::move_in(&folder, &path)).await?,
            None => {
                let uploaded = self.upload(path.clone()).await?;
                blocking(move || Ok(std::fs::remove_file(path)?)).await?;
                uploaded
            }
        };
        Ok(BlobRef { sha256, bytes, media_type: media_type.to_owned() })
    }

    /// Keeps bytes.
    ///
    /// # Errors
    /// See [`BlobError`].
    pub async fn put_bytes(&self, bytes: impl Into<Bytes>, media_type: &str) -> Result<BlobRef, BlobError> {
        let bytes: Bytes = bytes.into();
        let length = bytes.len() as u64;
        let sha256 = match self.folder.clone() {
            Some(folder) => blocking(move || file::write_in(&folder, &bytes)).await?,
            None => {
                let sha256 = Digest(Sha256::digest(&bytes).into());
                self.store.put(&key(sha256), bytes.into()).await.context("putting a blob")?;
                sha256
            }
        };
        Ok(BlobRef { sha256, bytes: length, media_type: media_type.to_owned() })
    }

    /// Returns a blob's bytes, checked against its digest.
    ///
    /// # Errors
    /// See [`BlobError`].
    pub async fn get_bytes(&self, blob: &BlobRef) -> Result<Bytes, BlobError> {
        if blob.bytes > IN_MEMORY_BYTES_MAX {
            return Err(BlobError::TooLarge { bytes: blob.bytes });
        }
        let found = self.store.get_opts(&key(blob.sha256), GetOptions::default()).await.map_err(|error| refused(blob.sha256, error))?;
        let damaged = |problem: String| BlobError::Damaged { digest: blob.sha256, problem };
        if found.meta.size != blob.bytes {
            return Err(damaged(format!("it has {} bytes instead of {}", found.meta.size, blob.bytes)));
        }
        let bytes = found.bytes().await.map_err(|error| refused(blob.sha256, error))?;
        let actual = Digest(Sha256::digest(&bytes).into());
        if actual == blob.sha256 { Ok(bytes) } else { Err(damaged(format!("its content has digest {actual}"))) }
    }

    /// Returns the bytes of a blob in `range`, as they are read; for media, whose parts cannot be checked one by one.
    ///
    /// # Errors
    /// See [`BlobError`]; also when the range is not inside the blob.
    pub async fn open_range(&self, blob: &BlobRef, range: Range<u64>) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
        if range.start >= range.end || range.end > blob.bytes {
            return Err(BlobError::Store(anyhow::anyhow!("{range:?} is not a range of a blob of {} bytes", blob.bytes)));
        }
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let digest = blob.sha256;
        let found = self.store.get_opts(&key(digest), options).await.map_err(|error| refused(digest, error))?;
        Ok(found.into_stream().map_err(move |error| refused(digest, error)).boxed())
    }

    /// Returns the file that holds a blob, for tools that open files. It must not be changed.
    ///
    /// # Errors
    /// When the blob is missing, or the store is not a folder of this machine.
    pub fn local_path(&self, blob: &BlobRef) -> Result<PathBuf, BlobError> {
        let Some(folder) = &self.folder else {
            return Err(BlobError::Store(anyhow::anyhow!("this store has no files on this machine")));
        };
        let path = file::path(folder, blob.sha256);
        if path.is_file() { Ok(path) } else { Err(BlobError::Missing(blob.sha256)) }
    }

    /// Tells whether a blob is kept.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn contains(&self, blob: &BlobRef) -> Result<bool, BlobError> {
        match self.store.head(&key(blob.sha256)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(refused(blob.sha256, error)),
        }
    }

    /// Deletes a blob; one that is missing is deleted already.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete(&self, digest: Digest) -> Result<(), BlobError> {
        match self.store.delete(&key(digest)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(refused(digest, error)),
        }
    }

    /// Returns every blob that is kept, in no order.
    #[must_use]
    pub fn list(&self) -> BoxStream<'static, Result<Kept, BlobError>> {
        let kept = |meta: object_store::ObjectMeta| async move {
            let sha256 = meta.location.filename().and_then(|name| name.parse().ok())?;
            Some(Kept { sha256, bytes: meta.size })
        };
        self.store
            .list(Some(&Key::from(file::ALGORITHM)))
            .map_err(|error| BlobError::from(anyhow::Error::new(error).context("listing blobs")))
            .try_filter_map(move |meta| async move { Ok(kept(meta).await) })
            .boxed()
    }

    /// Returns a place for a file that may become a blob by [`Blobs::take_file`], on the same file system where possible.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn scratch(&self) -> Result<Scratch, BlobError> {
        match &self.folder {
            Some(folder) => Ok(Scratch::new(&file::scratch_folder(folder))?),
            None => Ok(Scratch::new(&std::env::temp_dir())?),
        }
    }

    /// Sends a file to a store that is not a folder. It is read twice: the name must be known before the content is sent.
    async fn upload(&self, path: PathBuf) -> Result<(Digest, u64), BlobError> {
        let (digest, bytes) = blocking({
            let path = path.clone();
            move || file::digest(&path)
        })
        .await?;
        if self.store.head(&key(digest)).await.is_ok() {
            return Ok((digest, bytes));
        }
        let upload = self.store.put_multipart(&key(digest)).await.context("starting an upload")?;
        let mut upload = object_store::WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        let file = tokio::fs::File::open(&path).await?;
        let mut chunks = tokio_util::io::ReaderStream::with_capacity(file, PART_BYTES);
        while let Some(chunk) = chunks.next().await {
            upload.wait_for_capacity(2).await.context("uploading a blob")?;
            upload.put(chunk?);
        }
        upload.finish().await.context("ending an upload")?;
        Ok((digest, bytes))
    }
}

fn key(digest: Digest) -> Key {
    Key::from(file::relative(digest))
}

fn refused(digest: Digest, error: object_store::Error) -> BlobError {
    match error {
        object_store::Error::NotFound { .. } => BlobError::Missing(digest),
        other => BlobError::from(anyhow::Error::new(other)),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, BlobError> + Send + 'static) -> Result<T, BlobError> {
    tokio::task::spawn_blocking(work).await.context("writing a blob panicked")?
}
