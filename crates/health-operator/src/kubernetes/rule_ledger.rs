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
use health_model::{CheckId, RuleId};
use health_notifications::{
    DestinationKey, Entry, LedgerChange, LedgerError, LedgerFuture, LedgerKey, LedgerStore, Phase,
};
use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::json;
use tokio::sync::watch as state;

use super::{metrics::ClusterMetrics, source::Statuses, watch::Kind};

/// Who writes the ledger, as the API server tells writers apart.
const LEDGER_MANAGER: &str = "health-check-operator-ledger";
/// Rules written at once.
const WRITERS: usize = 8;
/// Most bytes of one rule's ledger: an object may have about 1.5 MB. What must still be told or closed comes first.
const MOST_BYTES: usize = 900_000;
/// The key of the entry itself among the details of a line.
const ENTRY: &str = "entry";
/// The key of the destination among the details of a line.
const DESTINATION: &str = "destination";

type Lines = BTreeMap<(CheckId, DestinationKey), Entry>;

/// Keeps the ledger in the rules' statuses.
pub(crate) struct RuleLedger {
    client: Client,
    statuses: state::Receiver<Statuses>,
    kept: Kept,
}

/// What is kept, and what of it has room in a status. No client inside.
#[derive(Default)]
struct Kept {
    rules: Mutex<BTreeMap<RuleId, Lines>>,
    metrics: ClusterMetrics,
}

impl RuleLedger {
    pub(super) fn new(client: Client, statuses: state::Receiver<Statuses>, metrics: ClusterMetrics) -> Self {
        Self { client, statuses, kept: Kept { rules: Mutex::default(), metrics } }
    }
}

impl Kept {
    fn locked(&self) -> MutexGuard<'_, BTreeMap<RuleId, Lines>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
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
        let kept = self.locked();
        let Some(lines) = kept.get(rule) else { return Vec::new() };
        let mut all: Vec<(&CheckId, &DestinationKey, &Entry)> =
            lines.iter().map(|((check, destination), entry)| (check, destination, entry)).collect();
        all.sort_by_key(|(_, _, entry)| matches!(entry.phase, Phase::Holding | Phase::Past));
        let mut bytes = 0;
        let (mut written, total) = (Vec::new(), all.len());
        for (check, destination, entry) in all {
            let Some((line, length)) = line(check, destination, entry) else { continue };
            bytes += length;
            if bytes > MOST_BYTES {
                break;
            }
            written.push(line);
        }
        if written.len() < total {
            self.metrics.ledger_truncated();
            tracing::warn!(%rule, kept = written.len(), total, "an object has no room for all that was told");
        }
        written
    }
}

impl RuleLedger {
    async fn write_rule(&self, rule: RuleId) -> Result<(), LedgerError> {
        let resource = Kind::NotificationRule.resource();
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), rule.namespace(), &resource);
        let body = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": rule.name(), "namespace": rule.namespace()},
            "status": {"ledger": self.kept.lines(&rule)},
        });
        let parameters = PatchParams::apply(LEDGER_MANAGER).force();
        match api.patch_status(rule.name(), &parameters, &Patch::Apply(&body)).await {
            Ok(_) => Ok(()),
            // The rule is gone, and its ledger with it.
            Err(kube::Error::Api(status)) if status.code == 404 => {
                self.kept.locked().remove(&rule);
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
                .flat_map(|(rule, status)| status.ledger.iter().filter_map(|line| read(rule, line)))
                .collect();
            let changes: Vec<LedgerChange> =
                all.iter().map(|(key, entry)| LedgerChange { key: key.clone(), entry: Some(entry.clone()) }).collect();
            self.kept.take(&changes);
            Ok(all)
        })
    }

    fn write<'a>(&'a self, changes: &'a [LedgerChange]) -> LedgerFuture<'a, ()> {
        let rules = self.kept.take(changes);
        let writes = stream::iter(rules).map(|rule| self.write_rule(rule)).buffer_unordered(WRITERS);
        Box::pin(writes.try_collect())
    }
}

/// A line for people, with the whole entry among its details; and its length in bytes.
fn line(check: &CheckId, destination: &DestinationKey, entry: &Entry) -> Option<(LedgerEntry, usize)> {
    let detail = BTreeMap::from([
        (ENTRY.to_owned(), serde_json::to_string(entry).ok()?),
        (DESTINATION.to_owned(), serde_json::to_string(destination).ok()?),
    ]);
    let line = LedgerEntry {
        check: check.name().to_owned(),
        channel: destination.to_string(),
        state: format!("{:?}", entry.phase),
        since: Some(entry.since),
        told_at: entry.told_at,
        dedup_key: entry.attempt.as_deref().map(str::to_owned),
        detail,
    };
    let length = serde_json::to_string(&line).ok()?.len();
    Some((line, length))
}

/// What a line keeps; a line that another version wrote, or that somebody broke, keeps nothing.
fn read(rule: &RuleId, line: &LedgerEntry) -> Option<(LedgerKey, Entry)> {
    let entry = serde_json::from_str(line.detail.get(ENTRY)?).ok()?;
    let destination = serde_json::from_str(line.detail.get(DESTINATION)?).ok()?;
    let check = CheckId::new(rule.namespace(), line.check.as_str());
    Some((LedgerKey { rule: rule.clone(), destination, check }, entry))
}

#[cfg(test)]
mod tests {
    use health_model::ChannelKind;

    use super::*;

    fn change(check: &str, phase: &str) -> LedgerChange {
        let entry = json!({
            "since": "2027-01-15T08:00:00Z", "phase": phase, "reason": "ConnectionRefused",
            "response": "x".repeat(256), "target": "y".repeat(256),
        });
        let destination = DestinationKey { channel: ChannelKind::Slack, label: "url".into() };
        let (rule, check) = (RuleId::new("default", "team"), CheckId::new("default", check));
        LedgerChange { key: LedgerKey { rule, destination, check }, entry: serde_json::from_value(entry).unwrap() }
    }

    #[test]
    fn what_is_kept_is_read_again_as_it_was() {
        let (kept, change) = (Kept::default(), change("web", "Told"));
        let rule = kept.take(std::slice::from_ref(&change)).pop_first().unwrap();
        let lines = kept.lines(&rule);
        let (key, entry) = read(&rule, &lines[0]).unwrap();
        assert_eq!((key, Some(entry)), (change.key, change.entry));
        assert!(
            read(&rule, &LedgerEntry { detail: BTreeMap::new(), ..lines[0].clone() }).is_none(),
            "another version's"
        );
    }

    #[test]
    fn a_status_too_large_keeps_what_must_be_told_or_closed_and_counts_that_it_left_something_out() {
        let kept = Kept::default();
        let held = (0..2000).map(|number| change(&format!("a-{number}"), "Holding"));
        let told = (0..500).map(|number| change(&format!("z-{number}"), "Told"));
        let changes: Vec<LedgerChange> = held.chain(told).collect();
        let rule = kept.take(&changes).pop_first().unwrap();
        let lines = kept.lines(&rule);
        let bytes = serde_json::to_string(&lines).unwrap().len();
        assert!(bytes <= MOST_BYTES + 2 * lines.len(), "{bytes}");
        assert_eq!(lines.iter().filter(|line| line.state == "Told").count(), 500);
        assert!(lines.len() < 2500);
        assert_eq!(kept.metrics.ledgers_truncated(), 1);
    }
}
