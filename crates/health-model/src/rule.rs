//! What a notification rule is once its manifest has been understood: whom to tell, of which checks, when.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{MaintenanceWindow, RuleId, Sensitive, Severity, SpecProblem};

/// A rule as its source declares it: understood, or not, and then why.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleDefinition {
    /// Namespace and name.
    pub id: RuleId,
    /// `metadata.generation`; 0 where there is none.
    pub generation: i64,
    /// `metadata.uid`, in a cluster.
    pub uid: Option<Arc<str>>,
    /// The rule, ready to be applied, or what is wrong with it.
    pub spec: Result<Arc<RuleSpec>, SpecProblem>,
}

/// Everything a rule's `spec` says, with defaults filled in and references resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleSpec {
    /// `checks`: names in the rule's namespace.
    pub checks: Vec<Arc<str>>,
    /// `selector`: labels of checks in the rule's namespace.
    pub selector: Option<LabelSelector>,
    /// The channels, at least one, in the order of [`ChannelKind`].
    pub channels: Vec<Channel>,
    /// `waitBeforeSend`: how long a check must keep failing before the first message.
    pub wait_before_send: Duration,
    /// `repeatAfter`: the time between repeats; absent tells once.
    pub repeat_after: Option<Duration>,
    /// `sendResolved`
    pub send_resolved: bool,
    /// `groupWait`: what turns within it goes out as one message.
    pub group_wait: Duration,
    /// `suspend`: this rule tells nobody.
    pub suspend: bool,
    /// `quietHours`
    pub quiet_hours: Vec<MaintenanceWindow>,
    /// `minSeverity`
    pub min_severity: Severity,
}

/// A Kubernetes label selector: all requirements must hold. An empty one matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    /// The requirements (`matchLabels` become `In` with one value).
    pub requirements: Vec<LabelRequirement>,
}

/// One requirement of a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelRequirement {
    /// The label's key.
    pub key: String,
    /// How it is compared.
    pub operator: SelectorOperator,
    /// With what.
    pub values: Vec<String>,
}

/// How a selector compares a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectorOperator {
    /// The value is one of these.
    In,
    /// The label is absent or its value none of these.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
}

impl LabelSelector {
    /// Whether labels satisfy every requirement.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|requirement| requirement.matches(labels))
    }

    /// Reads the selector syntax of `kubectl -l`: `a=b,c!=d,e in (f,g),h notin (i),j,!k`.
    ///
    /// # Errors
    /// The part that could not be read.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut requirements = Vec::new();
        for part in split_outside_parentheses(text) {
            let part = part.trim();
            if !part.is_empty() {
                requirements.push(parse_requirement(part).ok_or_else(|| part.to_owned())?);
            }
        }
        Ok(Self { requirements })
    }
}

impl LabelRequirement {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            SelectorOperator::In => value.is_some_and(|value| self.values.contains(value)),
            SelectorOperator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            SelectorOperator::Exists => value.is_some(),
            SelectorOperator::DoesNotExist => value.is_none(),
        }
    }
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_i32, 0);
    for (index, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn parse_requirement(part: &str) -> Option<LabelRequirement> {
    let requirement = |key: &str, operator, values: Vec<String>| {
        let key = key.trim();
        let plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
        plain.then(|| LabelRequirement { key: key.to_owned(), operator, values })
    };
    let one = |value: &str| vec![value.trim().to_owned()];
    if let Some(open) = part.find('(') {
        let list = part[open + 1..].strip_suffix(')')?;
        let values = list.split(',').map(|value| value.trim().to_owned()).collect();
        let (key, word) = part[..open].trim().rsplit_once(char::is_whitespace)?;
        return match word {
            "in" => requirement(key, SelectorOperator::In, values),
            "notin" => requirement(key, SelectorOperator::NotIn, values),
            _ => None,
        };
    }
    if let Some((key, value)) = part.split_once("!=") {
        return requirement(key, SelectorOperator::NotIn, one(value));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return requirement(key, SelectorOperator::In, one(value));
    }
    match part.strip_prefix('!') {
        Some(key) => requirement(key, SelectorOperator::DoesNotExist, Vec::new()),
        None => requirement(part, SelectorOperator::Exists, Vec::new()),
    }
}

/// The kind of a channel: the `channel` label of metrics and the section's name in the spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ChannelKind {
    /// Slack, Mattermost, Rocket.Chat.
    Slack,
    /// Discord.
    Discord,
    /// Microsoft Teams.
    Teams,
    /// Google Chat.
    GoogleChat,
    /// Telegram.
    Telegram,
    /// PagerDuty Events v2.
    Pagerduty,
    /// Opsgenie.
    Opsgenie,
    /// ntfy.
    Ntfy,
    /// Matrix.
    Matrix,
    /// E-mail.
    Email,
    /// Alertmanager.
    Alertmanager,
    /// A webhook of one's own.
    Webhook,
}

impl ChannelKind {
    /// The section's name in the spec.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Discord => "discord",
            Self::Teams => "teams",
            Self::GoogleChat => "googleChat",
            Self::Telegram => "telegram",
            Self::Pagerduty => "pagerduty",
            Self::Opsgenie => "opsgenie",
            Self::Ntfy => "ntfy",
            Self::Matrix => "matrix",
            Self::Email => "email",
            Self::Alertmanager => "alertmanager",
            Self::Webhook => "webhook",
        }
    }
}

/// The two templates of a channel; absent means the default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Texts {
    /// `message`
    pub message: Option<String>,
    /// `resolveMessage`
    pub resolve_message: Option<String>,
}

/// One incoming-webhook address; several secrets make several of them.
#[derive(Clone, Debug, PartialEq)]
pub struct SlackWebhook {
    /// A name that is no secret: `url`, or `secret-name/key`. It identifies the address in ledger and metrics.
    pub label: String,
    /// The address.
    pub url: Sensitive,
}

/// How a mail server is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmailTls {
    /// STARTTLS, required.
    #[default]
    StartTls,
    /// TLS from the first byte.
    Implicit,
    /// None.
    None,
}

/// Where and how to tell.
#[derive(Clone, Debug, PartialEq)]
pub enum Channel {
    /// `slack`
    Slack {
        /// `webhook`
        webhooks: Vec<SlackWebhook>,
        /// `username`
        username: Option<String>,
        /// `channel`
        channel: Option<String>,
        /// `message`, `resolveMessage`
        texts: Texts,
    },
    /// `discord`
    Discord {
        /// `webhook`
        webhooks: Vec<SlackWebhook>,
        /// `message`, `resolveMessage`
        texts: Texts,
    },
    /// `teams`
    Teams {
        /// `webhook`
        webhooks: Vec<SlackWebhook>,
        /// `message`, `resolveMessage`
        texts: Texts,
    },
    /// `googleChat`
    GoogleChat {
        /// `webhook`
        webhooks: Vec<SlackWebhook>,
        /// `message`, `resolveMessage`
        texts: Texts,
    },
    /// `telegram`
    Telegram {
        /// `apiUrl`, default `https://api.telegram.org`
        api_url: Url,
        /// `botToken`
        bot_token: Sensitive,
        /// `chatId`
        chat_id: Sensitive,
        /// `message`, `resolveMessage`
        texts: Texts,
    },
    /// `pagerduty`
    Pagerduty {
        /// `apiUrl`, default `https://events.pagerduty.com`
        api_url: Url,
        /// `routingKey`
        routing_key: Sensitive,
        /// `message`, `resolveMessage`
        texts: Texts,
    },
    /// `opsgenie`
    Opsgenie {
        /// `apiUrl`, default `https://api.opsgenie.com`
        api_url: Url,
        /// `apiKey`
        api_key: Sensitive,
        /// `message`, `resolveMessage`
        texts: Texts,
    },
    /// `ntfy`
    Ntfy {
        /// `url`, default `https://ntfy.sh`
        url: Url,
        /// `topic`
        topic: Sensitive,
        /// `token`
        token: Option<Sensitive>,
        /// `message`, `resolveMessage`
        texts: Texts,
    },
    /// `matrix`
    Matrix {
        /// `homeserver`
        homeserver: Url,
        /// `room`
        room: String,
        /// `token`
        token: Sensitive,
        /// `message`, `resolveMessage`
        texts: Texts,
    },
    /// `email`
    Email {
        /// `to`, at least one
        to: Vec<String>,
        /// `from`
        from: String,
        /// `smtp.host`
        host: String,
        /// `smtp.port`
        port: u16,
        /// `smtp.username`, `smtp.password`
        credentials: Option<crate::BasicCredentials>,
        /// `smtp.tls`
        tls: EmailTls,
        /// `message`, `resolveMessage`
        texts: Texts,
    },
    /// `alertmanager`
    Alertmanager {
        /// `urls`, at least one
        urls: Vec<Url>,
        /// `message`, `resolveMessage`
        texts: Texts,
    },
    /// `webhook`
    Webhook {
        /// `url`
        url: Sensitive,
        /// `method`, default `POST`
        method: String,
        /// `headers`
        headers: Vec<crate::NamedValue>,
        /// `body`: a template; absent means the documented JSON
        body: Option<String>,
        /// `hmacSecret`
        hmac_secret: Option<Sensitive>,
        /// `message`, `resolveMessage`
        texts: Texts,
    },
}

impl Channel {
    /// Which kind it is.
    pub const fn kind(&self) -> ChannelKind {
        match self {
            Self::Slack { .. } => ChannelKind::Slack,
            Self::Discord { .. } => ChannelKind::Discord,
            Self::Teams { .. } => ChannelKind::Teams,
            Self::GoogleChat { .. } => ChannelKind::GoogleChat,
            Self::Telegram { .. } => ChannelKind::Telegram,
            Self::Pagerduty { .. } => ChannelKind::Pagerduty,
            Self::Opsgenie { .. } => ChannelKind::Opsgenie,
            Self::Ntfy { .. } => ChannelKind::Ntfy,
            Self::Matrix { .. } => ChannelKind::Matrix,
            Self::Email { .. } => ChannelKind::Email,
            Self::Alertmanager { .. } => ChannelKind::Alertmanager,
            Self::Webhook { .. } => ChannelKind::Webhook,
        }
    }
}
