//! Models: which weights are known, and which are in use.

use crate::table::{Column, Order, Table, Value, Writes};
use crate::{Projection, Store};
use anyhow::Result;
use domain::Timestamp;
use domain::blob::Digest;
use domain::id::{ModelId, WorkspaceId};
use domain::model::Event;
use proto::{DecodeError, Recorded};
use serde::Deserialize;

/// The read model.
#[derive(Debug)]
pub struct Models;

/// A model.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Row {
    /// Its id.
    pub model: ModelId,
    /// Such as `tiny.en` or `frozen-1`.
    pub name: String,
    /// `transcribe` or `rank`.
    pub task: String,
    /// SHA-256 of the weights.
    pub digest: Digest,
    /// Where they come from.
    pub origin: String,
    /// Whether it is in use.
    pub is_promoted: bool,
    /// When it became known.
    pub registered_us: Timestamp,
}

static MODELS: Table = Table {
    name: "models",
    partition: &[],
    clustering: &[Column::text("model")],
    order: Order::Ascending,
    columns: &[
        Column::text("name"),
        Column::text("task"),
        Column::text("digest"),
        Column::text("origin"),
        Column::bool("is_promoted"),
        Column::integer("registered_us"),
    ],
};

impl crate::Row for Row {
    type Of = Models;
    const TABLE: &'static Table = &MODELS;
}

impl Projection for Models {
    const NAME: &'static str = "models";
    const VERSION: u32 = 1;
    const TABLES: &'static [&'static Table] = &[&MODELS];

    fn project(event: &Recorded, writes: &mut Writes) -> Result<(), DecodeError> {
        if let Some(proto::Event::Model(happened)) = event.event()? {
            let cells = match happened {
                Event::Registered { name, task, digest, origin } => vec![
                    ("name", name.into()),
                    ("task", Value::shown(&task)),
                    ("digest", Value::shown(&digest)),
                    ("origin", origin.into()),
                    ("is_promoted", false.into()),
                    ("registered_us", event.metadata.at.0.into()),
                ],
                Event::Promoted => vec![("is_promoted", true.into())],
                Event::Retired => vec![("is_promoted", false.into())],
            };
            writes.upsert(&MODELS, [Value::shown(&ModelId(event.stream.id()))], cells);
        }
        Ok(())
    }
}

/// Returns a model.
///
/// # Errors
/// The store fails.
pub async fn by_id(store: &Store, workspace: WorkspaceId, model: ModelId) -> Result<Option<Row>> {
    store.get(workspace, [Value::shown(&model)]).await
}

/// Returns every model of a workspace.
///
/// # Errors
/// The store fails.
pub async fn all(store: &Store, workspace: WorkspaceId) -> Result<Vec<Row>> {
    store.range(workspace, [], None, crate::store::ROWS_MAX).await
}
