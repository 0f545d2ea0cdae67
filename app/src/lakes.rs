//! Where the lake of this process is, how its command line looks, and how the gateway asks it.

use crate::cli::Shared;
use crate::config::Config;
use crate::problem::Problem;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use futures::FutureExt as _;
use gateway::analytics::{Analytics, Answer, Column, NoAnswer, Question};
use lake::Settings;
use lake::query::child::Asker;
use lake::query::{AsOf, Limits, QueryError};
use std::path::PathBuf;

/// What leads to [`lake::query::child::serve`].
const CHILD: &str = "lake-child";

/// What turns the lake off.
const OFF: &str = "off";

#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  clipflow lake sql \"select type, count(*) from events group by type order by 2 desc\"
  clipflow lake sql \"select decision, avg(score) from decisions group by decision\"
  clipflow lake sql \"select meter, sum(quantity), unit from usage where date >= '2026-05-01' group by meter, unit\"
  clipflow lake sql --as-of 2026-05-01 --csv \"select * from clips\" > clips.csv
  clipflow lake optimize && clipflow lake vacuum

Tables: events, clips, decisions, features, performance, usage. docs/lake.md lists their columns.
Other engines open them too: duckdb -c \"select count(*) from delta_scan('data/lake/events')\"")]
pub(crate) struct Lake {
    #[command(subcommand)]
    pub(crate) command: LakeCommand,

    #[command(flatten)]
    pub(crate) place: LakePlace,
}

/// Where the tables are, when the configuration does not say.
#[derive(Clone, Debug, Args)]
pub(crate) struct LakePlace {
    /// Where the Delta tables are, or off [default: the configuration's [lake], else lake in the data directory].
    #[arg(long, global = true, value_name = "DIR", env = "CLIPFLOW_LAKE")]
    pub(crate) lake: Option<PathBuf>,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum LakeCommand {
    /// Answers one SELECT, as a table.
    Sql {
        /// The statement, in the dialect of Apache DataFusion.
        sql: String,
        /// A past state: the version of the one table that is read, or a time such as 2026-05-01 or 2026-05-01T12:00:00Z.
        #[arg(long, value_name = "VERSION|TIME")]
        as_of: Option<AsOf>,
        /// One JSON object per row.
        #[arg(long, conflicts_with = "csv")]
        json: bool,
        /// Comma-separated values with a header.
        #[arg(long)]
        csv: bool,
    },
    /// Shows each table with its version, files, size, and how far behind the log it is.
    Status,
    /// Writes what the log has and the lake has not, now.
    Sync,
    /// Joins small files. Older versions can still be read.
    Optimize {
        /// Only this table.
        table: Option<String>,
    },
    /// Deletes files that only old versions need, and those of writes that were never finished.
    Vacuum {
        /// Only this table.
        table: Option<String>,
        /// Versions of the last so many hours can still be read.
        #[arg(long, value_name = "HOURS", default_value_t = 168, value_parser = clap::value_parser!(u64).range(1..=87_600))]
        keep_hours: u64,
    },
    /// Sums up the Delta logs, so that tables open fast. Writing does so by itself every hundred versions.
    Checkpoint {
        /// Only this table.
        table: Option<String>,
    },
}

/// Returns where the lake is, or `None` when it is off.
pub(crate) fn settings(shared: &Shared, place: &LakePlace) -> anyhow::Result<Option<Settings>> {
    let configured = Config::load(shared.config.as_deref())?.lake.unwrap_or_default();
    let folder = match &place.lake {
        Some(folder) if folder.as_os_str() == OFF => return Ok(None),
        Some(folder) => Some(folder.clone()),
        None if configured.folder.is_none() && configured.s3.is_none() => Some(shared.data.join("lake")),
        None => configured.folder.clone(),
    };
    let s3 = if place.lake.is_some() { None } else { configured.s3 };
    // A child may start in another folder.
    let folder = folder.map(std::path::absolute).transpose().context("finding the lake's folder")?;
    Ok(Some(Settings { folder, s3, flush: configured.flush }))
}

/// Opens the lake.
pub(crate) fn open(settings: &Settings) -> anyhow::Result<lake::Lake> {
    lake::Lake::open(settings).map_err(|error| Problem::new("LAKE_UNUSABLE", format!("the lake cannot be used: {error:#}")).into())
}

/// Returns who answers SQL, each question in a process of its own.
pub(crate) fn asker(settings: Settings) -> anyhow::Result<Asker> {
    let exe = std::env::current_exe().context("finding this program")?;
    Ok(Asker::new(exe, CHILD, settings, Limits::default()))
}

/// Returns how the gateway asks.
pub(crate) fn analytics(settings: Settings) -> anyhow::Result<Analytics> {
    let asker = asker(settings)?;
    Ok(Box::new(move |question| {
        let asker = asker.clone();
        async move { ask(asker, question).await }.boxed()
    }))
}

async fn ask(asker: Asker, Question { workspace, sql, as_of }: Question) -> Result<Answer, NoAnswer> {
    let refused = |code: &str, reason: String| NoAnswer::Refused { code: code.to_owned(), reason };
    let as_of = match as_of.map(|as_of| as_of.parse::<AsOf>()).transpose() {
        Ok(as_of) => as_of,
        Err(error) => return Err(refused("LAKE_BAD_STATE", error.to_string())),
    };
    match asker.query(workspace, sql, as_of).await {
        Ok(lake::query::Answer { columns, rows, versions }) => {
            let columns = columns.into_iter().map(|lake::query::Column { name, kind }| Column { name, kind }).collect();
            Ok(Answer { columns, rows, versions })
        }
        Err(QueryError::Unavailable(error)) => Err(NoAnswer::Failed(error)),
        Err(error) => Err(refused(error.code(), error.to_string())),
    }
}
