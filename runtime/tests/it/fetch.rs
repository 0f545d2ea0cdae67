//! Downloads reach no address of ours, keep to their limits, and survive broken connections.

use crate::server::{Reply, Server};
use runtime::blobs::Blobs;
use runtime::fetch::{FetchError, Fetched, Limits, Reach, fetch};
use std::time::Duration;

fn limits(reach: Reach) -> Limits {
    Limits { reach, bytes_max: 1_000_000, duration_max: Duration::from_secs(20), stall_max: Duration::from_secs(1) }
}

fn only(server: &Server) -> Limits {
    limits(Reach::PublicAnd(vec![server.address]))
}

async fn get(url: &str, limits: &Limits) -> Result<(Vec<u8>, Fetched), FetchError> {
    let fetched = fetch(url, &Blobs::in_memory(), limits, |_, _| {}).await?;
    Ok((std::fs::read(&fetched.file.path).unwrap(), fetched))
}

fn content() -> Vec<u8> {
    (0..100_000_u32).flat_map(u32::to_le_bytes).collect()
}

#[tokio::test]
async fn our_own_addresses_are_refused_in_every_spelling() {
    let server = Server::start(|_, _| Reply::new(200, "secret")).await;
    let port = server.address.port();
    let hosts = "127.0.0.1 127.1 2130706433 0x7f000001 0177.0.0.1 0.0.0.0 localhost LOCALHOST. [::1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::] \
                 10.0.0.1 192.168.1.1 172.16.0.1 169.254.169.254 100.64.0.1 [fd00::1] [fe80::1] [64:ff9b::7f00:1] [2002:7f00:1::]";
    for host in hosts.split_whitespace() {
        let refused = get(&format!("http://{host}:{port}/"), &limits(Reach::Public)).await;
        assert!(matches!(refused, Err(FetchError::Refused { .. })), "{host}: {refused:?}");
    }
    assert!(server.requests().is_empty(), "not one request was sent");
}

#[tokio::test]
async fn other_schemes_and_credentials_are_refused() {
    for url in [
        "file:///etc/passwd",
        "ftp://example.com/",
        "gopher://example.com/",
        "data:text/plain,x",
        "http://me@1.1.1.1/",
        "http://a:b@1.1.1.1/",
    ] {
        let refused = get(url, &limits(Reach::Public)).await;
        assert!(matches!(refused, Err(FetchError::Refused { .. })), "{url}: {refused:?}");
    }
    for text in ["", "not a url", "/etc/passwd", "http://", "http://[::1"] {
        let refused = get(text, &limits(Reach::Public)).await;
        assert!(matches!(refused, Err(FetchError::NotAUrl { .. })), "{text}: {refused:?}");
    }
}

#[tokio::test]
async fn a_redirect_does_not_lead_inside() {
    let inside = Server::start(|_, _| Reply::new(200, "secret")).await;
    for target in [inside.url("/"), "file:///etc/passwd".to_owned(), format!("http://localhost:{}/", inside.address.port())] {
        let outside = Server::start(move |_, _| Reply::redirect(&target)).await;
        let refused = get(&outside.url("/"), &only(&outside)).await;
        assert!(matches!(refused, Err(FetchError::Refused { .. })), "{refused:?}");
    }
    assert!(inside.requests().is_empty());
}

#[tokio::test]
async fn redirects_are_followed_up_to_a_limit() {
    let hops = |count: usize| {
        Server::start(move |_, number| if number < count { Reply::redirect(format!("/{number}")) } else { Reply::new(200, "there") })
    };
    let near = hops(5).await;
    let (bytes, fetched) = get(&near.url("/"), &only(&near)).await.unwrap();
    assert_eq!((bytes.as_slice(), fetched.url.path()), (&b"there"[..], "/4"));
    let far = hops(6).await;
    assert!(matches!(get(&far.url("/"), &only(&far)).await, Err(FetchError::TooManyRedirects { .. })));
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_stopped() {
    let server = Server::start(|request, number| {
        let reply = Reply::part(request, &content()).header("etag", "\"one\"").header("content-type", "video/mp4");
        match number {
            0 => reply.cut_after(100_000),
            1 => reply.stall_after(50_000),
            2 => Reply::new(503, ""),
            _ => reply,
        }
    })
    .await;
    let (bytes, fetched) = get(&server.url("/talk.mp4"), &only(&server)).await.unwrap();
    assert_eq!(bytes, content());
    assert_eq!((fetched.bytes, fetched.media_type.as_deref()), (400_000, Some("video/mp4")));
    let requests = server.requests();
    let starts: Vec<_> = requests.iter().map(|request| request.range_start()).collect();
    assert_eq!(starts, [None, Some(100_000), Some(150_000), Some(150_000)]);
    assert_eq!(requests[1].headers["if-range"], "\"one\"");
}

#[tokio::test]
async fn a_server_that_cannot_resume_or_changed_its_content_is_read_from_the_start() {
    let whole = Server::start(|_, number| {
        let reply = Reply::new(200, content()).header("etag", format!("\"{number}\""));
        if number == 0 { reply.cut_after(100_000) } else { reply }
    })
    .await;
    assert_eq!(get(&whole.url("/"), &only(&whole)).await.unwrap().0, content());
    let without_validator = Server::start(|request, number| {
        let reply = Reply::part(request, &content());
        if number == 0 { reply.cut_after(100_000) } else { reply }
    })
    .await;
    assert_eq!(get(&without_validator.url("/"), &only(&without_validator)).await.unwrap().0, content());
    assert_eq!(without_validator.requests()[1].range_start(), None, "without a validator it may be other content");
}

#[tokio::test]
async fn limits_are_kept() {
    let announced = Server::start(|_, _| Reply { content_length: Some(1_000_001), ..Reply::new(200, "x") }).await;
    assert!(matches!(get(&announced.url("/"), &only(&announced)).await, Err(FetchError::TooLarge { bytes_max: 1_000_000 })));
    let stalled = Server::start(|_, _| Reply::new(200, "0123456789").stall_after(5)).await;
    let impatient = Limits { duration_max: Duration::from_millis(500), stall_max: Duration::from_secs(60), ..only(&stalled) };
    assert!(matches!(get(&stalled.url("/"), &impatient).await, Err(FetchError::TooSlow { .. })));
    let missing = Server::start(|_, _| Reply::new(404, "")).await;
    assert!(matches!(get(&missing.url("/"), &only(&missing)).await, Err(FetchError::Status { status: 404, .. })));
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let broken = Server::start(|_, _| Reply::new(500, "")).await;
    assert!(matches!(get(&broken.url("/"), &only(&broken)).await, Err(FetchError::Broken { bytes: 0, .. })));
    assert_eq!(broken.requests().len(), 5);
}
