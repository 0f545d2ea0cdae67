//! Snapshots: files in series, of which only the last ones matter. They lie beside the blobs, because no event names them.
//!
//! A name says everything: the series, a number that rises, and the digest of the content. So nothing points to the last one and nobody has to
//! agree on it: two writers at once leave two whole files, and who reads one can tell that it is what was written.

use super::error::{BlobError, failed};
use super::{Blobs, Place, blocking, file, transfer};
use domain::BlobRef;
use futures::TryStreamExt as _;
use object_store::ObjectStoreExt as _;
use object_store::path::Path as Key;
use std::fs::File;
use std::path::Path;

/// Snapshots of a series that stay: the last, and one before it for readers that have just begun with it.
pub const SNAPSHOTS_KEPT: usize = 2;

/// Folder of all series.
const FOLDER: &str = "snapshots";

/// Digits of a number in a name, so that names sort like numbers.
const NUMBER_DIGITS: usize = 20;

const MEDIA_TYPE: &str = "application/octet-stream";

/// A kept snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its place in the series.
    pub number: u64,
    key: Key,
    content: BlobRef,
}

impl Snapshot {
    /// Reads a name like `snapshots/SERIES/00000000000000001234-DIGEST`; anything else is no snapshot.
    fn from_meta(meta: object_store::ObjectMeta) -> Option<Self> {
        let (number, digest) = meta.location.filename()?.split_once('-')?;
        let content = BlobRef { sha256: digest.parse().ok()?, bytes: meta.size, media_type: MEDIA_TYPE.to_owned() };
        Some(Self { number: number.parse().ok()?, content, key: meta.location })
    }

    /// Returns its size.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.content.bytes
    }
}

impl Blobs {
    /// Keeps a copy of a file as the snapshot `number` of a series such as `log/0`, and deletes all but the last [`SNAPSHOTS_KEPT`].
    ///
    /// # Errors
    /// See [`BlobError`].
    pub async fn keep_snapshot(&self, series: &str, number: u64, path: &Path) -> Result<(), BlobError> {
        let content = Self::describe_file(path, MEDIA_TYPE).await?;
        let name = format!("{FOLDER}/{series}/{number:0NUMBER_DIGITS$}-{}", content.sha256);
        if let Place::Folder(folder) = &self.place {
            let (folder, source, target) = (folder.clone(), path.to_owned(), folder.join(&name));
            blocking(move || file::copy_to(&folder, &source, &target)).await?;
        } else {
            transfer::send_file(&*self.store, &Key::from(name), &content, path, self.pace()).await?;
        }
        for old in self.snapshots(series).await?.into_iter().skip(SNAPSHOTS_KEPT) {
            match self.store.delete(&old.key).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(failed("deleting an old snapshot", error)),
            }
        }
        Ok(())
    }

    /// Returns the snapshots of a series, the last first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn snapshots(&self, series: &str) -> Result<Vec<Snapshot>, BlobError> {
        let folder = Key::from(format!("{FOLDER}/{series}"));
        let found: Vec<_> = self.store.list(Some(&folder)).try_collect().await.map_err(|error| failed("listing snapshots", error))?;
        let mut snapshots: Vec<_> = found.into_iter().filter_map(Snapshot::from_meta).collect();
        snapshots.sort_by(|one, other| (other.number, &other.key).cmp(&(one.number, &one.key)));
        Ok(snapshots)
    }

    /// Writes a snapshot to `path`, over what is there, and checks it; where that fails, `path` holds nothing of use.
    ///
    /// # Errors
    /// See [`BlobError`]; also when it was deleted meanwhile, because there are newer ones.
    pub async fn fetch_snapshot(&self, snapshot: &Snapshot, path: &Path) -> Result<(), BlobError> {
        let path = path.to_owned();
        let file = blocking(move || Ok(File::create(path)?)).await?;
        transfer::fetch(self.store.clone(), snapshot.key.clone(), &snapshot.content, &file, self.pace()).await
    }
}
