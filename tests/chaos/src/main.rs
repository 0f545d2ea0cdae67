//! Faults on a running ClipFlow: real brokers, real processes, real `kill -9`; and a check of what clients were told.
//!
//! `chaos run` starts sequencers, a projector, workers and clients as processes of their own, lets the faults of a seed happen to them and
//! to the brokers, and then compares; docs/reliability.md says what. `tests/chaos/run` starts the brokers and this. Test only: never shipped.

mod client;
mod faults;
mod history;
mod parts;
mod proxy;
mod remote;
mod schedule;
mod talk;
mod topic;
mod verify;
mod workload;

use anyhow::Context as _;
use clap::{Args, Parser};
use domain::id::WorkspaceId;
use faults::System;
use history::History;
use parts::Part;
use proxy::Proxy;
use remote::Remote;
use runtime::log::kafka::Settings;
use schedule::{BROKERS, CLIENTS, Choice, Door, SEQUENCERS, WORKERS};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use uuid::Uuid;
use verify::Run;
use workload::{APPENDERS, Workload};

/// Between a door's port at a broker and the port of the proxy before it; infra/local/kafka.sh says the same.
const PROXY_OFFSET: u16 = 10;

/// Events from one snapshot of a sequencer's state to the next: some for each time that both are lost.
const SNAPSHOT_EVENTS: u64 = 250;

/// How long the last commit of a run may take: nothing is broken any more, but groups may still be finding together.
const RECOVERY_PATIENCE: Duration = Duration::from_secs(60);

/// The workspace of an installation, as in app/src/engine.rs: what the program prints and projects.
const LOCAL_WORKSPACE: WorkspaceId = WorkspaceId(Uuid::from_u128(0x636c_6970_666c_6f77_8000_0000_0000_0001));

/// How long the processes may take to answer their first question.
const START_PATIENCE: Duration = Duration::from_secs(120);

#[derive(Parser)]
enum Cli {
    /// Lets faults happen for a while, then checks.
    Run(Options),
    /// Prints the faults of a seed.
    Plan {
        #[arg(long)]
        seed: u64,
        #[arg(long, default_value_t = 75)]
        seconds: u64,
        #[command(flatten)]
        choice: Choice,
    },
    /// A client; the harness starts it.
    Client {
        #[arg(long)]
        brokers: String,
        #[arg(long)]
        prefix: String,
        #[arg(long, value_parser = parse_setting)]
        client: Vec<(String, String)>,
        #[arg(long)]
        folder: PathBuf,
    },
}

#[derive(Args)]
struct Options {
    /// Decides the faults and what clients want; timing is the machine's.
    #[arg(long)]
    seed: Option<u64>,
    /// How long faults happen.
    #[arg(long, default_value_t = 75)]
    seconds: u64,
    /// Partitions of the log: no more than each process has appenders.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=APPENDERS as i64))]
    partitions: u32,
    #[command(flatten)]
    choice: Choice,
    /// A setting of librdkafka for every process under test, such as socket.timeout.ms=60000: to compare.
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_setting)]
    client: Vec<(String, String)>,
    /// The program under test.
    #[arg(long)]
    clipflow: PathBuf,
    /// The checker, built from tests/chaos/check.
    #[arg(long)]
    checker: PathBuf,
    /// The script that kills, freezes and starts one engine.
    #[arg(long)]
    engine: PathBuf,
    /// Where everything of a run is kept.
    #[arg(long)]
    out: PathBuf,
    /// The brokers themselves.
    #[arg(long, env = "CLIPFLOW_KAFKA_BROKERS")]
    brokers: String,
    /// The doors of the brokers; see infra/local/README.md.
    #[arg(long, env = "CLIPFLOW_KAFKA_DOORS", value_delimiter = ',')]
    doors: Vec<u16>,
    /// Cassandra, for `--cassandra`; name, password and authority are in the environment, as for the program itself.
    #[arg(long, env = "CLIPFLOW_CQL_NODES")]
    cql_nodes: Option<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse() {
        Cli::Run(options) => return run(options).await,
        Cli::Plan { seed, seconds, choice } => {
            use std::io::Write as _;
            for planned in schedule::plan(seed, seconds * 1_000, &choice) {
                writeln!(std::io::stdout(), "{:7.1} s  {planned}", planned.at_ms as f64 / 1_000.0)?;
            }
        }
        Cli::Client { brokers, prefix, client, folder } => {
            let settings = Settings { client: client.into_iter().collect(), ..Settings::plain(brokers, prefix) };
            client::run(settings, &folder).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn parse_setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let seed = options.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let folder = std::path::absolute(options.out.join(format!("seed-{seed}")))?;
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("removing what an earlier run left in {}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let history = Arc::new(History::create(&folder.join("history.jsonl"))?);
    let models = if options.choice.cassandra { "on Cassandra" } else { "in files" };
    history.tell(&format!(
        "seed {seed}, {} s of faults, partitions: {}, read models {models}; everything is kept in {}",
        options.seconds,
        options.partitions,
        folder.display()
    ));
    let outcome = attack(&options, seed, &folder, &history).await;
    history.flush()?;
    match outcome {
        Ok(()) => {
            history.tell(&format!("seed {seed}: all is as it must be"));
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            history.tell(&format!("seed {seed} FAILED: {error:#}"));
            history.tell(&format!("the history, the topic and the logs are in {}", folder.display()));
            history.tell(&format!("again, with the same faults: just chaos {} {seed}", options.seconds));
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn attack(options: &Options, seed: u64, folder: &Path, history: &Arc<History>) -> anyhow::Result<()> {
    // A log of its own for each run, since brokers keep theirs.
    let prefix = format!("chaos.{seed}.{:08x}", rand::random::<u32>());
    let run = Run {
        folder: folder.to_owned(),
        clipflow: std::path::absolute(&options.clipflow)?,
        checker: std::path::absolute(&options.checker)?,
        settings: Settings::plain(&options.brokers, &prefix),
        cluster: cluster(options, &prefix)?,
    };
    configure(folder, "direct", &Settings::plain(&options.brokers, &prefix))?;
    let partitions = options.partitions.to_string();
    verify::clipflow(&run, &["log", "init", "--partitions", &partitions, "--replication", "3", "--min-insync", "2"]).await?;
    if !run.cluster.is_empty() {
        let migrate = ["migrate", "--replicas", "1"].into_iter().chain(run.cluster.iter().map(String::as_str));
        verify::clipflow(&run, &migrate.collect::<Vec<_>>()).await?;
    }

    let token = Arc::default();
    let remotes: Vec<_> = (0..CLIENTS).map(|_| Arc::new(Remote::new(history.clone(), Arc::clone(&token)))).collect();
    let system = Arc::new(assemble(options, &run, &prefix, &remotes).await?);
    let mut watchers = JoinSet::new();
    for part in system.parts() {
        watchers.spawn(part.clone().watch(history.clone()));
    }
    let workload = Arc::new(Workload::new(seed, options.partitions, history.clone(), remotes, token));
    let first = workload.barrier();
    tokio::time::timeout(START_PATIENCE, first).await.context("the processes did not start")??;
    history.tell("the first commit of each partition is on the log");

    let mut clients = JoinSet::new();
    for (client, appender) in (0..CLIENTS).flat_map(|client| (0..=APPENDERS).map(move |appender| (client, appender))) {
        clients.spawn(workload.clone().work(client, appender));
    }
    let planned = schedule::plan(seed, options.seconds * 1_000, &options.choice);
    let counts = faults::happen(&system, planned, history).await?;
    history.tell("all faults are over");
    let over = Instant::now();
    workload.stop.store(true, Ordering::Relaxed);
    while let Some(ended) = clients.join_next().await {
        ended.context("a client of the workload panicked")??;
    }
    // What a client's producer still holds arrives before its own next commit, or never.
    for client in &system.clients[1..] {
        client.kill().await?;
    }
    tokio::time::timeout(RECOVERY_PATIENCE, workload.barrier()).await.context("nothing is acknowledged although all is well again")??;
    history.tell(&format!(
        "every client had its answer, and all that was in order is on the log, {:.1} s later",
        over.elapsed().as_secs_f64()
    ));
    system.clients[0].kill().await?;
    history.flush()?;
    report(history, &workload, &counts, &system);
    verify::all(&run, |found| history.tell(found)).await?;
    watchers.shutdown().await;
    Ok(())
}

/// Returns what tells a command that read models are on Cassandra, in a keyspace of this run; nothing where they are in files.
fn cluster(options: &Options, prefix: &str) -> anyhow::Result<Vec<String>> {
    if !options.choice.cassandra {
        return Ok(vec![]);
    }
    let nodes = options.cql_nodes.clone().context("--cassandra needs a node in CLIPFLOW_CQL_NODES")?;
    Ok(vec!["--cql-nodes".to_owned(), nodes, "--cql-keyspace".to_owned(), prefix.replace('.', "_")])
}

/// Writes a configuration that comes to the brokers by these addresses.
fn configure(folder: &Path, name: &str, Settings { brokers, prefix, client, .. }: &Settings) -> anyhow::Result<()> {
    let blobs = folder.join("blobs");
    let client: String = client.iter().map(|(name, value)| format!("{name:?} = {value:?}\n")).collect();
    let log = format!("[log]\nbrokers = {brokers:?}\nprefix = {prefix:?}\nsnapshot_events = {SNAPSHOT_EVENTS}\n");
    let text = format!("{log}[log.client]\n{client}[blobs]\nfolder = {blobs:?}\n");
    std::fs::write(folder.join(format!("{name}.toml")), text).context("writing a configuration")
}

/// Makes the proxies and the processes; nothing of it runs before it is watched.
async fn assemble(options: &Options, run: &Run, prefix: &str, remotes: &[Arc<Remote>]) -> anyhow::Result<System> {
    anyhow::ensure!(options.doors.len() == Door::ALL.len(), "CLIPFLOW_KAFKA_DOORS should name {} doors", Door::ALL.len());
    let mut proxies = Vec::new();
    for door in &options.doors {
        let mut before = Vec::new();
        for broker in 1..=u16::try_from(BROKERS)? {
            let back = format!("127.0.0.1:{}", door + broker);
            before.push(Proxy::start(&format!("127.0.0.1:{}", door + PROXY_OFFSET + broker), back).await?);
        }
        proxies.push(before);
    }
    let addresses = |door: Door| {
        let first = options.doors[door.index()] + PROXY_OFFSET;
        (1..=BROKERS as u16).map(|broker| format!("127.0.0.1:{}", first + broker)).collect::<Vec<_>>().join(",")
    };
    for (name, door) in [("others", Door::Others), ("sequencer-0", Door::Sequencer(0)), ("sequencer-1", Door::Sequencer(1))] {
        let settings = Settings { client: options.client.iter().cloned().collect(), ..Settings::plain(addresses(door), prefix) };
        configure(&run.folder, name, &settings)?;
    }
    let path = |name: &str| run.folder.join(name).into_os_string();
    let serve = |name: &str, config: &str, roles: &str, cluster: &[String]| {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let mut arguments = words(&["serve", "--roles", roles, "--listen", "127.0.0.1:0", "--log", "info", "--config"]);
        arguments.extend([path(&format!("{config}.toml")), "--data".into(), path(name), "--models".into(), path("models")]);
        arguments.extend(cluster.iter().map(OsString::from));
        Part::new(name, &run.clipflow, arguments, &run.folder, None)
    };
    let exe = std::env::current_exe().context("finding this program")?;
    let client = |(number, remote): (usize, &Arc<Remote>)| {
        let name = format!("client-{number}");
        let mut arguments: Vec<OsString> = ["client", "--brokers", &addresses(Door::Others), "--prefix", prefix].map(Into::into).into();
        for (name, value) in &options.client {
            arguments.extend(["--client".into(), format!("{name}={value}").into()]);
        }
        arguments.extend(["--folder".into(), path(&name)]);
        Part::new(&name, &exe, arguments, &run.folder, Some(remote.clone()))
    };
    Ok(System {
        folder: run.folder.clone(),
        sequencers: (0..SEQUENCERS).map(|number| format!("sequencer-{number}")).map(|name| serve(&name, &name, "sequencer", &[])).collect(),
        projector: serve("projector", "others", "gateway", &run.cluster),
        workers: (0..WORKERS).map(|number| serve(&format!("worker-{number}"), "others", "workers", &[])).collect(),
        clients: remotes.iter().enumerate().map(client).collect(),
        proxies,
        engine: options.engine.clone(),
        kafka: Default::default(),
        cassandra: Default::default(),
    })
}

fn report(history: &History, workload: &Workload, faults: &std::collections::BTreeMap<&str, u32>, system: &System) {
    let of = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    let counts = &workload.counts;
    let (accepted, rejected, unknown) = (of(&counts.accepted), of(&counts.rejected), of(&counts.unknown));
    let appends = accepted + rejected + unknown;
    history.tell(&format!(
        "appends     {appends}: {accepted} acknowledged, {rejected} rejected, {unknown} unknown; {} retries",
        of(&counts.retries)
    ));
    history.tell(&format!("reads       {}, and {} that got no answer", of(&counts.reads), of(&counts.reads_failed)));
    let pause = Duration::from_nanos(of(&counts.longest_pause)).as_secs_f64();
    history.tell(&format!("pause       {pause:.1} s was the longest time in which nothing was acknowledged in a partition"));
    let total: u32 = faults.values().sum();
    let kinds: Vec<_> = faults.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    history.tell(&format!("faults      {total}: {}", kinds.join(", ")));
    let restored: usize = system.sequencers.iter().map(|part| part.said("took a snapshot over")).sum();
    history.tell(&format!("snapshots   {restored} times a sequencer began with one"));
    let ended: Vec<_> = system.parts().map(|part| (part, part.ended.load(Ordering::Relaxed))).filter(|(_, ended)| *ended > 0).collect();
    let ended: Vec<_> = ended.iter().map(|(part, ended)| format!("{} {ended}", part.name)).collect();
    history.tell(&format!("ended alone {}", if ended.is_empty() { "none".to_owned() } else { ended.join(", ") }));
}
