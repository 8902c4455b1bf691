//! The channels of a NotificationRule. Each also takes `message` and `resolveMessage`.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    http::UrlText,
    value::{KeyRef, NamedValueOrRef, ValueOrRef, ValueSource},
};

/// Incoming-webhook addresses: exactly one of `url` and `secret`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.url) != has(self.secret)").message("needs exactly one source; give url or secret"))]
pub struct Webhook {
    /// The address itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^[hH][tT][tT][pP][sS]?://[^/]')").message("is no http or https address; write one like https://example.org/hook"))]
    pub url: Option<UrlText>,
    /// Keys of Secrets that hold one address each; every one of them is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub secret: Option<Vec<KeyRef>>,
}

/// Slack, Mattermost, Rocket.Chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Slack {
    /// Where to post.
    pub webhook: Webhook,
    /// Name shown as the sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub username: Option<String>,
    /// Channel, such as `#general`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub channel: Option<String>,
    /// Message while a check fails: plain text, or Slack JSON (attachment or blocks).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub message: Option<String>,
    /// Message when it has recovered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub resolve_message: Option<String>,
}

/// A chat that takes an incoming webhook: Discord, Microsoft Teams, Google Chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Chat {
    /// Where to post.
    pub webhook: Webhook,
    /// Message while a check fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub message: Option<String>,
    /// Message when it has recovered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub resolve_message: Option<String>,
}

/// Telegram.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Telegram {
    /// The bot's token.
    pub bot_token: ValueOrRef,
    /// The chat's id.
    pub chat_id: ValueOrRef,
    /// Address of the API (default https://api.telegram.org).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^[hH][tT][tT][pP][sS]?://[^/]')").message("is no http or https address; write one like https://example.org/path"))]
    pub api_url: Option<UrlText>,
    /// Message while a check fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub message: Option<String>,
    /// Message when it has recovered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub resolve_message: Option<String>,
}

/// PagerDuty (Events v2): one incident per check, closed by the resolve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pagerduty {
    /// Integration key.
    pub routing_key: ValueOrRef,
    /// Address of the API (default https://events.pagerduty.com).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^[hH][tT][tT][pP][sS]?://[^/]')").message("is no http or https address; write one like https://example.org/path"))]
    pub api_url: Option<UrlText>,
    /// Message while a check fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub message: Option<String>,
    /// Message when it has recovered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub resolve_message: Option<String>,
}

/// Opsgenie: one alert per check, closed by the resolve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Opsgenie {
    /// API key.
    pub api_key: ValueOrRef,
    /// Address of the API (default https://api.opsgenie.com).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^[hH][tT][tT][pP][sS]?://[^/]')").message("is no http or https address; write one like https://example.org/path"))]
    pub api_url: Option<UrlText>,
    /// Message while a check fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub message: Option<String>,
    /// Message when it has recovered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub resolve_message: Option<String>,
}

/// ntfy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ntfy {
    /// The server (default https://ntfy.sh).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^[hH][tT][tT][pP][sS]?://[^/]')").message("is no http or https address; write one like https://example.org/path"))]
    pub url: Option<UrlText>,
    /// The topic; whoever knows it may read along on a public server.
    pub topic: ValueOrRef,
    /// Access token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<ValueOrRef>,
    /// Message while a check fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub message: Option<String>,
    /// Message when it has recovered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub resolve_message: Option<String>,
}

/// Matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Matrix {
    /// The homeserver's address.
    #[x_kube(validation = Rule::new("self.matches('^[hH][tT][tT][pP][sS]?://[^/]')").message("is no http or https address; write one like https://example.org/path"))]
    pub homeserver: UrlText,
    /// The room's id, such as `!abc:example.org`.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = Rule::new("self.startsWith('!') || self.startsWith('#')").message("is no room; write its id, as in !abc:example.org"))]
    pub room: String,
    /// Access token.
    pub token: ValueOrRef,
    /// Message while a check fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub message: Option<String>,
    /// Message when it has recovered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub resolve_message: Option<String>,
}

/// E-mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Email {
    /// Recipients.
    #[schemars(length(min = 1, max = 64), inner(length(min = 3, max = 320)))]
    #[x_kube(validation = Rule::new("self.all(address, address.contains('@'))").message("is no mail address; write one like ops@example.org"))]
    pub to: Vec<String>,
    /// Sender.
    #[schemars(length(min = 3, max = 320))]
    #[x_kube(validation = Rule::new("self.contains('@')").message("is no mail address; write one like ops@example.org"))]
    pub from: String,
    /// The mail server.
    pub smtp: Smtp,
    /// Message while a check fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub message: Option<String>,
    /// Message when it has recovered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub resolve_message: Option<String>,
}

/// A mail server: `username` and `password` both, or neither.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.username) == has(self.password)").message("has half of the credentials; give username and password, or neither"))]
pub struct Smtp {
    /// Name or address.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = Rule::new("!self.contains('/')").message("is no host; write a DNS name or an address, without scheme, port or path"))]
    pub host: String,
    /// Port (default 587 with StartTls, 465 with Implicit, 25 with None).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i64>,
    /// The user's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<ValueOrRef>,
    /// The password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<ValueOrRef>,
    /// How the server is spoken to (default StartTls, required).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<SmtpTls>,
}

/// How the server is spoken to (default StartTls, required).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum SmtpTls {
    /// STARTTLS, required.
    StartTls,
    /// TLS from the first byte.
    Implicit,
    /// None.
    None,
}

/// Alertmanager: posts to `/api/v2/alerts` of all, and refreshes while firing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Alertmanager {
    /// Addresses of every replica.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(validation = Rule::new("self.all(url, url.matches('^[hH][tT][tT][pP][sS]?://[^/]'))").message("is no http or https address; write one like https://example.org/path"))]
    #[x_kube(validation = Rule::new("self.all(url, !url.matches('^[^/]*//[^/?#]*@'))").message("holds user info; remove it: it cannot be sent there"))]
    pub urls: Vec<UrlText>,
    /// Message while a check fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub message: Option<String>,
    /// Message when it has recovered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub resolve_message: Option<String>,
}

/// A webhook of one's own: exactly one of `url` and `urlFrom`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.url) != has(self.urlFrom)").message("needs exactly one target; give url or urlFrom"))]
pub struct CustomWebhook {
    /// Where to send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^[hH][tT][tT][pP][sS]?://[^/]')").message("is no http or https address; write one like https://example.org/hook"))]
    pub url: Option<UrlText>,
    /// Where to send, read from a Secret or ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_from: Option<ValueSource>,
    /// Method (default POST).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^[-!#$%&*+.^_`|~0-9A-Za-z]+$')").message("is no method that can be sent; write GET, HEAD, POST, …"))]
    pub method: Option<String>,
    /// Headers to send.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub headers: Vec<NamedValueOrRef>,
    /// Template of the body (default: JSON with every check).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub body: Option<String>,
    /// Key that signs the body: `X-Signature-256: sha256=…` (HMAC-SHA-256).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hmac_secret: Option<ValueOrRef>,
    /// Message while a check fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub message: Option<String>,
    /// Message when it has recovered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16384))]
    pub resolve_message: Option<String>,
}
