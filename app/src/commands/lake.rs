//! `clipflow lake`: SQL over everything that happened, and the upkeep of the tables behind it.

use crate::cli::Shared;
use crate::engine::{LOCAL_WORKSPACE, Store};
use crate::lakes::{self, Lake, LakeCommand};
use crate::problem::Problem;
use lake::query::{Answer, AsOf, QueryError};
use lake::upkeep::{self, Done};
use runtime::log::Log as _;
use serde_json::{Map, Value};
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Widest column of a printed table: what is longer is cut, `--json` and `--csv` have it whole.
const CELL_CHARACTERS_MAX: usize = 60;

pub(crate) async fn run(shared: &Shared, options: Lake) -> anyhow::Result<()> {
    let Some(settings) = lakes::settings(shared, &options.place)? else {
        return Err(Problem::new("LAKE_OFF", "the lake is off: leave --lake off away").into());
    };
    let open = || lakes::open(&settings);
    match options.command {
        LakeCommand::Sql { sql, as_of, json, csv } => {
            let answer = ask(lakes::asker(settings)?, sql, as_of).await?;
            let mut out = io::stdout().lock();
            let printed = match (json, csv) {
                (true, _) => print_json(&mut out, &answer),
                (_, true) => print_csv(&mut out, &answer),
                (false, false) => print_table(&mut out, &answer),
            };
            // Nobody reads any more, as after `| head`.
            printed.or_else(|error| if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error.into()) })
        }
        LakeCommand::Status => status(shared, &open()?).await,
        LakeCommand::Sync => sync(shared, open()?, settings.flush).await,
        LakeCommand::Optimize { table } => report("joined", upkeep::optimize(&open()?, known(table.as_deref())?).await?),
        LakeCommand::Vacuum { table, keep_hours } => {
            let keep = Duration::from_secs(keep_hours * 3600);
            report("deleted", upkeep::vacuum(&open()?, known(table.as_deref())?, keep).await?)
        }
        LakeCommand::Checkpoint { table } => {
            let done = upkeep::checkpoint(&open()?, known(table.as_deref())?).await?;
            for Done { table, .. } in done {
                writeln!(io::stdout(), "{table}: summed up")?;
            }
            Ok(())
        }
    }
}

async fn ask(asker: lake::query::child::Asker, sql: String, as_of: Option<AsOf>) -> anyhow::Result<Answer> {
    asker.query(LOCAL_WORKSPACE, sql, as_of).await.map_err(|error| match error {
        QueryError::Unavailable(error) => error.context("reading the lake"),
        refused => Problem::new(refused.code(), refused.to_string()).into(),
    })
}

/// Returns the name of a table that there is.
fn known(table: Option<&str>) -> anyhow::Result<Option<&str>> {
    match table {
        Some(name) if !lake::tables::ALL.iter().any(|table| table.name == name) => {
            let names: Vec<_> = lake::tables::ALL.iter().map(|table| table.name).collect();
            Err(Problem::new("UNKNOWN_TABLE", format!("there is no table {name}; there are {}", names.join(", "))).into())
        }
        table => Ok(table),
    }
}

async fn status(shared: &Shared, lake: &lake::Lake) -> anyhow::Result<()> {
    let store = Store::open_for_reading(shared).await?;
    let partitions = store.log.partitions();
    let mut head = 0;
    for partition in &partitions {
        head += store.log.head(*partition).await?;
    }
    let mut out = io::stdout();
    writeln!(out, "{:12} {:>8} {:>6} {:>12} {:>10} {:>6}  address", "table", "version", "files", "bytes", "events", "lag")?;
    for status in upkeep::status(lake, &partitions).await? {
        let version = status.version.map_or_else(|| "-".to_owned(), |version| version.to_string());
        let lag = head.saturating_sub(status.covered);
        let address = &status.address;
        writeln!(
            out,
            "{:12} {version:>8} {:>6} {:>12} {:>10} {lag:>6}  {address}",
            status.table, status.files, status.bytes, status.covered
        )?;
    }
    Ok(())
}

async fn sync(shared: &Shared, lake: lake::Lake, limits: lake::follow::Limits) -> anyhow::Result<()> {
    let store = Store::open_for_reading(shared).await?;
    let started = Instant::now();
    let synced = lake::follow::sync(store.log.clone(), lake, limits).await?;
    let seconds = started.elapsed().as_secs_f64();
    let lake::follow::Synced { events, rows, covered } = synced;
    let rate = rows as f64 / seconds.max(1e-3);
    writeln!(io::stdout(), "{events} events, {rows} rows in {seconds:.2} s ({rate:.0} rows/s); the lake holds {covered} events")?;
    Ok(())
}

fn report(verb: &str, done: Vec<Done>) -> anyhow::Result<()> {
    let mut out = io::stdout();
    for Done { table, files_removed, files_added } in done {
        let into = if files_added > 0 { format!(" into {files_added}") } else { String::new() };
        writeln!(out, "{table}: {verb} {files_removed} files{into}")?;
    }
    Ok(())
}

fn print_json(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    for row in &answer.rows {
        let fields = answer.columns.iter().map(|column| column.name.clone()).zip(row.iter().cloned());
        writeln!(out, "{}", Value::Object(fields.collect::<Map<_, _>>()))?;
    }
    Ok(())
}

fn print_csv(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let quoted = |text: String| if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text };
    let names: Vec<_> = answer.columns.iter().map(|column| quoted(column.name.clone())).collect();
    writeln!(out, "{}", names.join(","))?;
    for row in &answer.rows {
        let values: Vec<_> = row.iter().map(|value| quoted(shown(value))).collect();
        writeln!(out, "{}", values.join(","))?;
    }
    Ok(())
}

fn print_table(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let cut = |text: String| match text.char_indices().nth(CELL_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    };
    let one_line = |text: String| cut(text.replace(['\n', '\r', '\t'], " "));
    let header: Vec<_> = answer.columns.iter().map(|column| column.name.clone()).collect();
    let rows: Vec<Vec<String>> = answer.rows.iter().map(|row| row.iter().map(|value| one_line(shown(value))).collect()).collect();
    let width = |index: usize| rows.iter().chain([&header]).filter_map(|row| row.get(index)).map(|cell| cell.chars().count()).max();
    let widths: Vec<_> = (0..header.len()).map(|index| width(index).unwrap_or(0)).collect();
    for row in [&header].into_iter().chain(&rows) {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}", width = *width)).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    writeln!(out, "({} rows)", rows.len())
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
