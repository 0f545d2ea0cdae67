//! An upload goes on where it was, whatever happened to the gateway meanwhile and wherever its blobs lie.

use crate::site::Site;
use domain::BlobRef;
use domain::blob::Digest;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// Larger than two parts of S3.
const BYTES: usize = 17 << 20;

const IMPORT: &str = "mutation($id: ID!) { importVideo(input: { uploadId: $id }) { video { title } } }";

fn tus(site: &Site, method: &str, path: &str) -> RequestBuilder {
    site.request(method, path).header("tus-resumable", "1.0.0")
}

async fn patch(site: &Site, path: &str, offset: usize, bytes: &[u8]) -> StatusCode {
    let request = tus(site, "PATCH", path).header("content-type", "application/offset+octet-stream").header("upload-offset", offset);
    request.body(bytes.to_vec()).send().await.unwrap().status()
}

async fn offset(site: &Site, path: &str) -> usize {
    let answer = tus(site, "HEAD", path).send().await.unwrap();
    answer.headers()["upload-offset"].to_str().unwrap().parse().unwrap()
}

pub(crate) fn film(bytes: usize, seed: u32) -> Vec<u8> {
    (0..bytes as u32).map(|index| (index.wrapping_mul(seed) >> 9) as u8).collect()
}

pub(crate) fn named(film: &[u8]) -> BlobRef {
    BlobRef { sha256: Digest(Sha256::digest(film).into()), bytes: film.len() as u64, media_type: "video/mp4".into() }
}

pub(crate) async fn check(site: Site) {
    let film = film(BYTES, 2_654_435_761);
    let request = tus(&site, "POST", "/files").header("upload-length", film.len()).header("upload-metadata", "filename dGFsay5tcDQ=");
    let answer = request.send().await.unwrap();
    let path = answer.headers()["location"].to_str().unwrap().to_owned();
    let id = path.rsplit('/').next().unwrap().to_owned();
    assert_eq!(patch(&site, &path, 0, &film[..6_000_001]).await, 204);

    let site = site.restart().await;
    assert_eq!(offset(&site, &path).await, 6_000_001, "what was acknowledged is here after a restart");
    assert_eq!(patch(&site, &path, 6_000_001, &film[6_000_001..]).await, 204);
    let blob = named(&film);
    assert!(site.gateway.blobs.get_bytes(&blob).await.unwrap() == film, "the blob has all bytes");

    // As after a crash between writing down the blob's name and the end of its way into the store.
    site.gateway.blobs.delete(blob.sha256).await.unwrap();
    std::fs::write(site.folder.path().join(format!("uploads/{id}.part")), &film).unwrap();
    let site = site.restart().await;
    assert_eq!(offset(&site, &path).await, film.len());
    assert_eq!(site.data(IMPORT, json!({ "id": id })).await["importVideo"]["video"]["title"], "talk.mp4");
    assert!(site.gateway.blobs.get_bytes(&blob).await.unwrap() == film, "the rest of the way was gone");
    assert!(!site.folder.path().join(format!("uploads/{id}.part")).exists());
}

#[tokio::test]
async fn an_upload_into_a_folder_survives_restarts() {
    check(Site::start().await).await;
}
