//! Blobs are whole, named by their content, and kept once.

use domain::BlobRef;
use futures::{StreamExt as _, TryStreamExt as _};
use runtime::blobs::{BlobError, Blobs};
use std::fs;

const HELLO: &[u8] = b"hello, blobs";

async fn check_round_trip(blobs: Blobs) {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    fs::write(&source, HELLO).unwrap();

    let copied = blobs.put_file(&source, "text/plain").await.unwrap();
    assert_eq!(copied.sha256.to_string(), "686c82473de28c4ad4ff4d46877b13f393904a4a23aa74c6bdda31607cda0207");
    assert_eq!(copied.bytes, HELLO.len() as u64);
    assert!(source.exists(), "somebody else's file stays");
    assert_eq!(blobs.put_bytes(HELLO, "text/plain").await.unwrap(), copied);
    assert_eq!(blobs.get_bytes(&copied).await.unwrap(), HELLO);
    assert!(blobs.contains(&copied).await.unwrap());

    let taken = blobs.take_file(&source, "text/plain").await.unwrap();
    assert_eq!(taken, copied);
    assert!(!source.exists(), "a file of our own is gone");
    let part: Vec<u8> = blobs.open_range(&copied, 7..12).await.unwrap().try_concat_bytes().await;
    assert_eq!(part, b"blobs");
    assert!(blobs.open_range(&copied, 7..13).await.is_err());

    let kept: Vec<_> = blobs.list().map(|kept| kept.unwrap()).collect().await;
    assert_eq!((kept.len(), kept[0].sha256, kept[0].bytes), (1, copied.sha256, copied.bytes));
    blobs.delete(copied.sha256).await.unwrap();
    blobs.delete(copied.sha256).await.unwrap();
    assert!(matches!(blobs.get_bytes(&copied).await, Err(BlobError::Missing(digest)) if digest == copied.sha256));
    assert!(!blobs.contains(&copied).await.unwrap());
}

trait TryConcatBytes {
    async fn try_concat_bytes(self) -> Vec<u8>;
}

impl<S: futures::Stream<Item = Result<bytes::Bytes, BlobError>>> TryConcatBytes for S {
    async fn try_concat_bytes(self) -> Vec<u8> {
        self.try_fold(Vec::new(), |mut all, chunk| async move {
            all.extend_from_slice(&chunk);
            Ok(all)
        })
        .await
        .unwrap()
    }
}

#[tokio::test]
async fn a_blob_comes_back_from_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    check_round_trip(Blobs::open(&folder.path().join("blobs")).unwrap()).await;
}

#[tokio::test]
async fn a_blob_comes_back_from_memory() {
    check_round_trip(Blobs::in_memory()).await;
}

#[tokio::test]
async fn a_blob_lies_at_its_digest() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(folder.path()).unwrap();
    let empty = blobs.put_bytes(&b""[..], "text/plain").await.unwrap();
    let expected = "sha256/e3/b0/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(blobs.local_path(&empty).unwrap(), folder.path().join(expected));
}

#[tokio::test]
async fn a_changed_blob_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(folder.path()).unwrap();
    let blob = blobs.put_bytes(HELLO, "text/plain").await.unwrap();
    let path = blobs.local_path(&blob).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"HELLO, blobs").unwrap();
    assert!(matches!(blobs.get_bytes(&blob).await, Err(BlobError::Damaged { .. })));
    fs::write(&path, b"hello").unwrap();
    assert!(matches!(blobs.get_bytes(&blob).await, Err(BlobError::Damaged { .. })));
    let again = blobs.put_bytes(HELLO, "text/plain").await.unwrap();
    assert_eq!(blobs.get_bytes(&again).await.unwrap(), HELLO, "putting it again repairs a cut one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_bytes_put_many_times_at_once_are_kept_once() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    fs::write(&source, vec![7; 3_000_000]).unwrap();
    let blobs = Blobs::open(&folder.path().join("blobs")).unwrap();
    let puts: Vec<_> = (0..16)
        .map(|_| {
            let (blobs, source) = (blobs.clone(), source.clone());
            tokio::spawn(async move { blobs.put_file(&source, "video/mp4").await.unwrap() })
        })
        .collect();
    let mut refs: Vec<BlobRef> = Vec::new();
    for put in puts {
        refs.push(put.await.unwrap());
    }
    assert!(refs.iter().all(|blob| *blob == refs[0]));
    assert_eq!(blobs.get_bytes(&refs[0]).await.unwrap().len(), 3_000_000);
    assert_eq!(blobs.list().count().await, 1);
    assert_eq!(fs::read_dir(folder.path().join("blobs/scratch")).unwrap().count(), 0, "nothing is left aside");
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
