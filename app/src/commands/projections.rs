//! `clipflow projections`: how far the read models are, and building one again.

use crate::cli::{Projections, ProjectionsCommand, Shared};
use crate::engine::Store;
use crate::problem::Problem;
use std::io::Write;

pub(crate) async fn run(shared: &Shared, options: Projections) -> anyhow::Result<()> {
    let store = Store::open_for_reading(shared).await?;
    let rows = options.cluster.open(&store.folder).await?;
    let mut out = std::io::stdout();
    match options.command {
        ProjectionsCommand::Status => {
            writeln!(out, "{:16} {:>7} {:>10} {:>6}", "read model", "version", "events", "lag")?;
            for status in rows.status(&store.log, &projections::ALL).await? {
                writeln!(out, "{:16} {:>7} {:>10} {:>6}", status.name, status.version, status.applied, status.lag)?;
            }
        }
        ProjectionsCommand::Rebuild { name } => {
            if !projections::ALL.iter().any(|model| model.name == name) {
                let known: Vec<_> = projections::ALL.iter().map(|model| model.name).collect();
                return Err(
                    Problem::new("UNKNOWN_READ_MODEL", format!("there is no read model {name}; there are {}", known.join(", "))).into()
                );
            }
            let rebuilt = rows.rebuild(&store.log, &name).await?;
            let verdict = if rebuilt.is_same() { "the same rows as before" } else { "other rows than before: the old ones were wrong" };
            writeln!(out, "built {name} again from the log: {verdict}")?;
        }
    }
    Ok(())
}
