//! The gateway over a real S3 server: uploads, and links that lead past us. Start one with `infra/local/up s3`.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by failing")]
#![allow(clippy::disallowed_methods, reason = "tests learn from the environment where the server is")]

#[path = "../../runtime/tests/live_s3/bucket.rs"]
mod bucket;
#[path = "it/restart.rs"]
mod restart;
#[path = "it/site.rs"]
#[allow(dead_code, reason = "its other half is for the other tests")]
mod site;

use gateway::media::link;
use reqwest::redirect::Policy;
use restart::{film, named};
use runtime::blobs::{Blobs, S3Settings};
use serde_json::{Value, json};
use site::{HOME, Site};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

async fn start() -> Site {
    let folder = Arc::new(TempDir::new().unwrap());
    let settings: S3Settings = bucket::settings(folder.path()).await;
    Site::start_in(folder, Blobs::s3(&settings).unwrap(), None).await
}

#[tokio::test]
async fn an_upload_into_s3_survives_restarts() {
    restart::check(start().await).await;
}

#[tokio::test]
async fn a_large_file_is_fetched_from_s3_itself_and_a_small_one_from_here() {
    let site = start().await;
    let film = film(3 << 20, 77);
    let large = site.gateway.blobs.put_bytes(film.clone(), "video/mp4").await.unwrap();
    let (path, _) = link(&site.gateway.auth, HOME, &large, site.gateway.clock.now());
    let url = format!("{}{path}", site.url);
    let following_none = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
    let answer = following_none.get(&url).send().await.unwrap();
    assert_eq!(answer.status(), 307);
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    assert!(location.starts_with(site.gateway.blobs.direct_origin().unwrap()), "{location}");
    assert!(answer.headers()["cache-control"].to_str().unwrap().starts_with("private, max-age="));
    let whole = site.client.get(&url).send().await.unwrap();
    assert_eq!((whole.status().as_u16(), whole.headers()["content-type"].to_str().unwrap()), (200, "video/mp4"));
    assert!(whole.bytes().await.unwrap() == film);
    let part = site.client.get(&url).header("range", "bytes=1000-1999").send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert!(part.bytes().await.unwrap() == film[1_000..2_000]);
    let head = following_none.head(&url).send().await.unwrap();
    assert_eq!((head.status().as_u16(), head.headers()["content-length"].to_str().unwrap()), (200, "3145728"));
    let changed = url.replace("bytes=3145728", "bytes=3145727");
    assert_eq!(following_none.get(&changed).send().await.unwrap().status(), 403, "a link is checked before it leads on");

    let small = site.gateway.blobs.put_bytes("1\n00:00:00,000", "application/x-subrip").await.unwrap();
    let (path, _) = link(&site.gateway.auth, HOME, &small, site.gateway.clock.now());
    let answer = following_none.get(format!("{}{path}", site.url)).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, "1\n00:00:00,000"));
    site.gateway.blobs.delete(large.sha256).await.unwrap();
    assert_eq!(following_none.get(&url).send().await.unwrap().status(), 404);

    let page = site.client.get(&site.url).send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains(&format!("media-src 'self' {};", site.gateway.blobs.direct_origin().unwrap())), "{policy}");
}

const CREATE: &str = "mutation($bytes: Int!) { createUpload(fileName: \"talk.mp4\", bytes: $bytes) { uploadId url directUrl } }";
const IMPORT: &str = "mutation($id: ID!) { importVideo(input: { uploadId: $id }) { video { title state } } }";

async fn ticket(site: &Site, bytes: usize) -> (Value, String) {
    let mut data = site.data(CREATE, json!({ "bytes": bytes })).await;
    let ticket = data["createUpload"].take();
    let direct = ticket["directUrl"].as_str().unwrap().to_owned();
    (json!({ "id": ticket["uploadId"] }), direct)
}

#[tokio::test]
async fn a_file_sent_past_us_is_measured_hashed_and_imported() {
    let site = start().await;
    let film = film(9 << 20, 31);
    let (id, direct) = ticket(&site, film.len()).await;
    assert_eq!(site.code(IMPORT, id.clone()).await, "UPLOAD_INCOMPLETE");
    assert_eq!(site.client.put(&direct).body(film.clone()).send().await.unwrap().status(), 200);
    assert_eq!(site.data(IMPORT, id.clone()).await["importVideo"]["video"]["title"], "talk.mp4");
    assert!(site.gateway.blobs.get_bytes(&named(&film)).await.unwrap() == film);
    let name = id["id"].as_str().unwrap();
    assert_eq!(site.gateway.blobs.left_bytes(name).await.unwrap(), None, "what was left is gone");

    // Whoever still has the address can write there, and changes nothing that we took.
    assert_eq!(site.client.put(&direct).body("something else").send().await.unwrap().status(), 200);
    assert_eq!(site.data(IMPORT, id).await["importVideo"]["video"]["title"], "talk.mp4");
    assert!(site.gateway.blobs.get_bytes(&named(&film)).await.unwrap() == film);
}

#[tokio::test]
async fn a_client_that_hangs_up_while_its_file_is_fetched_disturbs_nothing() {
    let site = start().await;
    let film = film(40 << 20, 53);
    let (id, direct) = ticket(&site, film.len()).await;
    assert_eq!(site.client.put(&direct).body(film.clone()).send().await.unwrap().status(), 200);
    let body = json!({ "query": IMPORT, "variables": id });
    let impatient = site.request("POST", "/graphql").json(&body).timeout(Duration::from_millis(20)).send().await;
    assert!(impatient.is_err(), "it hangs up in the middle");
    for _ in 0..200 {
        let answer = site.graphql(IMPORT, id.clone()).await;
        if answer.get("errors").is_none() {
            break;
        }
        assert_eq!(answer["errors"][0]["extensions"]["code"], "UPLOAD_LOCKED", "the fetching goes on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(site.gateway.blobs.get_bytes(&named(&film)).await.unwrap() == film);
}

#[tokio::test]
async fn a_file_of_another_size_than_announced_is_refused() {
    let site = start().await;
    let (id, direct) = ticket(&site, 1_000).await;
    assert_eq!(site.client.put(&direct).body(vec![1; 2_000]).send().await.unwrap().status(), 200);
    assert_eq!(site.code(IMPORT, id.clone()).await, "UPLOAD_SIZE_MISMATCH");
    assert_eq!(site.code(IMPORT, id.clone()).await, "UPLOAD_INCOMPLETE", "and it is gone");
    assert_eq!(site.client.put(&direct).body(vec![1; 1_000]).send().await.unwrap().status(), 200);
    site.data(IMPORT, id).await;

    let tampered = direct.replace("incoming", "sha256");
    assert_eq!(site.client.put(&tampered).body("x").send().await.unwrap().status(), 403, "the address is good for one name");
    let answer = site.client.get(&direct).send().await.unwrap();
    assert_eq!(answer.status(), 403, "and for writing alone");
    let large = site.data(CREATE, json!({ "bytes": 6_u64 << 30 })).await;
    assert!(large["createUpload"]["directUrl"].is_null(), "S3 takes no more than 5 GiB at once");
}
