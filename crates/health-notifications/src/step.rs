//! Hold: how one entry moves when its check does. Pure; a plain function of the entry, the situation and the time.

use std::time::Duration;

use health_model::{CheckId, RuleSpec};
use jiff::{SignedDuration, Timestamp};

use crate::{
    destination::{ALERTMANAGER_REFRESH, Destination, Style},
    lane::Lane,
    ledger::{Entry, Phase},
    situation::Situation,
};

/// What of a rule decides about one entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// `waitBeforeSend`
    pub(crate) wait: Duration,
    /// `groupWait`
    pub(crate) group_wait: Duration,
    /// `sendResolved`
    pub(crate) send_resolved: bool,
    /// `repeatAfter`, or how often the destination must be refreshed.
    pub(crate) repeat: Option<Duration>,
    /// What destination it is.
    pub(crate) style: Style,
    /// A message that holds this entry is under way.
    pub(crate) in_flight: bool,
}

impl Policy {
    pub(crate) fn of(lane: &Lane, rule: &RuleSpec, check: &CheckId) -> Self {
        let style = lane.destination.as_ref().map_or(Style::Chat, Destination::style);
        let refresh = (style == Style::Refreshed).then_some(ALERTMANAGER_REFRESH);
        let in_flight = lane.in_flight.as_ref();
        Self {
            wait: rule.wait_before_send,
            group_wait: rule.group_wait,
            send_resolved: rule.send_resolved,
            repeat: rule.repeat_after.into_iter().chain(refresh).min(),
            style,
            in_flight: in_flight.is_some_and(|message| message.members.binary_search(check).is_ok()),
        }
    }
}

/// Whether an entry is still needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Kept,
    Forgotten,
}

/// A moment later by a span, never beyond the end of time.
pub(crate) fn later(moment: Timestamp, span: Duration) -> Timestamp {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    moment.checked_add(span).unwrap_or(Timestamp::MAX)
}

impl Entry {
    /// Takes in how the check stands now.
    pub(crate) fn step(&mut self, situation: Situation, policy: &Policy, now: Timestamp) -> Fate {
        match situation {
            Situation::Unknown => Fate::Kept,
            Situation::Unwatched => self.unwatch(policy, now),
            Situation::Failing { since, mute } => {
                self.fails(since, mute.is_some(), policy, now);
                Fate::Kept
            }
            Situation::Healthy { at } => self.recovers(at, policy, now),
        }
    }

    fn unwatch(&mut self, policy: &Policy, now: Timestamp) -> Fate {
        let opened = (self.phase == Phase::Told && !self.silent) || self.perhaps_opened(policy);
        if !opened && !policy.in_flight {
            return Fate::Forgotten;
        }
        if !self.unwatched {
            self.unwatched = true;
            self.owed_at = Some(now);
            self.attempt = None;
        }
        Fate::Kept
    }

    /// Whether a message that opens it may have been accepted, and closing it is right in either case.
    pub(crate) fn perhaps_opened(&self, policy: &Policy) -> bool {
        self.phase == Phase::Owed && self.opening && policy.style != Style::Chat
    }

    fn fails(&mut self, since: Timestamp, muted: bool, policy: &Policy, now: Timestamp) {
        let was_unwatched = self.watched_again();
        if self.closing && (self.ended.is_some() || was_unwatched) {
            self.reopened = Some(since);
        }
        if self.ended.take().is_some() {
            self.attempt = None;
            if self.phase == Phase::Owed {
                self.since = since;
            } else {
                self.owed_at = None;
            }
        }
        if let Some(reopened) = self.reopens_at(policy).filter(|at| !muted && *at <= now).and(self.reopened) {
            // Readers may believe that it is over: what fails now is told as another outage. If they do not, the incident
            // that it was part of is still open.
            *self = Self { incident: self.incident.clone(), opening: true, ..self.afresh(reopened) };
        }
        match self.phase {
            Phase::Holding if !muted && later(self.since, policy.wait) <= now => {
                self.phase = Phase::Owed;
                self.owed_at = Some(now);
            }
            Phase::Owed if muted && self.still_grouping(policy, now) => {
                self.phase = Phase::Holding;
                self.owed_at = None;
            }
            Phase::Holding | Phase::Owed | Phase::Told | Phase::Past => {}
        }
    }

    /// When an outage that began while its forerunner was being closed has outlasted its hold.
    pub(crate) fn reopens_at(&self, policy: &Policy) -> Option<Timestamp> {
        let reopened = self.reopened.filter(|_| self.closing && self.ended.is_none() && !policy.in_flight)?;
        Some(later(reopened, policy.wait))
    }

    /// Only what has not been offered to a provider yet can be held back again.
    fn still_grouping(&self, policy: &Policy, now: Timestamp) -> bool {
        self.attempt.is_none() && !self.opening && self.owed_at.is_some_and(|owed| now < later(owed, policy.group_wait))
    }

    /// Takes in that it is watched; says whether that is news.
    fn watched_again(&mut self) -> bool {
        let was_unwatched = std::mem::take(&mut self.unwatched);
        if was_unwatched {
            self.attempt = None;
        }
        was_unwatched
    }

    fn recovers(&mut self, at: Timestamp, policy: &Policy, now: Timestamp) -> Fate {
        self.watched_again();
        if self.flapping || self.phase == Phase::Past || self.ended.is_some() {
            return Fate::Kept;
        }
        let nothing_to_say = match self.phase {
            Phase::Holding => true,
            Phase::Told => !policy.in_flight && (self.silent || !policy.send_resolved),
            Phase::Owed | Phase::Past => false,
        };
        if nothing_to_say {
            return Fate::Forgotten;
        }
        self.ended = Some(at.max(self.since));
        self.attempt = None;
        if self.phase == Phase::Told {
            self.owed_at = Some(now);
        }
        Fate::Kept
    }
}
