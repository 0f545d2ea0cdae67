use super::*;
use sha2::{Digest as _, Sha256};

fn open(folder: &Path, bytes_max: u64) -> Arc<Cache> {
    Arc::new(Cache::open(folder, bytes_max).unwrap())
}

fn blob(content: &[u8]) -> BlobRef {
    BlobRef { sha256: Digest(Sha256::digest(content).into()), bytes: content.len() as u64, media_type: "text/plain".into() }
}

/// Puts `content` in as a download would.
async fn fetched(cache: &Arc<Cache>, content: &[u8]) -> Result<Held, BlobError> {
    let blob = blob(content);
    let room = cache.make_room(blob.bytes).await?;
    fs::write(&room.scratch.path, content).unwrap();
    let held = cache.place(room, blob.sha256, blob.bytes).await?;
    // So that the order of use does not hang on the file system's clock.
    std::thread::sleep(Duration::from_millis(5));
    Ok(held)
}

async fn is_here(cache: &Arc<Cache>, content: &[u8]) -> bool {
    let held = cache.hold(&blob(content)).await.unwrap();
    std::thread::sleep(Duration::from_millis(5));
    held.is_some_and(|held| fs::read(held.path).unwrap() == content)
}

#[tokio::test]
async fn the_least_recently_used_goes_first() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 25);
    for content in [b"first.....", b"second...."] {
        drop(fetched(&cache, content).await.unwrap());
    }
    assert!(is_here(&cache, b"first.....").await, "and so it is the last one used");
    drop(fetched(&cache, b"third.....").await.unwrap());
    assert!(is_here(&cache, b"first.....").await);
    assert!(!is_here(&cache, b"second....").await);
    assert_eq!(fs::read_dir(folder.path().join("coming")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_file_in_use_is_never_evicted_also_not_by_others() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (open(folder.path(), 25), open(folder.path(), 25));
    let first = fetched(&ours, b"first.....").await.unwrap();
    let second = fetched(&ours, b"second....").await.unwrap();
    let refused = theirs.make_room(10).await.map(drop).unwrap_err();
    assert!(matches!(refused, BlobError::NoRoom { bytes: 10, bytes_max: 25 }), "{refused}");
    assert!(refused.to_string().contains("cache_bytes_max"));
    assert_eq!(fs::read(&first.path).unwrap(), b"first.....");
    theirs.forget(blob(b"first.....").sha256).unwrap();
    assert!(first.path.exists(), "nor is it deleted");
    drop(second);
    drop(fetched(&theirs, b"third.....").await.unwrap());
    assert!(is_here(&ours, b"first.....").await);
    drop(first);
    theirs.forget(blob(b"first.....").sha256).unwrap();
    assert!(!is_here(&ours, b"first.....").await);
}

#[tokio::test]
async fn downloads_on_their_way_count_and_dead_ones_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 25);
    let room = cache.make_room(20).await.unwrap();
    assert!(matches!(cache.make_room(10).await, Err(BlobError::NoRoom { .. })));
    // A process that dies leaves its file and loses its lock.
    let dead = folder.path().join("coming/dead");
    fs::write(&dead, [0; 20]).unwrap();
    drop(room);
    drop(cache.make_room(10).await.unwrap());
    assert!(!dead.exists());
    assert!(matches!(cache.make_room(26).await, Err(BlobError::NoRoom { .. })), "more than everything");
}

#[tokio::test]
async fn a_file_larger_than_the_cache_evicts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 25);
    drop(fetched(&cache, b"first.....").await.unwrap());
    assert!(cache.make_room(26).await.is_err());
    assert!(is_here(&cache, b"first.....").await);
}

#[tokio::test]
async fn two_that_fetch_the_same_end_with_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (open(folder.path(), 100), open(folder.path(), 100));
    let first = ours.make_room(5).await.unwrap();
    fs::write(&first.scratch.path, b"hello").unwrap();
    let second = fetched(&theirs, b"hello").await.unwrap();
    let first = ours.place(first, blob(b"hello").sha256, 5).await.unwrap();
    assert_eq!(first.path, second.path);
    drop(second);
    theirs.forget(blob(b"hello").sha256).unwrap();
    assert_eq!(fs::read(&first.path).unwrap(), b"hello", "the first one still uses it");
}

#[tokio::test]
async fn a_changed_or_stale_file_is_fetched_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 100);
    let path = fetched(&cache, b"hello").await.unwrap().path.clone();
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"hell").unwrap();
    assert!(!is_here(&cache, b"hello").await);
    drop(fetched(&cache, b"hello").await.unwrap());
    let old = now() - UNUSED_MAX - Duration::from_secs(60);
    File::open(&path).unwrap().set_modified(old).unwrap();
    drop(fetched(&cache, b"other").await.unwrap());
    assert!(!path.exists(), "nobody used it for a week");
}

#[test]
fn a_finished_file_is_adopted_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 8);
    let scratch = cache.scratch().unwrap();
    fs::write(&scratch.path, b"hello").unwrap();
    cache.adopt(&scratch.path, blob(b"hello").sha256).unwrap();
    assert!(!scratch.path.exists());
    assert!(cache.hold_now(blob(b"hello").sha256, 5).unwrap().is_some());
    let large = cache.scratch().unwrap();
    fs::write(&large.path, b"more than eight").unwrap();
    cache.adopt(&large.path, blob(b"more than eight").sha256).unwrap();
    assert!(!large.path.exists());
    assert!(cache.hold_now(blob(b"more than eight").sha256, 15).unwrap().is_none());
}
