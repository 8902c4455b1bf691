//! Where a rule tells: one destination per address, and what is particular about each kind. Sends nothing.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use health_model::{Channel, ChannelKind, RuleSpec};

use crate::ledger::DestinationKey;

/// How often an Alertmanager is told again of what fires, whatever `repeatAfter` says.
pub(crate) const ALERTMANAGER_REFRESH: Duration = Duration::from_secs(60);
/// Checks that fail together and are more than this share one incident.
pub(crate) const MOST_SINGLE_INCIDENTS: usize = 3;
/// Checks in one message that lists them all.
const MOST_LISTED: usize = 5000;

/// One address of one channel of a rule.
#[derive(Clone, Debug)]
pub struct Destination {
    spec: Arc<RuleSpec>,
    channel: usize,
    address: usize,
}

/// What closing means there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// People read along: every message makes a noise.
    Chat,
    /// One incident per check, opened and closed by key.
    Incident,
    /// Alerts that end by themselves when they are not refreshed.
    Refreshed,
}

impl Destination {
    /// Every destination of a rule.
    pub fn of(spec: &Arc<RuleSpec>) -> Vec<(DestinationKey, Self)> {
        let mut found: Vec<(DestinationKey, Self)> = Vec::new();
        for (channel, section) in spec.channels.iter().enumerate() {
            for (address, label) in labels(section).into_iter().enumerate() {
                let taken =
                    |label: &str| found.iter().any(|(key, _)| key.channel == section.kind() && &*key.label == label);
                let label = if taken(&label) { format!("{label}#{}", address + 1) } else { label };
                let key = DestinationKey { channel: section.kind(), label: label.into() };
                found.push((key, Self { spec: Arc::clone(spec), channel, address }));
            }
        }
        found
    }

    /// The channel's section of the rule.
    #[expect(clippy::indexing_slicing, reason = "made by enumerating these very channels")]
    pub fn channel(&self) -> &Channel {
        &self.spec.channels[self.channel]
    }

    /// Which of the channel's addresses.
    pub fn address(&self) -> usize {
        self.address
    }

    pub(crate) fn spec(&self) -> &Arc<RuleSpec> {
        &self.spec
    }

    pub(crate) fn style(&self) -> Style {
        match self.channel().kind() {
            ChannelKind::Pagerduty | ChannelKind::Opsgenie => Style::Incident,
            ChannelKind::Alertmanager => Style::Refreshed,
            ChannelKind::Slack
            | ChannelKind::Discord
            | ChannelKind::Teams
            | ChannelKind::GoogleChat
            | ChannelKind::Telegram
            | ChannelKind::Ntfy
            | ChannelKind::Matrix
            | ChannelKind::Email
            | ChannelKind::Webhook => Style::Chat,
        }
    }

    /// The least time between two messages to the same address.
    pub(crate) fn spacing(&self) -> Duration {
        match self.channel().kind() {
            ChannelKind::Webhook | ChannelKind::Alertmanager | ChannelKind::Pagerduty | ChannelKind::Opsgenie => {
                Duration::from_millis(500)
            }
            _ => Duration::from_secs(1),
        }
    }

    /// The most checks that one message can carry.
    pub(crate) fn most_members(&self) -> usize {
        match self.channel().kind() {
            ChannelKind::Webhook | ChannelKind::Alertmanager => MOST_LISTED,
            _ => usize::MAX,
        }
    }

    /// A number that is the same for all destinations that share an address, so that they share its rate limit.
    pub(crate) fn address_hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.channel().kind().hash(&mut hasher);
        crate::channel::secrets(self.channel(), self.address).hash(&mut hasher);
        hasher.finish()
    }

    /// Whether the other is reached in the same way, texts aside.
    pub(crate) fn same_address(&self, other: &Self) -> bool {
        self.address_hash() == other.address_hash() && self.channel() == other.channel()
    }
}

fn labels(channel: &Channel) -> Vec<String> {
    match channel {
        Channel::Slack { webhooks, .. }
        | Channel::Discord { webhooks, .. }
        | Channel::Teams { webhooks, .. }
        | Channel::GoogleChat { webhooks, .. } => webhooks.iter().map(|webhook| webhook.label.clone()).collect(),
        Channel::Alertmanager { urls, .. } => urls.iter().map(host_and_port).collect(),
        Channel::Telegram { .. }
        | Channel::Pagerduty { .. }
        | Channel::Opsgenie { .. }
        | Channel::Ntfy { .. }
        | Channel::Matrix { .. }
        | Channel::Email { .. }
        | Channel::Webhook { .. } => vec![String::new()],
    }
}

fn host_and_port(url: &url::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
