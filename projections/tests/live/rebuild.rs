//! What only a cluster must show: that it agrees with a file, that a rebuild under load stops and turns back nobody, and migrations.

use crate::cluster::Cluster;
use crate::contract::histories::{Histories, span};
use crate::contract::{HOME, VIDEO, World, all_events, answers, digests, proposed, submit};
use domain::clip::Command as ClipCommand;
use domain::id::ClipId;
use domain::{clip, video};
use futures::StreamExt as _;
use futures::future::join_all;
use projections::store::Target;
use projections::{ALL, Model, Store, clips, cql, run, videos};
use runtime::execute::{Context, Transaction};
use runtime::log::simulated::{Faults, SimulatedLog};
use scylla::client::session_builder::SessionBuilder;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Readers that ask all the time while rebuilds go on.
const READERS: usize = 3;

/// Times that each read model is rebuilt under load.
const ROUNDS: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_and_a_file_hold_the_same_rows_and_give_the_same_answers() {
    let cluster = Cluster::connect();
    let test = async {
        let log = SimulatedLog::new(7, Faults::NONE);
        Histories::new(log.clone(), 7, &[HOME]).happen(1_500).await;
        let events = all_events(&log).await;
        let folder = TempDir::new().unwrap();
        let file = Store::open(&folder.path().join("rows.sqlite"), &ALL).unwrap();
        let cluster = cluster.open().await;
        for store in [&file, &cluster] {
            join_all(ALL.map(async |model| run::catch_up(&log, store, model, Target::Live).await.unwrap())).await;
        }
        assert_eq!(digests(&cluster).await, digests(&file).await);
        assert_eq!(answers(&cluster, &events).await, answers(&file, &events).await);
    };
    cluster.clean_up_after(test).await;
}
