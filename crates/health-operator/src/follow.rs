//! Follows the board once for everybody in this process who acts on changes: log, memory, notifications.
//!
//! One line per turn of a check, none per probe. Nothing here can hold a probe up.

use std::{sync::Arc, time::Duration};

use health_model::Verdict;
use health_runner::{Board, Change};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::memory::Keeper;

/// Changes that come within this are taken in together: at a thousand probes a second, waking up is what costs.
const PACE: Duration = Duration::from_millis(25);

/// Follows the board until `stop`, then takes in what is left and keeps it.
pub(crate) async fn follow(board: Arc<Board>, mut keeper: Option<Keeper>, stop: CancellationToken) {
    let mut subscription = board.subscribe();
    loop {
        let due = keeper.as_ref().and_then(Keeper::due);
        tokio::select! {
            changes = subscription.next() => take_in(&changes, keeper.as_mut()),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                if let Some(keeper) = &mut keeper {
                    keeper.save(&board, Instant::now()).await;
                }
            }
            () = stop.cancelled() => break,
        }
        tokio::time::sleep(PACE).await;
    }
    if let Ok(changes) = tokio::time::timeout(Duration::ZERO, subscription.next()).await {
        take_in(&changes, keeper.as_mut());
    }
    if let Some(mut keeper) = keeper {
        keeper.save(&board, Instant::now()).await;
    }
}

fn take_in(changes: &[Change], mut keeper: Option<&mut Keeper>) {
    for change in changes {
        log_turns(change);
        if let Some(keeper) = &mut keeper {
            keeper.note(change);
        }
    }
}

fn log_turns(change: &Change) {
    for turn in &change.transitions {
        let check = tracing::field::display(&change.id);
        match turn.to {
            Verdict::Healthy => {
                tracing::info!(check, healthy = true, reason = %turn.reason, response = turn.response, "healthy");
            }
            Verdict::Failing | Verdict::Unknown => {
                tracing::warn!(check, healthy = false, reason = %turn.reason, response = turn.response, "failing");
            }
        }
    }
}
