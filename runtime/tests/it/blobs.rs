//! Blobs are whole, named by their content, and kept once.

use crate::blob_kill;
use runtime::blobs::conformance::{a_damaged_blob_is_noticed_and_repaired, suite};
use runtime::blobs::{BlobError, BlobSettings, Blobs};
use std::fs;

const HELLO: &[u8] = b"hello, blobs";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_a_store_of_blobs() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(&folder.path().join("blobs")).unwrap();
    suite(&blobs).await;
    assert_eq!(fs::read_dir(folder.path().join("blobs/scratch")).unwrap().count(), 0, "nothing is left aside");
    a_damaged_blob_is_noticed_and_repaired(&blobs, async |blob, bytes| {
        let path = blobs.open_local(&blob).await.unwrap().path().to_owned();
        fs::remove_file(&path).unwrap();
        fs::write(&path, bytes).unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_a_store_of_blobs() {
    suite(&Blobs::in_memory()).await;
}

#[tokio::test]
async fn a_process_killed_while_it_puts_leaves_nothing_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let settings = BlobSettings::Folder(folder.path().join("blobs"));
    blob_kill::check(&settings, "blob_kill::putting_process").await;
}

#[tokio::test]
async fn a_blob_lies_at_its_digest() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(folder.path()).unwrap();
    let empty = blobs.put_bytes(&b""[..], "text/plain").await.unwrap();
    let expected = "sha256/e3/b0/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(blobs.open_local(&empty).await.unwrap().path(), folder.path().join(expected));
}

#[tokio::test]
async fn scratch_files_vanish_unless_they_become_blobs() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(folder.path()).unwrap();
    let (kept, dropped) = (blobs.scratch().unwrap(), blobs.scratch().unwrap());
    fs::write(&kept.path, HELLO).unwrap();
    fs::write(&dropped.path, HELLO).unwrap();
    let blob = blobs.take_file(&kept.path, "text/plain").await.unwrap();
    drop((kept, dropped));
    assert_eq!(fs::read_dir(folder.path().join("scratch")).unwrap().count(), 0);
    assert_eq!(blobs.get_bytes(&blob).await.unwrap(), HELLO);
}

#[test]
fn a_full_disk_is_told_apart() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").and_then(|mut file| std::io::Write::write_all(&mut file, HELLO));
    assert!(matches!(BlobError::from(full.unwrap_err()), BlobError::Full));
    let wrapped = anyhow::Error::new(std::io::Error::from(std::io::ErrorKind::StorageFull)).context("copying");
    assert!(matches!(BlobError::from(wrapped), BlobError::Full));
    assert!(matches!(BlobError::from(std::io::Error::other("else")), BlobError::Store(_)));
}
