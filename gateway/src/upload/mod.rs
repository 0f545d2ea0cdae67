//! Resumable uploads by tus 1.0: <https://tus.io/protocols/resumable-upload>.
//!
//! `store` keeps the bytes on disk and says how far they are, `finish` makes blobs of them, `tus` speaks the protocol. What was acknowledged survives a crash.

mod finish;
mod receive;
mod store;
mod tus;

pub(crate) use store::NewUpload;
pub(crate) use store::UploadId;
pub use store::Uploads;
pub(crate) use tus::routes;

use crate::Gateway;
use std::sync::Arc;
use std::time::Duration;

/// How often expired uploads are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);

/// Deletes expired uploads, now and every hour.
pub(crate) async fn sweep(gateway: Arc<Gateway>) {
    loop {
        if let Err(error) = gateway.uploads.sweep(gateway.clock.now()).await {
            tracing::error!(error = ?error, "could not delete expired uploads");
        }
        tokio::time::sleep(SWEEP_EVERY).await;
    }
}
