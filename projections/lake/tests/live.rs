//! The lake in a bucket of a real server, which `just test-live` starts.
#![allow(clippy::unwrap_used, unreachable_pub, clippy::disallowed_methods, reason = "tests")]

use domain::id::WorkspaceId;
use lake::follow::{Limits, sync};
use lake::query::{self, Reader};
use lake::{Bucket, Lake, upkeep};
use runtime::log::Log as _;
use runtime::log::Partition;
use runtime::log::sqlite::SqliteLog;
use serde_json::json;
use uuid::Uuid;

#[allow(dead_code, reason = "others use the rest of it")]
#[path = "../../../runtime/tests/live_s3/bucket.rs"]
mod bucket;
#[allow(dead_code, reason = "others use the rest of it")]
#[path = "../../tests/contract/histories.rs"]
mod histories;

const HOME: WorkspaceId = WorkspaceId(Uuid::from_u128(1));

#[tokio::test(flavor = "multi_thread")]
async fn writers_beside_each_other_write_each_row_once_in_a_bucket() {
    runtime::tls::install_provider();
    let folder = tempfile::tempdir().unwrap();
    let log = SqliteLog::open(folder.path().join("log.sqlite")).unwrap();
    histories::Histories::new(log.clone(), 7, &[HOME]).happen(800).await;
    let lake = {
        let made = bucket::settings(folder.path()).await;
        let (bucket, prefix, region) = (made.bucket, made.prefix, made.region);
        Lake::in_bucket(&Bucket { endpoint: made.endpoint, bucket, prefix, region, credentials_file: None, encryption: None }).unwrap()
    };
    let limits = Limits { rows: 100, ..Limits::default() };
    let writers = (0..3).map(|_| tokio::spawn(sync(log.clone(), lake.clone(), limits)));
    for written in futures::future::join_all(writers).await {
        written.unwrap().unwrap();
    }
    let head = log.head(Partition::EMBEDDED).await.unwrap();
    let reader = Reader::open(lake.clone(), query::Limits::default()).unwrap();
    let count = "select count(*), count(distinct position), max(position) from events".to_owned();
    let rows = reader.query(HOME, count.clone(), None).await.unwrap().rows;
    assert_eq!(rows, [[json!(head), json!(head), json!(head - 1)]]);
    assert!(upkeep::status(&lake, &[Partition::EMBEDDED]).await.unwrap()[0].files > 1);
    upkeep::optimize(&lake, None).await.unwrap();
    upkeep::vacuum(&lake, None, std::time::Duration::ZERO).await.unwrap();
    upkeep::checkpoint(&lake, None).await.unwrap();
    assert_eq!(reader.query(HOME, count, None).await.unwrap().rows, rows);
}
