//! The end of an upload: from a whole file on disk to a blob, in a folder or in S3.
//!
//! Uploads are staged on disk also when blobs lie in S3, and go there in parts once all bytes have come. A part of S3 has at least 5 MiB and cannot be
//! cut, while tus acknowledges any byte and takes back what fails its checksum, so the tail would lie here anyway; and a blob's name is its digest,
//! which is known at the end, when S3 copies no more than 5 GiB. The price: an upload belongs to the gateway that it began at.
//! Whoever wants the bytes to bypass us sends them to S3 whole, at an address that we sign (`direct`).

use super::receive::{failed, unkept};
use super::store::{Upload, UploadId, Uploads};
use crate::problem::Problem;
use axum::http::StatusCode;
use runtime::blobs::Blobs;
use tokio::sync::OwnedMutexGuard;

impl Uploads {
    /// Ends an upload of which `offset` bytes are here, in a task of its own: it goes on when the client hangs up, and nobody else writes meanwhile.
    pub(super) async fn end_apart(&self, blobs: &Blobs, upload: Upload, offset: u64, lock: OwnedMutexGuard<()>) -> Result<Upload, Problem> {
        let (uploads, blobs) = (self.clone(), blobs.clone());
        let ending = async move {
            let _lock = lock;
            uploads.end(&blobs, upload, offset).await
        };
        tokio::spawn(ending).await.map_err(Problem::internal)?
    }

    async fn end(&self, blobs: &Blobs, upload: Upload, offset: u64) -> Result<Upload, Problem> {
        let is_here = offset == upload.bytes || (offset == 0 && self.collect(blobs, upload.id, upload.bytes).await?);
        if !is_here || upload.is_partial {
            let message = format!("{offset} of {} bytes have come; finish the upload first", upload.bytes);
            return Err(Problem::new(StatusCode::CONFLICT, "UPLOAD_INCOMPLETE", message));
        }
        self.finish(blobs, upload).await
    }

    /// Moves the bytes into the blobs. Their name is written down first, so that a crash at any point is followed by the rest of the way.
    pub(super) async fn finish(&self, blobs: &Blobs, mut upload: Upload) -> Result<Upload, Problem> {
        let part = self.part(upload.id);
        let blob = match &upload.blob {
            Some(blob) => blob.clone(),
            None => {
                let blob = Blobs::describe_file(&part, &upload.media_type).await.map_err(unkept)?;
                upload.blob = Some(blob.clone());
                self.write(&upload).await?;
                blob
            }
        };
        if tokio::fs::try_exists(&part).await.map_err(failed)? {
            blobs.take_described(&part, &blob).await.map_err(unkept)?;
        }
        blobs.delete_left(&upload.id.to_string()).await.map_err(unkept)?;
        Ok(upload)
    }

    /// Fetches what was sent past us, and tells whether there was anything.
    async fn collect(&self, blobs: &Blobs, id: UploadId, bytes: u64) -> Result<bool, Problem> {
        let name = id.to_string();
        let Some(left) = blobs.left_bytes(&name).await.map_err(unkept)? else { return Ok(false) };
        if left != bytes {
            blobs.delete_left(&name).await.map_err(unkept)?;
            let message = format!("{left} bytes were sent and {bytes} announced; send the file again");
            return Err(Problem::new(StatusCode::CONFLICT, "UPLOAD_SIZE_MISMATCH", message));
        }
        let aside = self.aside(id);
        blobs.fetch_left(&name, bytes, &aside).await.map_err(unkept)?;
        tokio::fs::rename(&aside, self.part(id)).await.map_err(failed)?;
        Ok(true)
    }
}
