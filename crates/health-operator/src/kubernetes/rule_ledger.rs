//! The ledger of what was told, kept in the status of each NotificationRule: the next replica, or the next start, goes on
//! from there.
//!
//! It has a field manager of its own, so that it and the rest of the status never write over each other. A rule that is
//! gone keeps nothing: what it had opened is closed by the process that saw it go.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures::{StreamExt, TryStreamExt, stream};
use health_manifests::status::LedgerEntry;
use health_model::RuleId;
use health_notifications::{Entry, LedgerChange, LedgerError, LedgerFuture, LedgerKey, LedgerStore};
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::json;
use tokio::sync::watch as state;

use super::{
    ledger_lines::{self, Kept},
    metrics::ClusterMetrics,
    source::Statuses,
    watch::Kind,
};

/// Who writes the ledger, as the API server tells writers apart.
const LEDGER_MANAGER: &str = "health-check-operator-ledger";
/// Rules written at once.
const WRITERS: usize = 8;
/// Keeps the ledger in the rules' statuses.
pub(crate) struct RuleLedger {
    client: Client,
    statuses: state::Receiver<Statuses>,
    metrics: ClusterMetrics,
    kept: Mutex<BTreeMap<RuleId, Kept>>,
}

impl RuleLedger {
    pub(super) fn new(client: Client, statuses: state::Receiver<Statuses>, metrics: ClusterMetrics) -> Self {
        Self { client, statuses, metrics, kept: Mutex::default() }
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<RuleId, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in changes; says which rules' statuses no longer say what is kept.
    fn take(&self, changes: &[LedgerChange]) -> BTreeSet<RuleId> {
        let mut kept = self.locked();
        for LedgerChange { key, entry } in changes {
            let LedgerKey { rule, destination, check } = key.clone();
            let lines = kept.entry(rule).or_default();
            match entry {
                Some(entry) => lines.insert((check, destination), entry.clone()),
                None => lines.remove(&(check, destination)),
            };
        }
        changes.iter().map(|change| change.key.rule.clone()).collect()
    }

    fn lines(&self, rule: &RuleId) -> Vec<LedgerEntry> {
        let kept = self.locked().get(rule).cloned().unwrap_or_default();
        let (lines, left_out) = ledger_lines::write(&kept);
        if left_out > 0 {
            self.metrics.ledger_truncated();
            tracing::warn!(%rule, left_out, total = kept.len(), "an object has no room for all that was told");
        }
        lines
    }

    async fn write_rule(&self, rule: RuleId) -> Result<(), LedgerError> {
        let resource = Kind::NotificationRule.resource();
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), rule.namespace(), &resource);
        let body = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": rule.name(), "namespace": rule.namespace()},
            "status": {"ledger": self.lines(&rule)},
        });
        let parameters = PatchParams::apply(LEDGER_MANAGER).force();
        match api.patch_status(rule.name(), &parameters, &Patch::Apply(&body)).await {
            Ok(_) => Ok(()),
            // The rule is gone, and its ledger with it.
            Err(kube::Error::Api(status)) if status.code == 404 => {
                self.locked().remove(&rule);
                Ok(())
            }
            Err(kube::Error::Api(status)) => Err(LedgerError::Unavailable(format!(
                "the API server refused the status of NotificationRule {rule} ({})",
                status.code
            ))),
            Err(_) => Err(LedgerError::Unavailable("the API server is out of reach".to_owned())),
        }
    }
}

impl LedgerStore for RuleLedger {
    fn load(&self) -> LedgerFuture<'_, Vec<(LedgerKey, Entry)>> {
        Box::pin(async {
            let mut statuses = self.statuses.clone();
            let listed = statuses.wait_for(Option::is_some).await.map(|statuses| statuses.clone());
            let listed = listed.map_err(|_ended| LedgerError::Unavailable("the watch has ended".to_owned()))?;
            let statuses = listed.unwrap_or_default();
            let all: Vec<(LedgerKey, Entry)> = statuses
                .iter()
                .flat_map(|(rule, status)| status.ledger.iter().flat_map(|line| ledger_lines::read(rule, line)))
                .collect();
            let changes: Vec<LedgerChange> =
                all.iter().map(|(key, entry)| LedgerChange { key: key.clone(), entry: Some(entry.clone()) }).collect();
            self.take(&changes);
            Ok(all)
        })
    }

    fn write<'a>(&'a self, changes: &'a [LedgerChange]) -> LedgerFuture<'a, ()> {
        let rules = self.take(changes);
        let writes = stream::iter(rules).map(|rule| self.write_rule(rule)).buffer_unordered(WRITERS);
        Box::pin(writes.try_collect())
    }
}
