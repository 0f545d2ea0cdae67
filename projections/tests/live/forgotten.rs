//! Nodes forget prepared statements when others change the schema.

use crate::cluster::Cluster;
use crate::contract::{HOME, World, submit};
use projections::cql;
use projections::store::Target;
use projections::{ALL, Store, videos};
use runtime::log::Partition;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Keyspaces that come and go while rows are written.
const ROUNDS: u32 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_are_prepared_again_while_others_drop_and_make_keyspaces() {
    let cluster = Cluster::connect();
    let test = async {
        let mut world = World::new(cluster.open().await);
        world.video(submit()).await;
        let stop = Arc::new(AtomicBool::new(false));
        let store = world.store.clone();
        let asking = tokio::spawn({
            let stop = stop.clone();
            async move {
                let mut asked = 0;
                while !stop.load(Ordering::SeqCst) {
                    videos::newest(&store, HOME, None, 10).await.unwrap();
                    for model in ALL {
                        store.digest(model).await.map(drop).unwrap_or_else(|error| panic!("{}: {error:#}", model.name));
                    }
                    asked += 1;
                }
                asked
            }
        });
        let session = cluster.session().await;
        let mut written = 0;
        for _ in 0..ROUNDS {
            let other = cluster.fresh();
            cql::migrate(&other, Some(1)).await.unwrap();
            cluster.drop_early(&session, &other.keyspace).await;
            for model in ALL {
                written += 1;
                world.store.apply(model, Target::Live, Partition::EMBEDDED, vec![], 100 + written).await.unwrap();
            }
        }
        stop.store(true, Ordering::SeqCst);
        assert!(asking.await.unwrap() > 3);
    };
    cluster.clean_up_after(test).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyspace_that_is_dropped_and_made_again_under_a_running_process_is_used_again() {
    let cluster = Cluster::connect();
    let test = async {
        let options = cluster.fresh();
        cql::migrate(&options, Some(1)).await.unwrap();
        let store = Store::Cql(cql::Store::open(&options).await.unwrap());
        let mut world = World::new(store.clone());
        world.video(submit()).await;
        assert_eq!(videos::newest(&store, HOME, None, 10).await.unwrap().len(), 1);

        let session = cluster.session().await;
        session.query_unpaged(format!("DROP KEYSPACE {}", options.keyspace), ()).await.unwrap();
        cql::migrate(&options, Some(1)).await.unwrap();
        assert_eq!(videos::newest(&store, HOME, None, 10).await.unwrap().len(), 0, "the statements are prepared for the new tables");
        let mut world = World::new(store.clone());
        world.video(submit()).await;
        assert_eq!(videos::newest(&store, HOME, None, 10).await.unwrap().len(), 1);
    };
    cluster.clean_up_after(test).await;
}
