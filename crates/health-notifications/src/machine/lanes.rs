//! Group and send: looks at one lane, chooses what goes out next, and says when to look again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use health_model::{CheckId, RuleSpec};
use jiff::Timestamp;

use super::{CLOSING_TIME, Machine};
use crate::{
    debt::Debt,
    destination::{Destination, Style},
    lane::{Batch, InFlight, LaneId},
    ledger::Phase,
    machine::Delivery,
    message::{Member, Message},
    situation::{Mute, Situation, in_quiet_hours, situation},
    step::{Policy, later},
};

/// How often what is held back is looked at again: windows open and close on whole minutes, mostly.
const MUTED_LOOK: Duration = Duration::from_secs(5);

/// What a look at a lane found.
#[derive(Debug, Default)]
struct Look {
    debts: BTreeMap<CheckId, Debt>,
    muted: usize,
    awaiting: usize,
    unknown: usize,
    wake: Option<Timestamp>,
}

impl Look {
    fn wakes_at(&mut self, moment: Timestamp) {
        self.wake = Some(self.wake.map_or(moment, |wake| wake.min(moment)));
    }
}

impl Machine {
    /// Looks at a lane: moves what only waited for the time, and sends the next message when it is free to.
    pub(super) fn advance(&mut self, id: &LaneId, now: Timestamp) -> Option<Delivery> {
        self.step_all(id, now);
        let delivery = self.next_delivery(id, now);
        let finished = self
            .lanes
            .get(id)
            .is_some_and(|lane| lane.retired.is_some() && lane.entries.is_empty() && lane.in_flight.is_none());
        if finished {
            self.lanes.remove(id);
        }
        delivery
    }

    fn step_all(&mut self, id: &LaneId, now: Timestamp) {
        let Some(lane) = self.lanes.get(id) else { return };
        let checks: Vec<CheckId> = lane.entries.keys().cloned().collect();
        let retired = lane.retired;
        let Some(spec) = lane.destination.as_ref().map(|destination| Arc::clone(destination.spec())) else {
            if retired.is_some() {
                self.abandon(id, "its rule is gone and with it the way to close it");
            }
            return;
        };
        if retired.is_some_and(|since| later(since, CLOSING_TIME) <= now) {
            self.abandon(id, "it could not be closed in time");
            return;
        }
        for check in checks {
            let situation = self.situation_in(id, &spec, &check, now);
            self.step(id, &check, &spec, (situation, now));
        }
    }

    fn situation_in(&self, id: &LaneId, spec: &RuleSpec, check: &CheckId, now: Timestamp) -> Situation {
        let retired = self.lanes.get(id).is_some_and(|lane| lane.retired.is_some());
        if retired { Situation::Unwatched } else { situation(&self.checks, spec, check, self.synced, now) }
    }

    /// Gives up what can no longer be closed.
    fn abandon(&mut self, id: &LaneId, why: &str) {
        let Some(lane) = self.lanes.get_mut(id) else { return };
        if lane.in_flight.is_some() {
            return;
        }
        for (check, entry) in std::mem::take(&mut lane.entries) {
            if entry.phase == Phase::Told {
                tracing::warn!(rule = %id.rule, destination = %id.destination, %check, "an alert stays open: {why}");
                self.counters.abandoned += 1;
            }
            self.changes.keep(id, &check, None);
        }
    }

    fn next_delivery(&mut self, id: &LaneId, now: Timestamp) -> Option<Delivery> {
        let destination = self.lanes.get(id)?.destination.clone()?;
        let spec = Arc::clone(destination.spec());
        let look = self.debts(id, &spec, &destination, now);
        let free_at = self.free_at(id, &destination);
        let lane = self.lanes.get_mut(id)?;
        (lane.muted, lane.awaiting, lane.unknown) = (look.muted, look.awaiting, look.unknown);
        lane.owing = look.debts.values().filter(|debt| debt.due <= now).count();
        lane.oldest = look.debts.values().map(|debt| debt.due).min().filter(|due| *due <= now);
        let first_due = look.debts.values().map(|debt| debt.due).min();
        let patience = (look.muted > 0).then(|| later(now, MUTED_LOOK));
        let sending = first_due.map(|due| due.max(free_at.unwrap_or(Timestamp::MIN)));
        let sending = sending.filter(|_| lane.in_flight.is_none());
        let closing = lane.retired.map(|since| later(since, CLOSING_TIME));
        let without_sending = [look.wake, patience, closing].into_iter().flatten().min();
        lane.wake = sending.into_iter().chain(without_sending).min();
        if lane.in_flight.is_some() || free_at.is_some_and(|free| now < free) {
            return None;
        }
        let batch = lane.choose(id, &look.debts, now)?;
        lane.wake = without_sending;
        Some(self.dispatch(id, destination, batch, now))
    }

    fn free_at(&self, id: &LaneId, destination: &Destination) -> Option<Timestamp> {
        let slot = self.next_slot.get(&destination.address_hash()).copied();
        let retry = self.lanes.get(id).and_then(|lane| lane.retry_at);
        slot.max(retry)
    }

    fn debts(&self, id: &LaneId, spec: &RuleSpec, destination: &Destination, now: Timestamp) -> Look {
        let mut look = Look::default();
        let Some(lane) = self.lanes.get(id) else { return look };
        let quiet = self.quiet(spec, destination, now).filter(|_| lane.retired.is_none());
        let open = if destination.style() == Style::Incident { lane.open_incidents() } else { Default::default() };
        for (check, entry) in &lane.entries {
            let situation = self.situation_in(id, spec, check, now);
            let policy = Policy::of(lane, spec, check);
            let muted = matches!(situation, Situation::Failing { mute: Some(_), .. }) || quiet.is_some();
            look.muted += usize::from(muted);
            let awaiting = matches!(situation, Situation::Failing { mute: Some(Mute::DependencyNotAsked), .. });
            look.awaiting += usize::from(awaiting);
            look.unknown += usize::from(situation == Situation::Unknown);
            let failing = matches!(situation, Situation::Failing { mute: None, .. });
            if entry.phase == Phase::Holding && failing && !muted {
                look.wakes_at(later(entry.since, policy.wait));
            }
            if let Some(reopens) = entry.reopens_at(&policy).filter(|_| failing && !muted) {
                look.wakes_at(reopens);
            }
            if entry.flapping {
                look.wakes_at(later(now, self.flapping.window / 10));
            }
            let Some(debt) = entry.debt(situation, &policy, quiet) else { continue };
            let shared_and_open = entry.incident.as_ref().is_some_and(|incident| open.contains(incident));
            if !debt.telling.is_firing() && shared_and_open {
                continue;
            }
            look.debts.insert(check.clone(), debt);
        }
        look
    }

    /// Why a destination is told nothing at all for the time being.
    fn quiet(&self, spec: &RuleSpec, destination: &Destination, now: Timestamp) -> Option<Mute> {
        if spec.suspend {
            return Some(Mute::RuleSuspended);
        }
        let noisy = destination.style() == Style::Chat;
        (noisy && in_quiet_hours(&spec.quiet_hours, now)).then_some(Mute::QuietHours)
    }

    fn dispatch(&mut self, id: &LaneId, destination: Destination, batch: Batch, now: Timestamp) -> Delivery {
        let Batch { id: message, telling, incident, again, members } = batch;
        let storm = destination.style() == Style::Incident && members.len() > 1;
        let mut told = Vec::with_capacity(members.len());
        let (mut perhaps_opened, mut perhaps_closed) = (Vec::new(), Vec::new());
        for check in &members {
            let turns = self.turns.recent(check, now);
            let snapshot = self.checks.get(check).map(Arc::clone);
            let Some(entry) = self.lanes.get_mut(id).and_then(|lane| lane.entries.get_mut(check)) else { continue };
            entry.attempt = Some(Arc::clone(&message));
            perhaps_opened.extend(entry.opening.then(|| check.clone()));
            perhaps_closed.extend(entry.closing.then(|| check.clone()));
            entry.opening |= telling.is_firing() && entry.phase == Phase::Owed;
            entry.closing |= !telling.is_firing();
            if storm && telling.is_firing() {
                entry.incident = Some(Arc::clone(&incident));
            }
            self.changes.keep(id, check, Some(entry.clone()));
            told.push(Member::of(check, entry, snapshot, (turns, self.flapping.window)));
        }
        if self.rate_limited {
            self.next_slot.retain(|_, slot| *slot > now);
            self.next_slot.insert(destination.address_hash(), later(now, destination.spacing()));
        }
        if let Some(lane) = self.lanes.get_mut(id) {
            lane.in_flight = Some(InFlight {
                id: Arc::clone(&message),
                telling,
                incident: Arc::clone(&incident),
                again,
                members: told.iter().map(|member| member.check.clone()).collect(),
                perhaps_opened,
                perhaps_closed,
            });
        }
        let message =
            Message { id: message, rule: id.rule.clone(), telling, now, members: told, incident, test: false };
        Delivery { lane: id.clone(), destination, message }
    }
}
