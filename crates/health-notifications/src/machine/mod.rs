//! The decisions, all of them, with no clock, socket or task: events and the time go in, actions come out.
//!
//! One [`Machine`] holds every rule, every check as last seen and one lane per destination. It is deterministic: the
//! same events at the same times give the same actions, which is how it is tested against a plain model. An event walks
//! through the files beside this one: `rules` and `checks` take it in and move entries, `lanes` decides what goes out,
//! `answers` makes of a provider's word what is told.

mod answers;
mod checks;
mod lanes;
mod rules;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use health_model::{CheckId, RuleDefinition, RuleId, RuleSpec};
use jiff::Timestamp;

use crate::{
    channel::Verdict,
    counters::Counters,
    destination::Destination,
    flapping::Turns,
    input::Observation,
    lane::{Lane, LaneId},
    ledger::{Entry, LedgerChange, LedgerKey},
    message::Message,
    settings::{Flapping, Retrying},
    situation::{Checks, watches},
};

/// How long a destination that is gone, or that refuses for good, is tried to close what is over.
const CLOSING_TIME: Duration = Duration::from_secs(24 * 3600);

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
    turns: Turns,
    pub(crate) lanes: BTreeMap<LaneId, Lane>,
    next_slot: HashMap<u64, Timestamp>,
    changes: Changes,
    pub(crate) counters: Counters,
}

/// What the ledger has to be told, newest per key.
#[derive(Debug, Default)]
struct Changes(BTreeMap<LedgerKey, Option<Entry>>);

impl Changes {
    fn keep(&mut self, lane: &LaneId, check: &CheckId, entry: Option<Entry>) {
        let LaneId { rule, destination } = lane.clone();
        self.0.insert(LedgerKey { rule, destination, check: check.clone() }, entry);
    }

    fn take(&mut self) -> Vec<LedgerChange> {
        let changes = std::mem::take(&mut self.0).into_iter();
        changes.map(|(key, entry)| LedgerChange { key, entry }).collect()
    }
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
        let mut turns = Turns::new(flapping.window);
        for (LedgerKey { rule, destination, check }, entry) in kept {
            turns.remember(&check, &entry.turns);
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
            turns,
            lanes,
            next_slot: HashMap::new(),
            changes: Changes::default(),
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
        let changes = self.changes.take();
        if !changes.is_empty() {
            actions.push(Action::Record(changes));
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
        let (mut seen, mut turned) = (BTreeSet::new(), BTreeSet::new());
        for observation in observations {
            if !observation.transitions.is_empty() {
                turned.insert(observation.id.namespace().to_owned());
            }
            seen.insert(observation.id.namespace().to_owned());
            self.observe(observation, now, &mut dirty);
        }
        if everything {
            self.open_lanes(now);
            self.look_at_all(now);
            return self.lanes.keys().cloned().collect();
        }
        // What was held back may depend on what has just turned, or has just been asked.
        let held = self.lanes.iter().filter(|(id, lane)| {
            let namespace = id.rule.namespace();
            (lane.muted > 0 && turned.contains(namespace)) || (lane.awaiting > 0 && seen.contains(namespace))
        });
        dirty.extend(held.map(|(id, _)| id.clone()));
        dirty
    }
}
