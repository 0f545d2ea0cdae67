//! `clipflow schema`: the generated contracts.

use crate::cli::Schema;
use anyhow::Context;
use std::io::Write;
use std::path::Path;

pub(crate) fn run(options: &Schema) -> anyhow::Result<()> {
    let graphql = gateway::sdl();
    let Some(folder) = &options.out else {
        return Ok(std::io::stdout().write_all(graphql.as_bytes())?);
    };
    write(&folder.join("graphql/schema.graphql"), &graphql)?;
    for event_type in proto::schema::EVENT_TYPES {
        let schema = proto::schema::json_schema(event_type).context("a known event type has no schema")?;
        write(&folder.join(format!("events/v1/{event_type}.json")), format!("{}\n", serde_json::to_string_pretty(&schema)?))?;
    }
    write(&folder.join("asyncapi.yaml"), &yaml_serde::to_string(&proto::asyncapi::document())?)?;
    write(&folder.join("protobuf/clipflow.binpb"), proto::schema::DESCRIPTORS)?;
    for migration in projections::cql::migrations() {
        write(&folder.join("cql").join(migration.file_name()), migration.text())?;
    }
    Ok(())
}

fn write(path: &Path, text: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let folder = path.parent().context("a file has a folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}
