//! What every store of blobs must do: one suite, run on each.
//!
//! A case panics with a sentence when a store is wrong. Cases share a store and use contents of their own, so that a bucket can be run on as it is.

use super::{BlobError, Blobs};
use bytes::Bytes;
use domain::BlobRef;
use domain::blob::Digest;
use futures::TryStreamExt as _;
use std::path::Path;

/// Larger than two parts and no multiple of one, so that it goes in several.
const LARGE_BYTES: usize = 17 * 1024 * 1024 + 4_321;

/// Tasks that put the same thing at the same time.
const PUTS_AT_ONCE: usize = 8;

/// Runs every case on `blobs`.
pub async fn suite(blobs: &Blobs) {
    bytes_come_back_and_are_kept_once(blobs).await;
    files_are_copied_or_taken(blobs).await;
    a_large_file_goes_in_parts_and_comes_back_whole(blobs).await;
    ranges_are_what_they_say(blobs).await;
    what_is_missing_is_said_to_be(blobs).await;
    what_is_too_large_is_refused_unread(blobs).await;
    the_same_put_many_times_at_once_is_kept_once(blobs).await;
    a_local_file_stays_while_it_is_held(blobs).await;
    everything_is_listed_until_it_is_deleted(blobs).await;
    the_last_snapshots_of_a_series_stay(blobs).await;
}

/// The case for stores that others can reach: `damage` puts other bytes where a blob lies.
pub async fn a_damaged_blob_is_noticed_and_repaired<F: Future<Output = ()>>(blobs: &Blobs, damage: impl Fn(BlobRef, Bytes) -> F) {
    let content = unique(6, 1_000);
    let blob = blobs.put_bytes(content.clone(), "text/plain").await.expect("a put");
    let is_damaged = |outcome: Result<(), BlobError>| matches!(outcome, Err(BlobError::Damaged { .. }));
    damage(blob.clone(), unique(7, 1_000)).await;
    assert!(is_damaged(blobs.get_bytes(&blob).await.map(drop)), "other bytes of the same length");
    damage(blob.clone(), content.slice(..500)).await;
    assert!(is_damaged(blobs.get_bytes(&blob).await.map(drop)), "half of it");
    blobs.put_bytes(content.clone(), "text/plain").await.expect("putting it again");
    assert_eq!(blobs.get_bytes(&blob).await.expect("it is repaired"), content);
}

async fn bytes_come_back_and_are_kept_once(blobs: &Blobs) {
    let content = unique(1, 1_000);
    let first = blobs.put_bytes(content.clone(), "text/plain").await.expect("a first put");
    let second = blobs.put_bytes(content.clone(), "text/plain").await.expect("a second put");
    assert_eq!(first, second);
    assert_eq!(blobs.get_bytes(&first).await.expect("a read"), content);
    let empty = blobs.put_bytes(Bytes::new(), "text/plain").await.expect("an empty blob");
    assert_eq!(empty.sha256.to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(blobs.get_bytes(&empty).await.expect("an empty read").len(), 0);
    assert_eq!(std::fs::read(blobs.open_local(&empty).await.expect("an empty file").path()).expect("the file").len(), 0);
    assert_eq!(kept_times(blobs, first.sha256).await, 1, "kept once");
}

async fn files_are_copied_or_taken(blobs: &Blobs) {
    let source = blobs.scratch().expect("a scratch file");
    let content = unique(2, 1_000);
    std::fs::write(&source.path, &content).expect("writing it");
    let copied = blobs.put_file(&source.path, "text/plain").await.expect("a copy");
    assert!(source.path.exists(), "somebody else's file stays");
    let taken = blobs.take_file(&source.path, "text/plain").await.expect("taking it");
    assert!(!source.path.exists(), "a file of our own is gone");
    assert_eq!(copied, taken);
    assert_eq!(blobs.get_bytes(&taken).await.expect("a read"), content);
}

async fn a_large_file_goes_in_parts_and_comes_back_whole(blobs: &Blobs) {
    let source = blobs.scratch().expect("a scratch file");
    let content = unique(3, LARGE_BYTES);
    std::fs::write(&source.path, &content).expect("writing it");
    let blob = blobs.take_file(&source.path, "video/mp4").await.expect("a large file");
    assert_eq!(blob.bytes, LARGE_BYTES as u64);
    assert!(blobs.get_bytes(&blob).await.expect("a read") == content, "all bytes in their order");
    assert_eq!(blobs.put_bytes(content, "video/mp4").await.expect("the same in one piece"), blob);
    assert_eq!(kept_times(blobs, blob.sha256).await, 1, "kept once");
}

async fn ranges_are_what_they_say(blobs: &Blobs) {
    let content = unique(3, LARGE_BYTES);
    let blob = blobs.put_bytes(content.clone(), "video/mp4").await.expect("a put");
    for range in [0..1, 5..1_000, 0..LARGE_BYTES, 8_388_600..8_388_616, LARGE_BYTES - 7..LARGE_BYTES] {
        let part = blobs.open_range(&blob, range.start as u64..range.end as u64).await.expect("a range");
        let part: Vec<Bytes> = part.try_collect().await.expect("its bytes");
        assert!(part.concat() == content[range.clone()], "the range {range:?}");
    }
    for outside in [0..blob.bytes + 1, 5..5, blob.bytes..blob.bytes + 1] {
        assert!(blobs.open_range(&blob, outside.clone()).await.is_err(), "{outside:?} is no range of it");
    }
}

async fn what_is_missing_is_said_to_be(blobs: &Blobs) {
    let blob = BlobRef { sha256: Digest([0x5a; 32]), bytes: 10, media_type: "text/plain".into() };
    let missing = |outcome: Result<(), BlobError>| matches!(outcome, Err(BlobError::Missing(digest)) if digest == blob.sha256);
    assert!(missing(blobs.get_bytes(&blob).await.map(drop)));
    assert!(missing(blobs.open_range(&blob, 0..5).await.map(drop)));
    assert!(missing(blobs.open_local(&blob).await.map(drop)));
    assert!(!blobs.contains(&blob).await.expect("an answer"));
    blobs.delete(blob.sha256).await.expect("deleting what is not there");
    let path = Path::new("there is no such file");
    assert!(blobs.put_file(path, "text/plain").await.is_err());
}

async fn what_is_too_large_is_refused_unread(blobs: &Blobs) {
    let blob = BlobRef { sha256: Digest([0x5a; 32]), bytes: super::IN_MEMORY_BYTES_MAX + 1, media_type: "video/mp4".into() };
    assert!(matches!(blobs.get_bytes(&blob).await, Err(BlobError::TooLarge { .. })));
}

async fn the_same_put_many_times_at_once_is_kept_once(blobs: &Blobs) {
    for (seed, bytes) in [(4, 3_000), (5, LARGE_BYTES)] {
        let content = unique(seed, bytes);
        let source = blobs.scratch().expect("a scratch file");
        std::fs::write(&source.path, &content).expect("writing it");
        let puts = (0..PUTS_AT_ONCE).map(|_| {
            let (blobs, path) = (blobs.clone(), source.path.clone());
            tokio::spawn(async move { blobs.put_file(&path, "video/mp4").await })
        });
        let put = futures::future::join_all(puts).await;
        let blob = put[0].as_ref().expect("no panic").as_ref().expect("a put").clone();
        for other in put {
            assert_eq!(other.expect("no panic").expect("every put succeeds"), blob);
        }
        assert!(blobs.get_bytes(&blob).await.expect("a read") == content);
        assert_eq!(kept_times(blobs, blob.sha256).await, 1, "kept once");
    }
}

async fn a_local_file_stays_while_it_is_held(blobs: &Blobs) {
    let content = unique(3, LARGE_BYTES);
    let blob = blobs.put_bytes(content.clone(), "video/mp4").await.expect("a put");
    let opened = futures::future::join_all((0..PUTS_AT_ONCE).map(|_| blobs.open_local(&blob))).await;
    for local in &opened {
        let local = local.as_ref().expect("a file");
        assert!(std::fs::read(local.path()).expect("reading it") == content, "the file has all of it");
    }
}

async fn everything_is_listed_until_it_is_deleted(blobs: &Blobs) {
    for (seed, bytes) in [(1, 1_000), (3, LARGE_BYTES), (5, LARGE_BYTES)] {
        let blob = blobs.put_bytes(unique(seed, bytes), "video/mp4").await.expect("a put");
        assert_eq!(kept_times(blobs, blob.sha256).await, 1);
        blobs.delete(blob.sha256).await.expect("deleting it");
        blobs.delete(blob.sha256).await.expect("deleting it again");
        assert!(!blobs.contains(&blob).await.expect("an answer"));
        assert!(matches!(blobs.open_local(&blob).await, Err(BlobError::Missing(_))), "no copy is left on this machine");
        assert_eq!(kept_times(blobs, blob.sha256).await, 0);
    }
}

async fn the_last_snapshots_of_a_series_stay(blobs: &Blobs) {
    // A bucket is run on as it is, so the series must be new.
    let (series, other) = (format!("{}/0", crate::ids::fresh()), format!("{}/0", crate::ids::fresh()));
    assert_eq!(blobs.snapshots(&series).await.expect("a series without any"), []);
    let source = blobs.scratch().expect("a scratch file");
    for number in [7, 100, 9] {
        std::fs::write(&source.path, unique(number, 1_000)).expect("writing it");
        blobs.keep_snapshot(&series, number, &source.path).await.expect("keeping it");
    }
    blobs.keep_snapshot(&other, 1, &source.path).await.expect("keeping it elsewhere");
    let kept = blobs.snapshots(&series).await.expect("the series");
    assert_eq!(kept.iter().map(|snapshot| snapshot.number).collect::<Vec<_>>(), [100, 9], "the last first, and as many as stay");
    std::fs::write(&source.path, unique(8, LARGE_BYTES)).expect("something longer");
    blobs.fetch_snapshot(&kept[0], &source.path).await.expect("fetching it");
    assert_eq!(std::fs::read(&source.path).expect("the file"), unique(100, 1_000));
    std::fs::write(&source.path, unique(11, LARGE_BYTES)).expect("a large one");
    blobs.keep_snapshot(&series, 101, &source.path).await.expect("keeping a large one");
    let last = blobs.snapshots(&series).await.expect("the series").swap_remove(0);
    assert_eq!((last.number, last.bytes()), (101, LARGE_BYTES as u64));
    blobs.fetch_snapshot(&last, &source.path).await.expect("fetching the large one");
    assert_eq!(std::fs::read(&source.path).expect("the file"), unique(11, LARGE_BYTES));
    assert!(blobs.fetch_snapshot(&kept[1], &source.path).await.is_err(), "an old one is gone");
}

async fn kept_times(blobs: &Blobs, digest: Digest) -> usize {
    let kept: Vec<_> = blobs.list().try_collect().await.expect("the store lists");
    kept.iter().filter(|kept| kept.sha256 == digest).count()
}

/// Returns bytes that no other seed gives.
fn unique(seed: u64, bytes: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        // xorshift: nothing compresses it, and each run gives the same.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(bytes).collect::<Vec<_>>().into()
}
