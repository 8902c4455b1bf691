//! HealthCheck: the resource's spec and its probe sections.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    http::{Http, SearchFor, UrlText},
    tcp::Tcp,
    tls::SslCheck,
    value::NumberOrText,
};

/// What is checked, how often, and when it counts as healthy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(group = "check.cloudders.com", version = "v1alpha1", kind = "HealthCheck", namespaced)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheckSpec {
    /// Time between probes, at least 100 ms: whole seconds (60) or a duration ("500ms", "1m30s").
    pub test_interval: NumberOrText,
    /// One deadline for all of a probe: names, redirects, body. Default: the smaller of 10 s and testInterval, but no
    /// less than 1 s. It may exceed testInterval: a check never overlaps itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
    pub retry_interval: Option<NumberOrText>,
    /// Slower answers are unhealthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
    pub runbook_url: Option<String>,
    /// How bad it is when it fails (default critical).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<SeveritySpec>,
    /// Probe: an HTTP or HTTPS request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
    /// Probe: a TCP connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<Tcp>,
    /// Target of an HTTP check as versions up to 0.2 wrote it; `http.url` is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<UrlText>,
    /// What the body must contain; the same as `http.searchFor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search_for: Option<SearchFor>,
    /// What the certificate must satisfy; the same as `sslCheck` inside the probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssl_check: Option<SslCheck>,
}

/// The addresses a probe may use.
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

/// A window in time: `schedule` and `duration`, or `start` and `end`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.schedule) && has(self.duration) && !has(self.start) && !has(self.end)) || (has(self.start) && has(self.end) && !has(self.schedule) && !has(self.duration) && !has(self.timeZone))").message("is neither recurring nor once; give schedule and duration, or start and end"))]
pub struct MaintenanceSpec {
    /// When it opens: a cron expression of five fields (minute, hour, day of month, month, day of week).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub schedule: Option<String>,
    /// How long it stays open: whole seconds or a duration ("2h").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<NumberOrText>,
    /// Time zone of the schedule (default UTC), such as Europe/Zurich.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// When it opens, once (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub start: Option<String>,
    /// When it closes (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub end: Option<String>,
}
