//! Following the board: level-triggered, bounded by the number of checks, never in the engine's way.

use std::sync::{Arc, Mutex, PoisonError};

use health_model::{CheckId, Transition};
use indexmap::IndexMap;
use tokio::sync::Notify;

use crate::{Board, Row};

/// Transitions of one check kept for a reader that is behind. Beyond, a pair in the middle goes: what is left still
/// alternates, and the first and the last turn are kept.
const MOST_TRANSITIONS: usize = 16;

/// What has changed of one check since a subscription was last read.
#[derive(Clone, Debug)]
pub struct Change {
    /// Whose.
    pub id: CheckId,
    /// Its row as it is now; `None`: the check is gone.
    pub row: Option<Arc<Row>>,
    /// Its turns since then, oldest first.
    pub transitions: Vec<Transition>,
}

/// What a subscription has not read yet.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    dirty: Mutex<IndexMap<CheckId, Vec<Transition>>>,
    filled: Notify,
}

impl Mailbox {
    pub(crate) fn mark(&self, id: &CheckId, transition: Option<&Transition>) {
        let mut dirty = self.dirty.lock().unwrap_or_else(PoisonError::into_inner);
        if transition.is_none() && dirty.contains_key(id) {
            return;
        }
        let turns = dirty.entry(id.clone()).or_default();
        if let Some(transition) = transition {
            if turns.len() >= MOST_TRANSITIONS {
                turns.drain(1..3);
            }
            turns.push(transition.clone());
        }
    }

    /// The check is gone: its turns are nobody's any more, should another of its name come.
    pub(crate) fn mark_erased(&self, id: &CheckId) {
        self.dirty.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), Vec::new());
    }

    pub(crate) fn ring(&self) {
        self.filled.notify_one();
    }

    fn take(&self) -> IndexMap<CheckId, Vec<Transition>> {
        std::mem::take(&mut *self.dirty.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Follows a [`Board`]. Holds at most one entry per check, however long nobody reads it.
#[derive(Debug)]
pub struct Subscription {
    board: Arc<Board>,
    mailbox: Arc<Mailbox>,
}

impl Subscription {
    pub(crate) fn new(board: Arc<Board>, mailbox: Arc<Mailbox>) -> Self {
        Self { board, mailbox }
    }

    /// Waits until something has changed since the last call and returns it, each check once, with its row as it is
    /// now. The first call returns every check there is. Cancelling the wait loses nothing.
    pub async fn next(&mut self) -> Vec<Change> {
        loop {
            let waiting = self.mailbox.filled.notified();
            let taken = self.mailbox.take();
            if !taken.is_empty() {
                return self.board.fill_in(taken);
            }
            waiting.await;
        }
    }
}
