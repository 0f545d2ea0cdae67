//! Migrations: the statements that make our tables, generated from the declarations, kept in `schemas/cql` for people to read.
//!
//! A file never changes once it was applied anywhere. A read model whose version is raised gets a new file under the next free number;
//! the old file stays in the folder, and the old tables stay in the keyspace until nobody needs to go back.

use super::builds::{LIVE, SCHEMA};
use super::statements::Physical;
use super::{Keyspace, Options, Store};
use crate::table::Value;
use crate::{Model, audit, clips, events_by_stream, jobs, models, parked_jobs, transcripts, videos};
use anyhow::{Context as _, Result, bail, ensure};
use domain::blob::Digest;
use scylla::value::CqlValue;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// Where it is written down what was applied.
const APPLIED: &str = "CREATE TABLE IF NOT EXISTS migrations (\n    number bigint,\n    name text,\n    sha256 text,\n    applied_at timestamp,\n    PRIMARY KEY (number)\n)";

/// The read models by the number of their migration, which they keep for ever.
const NUMBERED: [(u32, Model); 8] = [
    (2, Model::of::<events_by_stream::EventsByStream>()),
    (3, Model::of::<videos::Videos>()),
    (4, Model::of::<transcripts::Transcripts>()),
    (5, Model::of::<clips::Clips>()),
    (6, Model::of::<jobs::Jobs>()),
    (7, Model::of::<models::Models>()),
    (8, Model::of::<audit::Audit>()),
    (9, Model::of::<parked_jobs::ParkedJobs>()),
];

/// A file of `schemas/cql`.
#[derive(Clone, Debug)]
pub struct Migration {
    /// Its place; migrations are applied in this order.
    pub number: u32,
    /// What it makes.
    pub name: String,
    about: &'static str,
    statements: Vec<String>,
}

impl Migration {
    /// Returns the name of its file.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{:04}_{}.cql", self.number, self.name)
    }

    /// Returns what is in its file.
    #[must_use]
    pub fn text(&self) -> String {
        let statements = self.statements.iter().map(|statement| format!("\n{statement};\n")).collect::<String>();
        format!(
            "-- {}\n-- Written by `clipflow schema`, applied by `clipflow migrate`. Never changed after a release.\n{statements}",
            self.about
        )
    }

    fn digest(&self) -> String {
        Digest(Sha256::digest(self.text()).into()).to_string()
    }
}

/// Returns every migration, in order.
#[must_use]
pub fn migrations() -> Vec<Migration> {
    let books = Migration {
        number: 1,
        name: "builds".into(),
        about: "What was applied, which builds there are, and how far they are.",
        statements: std::iter::once(APPLIED).chain(SCHEMA).map(str::to_owned).collect(),
    };
    std::iter::once(books).chain(NUMBERED.map(|(number, model)| of_model(number, model))).collect()
}

fn of_model(number: u32, model: Model) -> Migration {
    let Model { name, version, .. } = model;
    let tables = model.tables.iter().map(|table| Physical { keyspace: None, table, version, build: 1 }.create());
    let first = format!("INSERT INTO builds (model, version, build, is_live) VALUES ('{name}', {version}, 1, true) USING TIMESTAMP {LIVE}");
    Migration {
        number,
        name: format!("{name}_{version}"),
        about: "The first build of a read model; rebuilds make the others.",
        statements: tables.chain([first]).collect(),
    }
}

/// Applies what the keyspace lacks and returns it. Makes the keyspace, with `replicas` of each row, when there is none.
///
/// # Errors
/// The cluster cannot be reached, a migration changed after it was applied, or there is no keyspace and no number of replicas.
pub async fn migrate(options: &Options, replicas: Option<u32>) -> Result<Vec<Migration>> {
    ensure_keyspace(options, replicas).await?;
    let store = Store::connect(options).await?;
    // Migrations name no keyspace, so that their files fit any.
    store.0.session.use_keyspace(options.keyspace.to_string(), false).await.context("using the keyspace")?;
    store.change_schema(APPLIED).await?;
    let applied = applied(&store).await?;
    let mut fresh = vec![];
    for migration in migrations() {
        if is_applied(&applied, &migration)? {
            continue;
        }
        for statement in &migration.statements {
            store.change_schema(statement).await?;
        }
        let values = vec![
            Some(CqlValue::BigInt(migration.number.into())),
            Some(CqlValue::Text(migration.name.clone())),
            Some(CqlValue::Text(migration.digest())),
        ];
        let keyspace = &options.keyspace;
        let text = format!("INSERT INTO {keyspace}.migrations (number, name, sha256, applied_at) VALUES (?, ?, ?, toTimestamp(now()))");
        store.write(text, values).await.with_context(|| format!("recording {}", migration.file_name()))?;
        fresh.push(migration);
    }
    Ok(fresh)
}

/// Fails when the keyspace lacks a migration or has another one under its number.
pub(super) async fn check(store: &Store) -> Result<()> {
    let applied = applied(store).await.context("the keyspace has no list of migrations: run `clipflow migrate`")?;
    for migration in migrations() {
        ensure!(is_applied(&applied, &migration)?, "{} was not applied: run `clipflow migrate`", migration.file_name());
    }
    Ok(())
}

/// Tells whether a migration was applied as it is now.
fn is_applied(applied: &BTreeMap<i64, String>, migration: &Migration) -> Result<bool> {
    match applied.get(&migration.number.into()) {
        None => Ok(false),
        Some(digest) if *digest == migration.digest() => Ok(true),
        Some(_) => bail!(
            "{} is not what was applied to this keyspace: a migration never changes; raise the read model's version and add a new one",
            migration.file_name()
        ),
    }
}

async fn applied(store: &Store) -> Result<BTreeMap<i64, String>> {
    let found = store.rows(format!("SELECT number, sha256 FROM {}.migrations", store.0.keyspace), vec![]).await?;
    found
        .into_iter()
        .map(|cells| match <[Value; 2]>::try_from(cells) {
            Ok([Value::Integer(number), Value::Text(digest)]) => Ok((number, digest)),
            other => bail!("no migration is {other:?}"),
        })
        .collect()
}

async fn ensure_keyspace(options: &Options, replicas: Option<u32>) -> Result<()> {
    let store = Store::connect(options).await?;
    let Keyspace(name) = &options.keyspace;
    let text = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?";
    if !store.rows(text, vec![Some(CqlValue::Text(name.clone()))]).await?.is_empty() {
        return Ok(());
    }
    let Some(replicas) = replicas else {
        bail!("there is no keyspace {name}: make it, or say how many replicas of each row it shall have");
    };
    let replication = format!("{{'class': 'NetworkTopologyStrategy', 'replication_factor': {replicas}}}");
    store.change_schema(&format!("CREATE KEYSPACE IF NOT EXISTS {name} WITH replication = {replication}")).await
}
