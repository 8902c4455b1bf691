//! What an outcome means: the target's word, or a fault of ours, and when the check is asked next.

use std::{sync::Arc, time::Duration};

use health_model::{CheckSpec, Outcome, Probe, Reason, ReasonClass, Verdict, backoff_delay, first_delay};
use tokio::time::Instant;

use crate::{
    pauses::PATIENCE,
    registry::{Activity, Flight, Slot},
    running::{Message, Running},
    timetable::after,
    witness::{self, Held, News, could_be_ours},
};

/// A pause of ours from this length on may have cost a heartbeat's sender its report.
const LOSES_REPORTS: Duration = Duration::from_secs(5);
/// How often in a row a missing heartbeat is given more time because of our pauses.
const MOST_REPRIEVES: u32 = 3;
/// The status code by which a server says that *we* were too slow.
const REQUEST_TIMEOUT: u16 = 408;

/// Whether our own pause could have made this outcome. A refusal, a certificate or a wrong answer could not.
fn could_be_starvation(outcome: &Outcome) -> bool {
    match outcome.reason {
        Reason::Timeout
        | Reason::ConnectionReset
        | Reason::Unreachable
        | Reason::NameNotResolved
        | Reason::TlsHandshakeFailed
        | Reason::ProtocolError
        | Reason::PacketLoss
        | Reason::TooSlow => true,
        _ => outcome.reason.class() == ReasonClass::Judged && outcome.status_code == Some(REQUEST_TIMEOUT),
    }
}

impl Running {
    /// Takes in the outcome of a flight that has ended.
    pub(crate) fn weigh(&mut self, slot: Slot, flight: &Flight, outcome: Outcome, now: Instant) {
        let Some(check) = self.registry.get_mut(slot) else { return };
        let Some(spec) = check.active_spec() else { return };
        let spoiled = self.pauses.spoiled(flight.pauses_before, spec.timeout, check.starved);
        if spoiled && could_be_starvation(&outcome) {
            self.set_aside_as_starved(slot, outcome, now);
            return;
        }
        // What it says holds, but how long it took was our own pause.
        let outcome = if spoiled { outcome.unmeasured() } else { outcome };
        if check.starved > PATIENCE {
            self.pulse.starving_checks -= 1;
        }
        check.starved = 0;
        self.consult(slot, outcome, flight.started, now);
    }

    fn set_aside_as_starved(&mut self, slot: Slot, outcome: Outcome, now: Instant) {
        self.pulse.starved += 1;
        let response = format!(
            "this process was paused while it asked, which says nothing about the target (it saw: {})",
            outcome.response
        );
        self.observe(slot, Outcome { reason: Reason::ProberFault, response, ..outcome.unmeasured() }, now);
        let Some(check) = self.registry.get_mut(slot) else { return };
        check.starved = check.starved.saturating_add(1);
        let again_at_once = check.starved <= PATIENCE;
        if check.starved == PATIENCE + 1 {
            self.pulse.starving_checks += 1;
        }
        if again_at_once {
            self.set_due(slot, now);
            self.show(slot, None, false);
        }
    }

    /// Judges an outcome, once it is known whether our own network is lost. `since`: when what failed had begun.
    pub(crate) fn consult(&mut self, slot: Slot, outcome: Outcome, since: Instant, now: Instant) {
        if !self.consultation.is_possible() || !could_be_ours(outcome.reason) {
            self.observe(slot, outcome, now);
        } else if self.consultation.spoiled(since) {
            self.set_aside_as_lost(slot, outcome, now);
        } else if self.registry.get(slot).is_some_and(|check| check.standing.verdict == Verdict::Failing) {
            // What fails already cannot turn; asking for each of its failures would be a flood.
            self.observe(slot, outcome, now);
        } else {
            let number = self.number();
            if let Some(check) = self.registry.get_mut(slot) {
                check.activity = Activity::Held { number };
                self.consultation.hold(Held { slot, number, outcome, since });
            }
        }
    }

    /// Our own network was lost while this was in flight. If it is back, the target is asked again at once.
    fn set_aside_as_lost(&mut self, slot: Slot, outcome: Outcome, now: Instant) {
        self.pulse.network_lost += 1;
        let response = format!(
            "our own network is lost (no witness can be reached), which says nothing about the target (it saw: {})",
            outcome.response
        );
        self.observe(slot, Outcome { reason: Reason::NetworkLost, response, ..outcome }, now);
        if !self.consultation.network_is_lost() {
            self.ask_again_soon(slot, now);
        }
    }

    fn ask_again_soon(&mut self, slot: Slot, now: Instant) {
        let Some(check) = self.registry.get(slot) else { return };
        let Some(spec) = check.active_spec() else { return };
        let due = match &spec.probe {
            Probe::Heartbeat(heartbeat) => after(now, spec.interval.saturating_add(heartbeat.grace)),
            _ => now + first_delay(&check.definition.meta.id, spec.interval),
        };
        self.set_due(slot, due);
        self.show(slot, None, false);
    }

    /// Puts a question to the witnesses, if it is time for one.
    pub(crate) fn put_question(&mut self, now: Instant) {
        if !self.consultation.is_possible() {
            return;
        }
        if let Some(witness) = self.consultation.open(now) {
            let messages = self.messages.clone();
            tokio::spawn(async move {
                let lost = witness::ask(witness).await;
                let _engine_gone = messages.send(Message::Witnessed(lost)).await;
            });
        }
    }

    /// Takes in what the witnesses say, and judges what waited for it.
    pub(crate) fn take_testimony(&mut self, lost: bool) {
        let now = Instant::now();
        let (news, held) = self.consultation.answer(lost, now);
        match news {
            News::Nothing => {}
            News::Lost => tracing::warn!("our own network is lost: no witness can be reached; failures are set aside"),
            News::Back => {
                tracing::info!("our own network is back: what could not be judged is asked again");
                self.ask_again_after_loss(now);
            }
        }
        for Held { slot, number, outcome, since } in held {
            let Some(check) = self.registry.get_mut(slot) else { continue };
            if !matches!(check.activity, Activity::Held { number: held } if held == number) {
                continue;
            }
            check.activity = Activity::Idle;
            if self.consultation.spoiled(since) {
                self.set_aside_as_lost(slot, outcome, now);
            } else {
                self.observe(slot, outcome, now);
            }
        }
    }

    fn ask_again_after_loss(&mut self, now: Instant) {
        for slot in self.registry.slots() {
            let Some(check) = self.registry.get(slot) else { continue };
            // Senders of heartbeats could not reach us either.
            if check.standing.reason == Reason::NetworkLost || check.is_heartbeat() {
                self.ask_again_soon(slot, now);
            }
        }
    }

    /// Lets an outcome turn the check, and decides when it is asked next.
    pub(crate) fn observe(&mut self, slot: Slot, outcome: Outcome, now: Instant) {
        let wall = self.wall_now();
        let awake = self.board.clock().now();
        let Some(check) = self.registry.get_mut(slot) else { return };
        let Some(spec) = check.active_spec().cloned() else { return };
        let outcome = Arc::new(outcome);
        check.tally.count(&outcome);
        let generation = check.definition.meta.generation;
        let transition = check.standing.observe(&spec, generation, Arc::clone(&outcome), wall);
        check.silent_since = awake;
        check.fault_logged &= outcome.reason == Reason::ProberFault;
        self.pulse.completed += 1;
        self.probed = Some(awake);
        if let Some(due) = self.sooner_or_later(slot, &spec, &outcome, now) {
            self.set_due(slot, due);
        }
        self.show(slot, transition, false);
    }

    /// When to ask next, if not at the check's next moment in its phase.
    fn sooner_or_later(&mut self, slot: Slot, spec: &CheckSpec, outcome: &Outcome, now: Instant) -> Option<Instant> {
        let max_backoff = self.settings.max_backoff;
        let wall = self.wall_now();
        let check = self.registry.get_mut(slot)?;
        let (planned, _) = check.due?;
        if outcome.reason == Reason::RateLimited {
            let attempts = check.standing.backoff_attempts;
            let delay = backoff_delay(spec.interval, attempts, outcome.retry_after, max_backoff, rand::random());
            check.silent_since += delay;
            check.standing.backoff_until =
                jiff::SignedDuration::try_from(delay).ok().and_then(|delay| wall.checked_add(delay).ok());
            // Never sooner than its interval would have it: a short Retry-After is no invitation.
            return Some(after(now, delay)).filter(|due| *due > planned);
        }
        let retry = after(now, spec.retry_interval);
        Some(retry).filter(|retry| check.standing.unconfirmed() && !check.is_heartbeat() && *retry < planned)
    }

    /// A heartbeat's time is up.
    pub(crate) fn miss_heartbeat(&mut self, slot: Slot, spec: &CheckSpec, now: Instant) {
        let Probe::Heartbeat(heartbeat) = &spec.probe else { return };
        self.set_due(slot, after(now, spec.interval));
        let Some(check) = self.registry.get(slot) else { return };
        if !matches!(check.activity, Activity::Idle) {
            return;
        }
        let allowed = spec.interval.saturating_add(heartbeat.grace);
        let silent = match check.standing.last_outcome.as_deref() {
            Some(_) => "no report has come",
            None => "no report has come yet",
        };
        let words = format!("{silent}: one is due every {:?} plus {:?} of grace", spec.interval, heartbeat.grace);
        let since = now.checked_sub(allowed).unwrap_or(now);
        self.consult(slot, Outcome::new(Reason::HeartbeatMissed, words), since, now);
    }

    /// Takes in a heartbeat's report.
    pub(crate) fn report(&mut self, slot: Slot, outcome: Outcome) {
        let now = Instant::now();
        let Some(check) = self.registry.get_mut(slot) else { return };
        let Some(spec) = check.active_spec().cloned() else {
            self.pulse.discarded += 1;
            return;
        };
        let Probe::Heartbeat(heartbeat) = &spec.probe else { return };
        check.activity = Activity::Idle;
        check.reprieves = 0;
        self.set_due(slot, after(now, spec.interval.saturating_add(heartbeat.grace)));
        self.observe(slot, outcome, now);
    }

    /// While we stood still nobody could report to us, so that time does not count; after a long pause a sender gets
    /// the chance to try again. Not for ever: a process that keeps stopping must not hide a sender that is gone.
    pub(crate) fn reprieve_heartbeats(&mut self, pause: Duration, now: Instant) {
        for slot in self.registry.slots() {
            let Some(check) = self.registry.get_mut(slot).filter(|check| check.is_heartbeat()) else { continue };
            let Some((due, _)) = check.due else { continue };
            let Some(spec) = check.active_spec() else { continue };
            let Probe::Heartbeat(heartbeat) = &spec.probe else { continue };
            let mut later = after(due, pause);
            if pause >= LOSES_REPORTS && check.reprieves < MOST_REPRIEVES {
                later = later.max(after(now, heartbeat.grace.saturating_add(spec.interval.min(LOSES_REPORTS))));
                check.reprieves += 1;
            }
            self.set_due(slot, later);
        }
    }
}
