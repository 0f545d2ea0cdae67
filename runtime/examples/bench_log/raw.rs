//! The peer of the log on Kafka: records that nobody judges, by the same client library with the same settings.
//!
//! In one hop, or in the two that a commit of the log takes: whoever reads the first record answers its sender and writes a second one, with the
//! headers and the payload of an event of the log, which another reader takes apart.

use crate::kafka::{Bench, WORKSPACE, admin, assigned, options};
use rdkafka::Offset;
use rdkafka::admin::{NewTopic, TopicReplication};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Headers as _, Message as _, OwnedMessage};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, FutureProducer, FutureRecord, ThreadedProducer};
use runtime::log::kafka::Settings;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long an answer may take before the measurement is given up.
const DEADLINE_MS: u128 = 30_000;

/// As long as the log's own second records wait for company where appenders are answered before.
const SECOND_HOP_LINGER_MS: &str = "2";

/// How long a reader waits before it looks whether to stop, and a writer whose queue is full before it offers a record again.
const IDLE: Duration = Duration::from_millis(100);
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(1);

/// What every record goes through.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hops {
    One,
    Two,
}

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<()>>>>;

/// The producers, the consumers and who waits.
pub(crate) struct Raw {
    pub(crate) client: RawClient,
    topics: Vec<String>,
    stop: Arc<AtomicBool>,
    readers: Vec<JoinHandle<()>>,
}

#[derive(Clone)]
pub(crate) struct RawClient {
    topic: Arc<str>,
    producer: FutureProducer,
    waiting: Waiting,
    next: Arc<AtomicU64>,
    /// Records that have gone through everything.
    arrived: Arc<AtomicU64>,
    /// The bytes of a commit as the log writes them.
    payload: Arc<[u8]>,
}

impl Raw {
    /// Starts on topics of its own beside those of `bench`, which holds a commit already.
    pub(crate) async fn start(bench: &Bench, hops: Hops) -> Self {
        let settings = &bench.settings;
        let name = |hop: u8| format!("{}.raw-{}-{hop}", settings.prefix, hops as u8);
        let topics: Vec<String> = if hops == Hops::One { vec![name(1)] } else { vec![name(1), name(2)] };
        let replication = i32::try_from(bench.layout.replication).unwrap();
        let min_insync = bench.layout.min_insync.to_string();
        let new = |topic| NewTopic::new(topic, 1, TopicReplication::Fixed(replication)).set("min.insync.replicas", &min_insync);
        let new: Vec<NewTopic<'_>> = topics.iter().map(|topic| new(topic)).collect();
        admin(settings).create_topics(&new, &options()).await.unwrap();
        let payload = first_record(settings, &settings.commits()).payload().unwrap().into();
        let (waiting, arrived, stop) = (Waiting::default(), Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let mut readers = Vec::new();
        let mut second = None;
        if let [_, topic] = topics.as_slice() {
            let producer = settings.appender(DEADLINE_MS).set("linger.ms", SECOND_HOP_LINGER_MS).create().unwrap();
            second = Some(Second { producer, topic: topic.clone(), event: first_record(settings, &settings.events()) });
            let (consumer, arrived, stop) = (assigned(settings, topic, Offset::Beginning), arrived.clone(), stop.clone());
            readers.push(std::thread::spawn(move || take_apart(&consumer, &arrived, &stop)));
        }
        let first = First { waiting: waiting.clone(), arrived: arrived.clone(), second };
        let (consumer, stop_too) = (assigned(settings, &topics[0], Offset::Beginning), stop.clone());
        readers.push(std::thread::spawn(move || first.answer(&consumer, &stop_too)));
        let producer = settings.appender(DEADLINE_MS).create().unwrap();
        let client = RawClient { topic: topics[0].as_str().into(), producer, waiting, next: Arc::default(), arrived, payload };
        Self { client, topics, stop, readers }
    }

    /// Returns the topics that are left.
    pub(crate) fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.readers.into_iter().for_each(|reader| reader.join().unwrap());
        self.topics
    }
}

impl RawClient {
    /// Writes a record and waits until the consumer has read it and the brokers have acknowledged it.
    pub(crate) async fn ask(&self) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, arrived) = oneshot::channel();
        self.waiting.lock().unwrap().insert(number, sender);
        let mut payload = self.payload.to_vec();
        payload[..8].copy_from_slice(&number.to_le_bytes());
        let key = WORKSPACE.to_string();
        let record = FutureRecord::to(&self.topic).partition(0).key(&key).payload(&payload);
        let delivery = self.producer.send_result(record).map_err(|(error, _)| error).unwrap();
        arrived.await.unwrap();
        delivery.await.unwrap().unwrap();
    }

    /// Waits until nothing is on its way.
    pub(crate) async fn until_all_arrived(&self) {
        while self.arrived.load(Ordering::Relaxed) < self.next.load(Ordering::Relaxed) {
            tokio::time::sleep(QUEUE_FULL_PAUSE).await;
        }
    }
}

/// Who reads the first record.
struct First {
    waiting: Waiting,
    arrived: Arc<AtomicU64>,
    second: Option<Second>,
}

/// Who writes the second one.
struct Second {
    producer: ThreadedProducer<DefaultProducerContext>,
    topic: String,
    /// What it looks like.
    event: OwnedMessage,
}

impl First {
    fn answer(&self, consumer: &BaseConsumer, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let Some(record) = consumer.poll(IDLE) else { continue };
            let record = record.unwrap();
            let (number, _) = record.payload().unwrap().split_first_chunk::<8>().unwrap();
            let sender = self.waiting.lock().unwrap().remove(&u64::from_le_bytes(*number)).unwrap();
            sender.send(()).unwrap();
            match &self.second {
                Some(second) => second.write(),
                None => _ = self.arrived.fetch_add(1, Ordering::Relaxed),
            }
        }
    }
}

impl Second {
    fn write(&self) {
        let (key, payload) = (self.event.key().unwrap(), self.event.payload().unwrap());
        let headers = self.event.headers().unwrap().clone();
        let mut record = BaseRecord::to(&self.topic).partition(0).key(key).payload(payload).headers(headers);
        while let Err((error, refused)) = self.producer.send(record) {
            assert!(matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)), "{error}");
            std::thread::sleep(QUEUE_FULL_PAUSE);
            record = refused;
        }
    }
}

/// Looks at every header, as whoever wants to know what an event is must.
fn take_apart(consumer: &BaseConsumer, arrived: &AtomicU64, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let Some(record) = consumer.poll(IDLE) else { continue };
        let record = record.unwrap();
        let bytes: usize = record.headers().unwrap().iter().map(|header| header.key.len() + header.value.unwrap().len()).sum();
        assert!(bytes > 0);
        arrived.fetch_add(1, Ordering::Relaxed);
    }
}

fn first_record(settings: &Settings, topic: &str) -> OwnedMessage {
    let consumer = assigned(settings, topic, Offset::Beginning);
    loop {
        if let Some(record) = consumer.poll(IDLE) {
            return record.unwrap().detach();
        }
    }
}
