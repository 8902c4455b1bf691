//! When to write down how the checks stand: soon after a word has changed, now and then otherwise, and at the end.
//!
//! A probe that says the same again is worth no write of its own: of it only the time would be lost.

use std::{
    collections::HashMap,
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use health_model::{CheckId, Probe, Reason, Standing, Verdict};
use health_runner::{Board, Change, Row};
use jiff::Timestamp;
use tokio::time::Instant;

use super::{StateDir, standings};

/// The least time between two writes.
const LEAST_PAUSE: Duration = Duration::from_secs(1);
/// The most time until what changes no word is written.
const REFRESH: Duration = Duration::from_secs(30);

/// How writing goes; for metrics and readiness.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeeperReport {
    /// Files written.
    pub(crate) written: u64,
    /// Attempts that failed.
    pub(crate) failed: u64,
    /// Why the last attempt failed; `None` when it did not.
    pub(crate) trouble: Option<String>,
}

/// What is worth a write of its own when it changes.
type Word = (Verdict, Reason, Option<Timestamp>);

/// Writes down how checks stand.
#[derive(Debug)]
pub(crate) struct Keeper {
    directory: Arc<StateDir>,
    words: HashMap<CheckId, Word>,
    /// What was known before the start of checks that nobody has declared since: the file they are in may be broken just
    /// now. It is kept until the source is known as a whole.
    undeclared: Arc<HashMap<CheckId, Standing>>,
    urgent: bool,
    dirty: bool,
    last: Instant,
    report: Arc<Mutex<KeeperReport>>,
}

impl Keeper {
    /// Starts with nothing to write, from what was remembered.
    pub(crate) fn new(directory: Arc<StateDir>, remembered: HashMap<CheckId, Standing>, now: Instant) -> Self {
        Self {
            directory,
            words: HashMap::new(),
            undeclared: Arc::new(remembered),
            urgent: false,
            dirty: false,
            last: now,
            report: Arc::default(),
        }
    }

    /// Takes in that the source is known as a whole: what it has not declared is gone, and may be forgotten.
    pub(crate) fn forget_undeclared(&mut self) {
        self.dirty |= !self.undeclared.is_empty();
        self.undeclared = Arc::default();
    }

    /// How writing goes, for somebody else to read.
    pub(crate) fn report(&self) -> Arc<Mutex<KeeperReport>> {
        Arc::clone(&self.report)
    }

    /// Takes in that a check has changed.
    pub(crate) fn note(&mut self, change: &Change) {
        self.dirty = true;
        let Some(row) = &change.row else {
            self.words.remove(&change.id);
            self.urgent = true;
            return;
        };
        if self.undeclared.contains_key(&change.id) {
            Arc::make_mut(&mut self.undeclared).remove(&change.id);
        }
        let word = (row.standing.verdict, row.standing.reason, row.standing.backoff_until);
        let before = self.words.insert(change.id.clone(), word);
        // A heartbeat comes once: its time is all we have to go by after a restart.
        self.urgent |= before != Some(word) || is_heartbeat(row);
    }

    /// When the next write is due, if anything is to be written.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.dirty.then(|| self.last + if self.urgent { LEAST_PAUSE } else { REFRESH })
    }

    /// Writes, off the runtime's threads.
    pub(crate) async fn save(&mut self, board: &Board, now: Instant) {
        (self.last, self.urgent, self.dirty) = (now, false, false);
        let rows = board.rows();
        let file = self.directory.standings_file();
        let undeclared = Arc::clone(&self.undeclared);
        let saved = tokio::task::spawn_blocking(move || write(&file, &rows, &undeclared)).await;
        let outcome = saved.unwrap_or_else(|error| Err(io::Error::other(error)));
        (self.urgent, self.dirty) = (outcome.is_err(), outcome.is_err());
        self.tell(outcome);
    }

    fn tell(&self, outcome: io::Result<()>) {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        let trouble = outcome.err().map(|error| error.to_string());
        match &trouble {
            None => report.written += 1,
            Some(_) => report.failed += 1,
        }
        if trouble != report.trouble {
            match &trouble {
                Some(error) => {
                    tracing::warn!(folder = %self.directory.path().display(), %error, "what is known cannot be kept")
                }
                None => tracing::info!(folder = %self.directory.path().display(), "what is known can be kept again"),
            }
        }
        report.trouble = trouble;
    }
}

fn is_heartbeat(row: &Row) -> bool {
    row.definition.spec.as_ref().is_ok_and(|spec| matches!(spec.probe, Probe::Heartbeat(_)))
}

fn write(file: &Path, rows: &[Arc<Row>], undeclared: &HashMap<CheckId, Standing>) -> io::Result<()> {
    let declared = rows.iter().map(|row| (row.id(), &row.standing));
    standings::save(file, declared.chain(undeclared))
}
