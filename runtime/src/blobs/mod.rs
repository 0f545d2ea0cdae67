//! Bytes kept outside the log, under the SHA-256 of their content.
//!
//! A blob is written once, whole or not at all, and never changes; the same bytes are kept once, whoever puts them.
//! Who may see a blob is decided by who may see the event that names it, never here.

mod cache;
pub mod conformance;
pub mod direct;
mod error;
mod file;
mod s3;
mod series;
mod settings;
mod transfer;

pub use error::BlobError;
pub use file::Scratch;
pub use series::{SNAPSHOTS_KEPT, Snapshot};
pub use settings::{BlobSettings, Encryption, S3Settings};

use anyhow::Context as _;
use bytes::Bytes;
use cache::{Cache, Held};
use domain::BlobRef;
use domain::blob::Digest;
use error::{failed, refused};
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt as _};
use s3::Bucket;
use sha2::{Digest as _, Sha256};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use transfer::Pace;

/// Largest blob that is read into memory: an hour's artefacts are a few MiB, and media is streamed or opened as a file.
pub const IN_MEMORY_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A kept blob, as [`Blobs::list`] sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub sha256: Digest,
    /// Its size.
    pub bytes: u64,
}

/// A blob as a file of this machine, which stays while this lives. It must not be changed.
#[derive(Debug)]
pub struct LocalBlob {
    path: PathBuf,
    _file: LocalFile,
}

/// What keeps the file.
#[derive(Debug)]
enum LocalFile {
    /// The folder itself.
    Folder,
    /// A lock.
    Cached { _held: Held },
    /// It is a copy.
    Copied { _copy: Scratch },
}

impl LocalBlob {
    /// Returns where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A handle on a store of blobs.
#[derive(Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    place: Place,
}

/// What is known of a store beyond what all stores can do.
#[derive(Clone)]
enum Place {
    Folder(Arc<PathBuf>),
    Memory,
    S3(Arc<Remote>),
}

struct Remote {
    bucket: Bucket,
    cache: Arc<Cache>,
    pace: Pace,
}

/// Opens a bucket for something else than blobs, by the same settings and secrets.
///
/// # Errors
/// When a setting cannot be used.
pub fn bucket(settings: &S3Settings) -> Result<Arc<dyn ObjectStore>, BlobError> {
    Ok(Arc::new(open_bucket(settings)?.store()))
}

fn open_bucket(settings: &S3Settings) -> Result<Bucket, BlobError> {
    #[expect(clippy::disallowed_methods, reason = "secrets come from the environment or a file, and pass through nobody's hands")]
    Bucket::open(settings, |name| std::env::var(name).ok())
}

impl Blobs {
    /// Opens the store that an operator chose. Nothing is asked of S3 yet: see [`Blobs::check`].
    ///
    /// # Errors
    /// When a folder cannot be created, or a setting cannot be used.
    pub fn from_settings(settings: &BlobSettings) -> Result<Self, BlobError> {
        match settings {
            BlobSettings::Folder(folder) => Self::open(folder),
            BlobSettings::S3(settings) => Self::s3(settings),
        }
    }

    /// Opens the blobs in `folder`, and creates it when there is none.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn open(folder: &Path) -> Result<Self, BlobError> {
        file::prepare(folder)?;
        let store = LocalFileSystem::new_with_prefix(folder).with_context(|| format!("opening {}", folder.display()))?;
        let folder = std::path::absolute(folder)?;
        Ok(Self { store: Arc::new(store), place: Place::Folder(Arc::new(folder)) })
    }

    /// Opens the blobs in a bucket.
    ///
    /// # Errors
    /// When a setting cannot be used, or the cache's folder cannot be created.
    pub fn s3(settings: &S3Settings) -> Result<Self, BlobError> {
        let bucket = open_bucket(settings)?;
        let cache = Cache::open(&settings.cache_folder, settings.cache_bytes_max)?;
        let pace = Pace { part_bytes: settings.part_bytes, parts_at_once: settings.parts_at_once };
        let remote = Remote { bucket, cache: Arc::new(cache), pace };
        Ok(Self { store: Arc::new(remote.bucket.store()), place: Place::S3(Arc::new(remote)) })
    }

    /// Returns a store that ends with the process.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { store: Arc::new(InMemory::new()), place: Place::Memory }
    }

    /// Asks the store for something, so that a wrong setting is heard of at once.
    ///
    /// # Errors
    /// When the store cannot be reached, refuses us, or has no such bucket.
    pub async fn check(&self) -> Result<(), BlobError> {
        self.list().try_next().await.map(drop)
    }

    /// Keeps a copy of a file that belongs to somebody else.
    ///
    /// # Errors
    /// See [`BlobError`].
    pub async fn put_file(&self, path: &Path, media_type: &str) -> Result<BlobRef, BlobError> {
        if let Place::Folder(folder) = &self.place {
            let (folder, path) = (folder.clone(), path.to_owned());
            let (sha256, bytes) = blocking(move || file::copy_in(&folder, &path)).await?;
            return Ok(BlobRef { sha256, bytes, media_type: media_type.to_owned() });
        }
        let blob = Self::describe_file(path, media_type).await?;
        transfer::send_file(&*self.store, &key(blob.sha256), &blob, path, self.pace()).await?;
        Ok(blob)
    }

    /// Keeps a file of our own, which is gone afterwards: renamed where possible.
    ///
    /// # Errors
    /// See [`BlobError`].
    pub async fn take_file(&self, path: &Path, media_type: &str) -> Result<BlobRef, BlobError> {
        let blob = Self::describe_file(path, media_type).await?;
        self.take_described(path, &blob).await?;
        Ok(blob)
    }

    /// Returns what a file will be called once it is kept.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn describe_file(path: &Path, media_type: &str) -> Result<BlobRef, BlobError> {
        let path = path.to_owned();
        let (sha256, bytes) = blocking(move || file::digest(&path)).await?;
        Ok(BlobRef { sha256, bytes, media_type: media_type.to_owned() })
    }

    /// Keeps a file of our own that is described by `blob`, which is gone afterwards. Where it is sent over a network it is kept as a cached
    /// file: whoever made it often needs it next.
    ///
    /// # Errors
    /// See [`BlobError`].
    pub async fn take_described(&self, path: &Path, blob: &BlobRef) -> Result<(), BlobError> {
        let (source, digest) = (path.to_owned(), blob.sha256);
        if let Place::Folder(folder) = &self.place {
            let folder = folder.clone();
            return blocking(move || file::move_in(&folder, &source, digest)).await;
        }
        transfer::send_file(&*self.store, &key(digest), blob, path, self.pace()).await?;
        match &self.place {
            Place::S3(remote) => {
                let cache = remote.cache.clone();
                blocking(move || cache.adopt(&source, digest)).await
            }
            Place::Folder(_) | Place::Memory => blocking(move || Ok(std::fs::remove_file(source)?)).await,
        }
    }

    /// Keeps bytes.
    ///
    /// # Errors
    /// See [`BlobError`].
    pub async fn put_bytes(&self, bytes: impl Into<Bytes>, media_type: &str) -> Result<BlobRef, BlobError> {
        let bytes: Bytes = bytes.into();
        let sha256 = Digest(Sha256::digest(&bytes).into());
        let blob = BlobRef { sha256, bytes: bytes.len() as u64, media_type: media_type.to_owned() };
        match &self.place {
            Place::Folder(folder) => {
                let folder = folder.clone();
                blocking(move || file::write_in(&folder, &bytes, sha256)).await?;
            }
            Place::Memory | Place::S3(_) => transfer::send_bytes(&*self.store, &key(sha256), &blob, bytes).await?,
        }
        Ok(blob)
    }

    /// Returns a blob's bytes, checked against its digest.
    ///
    /// # Errors
    /// See [`BlobError`].
    pub async fn get_bytes(&self, blob: &BlobRef) -> Result<Bytes, BlobError> {
        if blob.bytes > IN_MEMORY_BYTES_MAX {
            return Err(BlobError::TooLarge { bytes: blob.bytes });
        }
        let digest = blob.sha256;
        let bytes = match &self.place {
            // One request would have to carry all of it within its time limit.
            Place::S3(remote) if blob.bytes > remote.pace.part_bytes as u64 => {
                transfer::read_whole(self.store.clone(), key(digest), blob, remote.pace).await?
            }
            Place::Folder(_) | Place::Memory | Place::S3(_) => {
                let found = self.store.get_opts(&key(digest), GetOptions::default()).await.map_err(|error| refused(digest, error))?;
                transfer::check_size(blob, found.meta.size)?;
                found.bytes().await.map_err(|error| refused(digest, error))?
            }
        };
        let actual = Digest(Sha256::digest(&bytes).into());
        if actual == digest { Ok(bytes) } else { Err(BlobError::damaged(digest, format!("its content has digest {actual}"))) }
    }

    /// Returns the bytes of a blob in `range`, as they are read; for media, whose parts cannot be checked one by one.
    ///
    /// # Errors
    /// See [`BlobError`]; also when the range is not inside the blob.
    pub async fn open_range(&self, blob: &BlobRef, range: Range<u64>) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
        if range.start >= range.end || range.end > blob.bytes {
            return Err(BlobError::Store(anyhow::anyhow!("{range:?} is not a range of a blob of {} bytes", blob.bytes)));
        }
        let digest = blob.sha256;
        if let Place::S3(remote) = &self.place {
            if !self.contains(blob).await? {
                return Err(BlobError::Missing(digest));
            }
            let parts = transfer::read(self.store.clone(), key(digest), range, remote.pace);
            return Ok(parts.map_err(move |error| refused(digest, error)).boxed());
        }
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let found = self.store.get_opts(&key(digest), options).await.map_err(|error| refused(digest, error))?;
        Ok(found.into_stream().map_err(move |error| refused(digest, error)).boxed())
    }

    /// Returns a blob as a file, for tools that open files. Keep what is returned while the file is in use.
    ///
    /// # Errors
    /// When the blob is missing or damaged, or the cache has no room.
    pub async fn open_local(&self, blob: &BlobRef) -> Result<LocalBlob, BlobError> {
        match &self.place {
            Place::Folder(folder) => {
                let path = file::path(folder, blob.sha256);
                if path.is_file() { Ok(LocalBlob { path, _file: LocalFile::Folder }) } else { Err(BlobError::Missing(blob.sha256)) }
            }
            Place::Memory => {
                let bytes = self.get_bytes(blob).await?;
                let copy = self.scratch()?;
                let path = copy.path.clone();
                tokio::fs::write(&path, bytes).await?;
                Ok(LocalBlob { path, _file: LocalFile::Copied { _copy: copy } })
            }
            Place::S3(remote) => {
                let held = self.cached(remote, blob).await?;
                Ok(LocalBlob { path: held.path.clone(), _file: LocalFile::Cached { _held: held } })
            }
        }
    }

    async fn cached(&self, remote: &Remote, blob: &BlobRef) -> Result<Held, BlobError> {
        let cache = &remote.cache;
        if let Some(held) = cache.hold(blob).await? {
            return Ok(held);
        }
        let turn = cache.turn(blob.sha256);
        let _turn = turn.lock().await;
        if let Some(held) = cache.hold(blob).await? {
            return Ok(held);
        }
        let room = cache.make_room(blob.bytes).await?;
        transfer::fetch(self.store.clone(), key(blob.sha256), blob, &room.file, remote.pace).await?;
        cache.place(room, blob.sha256, blob.bytes).await
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

    /// Deletes a blob; one that is missing is deleted already. Caches of other machines let go of it when they have not used it for a week.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete(&self, digest: Digest) -> Result<(), BlobError> {
        match self.store.delete(&key(digest)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(refused(digest, error)),
        }
        match &self.place {
            Place::S3(remote) => {
                let cache = remote.cache.clone();
                blocking(move || cache.forget(digest)).await
            }
            Place::Folder(_) | Place::Memory => Ok(()),
        }
    }

    /// Returns every blob that is kept, in no order.
    #[must_use]
    pub fn list(&self) -> BoxStream<'static, Result<Kept, BlobError>> {
        let kept = |meta: object_store::ObjectMeta| {
            let sha256 = meta.location.filename().and_then(|name| name.parse().ok())?;
            Some(Kept { sha256, bytes: meta.size })
        };
        let found = self.store.list(Some(&Key::from(file::ALGORITHM))).map_err(|error| failed("listing blobs", error));
        found.try_filter_map(move |meta| std::future::ready(Ok(kept(meta)))).boxed()
    }

    /// Returns a place for a file that may become a blob by [`Blobs::take_file`], on the same file system where possible.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn scratch(&self) -> Result<Scratch, BlobError> {
        match &self.place {
            Place::Folder(folder) => Ok(Scratch::new(&file::scratch_folder(folder))?),
            Place::Memory => Ok(Scratch::new(&std::env::temp_dir())?),
            Place::S3(remote) => Ok(remote.cache.scratch()?),
        }
    }

    fn pace(&self) -> Pace {
        match &self.place {
            Place::S3(remote) => remote.pace,
            Place::Folder(_) | Place::Memory => Pace::MEMORY,
        }
    }
}

fn key(digest: Digest) -> Key {
    Key::from(file::relative(digest))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, BlobError> + Send + 'static) -> Result<T, BlobError> {
    tokio::task::spawn_blocking(work).await.context("working on a blob panicked")?
}
