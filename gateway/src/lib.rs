//! HTTP in front of everything: GraphQL, uploads, media, and a plain page. One port.
//!
//! Mutations append commands' events, queries read projections, subscriptions read the log and the progress channel. It never runs a
//! processor, and every read and write is scoped to the workspace of whoever `auth` let in.

pub mod analytics;
pub mod auth;
pub mod graphql;
mod health;
pub mod media;
mod page;
pub mod problem;
mod security;
pub mod upload;

use analytics::Analytics;
use anyhow::Result;
use auth::Auth;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{any, get, post};
use domain::artefact::EncoderSettings;
use projections::Store;
use runtime::blobs::Blobs;
use runtime::clock::Clock;
use runtime::log::any::AnyLog;
use runtime::progress::ProgressChannel;
use runtime::token::Positions;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::trace::TraceLayer;
use upload::Uploads;

pub use graphql::sdl;

/// How long open connections may go on after shutdown begins; the longest query is shorter, and uploads resume.
const DRAIN: Duration = Duration::from_secs(10);

/// What the gateway stands in front of.
pub struct Gateway {
    /// Where mutations append and subscriptions read.
    pub log: AnyLog,
    /// Where queries read.
    pub store: Store,
    /// How far the read models are.
    pub positions: Positions,
    /// Media, transcripts and other large things.
    pub blobs: Blobs,
    /// What running work tells.
    pub progress: ProgressChannel,
    /// Tells the time.
    pub clock: Clock,
    /// How renditions that are asked for here are encoded.
    pub encoder: EncoderSettings,
    /// The one door.
    pub auth: Auth,
    /// Files on their way in.
    pub uploads: Uploads,
    /// Answers SQL over the lake; `None` where there is no lake.
    pub analytics: Option<Analytics>,
    /// Returns the process's metrics in Prometheus' text form.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
    /// Ends subscriptions and streams.
    pub shutdown: CancellationToken,
}

/// Returns everything that is served.
pub fn router(gateway: Arc<Gateway>) -> Router {
    let schema = graphql::schema(gateway.clone());
    Router::new()
        .route("/", get(page::index))
        .route("/assets/{name}", get(page::asset))
        .route("/login", post(page::login))
        .route("/logout", post(page::logout))
        .route("/graphiql", get(page::graphiql))
        .route("/graphql", any(graphql::http::serve))
        .route("/graphql/ws", get(graphql::websocket::serve))
        .layer(DefaultBodyLimit::max(graphql::http::BODY_BYTES_MAX))
        .merge(upload::routes())
        .route("/media/{sha256}", get(media::serve))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .layer(axum::Extension(schema))
        .layer(axum::middleware::from_fn(security::headers))
        .layer(CatchPanicLayer::new())
        .layer(TraceLayer::new_for_http())
        .with_state(gateway)
}

/// Serves until the gateway's `shutdown`, then lets open requests end.
///
/// # Errors
/// The listener fails.
pub async fn serve(listener: TcpListener, gateway: Arc<Gateway>) -> Result<()> {
    let shutdown = gateway.shutdown.clone();
    let sweeping = tokio::spawn(upload::sweep(gateway.clone()));
    let app = router(gateway).into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, app).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let result = tokio::select! {
        result = serving => result,
        () = async {
            shutdown.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        } => Ok(()),
    };
    sweeping.abort();
    Ok(result?)
}

/// Serves `/metrics` and `/healthz` and nothing else, without a key, until `shutdown`: for processes without a gateway.
///
/// # Errors
/// The listener fails.
pub async fn observe(
    listener: TcpListener,
    metrics: impl Fn() -> String + Clone + Send + Sync + 'static,
    shutdown: CancellationToken,
) -> Result<()> {
    let app =
        Router::new().route("/metrics", get(move || async move { health::as_metrics(metrics()) })).route("/healthz", get(health::alive));
    let serving = axum::serve(listener, app).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    // Who only watches is not waited for.
    tokio::select! {
        result = serving => Ok(result?),
        () = shutdown.cancelled() => Ok(()),
    }
}
