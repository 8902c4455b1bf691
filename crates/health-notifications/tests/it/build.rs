//! Checks and rules in one line each.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use health_model::{
    Channel, CheckDefinition, CheckId, CheckMeta, CheckSpec, Host, IcmpProbe, Outcome, Probe, Reason, RuleDefinition,
    RuleId, RuleSpec, Severity, SlackWebhook, Standing, Texts,
};
use health_notifications::{CheckSnapshot, Entry, LedgerChange, LedgerKey, Observation};
use jiff::Timestamp;

/// A moment, in seconds since the beginning of these tests.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// A check that lives through outcomes as an engine would let it.
pub struct Target {
    pub definition: CheckDefinition,
    pub standing: Standing,
}

impl Target {
    pub fn new(name: &str) -> Self {
        let probe = Probe::Icmp(IcmpProbe {
            host: Host::parse("db.example.org"),
            count: 1,
            max_loss_percent: 0,
            payload_bytes: 56,
        });
        let meta = CheckMeta {
            id: CheckId::new("default", name),
            labels: BTreeMap::new(),
            created: None,
            generation: 1,
            uid: None,
        };
        let spec = CheckSpec::new(Duration::from_secs(10), probe);
        Self { definition: CheckDefinition { meta, spec: Ok(Arc::new(spec)) }, standing: Standing::pending() }
    }

    pub fn id(&self) -> CheckId {
        self.definition.meta.id.clone()
    }

    pub fn edit(&mut self, change: impl FnOnce(&mut CheckSpec)) {
        let mut spec = CheckSpec::clone(self.definition.spec.as_ref().unwrap());
        change(&mut spec);
        self.definition.spec = Ok(Arc::new(spec));
    }

    pub fn snapshot(&self) -> Arc<CheckSnapshot> {
        Arc::new(CheckSnapshot {
            definition: Arc::new(self.definition.clone()),
            standing: self.standing.clone(),
            next_check: None,
            overdue: false,
        })
    }

    /// As it stands, without a new outcome.
    pub fn seen(&self) -> Observation {
        Observation { id: self.id(), check: Some(self.snapshot()), transitions: Vec::new() }
    }

    pub fn gone(&self) -> Observation {
        Observation { id: self.id(), check: None, transitions: Vec::new() }
    }

    /// One outcome of a probe.
    pub fn outcome(&mut self, outcome: Outcome, now: Timestamp) -> Observation {
        let spec = Arc::clone(self.definition.spec.as_ref().unwrap());
        let turned = self.standing.observe(&spec, 1, Arc::new(outcome), now);
        Observation { id: self.id(), check: Some(self.snapshot()), transitions: turned.into_iter().collect() }
    }

    pub fn fails(&mut self, now: Timestamp) -> Observation {
        self.outcome(Outcome::new(Reason::ConnectionRefused, "connection refused"), now)
    }

    pub fn passes(&mut self, now: Timestamp) -> Observation {
        self.outcome(Outcome::new(Reason::Succeeded, "200 OK"), now)
    }
}

/// A Slack section with one webhook.
pub fn slack(url: &str) -> Channel {
    Channel::Slack {
        webhooks: vec![SlackWebhook { label: "url".to_owned(), url: url.into() }],
        username: None,
        channel: None,
        texts: Texts::default(),
    }
}

/// A rule that tells of these checks at once, without grouping.
pub fn rule_spec(checks: &[&str], channel: Channel) -> RuleSpec {
    RuleSpec {
        checks: checks.iter().map(|name| Arc::from(*name)).collect(),
        selector: None,
        channels: vec![channel],
        wait_before_send: Duration::ZERO,
        repeat_after: None,
        send_resolved: true,
        group_wait: Duration::ZERO,
        suspend: false,
        quiet_hours: Vec::new(),
        min_severity: Severity::Info,
    }
}

/// A rule of the namespace `default`.
pub fn rule(name: &str, spec: RuleSpec) -> RuleDefinition {
    RuleDefinition { id: RuleId::new("default", name), generation: 1, uid: None, spec: Ok(Arc::new(spec)) }
}

/// Keeps in a ledger what the machine wants kept.
pub fn record(ledger: &mut BTreeMap<LedgerKey, Entry>, changes: Vec<LedgerChange>) {
    for LedgerChange { key, entry } in changes {
        match entry {
            Some(entry) => ledger.insert(key, entry),
            None => ledger.remove(&key),
        };
    }
}
