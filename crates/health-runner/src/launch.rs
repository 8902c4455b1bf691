//! How probes start, grow old, and end.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use health_model::{CheckSpec, Outcome, ProbeRequest, Reason, first_delay};
use tokio::time::Instant;

use crate::{
    places::{Place, Waiter},
    registry::{Activity, Flight, Slot},
    running::{Message, Running},
    timetable::after,
};

/// Starts later than this are counted as late.
const LATE: Duration = Duration::from_millis(100);
/// A probe that has waited this long for an answer hangs.
const HUNG_AFTER: Duration = Duration::from_secs(1);
/// When places are short, a probe counts among the hung ones from this age on.
const HUNG_WHEN_PRESSED: Duration = Duration::from_millis(100);
/// How long past its deadline a prober may take to say so before it is cut.
const OVERRUN: Duration = Duration::from_millis(500);

/// How a probe's task ended.
#[derive(Debug)]
pub(crate) struct Landed {
    slot: Slot,
    number: u64,
    /// `None`: the prober panicked. Boxed, so that messages are small.
    outcome: Option<Box<Outcome>>,
}

/// Flights in the order in which they started, to find those that hang, and the cut-off of those.
#[derive(Debug, Default)]
pub(crate) struct Ageing {
    young: VecDeque<(Instant, Slot, u64)>,
    old: BinaryHeap<Reverse<(Instant, Slot, u64)>>,
    /// A run has had to wait since the last look.
    pressed: bool,
    /// After a pause of ours the probers get the time to say so themselves.
    respite: Option<Instant>,
}

impl Ageing {
    /// When to look again.
    pub(crate) fn next(&self) -> Option<Instant> {
        let hangs = self.young.front().map(|(started, ..)| *started + self.patience());
        let cut = self.old.peek().map(|Reverse((cut, ..))| self.respite.map_or(*cut, |respite| respite.max(*cut)));
        hangs.into_iter().chain(cut).min()
    }

    fn patience(&self) -> Duration {
        if self.pressed { HUNG_WHEN_PRESSED } else { HUNG_AFTER }
    }
}

impl Running {
    /// Starts (or queues, or skips) every run that is due.
    pub(crate) fn start_due(&mut self, now: Instant) {
        while let Some((due, slot, number)) = self.timetable.pop_due(now) {
            let Some(check) = self.registry.get_mut(slot) else { continue };
            if check.due.is_none_or(|(_, held)| held != number) {
                continue;
            }
            let Some(spec) = check.active_spec().cloned() else { continue };
            if check.is_heartbeat() {
                self.miss_heartbeat(slot, &spec, now);
            } else if let Some(respread) = self.respread(slot, &spec, due, now) {
                self.set_due(slot, respread);
            } else {
                self.run_due(slot, spec, due, now);
            }
        }
    }

    /// After a pause everything is due at once; a herd is no way to come back.
    fn respread(&mut self, slot: Slot, spec: &CheckSpec, due: Instant, now: Instant) -> Option<Instant> {
        let pause = self.resumed_after?;
        let check = self.registry.get_mut(slot)?;
        if now.saturating_duration_since(due) < LATE || std::mem::replace(&mut check.respread, true) {
            return None;
        }
        Some(now + first_delay(&check.definition.meta.id, spec.interval.min(pause)))
    }

    fn run_due(&mut self, slot: Slot, spec: Arc<CheckSpec>, due: Instant, now: Instant) {
        let number = self.number();
        let Some(check) = self.registry.get_mut(slot) else { return };
        let next = self.timetable.next_in_phase(&check.definition.meta.id, spec.interval, now);
        if matches!(check.activity, Activity::Idle) {
            let waiter = Waiter { slot, number };
            match self.places.seat(check.host, check.suspect, waiter) {
                Some(place) => self.launch(slot, spec, due, place),
                None => {
                    check.activity = Activity::Waiting { due, number };
                    self.ageing.pressed = true;
                }
            }
            self.set_due(slot, next);
        } else {
            check.tally.skipped += 1;
            self.pulse.skipped += 1;
            self.set_due(slot, next);
        }
    }

    /// Starts runs that waited, as far as there are places now.
    pub(crate) fn start_waiting(&mut self) {
        while let Some((waiter, place)) = self.places.next() {
            let Some(check) = self.registry.get(waiter.slot) else { continue };
            let due = match check.activity {
                Activity::Waiting { due, number } if number == waiter.number => due,
                _ => {
                    self.places.leave(check.host, place);
                    continue;
                }
            };
            match check.active_spec().cloned() {
                Some(spec) => self.launch(waiter.slot, spec, due, place),
                None => self.places.leave(check.host, place),
            }
        }
    }

    fn launch(&mut self, slot: Slot, spec: Arc<CheckSpec>, due: Instant, place: Place) {
        let number = self.number();
        let Some(check) = self.registry.get_mut(slot) else { return };
        let started = Instant::now();
        let deadline = after(started, spec.timeout);
        let request = ProbeRequest { id: check.definition.meta.id.clone(), spec, deadline: deadline.into_std() };
        let (prober, messages) = (Arc::clone(&self.prober), self.messages.clone());
        let task = self.tasks.spawn(async move {
            // The call itself may panic, too, so it happens inside.
            let outcome =
                AssertUnwindSafe(async move { prober.probe(request).await }).catch_unwind().await.ok().map(Box::new);
            let _engine_gone = messages.send(Message::Landed(Landed { slot, number, outcome })).await;
        });
        let pauses_before = self.pauses.mark();
        check.activity = Activity::Flying(Flight { number, started, deadline, place, pauses_before, task });
        check.respread = false;
        self.rest = true;
        self.ageing.young.push_back((started, slot, number));
        let lag = started.saturating_duration_since(due);
        self.pulse.lag.record(lag);
        self.pulse.late += u64::from(lag > LATE);
        self.pulse.started += 1;
    }

    /// Moves what hangs to its own places, and cuts what ignores its deadline.
    pub(crate) fn age_flights(&mut self, now: Instant) {
        let patience = self.ageing.patience();
        self.ageing.pressed = false;
        while let Some((started, slot, number)) = self.ageing.young.front().copied() {
            let Some(check) = self.registry.get_mut(slot) else {
                self.ageing.young.pop_front();
                continue;
            };
            let host = check.host;
            let Activity::Flying(flight) = &mut check.activity else {
                self.ageing.young.pop_front();
                continue;
            };
            if flight.number == number {
                if started + patience > now {
                    break;
                }
                if flight.place == Place::Quick && self.places.slow(host) {
                    flight.place = Place::Hung;
                }
                self.ageing.old.push(Reverse((flight.deadline + OVERRUN, slot, number)));
            }
            self.ageing.young.pop_front();
        }
        self.cut_overruns(now);
    }

    fn cut_overruns(&mut self, now: Instant) {
        if self.resumed_after.is_some() {
            self.ageing.respite = Some(now + OVERRUN);
        }
        if self.ageing.respite.is_some_and(|respite| now < respite) {
            return;
        }
        self.ageing.respite = None;
        while let Some(Reverse((cut, slot, number))) = self.ageing.old.peek().copied() {
            let flight = self.registry.get(slot).and_then(|check| check.flight(number));
            if flight.is_some() && cut > now {
                break;
            }
            let overrun = flight.inspect(|flight| flight.task.abort()).is_some();
            self.ageing.old.pop();
            if overrun {
                self.pulse.overruns += 1;
                self.log_fault(slot, "a prober ignored its deadline and was cut");
                let words = "the probe ignored its deadline and was cut: this is a fault of ours, not the target's";
                self.end_flight(slot, number, Outcome::new(Reason::ProberFault, words), now);
            }
        }
    }

    /// Takes in how a probe ended.
    pub(crate) fn land(&mut self, landed: Landed) {
        let Landed { slot, number, outcome } = landed;
        if self.registry.get(slot).is_none_or(|check| check.flight(number).is_none()) {
            return;
        }
        let outcome = outcome.map(|outcome| *outcome).unwrap_or_else(|| {
            self.pulse.panics += 1;
            self.log_fault(slot, "a prober broke down");
            Outcome::new(Reason::ProberFault, "the probe broke down: this is a fault of ours, not the target's")
        });
        self.end_flight(slot, number, outcome, Instant::now());
    }

    fn end_flight(&mut self, slot: Slot, number: u64, outcome: Outcome, now: Instant) {
        let Some(check) = self.registry.get_mut(slot) else { return };
        if check.flight(number).is_none() {
            return;
        }
        let Activity::Flying(flight) = std::mem::take(&mut check.activity) else { return };
        self.rest = true;
        check.suspect = now.saturating_duration_since(flight.started) >= HUNG_AFTER;
        self.places.leave(check.host, flight.place);
        self.weigh(slot, &flight, outcome, now);
    }

    /// Says once what is wrong with a prober, until the check has been asked without a fault.
    fn log_fault(&mut self, slot: Slot, fault: &'static str) {
        let Some(check) = self.registry.get_mut(slot) else { return };
        if !std::mem::replace(&mut check.fault_logged, true) {
            tracing::error!(check = %check.definition.meta.id, "{fault}; this is a fault of ours, not the target's");
        }
    }

    /// Ends whatever the check is doing, without a word: it was edited, suspended or removed.
    pub(crate) fn call_off(&mut self, slot: Slot) {
        let Some(check) = self.registry.get_mut(slot) else { return };
        match std::mem::take(&mut check.activity) {
            Activity::Idle => {}
            Activity::Waiting { number, .. } => self.places.withdraw(check.host, number),
            Activity::Flying(flight) => {
                flight.task.abort();
                self.places.leave(check.host, flight.place);
                self.pulse.discarded += 1;
            }
            Activity::Held { .. } => self.pulse.discarded += 1,
        }
    }

    /// Cuts every probe that is still in flight.
    pub(crate) fn cut_everything(&mut self) {
        for slot in self.registry.slots() {
            self.call_off(slot);
        }
    }
}
