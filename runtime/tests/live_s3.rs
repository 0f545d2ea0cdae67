//! Blobs on a real S3 server that checks signatures and conditions. Start one with `infra/local/up s3`.
#![allow(clippy::unwrap_used, clippy::print_stdout, unreachable_pub, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "tests learn from the environment where the server is")]

#[path = "it/blob_kill.rs"]
mod blob_kill;
#[path = "live_s3/bucket.rs"]
mod bucket;
#[path = "live_s3/wire.rs"]
mod wire;

use bucket::{builder, settings, variable};
use bytes::Bytes;
use domain::BlobRef;
use object_store::ObjectStoreExt as _;
use object_store::path::Path as Key;
use runtime::blobs::conformance::{a_damaged_blob_is_noticed_and_repaired, suite};
use runtime::blobs::{BlobError, BlobSettings, Blobs, Encryption, S3Settings};
use std::time::Duration;

/// Puts other bytes where a blob lies.
async fn damage(settings: &S3Settings, blob: BlobRef, bytes: Bytes) {
    let name = blob.sha256.to_string();
    let key = format!("{}/sha256/{}/{}/{name}", settings.prefix, name.get(..2).unwrap(), name.get(2..4).unwrap());
    builder().build().unwrap().put(&Key::from(key), bytes.into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_is_a_store_of_blobs() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path()).await;
    let blobs = Blobs::s3(&settings).unwrap();
    blobs.check().await.unwrap();
    suite(&blobs).await;
    a_damaged_blob_is_noticed_and_repaired(&blobs, |blob, bytes| damage(&settings, blob, bytes)).await;
    for aside in ["scratch", "coming"] {
        assert_eq!(std::fs::read_dir(settings.cache_folder.join(aside)).unwrap().count(), 0, "nothing is left in {aside}");
    }
}

#[tokio::test]
async fn a_process_killed_while_it_puts_leaves_nothing_in_s3() {
    let folder = tempfile::tempdir().unwrap();
    let settings = BlobSettings::S3(Box::new(settings(folder.path()).await));
    blob_kill::check(&settings, "blob_kill::putting_process").await;
}

/// Returns the code and the setting that a store answers with.
async fn answer(settings: S3Settings) -> (&'static str, &'static str) {
    let blobs = Blobs::s3(&settings).unwrap();
    let unusable = |outcome: Result<(), BlobError>| match outcome {
        Err(BlobError::Unusable { code, setting, .. }) => (code, setting),
        other => panic!("{other:?}"),
    };
    let checked = unusable(blobs.check().await);
    assert_eq!(unusable(blobs.put_bytes("hello", "text/plain").await.map(drop)), checked, "a put says the same");
    checked
}

#[tokio::test]
async fn a_refusal_names_the_setting() {
    let folder = tempfile::tempdir().unwrap();
    let right = settings(folder.path()).await;
    let file = folder.path().join("credentials");
    let with_keys = |access_key: &str, secret_key: &str| {
        std::fs::write(&file, format!("[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n")).unwrap();
        S3Settings { credentials_file: Some(file.clone()), ..right.clone() }
    };
    let (access_key, secret_key) = (variable("CLIPFLOW_S3_ACCESS_KEY"), variable("CLIPFLOW_S3_SECRET_KEY"));
    Blobs::s3(&with_keys(&access_key, &secret_key)).unwrap().check().await.unwrap();
    assert_eq!(answer(with_keys(&access_key, "wrong")).await, ("S3_REFUSED", "credentials"));
    assert_eq!(answer(with_keys("nobody", &secret_key)).await, ("S3_REFUSED", "credentials"));
    assert_eq!(answer(S3Settings { bucket: "clipflow-nowhere".into(), ..right.clone() }).await, ("S3_NO_BUCKET", "bucket"));
    // Port 1 is nobody's.
    let unreachable = S3Settings { endpoint: Some("http://127.0.0.1:1".parse().unwrap()), ..right.clone() };
    assert_eq!(answer(unreachable).await, ("S3_UNREACHABLE", "endpoint"));
}

#[tokio::test]
async fn the_local_cache_keeps_its_limit_and_takes_nothing_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let settings = S3Settings { cache_bytes_max: 2_500, ..settings(folder.path()).await };
    let blobs = Blobs::s3(&settings).unwrap();
    let mut kept = vec![];
    for seed in 0..4_u8 {
        kept.push(blobs.put_bytes(vec![seed; 1_000], "video/mp4").await.unwrap());
    }
    let (first, second) = (blobs.open_local(&kept[0]).await.unwrap(), blobs.open_local(&kept[1]).await.unwrap());
    let refused = blobs.open_local(&kept[2]).await.unwrap_err();
    assert!(matches!(refused, BlobError::NoRoom { bytes: 1_000, bytes_max: 2_500 }), "{refused}");
    drop(second);
    let third = blobs.open_local(&kept[2]).await.unwrap();
    assert_eq!(std::fs::read(first.path()).unwrap(), [0; 1_000], "what is in use stays");
    drop((first, third));
    damage(&settings, kept[3].clone(), Bytes::from(vec![9; 1_000])).await;
    assert!(matches!(blobs.open_local(&kept[3]).await, Err(BlobError::Damaged { .. })));
    assert_eq!(std::fs::read_dir(settings.cache_folder.join("coming")).unwrap().count(), 0);
    damage(&settings, kept[3].clone(), Bytes::from(vec![3; 900])).await;
    assert!(matches!(blobs.open_local(&kept[3]).await, Err(BlobError::Damaged { .. })));
}

#[tokio::test]
async fn a_link_opens_one_blob_for_reading_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Blobs::s3(&settings(folder.path()).await).unwrap();
    let (film, other) = (blobs.put_bytes("film", "video/mp4").await.unwrap(), blobs.put_bytes("other", "video/mp4").await.unwrap());
    let url = blobs.direct_link(&film, Duration::from_secs(60)).await.unwrap().unwrap();
    let client = reqwest::Client::new();
    let status = async |url: &str| client.get(url).send().await.unwrap().status().as_u16();
    let read = client.get(url.clone()).send().await.unwrap();
    assert_eq!((read.headers()["content-type"].to_str().unwrap(), read.status().as_u16()), ("video/mp4", 200));
    assert_eq!(read.text().await.unwrap(), "film");
    let [name, other_name] = [&film, &other].map(|blob| {
        let name = blob.sha256.to_string();
        format!("{}/{}/{name}", name.get(..2).unwrap(), name.get(2..4).unwrap())
    });
    assert_eq!(status(&url.as_str().replace(&name, &other_name)).await, 403, "of another blob");
    assert_eq!(status(&url.as_str().replace("X-Amz-Expires=60", "X-Amz-Expires=6000")).await, 403, "for longer");
    assert_eq!(client.put(url.clone()).body("x").send().await.unwrap().status(), 403, "for writing");
    let short = blobs.direct_link(&film, Duration::from_secs(1)).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert_eq!(status(short.as_str()).await, 403, "later");
}

#[tokio::test]
async fn every_write_is_conditional_checked_and_encrypted_as_set() {
    let folder = tempfile::tempdir().unwrap();
    let wire = wire::Wire::to(&variable("CLIPFLOW_S3_ENDPOINT")).await;
    let mut settings = settings(folder.path()).await;
    settings.endpoint = Some(wire.endpoint.parse().unwrap());
    settings.encryption = Some(Encryption::Aes256);
    let blobs = Blobs::s3(&settings).unwrap();
    // Whether the server encrypts is its own affair; what it is told is ours.
    drop(blobs.put_bytes("hello", "text/plain").await);
    drop(blobs.put_bytes(vec![5; 9 << 20], "text/plain").await);
    let file = blobs.scratch().unwrap();
    std::fs::write(&file.path, vec![6; 9 << 20]).unwrap();
    drop(blobs.take_file(&file.path, "video/mp4").await);
    let requests = wire.requests();
    let of = |start: &str, part: &str| -> Vec<&String> {
        requests.iter().filter(|request| request.starts_with(start) && request.lines().next().unwrap().contains(part)).collect()
    };
    let all = |found: &[&String], header: &str| !found.is_empty() && found.iter().all(|request| request.contains(header));
    let is_part = |request: &&String| request.lines().next().unwrap().contains("partnumber=");
    let (parts, single): (Vec<_>, Vec<_>) = of("put ", "/sha256/").into_iter().partition(is_part);
    assert!(all(&single, "\nif-none-match: *"), "{single:?}");
    assert!(all(&single, "\nx-amz-server-side-encryption: aes256"));
    assert!(all(&single, "\nx-amz-checksum-sha256: "));
    assert!(all(&parts, "\nx-amz-checksum-sha256: "));
    let begins = of("post ", "?uploads");
    assert!(all(&begins, "\nx-amz-server-side-encryption: aes256"));
    assert!(all(&begins, "\nx-amz-checksum-algorithm: sha256"));
    assert!(all(&begins, "\ncontent-type: video/mp4"));
    assert!(all(&of("post ", "?uploadid="), "\nif-none-match: *"), "{requests:?}");
}

#[tokio::test]
async fn a_connection_that_breaks_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let wire = wire::Wire::to(&variable("CLIPFLOW_S3_ENDPOINT")).await;
    let mut settings = settings(folder.path()).await;
    settings.endpoint = Some(wire.endpoint.parse().unwrap());
    let blobs = Blobs::s3(&settings).unwrap();
    let content = Bytes::from((0..40 << 20).map(|index: u32| (index.wrapping_mul(97) >> 8) as u8).collect::<Vec<u8>>());
    let file = blobs.scratch().unwrap();
    std::fs::write(&file.path, &content).unwrap();
    wire.break_after(10 << 20, 3);
    let blob = blobs.put_file(&file.path, "video/mp4").await.unwrap();
    wire.break_after(10 << 20, 3);
    let local = blobs.open_local(&blob).await.unwrap();
    assert!(std::fs::read(local.path()).unwrap() == content);
    assert_eq!(wire.breaks_left(), 0, "connections did break");
}
