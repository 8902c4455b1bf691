//! One message to one destination, as decided: pure data, not yet rendered.

use std::{sync::Arc, time::Duration};

use health_model::{CheckId, RuleId, Severity};
use jiff::Timestamp;

use crate::{debt::Telling, input::CheckSnapshot, ledger::Entry};

/// A message, before it has a form.
#[derive(Clone, Debug)]
pub struct Message {
    /// The deduplication key of this very message: the same for every attempt to deliver it.
    pub id: Arc<str>,
    /// Whose rule.
    pub rule: RuleId,
    /// What it says.
    pub telling: Telling,
    /// When it was put together: `%triggerTime%`.
    pub now: Timestamp,
    /// Of which checks, at least one, ordered by identity.
    pub members: Vec<Member>,
    /// The incident's key, where the destination has incidents.
    pub incident: Arc<str>,
    /// Whether it is a test that somebody asked for.
    pub test: bool,
}

impl Message {
    /// The same message about one of its checks alone.
    pub(crate) fn about(&self, member: &Member) -> Self {
        let Self { id, rule, telling, now, members: _, incident, test } = self;
        Self {
            id: Arc::clone(id),
            rule: rule.clone(),
            telling: *telling,
            now: *now,
            members: vec![member.clone()],
            incident: Arc::clone(incident),
            test: *test,
        }
    }
}

/// One check in a message.
#[derive(Clone, Debug)]
pub struct Member {
    /// Which.
    pub check: CheckId,
    /// Since when it fails.
    pub since: Timestamp,
    /// When it was healthy again.
    pub ended: Option<Timestamp>,
    /// Turns and the span in which they were counted, while it is flapping.
    pub turns: Option<(usize, Duration)>,
    /// Why it failed, as last known.
    pub reason: health_model::Reason,
    /// How bad it is, as it was when the outage began.
    pub severity: Severity,
    /// What it said.
    pub response: String,
    /// What is asked.
    pub target: String,
    /// Everything known of it; absent when it is gone, or not known yet after a start.
    pub snapshot: Option<Arc<CheckSnapshot>>,
}

impl Member {
    /// A check as its entry and, where it is known, the check itself show it. `turns`: how many there were in which span.
    pub(crate) fn of(
        check: &CheckId,
        entry: &Entry,
        snapshot: Option<Arc<CheckSnapshot>>,
        turns: (usize, Duration),
    ) -> Self {
        Self {
            check: check.clone(),
            since: entry.since,
            ended: entry.ended,
            turns: entry.flapping.then_some(turns),
            reason: entry.reason,
            severity: entry.severity,
            response: entry.response.clone(),
            target: entry.target.clone(),
            snapshot,
        }
    }
}
