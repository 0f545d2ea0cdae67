//! `clipflow log`: making and checking a log on Kafka.

use crate::cli::{Log, Shared};
use crate::config::Config;
use crate::engine::{PROCESSORS, log_problem};
use crate::problem::Problem;
use runtime::ids;
use runtime::log::kafka::{self, Layout, Settings};
use std::io::Write as _;
use std::time::Instant;

pub(crate) async fn run(shared: &Shared, command: Log) -> anyhow::Result<()> {
    let Some(settings) = Config::load(shared.config.as_deref())?.log else {
        let reason = "the embedded log needs neither: name a configuration with a [log] section, by --config FILE";
        return Err(Problem::new("NO_KAFKA", reason).into());
    };
    match command {
        Log::Init { partitions, replication, min_insync } => init(&settings, Layout { partitions, replication, min_insync }).await,
        Log::Check => check(&settings).await,
    }
}

async fn init(settings: &Settings, layout: Layout) -> anyhow::Result<()> {
    let made = kafka::init(settings, layout, &PROCESSORS, ids::fresh()).await.map_err(log_problem)?;
    writeln!(std::io::stdout(), "log {} with {} partitions, topics {}.*", made.id, made.partitions, settings.prefix)?;
    Ok(())
}

async fn check(settings: &Settings) -> anyhow::Result<()> {
    let started = Instant::now();
    let report = kafka::check(settings).await.map_err(log_problem)?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{} records in {:.1} s: {} events, {} rejected commits, {} written twice, {} of a type that this version does not know",
        report.records,
        started.elapsed().as_secs_f64(),
        report.events,
        report.rejected,
        report.duplicates,
        report.unknown
    )?;
    for finding in &report.findings {
        writeln!(out, "{finding}")?;
    }
    if report.wrong == 0 {
        writeln!(out, "nothing is missing or out of order")?;
        return Ok(());
    }
    let reason = format!("the log has {} faults, listed above: stop its sequencers and keep its topics as they are", report.wrong);
    Err(Problem::new("LOG_DAMAGED", reason).into())
}
