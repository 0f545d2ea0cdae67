//! The way past this server: a browser reads a blob from S3, or leaves a file there, at an address that works for a while.
//!
//! Whoever gives out an address has checked who asks. What is left at S3 is nobody's blob until it was fetched, measured and hashed here: its
//! sender still holds the address and could write again, so its bytes are never taken over where they lie.

use super::error::failed;
use super::{BlobError, Blobs, Key, Place, transfer};
use domain::BlobRef;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::ObjectStoreExt as _;
use reqwest::Method;
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use url::Url;

/// Largest file that is left at S3: it takes no more in one request.
pub const DIRECT_BYTES_MAX: u64 = 5 << 30;

/// Where files lie that were left. The bucket's rule empties it after some days.
const INCOMING: &str = "incoming";

impl Blobs {
    /// Returns scheme, host and port of direct links, when there are any.
    #[must_use]
    pub fn direct_origin(&self) -> Option<&str> {
        match &self.place {
            Place::S3(remote) => Some(&remote.bucket.public_origin),
            Place::Folder(_) | Place::Memory => None,
        }
    }

    /// Returns an address at which whoever has it can read a blob for as long as `lasts`, when the store has such.
    ///
    /// # Errors
    /// When there are no credentials to sign it with.
    pub async fn direct_link(&self, blob: &BlobRef, lasts: Duration) -> Result<Option<Url>, BlobError> {
        let Place::S3(remote) = &self.place else { return Ok(None) };
        remote.bucket.sign(Method::GET, &super::key(blob.sha256), lasts).await.map(Some)
    }

    /// Returns an address at which whoever has it can leave a file (by `PUT`) as `name` for as long as `lasts`, when the store has such.
    ///
    /// # Errors
    /// When there are no credentials to sign it with.
    pub async fn direct_upload(&self, name: &str, lasts: Duration) -> Result<Option<Url>, BlobError> {
        let Place::S3(remote) = &self.place else { return Ok(None) };
        remote.bucket.sign(Method::PUT, &incoming(name), lasts).await.map(Some)
    }

    /// Returns the size of the file that was left as `name`, if there is one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn left_bytes(&self, name: &str) -> Result<Option<u64>, BlobError> {
        let Place::S3(_) = &self.place else { return Ok(None) };
        match self.store.head(&incoming(name)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed("looking for a direct upload", error)),
        }
    }

    /// Fetches the `bytes` bytes that were left as `name` into the file at `path`, which survive a crash afterwards.
    ///
    /// # Errors
    /// When there are fewer, or the store or the disk fails.
    pub async fn fetch_left(&self, name: &str, bytes: u64, path: &Path) -> Result<(), BlobError> {
        let mut file = tokio::fs::OpenOptions::new().write(true).create(true).truncate(true).open(path).await?;
        let mut parts = transfer::read(self.store.clone(), incoming(name), 0..bytes, self.pace()).boxed();
        let mut came = 0;
        while let Some(part) = parts.try_next().await.map_err(|error| failed("fetching a direct upload", error))? {
            file.write_all(&part).await?;
            came += part.len() as u64;
        }
        if came != bytes {
            return Err(BlobError::Store(anyhow::anyhow!("a direct upload changed while it was fetched: {came} of {bytes} bytes came")));
        }
        file.flush().await?;
        Ok(file.sync_all().await?)
    }

    /// Deletes what was left as `name`, if anything.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete_left(&self, name: &str) -> Result<(), BlobError> {
        let Place::S3(_) = &self.place else { return Ok(()) };
        match self.store.delete(&incoming(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed("deleting a direct upload", error)),
        }
    }
}

fn incoming(name: &str) -> Key {
    Key::from_iter([INCOMING, name])
}
