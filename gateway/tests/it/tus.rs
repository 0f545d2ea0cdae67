use crate::site::Site;
use futures::StreamExt as _;
use reqwest::{RequestBuilder, Response};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::time::Duration;

const CHUNK: &str = "application/offset+octet-stream";

fn tus(site: &Site, method: &str, path: &str) -> RequestBuilder {
    site.request(method, path).header("tus-resumable", "1.0.0")
}

async fn create(site: &Site, bytes: usize) -> String {
    let request = tus(site, "POST", "/files").header("upload-length", bytes).header("upload-metadata", "filename dGFsay5tcDQ=,is_x");
    let answer = request.send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["tus-resumable"].to_str().unwrap()), (201, "1.0.0"));
    assert!(answer.headers().contains_key("upload-expires"));
    answer.headers()["location"].to_str().unwrap().to_owned()
}

async fn patch(site: &Site, path: &str, offset: usize, bytes: impl Into<reqwest::Body>) -> Response {
    tus(site, "PATCH", path).header("content-type", CHUNK).header("upload-offset", offset).body(bytes).send().await.unwrap()
}

async fn offset(site: &Site, path: &str) -> usize {
    let answer = tus(site, "HEAD", path).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["cache-control"].to_str().unwrap()), (200, "no-store"));
    answer.headers()["upload-offset"].to_str().unwrap().parse().unwrap()
}

fn film(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| (index * 31 % 251) as u8).collect()
}

#[tokio::test]
async fn a_cut_off_upload_takes_up_where_it_was_and_becomes_a_video() {
    let site = Site::start().await;
    let bytes = film(300_000);
    let path = create(&site, bytes.len()).await;
    assert_eq!(offset(&site, &path).await, 0);
    let answer = patch(&site, &path, 0, bytes[..100_000].to_vec()).await;
    assert_eq!((answer.status().as_u16(), answer.headers()["upload-offset"].to_str().unwrap()), (204, "100000"));

    let sent = bytes[100_000..150_000].to_vec();
    let cut = futures::stream::once(async { Ok(sent) }).chain(futures::stream::once(async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        Err(std::io::Error::other("the cable was pulled"))
    }));
    let request = tus(&site, "PATCH", &path).header("content-type", CHUNK).header("upload-offset", 100_000);
    request.body(reqwest::Body::wrap_stream(cut)).send().await.unwrap_err();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let kept = offset(&site, &path).await;
    assert_eq!(kept, 150_000, "what came before the cut is kept");

    let import = "mutation($input: ImportVideoInput!) { importVideo(input: $input) { video { title } } }";
    let upload = path.rsplit('/').next().unwrap().to_owned();
    let input = json!({ "input": { "uploadId": upload } });
    assert_eq!(site.code(import, input.clone()).await, "UPLOAD_INCOMPLETE");
    assert_eq!(patch(&site, &path, 0, bytes.clone()).await.status(), 409);
    assert_eq!(patch(&site, &path, kept, bytes[kept..].to_vec()).await.status(), 204);
    assert_eq!(offset(&site, &path).await, bytes.len());
    assert_eq!(site.data(import, input).await["importVideo"]["video"]["title"], "talk.mp4");
    let kept = domain::BlobRef {
        sha256: domain::blob::Digest(Sha256::digest(&bytes).into()),
        bytes: bytes.len() as u64,
        media_type: "video/mp4".into(),
    };
    assert_eq!(site.gateway.blobs.get_bytes(&kept).await.unwrap(), bytes);
}

#[tokio::test]
async fn the_server_says_what_it_can_do_and_insists_on_the_version() {
    let site = Site::start().await;
    let answer = site.client.request(reqwest::Method::OPTIONS, format!("{}/files", site.url)).send().await.unwrap();
    assert_eq!(answer.status(), 204);
    let header = |name: &str| answer.headers()[name].to_str().unwrap();
    assert_eq!((header("tus-version"), header("tus-max-size")), ("1.0.0", "21474836480"));
    assert_eq!(header("tus-extension"), "creation,creation-with-upload,expiration,checksum,termination,concatenation");
    assert_eq!(header("tus-checksum-algorithm"), "sha1,sha256");
    let answer = site.request("POST", "/files").header("upload-length", 1).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["tus-version"].to_str().unwrap()), (412, "1.0.0"));
    let status = async |request: RequestBuilder| request.send().await.unwrap().status().as_u16();
    assert_eq!(status(tus(&site, "POST", "/files")).await, 400, "without a length");
    assert_eq!(status(tus(&site, "POST", "/files").header("upload-length", "-1")).await, 400);
    assert_eq!(status(tus(&site, "POST", "/files").header("upload-length", 20_u64 << 30 | 1)).await, 413);
    assert_eq!(status(tus(&site, "POST", "/files").header("upload-length", 1).header("upload-metadata", "filename ?")).await, 400);
    assert_eq!(status(tus(&site, "GET", "/files")).await, 405);
    assert_eq!(status(tus(&site, "HEAD", "/files/nonsense")).await, 404);
    let path = create(&site, 10).await;
    assert_eq!(status(tus(&site, "PATCH", &path).header("upload-offset", 0).body("x")).await, 415);
    assert_eq!(status(tus(&site, "PATCH", &path).header("content-type", CHUNK).body("x")).await, 400);
    assert_eq!(patch(&site, &path, 0, "more than ten bytes").await.status(), 413);
    assert_eq!(offset(&site, &path).await, 0, "nothing of a request that is too large is kept");
}

#[tokio::test]
async fn bytes_that_are_not_what_their_checksum_says_are_dropped() {
    let site = Site::start().await;
    let bytes = film(1_000);
    let path = create(&site, bytes.len()).await;
    let send = |checksum: &str| {
        let request = tus(&site, "PATCH", &path).header("content-type", CHUNK).header("upload-offset", 0);
        request.header("upload-checksum", checksum.to_owned()).body(bytes.clone()).send()
    };
    assert_eq!(send("sha1 AAAA").await.unwrap().status(), 460);
    assert_eq!(send("md5 AAAA").await.unwrap().status(), 400);
    assert_eq!(offset(&site, &path).await, 0);
    let digest = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, Sha256::digest(&bytes));
    assert_eq!(send(&format!("sha256 {digest}")).await.unwrap().status(), 204);
    assert_eq!(offset(&site, &path).await, bytes.len());
}

#[tokio::test]
async fn an_upload_may_begin_with_its_creation_and_may_be_empty() {
    let site = Site::start().await;
    let request = tus(&site, "POST", "/files").header("upload-length", 10).header("content-type", CHUNK);
    let answer = request.body("12345").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["upload-offset"].to_str().unwrap()), (201, "5"));
    let path = create(&site, 0).await;
    assert_eq!(offset(&site, &path).await, 0);
    let through = tus(&site, "POST", &path).header("x-http-method-override", "DELETE").send().await.unwrap();
    assert_eq!(through.status(), 204);
}

#[tokio::test]
async fn parts_are_joined_and_neither_takes_more() {
    let site = Site::start().await;
    let mut parts = vec![];
    for text in ["Hello, ", "world"] {
        let request = tus(&site, "POST", "/files").header("upload-length", text.len()).header("upload-concat", "partial");
        let answer = request.header("content-type", CHUNK).body(text).send().await.unwrap();
        assert_eq!(answer.status(), 201);
        parts.push(answer.headers()["location"].to_str().unwrap().to_owned());
    }
    let concat = format!("final;{}", parts.join(" "));
    let answer = tus(&site, "POST", "/files").header("upload-concat", &concat).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let path = answer.headers()["location"].to_str().unwrap().to_owned();
    let head = tus(&site, "HEAD", &path).send().await.unwrap();
    assert_eq!(
        (head.headers()["upload-concat"].to_str().unwrap(), head.headers()["upload-length"].to_str().unwrap()),
        (concat.as_str(), "12")
    );
    assert_eq!(patch(&site, &path, 12, "!").await.status(), 403);
    let digest = domain::blob::Digest(Sha256::digest("Hello, world").into());
    let blob = domain::BlobRef { sha256: digest, bytes: 12, media_type: "application/octet-stream".into() };
    assert_eq!(site.gateway.blobs.get_bytes(&blob).await.unwrap(), "Hello, world");
    let unfinished = create(&site, 5).await;
    let answer = tus(&site, "POST", "/files").header("upload-concat", format!("final;{unfinished}")).send().await.unwrap();
    assert_eq!(answer.status(), 400);
}

#[tokio::test]
async fn an_upload_ends_when_it_is_deleted_or_rests_too_long() {
    let site = Site::start().await;
    let (gone, old) = (create(&site, 10).await, create(&site, 10).await);
    assert_eq!(tus(&site, "DELETE", &gone).send().await.unwrap().status(), 204);
    assert_eq!(tus(&site, "HEAD", &gone).send().await.unwrap().status(), 404);
    site.pass_seconds(25 * 3_600);
    assert_eq!(tus(&site, "HEAD", &old).send().await.unwrap().status(), 410);
    assert_eq!(patch(&site, &old, 0, "x").await.status(), 410);
}

#[tokio::test]
async fn only_one_request_writes_an_upload_at_a_time() {
    let site = Site::start().await;
    let path = create(&site, 100).await;
    let slow = futures::stream::once(async { Ok::<_, std::io::Error>("first") }).chain(futures::stream::once(async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok("last")
    }));
    let request = tus(&site, "PATCH", &path).header("content-type", CHUNK).header("upload-offset", 0);
    let writing = tokio::spawn(request.body(reqwest::Body::wrap_stream(slow)).send());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(patch(&site, &path, 0, "other").await.status(), 423);
    assert_eq!(writing.await.unwrap().unwrap().status(), 204);
    assert_eq!(offset(&site, &path).await, 9);
}

#[tokio::test]
async fn a_ticket_from_graphql_is_an_upload_as_any_other() {
    let site = Site::start().await;
    let create = "mutation($bytes: Int!) { createUpload(fileName: \"talk.mkv\", bytes: $bytes) { uploadId url expiresAt } }";
    let ticket = site.data(create, json!({ "bytes": 4 })).await["createUpload"].take();
    assert_eq!(patch(&site, ticket["url"].as_str().unwrap(), 0, "film").await.status(), 204);
    let import = "mutation($id: ID!) { importVideo(input: { uploadId: $id }) { video { title state } } }";
    let data = site.data(import, json!({ "id": ticket["uploadId"] })).await;
    assert_eq!(data["importVideo"]["video"]["title"], "talk.mkv");
    assert_eq!(site.code(create, json!({ "bytes": 30_000_000_000_u64 })).await, "TOO_LARGE");
}
