#[path = "../tests/contract/mod.rs"]
mod contract;

use crate::{ALL, Projection as _, Store, cql, events_by_stream};
use contract::arrivals::Extent;
use contract::histories::Histories;
use contract::{HOME, World, submit};
use std::path::Path;
use tempfile::TempDir;

contract::suite!(on_a_file);

async fn on_a_file<F: Future<Output = ()>>(test: impl FnOnce(Store) -> F) {
    let folder = TempDir::new().unwrap();
    test(open(&folder)).await;
}

fn open(folder: &TempDir) -> Store {
    Store::open(&folder.path().join("rows.sqlite"), &ALL).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_the_same_however_events_arrive() {
    let folder = TempDir::new().unwrap();
    let count = std::sync::atomic::AtomicU32::new(0);
    let open = async || {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Store::open(&folder.path().join(format!("{number}.sqlite")), &ALL).unwrap()
    };
    contract::arrivals::rows_are_the_same_however_events_arrive(open, Extent { seeds: 20, commands: 2_000 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_goes_on_while_others_write_and_read() {
    let folder = TempDir::new().unwrap();
    let mut world = World::new(open(&folder));
    world.video(submit()).await;
    let log = world.log.clone();
    let writing = tokio::spawn(async move { Histories::new(log, 5, &[HOME]).happen(1_500).await });
    for _ in 0..3 {
        for model in ALL {
            assert!(world.store.rebuild(&world.log, model.name).await.unwrap().is_same());
            assert_eq!(world.video_row().await.title, "Talk");
        }
    }
    writing.await.unwrap();
}

#[tokio::test]
async fn a_rebuild_mends_rows_that_are_wrong_and_says_so() {
    let folder = TempDir::new().unwrap();
    let mut world = World::new(open(&folder));
    world.video(submit()).await;
    let file = rusqlite::Connection::open(folder.path().join("rows.sqlite")).unwrap();
    file.execute("UPDATE \"videos@1.1\" SET title = 'wrong'", []).unwrap();
    let rebuilt = world.store.rebuild(&world.log, "videos").await.unwrap();
    assert!(!rebuilt.is_same());
    assert_eq!(world.video_row().await.title, "Talk");
    assert_eq!(world.store.status(&world.log, &ALL).await.unwrap()[1].build, 2);
    world.store.rebuild(&world.log, "nothing").await.unwrap_err();
}

#[tokio::test]
async fn an_opened_file_goes_on_where_it_was() {
    let folder = TempDir::new().unwrap();
    let mut world = World::new(open(&folder));
    world.video(submit()).await;
    let again = Store::open(&folder.path().join("rows.sqlite"), &ALL).unwrap();
    let status = again.status(&world.log, &ALL).await.unwrap();
    assert!(status.iter().all(|status| status.lag == 0 && status.applied == 1), "{status:?}");
}

#[test]
fn names_of_tables_and_columns_are_plain_and_tables_are_unique() {
    let mut names = vec![];
    let is_plain = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    for table in ALL.iter().flat_map(|model| model.tables) {
        assert!(is_plain(table.name) && table.all_columns().all(|column| is_plain(column.name)), "{table:?}");
        names.push(table.name);
    }
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
    assert_eq!(ALL[0].name, events_by_stream::EventsByStream::NAME);
}

#[test]
fn the_migrations_in_the_repository_are_the_generated_ones_and_cover_every_read_model() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/cql");
    let migrations = cql::migrations();
    for migration in &migrations {
        let file = folder.join(migration.file_name());
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert_eq!(text, migration.text(), "{} is not what `clipflow schema` writes", file.display());
    }
    let numbers: Vec<_> = migrations.iter().map(|migration| migration.number).collect();
    assert_eq!(numbers, (1..=ALL.len() as u32 + 1).collect::<Vec<_>>());
    for model in ALL {
        let name = format!("{}_{}", model.name, model.version);
        assert!(migrations.iter().any(|migration| migration.name == name), "{name} has no migration");
    }
}
