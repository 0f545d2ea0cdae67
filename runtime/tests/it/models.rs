//! A model is pulled whole and right, or not at all, from a hub that lies, stalls and cuts off.

use crate::server::{Reply, Request, Server};
use runtime::fetch::{FetchError, Limits, Reach};
use runtime::models::{LOCK_FILE, Lock, PullError, Source, pull};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::time::Duration;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const CONFIG: &[u8] = b"{\"layers\": 4}";

fn weights() -> Vec<u8> {
    (0..200_000_u32).flat_map(|number| (number.wrapping_mul(2_654_435_761)).to_le_bytes()).collect()
}

/// What an honest hub says about a large and a small file.
fn announce(path: &str) -> Reply {
    if path.ends_with("model.safetensors") {
        Reply::redirect("http://127.0.0.1:1/cdn")
            .header("x-linked-size", weights().len())
            .header("x-linked-etag", format!("\"{}\"", hex::encode(Sha256::digest(weights()))))
            .header("x-repo-commit", COMMIT)
    } else {
        let mut hash = Sha1::new_with_prefix(format!("blob {}\0", CONFIG.len()));
        hash.update(CONFIG);
        Reply::new(200, CONFIG).header("etag", format!("\"{}\"", hex::encode(hash.finalize()))).header("x-repo-commit", COMMIT)
    }
}

fn serve(request: &Request, content: &[u8]) -> Reply {
    match (request.method.as_str(), request.path.ends_with("model.safetensors")) {
        ("HEAD", _) => announce(&request.path),
        (_, true) => Reply::part(request, content),
        (_, false) => Reply::new(200, CONFIG),
    }
}

async fn pull_from(server: &Server, folder: &Path) -> Result<Lock, PullError> {
    let source =
        Source { hub: server.url("/").parse().unwrap(), repository: "openai/whisper-tiny".to_owned(), revision: "main".to_owned() };
    let limits =
        Limits { reach: Reach::Anywhere, bytes_max: 1 << 30, duration_max: Duration::from_secs(20), stall_max: Duration::from_secs(1) };
    pull(&source, &["model.safetensors", "config.json"], folder, &limits, |_| {}).await
}

fn check(folder: &Path, lock: &Lock) {
    assert_eq!(std::fs::read(folder.join("model.safetensors")).unwrap(), weights());
    assert_eq!(std::fs::read(folder.join("config.json")).unwrap(), CONFIG);
    let written: Lock = serde_json::from_slice(&std::fs::read(folder.join(LOCK_FILE)).unwrap()).unwrap();
    assert_eq!(written, *lock);
    assert_eq!(lock.commit.as_deref(), Some(COMMIT));
    assert_eq!(lock.files[0].sha256.to_string(), hex::encode(Sha256::digest(weights())));
    assert_eq!(lock.files[1].sha256.to_string(), hex::encode(Sha256::digest(CONFIG)));
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 3, "no part is left");
}

#[tokio::test]
async fn a_model_is_pulled_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|request, _| serve(request, &weights())).await;
    let lock = pull_from(&server, folder.path()).await.unwrap();
    check(folder.path(), &lock);
    assert_eq!(server.requests()[0].path, "/openai/whisper-tiny/resolve/main/model.safetensors");
    assert_eq!(pull_from(&server, folder.path()).await.unwrap(), lock);
    let downloads = server.requests().iter().filter(|request| request.method == "GET").count();
    assert_eq!(downloads, 2, "the second pull only looked");
}

#[tokio::test]
async fn a_hub_that_stalls_and_cuts_off_is_outlasted() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|request, number| match (request.method.as_str(), number) {
        ("GET", 1) => serve(request, &weights()).cut_after(300_000),
        ("GET", 2) => serve(request, &weights()).stall_after(300_000),
        _ => serve(request, &weights()),
    })
    .await;
    check(folder.path(), &pull_from(&server, folder.path()).await.unwrap());
    assert_eq!(server.requests()[3].range_start(), Some(600_000));
}

#[tokio::test]
async fn an_interrupted_pull_goes_on_later() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("model.safetensors.part"), &weights()[..500_000]).unwrap();
    let server = Server::start(|request, _| serve(request, &weights())).await;
    check(folder.path(), &pull_from(&server, folder.path()).await.unwrap());
    assert_eq!(server.requests()[1].range_start(), Some(500_000));
}

#[tokio::test]
async fn a_hub_that_lies_about_the_content_is_found_out() {
    let mut altered = weights();
    altered[123_456] ^= 1;
    let longer: Vec<u8> = weights().into_iter().chain([0]).collect();
    for lie in [altered, longer, weights()[..weights().len() - 1].to_vec()] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(move |request, _| serve(request, &lie)).await;
        let refused = pull_from(&server, folder.path()).await;
        assert!(matches!(refused, Err(PullError::Wrong { ref file, .. }) if file == "model.safetensors"), "{refused:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing of it is left");
    }
}

#[tokio::test]
async fn a_damaged_beginning_is_thrown_away() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("model.safetensors.part"), vec![0; 500_000]).unwrap();
    let server = Server::start(|request, _| serve(request, &weights())).await;
    assert!(matches!(pull_from(&server, folder.path()).await, Err(PullError::Wrong { .. })));
    check(folder.path(), &pull_from(&server, folder.path()).await.unwrap());
}

#[tokio::test]
async fn a_hub_that_says_no_checksum_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for tag in ["", "\"abc\"", "W/\"zz\""] {
        let server = Server::start(move |_, _| Reply::new(200, weights()).header("etag", tag)).await;
        assert!(matches!(pull_from(&server, folder.path()).await, Err(PullError::NoChecksum { .. })));
    }
    let missing = Server::start(|_, _| Reply::new(404, "")).await;
    let refused = pull_from(&missing, folder.path()).await;
    assert!(matches!(refused, Err(PullError::Fetch { error: FetchError::Status { status: 404, .. }, .. })), "{refused:?}");
}

#[tokio::test]
async fn a_file_name_does_not_leave_the_folder() {
    let source = Source { hub: "http://127.0.0.1:1".parse().unwrap(), repository: "a/b".to_owned(), revision: "main".to_owned() };
    let folder = tempfile::tempdir().unwrap();
    for name in ["../x", "/etc/passwd", "", "a/../../x"] {
        let limits = Limits { reach: Reach::Anywhere, ..Limits::default() };
        assert!(matches!(pull(&source, &[name], folder.path(), &limits, |_| {}).await, Err(PullError::Name(_))), "{name}");
    }
}
