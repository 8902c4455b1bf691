//! The state machine: how outcomes, one after the other, turn a check.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{CheckSpec, Outcome, Reason, ReasonClass, State};

/// What is believed of a check, as confirmed by its thresholds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Nothing confirmed yet; shown as not healthy.
    #[default]
    Unknown,
    /// Confirmed healthy.
    Healthy,
    /// Confirmed failing.
    Failing,
}

/// A confirmed turn of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// What was believed before.
    pub from: Verdict,
    /// What is believed now; never [`Verdict::Unknown`].
    pub to: Verdict,
    /// When the outcome that turned it was observed.
    pub at: Timestamp,
    /// Why.
    pub reason: Reason,
    /// The outcome's words.
    pub response: String,
}

/// How a check stands: the last probe's word, what is believed, and since when.
///
/// `state`, `reason` and `response` tell the last probe; the verdict turns only when a threshold is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// What is believed.
    pub verdict: Verdict,
    /// The last word's state.
    pub state: State,
    /// The last word's reason.
    pub reason: Reason,
    /// The last word.
    pub response: String,
    /// When a probe last ended, whatever came of it.
    pub last_checked: Option<Timestamp>,
    /// When the verdict last turned.
    pub last_transition: Option<Timestamp>,
    /// Since when it fails: the first bad outcome of the streak, kept until it is healthy again.
    pub failing_since: Option<Timestamp>,
    /// Bad outcomes in a row.
    pub consecutive_failures: u32,
    /// Good outcomes in a row.
    pub consecutive_successes: u32,
    /// 429 answers in a row.
    pub backoff_attempts: u32,
    /// Until when a target that answered 429 is left alone; kept over restarts, so that one is no way around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_until: Option<Timestamp>,
    /// Whether this was taken over from before a restart and not probed since.
    pub restored: bool,
    /// The generation of the spec that the last outcome judged.
    pub observed_generation: i64,
    /// The last outcome, with its phases, address, certificate and evidence. Not kept over restarts.
    #[serde(skip)]
    pub last_outcome: Option<Arc<Outcome>>,
}

impl Default for Standing {
    fn default() -> Self {
        Self::pending()
    }
}

impl Standing {
    /// A check that has never run.
    pub fn pending() -> Self {
        Self {
            verdict: Verdict::Unknown,
            state: State::Active,
            reason: Reason::Pending,
            response: Reason::Pending.as_str().to_owned(),
            last_checked: None,
            last_transition: None,
            failing_since: None,
            consecutive_failures: 0,
            consecutive_successes: 0,
            backoff_attempts: 0,
            backoff_until: None,
            restored: false,
            observed_generation: 0,
            last_outcome: None,
        }
    }

    /// `healthy` as published: never known is false.
    pub const fn healthy(&self) -> bool {
        matches!(self.verdict, Verdict::Healthy)
    }

    /// Whether the last word says nothing about the target as it is now: restored from before a restart, or a fault of
    /// our own. (A check that has not been probed for long is stale too; that takes a clock, see
    /// [`crate::overdue_after`].)
    pub const fn stale(&self) -> bool {
        self.restored || matches!(self.reason.class(), ReasonClass::Ours)
    }

    /// Whether the last outcomes contradict the verdict without having reached a threshold yet.
    pub const fn unconfirmed(&self) -> bool {
        match self.verdict {
            Verdict::Unknown => self.consecutive_failures > 0 || self.consecutive_successes > 0,
            Verdict::Healthy => self.consecutive_failures > 0,
            Verdict::Failing => self.consecutive_successes > 0,
        }
    }

    /// Takes in one outcome of a probe of `spec` that ended at `now`; says whether the verdict turned.
    pub fn observe(
        &mut self,
        spec: &CheckSpec,
        generation: i64,
        outcome: Arc<Outcome>,
        now: Timestamp,
    ) -> Option<Transition> {
        self.last_checked = Some(now);
        self.restored = false;
        self.backoff_until = None;
        self.observed_generation = generation;
        let transition = self.take_word(spec.failure_threshold, spec.success_threshold, &outcome, now);
        self.last_outcome = Some(outcome);
        transition
    }

    /// Takes in that the spec itself cannot be probed (`InvalidConfiguration`, `CredentialsUnavailable`).
    pub fn refuse(&mut self, generation: i64, outcome: &Outcome, now: Timestamp) -> Option<Transition> {
        self.observed_generation = generation;
        // That a spec is wrong is known now; only missing credentials leave open what was restored.
        self.restored &= outcome.reason.class() == ReasonClass::Ours;
        self.take_word(1, 1, outcome, now)
    }

    fn take_word(
        &mut self,
        failure_threshold: u32,
        success_threshold: u32,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Option<Transition> {
        self.reason = outcome.reason;
        self.state = outcome.reason.state();
        self.response.clone_from(&outcome.response);
        match outcome.reason.class() {
            ReasonClass::Good => self.count_success(success_threshold, outcome, now),
            ReasonClass::Judged | ReasonClass::NotCarriedOut => self.count_failure(failure_threshold, outcome, now),
            ReasonClass::Ours => None,
            ReasonClass::NotAsked => {
                if outcome.reason == Reason::RateLimited {
                    self.backoff_attempts = self.backoff_attempts.saturating_add(1);
                }
                None
            }
        }
    }

    fn count_success(&mut self, threshold: u32, outcome: &Outcome, now: Timestamp) -> Option<Transition> {
        self.backoff_attempts = 0;
        self.consecutive_failures = 0;
        self.consecutive_successes = self.consecutive_successes.saturating_add(1);
        if self.verdict == Verdict::Healthy {
            self.failing_since = None;
            return None;
        }
        if self.consecutive_successes < threshold {
            return None;
        }
        self.failing_since = None;
        Some(self.turn(Verdict::Healthy, outcome, now))
    }

    fn count_failure(&mut self, threshold: u32, outcome: &Outcome, now: Timestamp) -> Option<Transition> {
        self.backoff_attempts = 0;
        self.consecutive_successes = 0;
        self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        self.failing_since.get_or_insert(now);
        if self.verdict == Verdict::Failing || self.consecutive_failures < threshold {
            return None;
        }
        Some(self.turn(Verdict::Failing, outcome, now))
    }

    fn turn(&mut self, to: Verdict, outcome: &Outcome, now: Timestamp) -> Transition {
        let from = std::mem::replace(&mut self.verdict, to);
        self.last_transition = Some(now);
        Transition { from, to, at: now, reason: outcome.reason, response: outcome.response.clone() }
    }

    /// The spec was edited: streaks start over, the verdict and the last word stay until the next probe.
    pub fn edited(&mut self) {
        self.consecutive_failures = 0;
        self.consecutive_successes = 0;
        self.backoff_attempts = 0;
        self.backoff_until = None;
    }

    /// The check is suspended: it keeps its last word; one that never ran says `Suspended`.
    pub fn suspend(&mut self) {
        self.reason = Reason::Suspended;
        self.state = State::Active;
        if self.last_checked.is_none() {
            Reason::Suspended.as_str().clone_into(&mut self.response);
        }
    }

    /// The check is no longer suspended: one that never ran is pending again, any other waits for its next probe.
    pub fn resume(&mut self) {
        if self.reason == Reason::Suspended && self.last_checked.is_none() {
            *self = Self { observed_generation: self.observed_generation, ..Self::pending() };
        }
    }

    /// Marks a standing that was kept over a restart: it says what was last known, and is stale until probed.
    #[must_use]
    pub fn restore(mut self) -> Self {
        self.restored = self.last_checked.is_some() || self.last_transition.is_some();
        self
    }
}
