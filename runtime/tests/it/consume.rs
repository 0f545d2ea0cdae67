//! A consumer applies every event once, in order, through failures and restarts.

use crate::counter::{Command, Counter, id, request, surroundings};
use proto::Recorded;
use runtime::consume::{Sink, Surroundings, consume};
use runtime::execute::execute;
use runtime::log::Partition;
use runtime::log::simulated::{Faults, SimulatedLog};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Clone, Default)]
struct Seen(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    positions: Vec<u64>,
    checkpoint: Option<u64>,
    poison: HashSet<u64>,
    /// Nothing can be written; the checkpoint can still be read.
    is_down: bool,
}

impl Sink for Seen {
    const NAME: &'static str = "seen";

    async fn checkpoint(&self, _: Partition) -> anyhow::Result<Option<u64>> {
        Ok(self.0.lock().unwrap().checkpoint)
    }

    async fn apply(&self, _: Partition, batch: &[Recorded], next: u64) -> anyhow::Result<()> {
        let mut state = self.0.lock().unwrap();
        anyhow::ensure!(!state.is_down, "the sink is down");
        anyhow::ensure!(!batch.iter().any(|event| state.poison.contains(&event.position)), "a poisonous event");
        // As read models do with what lies below their checkpoint.
        let done = state.checkpoint;
        let fresh = batch.iter().map(|event| event.position).filter(|position| Some(*position) > done);
        state.positions.extend(fresh);
        state.checkpoint = next.checked_sub(1);
        Ok(())
    }
}

async fn add(log: &SimulatedLog, commits: std::ops::Range<u128>) {
    for commit in commits {
        execute::<Counter>(log, request(commit + 1), id(commit), Command::Add(1)).await.unwrap();
    }
}

fn start(log: &SimulatedLog, sink: &Seen, surroundings: &Surroundings) -> tokio::task::JoinHandle<anyhow::Result<()>> {
    tokio::spawn(consume(log.clone(), sink.clone(), surroundings.clone()))
}

#[tokio::test]
async fn it_goes_on_where_it_stopped() {
    let (log, sink) = (SimulatedLog::new(1, Faults::NONE), Seen::default());
    add(&log, 0..700).await;
    let first = surroundings();
    let running = start(&log, &sink, &first);
    first.positions.wait("seen", Partition::EMBEDDED, Some(699), Duration::from_secs(10)).await.unwrap();
    first.shutdown.cancel();
    running.await.unwrap().unwrap();

    add(&log, 700..800).await;
    let second = surroundings();
    let running = start(&log, &sink, &second);
    second.positions.wait("seen", Partition::EMBEDDED, Some(799), Duration::from_secs(10)).await.unwrap();
    second.shutdown.cancel();
    running.await.unwrap().unwrap();
    assert!(sink.0.lock().unwrap().positions.iter().copied().eq(0..800));
}

#[tokio::test]
async fn an_outage_of_the_sink_parks_nothing() {
    let (log, sink, surroundings) = (SimulatedLog::new(1, Faults::NONE), Seen::default(), surroundings());
    sink.0.lock().unwrap().is_down = true;
    add(&log, 0..10).await;
    let running = start(&log, &sink, &surroundings);
    // Longer than all tries of one event take.
    tokio::time::sleep(Duration::from_millis(1_800)).await;
    sink.0.lock().unwrap().is_down = false;
    surroundings.positions.wait("seen", Partition::EMBEDDED, Some(9), Duration::from_secs(30)).await.unwrap();
    surroundings.shutdown.cancel();
    running.await.unwrap().unwrap();
    assert!(surroundings.consumers.parked().await.unwrap().is_empty());
    let applied: HashSet<u64> = sink.0.lock().unwrap().positions.iter().copied().collect();
    assert_eq!(applied, (0..10).collect());
}

#[tokio::test]
async fn an_event_that_keeps_failing_is_parked_and_the_others_are_applied() {
    let (log, sink, surroundings) = (SimulatedLog::new(1, Faults::NONE), Seen::default(), surroundings());
    sink.0.lock().unwrap().poison.insert(4);
    add(&log, 0..10).await;
    let running = start(&log, &sink, &surroundings);
    surroundings.positions.wait("seen", Partition::EMBEDDED, Some(9), Duration::from_secs(30)).await.unwrap();
    let parked = surroundings.consumers.parked().await.unwrap();
    assert_eq!((parked.len(), parked[0].position, parked[0].consumer.as_str()), (1, 4, "seen"));
    assert_eq!(parked[0].error, "a poisonous event");
    assert_eq!(sink.0.lock().unwrap().positions, [0, 1, 2, 3, 5, 6, 7, 8, 9]);
    surroundings.shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn events_of_an_unknown_type_are_counted_and_stop_nothing() {
    // No type of this test's events is in the contract.
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&recorder);
    let (log, surroundings) = (SimulatedLog::new(1, Faults::NONE), surroundings());
    for commit in 0..10 {
        execute::<Counter>(&log, request(commit + 1), id(0), Command::Add(1)).await.unwrap();
    }
    let seen = Seen::default();
    let running = tokio::spawn(consume(log.clone(), seen.clone(), surroundings.clone()));
    surroundings.positions.wait("seen", Partition::EMBEDDED, Some(9), Duration::from_secs(10)).await.unwrap();
    surroundings.shutdown.cancel();
    running.await.unwrap().unwrap();
    let told = recorder.handle().render();
    assert!(told.contains("clipflow_consumer_unknown_events_total{consumer=\"seen\"} 10"), "{told}");
}
