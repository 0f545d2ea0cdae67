//! The suite of the read models on a real cluster: `CLIPFLOW_CQL_NODES`, `…_USERNAME`, `…_PASSWORD` and `…_CA` say where it is, and
//! `just test-live` starts one and sets them. Each test has a keyspace of its own, dropped at its end.

#![allow(clippy::disallowed_methods, reason = "tests learn from the environment where the cluster is")]

mod cluster;
#[path = "../contract/mod.rs"]
mod contract;
mod forgotten;
mod migrations;
mod rebuild;

use cluster::Cluster;
use contract::arrivals::Extent;
use projections::Store;
use std::future::Future;

contract::suite!(on_a_cluster);

async fn on_a_cluster<F: Future<Output = ()>>(test: impl FnOnce(Store) -> F) {
    let cluster = Cluster::connect();
    let store = cluster.open().await;
    cluster.clean_up_after(test(store)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_the_same_however_events_arrive() {
    let cluster = Cluster::connect();
    let test =
        contract::arrivals::rows_are_the_same_however_events_arrive(async || cluster.open().await, Extent { seeds: 1, commands: 1_000 });
    cluster.clean_up_after(test).await;
}
