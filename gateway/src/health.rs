//! For those who watch the process.

use crate::Gateway;
use crate::auth::Principal;
use crate::problem::Problem;
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use runtime::log::Log as _;
use std::net::SocketAddr;
use std::sync::Arc;

/// A read model that is further behind than this is not ready: a person would see minutes-old rows.
const LAG_EVENTS_MAX: u64 = 10_000;

/// The process answers.
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// The log can be read and the read models are close behind it.
pub(crate) async fn ready(State(gateway): State<Arc<Gateway>>) -> Result<&'static str, Problem> {
    let not_ready = |message: String| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "NOT_READY", message);
    if gateway.shutdown.is_cancelled() {
        return Err(not_ready("shutting down".into()));
    }
    for partition in gateway.log.partitions() {
        let head = gateway.log.head(partition).await.map_err(Problem::internal)?;
        for model in projections::ALL {
            let next = gateway.positions.checkpoint(model.name, partition).map_or(0, |position| position + 1);
            let lag = head.saturating_sub(next);
            if lag > LAG_EVENTS_MAX {
                return Err(not_ready(format!("{} is {lag} events behind in partition {}", model.name, partition.0)));
            }
        }
    }
    Ok("ready\n")
}

/// Metrics, for this machine and for the owner.
pub(crate) async fn metrics(
    State(gateway): State<Arc<Gateway>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Result<impl IntoResponse, Problem> {
    // A request that a proxy passed on comes from this machine too, but not from somebody on it.
    let is_direct = !request.headers().contains_key("x-forwarded-for") && !request.headers().contains_key(header::FORWARDED);
    if !(peer.ip().is_loopback() && is_direct) {
        Principal::from_request_parts(&mut request.into_parts().0, &gateway).await?;
    }
    Ok(as_metrics((gateway.metrics)()))
}

/// Says that a text is Prometheus' form of metrics.
pub(crate) fn as_metrics(text: String) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}
