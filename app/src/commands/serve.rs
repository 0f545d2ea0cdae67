//! `clipflow serve`: everything in one process.

use crate::cli::{Role, Serve, Shared};
use crate::engine::{Engine, Store, encoder};
use crate::lakes;
use crate::problem::Problem;
use anyhow::Context as _;
use gateway::Gateway;
use gateway::auth::Auth;
use gateway::upload::Uploads;
use runtime::clock::Clock;
use runtime::shutdown;
use runtime::telemetry::Telemetry;
use secrecy::ExposeSecret as _;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

pub(crate) async fn run(shared: &Shared, options: Serve, telemetry: &Telemetry) -> anyhow::Result<()> {
    let store = Store::open(shared).await?;
    // Before anything starts, so that a taken address is told at once.
    let listener = match options.roles.contains(&Role::Gateway) {
        true => Some(listen(options.listen, "--listen").await?),
        false => None,
    };
    let watched = match options.metrics {
        Some(address) => Some(listen(address, "--metrics").await?),
        None => None,
    };
    let stop = shutdown::on_signal()?;
    if let Some(watched) = watched {
        eprintln!("Metrics are at http://{}/metrics", watched.local_addr()?);
        tokio::spawn(gateway::observe(watched, telemetry.metrics_renderer(), stop.clone()));
    }
    let mut engine = Engine::start(&store, shared, &options.work, &options.roles, stop.child_token()).await?;
    let Some(listener) = listener else {
        eprintln!("ClipFlow works, without a gateway");
        let outcome = tokio::select! {
            () = stop.cancelled() => Ok(()),
            error = engine.failure() => Err(error),
        };
        engine.stop().await?;
        return outcome;
    };
    let rows = options.cluster.open(&store.folder).await?;
    engine.project(&store, rows.clone());
    let analytics = match lakes::settings(shared, &options.place)? {
        Some(settings) => {
            let lake = lakes::open(&settings)?;
            engine.write_lake(&store, lake, settings.flush);
            Some(lakes::analytics(settings)?)
        }
        None => None,
    };
    let (auth, fresh_key) = Auth::open(&store.folder, store.workspace).context("opening the keys")?;
    let gateway = Arc::new(Gateway {
        log: store.log.clone(),
        positions: engine.surroundings.positions.clone(),
        store: rows,
        blobs: store.blobs.clone(),
        progress: engine.surroundings.progress.clone(),
        clock: Clock::system(),
        encoder: encoder(&options.work),
        auth,
        uploads: Uploads::open(&store.folder.join("uploads")).context("opening the uploads")?,
        analytics,
        metrics: Box::new(telemetry.metrics_renderer()),
        shutdown: stop.clone(),
    });
    let address = listener.local_addr()?;
    eprintln!("ClipFlow listens on http://{address}  (GraphQL: /graphql, try it out: /graphiql)");
    if let Some(key) = fresh_key {
        eprintln!("Your key, shown this once: {}", key.expose_secret());
    }
    let outcome = tokio::select! {
        served = gateway::serve(listener, gateway) => served,
        error = engine.failure() => Err(error),
    };
    stop.cancel();
    engine.stop().await?;
    outcome
}

async fn listen(address: SocketAddr, option: &str) -> anyhow::Result<TcpListener> {
    let taken =
        |error| Problem::new("ADDRESS_IN_USE", format!("cannot listen on {address} ({error}): choose another address with {option}"));
    Ok(TcpListener::bind(address).await.map_err(taken)?)
}
