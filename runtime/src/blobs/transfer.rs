//! Blobs on their way to and from a store that is not a folder: in parts, several at a time, hashed as they go.

use super::error::{BlobError, failed, is_broken_connection, refused};
use bytes::Bytes;
use domain::BlobRef;
use domain::blob::Digest;
use futures::stream::{self, Stream, StreamExt as _, TryStreamExt as _};
use object_store::path::Path as Key;
use object_store::{
    Attribute, Attributes, MultipartUpload, ObjectStore, ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload,
};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use tokio::task::JoinSet;

/// From here on a question whether the bytes are there is cheaper than sending them in vain.
const ASK_FIRST_BYTES: usize = 64 * 1024;

/// Tries of a conditional put whose connection breaks; `object_store` does not repeat these by itself, because it cannot know that we look first.
const PUT_TRIES_MAX: usize = 4;

/// How much goes at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) part_bytes: usize,
    pub(super) parts_at_once: usize,
}

impl Pace {
    /// For a store in memory: nothing is gained by more.
    pub(super) const MEMORY: Self = Self { part_bytes: 8 << 20, parts_at_once: 1 };
}

/// Tells whether `key` holds `bytes` bytes. What was cut or changed by somebody counts as missing.
pub(super) async fn is_whole(store: &dyn ObjectStore, key: &Key, blob: &BlobRef) -> Result<bool, BlobError> {
    match store.head(key).await {
        Ok(meta) => Ok(meta.size == blob.bytes),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(refused(blob.sha256, error)),
    }
}

/// Sends bytes, unless they are there.
pub(super) async fn send_bytes(store: &dyn ObjectStore, key: &Key, blob: &BlobRef, bytes: Bytes) -> Result<(), BlobError> {
    if bytes.len() >= ASK_FIRST_BYTES && is_whole(store, key, blob).await? {
        return Ok(());
    }
    let mut mode = PutMode::Create;
    for tried in 1..=PUT_TRIES_MAX {
        let options = PutOptions { mode: mode.clone(), attributes: attributes(blob), ..PutOptions::default() };
        let Err(error) = store.put_opts(key, bytes.clone().into(), options).await else { return Ok(()) };
        // Somebody was faster (a server that sees so may hang up before it has read everything), or the answer to a success got lost.
        if may_be_kept(&error) && is_whole(store, key, blob).await? {
            return Ok(());
        }
        match error {
            // Something else lies under this name: damaged, or put there by hand.
            object_store::Error::AlreadyExists { .. } => mode = PutMode::Overwrite,
            error if is_broken_connection(&error) && tried < PUT_TRIES_MAX => {}
            error => return Err(failed("putting a blob", error)),
        }
    }
    Err(BlobError::Store(anyhow::anyhow!("blob {} changes while it is put", blob.sha256)))
}

fn may_be_kept(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::AlreadyExists { .. }) || is_broken_connection(error)
}

/// Sends a file whose digest is known, unless it is there. A file that has changed since is refused, and nothing of it is seen.
pub(super) async fn send_file(store: &dyn ObjectStore, key: &Key, blob: &BlobRef, path: &Path, pace: Pace) -> Result<(), BlobError> {
    if is_whole(store, key, blob).await? {
        return Ok(());
    }
    let parts = Parts::open(path, pace.part_bytes).await?;
    if blob.bytes <= pace.part_bytes as u64 {
        let (parts, bytes) = parts.next().await?;
        parts.check(blob)?;
        return send_bytes(store, key, blob, bytes.unwrap_or_default()).await;
    }
    let options = PutMultipartOptions { attributes: attributes(blob), ..PutMultipartOptions::default() };
    let mut upload = store.put_multipart_opts(key, options).await.map_err(|error| failed("starting an upload", error))?;
    let outcome = match send_parts(upload.as_mut(), blob, parts, pace).await {
        Ok(()) => upload.complete().await.map_err(|error| failed("ending an upload", error)).map(drop),
        Err(error) => Err(error),
    };
    let Err(error) = outcome else { return Ok(()) };
    if let Err(error) = upload.abort().await {
        // The bucket's rule for unfinished uploads deletes what is left.
        tracing::debug!(error = %error, "could not abort an upload");
    }
    // Somebody may have been faster with the same bytes, or the answer to a success got lost: the name tells.
    match is_whole(store, key, blob).await {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(error),
    }
}

async fn send_parts(upload: &mut dyn MultipartUpload, blob: &BlobRef, mut parts: Parts, pace: Pace) -> Result<(), BlobError> {
    let mut sending = JoinSet::new();
    loop {
        let (rest, bytes) = parts.next().await?;
        parts = rest;
        let Some(bytes) = bytes else { break };
        if sending.len() == pace.parts_at_once
            && let Some(sent) = sending.join_next().await
        {
            arrived(sent)?;
        }
        sending.spawn(upload.put_part(PutPayload::from(bytes)));
    }
    parts.check(blob)?;
    while let Some(sent) = sending.join_next().await {
        arrived(sent)?;
    }
    Ok(())
}

fn arrived(sent: Result<object_store::Result<()>, tokio::task::JoinError>) -> Result<(), BlobError> {
    let sent = sent.map_err(|error| BlobError::Store(anyhow::Error::new(error).context("sending a part")))?;
    sent.map_err(|error| failed("sending a part", error))
}

fn attributes(blob: &BlobRef) -> Attributes {
    Attributes::from_iter([(Attribute::ContentType, blob.media_type.clone())])
}

/// A file that is read part by part, and hashed.
struct Parts {
    file: File,
    hash: Sha256,
    bytes: u64,
    part_bytes: usize,
}

impl Parts {
    async fn open(path: &Path, part_bytes: usize) -> Result<Self, BlobError> {
        let path = path.to_owned();
        let file = super::blocking(move || Ok(File::open(path)?)).await?;
        Ok(Self { file, hash: Sha256::new(), bytes: 0, part_bytes })
    }

    /// Returns the next part, or `None` at the end.
    async fn next(mut self) -> Result<(Self, Option<Bytes>), BlobError> {
        super::blocking(move || {
            let mut part = Vec::with_capacity(self.part_bytes);
            (&self.file).take(self.part_bytes as u64).read_to_end(&mut part)?;
            self.hash.update(&part);
            self.bytes += part.len() as u64;
            let part = (!part.is_empty()).then(|| Bytes::from(part));
            Ok((self, part))
        })
        .await
    }

    fn check(&self, blob: &BlobRef) -> Result<(), BlobError> {
        let digest = Digest(self.hash.clone().finalize().into());
        if digest == blob.sha256 && self.bytes == blob.bytes {
            return Ok(());
        }
        Err(BlobError::Store(anyhow::anyhow!("the file changed while it was sent: it is {digest} now and was {}", blob.sha256)))
    }
}

/// Returns the bytes of `key` in `range`, in order, fetched by as many requests as there are parts: each has its own tries and time limit.
pub(super) fn read(
    store: Arc<dyn ObjectStore>,
    key: Key,
    range: Range<u64>,
    pace: Pace,
) -> impl Stream<Item = object_store::Result<Bytes>> + Send + 'static {
    let step = pace.part_bytes;
    let end = range.end;
    stream::iter(range.step_by(step))
        .map(move |from| {
            let (store, key) = (store.clone(), key.clone());
            async move { store.get_range(&key, from..end.min(from + step as u64)).await }
        })
        .buffered(pace.parts_at_once)
}

/// Returns a whole blob, whose digest the caller checks.
pub(super) async fn read_whole(store: Arc<dyn ObjectStore>, key: Key, blob: &BlobRef, pace: Pace) -> Result<Bytes, BlobError> {
    let meta = store.head(&key).await.map_err(|error| refused(blob.sha256, error))?;
    check_size(blob, meta.size)?;
    let all = Vec::with_capacity(usize::try_from(blob.bytes).unwrap_or(0));
    let parts = read(store, key, 0..blob.bytes, pace).map_err(|error| refused(blob.sha256, error));
    let all = parts.try_fold(all, |mut all, part| {
        all.extend_from_slice(&part);
        std::future::ready(Ok(all))
    });
    Ok(all.await?.into())
}

pub(super) fn check_size(blob: &BlobRef, bytes: u64) -> Result<(), BlobError> {
    if bytes == blob.bytes {
        return Ok(());
    }
    Err(BlobError::damaged(blob.sha256, format!("it has {bytes} bytes instead of {}", blob.bytes)))
}

/// Fetches a whole blob into `file`, which is empty, and checks it.
pub(super) async fn fetch(store: Arc<dyn ObjectStore>, key: Key, blob: &BlobRef, file: &File, pace: Pace) -> Result<(), BlobError> {
    let digest = blob.sha256;
    let meta = store.head(&key).await.map_err(|error| refused(digest, error))?;
    check_size(blob, meta.size)?;
    let file = Arc::new(file.try_clone()?);
    let fetching = read(store, key, 0..blob.bytes, pace).map_err(|error| refused(digest, error));
    let hash = fetching
        .try_fold(Sha256::new(), |mut hash, bytes| {
            let file = file.clone();
            super::blocking(move || {
                hash.update(&bytes);
                (&*file).write_all(&bytes)?;
                Ok(hash)
            })
        })
        .await?;
    let actual = Digest(hash.finalize().into());
    if actual == digest { Ok(()) } else { Err(BlobError::damaged(digest, format!("its content has digest {actual}"))) }
}
