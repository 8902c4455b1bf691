//! One check as the board shows it: what is declared, how it stands, what was counted.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use health_model::{CheckDefinition, CheckId, CheckView, Outcome, Probe, Reason, ReasonClass, Standing, overdue_after};
use jiff::Timestamp;

use crate::awake::AwakeClock;

/// What was counted of a check since it was registered; it goes with the check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Probes that ended, reports of a heartbeat included.
    pub probes: u64,
    /// How often each status code came.
    pub status_codes: BTreeMap<u16, u64>,
    /// How often each reason was given by outcomes that are neither good nor merely postponed.
    pub failures: BTreeMap<Reason, u64>,
    /// Runs that were due while the one before still went on, as of the last outcome.
    pub skipped: u64,
}

impl Tally {
    pub(crate) fn count(&mut self, outcome: &Outcome) {
        self.probes += 1;
        if let Some(code) = outcome.status_code {
            *self.status_codes.entry(code).or_default() += 1;
        }
        match outcome.reason.class() {
            ReasonClass::Judged | ReasonClass::NotCarriedOut | ReasonClass::Ours => {
                *self.failures.entry(outcome.reason).or_default() += 1;
            }
            ReasonClass::Good | ReasonClass::NotAsked => {}
        }
    }
}

/// A check on the board. Rows are replaced, never changed: who holds one holds a moment.
#[derive(Clone, Debug)]
pub struct Row {
    /// What its source declares.
    pub definition: Arc<CheckDefinition>,
    /// How it stands.
    pub standing: Standing,
    /// When it will be asked next; `None` while suspended, refused or passive.
    pub next_check: Option<Timestamp>,
    /// What was counted.
    pub tally: Tally,
    /// The board's revision that wrote this row.
    pub revision: u64,
    /// Awake time from which silence counts: the last probe's end, the registration, or the end of a backoff.
    pub(crate) silent_since: Duration,
    pub(crate) clock: Arc<AwakeClock>,
}

impl Row {
    /// Whose row it is.
    pub fn id(&self) -> &CheckId {
        &self.definition.meta.id
    }

    /// Whether no probe has ended for so long that what is known may no longer be true. Time in which our process
    /// was paused does not count, nor is a check overdue that is suspended, refused or told to back off.
    pub fn overdue(&self) -> bool {
        self.limit().is_some_and(|limit| self.clock.now().saturating_sub(self.silent_since) > limit)
    }

    /// Whether what is shown may no longer be true: by its standing, or because it is overdue.
    pub fn stale(&self) -> bool {
        self.standing.stale() || self.overdue()
    }

    /// Everything known, in the shape that is published.
    pub fn view(&self) -> CheckView {
        CheckView::new(
            &self.definition.meta,
            self.definition.spec.as_deref(),
            &self.standing,
            self.next_check,
            self.overdue(),
        )
    }

    fn limit(&self) -> Option<Duration> {
        let spec = self.definition.spec.as_ref().ok().filter(|spec| !spec.suspend)?;
        Some(match &spec.probe {
            Probe::Heartbeat(heartbeat) => overdue_after(spec.interval, heartbeat.grace),
            _ => overdue_after(spec.interval, spec.timeout),
        })
    }
}
