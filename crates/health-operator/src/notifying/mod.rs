//! Hands the notification pipeline what it needs: rules from the source, checks from the board, a ledger to write in.
//!
//! Nothing here decides whom to tell, and nothing here can make a probe wait.

mod dependencies;
mod series;
#[cfg(test)]
mod storm;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use health_model::{CheckDefinition, CheckId, Reason, RuleDefinition, Verdict};
use health_notifications::{
    CheckSnapshot, FileLedger, LedgerStore, MemoryLedger, NotificationSettings, Notifications, Observation,
};
use health_runner::{Change, Row};
use jiff::Timestamp;
use tokio::{runtime::Handle, sync::watch as state};
use tokio_util::sync::CancellationToken;

pub(crate) use series::NotificationSeries;

use crate::memory::StateDir;
use dependencies::Dependencies;

/// The rules of a source: `None` until it has been read for the first time.
pub(crate) type Rules = Option<Vec<RuleDefinition>>;

/// The ledger of a run without a cluster.
///
/// # Errors
/// When it cannot be opened.
pub(crate) fn local_ledger(memory: Option<&StateDir>) -> anyhow::Result<Arc<dyn LedgerStore>> {
    Ok(match memory {
        Some(directory) => Arc::new(FileLedger::open(directory.path()).context("what has been told cannot be read")?),
        None => Arc::new(MemoryLedger::default()),
    })
}

/// Starts the pipeline on a runtime that no probe runs on.
///
/// # Errors
/// When the system's roots of trust cannot be used.
pub(crate) fn start(
    ledger: Arc<dyn LedgerStore>,
    grace: Duration,
    serving: &Handle,
    stop: CancellationToken,
) -> anyhow::Result<Arc<Notifications>> {
    let settings = NotificationSettings { grace, ..NotificationSettings::default() };
    let _context = serving.enter();
    Ok(Arc::new(Notifications::start(settings, ledger, stop)?))
}

/// Passes the rules of the source on as they change, until `stop`.
pub(crate) async fn pass_rules(
    mut rules: state::Receiver<Rules>,
    notifications: Arc<Notifications>,
    stop: CancellationToken,
) {
    let passing = async {
        loop {
            if let Some(rules) = rules.borrow_and_update().clone() {
                notifications.set_rules(rules);
            }
            if rules.changed().await.is_err() {
                // The source has ended; the rules stay as they were.
                std::future::pending::<()>().await;
            }
        }
    };
    stop.run_until_cancelled(passing).await;
}

/// How soon a check that goes on saying the same is told of again, so that a repeat does not quote an old answer.
const SAME_WORD_EVERY: Duration = Duration::from_secs(5);

/// Tells the pipeline of checks, and keeps from it what says nothing new.
pub(crate) struct Teller {
    notifications: Arc<Notifications>,
    told: HashMap<CheckId, Told>,
    dependencies: Dependencies,
}

/// What the pipeline was last told of a check.
struct Told {
    definition: Arc<CheckDefinition>,
    word: Word,
    at: Instant,
}

/// As much of how a check stands as decides whether anybody is told anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word {
    verdict: Verdict,
    reason: Reason,
    failing_since: Option<Timestamp>,
    restored: bool,
    overdue: bool,
}

impl Word {
    fn of(row: &Row) -> Self {
        let standing = &row.standing;
        Self {
            verdict: standing.verdict,
            reason: standing.reason,
            failing_since: standing.failing_since,
            restored: standing.restored,
            overdue: row.overdue(),
        }
    }

    fn is_well(self) -> bool {
        self.verdict == Verdict::Healthy && self.reason == Reason::Succeeded && !self.restored && !self.overdue
    }
}

impl Teller {
    /// Nothing has been told of yet.
    pub(crate) fn new(notifications: Arc<Notifications>) -> Self {
        Self { notifications, told: HashMap::new(), dependencies: Dependencies::default() }
    }

    /// Takes in that a check has changed. One that goes on saying the same is not worth a copy of all that is known of
    /// it (at a thousand probes a second that would be most of the work), unless a dependency makes its every word count.
    pub(crate) fn note(&mut self, change: &Change) {
        self.dependencies.note(&change.id, change.row.as_ref().map(|row| &*row.definition));
        let now = Instant::now();
        match &change.row {
            Some(row) => {
                let word = Word::of(row);
                if change.transitions.is_empty() && self.says_nothing_new(&change.id, row, word, now) {
                    return;
                }
                let told = Told { definition: Arc::clone(&row.definition), word, at: now };
                self.told.insert(change.id.clone(), told);
            }
            None => {
                self.told.remove(&change.id);
            }
        }
        self.notifications.observe(Observation {
            id: change.id.clone(),
            check: change.row.as_deref().map(snapshot),
            transitions: change.transitions.clone(),
        });
    }

    fn says_nothing_new(&self, id: &CheckId, row: &Row, word: Word, now: Instant) -> bool {
        let same = |told: &&Told| Arc::ptr_eq(&told.definition, &row.definition) && told.word == word;
        let Some(told) = self.told.get(id).filter(same) else { return false };
        !self.dependencies.matters(id) && (word.is_well() || now.duration_since(told.at) < SAME_WORD_EVERY)
    }

    /// Takes in that every check the source declares has been noted.
    pub(crate) fn synced(&self) {
        self.notifications.synced();
    }
}

fn snapshot(row: &Row) -> Arc<CheckSnapshot> {
    Arc::new(CheckSnapshot {
        definition: Arc::clone(&row.definition),
        standing: row.standing.clone(),
        next_check: row.next_check,
        overdue: row.overdue(),
    })
}
