//! The log's topics: made once, checked at each start.

use super::follow::is_passing;
use super::settings::{RECORD_BYTES_MAX, Settings};
use crate::log::sequencer::rule::{RULE_VERSION, RULE_VERSION_MIN};
use anyhow::{Context as _, bail};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::metadata::Metadata;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use thiserror::Error;
use uuid::Uuid;

/// How long a broker may take to answer a question about topics.
pub(super) const ADMIN_TIMEOUT: Duration = Duration::from_secs(20);

/// Pause before brokers are asked again, such as whether they know a topic that was just made.
const METADATA_POLL: Duration = Duration::from_millis(100);

/// Complaints of a client that are looked through for the reason of a failure.
const COMPLAINTS_MAX: usize = 100;

/// Most partitions of a log: each costs every process a file and a reader.
pub const PARTITIONS_MAX: u32 = 256;

/// Partitions of a topic of jobs: at most so many processes share a processor's work.
const WORK_PARTITIONS: i32 = 12;

/// As many copies of a topic as the brokers' setting `default.replication.factor` says.
const BROKERS_CHOOSE: i32 = -1;

/// The log is the truth; tiered storage keeps it affordable.
const FOR_EVER: &str = "-1";

/// Jobs are kept for a month: nobody waits longer for a worker.
const WORK_RETENTION_MS: &str = "2592000000";

/// Progress is for those who watch now.
const PROGRESS_RETENTION_MS: &str = "600000";

/// What a log is, written once when it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Tells one log from another with the same topics' names.
    pub id: Uuid,
    /// Fixed: it decides where each workspace is.
    pub partitions: u32,
    /// The rule that judges its commits.
    pub rule_version: u32,
}

impl Generation {
    /// Tells whether a record may hold several commits.
    pub(super) fn groups_commits(&self) -> bool {
        self.rule_version > RULE_VERSION_MIN
    }
}

/// How to make a log.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Partitions; fixed for the life of the log.
    pub partitions: u32,
    /// Copies of each partition.
    pub replication: u32,
    /// Copies that must have a record before it is acknowledged.
    pub min_insync: u32,
}

/// Why a log on Kafka cannot be used.
#[derive(Debug, Error)]
pub enum LogProblem {
    /// Nobody made it.
    #[error("there is no log with the prefix {prefix:?} on {brokers}: make it with `clipflow log init`")]
    Absent {
        /// Start of the topics' names.
        prefix: String,
        /// Where it was looked for.
        brokers: String,
    },
    /// No broker answers.
    #[error("no Kafka broker answers at {brokers} ({reason}): check `brokers` in the configuration, and that they run")]
    Unreachable {
        /// Where they should be.
        brokers: String,
        /// What the client says.
        reason: String,
    },
    /// The brokers refuse who we are.
    #[error(
        "the Kafka brokers at {brokers} refuse the credentials ({reason}): check `sasl.*` and `ssl.*` under `client` in the configuration"
    )]
    Refused {
        /// Where.
        brokers: String,
        /// What the client says.
        reason: String,
    },
    /// It is not the log that was here before.
    #[error("{what} belongs to log {expected}, but the topics hold log {found}: point to the right brokers, or move {what} away")]
    OtherGeneration {
        /// What was kept from before.
        what: String,
        /// The log that it belongs to.
        expected: String,
        /// The log on the brokers.
        found: String,
    },
    /// This program judges commits by another rule.
    #[error(
        "the log was made for rule {found}, this program knows rules {RULE_VERSION_MIN} to {RULE_VERSION}: use the version of clipflow that made the log"
    )]
    OtherRule {
        /// The log's.
        found: u32,
    },
}

/// Makes the log's topics, those of the jobs of `processors` too, and says which log it is; refuses where there is one.
///
/// # Errors
/// A [`LogProblem`], or when the brokers refuse a topic.
pub async fn init(settings: &Settings, layout: Layout, processors: &[&str], id: Uuid) -> anyhow::Result<Generation> {
    anyhow::ensure!(
        (1..=PARTITIONS_MAX).contains(&layout.partitions),
        "a log has 1 to {PARTITIONS_MAX} partitions, not {}",
        layout.partitions
    );
    anyhow::ensure!(
        layout.min_insync <= layout.replication,
        "{} copies cannot have a record when there are {}",
        layout.min_insync,
        layout.replication
    );
    match generation(settings).await {
        Ok(existing) => bail!("there is a log already ({}, {} partitions): it is left as it is", existing.id, existing.partitions),
        Err(error) if matches!(error.downcast_ref(), Some(LogProblem::Absent { .. })) => {}
        Err(error) => return Err(error),
    }
    let (commits, events, mark) = (settings.commits(), settings.events(), settings.generation());
    let (min_insync, largest) = (layout.min_insync.to_string(), RECORD_BYTES_MAX.to_string());
    let replication = i32::try_from(layout.replication)?;
    let topic = |name, partitions, retention_ms| {
        NewTopic::new(name, partitions, TopicReplication::Fixed(replication))
            .set("cleanup.policy", "delete")
            .set("retention.ms", retention_ms)
            .set("retention.bytes", "-1")
            .set("min.insync.replicas", &min_insync)
            .set("unclean.leader.election.enable", "false")
            .set("max.message.bytes", &largest)
    };
    let partitions = i32::try_from(layout.partitions)?;
    let progress = crate::progress::relay::topic(settings);
    let work: Vec<String> = processors.iter().map(|name| crate::dispatch::topic(settings, name)).collect();
    let mut topics = vec![topic(&commits, partitions, FOR_EVER), topic(&events, partitions, FOR_EVER), topic(&mark, 1, FOR_EVER)];
    topics.push(topic(&progress, 1, PROGRESS_RETENTION_MS));
    // Jobs can be handed out again from the events, so they need not be kept.
    topics.extend(work.iter().map(|name| topic(name, WORK_PARTITIONS, WORK_RETENTION_MS)));
    make(settings, &topics).await?;
    let generation = Generation { id, partitions: layout.partitions, rule_version: RULE_VERSION };
    check_partitions(settings, &generation).await?;
    let producer: FutureProducer = settings.appender(ADMIN_TIMEOUT.as_millis()).create()?;
    let payload = serde_json::to_vec(&generation)?;
    let record = FutureRecord::<(), _>::to(&mark).partition(0).payload(&payload);
    producer.send(record, ADMIN_TIMEOUT).await.map_err(|(error, _)| error).context("writing which log it is")?;
    // Two who make it at the same time agree on the first.
    self::generation(settings).await
}

/// Makes the topic of events with JSON, where there is none; as many copies as the brokers choose by default. What it holds can be made again.
pub(super) async fn make_json(settings: &Settings, generation: &Generation) -> anyhow::Result<()> {
    let (name, largest) = (settings.json(), RECORD_BYTES_MAX.to_string());
    let topic = NewTopic::new(&name, i32::try_from(generation.partitions)?, TopicReplication::Fixed(BROKERS_CHOOSE))
        .set("retention.ms", FOR_EVER)
        .set("max.message.bytes", &largest);
    make(settings, &[topic]).await?;
    check_topics(settings, vec![name], generation).await
}

/// Makes those of the topics that are not there.
async fn make(settings: &Settings, topics: &[NewTopic<'_>]) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> = settings.admin().create()?;
    let options = AdminOptions::new().operation_timeout(Some(ADMIN_TIMEOUT));
    for made in admin.create_topics(topics, &options).await? {
        match made {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => bail!("the brokers refuse to make the topic {name}: {code}"),
        }
    }
    Ok(())
}

/// Returns which log the topics hold.
///
/// # Errors
/// A [`LogProblem`].
pub async fn generation(settings: &Settings) -> anyhow::Result<Generation> {
    let settings = settings.clone();
    let reading = tokio::task::spawn_blocking(move || read_generation(&settings));
    let generation = reading.await.context("asking for the generation panicked")??;
    if !(RULE_VERSION_MIN..=RULE_VERSION).contains(&generation.rule_version) {
        return Err(LogProblem::OtherRule { found: generation.rule_version }.into());
    }
    Ok(generation)
}

fn partitions_of(metadata: &Metadata, topic: &str) -> usize {
    metadata.topics().iter().find(|found| found.name() == topic).map_or(0, |found| found.partitions().len())
}

/// Checks that the topics are as the generation says; a broker may not have heard yet of what another has just made.
pub(super) async fn check_partitions(settings: &Settings, generation: &Generation) -> anyhow::Result<()> {
    check_topics(settings, vec![settings.commits(), settings.events()], generation).await
}

async fn check_topics(settings: &Settings, topics: Vec<String>, generation: &Generation) -> anyhow::Result<()> {
    let (settings, wanted) = (settings.clone(), generation.partitions as usize);
    tokio::task::spawn_blocking(move || {
        let client: BaseConsumer = settings.reader("check").create()?;
        for topic in topics {
            let ask = || metadata(&client, &topic).map_err(|error| unusable(&settings, &error));
            let deadline = Instant::now() + ADMIN_TIMEOUT;
            let mut found = partitions_of(&ask()?, &topic);
            while found == 0 && Instant::now() < deadline {
                std::thread::sleep(METADATA_POLL);
                found = partitions_of(&ask()?, &topic);
            }
            anyhow::ensure!(
                found == wanted,
                "the topic {topic} has {found} partitions instead of {wanted}: partitions of a log never change"
            );
        }
        Ok(())
    })
    .await
    .context("asking for topics panicked")?
}

/// Remembers why brokers sent us away: the calls themselves only say that nobody answered.
#[derive(Default)]
struct Witness(Mutex<Option<String>>);

impl ClientContext for Witness {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(error = %error, reason, "a Kafka client complains");
        if is_refusal(&error) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason.to_owned());
        }
    }
}

impl ConsumerContext for Witness {}

/// Asks the brokers for a topic; again where the client gave the broker up that it had just asked, as it does in the middle of changes.
fn metadata<C: ConsumerContext>(client: &BaseConsumer<C>, topic: &str) -> Result<Metadata, KafkaError> {
    let deadline = Instant::now() + ADMIN_TIMEOUT;
    loop {
        let answer = client.fetch_metadata(Some(topic), ADMIN_TIMEOUT);
        let was_given_up = matches!(&answer, Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::DestroyBroker));
        if !was_given_up || Instant::now() >= deadline {
            return answer;
        }
        std::thread::sleep(METADATA_POLL);
    }
}

/// Asks the brokers for a topic, and finds out why when they do not answer.
fn first_contact(settings: &Settings, client: &BaseConsumer<Witness>, topic: &str) -> anyhow::Result<Metadata> {
    metadata(client, topic).map_err(|error| {
        // Complaints are handed over when a client is polled.
        for _ in 0..COMPLAINTS_MAX {
            drop(client.poll(Duration::ZERO));
        }
        match client.context().0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(reason) => LogProblem::Refused { brokers: settings.brokers.clone(), reason }.into(),
            None => unusable(settings, &error),
        }
    })
}

fn read_generation(settings: &Settings) -> anyhow::Result<Generation> {
    let topic = settings.generation();
    let client: BaseConsumer<Witness> = settings.reader("generation").create_with_context(Witness::default())?;
    let absent = || LogProblem::Absent { prefix: settings.prefix.clone(), brokers: settings.brokers.clone() };
    let metadata = first_contact(settings, &client, &topic)?;
    if metadata.topics().iter().all(|found| found.name() != topic || found.partitions().is_empty()) {
        return Err(absent().into());
    }
    let (first, end) = super::follow::watermarks(settings, &client, &topic, 0)?;
    if first == end {
        return Err(absent().into());
    }
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(&topic, 0, Offset::Offset(first))?;
    client.assign(&partitions)?;
    let deadline = Instant::now() + ADMIN_TIMEOUT;
    while Instant::now() < deadline {
        match client.poll(Duration::from_millis(100)) {
            Some(Ok(record)) => return serde_json::from_slice(record.payload().unwrap_or_default()).context("reading which log it is"),
            Some(Err(error)) if !is_passing(&error) => return Err(unusable(settings, &error)),
            Some(Err(_)) | None => {}
        }
    }
    bail!("the brokers at {} did not send the record of {topic} within {} s", settings.brokers, ADMIN_TIMEOUT.as_secs())
}

/// Says in the user's words why a client could not do what it was asked.
pub(super) fn unusable(settings: &Settings, error: &KafkaError) -> anyhow::Error {
    let (brokers, reason) = (settings.brokers.clone(), error.to_string());
    if is_refusal(error) {
        return LogProblem::Refused { brokers, reason }.into();
    }
    if is_passing(error) { LogProblem::Unreachable { brokers, reason }.into() } else { anyhow::Error::new(error.clone()) }
}

fn is_refusal(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::Authentication
                | Code::SaslAuthenticationFailed
                | Code::SSL
                | Code::TopicAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::GroupAuthorizationFailed
        )
    )
}
