//! The GraphQL schema: one file per entity, each a thin wrapper around a row.

mod analytics;
mod clip;
mod edit;
mod error;
mod events;
mod facts;
mod history;
pub(crate) mod http;
mod import;
mod job;
mod link;
mod loaders;
mod model;
mod node;
mod progress;
mod rendition;
mod token;
mod transcript;
mod video;
pub(crate) mod websocket;
mod write;

use crate::Gateway;
use crate::auth::Principal;
use async_graphql::dataloader::DataLoader;
use async_graphql::{Context, MergedObject, MergedSubscription, SchemaBuilder};
use domain::id::WorkspaceId;
use std::sync::Arc;

/// Deepest query: the usual introspection query has 15 levels.
const DEPTH_MAX: usize = 16;

/// Most points of a query: every field of every row that may come back is one. A page with everything that it shows takes a tenth.
const COMPLEXITY_MAX: usize = 30_000;

/// Rows of a page when nothing is said.
const PAGE_ROWS: u32 = 20;

/// Most rows of a page.
const PAGE_ROWS_MAX: u32 = 100;

/// Everything that can be asked.
#[derive(MergedObject, Default)]
pub struct Query(
    node::NodeQuery,
    video::VideoQuery,
    clip::ClipQuery,
    transcript::TranscriptQuery,
    model::ModelQuery,
    history::HistoryQuery,
    job::JobQuery,
    analytics::AnalyticsQuery,
);

/// Everything that can be done.
#[derive(MergedObject, Default)]
pub struct Mutation(import::ImportMutation, video::VideoMutation, edit::ClipMutation, job::JobMutation);

/// Everything that can be watched.
#[derive(MergedSubscription, Default)]
pub struct Subscription(progress::ProgressSubscription, events::EventSubscription);

/// The executable schema.
pub type Schema = async_graphql::Schema<Query, Mutation, Subscription>;

/// Returns the schema over a gateway.
#[must_use]
pub fn schema(gateway: Arc<Gateway>) -> Schema {
    let rows = loaders::Rows(gateway.store.clone());
    builder().data(DataLoader::new(rows, tokio::spawn)).data(gateway).finish()
}

/// Returns the schema as text, as committed in `schemas/graphql`.
#[must_use]
pub fn sdl() -> String {
    builder().finish().sdl()
}

fn builder() -> SchemaBuilder<Query, Mutation, Subscription> {
    async_graphql::Schema::build(Query::default(), Mutation::default(), Subscription::default())
        .register_output_type::<node::Node>()
        .limit_depth(DEPTH_MAX)
        .limit_complexity(COMPLEXITY_MAX)
}

/// Who is asking, and what stands behind them.
#[derive(Clone, Copy)]
pub(crate) struct Caller<'a> {
    pub(crate) gateway: &'a Arc<Gateway>,
    pub(crate) principal: &'a Principal,
}

impl<'a> Caller<'a> {
    pub(crate) fn of(context: &Context<'a>) -> async_graphql::Result<Self> {
        Ok(Self { gateway: context.data::<Arc<Gateway>>()?, principal: context.data::<Principal>()? })
    }

    pub(crate) fn workspace(self) -> WorkspaceId {
        self.principal.workspace
    }
}

/// Returns how many rows a page has, and one more to see whether there are others.
fn page_rows(first: Option<i32>) -> async_graphql::Result<u32> {
    let rows = first.map_or(Ok(PAGE_ROWS), u32::try_from).unwrap_or(0);
    if (1..=PAGE_ROWS_MAX).contains(&rows) {
        Ok(rows)
    } else {
        Err(error::refusal("BAD_PAGE", format!("`first` lies between 1 and {PAGE_ROWS_MAX}")))
    }
}

/// Returns what a page costs.
fn page_cost(first: Option<i32>, row: usize) -> usize {
    first.and_then(|first| usize::try_from(first).ok()).unwrap_or(PAGE_ROWS as usize) * row.max(1)
}
