//! A process is killed while it puts a large blob: afterwards the blob is not there, or it is whole.

use domain::BlobRef;
use domain::blob::Digest;
use runtime::blobs::{BlobError, BlobSettings, Blobs};
use sha2::{Digest as _, Sha256};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Takes long enough to be met in the middle.
const BYTES: usize = 64 << 20;

/// Each later than the one before.
const KILLS: u32 = 8;

const STORE_VARIABLE: &str = "CLIPFLOW_BLOB_KILL_STORE";
const FILE_VARIABLE: &str = "CLIPFLOW_BLOB_KILL_FILE";

/// Not a test by itself: the process that is killed.
#[test]
fn putting_process() {
    let (Ok(store), Ok(file)) = (std::env::var(STORE_VARIABLE), std::env::var(FILE_VARIABLE)) else { return };
    let blobs = Blobs::from_settings(&serde_json::from_str(&store).unwrap()).unwrap();
    writeln!(std::io::stdout(), "\nputting").unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(blobs.put_file(Path::new(&file), "video/mp4")).unwrap();
    writeln!(std::io::stdout(), "put").unwrap();
}

pub async fn check(settings: &BlobSettings, process: &str) {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Blobs::from_settings(settings).unwrap();
    let mut cut_off = 0;
    for kill in 0..KILLS {
        let content: Vec<u8> = (0..BYTES as u32).map(|index| (index.wrapping_mul(kill + 1) >> 7) as u8).collect();
        let file = folder.path().join("film");
        std::fs::write(&file, &content).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", process, "--nocapture"])
            .env(STORE_VARIABLE, serde_json::to_string(settings).unwrap())
            .env(FILE_VARIABLE, &file)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line == "putting"), "the process says that it begins");
        std::thread::sleep(Duration::from_millis(u64::from(40 * kill * kill)));
        child.kill().unwrap();
        child.wait().unwrap();
        let was_put = lines.any(|line| line == "put");
        let blob = BlobRef { sha256: Digest(Sha256::digest(&content).into()), bytes: BYTES as u64, media_type: "video/mp4".into() };
        match blobs.get_bytes(&blob).await {
            Ok(whole) => assert!(whole == content),
            Err(BlobError::Missing(_)) => {
                assert!(!was_put, "what was acknowledged is there");
                cut_off += 1;
            }
            Err(other) => panic!("{other:?}"),
        }
        assert_eq!(blobs.put_file(&file, "video/mp4").await.unwrap(), blob, "the next try is not hindered");
        blobs.delete(blob.sha256).await.unwrap();
    }
    println!("{cut_off} of {KILLS} puts were cut off");
    assert!(cut_off > 0, "no put was met in the middle");
}
