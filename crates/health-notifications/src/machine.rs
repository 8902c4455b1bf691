//! The decisions, all of them, with no clock, socket or task: events and the time go in, actions come out.
//!
//! One [`Machine`] holds every rule, every check as last seen and one lane per destination. It is deterministic: the
//! same events at the same times give the same actions, which is how it is tested against a plain model.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use health_model::{ChannelKind, CheckId, Reason, RuleDefinition, RuleId, RuleSpec, Transition, Verdict as Belief};
use jiff::Timestamp;

use crate::{
    channel::Verdict,
    counters::Counters,
    destination::{ALERTMANAGER_REFRESH, Destination, Style},
    input::{CheckSnapshot, Observation},
    lane::{InFlight, Lane, LaneId},
    ledger::{DestinationKey, Entry, LedgerChange, LedgerKey, Phase},
    message::{Member, Message},
    settings::{Flapping, Retrying},
    situation::{Checks, Mute, Situation, in_quiet_hours, situation, watches},
    step::{Fate, Policy, later},
};

/// How often what is held back is looked at again: windows open and close on whole minutes, mostly.
const MUTED_LOOK: Duration = Duration::from_secs(5);
/// How long a destination that is gone, or that refuses for good, is tried to close what is over.
const CLOSING_TIME: Duration = Duration::from_secs(24 * 3600);
/// Delay after a refusal: somebody has to mend the rule first.
const AFTER_REFUSAL: Duration = Duration::from_secs(30);
/// Bytes kept of a response or a target in an entry.
const KEPT_TEXT: usize = 256;

/// What happens to the machine.
#[derive(Debug)]
pub enum Event {
    /// Rules, checks, or the word that the source has been read to the end.
    Input(Input),
    /// What a delivery came to.
    Answer {
        /// Whose.
        lane: LaneId,
        /// Which message.
        id: Arc<str>,
        /// How it ended.
        verdict: Verdict,
    },
    /// Nothing but the time has moved on.
    Tick,
}

/// What the source and the engine say.
#[derive(Debug, Default)]
pub struct Input {
    /// All rules, if they have changed.
    pub rules: Option<Vec<RuleDefinition>>,
    /// Checks that have changed.
    pub observations: Vec<Observation>,
    /// Whether the source has been read to the end: only then is what is missing gone.
    pub synced: bool,
}

/// What must be done, in this order.
#[derive(Debug)]
pub enum Action {
    /// Keep these before doing what follows.
    Record(Vec<LedgerChange>),
    /// Deliver this and hand the verdict back as [`Event::Answer`].
    Send(Delivery),
}

/// A message and where it goes.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Whose lane.
    pub lane: LaneId,
    /// How it is reached.
    pub destination: Destination,
    /// What is said.
    pub message: Message,
}

/// Every decision of the pipeline.
#[derive(Debug)]
pub struct Machine {
    flapping: Flapping,
    retrying: Retrying,
    rate_limited: bool,
    synced: bool,
    rules: BTreeMap<RuleId, Arc<RuleSpec>>,
    /// Rules that cannot be understood: what they had opened stays as it is.
    broken: BTreeSet<RuleId>,
    by_namespace: HashMap<Arc<str>, Vec<RuleId>>,
    checks: Checks,
    turns: HashMap<CheckId, VecDeque<Timestamp>>,
    pub(crate) lanes: BTreeMap<LaneId, Lane>,
    next_slot: HashMap<u64, Timestamp>,
    changes: BTreeMap<LedgerKey, Option<Entry>>,
    pub(crate) counters: Counters,
}

impl Machine {
    /// A machine that knows nothing but what the ledger kept.
    pub fn new(
        kept: impl IntoIterator<Item = (LedgerKey, Entry)>,
        flapping: Flapping,
        retrying: Retrying,
        rate_limited: bool,
    ) -> Self {
        let mut lanes = BTreeMap::<LaneId, Lane>::new();
        for (LedgerKey { rule, destination, check }, entry) in kept {
            lanes.entry(LaneId { rule, destination }).or_default().entries.insert(check, entry);
        }
        Self {
            flapping,
            retrying,
            rate_limited,
            synced: false,
            rules: BTreeMap::new(),
            broken: BTreeSet::new(),
            by_namespace: HashMap::new(),
            checks: Checks::new(),
            turns: HashMap::new(),
            lanes,
            next_slot: HashMap::new(),
            changes: BTreeMap::new(),
            counters: Counters::default(),
        }
    }

    /// Takes in what happened and says what is to be done.
    pub fn handle(&mut self, event: Event, now: Timestamp) -> Vec<Action> {
        let mut dirty = self.due(now);
        match event {
            Event::Tick => {}
            Event::Input(input) => dirty.extend(self.take_in(input, now)),
            Event::Answer { lane, id, verdict } => {
                self.answered(&lane, &id, verdict, now);
                dirty.insert(lane);
            }
        }
        let deliveries: Vec<_> = dirty.into_iter().filter_map(|lane| self.advance(&lane, now)).collect();
        let mut actions = Vec::with_capacity(1 + deliveries.len());
        let changes = std::mem::take(&mut self.changes);
        if !changes.is_empty() {
            actions.push(Action::Record(changes.into_iter().map(|(key, entry)| LedgerChange { key, entry }).collect()));
        }
        actions.extend(deliveries.into_iter().map(Action::Send));
        actions
    }

    /// When the machine wants to be asked again at the latest; `None`: not before something happens.
    pub fn next_wakeup(&self) -> Option<Timestamp> {
        self.lanes.values().filter_map(|lane| lane.wake).min()
    }

    /// Every rule that is understood.
    pub(crate) fn rules(&self) -> impl Iterator<Item = (&RuleId, &Arc<RuleSpec>)> {
        self.rules.iter()
    }

    /// Every check as last seen.
    pub(crate) fn checks(&self) -> &Checks {
        &self.checks
    }

    /// The checks that a rule watches, and whether they are healthy.
    pub(crate) fn watched_by(&self, rule: &RuleId, spec: &RuleSpec) -> BTreeMap<CheckId, bool> {
        let mine = self.checks.iter().filter(|(id, check)| id.namespace() == rule.namespace() && watches(spec, check));
        mine.map(|(id, check)| (id.clone(), check.standing.healthy())).collect()
    }

    fn due(&self, now: Timestamp) -> BTreeSet<LaneId> {
        let due = self.lanes.iter().filter(|(_, lane)| lane.wake.is_some_and(|wake| wake <= now));
        due.map(|(id, _)| id.clone()).collect()
    }

    fn take_in(&mut self, input: Input, now: Timestamp) -> BTreeSet<LaneId> {
        let Input { rules, observations, synced } = input;
        let everything = rules.is_some() || (synced && !self.synced);
        self.synced |= synced;
        if let Some(rules) = rules {
            self.set_rules(rules);
        }
        let mut dirty = BTreeSet::new();
        let mut turned = BTreeSet::new();
        for observation in observations {
            if !observation.transitions.is_empty() {
                turned.insert(observation.id.namespace().to_owned());
            }
            self.observe(observation, now, &mut dirty);
        }
        if everything {
            self.open_lanes(now);
            self.look_at_all(now);
            return self.lanes.keys().cloned().collect();
        }
        // What was held back may depend on what has just turned.
        let held = self.lanes.iter().filter(|(id, lane)| lane.muted > 0 && turned.contains(id.rule.namespace()));
        dirty.extend(held.map(|(id, _)| id.clone()));
        dirty
    }

    fn set_rules(&mut self, definitions: Vec<RuleDefinition>) {
        let mut named = BTreeSet::new();
        for RuleDefinition { id, generation: _, uid: _, spec } in definitions {
            named.insert(id.clone());
            match spec {
                Ok(spec) => {
                    self.broken.remove(&id);
                    self.rules.insert(id, spec);
                }
                // The last good version of a rule goes on; one that never was good keeps what it had opened.
                Err(_) => {
                    self.broken.insert(id);
                }
            }
        }
        if self.synced {
            self.rules.retain(|id, _| named.contains(id));
            self.broken.retain(|id| named.contains(id));
        }
        self.by_namespace.clear();
        for id in self.rules.keys() {
            self.by_namespace.entry(id.namespace().into()).or_default().push(id.clone());
        }
    }

    /// Opens a lane for every destination of every rule and retires those that no rule has any more.
    fn open_lanes(&mut self, now: Timestamp) {
        let mut wanted = BTreeMap::new();
        for (rule, spec) in &self.rules {
            for (key, destination) in Destination::of(spec) {
                wanted.insert(LaneId { rule: rule.clone(), destination: key }, destination);
            }
        }
        for (id, lane) in &mut self.lanes {
            let unknown = self.broken.contains(&id.rule) && !self.rules.contains_key(&id.rule);
            if !wanted.contains_key(id) && !unknown && self.synced {
                lane.retired.get_or_insert(now);
            }
        }
        for (id, destination) in wanted {
            let lane = self.lanes.entry(id).or_default();
            lane.retired = None;
            if lane.destination.as_ref().is_none_or(|before| !before.same_address(&destination)) {
                // It was mended, perhaps: try at once.
                lane.retry_at = None;
            }
            lane.destination = Some(destination);
        }
    }

    /// Looks at every check for every rule: after rules have changed, and once everything is known.
    fn look_at_all(&mut self, now: Timestamp) {
        let ids: Vec<CheckId> = self.checks.keys().cloned().collect();
        let mut dirty = BTreeSet::new();
        for id in ids {
            self.look_at(&id, now, &mut dirty);
        }
    }

    fn observe(&mut self, observation: Observation, now: Timestamp, dirty: &mut BTreeSet<LaneId>) {
        let Observation { id, check, transitions } = observation;
        let Some(check) = check else {
            self.checks.remove(&id);
            self.turns.remove(&id);
            let holding = self.lanes.iter().filter(|(_, lane)| lane.entries.contains_key(&id));
            dirty.extend(holding.map(|(lane, _)| lane.clone()));
            return;
        };
        for transition in &transitions {
            self.count_turn(&id, transition, now);
            // Turns that came together are taken one by one, so that none is lost between two looks.
            self.checks.insert(id.clone(), Arc::new(as_of(&check, transition)));
            self.look_at(&id, now, dirty);
        }
        self.checks.insert(id.clone(), check);
        self.look_at(&id, now, dirty);
    }

    fn count_turn(&mut self, id: &CheckId, transition: &Transition, now: Timestamp) {
        // The first word of a check is no turn, unless it is bad news.
        if transition.from == Belief::Unknown && transition.to != Belief::Failing {
            return;
        }
        let turns = self.turns.entry(id.clone()).or_default();
        turns.push_back(transition.at.min(now));
        while turns.len() > 256 {
            turns.pop_front();
        }
    }

    fn recent_turns(&mut self, id: &CheckId, now: Timestamp) -> usize {
        let window = self.flapping.window;
        let Some(turns) = self.turns.get_mut(id) else { return 0 };
        while turns.front().is_some_and(|turn| later(*turn, window) < now) {
            turns.pop_front();
        }
        let count = turns.len();
        if count == 0 {
            self.turns.remove(id);
        }
        count
    }

    /// Steps the entries of a check, and begins those that are missing, wherever a rule watches it.
    fn look_at(&mut self, id: &CheckId, now: Timestamp, dirty: &mut BTreeSet<LaneId>) {
        let rules = self.by_namespace.get(id.namespace()).cloned().unwrap_or_default();
        for rule in rules {
            let Some(spec) = self.rules.get(&rule).map(Arc::clone) else { continue };
            let watched = self.checks.get(id).is_some_and(|check| watches(&spec, check));
            let situation = situation(&self.checks, &spec, id, self.synced, now);
            let range = self.lanes_of(&rule);
            for lane in range {
                let held = self.lanes.get(&lane).is_some_and(|lane| lane.entries.contains_key(id));
                if held || (watched && matches!(situation, Situation::Failing { .. })) {
                    self.step(&lane, id, &spec, (situation, now));
                    dirty.insert(lane);
                }
            }
        }
    }

    fn lanes_of(&self, rule: &RuleId) -> Vec<LaneId> {
        let first = DestinationKey { channel: ChannelKind::Slack, label: "".into() };
        let from = LaneId { rule: rule.clone(), destination: first };
        let mine = self.lanes.range(from..).take_while(|(id, _)| id.rule == *rule);
        mine.filter(|(_, lane)| lane.retired.is_none()).map(|(id, _)| id.clone()).collect()
    }

    /// Moves one entry; begins it when the check fails and there is none.
    fn step(&mut self, lane_id: &LaneId, check: &CheckId, spec: &RuleSpec, (situation, now): (Situation, Timestamp)) {
        let turns = self.recent_turns(check, now);
        let snapshot = self.checks.get(check).map(Arc::clone);
        let flapping = self.flapping;
        let Some(lane) = self.lanes.get_mut(lane_id) else { return };
        let policy = policy(lane, spec, check);
        let before = lane.entries.get(check).cloned();
        let mut entry = match (&before, situation) {
            (Some(entry), Situation::Failing { since, .. }) if entry.phase == Phase::Past => {
                Entry { certificate: entry.certificate.clone(), ..Entry::beginning(since) }
            }
            (Some(entry), _) => entry.clone(),
            (None, Situation::Failing { since, .. }) => Entry::beginning(since),
            (None, _) => return,
        };
        if matches!(situation, Situation::Failing { .. }) {
            if let Some(snapshot) = &snapshot {
                notice(&mut entry, snapshot);
            }
            silence_twin(lane, check, &mut entry, before.as_ref());
        }
        let mut fate = entry.step(situation, &policy, now);
        if fate == Fate::Kept && entry.turn_of_flapping(turns, flapping, now) {
            fate = entry.step(situation, &policy, now);
        }
        if before.is_none() && fate == Fate::Forgotten {
            return;
        }
        let after = (fate == Fate::Kept).then_some(entry);
        if before != after {
            keep(&mut self.changes, lane_id, check, after.clone());
        }
        match after {
            Some(entry) => lane.entries.insert(check.clone(), entry),
            None => lane.entries.remove(check),
        };
    }

    /// Looks at a lane: moves what only waited for the time, and sends the next message when it is free to.
    fn advance(&mut self, id: &LaneId, now: Timestamp) -> Option<Delivery> {
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
            keep(&mut self.changes, id, &check, None);
        }
    }

    fn next_delivery(&mut self, id: &LaneId, now: Timestamp) -> Option<Delivery> {
        let destination = self.lanes.get(id)?.destination.clone()?;
        let spec = Arc::clone(destination.spec());
        let look = self.debts(id, &spec, &destination, now);
        let free_at = self.free_at(id, &destination);
        let lane = self.lanes.get_mut(id)?;
        lane.muted = look.muted;
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
            let policy = policy(lane, spec, check);
            let muted = matches!(situation, Situation::Failing { mute: Some(_), .. }) || quiet.is_some();
            look.muted += usize::from(muted);
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

    fn dispatch(
        &mut self,
        id: &LaneId,
        destination: Destination,
        batch: crate::lane::Batch,
        now: Timestamp,
    ) -> Delivery {
        let crate::lane::Batch { id: message, telling, incident, again, members } = batch;
        let storm = destination.style() == Style::Incident && members.len() > 1;
        let mut told = Vec::with_capacity(members.len());
        for check in &members {
            let turns = self.recent_turns(check, now);
            let snapshot = self.checks.get(check).map(Arc::clone);
            let Some(entry) = self.lanes.get_mut(id).and_then(|lane| lane.entries.get_mut(check)) else { continue };
            entry.attempt = Some(Arc::clone(&message));
            entry.closing |= !telling.is_firing();
            if storm && telling.is_firing() {
                entry.incident = Some(Arc::clone(&incident));
            }
            keep(&mut self.changes, id, check, Some(entry.clone()));
            told.push(member(check, entry, snapshot, (turns, self.flapping.window)));
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
            });
        }
        let message =
            Message { id: message, rule: id.rule.clone(), telling, now, members: told, incident, test: false };
        Delivery { lane: id.clone(), destination, message }
    }

    fn answered(&mut self, id: &LaneId, message: &str, verdict: Verdict, now: Timestamp) {
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
            entry.closing = false;
            entry.reopened = None;
            if entry.phase == Phase::Owed && entry.incident.as_ref() == Some(&in_flight.incident) {
                entry.incident = None;
            }
            keep(&mut self.changes, id, check, Some(entry.clone()));
        }
    }

    fn give_up(&mut self, id: &LaneId, in_flight: &InFlight) {
        let Some(lane) = self.lanes.get_mut(id) else { return };
        for check in &in_flight.members {
            if lane.entries.get(check).is_some_and(|entry| entry.ended.is_some() || entry.unwatched) {
                lane.entries.remove(check);
                keep(&mut self.changes, id, check, None);
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
            keep(&mut self.changes, id, check, after.clone());
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

/// What a look at a lane found.
#[derive(Debug, Default)]
struct Look {
    debts: BTreeMap<CheckId, crate::debt::Debt>,
    muted: usize,
    wake: Option<Timestamp>,
}

impl Look {
    fn wakes_at(&mut self, moment: Timestamp) {
        self.wake = Some(self.wake.map_or(moment, |wake| wake.min(moment)));
    }
}

fn keep(changes: &mut BTreeMap<LedgerKey, Option<Entry>>, lane: &LaneId, check: &CheckId, entry: Option<Entry>) {
    let LaneId { rule, destination } = lane.clone();
    changes.insert(LedgerKey { rule, destination, check: check.clone() }, entry);
}

fn policy(lane: &Lane, spec: &RuleSpec, check: &CheckId) -> Policy {
    let refreshed = lane.destination.as_ref().is_some_and(|destination| destination.style() == Style::Refreshed);
    let refresh = refreshed.then_some(ALERTMANAGER_REFRESH);
    let repeat = spec.repeat_after.into_iter().chain(refresh).min();
    let in_flight = lane.in_flight.as_ref();
    Policy {
        wait: spec.wait_before_send,
        group_wait: spec.group_wait,
        send_resolved: spec.send_resolved,
        repeat,
        in_flight: in_flight.is_some_and(|message| message.members.binary_search(check).is_ok()),
    }
}

/// The check as it was right after one of its turns.
fn as_of(check: &CheckSnapshot, transition: &Transition) -> CheckSnapshot {
    let mut past = check.clone();
    past.standing.verdict = transition.to;
    past.standing.reason = transition.reason;
    past.standing.state = transition.reason.state();
    past.standing.response.clone_from(&transition.response);
    past.standing.last_transition = Some(transition.at);
    past.standing.restored = false;
    let failing = transition.to == Belief::Failing;
    let streak = check.standing.failing_since.filter(|since| *since <= transition.at);
    past.standing.failing_since = failing.then_some(streak.unwrap_or(transition.at));
    past
}

fn notice(entry: &mut Entry, check: &CheckSnapshot) {
    let Ok(reason) = failing_reason(check) else { return };
    if entry.phase == Phase::Holding
        && let Ok(spec) = &check.definition.spec
    {
        entry.severity = spec.severity;
    }
    entry.reason = reason;
    entry.response = clipped(&check.standing.response);
    if let Ok(spec) = &check.definition.spec {
        entry.target = clipped(&spec.probe.target());
    }
    entry.certificate = crate::certificate::identity(check).or_else(|| entry.certificate.take());
}

/// The reason of the last word, where that is why it fails.
fn failing_reason(check: &CheckSnapshot) -> Result<Reason, ()> {
    use health_model::ReasonClass::{Judged, NotCarriedOut};
    let reason = check.standing.reason;
    if matches!(reason.class(), Judged | NotCarriedOut) { Ok(reason) } else { Err(()) }
}

fn clipped(text: &str) -> String {
    let mut end = text.len().min(KEPT_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

/// A certificate is told of once per destination; what fails for another reason as well is told.
fn silence_twin(lane: &Lane, check: &CheckId, entry: &mut Entry, before: Option<&Entry>) {
    if entry.reason != Reason::CertificateExpiring {
        if std::mem::take(&mut entry.silent) {
            entry.phase = Phase::Holding;
            entry.told_at = None;
        }
        return;
    }
    let fresh = before.is_none_or(|before| before.phase == Phase::Past);
    if !fresh || entry.certificate.is_none() {
        return;
    }
    let told_before = before.is_some_and(|before| before.certificate == entry.certificate);
    let told_elsewhere = lane.entries.iter().any(|(other, twin)| {
        other != check
            && twin.certificate == entry.certificate
            && twin.reason == Reason::CertificateExpiring
            && twin.phase != Phase::Holding
    });
    if told_before || told_elsewhere {
        entry.silent = true;
        entry.phase = Phase::Told;
    }
}

fn member(
    check: &CheckId,
    entry: &Entry,
    snapshot: Option<Arc<CheckSnapshot>>,
    (turns, window): (usize, Duration),
) -> Member {
    Member {
        check: check.clone(),
        since: entry.since,
        ended: entry.ended,
        turns: entry.flapping.then_some((turns, window)),
        reason: entry.reason,
        severity: entry.severity,
        response: entry.response.clone(),
        target: entry.target.clone(),
        snapshot,
    }
}
