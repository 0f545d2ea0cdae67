//! Every adapter of the log passes the same suite.

use runtime::log::conformance::suite;
use runtime::log::simulated::{Faults, SimulatedLog};
use runtime::log::sqlite::SqliteLog;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_is_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    suite(|| {
        count.set(count.get() + 1);
        let log = SqliteLog::open(folder.path().join(format!("{}.sqlite", count.get()))).unwrap();
        async move { log }
    })
    .await;
}

#[tokio::test]
async fn the_simulated_log_is_a_log() {
    suite(|| async { SimulatedLog::new(1, Faults::NONE) }).await;
}

#[tokio::test]
async fn the_simulated_log_is_a_log_while_answers_get_lost_and_readers_lag() {
    for seed in 0..8 {
        println!("seed {seed}");
        suite(|| async { SimulatedLog::new(seed, Faults::SOME) }).await;
    }
}
