//! NotificationRule: whom to tell, of which checks, when.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    channel::{Alertmanager, Chat, CustomWebhook, Email, Matrix, Ntfy, Opsgenie, Pagerduty, Slack, Telegram},
    health_check::{SeveritySpec, severity_schema},
    value::NumberOrText,
};
use crate::status::NotificationRuleStatus;

/// Whom to tell, of which checks, when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "check.cloudders.com",
    version = "v1alpha1",
    kind = "NotificationRule",
    namespaced,
    status = "NotificationRuleStatus",
    category = "cloudders",
    doc = "Whom to tell, of which checks, when, and what has been told.",
    printcolumn = r#"{"name":"Last Notification","type":"date","jsonPath":".status.lastNotification","description":"When a message was last accepted"}"#,
    printcolumn = r#"{"name":"Last Resolved Notification","type":"date","jsonPath":".status.lastResolveNotification","description":"When a resolve was last accepted"}"#,
    printcolumn = r#"{"name":"Current Status","type":"string","jsonPath":".status.healthCheckStatus","description":"Whether each check is healthy"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.checks) && self.checks.size() > 0) || has(self.selector)").message("names no check; give checks or selector"))]
#[x_kube(validation = Rule::new("has(self.slack) || has(self.discord) || has(self.teams) || has(self.googleChat) || has(self.telegram) || has(self.pagerduty) || has(self.opsgenie) || has(self.ntfy) || has(self.matrix) || has(self.email) || has(self.alertmanager) || has(self.webhook)").message("has no channel; give at least one of slack, discord, teams, googleChat, telegram, pagerduty, opsgenie, ntfy, matrix, email, alertmanager, webhook"))]
pub struct NotificationRuleSpec {
    /// Names of checks in this namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), inner(length(min = 1, max = 253)))]
    pub checks: Vec<String>,
    /// Labels of checks in this namespace; an empty selector means all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
    /// Channel: Slack, Mattermost, Rocket.Chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slack: Option<Slack>,
    /// Channel: Discord.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discord: Option<Chat>,
    /// Channel: Microsoft Teams (Adaptive Card).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teams: Option<Chat>,
    /// Channel: Google Chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub google_chat: Option<Chat>,
    /// Channel: Telegram.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telegram: Option<Telegram>,
    /// Channel: PagerDuty (Events v2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pagerduty: Option<Pagerduty>,
    /// Channel: Opsgenie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opsgenie: Option<Opsgenie>,
    /// Channel: ntfy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ntfy: Option<Ntfy>,
    /// Channel: Matrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix: Option<Matrix>,
    /// Channel: E-mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Email>,
    /// Channel: Alertmanager.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alertmanager: Option<Alertmanager>,
    /// Channel: A webhook of one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<CustomWebhook>,
    /// How long a check must keep failing before the first message: whole minutes or a duration (default 0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("type(self) == int ? self >= 0 : self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h|d))+$')").message("is no duration; write whole minutes (5) or a duration such as \"500ms\", \"1m30s\", \"1h\""))]
    pub wait_before_send: Option<NumberOrText>,
    /// Time between repeats while it still fails: whole minutes or a duration (default, or 0: told once).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("type(self) == int ? self >= 0 : self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h|d))+$')").message("is no duration; write whole minutes (5) or a duration such as \"500ms\", \"1m30s\", \"1h\""))]
    pub repeat_after: Option<NumberOrText>,
    /// Whether a recovered check sends a resolve (default true).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_resolved: Option<bool>,
    /// What turns within this time goes out as one message: whole seconds or a duration (default 5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("type(self) == int ? self >= 0 : self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h|d))+$')").message("is no duration; write whole seconds (60) or a duration such as \"500ms\", \"1m30s\", \"1h\""))]
    pub group_wait: Option<NumberOrText>,
    /// Tells nobody while true (default false).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// Times in which nobody is told; what still fails at the end is told then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub quiet_hours: Vec<QuietHours>,
    /// Checks of lower severity tell nobody (default info).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "severity_schema")]
    pub min_severity: Option<SeveritySpec>,
}

/// A label selector: every requirement must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Selector {
    /// Labels and the values they must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "label_map")]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub match_expressions: Vec<SelectorRequirement>,
}

fn label_map(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": { "type": "string", "maxLength": 63 },
    })
}

/// One requirement of a selector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.operator == 'In' || self.operator == 'NotIn') == (has(self.values) && self.values.size() > 0)").message("has values that do not fit its operator; give values with In and NotIn, none with Exists and DoesNotExist"))]
pub struct SelectorRequirement {
    /// The label's key.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// How it is compared.
    pub operator: SelectorOperatorSpec,
    /// With what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)))]
    pub values: Vec<String>,
}

/// How a selector compares a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum SelectorOperatorSpec {
    /// The value is one of these.
    In,
    /// The label is absent or its value none of these.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
}

/// A window that comes again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuietHours {
    /// When it opens: a cron expression of five fields (minute, hour, day of month, month, day of week).
    #[schemars(length(min = 1, max = 128))]
    pub schedule: String,
    /// How long it stays open: whole seconds or a duration ("8h").
    #[x_kube(validation = Rule::new("type(self) == int ? self >= 1 : self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h|d))+$')").message("is no duration; write whole seconds (60) or a duration such as \"500ms\", \"1m30s\", \"1h\""))]
    pub duration: NumberOrText,
    /// Time zone of the schedule (default UTC), such as Europe/Zurich.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
}
