//! What a NotificationRule's status says besides the ledger: which checks are healthy, what was told last, and whether
//! its channels accept messages.
//!
//! Written when it changes, at most once a second per round, by server-side apply; a failed write is tried again with the
//! next round.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use health_manifests::status::{ConditionStatus, NotificationRuleStatus, RuleCheckStatus, condition};
use health_model::{RuleDefinition, RuleId};
use health_notifications::{AlertReport, Notifications, Phase, RuleReport};
use jiff::Timestamp;
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::json;
use tokio::sync::watch as state;
use tokio_util::sync::CancellationToken;

use super::{events::COMPONENT, metrics::ClusterMetrics, source::Statuses, watch::Kind};
use crate::notifying::Rules;

/// The shortest time between two rounds of writes.
const ROUND: Duration = Duration::from_secs(1);
/// The longest one write may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Alerts shown in one status; the ledger holds them all.
const MOST_ALERTS: usize = 500;

/// The task that writes the statuses of rules.
pub(crate) struct RuleStatuses {
    client: Client,
    rules: state::Receiver<Rules>,
    before: state::Receiver<Statuses>,
    metrics: ClusterMetrics,
    written: HashMap<RuleId, NotificationRuleStatus>,
}

impl RuleStatuses {
    /// `before` is what the statuses said at first: times and conditions go on from there.
    pub(super) fn new(
        client: Client,
        rules: state::Receiver<Rules>,
        before: state::Receiver<Statuses>,
        metrics: ClusterMetrics,
    ) -> Self {
        Self { client, rules, before, metrics, written: HashMap::new() }
    }

    /// Follows the rules and what became of their messages, until `stop`.
    pub(crate) async fn run(self, notifications: Arc<Notifications>, stop: CancellationToken) {
        stop.run_until_cancelled(self.follow(notifications)).await;
    }

    async fn follow(mut self, notifications: Arc<Notifications>) {
        let mut changes = notifications.changes();
        loop {
            let complete = self.round(&notifications).await;
            tokio::time::sleep(ROUND).await;
            if complete {
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return },
                    changed = self.rules.changed() => if changed.is_err() { return },
                }
            }
        }
    }

    /// Writes every status that says something else now; whether all writes went well.
    async fn round(&mut self, notifications: &Notifications) -> bool {
        let Some(rules) = self.rules.borrow_and_update().clone() else { return true };
        let reports: BTreeMap<RuleId, RuleReport> =
            notifications.reports().into_iter().map(|report| (report.rule.clone(), report)).collect();
        self.written.retain(|id, _| rules.iter().any(|rule| rule.id == *id));
        let before = self.before.borrow().clone().unwrap_or_default();
        let mut complete = true;
        for rule in &rules {
            let previous = self.written.get(&rule.id).or_else(|| before.get(&rule.id));
            let status = status(rule, reports.get(&rule.id), previous);
            if self.written.get(&rule.id) == Some(&status) {
                continue;
            }
            if self.write(&rule.id, &status).await {
                self.written.insert(rule.id.clone(), status);
            } else {
                complete = false;
            }
        }
        complete
    }

    /// Whether there is nothing left to do about this status.
    async fn write(&self, rule: &RuleId, status: &NotificationRuleStatus) -> bool {
        let resource = Kind::NotificationRule.resource();
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), rule.namespace(), &resource);
        let body = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": rule.name(), "namespace": rule.namespace()},
            "status": status,
        });
        let (parameters, patch) = (PatchParams::apply(COMPONENT).force(), Patch::Apply(&body));
        match tokio::time::timeout(WRITE_TIMEOUT, api.patch_status(rule.name(), &parameters, &patch)).await {
            Ok(Ok(_)) => {
                self.metrics.status_written();
                true
            }
            Ok(Err(kube::Error::Api(status))) if (400..409).contains(&status.code) || status.code == 422 => {
                self.metrics.status_refused();
                true
            }
            Ok(Err(_)) | Err(_) => {
                self.metrics.status_failed();
                false
            }
        }
    }
}

/// The status as it should be; the ledger is left out, it has a writer of its own.
fn status(
    rule: &RuleDefinition,
    report: Option<&RuleReport>,
    previous: Option<&NotificationRuleStatus>,
) -> NotificationRuleStatus {
    let now = Timestamp::now();
    let old = previous.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let said = match &rule.spec {
        Ok(_) => ("Understood", "The manifest was understood"),
        Err(problem) => (problem.reason.as_str(), problem.message.as_str()),
    };
    let ready = condition(old, NotificationRuleStatus::READY, rule.spec.is_ok().into(), said, now);
    let mut status = NotificationRuleStatus {
        observed_generation: Some(rule.generation),
        last_notification: previous.and_then(|status| status.last_notification),
        last_resolve_notification: previous.and_then(|status| status.last_resolve_notification),
        conditions: vec![ready],
        ..NotificationRuleStatus::default()
    };
    let Some(report) = report else { return status };
    status.health_check_status =
        report.checks.iter().map(|(check, healthy)| (check.name().to_owned(), *healthy)).collect();
    status.last_notification = status.last_notification.max(report.last_notification);
    status.last_resolve_notification = status.last_resolve_notification.max(report.last_resolve_notification);
    status.checks = alerts(&report.alerts);
    let failing: Vec<String> =
        report.not_delivering.iter().map(|(destination, trouble)| format!("{destination}: {}", trouble.why)).collect();
    let (delivering, said) = match failing.is_empty() {
        true => (ConditionStatus::True, ("Accepted", "Every channel accepts messages".to_owned())),
        false => (ConditionStatus::False, ("NotAccepted", failing.join("; "))),
    };
    let said = (said.0, said.1.as_str());
    status.conditions.push(condition(old, NotificationRuleStatus::DELIVERING, delivering, said, now));
    status
}

/// One line per check: the state of the destination that is furthest behind.
fn alerts(reports: &[AlertReport]) -> Vec<RuleCheckStatus> {
    let mut by_check = BTreeMap::<&str, Vec<&AlertReport>>::new();
    for report in reports {
        by_check.entry(report.check.name()).or_default().push(report);
    }
    let line = |(check, alerts): (&str, Vec<&AlertReport>)| {
        let held = alerts.iter().find_map(|alert| alert.mute);
        let any = |phase| alerts.iter().any(|alert| alert.phase == phase);
        let state = match held {
            Some(_) => "Held",
            None if any(Phase::Holding) => "Waiting",
            None if any(Phase::Owed) => "Sending",
            None => "Firing",
        };
        RuleCheckStatus {
            check: check.to_owned(),
            state: state.to_owned(),
            since: alerts.iter().map(|alert| alert.since).min(),
            told_at: alerts.iter().filter_map(|alert| alert.told_at).max(),
            message: held.map(|mute| format!("held back: {mute:?}")),
        }
    };
    by_check.into_iter().take(MOST_ALERTS).map(line).collect()
}
