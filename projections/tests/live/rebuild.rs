//! What only a cluster must show: that it agrees with a file, and that rebuilds under load stop nobody and turn nobody back.

use crate::cluster::Cluster;
use crate::contract::histories::{Histories, span};
use crate::contract::{CLIP, HOME, World, all_events, answers, digests, proposed, surroundings};
use domain::clip::{Clip, Command};
use domain::id::CommitId;
use futures::future::join_all;
use projections::store::Target;
use projections::{ALL, Store, clips, events_by_stream, run};
use proto::Wire as _;
use runtime::execute::{Context, Transaction};
use runtime::log::simulated::{Faults, SimulatedLog};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

/// Readers that ask all the time while read models are rebuilt.
const READERS: usize = 3;

/// Times that each read model is rebuilt under load: the second rebuild removes the tables that the first one replaced.
const ROUNDS: u32 = 2;

/// Between two edits of the clip that is watched, so that the projectors keep up.
const PAUSE: Duration = Duration::from_millis(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_and_a_file_hold_the_same_rows_and_give_the_same_answers() {
    let cluster = Cluster::connect();
    let test = async {
        let log = SimulatedLog::new(7, Faults::NONE);
        Histories::new(log.clone(), 7, &[HOME]).happen(1_500).await;
        let store = cluster.open().await;
        catch_up(&log, &store).await;
        equals_a_file(&log, &store).await;
    };
    cluster.clean_up_after(test).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_read_models_are_rebuilt_under_load_no_query_fails_and_none_goes_back_in_time() {
    let cluster = Cluster::connect();
    let test = async {
        let mut world = World::new(cluster.open().await);
        proposed(&mut world).await;
        let (log, store, around) = (world.log.clone(), world.store.clone(), surroundings());
        let projectors = [(); 2].map(|()| tokio::spawn(run::run(log.clone(), store.clone(), around.clone())));
        let stop = Arc::new(AtomicBool::new(false));
        let writers = [tokio::spawn(edit(log.clone(), stop.clone())), tokio::spawn(live(log.clone(), stop.clone()))];
        let seen = Arc::new(Seen::default());
        let readers = [(); READERS].map(|()| tokio::spawn(watch(store.clone(), seen.clone(), stop.clone())));

        for round in 0..ROUNDS {
            for model in ALL {
                let before = seen.edits.load(Ordering::SeqCst);
                let rebuilt = store.rebuild(&log, model.name).await.unwrap();
                assert!(rebuilt.is_same(), "{rebuilt:?}");
                assert_eq!(rebuilt.build, round + 2);
                eprintln!("{} after {} more edits were seen", model.name, seen.edits.load(Ordering::SeqCst) - before);
            }
        }
        stop.store(true, Ordering::SeqCst);
        for task in writers.into_iter().chain(readers) {
            task.await.unwrap();
        }
        let (edits, queries) = (seen.edits.load(Ordering::SeqCst), seen.queries.load(Ordering::SeqCst));
        eprintln!("{queries} queries saw {edits} edits");
        assert!(edits > 50 && queries > 200, "too little load: {edits} edits, {queries} queries");
        catch_up(&log, &store).await;
        equals_a_file(&log, &store).await;
        around.shutdown.cancel();
        for projector in projectors {
            projector.await.unwrap().unwrap();
        }
    };
    cluster.clean_up_after(test).await;
}

/// The newest that any reader has seen.
#[derive(Default)]
struct Seen {
    edits: AtomicU64,
    events: AtomicU64,
    queries: AtomicU64,
}

/// Asks for one clip and its stream again and again; an answer must not be older than what anybody saw before the question.
async fn watch(store: Store, seen: Arc<Seen>, stop: Arc<AtomicBool>) {
    let stream = Clip::stream(CLIP.0);
    while !stop.load(Ordering::SeqCst) {
        let (edits, events) = (seen.edits.load(Ordering::SeqCst), seen.events.load(Ordering::SeqCst));
        let row = clips::by_id(&store, HOME, CLIP).await.unwrap().expect("nobody deletes it");
        assert!(row.edited_version >= edits, "version {} after version {edits}", row.edited_version);
        seen.edits.fetch_max(row.edited_version, Ordering::SeqCst);
        let listed = clips::by_video(&store, HOME, row.video, None, 10).await.unwrap();
        assert_eq!(listed.len(), 1);
        let newest = events_by_stream::read(&store, HOME, &stream, events, 1_000).await.unwrap();
        let newest = newest.last().expect("somebody saw it before").version;
        seen.events.fetch_max(newest, Ordering::SeqCst);
        seen.queries.fetch_add(3, Ordering::SeqCst);
    }
}

/// Moves the end of the clip that is watched.
async fn edit(log: SimulatedLog, stop: Arc<AtomicBool>) {
    let mut edits = 0;
    while !stop.load(Ordering::SeqCst) {
        edits += 1;
        let context = Context::request(CommitId(Uuid::from_u128((1 << 100) + u128::from(edits))), HOME, "owner", domain::Timestamp(edits));
        let retrim = Command::Retrim { span: span(1_000, 9_000 + edits % 5_000) };
        Transaction::new(&log, context).then::<Clip>(CLIP.0, retrim).commit().await.unwrap();
        tokio::time::sleep(PAUSE).await;
    }
}

/// Everything else that happens to other videos and clips.
async fn live(log: SimulatedLog, stop: Arc<AtomicBool>) {
    let mut histories = Histories::new(log, 5, &[HOME]);
    while !stop.load(Ordering::SeqCst) {
        histories.happen(5).await;
        tokio::time::sleep(PAUSE * 5).await;
    }
}

async fn catch_up(log: &SimulatedLog, store: &Store) {
    join_all(ALL.map(async |model| run::catch_up(log, store, model, Target::Live).await.unwrap())).await;
}

/// Folds the log into a new file and compares everything.
async fn equals_a_file(log: &SimulatedLog, store: &Store) {
    let folder = TempDir::new().unwrap();
    let file = Store::open(&folder.path().join("rows.sqlite"), &ALL).unwrap();
    catch_up(log, &file).await;
    assert_eq!(digests(store).await, digests(&file).await);
    let events = all_events(log).await;
    assert_eq!(answers(store, &events).await, answers(&file, &events).await);
}
