//! Models.

use super::Caller;
use super::error::internal;
use super::link::date;
use super::token::{Token, wait};
use async_graphql::{Context, ID, Object, Result};
use chrono::{DateTime, Utc};
use projections::models;

pub(crate) struct Model(pub(crate) models::Row);

/// Weights that transcribe or rank.
#[Object]
impl Model {
    /// Such as `model_018f3c0a…`.
    pub(crate) async fn id(&self) -> ID {
        self.0.model.to_string().into()
    }

    /// Such as `tiny.en` or `frozen-1`.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// `transcribe` or `rank`.
    async fn task(&self) -> &str {
        &self.0.task
    }

    /// SHA-256 of the weights, 64 hexadecimal digits.
    async fn digest(&self) -> String {
        self.0.digest.to_string()
    }

    /// Where the weights come from.
    async fn origin(&self) -> &str {
        &self.0.origin
    }

    /// Whether it is in use.
    async fn is_promoted(&self) -> bool {
        self.0.is_promoted
    }

    /// When it became known.
    async fn registered_at(&self) -> DateTime<Utc> {
        date(self.0.registered_us)
    }
}

/// Questions about models.
#[derive(Default)]
pub(super) struct ModelQuery;

#[Object]
impl ModelQuery {
    /// Every model that is known.
    #[graphql(complexity = "20 * child_complexity")]
    async fn models(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Answer with at least what this token has seen.")] after: Option<Token>,
    ) -> Result<Vec<Model>> {
        let caller = Caller::of(context)?;
        wait(caller, after.as_ref()).await?;
        let rows = models::all(&caller.gateway.store, caller.workspace()).await.map_err(internal)?;
        Ok(rows.into_iter().map(Model).collect())
    }
}
