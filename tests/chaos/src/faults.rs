//! Does to the running system what the schedule says, and takes it back.

use crate::history::History;
use crate::parts::Part;
use crate::proxy::{Mode, Proxy};
use crate::schedule::{BROKERS, Door, Engine, Fault, Planned, Who};
use anyhow::Context as _;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Everything that can be harmed.
pub(crate) struct System {
    /// Of the run: each part keeps what it knows in a folder of its name.
    pub(crate) folder: PathBuf,
    pub(crate) sequencers: Vec<Arc<Part>>,
    pub(crate) projector: Arc<Part>,
    pub(crate) workers: Vec<Arc<Part>>,
    pub(crate) clients: Vec<Arc<Part>>,
    /// By door, then by broker.
    pub(crate) proxies: Vec<Vec<Proxy>>,
    /// `infra/local/engine`.
    pub(crate) engine: PathBuf,
    /// Each held while a fault of that engine lasts: on a busy machine one starts more slowly than the schedule hopes.
    pub(crate) kafka: Mutex<()>,
    pub(crate) cassandra: Mutex<()>,
}

impl System {
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Arc<Part>> {
        self.sequencers.iter().chain([&self.projector]).chain(&self.workers).chain(&self.clients)
    }

    fn part(&self, who: Who) -> &Part {
        match who {
            Who::Sequencer(number) => &self.sequencers[number],
            Who::Projector => &self.projector,
            Who::Worker(number) => &self.workers[number],
            Who::Client(number) => &self.clients[number],
        }
    }

    fn set(&self, door: Door, broker: Option<usize>, mode: Mode) {
        for (number, proxy) in self.proxies[door.index()].iter().enumerate() {
            if broker.is_none_or(|only| only == number) {
                proxy.set(mode);
            }
        }
    }

    async fn broker(&self, action: &str, number: usize) -> anyhow::Result<()> {
        self.engine(action, &format!("kafka-{}", number + 1)).await
    }

    async fn engine(&self, action: &str, name: &str) -> anyhow::Result<()> {
        let done = Command::new(&self.engine).args([action, name]).output().await.context("running infra/local/engine")?;
        anyhow::ensure!(done.status.success(), "engine {action} {name}: {}", String::from_utf8_lossy(&done.stderr));
        Ok(())
    }

    /// Waits until no other fault happens to that engine.
    async fn alone(&self, engine: Engine) -> MutexGuard<'_, ()> {
        match engine {
            Engine::Kafka => self.kafka.lock().await,
            Engine::Cassandra => self.cassandra.lock().await,
        }
    }

    async fn begin(&self, fault: Fault) -> anyhow::Result<()> {
        match fault {
            Fault::KillBroker(number) => self.broker("kill", number).await,
            Fault::FreezeBroker(number) => self.broker("stop", number).await,
            Fault::RestartBroker(number) => self.broker("term", number).await,
            Fault::FillBroker(number) => self.broker("fill", number).await,
            Fault::FreezeBrokersBut(spared) => {
                for number in (0..BROKERS).filter(|number| *number != spared) {
                    self.broker("stop", number).await?;
                }
                Ok(())
            }
            Fault::Kill(who) => self.part(who).kill().await,
            Fault::Freeze(who) => self.part(who).signal(Signal::STOP).await,
            Fault::LoseBothSequencers => {
                for sequencer in &self.sequencers {
                    sequencer.kill().await?;
                    sequencer.lose(&self.folder)?;
                }
                Ok(())
            }
            Fault::KillCassandra => self.engine("kill", "cassandra").await,
            Fault::FreezeCassandra => self.engine("stop", "cassandra").await,
            Fault::Cut(door, broker) => {
                self.set(door, broker, Mode::Cut);
                Ok(())
            }
            Fault::Silence(door, broker) => {
                self.set(door, broker, Mode::Silent);
                Ok(())
            }
            Fault::Slow(door, delay_ms) => {
                self.set(door, None, Mode::Slow(Duration::from_millis(delay_ms)));
                Ok(())
            }
        }
    }

    async fn end(&self, fault: Fault) -> anyhow::Result<()> {
        match fault {
            Fault::KillBroker(number) | Fault::RestartBroker(number) | Fault::FillBroker(number) => self.broker("start", number).await,
            Fault::FreezeBroker(number) => self.broker("cont", number).await,
            Fault::FreezeBrokersBut(spared) => {
                for number in (0..BROKERS).filter(|number| *number != spared) {
                    self.broker("cont", number).await?;
                }
                Ok(())
            }
            Fault::Kill(who) => {
                self.part(who).revive().await;
                Ok(())
            }
            Fault::Freeze(who) => self.part(who).signal(Signal::CONT).await,
            Fault::LoseBothSequencers => {
                for sequencer in &self.sequencers {
                    sequencer.revive().await;
                }
                Ok(())
            }
            Fault::KillCassandra => self.engine("start", "cassandra").await,
            Fault::FreezeCassandra => self.engine("cont", "cassandra").await,
            Fault::Cut(door, _) | Fault::Silence(door, _) | Fault::Slow(door, _) => {
                self.set(door, None, Mode::Open);
                Ok(())
            }
        }
    }
}

/// Lets the faults happen, each at its time, until all have ended; returns how many there were of each kind.
pub(crate) async fn happen(
    system: &Arc<System>,
    planned: Vec<Planned>,
    history: &Arc<History>,
) -> anyhow::Result<BTreeMap<&'static str, u32>> {
    let began = Instant::now();
    let mut counts = BTreeMap::new();
    let mut running = JoinSet::new();
    for planned in planned {
        *counts.entry(planned.fault.kind()).or_default() += 1;
        let (system, history) = (system.clone(), history.clone());
        running.spawn(async move {
            tokio::time::sleep_until(began + Duration::from_millis(planned.at_ms)).await;
            let alone = match planned.fault.engine() {
                Some(engine) => Some(system.alone(engine).await),
                None => None,
            };
            history.tell(&planned.to_string());
            system.begin(planned.fault).await?;
            tokio::time::sleep(Duration::from_millis(planned.lasts_ms)).await;
            system.end(planned.fault).await?;
            drop(alone);
            history.tell(&format!("  over: {:?}", planned.fault));
            anyhow::Ok(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended.context("a fault panicked")??;
    }
    Ok(counts)
}
