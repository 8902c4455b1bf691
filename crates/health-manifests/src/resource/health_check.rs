//! HealthCheck: the resource's spec and its probe sections.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    dns::Dns,
    grpc::Grpc,
    heartbeat::Heartbeat,
    http::{Http, SearchFor, UrlText},
    icmp::Icmp,
    tcp::Tcp,
    tls::SslCheck,
    udp::Udp,
    value::NumberOrText,
    websocket::WebSocket,
};
use crate::status::HealthCheckStatus;

/// What is checked, how often, and when it counts as healthy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "check.cloudders.com",
    version = "v1alpha1",
    kind = "HealthCheck",
    namespaced,
    status = "HealthCheckStatus",
    category = "cloudders",
    doc = "A target, how to ask it, and how it stands.",
    printcolumn = r#"{"name":"URL","type":"string","jsonPath":".status.target","description":"What is asked"}"#,
    printcolumn = r#"{"name":"Test Interval","type":"string","jsonPath":".spec.testInterval","description":"Time between probes"}"#,
    printcolumn = r#"{"name":"Last Checked","type":"date","jsonPath":".status.lastChecked","description":"When a probe last ended"}"#,
    printcolumn = r#"{"name":"Healthy","type":"boolean","jsonPath":".status.healthy","description":"What is believed"}"#,
    printcolumn = r#"{"name":"Response Time","type":"string","jsonPath":".status.responseTime","description":"How long the last probe took"}"#,
    printcolumn = r#"{"name":"Search Type","type":"string","jsonPath":".status.searchType","description":"string or expression"}"#,
    printcolumn = r#"{"name":"Search For","type":"string","jsonPath":".status.searchUsed","description":"What was searched for"}"#,
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.state","description":"Active, CheckBackoff or Errored"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.http), has(self.tcp), has(self.dns), has(self.grpc), has(self.icmp), has(self.websocket), has(self.udp), has(self.heartbeat), has(self.url) && !has(self.http)].filter(x, x).size() == 1").message("needs exactly one probe; give one of http, tcp, dns, grpc, icmp, websocket, udp and heartbeat"))]
#[x_kube(validation = Rule::new("!(has(self.url) && has(self.http))").message("has url beside http; keep one of the two"))]
#[x_kube(validation = Rule::new("!(has(self.searchFor) && has(self.http) && has(self.http.searchFor))").message("has searchFor beside and inside http; keep one of the two"))]
#[x_kube(validation = Rule::new("!(has(self.sslCheck) && ((has(self.http) && has(self.http.sslCheck)) || (has(self.tcp) && has(self.tcp.sslCheck)) || (has(self.grpc) && has(self.grpc.sslCheck))))").message("has sslCheck beside and inside the probe; keep one of the two"))]
#[x_kube(validation = Rule::new("!has(self.searchFor) || has(self.http) || has(self.url)").message("has searchFor without http; remove it"))]
#[x_kube(validation = Rule::new("!has(self.sslCheck) || has(self.http) || has(self.url) || has(self.tcp) || has(self.grpc)").message("has sslCheck for a probe that sees no certificate; remove it"))]
pub struct HealthCheckSpec {
    /// Time between probes, at least 100 ms: whole seconds (60) or a duration ("500ms", "1m30s").
    #[x_kube(validation = Rule::new("type(self) == int ? self >= 1 : (self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h|d))+$') && !self.matches('^[0-9]{1,2}([.][0-9]+)?ms$'))").message("is no duration of at least 100ms; write whole seconds (60) or a duration such as \"500ms\", \"1m30s\", \"1h\""))]
    pub test_interval: NumberOrText,
    /// One deadline for all of a probe: names, redirects, body. Default: the smaller of 10 s and testInterval, but no
    /// less than 1 s. It may exceed testInterval: a check never overlaps itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("type(self) == int ? self >= 1 : (self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h|d))+$'))").message("is no duration; write whole seconds (60) or a duration such as \"500ms\", \"1m30s\", \"1h\""))]
    pub timeout: Option<NumberOrText>,
    /// Not probed while true; the check keeps its last word and alerts nobody (default false).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// Consecutive failures before the check turns unhealthy (default 1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub failure_threshold: Option<i64>,
    /// Consecutive successes before the check turns healthy (default 1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub success_threshold: Option<i64>,
    /// How soon to ask again while a change is not yet confirmed by the thresholds (default: testInterval).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("type(self) == int ? self >= 1 : (self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h|d))+$') && !self.matches('^[0-9]{1,2}([.][0-9]+)?ms$'))").message("is no duration of at least 100ms; write whole seconds (60) or a duration such as \"500ms\", \"1m30s\", \"1h\""))]
    pub retry_interval: Option<NumberOrText>,
    /// Slower answers are unhealthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("type(self) == int ? self >= 1 : (self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h|d))+$'))").message("is no duration; write whole seconds (60) or a duration such as \"500ms\", \"1m30s\", \"1h\""))]
    pub max_latency: Option<NumberOrText>,
    /// Addresses to use (default Any: both families raced). Both: each family must pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_family: Option<IpFamilySpec>,
    /// Names of checks in this namespace: while one of them is down this one is probed and shown, but tells nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub depends_on: Vec<String>,
    /// Times in which nobody is told; what still fails at the end is told then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub maintenance: Vec<MaintenanceSpec>,
    /// What this check is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// What to do when it fails, for people: an http or https address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^[hH][tT][tT][pP][sS]?://[^/]')").message("is no http or https address; write one like https://example.org/path"))]
    pub runbook_url: Option<String>,
    /// How bad it is when it fails (default critical).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "severity_schema")]
    pub severity: Option<SeveritySpec>,
    /// Probe: an HTTP or HTTPS request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// Probe: a TCP connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<Tcp>,
    /// Probe: a DNS query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<Dns>,
    /// Probe: gRPC health.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<Grpc>,
    /// Probe: ICMP echo requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icmp: Option<Icmp>,
    /// Probe: a WebSocket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub websocket: Option<WebSocket>,
    /// Probe: a UDP datagram.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp: Option<Udp>,
    /// Probe: passive, something else reports in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Heartbeat>,
    /// Target of an HTTP check as versions up to 0.2 wrote it; `http.url` is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^[hH][tT][tT][pP][sS]?://[^/]')").message("is no http or https address; write one like https://example.org/health"))]
    pub url: Option<UrlText>,
    /// What the body must contain; the same as `http.searchFor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search_for: Option<SearchFor>,
    /// What the certificate must satisfy; the same as `sslCheck` inside the probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssl_check: Option<SslCheck>,
}

/// Addresses to use (default Any: both families, raced). Both: each family must pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum IpFamilySpec {
    /// Both families, raced (RFC 8305).
    Any,
    /// IPv4 only.
    IPv4,
    /// IPv6 only.
    IPv6,
    /// Each is probed, and each must pass.
    Both,
}

/// How bad it is when a check fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "lowercase")]
pub enum SeveritySpec {
    /// Good to know.
    Info,
    /// Somebody should look, during the day.
    Warning,
    /// Somebody must look now.
    Critical,
}

/// The words alone, so that each field keeps its own description.
pub(crate) fn severity_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "enum": ["info", "warning", "critical"] })
}

/// A window in time: `schedule` and `duration`, or `start` and `end`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.schedule) && has(self.duration) && !has(self.start) && !has(self.end)) || (has(self.start) && has(self.end) && !has(self.schedule) && !has(self.duration) && !has(self.timeZone))").message("is neither recurring nor once; give schedule and duration, or start and end"))]
#[x_kube(validation = Rule::new("!has(self.start) || !has(self.end) || !self.start.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?Z$') || !self.end.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?Z$') || timestamp(self.start) < timestamp(self.end)").message("ends before it starts; put end after start"))]
pub struct MaintenanceSpec {
    /// When it opens: a cron expression of five fields (minute, hour, day of month, month, day of week).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = Rule::new("self.matches('^ *[^ @]+( +[^ @]+){4} *$')").message("is no cron expression of five fields; write minute, hour, day of month, month and day of week, as in \"0 3 * * 0\""))]
    pub schedule: Option<String>,
    /// How long it stays open: whole seconds or a duration ("2h").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("type(self) == int ? self >= 1 : (self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h|d))+$'))").message("is no duration; write whole seconds (60) or a duration such as \"500ms\", \"1m30s\", \"1h\""))]
    pub duration: Option<NumberOrText>,
    /// Time zone of the schedule (default UTC), such as Europe/Zurich.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// When it opens, once (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^ *[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([zZ]|[+-][0-9]{2}:[0-9]{2}) *$')").message("is no time; write RFC 3339, as in 2026-01-31T22:00:00Z"))]
    pub start: Option<String>,
    /// When it closes (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^ *[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([zZ]|[+-][0-9]{2}:[0-9]{2}) *$')").message("is no time; write RFC 3339, as in 2026-01-31T22:00:00Z"))]
    pub end: Option<String>,
}
