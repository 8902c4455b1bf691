//! Retry and record: what a provider's answer makes of the message that was under way, and of its members.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;

use super::{CLOSING_TIME, Machine};
use crate::{
    channel::Verdict,
    lane::{InFlight, LaneId},
    ledger::Phase,
    step::later,
};

/// Delay after a refusal: somebody has to mend the rule first.
const AFTER_REFUSAL: Duration = Duration::from_secs(30);

impl Machine {
    pub(super) fn answered(&mut self, id: &LaneId, message: &str, verdict: Verdict, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(id) else { return };
        let Some(in_flight) = lane.in_flight.take_if(|in_flight| &*in_flight.id == message) else { return };
        let kind = id.destination.channel;
        match verdict {
            Verdict::Accepted => {
                self.counters.accepted(kind, in_flight.members.len());
                self.accepted(id, &in_flight, now);
            }
            Verdict::Retry { why, after, ambiguous } => {
                self.counters.retried(kind);
                let failures = lane.fail(why, false, now);
                let asked = after.map(|after| after.min(self.retrying.longest_asked));
                let delay = asked.unwrap_or_else(|| self.retrying.delay(failures, message));
                lane.retry_at = Some(later(now, delay));
                if !ambiguous {
                    self.unfreeze(id, &in_flight);
                }
            }
            Verdict::Rejected { why } => {
                self.counters.rejected(kind);
                let failures = lane.fail(why, true, now);
                let hopeless = lane.trouble.as_ref().is_some_and(|trouble| later(trouble.since, CLOSING_TIME) <= now);
                let delay = self.retrying.delay(failures, message).max(AFTER_REFUSAL.min(self.retrying.longest));
                lane.retry_at = Some(later(now, delay));
                self.unfreeze(id, &in_flight);
                if hopeless && !in_flight.telling.is_firing() {
                    self.give_up(id, &in_flight);
                }
            }
        }
    }

    /// The provider does not have it: the next attempt may be put together anew.
    fn unfreeze(&mut self, id: &LaneId, in_flight: &InFlight) {
        let Some(lane) = self.lanes.get_mut(id).filter(|_| !in_flight.again) else { return };
        for check in &in_flight.members {
            let Some(entry) = lane.entries.get_mut(check) else { continue };
            entry.attempt = None;
            // Earlier messages of unknown fate may have opened or closed it all the same.
            if in_flight.perhaps_opened.binary_search(check).is_err() {
                entry.opening = false;
            }
            if in_flight.perhaps_closed.binary_search(check).is_err() {
                entry.closing = false;
                entry.reopened = None;
            }
            let nobody_has_it = entry.phase == Phase::Owed && !entry.opening;
            if nobody_has_it && entry.incident.as_ref() == Some(&in_flight.incident) {
                entry.incident = None;
            }
            self.changes.keep(id, check, Some(entry.clone()));
        }
    }

    fn give_up(&mut self, id: &LaneId, in_flight: &InFlight) {
        let Some(lane) = self.lanes.get_mut(id) else { return };
        for check in &in_flight.members {
            if lane.entries.get(check).is_some_and(|entry| entry.ended.is_some() || entry.unwatched) {
                lane.entries.remove(check);
                self.changes.keep(id, check, None);
                self.counters.abandoned += 1;
            }
        }
        tracing::warn!(rule = %id.rule, destination = %id.destination, "gave up a message that closes: refused for a day");
    }

    fn accepted(&mut self, id: &LaneId, in_flight: &InFlight, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(id) else { return };
        lane.trouble = None;
        lane.retry_at = None;
        let wait = lane.destination.as_ref().map_or(Duration::ZERO, |destination| destination.spec().wait_before_send);
        let told = if in_flight.telling.is_firing() { &mut lane.last_told } else { &mut lane.last_resolved };
        *told = Some(now);
        for check in &in_flight.members {
            let Some(entry) = lane.entries.remove(check) else { continue };
            let after = entry.after_accepted(in_flight.telling, wait, now);
            self.changes.keep(id, check, after.clone());
            if let Some(entry) = after {
                lane.entries.insert(check.clone(), entry);
            }
        }
        // A closed outage may have been followed by another one while its message was under way.
        let checks = in_flight.members.clone();
        let mut dirty = BTreeSet::new();
        for check in checks {
            self.look_at(&check, now, &mut dirty);
        }
    }
}
