//! How a rule stands: what a status, a page or an API shows of it.

use std::collections::BTreeMap;

use health_model::{CheckId, RuleId};
use jiff::Timestamp;

use crate::{
    lane::Trouble,
    ledger::{DestinationKey, Phase},
    machine::Machine,
    situation::{Mute, Situation, situation},
};

/// How one rule stands.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleReport {
    /// Whose.
    pub rule: RuleId,
    /// `healthCheckStatus`: every check that the rule watches, and whether it is healthy.
    pub checks: BTreeMap<CheckId, bool>,
    /// When a message that something fails was last accepted, since the start.
    pub last_notification: Option<Timestamp>,
    /// When a message that something is healthy again was last accepted, since the start.
    pub last_resolve_notification: Option<Timestamp>,
    /// Destinations whose last attempt failed: the rule is `Delivering: False` while there is one.
    pub not_delivering: BTreeMap<DestinationKey, Trouble>,
    /// Every outage that stands, per check and destination.
    pub alerts: Vec<AlertReport>,
}

/// How far one outage has come on its way to one destination.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertReport {
    /// Of which check.
    pub check: CheckId,
    /// To where.
    pub destination: DestinationKey,
    /// Since when it fails.
    pub since: Timestamp,
    /// How far it has come.
    pub phase: Phase,
    /// Why it is held back, if it is.
    pub mute: Option<Mute>,
    /// When it was last accepted.
    pub told_at: Option<Timestamp>,
}

impl Machine {
    /// How every rule stands, ordered by identity.
    pub fn reports(&self, now: Timestamp) -> Vec<RuleReport> {
        self.rules().map(|(rule, spec)| self.report(rule, spec, now)).collect()
    }

    fn report(&self, rule: &RuleId, spec: &health_model::RuleSpec, now: Timestamp) -> RuleReport {
        let mut report = RuleReport {
            rule: rule.clone(),
            checks: self.watched_by(rule, spec),
            last_notification: None,
            last_resolve_notification: None,
            not_delivering: BTreeMap::new(),
            alerts: Vec::new(),
        };
        for (id, lane) in self.lanes.iter().filter(|(id, _)| id.rule == *rule) {
            report.last_notification = report.last_notification.max(lane.last_told);
            report.last_resolve_notification = report.last_resolve_notification.max(lane.last_resolved);
            if let Some(trouble) = &lane.trouble {
                report.not_delivering.insert(id.destination.clone(), trouble.clone());
            }
            for (check, entry) in lane.entries.iter().filter(|(_, entry)| entry.phase != Phase::Past) {
                let mute = match situation(self.checks(), spec, check, true, now) {
                    Situation::Failing { mute, .. } => mute,
                    Situation::Unknown | Situation::Healthy { .. } | Situation::Unwatched => None,
                };
                report.alerts.push(AlertReport {
                    check: check.clone(),
                    destination: id.destination.clone(),
                    since: entry.since,
                    phase: entry.phase,
                    mute,
                    told_at: entry.told_at,
                });
            }
        }
        report
    }
}
