//! `status` of a NotificationRule: what stands, what was told, and the ledger that survives restarts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, time_schema};

/// What stands and what was told. Times are RFC 3339.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotificationRuleStatus {
    /// Whether each check is healthy.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub health_check_status: BTreeMap<String, bool>,
    /// When a message was last accepted by a provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time_schema")]
    pub last_notification: Option<Timestamp>,
    /// When a resolve was last accepted by a provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time_schema")]
    pub last_resolve_notification: Option<Timestamp>,
    /// How the rule sees each check that is not merely healthy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["check".into()]))]
    pub checks: Vec<RuleCheckStatus>,
    /// What was told, per check and channel: the operator's memory over restarts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub ledger: Vec<LedgerEntry>,
    /// The generation of the spec that this status judges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready` (the manifest was understood) and `Delivering`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

impl NotificationRuleStatus {
    /// The type of the condition that says whether every channel accepts messages.
    pub const DELIVERING: &'static str = "Delivering";
    /// The type of the condition that says whether the manifest was understood.
    pub const READY: &'static str = "Ready";
}

/// How a rule sees one check.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleCheckStatus {
    /// The check's name.
    pub check: String,
    /// `Waiting`, `Held`, `Firing`, `Resolved`: the notification engine's word.
    pub state: String,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time_schema")]
    pub since: Option<Timestamp>,
    /// When it was last told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time_schema")]
    pub told_at: Option<Timestamp>,
    /// More, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// One line of the ledger: what one channel knows of one check.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LedgerEntry {
    /// The check's name.
    pub check: String,
    /// The channel: its kind, and where there are several of a kind, which (`slack`, `slack/secret/key`).
    pub channel: String,
    /// Where it stands: the notification engine's word.
    pub state: String,
    /// Since when it stands so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time_schema")]
    pub since: Option<Timestamp>,
    /// When the provider last accepted a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time_schema")]
    pub told_at: Option<Timestamp>,
    /// The key under which the provider recognises a message sent twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedup_key: Option<String>,
    /// Whatever else the notification engine must remember; never a secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub detail: BTreeMap<String, String>,
}
