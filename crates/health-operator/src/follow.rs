//! Follows the board once for everybody in this process who acts on changes: log, memory, notifications.
//!
//! One line per turn of a check, none per probe. Nothing here can hold a probe up.

use std::{future::Future, sync::Arc, time::Duration};

use futures::FutureExt;
use health_model::Verdict;
use health_runner::{Board, Change, Subscription};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{memory::Keeper, notifying::Teller};

/// Changes that come within this are taken in together: at a thousand probes a second, waking up is what costs.
const PACE: Duration = Duration::from_millis(25);

/// Who acts on changes.
pub(crate) struct Followers {
    /// Writes down how checks stand; `None` where nothing is kept.
    pub(crate) keeper: Option<Keeper>,
    /// Tells the notification pipeline.
    pub(crate) teller: Teller,
}

/// Follows the board until `stop`, then takes in what is left and keeps it. `synced` ends when the board shows every
/// check that could be read from the source, and `whole` when those are known to be all that it declares.
pub(crate) async fn follow(
    board: Arc<Board>,
    mut followers: Followers,
    synced: impl Future<Output = ()> + Send,
    whole: impl Future<Output = ()> + Send,
    stop: CancellationToken,
) {
    let mut subscription = board.subscribe();
    let (mut synced, mut whole) = (std::pin::pin!(synced), std::pin::pin!(whole));
    let (mut is_synced, mut is_whole) = (false, false);
    loop {
        let due = followers.keeper.as_ref().and_then(Keeper::due);
        tokio::select! {
            changes = subscription.next() => followers.take_in(&changes),
            () = &mut synced, if !is_synced => {
                is_synced = true;
                followers.take_rest(&mut subscription).await;
            }
            // Until then, what is not on the board may be in a file that is broken: it is neither forgotten nor said to be
            // watched no longer.
            () = &mut whole, if is_synced && !is_whole => {
                is_whole = true;
                followers.take_rest(&mut subscription).await;
                followers.teller.synced();
                followers.keeper.iter_mut().for_each(Keeper::forget_undeclared);
            }
            // What is known of the time before is not written over by the little that is known so early.
            () = sleep_until(due.unwrap_or_else(Instant::now)), if is_synced && due.is_some() => {
                followers.keep(&board).await;
            }
            () = stop.cancelled() => break,
        }
        tokio::time::sleep(PACE).await;
    }
    followers.take_rest(&mut subscription).await;
    // A stop soon after the start may have been noticed before what was true already.
    is_synced = is_synced || synced.as_mut().now_or_never().is_some();
    is_whole = is_whole || whole.as_mut().now_or_never().is_some();
    if is_synced {
        if is_whole {
            followers.keeper.iter_mut().for_each(Keeper::forget_undeclared);
        }
        followers.keep(&board).await;
    }
}

impl Followers {
    fn take_in(&mut self, changes: &[Change]) {
        for change in changes {
            log_turns(change);
            self.teller.note(change);
            if let Some(keeper) = &mut self.keeper {
                keeper.note(change);
            }
        }
    }

    async fn take_rest(&mut self, subscription: &mut Subscription) {
        if let Ok(changes) = tokio::time::timeout(Duration::ZERO, subscription.next()).await {
            self.take_in(&changes);
        }
    }

    async fn keep(&mut self, board: &Board) {
        if let Some(keeper) = &mut self.keeper {
            keeper.save(board, Instant::now()).await;
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
