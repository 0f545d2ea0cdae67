//! What must be true once everything is well again. A check is one function of the run; a new one is one more line in [`all`].

use crate::LOCAL_WORKSPACE;
use crate::topic::{self, Record};
use anyhow::{Context as _, bail};
use runtime::log::kafka::Settings;
use std::collections::HashMap;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::Instant;

/// How long what is still on its way may take after the last fault: a group's session, a worker's retries, a broker's start.
const DRAIN_PATIENCE: Duration = Duration::from_secs(120);

/// How often it is looked at.
const DRAIN_POLL: Duration = Duration::from_secs(2);

/// Rows of the lake that are asked for at once: fewer than a question may have.
const LAKE_PAGE_ROWS: usize = 5_000;

/// What is looked at.
pub(crate) struct Run {
    /// Where histories, logs and data folders are.
    pub(crate) folder: PathBuf,
    pub(crate) clipflow: PathBuf,
    pub(crate) checker: PathBuf,
    /// The brokers themselves, past all proxies.
    pub(crate) settings: Settings,
    /// What tells a command that read models are on a cluster; nothing where they are in files.
    pub(crate) cluster: Vec<String>,
}

/// Makes every check, and prints what each found; the first that fails is the run's verdict.
pub(crate) async fn all(run: &Run, tell: impl Fn(&str)) -> anyhow::Result<()> {
    tell(&workers_have_answered(run).await?);
    tell(&the_log_is_whole(run).await?);
    tell(&history_fits_the_log(run).await?);
    tell(&read_models_equal_a_fresh_fold(run).await?);
    tell(&the_lake_equals_the_log(run).await?);
    Ok(())
}

/// Waits until every submitted video has an answer; whether it has one only is for the checker to say.
async fn workers_have_answered(run: &Run) -> anyhow::Result<String> {
    let deadline = Instant::now() + DRAIN_PATIENCE;
    loop {
        let records = read_topic(run).await?;
        let mut videos: HashMap<&str, bool> = HashMap::new();
        for record in records.iter().filter(|record| record.stream.starts_with("video-")) {
            *videos.entry(&record.stream).or_default() |= record.r#type != "video.submitted";
        }
        let waiting = videos.values().filter(|is_answered| !**is_answered).count();
        if waiting == 0 {
            let file = std::fs::File::create(run.folder.join("topic.jsonl")).context("keeping the topic")?;
            let mut file = BufWriter::new(file);
            for record in &records {
                serde_json::to_writer(&mut file, record)?;
                file.write_all(b"\n")?;
            }
            file.flush()?;
            return Ok(format!("{} records of the topic were read; workers have answered {} videos", records.len(), videos.len()));
        }
        if Instant::now() > deadline {
            bail!("{waiting} of {} videos were not answered within {} s", videos.len(), DRAIN_PATIENCE.as_secs());
        }
        tokio::time::sleep(DRAIN_POLL).await;
    }
}

async fn read_topic(run: &Run) -> anyhow::Result<Vec<Record>> {
    let (brokers, topic) = (run.settings.brokers.clone(), run.settings.events());
    tokio::task::spawn_blocking(move || topic::read(&brokers, &topic)).await.context("reading the topic panicked")?
}

/// The program's own walk over the log, and what it prints of it from an empty folder.
async fn the_log_is_whole(run: &Run) -> anyhow::Result<String> {
    let said = clipflow(run, &["log", "check"]).await?;
    let events = clipflow(run, &["events", "--data", "reader"]).await?;
    std::fs::write(run.folder.join("events.jsonl"), &events).context("keeping the events")?;
    Ok(format!("clipflow log check: {}", said.split_whitespace().collect::<Vec<_>>().join(" ")))
}

/// The independent checker: every answer against the log, and Porcupine on the history.
async fn history_fits_the_log(run: &Run) -> anyhow::Result<String> {
    let mut command = Command::new(&run.checker);
    for (name, file) in
        [("-history", "history.jsonl"), ("-topic", "topic.jsonl"), ("-events", "events.jsonl"), ("-picture", "history.html")]
    {
        command.arg(name).arg(run.folder.join(file));
    }
    command.args(["-workspace", &LOCAL_WORKSPACE.to_string()]);
    let said = command.stderr(Stdio::inherit()).output().await.context("running the checker")?;
    let text = String::from_utf8_lossy(&said.stdout).trim_end().replace('\n', "\n           ");
    anyhow::ensure!(said.status.success(), "the history does not fit the log:\n           {text}");
    Ok(text)
}

/// Waits until the projector has caught up, then folds every read model again beside it and compares.
async fn read_models_equal_a_fresh_fold(run: &Run) -> anyhow::Result<String> {
    let deadline = Instant::now() + DRAIN_PATIENCE;
    let names = loop {
        let said = projections(run, &["status"]).await?;
        let lines: Vec<Vec<&str>> = said.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
        if lines.iter().all(|line| line.last() == Some(&"0")) {
            break lines.iter().filter_map(|line| line.first()).map(|name| (*name).to_owned()).collect::<Vec<_>>();
        }
        if Instant::now() > deadline {
            bail!("the read models did not catch up within {} s:\n{said}", DRAIN_PATIENCE.as_secs());
        }
        tokio::time::sleep(DRAIN_POLL).await;
    };
    anyhow::ensure!(!names.is_empty(), "there is no read model to compare");
    for name in &names {
        let said = projections(run, &["rebuild", name]).await?;
        anyhow::ensure!(said.contains("the same rows as before"), "{name}: {said}");
    }
    Ok(format!("read models that equal a fresh fold of the log: {}", names.join(", ")))
}

/// Asks about the projector's read models.
async fn projections(run: &Run, arguments: &[&str]) -> anyhow::Result<String> {
    let cluster = run.cluster.iter().map(String::as_str);
    let all: Vec<_> = ["projections"].into_iter().chain(arguments.iter().copied()).chain(["--data", "projector"]).chain(cluster).collect();
    clipflow(run, &all).await
}

/// Reads the lake that the projector wrote while it was killed and frozen; what it has not written yet is written first. Questions are
/// answered for the local workspace, between whose positions those of others may lie.
async fn the_lake_equals_the_log(run: &Run) -> anyhow::Result<String> {
    #[derive(serde::Deserialize)]
    struct Event {
        id: String,
        position: String,
    }
    #[derive(serde::Deserialize)]
    struct Row {
        event: String,
    }
    clipflow(run, &["lake", "sync", "--data", "projector"]).await?;
    let text = std::fs::read_to_string(run.folder.join("events.jsonl")).context("reading the kept events")?;
    let events: Vec<Event> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>().context("reading the kept events")?;
    let mut rows: Vec<Row> = Vec::new();
    let last: usize = events.last().context("the log has no events")?.position.parse().context("reading a position")?;
    // One page further than the log, so that rows too many show.
    for page in 0..=last / LAKE_PAGE_ROWS + 1 {
        let from = page * LAKE_PAGE_ROWS;
        let sql = format!("select event from events where position >= {from} and position < {} order by position", from + LAKE_PAGE_ROWS);
        let said = clipflow(run, &["lake", "sql", "--json", &sql, "--data", "projector"]).await?;
        for line in said.lines() {
            rows.push(serde_json::from_str(line).with_context(|| format!("reading a row: {line}"))?);
        }
    }
    let are_equal = rows.len() == events.len() && rows.iter().zip(&events).all(|(row, event)| row.event == event.id);
    anyhow::ensure!(are_equal, "the lake has {} events and the log {}, or in another order", rows.len(), events.len());
    Ok(format!("the lake holds the {} events of the local workspace, each once", events.len()))
}

/// Runs the program against the brokers themselves; returns what it prints.
pub(crate) async fn clipflow(run: &Run, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(&run.clipflow);
    command.args(arguments).args(["--config", "direct.toml"]).env_remove("CLIPFLOW_CQL_NODES").current_dir(&run.folder);
    let done = command.output().await.context("running clipflow")?;
    let out = String::from_utf8_lossy(&done.stdout).into_owned();
    anyhow::ensure!(done.status.success(), "clipflow {}: {out}{}", arguments.join(" "), String::from_utf8_lossy(&done.stderr));
    Ok(out)
}
