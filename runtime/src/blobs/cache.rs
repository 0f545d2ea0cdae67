//! Blobs of a remote store as files of this machine, for tools that open files: the least recently used go when room is needed.
//!
//! Several processes may share the folder. Whoever uses a file holds a shared lock (`flock`) on it, and only who gets an exclusive one may delete
//! it, so a file in use stays, and a process that dies lets go. A name appears by a hard link, after the content was checked and synced.

use super::file::{self, Scratch};
use super::{BlobError, blocking};
use crate::clock::Clock;
use domain::BlobRef;
use domain::blob::Digest;
use std::collections::HashMap;
use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A file that was not used for this long goes, room or not: what is deleted in the store does not live on here for ever.
const UNUSED_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How often a file may be evicted under our hands between opening and locking it; once is rare.
const TURNS_MAX: usize = 8;

/// A cache. Its limit counts finished files and downloads on their way, not scratch files of jobs.
pub(super) struct Cache {
    folder: PathBuf,
    bytes_max: u64,
    /// One download per blob in this process; another process may fetch the same once more.
    fetching: Mutex<HashMap<Digest, Weak<tokio::sync::Mutex<()>>>>,
}

/// A file that stays while this lives.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) path: PathBuf,
    /// With a shared lock.
    _file: File,
}

/// Room for a download: a file of its later size that goes unless it is placed.
pub(super) struct Room {
    scratch: Scratch,
    /// With a shared lock from the first moment, so that a sweep sees that it is alive.
    pub(super) file: File,
}

struct Entry {
    path: PathBuf,
    bytes: u64,
    used: SystemTime,
}

impl Cache {
    pub(super) fn open(folder: &Path, bytes_max: u64) -> Result<Self, BlobError> {
        file::prepare(folder)?;
        let folder = std::path::absolute(folder)?;
        for name in ["coming", file::ALGORITHM] {
            fs::create_dir_all(folder.join(name))?;
        }
        Ok(Self { folder, bytes_max, fetching: Mutex::default() })
    }

    pub(super) fn scratch(&self) -> io::Result<Scratch> {
        Scratch::new(&file::scratch_folder(&self.folder))
    }

    /// Returns the lock of whoever fetches a blob.
    pub(super) fn turn(&self, digest: Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        fetching.retain(|_, turn| turn.strong_count() > 0);
        let turn = fetching.get(&digest).and_then(Weak::upgrade).unwrap_or_default();
        fetching.insert(digest, Arc::downgrade(&turn));
        turn
    }

    /// Returns the file of a blob, if it is here.
    pub(super) async fn hold(self: &Arc<Self>, blob: &BlobRef) -> Result<Option<Held>, BlobError> {
        let (cache, digest, bytes) = (self.clone(), blob.sha256, blob.bytes);
        blocking(move || cache.hold_now(digest, bytes)).await
    }

    fn hold_now(&self, digest: Digest, bytes: u64) -> Result<Option<Held>, BlobError> {
        let path = file::path(&self.folder, digest);
        for _ in 0..TURNS_MAX {
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            file.lock_shared()?;
            let metadata = file.metadata()?;
            if metadata.nlink() == 0 {
                continue;
            }
            if metadata.len() != bytes {
                drop(file);
                tracing::warn!(path = %path.display(), "a cached blob was changed by somebody");
                let _alone = self.alone()?;
                evict(&path)?;
                continue;
            }
            file.set_modified(now())?;
            return Ok(Some(Held { path, _file: file }));
        }
        Err(BlobError::damaged(digest, format!("its file {} keeps changing", path.display())))
    }

    /// Makes room for a download.
    pub(super) async fn make_room(self: &Arc<Self>, bytes: u64) -> Result<Room, BlobError> {
        let cache = self.clone();
        blocking(move || {
            let _alone = cache.alone()?;
            cache.evict_for(bytes)?;
            let scratch = Scratch::new(&cache.folder.join("coming"))?;
            let file = fs::OpenOptions::new().read(true).write(true).open(&scratch.path)?;
            file.lock_shared()?;
            file.set_len(bytes)?;
            Ok(Room { scratch, file })
        })
        .await
    }

    /// Gives a fetched and checked file its name.
    pub(super) async fn place(self: &Arc<Self>, room: Room, digest: Digest, bytes: u64) -> Result<Held, BlobError> {
        let cache = self.clone();
        blocking(move || {
            let is_ours = cache.link(&room.scratch.path, &room.file, digest)?;
            if is_ours {
                return Ok(Held { path: file::path(&cache.folder, digest), _file: room.file });
            }
            // Another process was faster; its file counts.
            cache.hold_now(digest, bytes)?.ok_or(BlobError::Missing(digest))
        })
        .await
    }

    /// Takes over a file whose content has this digest, if there is room; it is gone from its place either way.
    pub(super) fn adopt(&self, source: &Path, digest: Digest) -> Result<(), BlobError> {
        let file = File::open(source)?;
        let _alone = self.alone()?;
        match self.evict_for(file.metadata()?.len()) {
            Ok(()) => {
                file.set_modified(now())?;
                match self.link(source, &file, digest) {
                    // From another file system it is not worth a copy: who needs it fetches it.
                    Err(BlobError::Store(error)) if file::is_other_file_system(&error) => {}
                    other => drop(other?),
                }
            }
            Err(BlobError::NoRoom { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(fs::remove_file(source)?)
    }

    /// Deletes a blob's file unless it is in use; then it goes when it has not been used for long.
    pub(super) fn forget(&self, digest: Digest) -> Result<(), BlobError> {
        let _alone = self.alone()?;
        evict(&file::path(&self.folder, digest))?;
        Ok(())
    }

    fn link(&self, source: &Path, file: &File, digest: Digest) -> Result<bool, BlobError> {
        let target = file::path(&self.folder, digest);
        file.set_permissions(Permissions::from_mode(0o444))?;
        // The name is trusted later without a look at the content.
        file.sync_all()?;
        fs::create_dir_all(target.parent().expect("a blob's path has folders"))?;
        match fs::hard_link(source, &target) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// One process at a time deletes and makes room.
    fn alone(&self) -> io::Result<File> {
        let lock = File::create(self.folder.join("lock"))?;
        lock.lock()?;
        Ok(lock)
    }

    /// Deletes what was not used for long, and then the least recently used until `bytes` more fit. The caller is [`Self::alone`].
    fn evict_for(&self, bytes: u64) -> Result<(), BlobError> {
        for dead in entries(&self.folder.join("coming"), 0)? {
            evict(&dead.path)?;
        }
        let coming: u64 = entries(&self.folder.join("coming"), 0)?.iter().map(|entry| entry.bytes).sum();
        let mut kept = entries(&self.folder.join(file::ALGORITHM), 2)?;
        let mut used = coming + kept.iter().map(|entry| entry.bytes).sum::<u64>();
        kept.sort_by_key(|entry| entry.used);
        for entry in kept {
            let is_stale = entry.used.elapsed().is_ok_and(|age| age > UNUSED_MAX);
            let fits = used.saturating_add(bytes) <= self.bytes_max;
            if !is_stale && (fits || bytes > self.bytes_max) {
                break;
            }
            if evict(&entry.path)? {
                used -= entry.bytes;
            }
        }
        let fits = used.saturating_add(bytes) <= self.bytes_max;
        if fits { Ok(()) } else { Err(BlobError::NoRoom { bytes, bytes_max: self.bytes_max }) }
    }
}

/// Deletes a file that nobody uses, and tells whether it is gone.
fn evict(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => fs::remove_file(path).map(|()| true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Returns the files `depth` folders below `folder`. A folder or file that vanishes meanwhile is none.
fn entries(folder: &Path, depth: usize) -> io::Result<Vec<Entry>> {
    let mut found = vec![];
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if metadata.is_dir() && depth > 0 {
            found.extend(entries(&entry.path(), depth - 1)?);
        } else if metadata.is_file() {
            found.push(Entry { path: entry.path(), bytes: metadata.len(), used: metadata.modified()? });
        }
    }
    Ok(found)
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(Clock::system().now().0)
}

#[cfg(test)]
#[path = "cache/tests.rs"]
mod tests;
