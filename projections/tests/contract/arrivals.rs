//! The same rows, however and how often events arrive: random histories, redelivery, disorder, replay, rebuild.

use super::histories::Histories;
use super::{HOME, OTHER, all_events, answers, digests, surroundings};
use futures::future::join_all;
use projections::store::Target;
use projections::{ALL, Model, Store, run};
use proto::Recorded;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use runtime::log::simulated::{Faults, SimulatedLog};
use runtime::log::{Log as _, Partition};
use std::collections::BTreeSet;
use std::time::Duration;

/// How much happens in a run of random histories.
pub(crate) struct Extent {
    pub(crate) seeds: u64,
    pub(crate) commands: usize,
}

/// Random histories on stores of their own: `open` gives an empty one each time. The seed of a failing run is in its message.
pub(crate) async fn rows_are_the_same_however_events_arrive(open: impl AsyncFn() -> Store, extent: Extent) {
    let mut seen = BTreeSet::new();
    for seed in 0..extent.seeds {
        let live = open().await;
        let log = SimulatedLog::new(seed, Faults { visible_after_ms_max: 3, ..Faults::NONE });
        let around = surroundings();
        // Two projectors over one store: one of them is a zombie, nobody knows which.
        let projectors = [(); 2].map(|()| tokio::spawn(run::run(log.clone(), live.clone(), around.clone())));
        let mut histories = Histories::new(log.clone(), seed, &[HOME, OTHER]);
        histories.happen(extent.commands).await;
        while log.head(Partition::EMBEDDED).await.unwrap() <= histories.last.unwrap() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let events = all_events(&log).await;
        assert!(events.len() > extent.commands / 10, "seed {seed}: only {} events", events.len());
        seen.extend(events.iter().map(|event| event.event_type.to_string()));
        for model in ALL {
            let last = events.last().map(|event| event.position);
            around.positions.wait(model.name, Partition::EMBEDDED, last, Duration::from_secs(60)).await.unwrap();
        }
        let expected = (digests(&live).await, answers(&live, &events).await);

        let other = open().await;
        join_all(ALL.map(|model| deliver_again_and_again(&other, model, &events, seed))).await;
        assert_eq!((digests(&other).await, answers(&other, &events).await), expected, "seed {seed}: delivered twice");
        join_all(ALL.map(|model| deliver_old_ones_in_disorder(&other, model, &events, seed))).await;
        join_all(ALL.map(|model| two_replay_at_once(&other, model, &events, seed))).await;
        assert_eq!((digests(&other).await, answers(&other, &events).await), expected, "seed {seed}: old ones delivered again");
        for model in ALL {
            let rebuilt = live.rebuild(&log, model.name).await.unwrap();
            assert!(rebuilt.is_same(), "seed {seed}: {rebuilt:?}");
        }
        assert_eq!((digests(&live).await, answers(&live, &events).await), expected, "seed {seed}: rebuilt");
        around.shutdown.cancel();
        for projector in projectors {
            projector.await.unwrap().unwrap();
        }
    }
    assert!(seen.len() >= 20, "too few kinds of events happened: {seen:?}");
}

/// Delivers in random batches, and now and then goes back to an earlier one.
async fn deliver_again_and_again(store: &Store, model: Model, events: &[Recorded], seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut done = 0;
    while done < events.len() {
        let from = random.random_range(0..=done);
        let to = (done + random.random_range(1..40)).min(events.len());
        let next = events[to - 1].position + 1;
        for _ in 0..2 {
            store.apply(model, Target::Live, Partition::EMBEDDED, events[from..to].to_vec(), next).await.unwrap();
        }
        done = to;
    }
}

/// Delivers events that were long applied, in any order, as a projector that was asleep may.
async fn deliver_old_ones_in_disorder(store: &Store, model: Model, events: &[Recorded], seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut shuffled = events.to_vec();
    shuffled.shuffle(&mut random);
    for some in shuffled.chunks(37) {
        deliver_late(store, model, some).await;
    }
}

/// Two projectors that each go through the log again from a checkpoint of their own.
async fn two_replay_at_once(store: &Store, model: Model, events: &[Recorded], seed: u64) {
    let replay = async |seed: u64| {
        let from = StdRng::seed_from_u64(seed).random_range(0..events.len());
        for batch in events[from..].chunks(23) {
            deliver_late(store, model, batch).await;
        }
    };
    tokio::join!(replay(seed), replay(seed + 1_000));
}

/// Behind the checkpoint's back where that is possible: a file checks it in the transaction, a cluster cannot.
pub(crate) async fn deliver_late(store: &Store, model: Model, events: &[Recorded]) {
    match store {
        Store::Sqlite(_) => drop(store.apply(model, Target::Live, Partition::EMBEDDED, events.to_vec(), 0).await.unwrap()),
        Store::Cql(cluster) => cluster.write_rows(model, cluster.live(model).await.unwrap(), events).await.unwrap(),
    }
}
