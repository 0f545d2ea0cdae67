//! Appends to UmaDB and replays it, in process, as its server does: one writer thread that takes what waits, its defaults for everything.
//!
//! An append is conditional on the client's own stream: it fails if an event with the stream's tag came after the last one that the client knows.
//! Prints one JSON object: `bench-umadb FOLDER CLIENTS…`.

use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use umadb_core::db::UmaDb;
use umadb_core::mvcc::{Mvcc, StorageOptions};
use umadb_core::writer_thread_blocking::writer_thread_blocking;
use umadb_core::writer_thread_request::WriterThreadRequest;
use umadb_dcb::{DcbAppendCondition, DcbEvent, DcbEventStoreSync as _, DcbQuery, DcbQueryItem};

const ROUND: Duration = Duration::from_millis(1_500);
const PAYLOAD_BYTES: usize = 256;
const REPLAY_EVENTS: usize = 500_000;
const REPLAY_PAGE: u32 = 2_048;
/// As in its server.
const BATCH_EVENTS_MAX: usize = 2_048;

#[derive(Clone)]
struct Database {
    mvcc: Arc<Mvcc>,
    requests: mpsc::Sender<WriterThreadRequest>,
}

impl Database {
    fn open(path: &str) -> Self {
        std::fs::create_dir(path).unwrap();
        let mvcc = Arc::new(Mvcc::new(false, StorageOptions::default().db_path(path)).unwrap());
        let (requests, received) = mpsc::channel(10_000);
        let (head, _) = watch::channel(None);
        let own = mvcc.clone();
        std::thread::spawn(move || writer_thread_blocking(own, received, head, BATCH_EVENTS_MAX));
        Self { mvcc, requests }
    }

    async fn append(&self, events: Vec<DcbEvent>, condition: Option<DcbAppendCondition>) -> u64 {
        let (response_tx, answer) = oneshot::channel();
        let request = WriterThreadRequest::Append { events, condition, tracking_info: None, response_tx, cancel: None };
        assert!(self.requests.send(request).await.is_ok());
        answer.await.unwrap().unwrap()
    }
}

fn event(tag: &str) -> DcbEvent {
    DcbEvent { event_type: "clip.measured".into(), tags: vec![tag.into()], data: vec![7; PAYLOAD_BYTES], ..DcbEvent::default() }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, levels @ ..] = arguments.as_slice() else { panic!("bench-umadb FOLDER CLIENTS…") };
    let mut appends = Vec::new();
    for clients in levels {
        let database = Database::open(&format!("{folder}/umadb-{clients}"));
        appends.push(round(&database, clients.parse().unwrap()).await);
    }
    let replay = replay(&Database::open(&format!("{folder}/umadb-replay"))).await;
    println!("{{\"appends\":[{}],\"replay\":{replay}}}", appends.join(","));
}

async fn round(database: &Database, clients: usize) -> String {
    let started = Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|client| {
            let database = database.clone();
            tokio::spawn(async move {
                let tag = format!("clip-{client:032x}");
                let (mut latencies, mut after) = (Vec::new(), None);
                while started.elapsed() < ROUND {
                    let asked = Instant::now();
                    let items = vec![DcbQueryItem { types: vec![], tags: vec![tag.clone()] }];
                    let condition = DcbAppendCondition { fail_if_events_match: DcbQuery { items }, after };
                    after = Some(database.append(vec![event(&tag)], Some(condition)).await);
                    latencies.push(asked.elapsed());
                }
                latencies
            })
        })
        .collect();
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.extend(task.await.unwrap());
    }
    let elapsed = started.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let quantile = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let (per_second, p50, p99) = (latencies.len() as f64 / elapsed, quantile(0.5), quantile(0.99));
    format!("{{\"clients\":{clients},\"per_second\":{per_second},\"p50_ms\":{p50},\"p99_ms\":{p99}}}")
}

async fn replay(database: &Database) -> f64 {
    const COMMIT_EVENTS: usize = 1_000;
    for number in 0..REPLAY_EVENTS / COMMIT_EVENTS {
        let tag = format!("clip-{:032x}", number % 100);
        database.append((0..COMMIT_EVENTS).map(|_| event(&tag)).collect(), None).await;
    }
    let store = UmaDb::from_arc(database.mvcc.clone());
    let started = Instant::now();
    let (mut next, mut events, mut bytes) = (1, 0, 0);
    while events < REPLAY_EVENTS {
        for found in store.read(None, Some(next), false, Some(REPLAY_PAGE)).unwrap() {
            let found = found.unwrap();
            bytes += found.event.data.len();
            (next, events) = (found.position + 1, events + 1);
        }
    }
    assert_eq!(bytes, REPLAY_EVENTS * PAYLOAD_BYTES);
    REPLAY_EVENTS as f64 / started.elapsed().as_secs_f64()
}
