//! `clipflow jobs`: work that was put aside by any process, and asking for it once more.

use crate::cli::{Jobs, Shared};
use crate::engine::Store;
use crate::problem::Problem;
use domain::id::JobId;
use domain::job::Parking;
use runtime::clock::Clock;
use runtime::dispatch::{self, ParkedJob};
use runtime::execute::{Context, ExecuteError};
use runtime::ids;
use std::io::Write;

pub(crate) async fn run(shared: &Shared, command: Jobs) -> anyhow::Result<()> {
    let store = Store::open_for_reading(shared).await?;
    let mut out = std::io::stdout();
    match command {
        Jobs::List { json } => {
            let jobs = dispatch::parked_jobs(&store.log, store.workspace).await?;
            if json {
                writeln!(out, "{}", serde_json::Value::Array(jobs.iter().map(as_json).collect()))?;
                return Ok(());
            }
            for ParkedJob { job, parking, is_replaying, .. } in &jobs {
                let state = if *is_replaying { "asked for again" } else { "parked" };
                let first_line = parking.error.lines().next().unwrap_or_default();
                writeln!(out, "{job}  {:10}  {:24}  {state}: {first_line}", parking.processor, parking.cause_type)?;
            }
            if jobs.is_empty() {
                eprintln!("no job is parked");
            }
        }
        Jobs::Show { job } => {
            let jobs = dispatch::parked_jobs(&store.log, store.workspace).await?;
            let parked = jobs.iter().find(|parked| parked.job == job).ok_or_else(|| not_parked(job))?;
            writeln!(out, "{}", serde_json::to_string_pretty(&as_json(parked))?)?;
        }
        Jobs::Replay { jobs, all } => {
            let jobs = if all {
                dispatch::parked_jobs(&store.log, store.workspace).await?.into_iter().map(|parked| parked.job).collect()
            } else {
                jobs
            };
            for job in &jobs {
                replay(&store, *job).await?;
                writeln!(out, "{job} is asked for once more")?;
            }
            if jobs.is_empty() {
                eprintln!("no job is parked");
            }
        }
    }
    Ok(())
}

async fn replay(store: &Store, job: JobId) -> anyhow::Result<()> {
    let context = Context::request(ids::fresh_commit(), store.workspace, "owner", Clock::system().now());
    match dispatch::replay(&store.log, context, job).await {
        Ok(_) => Ok(()),
        Err(ExecuteError::Refused(_)) => Err(not_parked(job).into()),
        Err(error) => Err(error.into()),
    }
}

fn not_parked(job: JobId) -> Problem {
    Problem::new("NOT_PARKED", format!("{job} is not parked: see `clipflow jobs list`"))
}

fn as_json(parked: &ParkedJob) -> serde_json::Value {
    let ParkedJob { job, at, is_replaying, parking } = parked;
    let Parking { processor, cause, cause_type, cause_stream, position, attempts, error } = parking;
    serde_json::json!({
        "id": job, "processor": processor, "cause": cause, "causeType": cause_type, "causeStream": cause_stream, "position": position,
        "attempts": attempts, "error": error, "parkedAtUs": at.0, "isReplaying": is_replaying,
    })
}
