//! The bucket that live tests use, from the addresses and keys that `infra/local/up s3` wrote down.

use object_store::aws::AmazonS3Builder;
use object_store::path::Path as Key;
use object_store::signer::Signer as _;
use runtime::blobs::S3Settings;
use std::path::Path;
use std::time::Duration;
use tokio::sync::OnceCell;

pub(crate) const BUCKET: &str = "clipflow-test";
pub(crate) const REGION: &str = "us-east-1";

pub(crate) fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: start a server with `infra/local/up s3`, then load its variables: `set -a; . out/engines/clients.env`")
    })
}

/// Returns settings for an empty part of the bucket, with a cache in `folder`.
pub(crate) async fn settings(folder: &Path) -> S3Settings {
    MADE.get_or_init(make).await;
    let mut settings = S3Settings::new(BUCKET, REGION, folder.join("cache"));
    settings.endpoint = Some(variable("CLIPFLOW_S3_ENDPOINT").parse().unwrap());
    settings.prefix = format!("test/{}", runtime::ids::fresh().simple());
    settings
}

pub(crate) fn builder() -> AmazonS3Builder {
    AmazonS3Builder::new()
        .with_bucket_name(BUCKET)
        .with_region(REGION)
        .with_endpoint(variable("CLIPFLOW_S3_ENDPOINT"))
        .with_access_key_id(variable("CLIPFLOW_S3_ACCESS_KEY"))
        .with_secret_access_key(variable("CLIPFLOW_S3_SECRET_KEY"))
        .with_allow_http(true)
}

/// Made once: two who make it at the same time may be answered with an internal error.
static MADE: OnceCell<()> = OnceCell::const_new();

/// `object_store` makes no buckets, but signs the request that does.
async fn make() {
    let url = builder().build().unwrap().signed_url(reqwest::Method::PUT, &Key::default(), Duration::from_secs(60)).await.unwrap();
    let answer = reqwest::Client::new().put(url).send().await.unwrap();
    assert!(matches!(answer.status().as_u16(), 200 | 409), "making the bucket: {} {}", answer.status(), answer.text().await.unwrap());
}
