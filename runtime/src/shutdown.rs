//! A graceful end: the first signal asks everything to stop, the second one does not ask.

use std::io;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long running work may take to end after the signal: below the ten seconds that container platforms commonly wait before they kill.
pub const DRAIN: Duration = Duration::from_secs(8);

/// The exit code of a process that was told to stop twice.
const EXIT_INTERRUPTED: i32 = 130;

/// Returns a token that SIGINT and SIGTERM cancel. Call it once, inside the runtime.
///
/// # Errors
/// When the process cannot listen for signals.
pub fn on_signal() -> io::Result<CancellationToken> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} }
        tracing::info!("stopping; work that is under way has {} s to end", DRAIN.as_secs());
        cancelled.cancel();
        tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} }
        std::process::exit(EXIT_INTERRUPTED);
    });
    Ok(token)
}
