//! `clipflow migrate`: makes what the read models need on a cluster.

use crate::cli::Migrate;
use crate::rows::unusable;
use projections::cql;
use std::io::Write;

pub(crate) async fn run(options: &Migrate) -> anyhow::Result<()> {
    let applied = cql::migrate(&options.cluster.options()?, options.replicas).await.map_err(|error| unusable(&error))?;
    let mut out = std::io::stdout();
    for migration in &applied {
        writeln!(out, "applied {}", migration.file_name())?;
    }
    if applied.is_empty() {
        writeln!(out, "nothing to do: every migration was applied before")?;
    }
    Ok(())
}
