//! SIGTERM and SIGINT: the first asks everything to end in order, the second ends the process at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The exit code of a process that was told twice to stop.
const EXIT_AT_ONCE: i32 = 130;

/// Cancels the token at the first signal. Must be called within a tokio runtime.
///
/// # Errors
/// When the system refuses signal handlers.
pub(crate) fn on_signal(stop: CancellationToken) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        let word = either(&mut terminate, &mut interrupt).await;
        tracing::info!(signal = word, "stopping");
        stop.cancel();
        let word = either(&mut terminate, &mut interrupt).await;
        tracing::warn!(signal = word, "stopping at once");
        std::process::exit(EXIT_AT_ONCE);
    });
    Ok(())
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
