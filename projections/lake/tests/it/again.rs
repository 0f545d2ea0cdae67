//! Exactly once: writers that start again, writers beside each other, tables that fell behind, tables that lack columns.

use crate::scene::{HOME, Scene, one, small};
use deltalake::DeltaTable;
use deltalake::kernel::{DataType, StructField};
use lake::follow::{Limits, NAME, follow, sync};
use lake::tables;
use lake::upkeep;
use runtime::log::Partition;
use runtime::token::Positions;
use serde_json::json;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

async fn check_tables_hold_the_log(scene: &Scene) {
    let events = scene.events().await;
    assert_eq!(scene.positions("events").await, (0..events.len() as u64).collect::<Vec<_>>());
    let proposed: Vec<_> = events.iter().filter(|event| &*event.event_type == "clip.proposed").map(|event| event.position).collect();
    assert_eq!(scene.positions("clips").await, proposed);
}

#[tokio::test(flavor = "multi_thread")]
async fn writing_again_writes_nothing_twice() {
    let mut scene = Scene::told(11, 300).await;
    let versions = upkeep::status(&scene.lake, &[Partition::EMBEDDED]).await.unwrap();
    assert_eq!(scene.sync().await.rows, 0);
    assert_eq!(upkeep::status(&scene.lake, &[Partition::EMBEDDED]).await.unwrap(), versions, "what has nothing to write commits nothing");
    scene.happen(300).await;
    scene.sync().await;
    check_tables_hold_the_log(&scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_at_once_write_each_row_once() {
    let mut scene = Scene::new(12);
    scene.happen(1_200).await;
    let limits = Limits { rows: 40, ..Limits::default() };
    let writers = (0..3).map(|_| tokio::spawn(sync(scene.log.clone(), scene.lake.clone(), limits)));
    let mut rows = 0;
    for written in futures::future::join_all(writers).await {
        rows += written.unwrap().unwrap().rows;
    }
    check_tables_hold_the_log(&scene).await;
    let mut held = 0;
    for table in tables::ALL {
        held += scene.positions(table.name).await.len() as u64;
    }
    assert_eq!(rows, held, "each row was written by one of them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_lost_is_made_again_while_the_others_stay() {
    let scene = Scene::told(13, 600).await;
    let before = upkeep::status(&scene.lake, &[Partition::EMBEDDED]).await.unwrap();
    std::fs::remove_dir_all(scene.folder().join("lake/clips")).unwrap();
    scene.sync().await;
    check_tables_hold_the_log(&scene).await;
    let after = upkeep::status(&scene.lake, &[Partition::EMBEDDED]).await.unwrap();
    assert_eq!(before[0], after[0], "`events` had everything already");
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_that_are_new_are_added_and_columns_of_newer_programs_stay() {
    let mut scene = Scene::new(14);
    scene.happen(200).await;
    let address = url::Url::from_directory_path(scene.folder().join("lake/events")).unwrap();
    std::fs::create_dir_all(scene.folder().join("lake/events")).unwrap();
    // As an older program made it: with its first columns only.
    let column = |name: &str, kind: DataType| StructField::nullable(name, kind);
    let old = [column("date", DataType::DATE), column("position", DataType::LONG), column("workspace", DataType::STRING)];
    let table = DeltaTable::try_from_url(address.clone()).await.unwrap();
    table.create().with_columns(old).with_partition_columns(["date"]).await.unwrap();
    scene.sync().await;
    check_tables_hold_the_log(&scene).await;
    let written = scene.events().await.len();
    let lacking = "select count(*) from events where actor is null or payload is null";
    assert_eq!(one(&scene.ask(HOME, lacking).await.unwrap()), &json!(0));
    // As a newer program will leave it: with a column that this one does not know.
    let table = deltalake::open_table(address).await.unwrap();
    table.add_columns().with_fields([column("mood", DataType::STRING)]).await.unwrap();
    scene.happen(200).await;
    scene.sync().await;
    assert!(scene.events().await.len() > written);
    check_tables_hold_the_log(&scene).await;
    assert_eq!(one(&scene.ask(HOME, "select count(mood) from events").await.unwrap()), &json!(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_written_in_time_and_at_the_end() {
    let mut scene = Scene::new(15);
    let (positions, shutdown) = (Positions::default(), CancellationToken::new());
    let limits = Limits { seconds: 1, ..Limits::default() };
    let following = tokio::spawn(follow(scene.log.clone(), scene.lake.clone(), limits, positions.clone(), shutdown.clone()));
    scene.happen(100).await;
    let last = scene.events().await.len() as u64 - 1;
    positions
        .wait(NAME, Partition::EMBEDDED, Some(last), Duration::from_secs(60))
        .await
        .expect("a second after the first row it is written");
    let versions = upkeep::status(&scene.lake, &[Partition::EMBEDDED]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(upkeep::status(&scene.lake, &[Partition::EMBEDDED]).await.unwrap(), versions, "who has nothing to write commits nothing");
    scene.happen(100).await;
    // What is read by then is written before it ends.
    tokio::time::sleep(Duration::from_millis(300)).await;
    shutdown.cancel();
    following.await.unwrap().unwrap();
    let status = upkeep::status(&scene.lake, &[Partition::EMBEDDED]).await.unwrap();
    assert!(status[0].covered > last, "{status:?}");
    scene.sync().await;
    check_tables_hold_the_log(&scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn small_files_become_few_while_somebody_writes() {
    let mut scene = Scene::told(16, 1_000).await;
    let before = upkeep::status(&scene.lake, &[Partition::EMBEDDED]).await.unwrap();
    assert!(before[0].files > 5, "{before:?}");
    scene.happen(300).await;
    let writing = tokio::spawn(sync(scene.log.clone(), scene.lake.clone(), small()));
    let done = upkeep::optimize(&scene.lake, None).await.unwrap();
    writing.await.unwrap().unwrap();
    assert!(done[0].files_added < done[0].files_removed, "{done:?}");
    check_tables_hold_the_log(&scene).await;
    upkeep::optimize(&scene.lake, Some("events")).await.unwrap();
    upkeep::checkpoint(&scene.lake, None).await.unwrap();
    let deleted = upkeep::vacuum(&scene.lake, None, Duration::ZERO).await.unwrap();
    assert!(deleted[0].files_removed > 0, "{deleted:?}");
    check_tables_hold_the_log(&scene).await;
    assert_eq!(scene.sync().await.rows, 0, "the checkpoints outlive both");
    let count = scene.ask(HOME, "select count(*) from events where position >= 0").await.unwrap();
    assert!(one(&count) != &json!(0));
}
