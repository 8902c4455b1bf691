//! The spec of a NotificationRule as a whole.

use std::{sync::Arc, time::Duration};

use health_model::{Channel, LabelRequirement, LabelSelector, RuleSpec, SelectorOperator, Severity};

use super::{
    Conversion,
    duration::{Bounds, Unit},
};
use crate::{
    path::FieldPath,
    resource::{
        health_check::{MaintenanceSpec, SeveritySpec},
        notification_rule::{NotificationRuleSpec, QuietHours, Selector, SelectorOperatorSpec, SelectorRequirement},
    },
};

/// `groupWait` when none is given.
const DEFAULT_GROUP_WAIT: Duration = Duration::from_secs(5);
/// Whole minutes; nothing is accepted too.
const MINUTES: Bounds = Bounds { unit: Unit::Minutes, least: Duration::ZERO };

impl Conversion<'_> {
    /// Reads the spec of a rule.
    pub(crate) fn rule(&mut self, spec: &NotificationRuleSpec) -> Option<RuleSpec> {
        let root = FieldPath::root("spec");
        if spec.checks.is_empty() && spec.selector.is_none() {
            self.fault(root, "names no check", "give checks or selector");
        }
        let selector = spec.selector.as_ref().map(|selector| self.selector(&root.key("selector"), selector));
        let channels = self.channels(&root, spec);
        let wait = self.optional_duration(&root.key("waitBeforeSend"), spec.wait_before_send.as_ref(), MINUTES);
        let repeat = self.optional_duration(&root.key("repeatAfter"), spec.repeat_after.as_ref(), MINUTES);
        let group_wait = self.optional_duration(&root.key("groupWait"), spec.group_wait.as_ref(), Bounds::ANY);
        let quiet_hours = self.each(&root.key("quietHours"), &spec.quiet_hours, |conversion, path, hours| {
            let QuietHours { schedule, duration, time_zone } = hours.clone();
            let (schedule, duration) = (Some(schedule), Some(duration));
            conversion.window(path, &MaintenanceSpec { schedule, duration, time_zone, start: None, end: None })
        });
        Some(RuleSpec {
            checks: spec.checks.iter().map(|name| Arc::from(name.as_str())).collect(),
            selector: super::tcp::transpose(selector)?,
            channels: channels?,
            wait_before_send: wait?.unwrap_or_default(),
            repeat_after: repeat?.filter(|repeat| !repeat.is_zero()),
            send_resolved: spec.send_resolved.unwrap_or(true),
            group_wait: group_wait?.unwrap_or(DEFAULT_GROUP_WAIT),
            suspend: spec.suspend.unwrap_or(false),
            quiet_hours: quiet_hours?,
            min_severity: match spec.min_severity {
                None | Some(SeveritySpec::Info) => Severity::Info,
                Some(SeveritySpec::Warning) => Severity::Warning,
                Some(SeveritySpec::Critical) => Severity::Critical,
            },
        })
    }

    fn channels(&mut self, root: &FieldPath<'_>, spec: &NotificationRuleSpec) -> Option<Vec<Channel>> {
        let read = [
            spec.slack.as_ref().map(|slack| self.slack(&root.key("slack"), slack)),
            spec.discord.as_ref().map(|chat| self.chat(&root.key("discord"), chat, discord)),
            spec.teams.as_ref().map(|chat| self.chat(&root.key("teams"), chat, teams)),
            spec.google_chat.as_ref().map(|chat| self.chat(&root.key("googleChat"), chat, google_chat)),
            spec.telegram.as_ref().map(|telegram| self.telegram(&root.key("telegram"), telegram)),
            spec.pagerduty.as_ref().map(|pagerduty| self.pagerduty(&root.key("pagerduty"), pagerduty)),
            spec.opsgenie.as_ref().map(|opsgenie| self.opsgenie(&root.key("opsgenie"), opsgenie)),
            spec.ntfy.as_ref().map(|ntfy| self.ntfy(&root.key("ntfy"), ntfy)),
            spec.matrix.as_ref().map(|matrix| self.matrix(&root.key("matrix"), matrix)),
            spec.email.as_ref().map(|email| self.email(&root.key("email"), email)),
            spec.alertmanager.as_ref().map(|manager| self.alertmanager(&root.key("alertmanager"), manager)),
            spec.webhook.as_ref().map(|webhook| self.custom_webhook(&root.key("webhook"), webhook)),
        ];
        let read: Vec<Option<Channel>> = read.into_iter().flatten().collect();
        if read.is_empty() {
            let remedy = "give at least one of slack, discord, teams, googleChat, telegram, pagerduty, opsgenie, \
                          ntfy, matrix, email, alertmanager, webhook";
            self.fault(root, "has no channel", remedy);
        }
        read.into_iter().collect()
    }

    fn selector(&mut self, path: &FieldPath<'_>, selector: &Selector) -> Option<LabelSelector> {
        let Selector { match_labels, match_expressions } = selector;
        let expressions = self.each(&path.key("matchExpressions"), match_expressions, Self::requirement);
        let equal = match_labels.iter().map(|(key, value)| LabelRequirement {
            key: key.clone(),
            operator: SelectorOperator::In,
            values: vec![value.clone()],
        });
        let mut requirements: Vec<LabelRequirement> = equal.collect();
        requirements.extend(expressions?);
        Some(LabelSelector { requirements })
    }

    fn requirement(&mut self, path: &FieldPath<'_>, requirement: &SelectorRequirement) -> Option<LabelRequirement> {
        let SelectorRequirement { key, operator, values } = requirement;
        let operator = match operator {
            SelectorOperatorSpec::In => SelectorOperator::In,
            SelectorOperatorSpec::NotIn => SelectorOperator::NotIn,
            SelectorOperatorSpec::Exists => SelectorOperator::Exists,
            SelectorOperatorSpec::DoesNotExist => SelectorOperator::DoesNotExist,
        };
        let wants_values = matches!(operator, SelectorOperator::In | SelectorOperator::NotIn);
        if wants_values == values.is_empty() {
            let remedy = "give values with In and NotIn, none with Exists and DoesNotExist";
            self.fault(path, "has values that do not fit its operator", remedy);
            return None;
        }
        Some(LabelRequirement { key: key.clone(), operator, values: values.clone() })
    }
}

const fn discord(webhooks: Vec<health_model::SlackWebhook>, texts: health_model::Texts) -> Channel {
    Channel::Discord { webhooks, texts }
}

const fn teams(webhooks: Vec<health_model::SlackWebhook>, texts: health_model::Texts) -> Channel {
    Channel::Teams { webhooks, texts }
}

const fn google_chat(webhooks: Vec<health_model::SlackWebhook>, texts: health_model::Texts) -> Channel {
    Channel::GoogleChat { webhooks, texts }
}
