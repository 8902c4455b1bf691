//! A machine with its ledger and a provider, in simulated time.

use std::{collections::BTreeMap, time::Duration};

use health_model::{Channel, ChannelKind, RuleDefinition, RuleSpec, Texts};
use health_notifications::{
    Action, Delivery, Entry, Event, Input, LedgerKey, Machine, NotificationSettings, Observation, Telling,
    channel::Verdict,
};
use jiff::Timestamp;

use crate::build::{Target, at, record, rule, rule_spec, slack};

/// A machine, its ledger, and a provider that accepts everything until it is told otherwise.
pub struct Desk {
    pub machine: Machine,
    pub ledger: BTreeMap<LedgerKey, Entry>,
    pub told: Vec<(Timestamp, Telling, Vec<String>)>,
    /// Every message that was offered, accepted or not.
    pub offered: Vec<Offered>,
    /// The provider accepts nothing.
    pub away: bool,
    /// The provider accepts, but its answer never comes.
    pub mute: bool,
    pub now: Timestamp,
}

impl Desk {
    pub fn new() -> Self {
        Self {
            machine: machine(BTreeMap::new()),
            ledger: BTreeMap::new(),
            told: Vec::new(),
            offered: Vec::new(),
            away: false,
            mute: false,
            now: at(0),
        }
    }

    pub fn with(rules: Vec<RuleDefinition>, targets: &[&Target]) -> Self {
        let mut desk = Self::new();
        desk.begin(rules, targets);
        desk
    }

    pub fn begin(&mut self, rules: Vec<RuleDefinition>, targets: &[&Target]) {
        let observations = targets.iter().map(|target| target.seen()).collect();
        self.event(Event::Input(Input { rules: Some(rules), observations, synced: true }));
    }

    pub fn event(&mut self, event: Event) {
        let mut deliveries = Vec::new();
        for action in self.machine.handle(event, self.now) {
            match action {
                Action::Record(changes) => record(&mut self.ledger, changes),
                Action::Send(delivery) => deliveries.push(delivery),
            }
        }
        for delivery in deliveries {
            self.answer(delivery);
        }
    }

    pub fn answer(&mut self, delivery: Delivery) {
        self.offered.push(Offered {
            at: self.now,
            channel: delivery.lane.destination.channel,
            telling: delivery.message.telling,
            incident: delivery.message.incident.to_string(),
            id: delivery.message.id.to_string(),
        });
        let verdict = if self.away {
            Verdict::Retry { why: "away".to_owned(), after: None, ambiguous: false }
        } else {
            let names = delivery.message.members.iter().map(|member| member.check.name().to_owned()).collect();
            self.told.push((self.now, delivery.message.telling, names));
            if self.mute {
                Verdict::Retry { why: "no answer".to_owned(), after: None, ambiguous: true }
            } else {
                Verdict::Accepted
            }
        };
        self.event(Event::Answer { lane: delivery.lane, id: delivery.message.id, verdict });
    }

    pub fn see(&mut self, observation: Observation) {
        self.event(Event::Input(Input { observations: vec![observation], ..Input::default() }));
    }

    pub fn rules(&mut self, rules: Vec<RuleDefinition>) {
        self.event(Event::Input(Input { rules: Some(rules), ..Input::default() }));
    }

    pub fn until(&mut self, seconds: i64) {
        let end = at(seconds);
        while let Some(wake) = self.machine.next_wakeup().filter(|wake| *wake <= end) {
            self.now = self.now.max(wake);
            self.event(Event::Tick);
        }
        self.now = end;
    }

    pub fn restart(&mut self, rules: Vec<RuleDefinition>, targets: &mut [&mut Target]) {
        self.machine = machine(self.ledger.clone());
        for target in targets.iter_mut() {
            target.standing = target.standing.clone().restore();
        }
        let observations = targets.iter().map(|target| target.seen()).collect();
        self.event(Event::Input(Input { rules: Some(rules), observations, synced: true }));
    }

    /// The messages that were offered to one kind of channel.
    pub fn offered_to(&self, channel: ChannelKind) -> Vec<Offered> {
        self.offered.iter().filter(|offered| offered.channel == channel).cloned().collect()
    }

    pub fn tellings(&self) -> Vec<Telling> {
        self.told.iter().map(|(_, telling, _)| *telling).collect()
    }
}

/// A message as it was offered to a provider.
#[derive(Clone, Debug)]
pub struct Offered {
    pub at: Timestamp,
    pub channel: ChannelKind,
    pub telling: Telling,
    pub incident: String,
    pub id: String,
}

pub fn machine(kept: impl IntoIterator<Item = (LedgerKey, Entry)>) -> Machine {
    let NotificationSettings { flapping, retrying, .. } = NotificationSettings::default();
    Machine::new(kept, flapping, retrying, true)
}

pub fn spec() -> RuleSpec {
    let mut spec = rule_spec(&["web", "db", "api"], slack("http://127.0.0.1:1/hook"));
    spec.wait_before_send = Duration::ZERO;
    spec
}

pub fn pagerduty() -> Channel {
    Channel::Pagerduty {
        api_url: "http://127.0.0.1:1/".parse().unwrap(),
        routing_key: "key".into(),
        texts: Texts::default(),
    }
}

pub fn alertmanager() -> Channel {
    Channel::Alertmanager { urls: vec!["http://127.0.0.1:1/".parse().unwrap()], texts: Texts::default() }
}

pub fn rules_of(spec: RuleSpec) -> Vec<RuleDefinition> {
    vec![rule("team", spec)]
}
