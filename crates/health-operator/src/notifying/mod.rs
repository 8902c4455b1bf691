//! Hands the notification pipeline what it needs: rules from the source, checks from the board, a ledger to write in.
//!
//! Nothing here decides whom to tell, and nothing here can make a probe wait.

mod dependencies;
mod series;

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::Context;
use health_model::{CheckDefinition, CheckId, Reason, RuleDefinition, Verdict};
use health_notifications::{
    CheckSnapshot, FileLedger, LedgerStore, MemoryLedger, NotificationSettings, Notifications, Observation,
};
use health_runner::{Change, Row};
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

/// Tells the pipeline of checks, and keeps from it what says nothing new.
pub(crate) struct Teller {
    notifications: Arc<Notifications>,
    /// Checks that were well when last told of, and as declared then.
    well: HashMap<CheckId, Arc<CheckDefinition>>,
    dependencies: Dependencies,
}

impl Teller {
    /// Nothing has been told of yet.
    pub(crate) fn new(notifications: Arc<Notifications>) -> Self {
        Self { notifications, well: HashMap::new(), dependencies: Dependencies::default() }
    }

    /// Takes in that a check has changed. One that was well and still is, is not worth a copy of all that is known of
    /// it (at a thousand probes a second that would be most of the work), unless another check waits for its word.
    pub(crate) fn note(&mut self, change: &Change) {
        self.dependencies.note(&change.id, change.row.as_ref().map(|row| &*row.definition));
        let still_well = change.transitions.is_empty()
            && !self.dependencies.awaited(&change.id)
            && change.row.as_ref().is_some_and(|row| is_well(row) && self.knows(&change.id, row));
        if still_well {
            return;
        }
        match &change.row {
            Some(row) if is_well(row) => {
                self.well.insert(change.id.clone(), Arc::clone(&row.definition));
            }
            _ => {
                self.well.remove(&change.id);
            }
        }
        self.notifications.observe(Observation {
            id: change.id.clone(),
            check: change.row.as_deref().map(snapshot),
            transitions: change.transitions.clone(),
        });
    }

    /// Takes in that every check the source declares has been noted.
    pub(crate) fn synced(&self) {
        self.notifications.synced();
    }

    fn knows(&self, id: &CheckId, row: &Row) -> bool {
        self.well.get(id).is_some_and(|known| Arc::ptr_eq(known, &row.definition))
    }
}

fn is_well(row: &Row) -> bool {
    let standing = &row.standing;
    standing.verdict == Verdict::Healthy && standing.reason == Reason::Succeeded && !standing.restored
}

fn snapshot(row: &Row) -> Arc<CheckSnapshot> {
    Arc::new(CheckSnapshot {
        definition: Arc::clone(&row.definition),
        standing: row.standing.clone(),
        next_check: row.next_check,
        overdue: row.overdue(),
    })
}
