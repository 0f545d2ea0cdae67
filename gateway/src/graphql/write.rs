//! How mutations append: one commit per mutation, named by the caller's idempotency key when there is one.

use super::Caller;
use super::error::{not_executed, refusal};
use super::token::Token;
use async_graphql::Context;
use domain::id::CommitId;
use runtime::execute::{self, Transaction};
use runtime::ids;
use runtime::log::any::AnyLog;
use sha2::{Digest as _, Sha256};
use std::fmt::Debug;

/// Longest idempotency key, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// The header `Idempotency-Key` of the request.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyHeader(pub(crate) Option<String>);

/// One mutation by one caller.
pub(crate) struct Request<'a> {
    pub(crate) caller: Caller<'a>,
    key: Option<String>,
}

impl<'a> Request<'a> {
    /// Returns the request, its key from the argument or else from the header.
    pub(crate) fn of(context: &Context<'a>, key: Option<String>) -> async_graphql::Result<Self> {
        let header = || context.data_opt::<KeyHeader>().and_then(|header| header.0.clone());
        let key = key.or_else(header);
        if key.as_ref().is_some_and(|key| key.is_empty() || key.len() > KEY_BYTES_MAX) {
            return Err(refusal("BAD_IDEMPOTENCY_KEY", format!("an idempotency key has 1 to {KEY_BYTES_MAX} bytes")));
        }
        Ok(Self { caller: Caller::of(context)?, key })
    }

    /// Returns the id of the commit of mutation `name`. The arguments are part of it: a key that is used again for something else
    /// names something else, and never hides it.
    pub(crate) fn commit(&self, name: &str, arguments: &impl Debug) -> CommitId {
        match &self.key {
            Some(key) => {
                let arguments = hex::encode(Sha256::digest(format!("{arguments:?}")));
                ids::keyed_commit(self.caller.workspace(), &format!("{name}/{arguments}/{key}"))
            }
            None => ids::fresh_commit(),
        }
    }

    /// Returns the id of what mutation `name` makes: the same for the same key, whatever the arguments.
    pub(crate) fn made(&self, name: &str) -> uuid::Uuid {
        match &self.key {
            Some(key) => ids::keyed_commit(self.caller.workspace(), &format!("{name}/made/{key}")).0,
            None => ids::fresh(),
        }
    }

    /// Appends what `add` puts into an empty transaction.
    pub(crate) async fn commit_with<'b>(
        &'b self,
        commit: CommitId,
        add: impl FnOnce(Transaction<'b, AnyLog>) -> Transaction<'b, AnyLog>,
    ) -> async_graphql::Result<Token> {
        let Caller { gateway, principal } = self.caller;
        let context = execute::Context::request(commit, principal.workspace, principal.actor.clone(), gateway.clock.now());
        let receipt = add(Transaction::new(&gateway.log, context)).commit().await.map_err(not_executed)?;
        Ok(Token(receipt.token))
    }
}
