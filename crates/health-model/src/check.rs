//! What a check is once its manifest has been understood.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{CheckId, MaintenanceWindow, Probe, ProbeKind, Reason};

/// The longest default deadline of a probe.
const LONGEST_DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// The shortest default deadline of a probe.
const SHORTEST_DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);

/// The deadline of a check that names none: the smaller of 10 s and its interval, but no less than 1 s.
pub fn default_timeout(interval: Duration) -> Duration {
    interval.min(LONGEST_DEFAULT_TIMEOUT).max(SHORTEST_DEFAULT_TIMEOUT)
}

/// What is known of a check's object, whether or not its spec was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckMeta {
    /// Namespace and name.
    pub id: CheckId,
    /// `metadata.labels`.
    pub labels: BTreeMap<String, String>,
    /// `metadata.creationTimestamp`; absent where a manifest names none. It decides between twins.
    pub created: Option<Timestamp>,
    /// `metadata.generation`; 0 where there is none.
    pub generation: i64,
    /// `metadata.uid`, in a cluster.
    pub uid: Option<Arc<str>>,
}

/// A check as its source declares it: understood, or not, and then why. Both are shown; only the first is probed.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckDefinition {
    /// Whose definition it is.
    pub meta: CheckMeta,
    /// The spec, ready to be probed, or what is wrong with it.
    pub spec: Result<Arc<CheckSpec>, SpecProblem>,
}

/// Why a spec cannot be probed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct SpecProblem {
    /// [`Reason::InvalidConfiguration`] or [`Reason::CredentialsUnavailable`].
    pub reason: Reason,
    /// One line: field, value and remedy. Never holds a secret.
    pub message: String,
    /// The target, as far as it could be read.
    pub target: Option<String>,
    /// The probe's kind, as far as it could be read.
    pub kind: Option<ProbeKind>,
    /// The interval, as far as it could be read.
    pub interval: Option<Duration>,
}

/// The addresses a probe may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum IpFamily {
    /// Both families, raced (RFC 8305).
    #[default]
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// Each family is probed, and each must pass.
    Both,
}

/// How bad it is when a check fails; for people and for `minSeverity`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Somebody should look, during the day.
    Warning,
    /// Somebody must look now.
    #[default]
    Critical,
}

impl Severity {
    /// The word manifests write.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Everything a manifest's `spec` says, with defaults filled in and references resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckSpec {
    /// `testInterval`, at least 100 ms.
    pub interval: Duration,
    /// `timeout`: one absolute deadline for all of a probe. May exceed the interval.
    pub timeout: Duration,
    /// `suspend`: not probed.
    pub suspend: bool,
    /// `failureThreshold`, at least 1.
    pub failure_threshold: u32,
    /// `successThreshold`, at least 1.
    pub success_threshold: u32,
    /// `retryInterval`: how soon to ask again while a change is not confirmed by the thresholds.
    pub retry_interval: Duration,
    /// `maxLatency`: a slower answer is `TooSlow`.
    pub max_latency: Option<Duration>,
    /// `ipFamily`.
    pub ip_family: IpFamily,
    /// `dependsOn`: names in the same namespace.
    pub depends_on: Vec<Arc<str>>,
    /// `maintenance` windows.
    pub maintenance: Vec<MaintenanceWindow>,
    /// `description`, for people.
    pub description: Option<String>,
    /// `runbookUrl`, for people.
    pub runbook_url: Option<String>,
    /// `severity`.
    pub severity: Severity,
    /// The one probe section.
    pub probe: Probe,
}

impl CheckSpec {
    /// A spec that probes this way at this interval, with every other field at its default.
    pub fn new(interval: Duration, probe: Probe) -> Self {
        Self {
            interval,
            timeout: default_timeout(interval),
            suspend: false,
            failure_threshold: 1,
            success_threshold: 1,
            retry_interval: interval,
            max_latency: None,
            ip_family: IpFamily::Any,
            depends_on: Vec::new(),
            maintenance: Vec::new(),
            description: None,
            runbook_url: None,
            severity: Severity::default(),
            probe,
        }
    }

    /// Whether a maintenance window is open at this moment.
    pub fn in_maintenance(&self, now: Timestamp) -> bool {
        self.maintenance.iter().any(|window| window.contains(now))
    }
}
