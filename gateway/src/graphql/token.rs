//! Read-your-writes: a mutation returns a token, a query waits until the read models hold what it names.

use super::Caller;
use super::error::refusal;
use async_graphql::{ErrorExtensions as _, InputValueError, InputValueResult, Scalar, ScalarType, Value};
use runtime::log::Log as _;
use runtime::token::Token as Seen;
use std::time::Duration;

/// Longest wait for read models: they are milliseconds behind when all is well, and a caller would rather hear `STALE` than hang.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a caller has seen or written. Every mutation returns one; give it to a query as `after` to read at least that. Opaque.
pub(crate) struct Token(pub(crate) Seen);

#[Scalar]
impl ScalarType for Token {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => text.parse().map(Self).map_err(InputValueError::custom),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// Waits until every read model holds what `after` names.
pub(crate) async fn wait(caller: Caller<'_>, after: Option<&Token>) -> async_graphql::Result<()> {
    let Some(Token(seen)) = after else { return Ok(()) };
    if seen.workspace != caller.workspace() {
        return Err(refusal("BAD_TOKEN", "this token is of another workspace"));
    }
    let partition = caller.gateway.log.partition(seen.workspace);
    let models = projections::ALL.into_iter().map(|model| caller.gateway.positions.wait(model.name, partition, seen.position, PATIENCE));
    match futures::future::try_join_all(models).await {
        Ok(_) => Ok(()),
        Err(stale) => Err(refusal("STALE", stale).extend_with(|_, extensions| extensions.set("lag", stale.lag))),
    }
}
