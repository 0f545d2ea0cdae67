use crate::site::{HOME, Site};
use gateway::media::link;

#[tokio::test]
async fn a_link_plays_without_a_key_in_whole_and_in_parts() {
    let site = Site::start().await;
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|index| (index % 251) as u8).collect();
    let blob = site.gateway.blobs.put_bytes(bytes.clone(), "video/mp4").await.unwrap();
    let (path, _) = link(&site.gateway.auth, HOME, &blob, site.gateway.clock.now());
    let url = format!("{}{path}", site.url);
    let whole = site.client.get(&url).send().await.unwrap();
    assert_eq!((whole.status().as_u16(), whole.headers()["content-type"].to_str().unwrap()), (200, "video/mp4"));
    assert_eq!(whole.headers()["accept-ranges"], "bytes");
    let tag = whole.headers()["etag"].clone();
    assert_eq!(whole.bytes().await.unwrap(), bytes);

    let part = |range: &str| site.client.get(&url).header("range", range);
    let some = part("bytes=1000-1999").send().await.unwrap();
    assert_eq!((some.status().as_u16(), some.headers()["content-range"].to_str().unwrap()), (206, "bytes 1000-1999/1000000"));
    assert_eq!(some.headers()["content-length"], "1000");
    assert_eq!(some.bytes().await.unwrap(), bytes[1000..2000]);
    assert_eq!(part("bytes=-10").send().await.unwrap().bytes().await.unwrap(), bytes[999_990..]);
    let outside = part("bytes=1000000-").send().await.unwrap();
    assert_eq!((outside.status().as_u16(), outside.headers()["content-range"].to_str().unwrap()), (416, "bytes */1000000"));
    assert_eq!(part("bytes=0-9").header("if-range", "\"old\"").send().await.unwrap().status(), 200);
    assert_eq!(part("bytes=0-9").header("if-range", &tag).send().await.unwrap().status(), 206);
    assert_eq!(site.client.get(&url).header("if-none-match", &tag).send().await.unwrap().status(), 304);
    let head = site.client.head(&url).send().await.unwrap();
    assert_eq!((head.status().as_u16(), head.headers()["content-length"].to_str().unwrap()), (200, "1000000"));
}

#[tokio::test]
async fn a_link_that_was_changed_or_has_expired_shows_nothing() {
    let site = Site::start().await;
    let blob = site.gateway.blobs.put_bytes("film", "video/mp4").await.unwrap();
    let other = site.gateway.blobs.put_bytes("secret", "video/mp4").await.unwrap();
    let (path, expires) = link(&site.gateway.auth, HOME, &blob, site.gateway.clock.now());
    let get = async |path: &str| site.client.get(format!("{}{path}", site.url)).send().await.unwrap().status().as_u16();
    assert_eq!(get(&path).await, 200);
    let exp = expires.0 / 1_000_000;
    for changed in [
        path.replace(&blob.sha256.to_string(), &other.sha256.to_string()),
        path.replace(&exp.to_string(), &(exp + 1).to_string()),
        path.replace("video%2Fmp4", "text%2Fhtml"),
        path.replace("bytes=4", "bytes=3"),
        path.replace(&HOME.to_string(), "workspace_00000000000000000000000000000002"),
        path.replace("sig=", "sig=A"),
    ] {
        assert_ne!(changed, path);
        assert_eq!(get(&changed).await, 403, "{changed}");
    }
    assert_eq!(get(path.split('?').next().unwrap()).await, 400, "without a signature");
    assert_eq!(get("/media/../auth/signing-secret").await, 404);
    site.pass_seconds(10 * 3_600);
    assert_eq!(get(&path).await, 410);
    let (path, _) = link(&site.gateway.auth, HOME, &other, site.gateway.clock.now());
    site.gateway.blobs.delete(other.sha256).await.unwrap();
    assert_eq!(get(&path).await, 404);
}
