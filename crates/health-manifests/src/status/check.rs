//! `status` of a HealthCheck.

use health_model::{CheckView, Reason, ReasonClass, SpecProblem, Standing, State, Verdict};
use jiff::Timestamp;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, ConditionStatus, condition, time_schema};

/// Longest `response`, in characters.
const RESPONSE_LIMIT: usize = 4096;

/// How a check stands. Times are RFC 3339.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheckStatus {
    /// What is believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<bool>,
    /// When a probe last ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time_schema")]
    pub last_checked: Option<Timestamp>,
    /// The last word, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
    /// How long the last probe took, such as `234ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_time: Option<String>,
    /// `string` or `expression`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search_type: Option<String>,
    /// What was searched for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search_used: Option<String>,
    /// `Active`, `CheckBackoff` or `Errored`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// What is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Why it stands so: one word of a closed vocabulary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The protocol's code, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_code: Option<i64>,
    /// Since when it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time_schema")]
    pub failing_since: Option<Timestamp>,
    /// When `healthy` last turned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time_schema")]
    pub last_transition: Option<Timestamp>,
    /// Bad results in a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consecutive_failures: Option<i64>,
    /// When the peer's certificate expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "time_schema")]
    pub certificate_not_after: Option<Timestamp>,
    /// The generation of the spec that this status judges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Healthy` and `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// What a status is made of.
#[derive(Clone, Copy, Debug)]
pub struct StatusParts<'a> {
    /// What is known of the check.
    pub view: &'a CheckView,
    /// How it stands.
    pub standing: &'a Standing,
    /// `searchFor`, where the probe has one: the type's word and what is searched for.
    pub search: Option<(&'a str, &'a str)>,
    /// Why its spec cannot be probed.
    pub problem: Option<&'a SpecProblem>,
    /// `metadata.generation` of the definition.
    pub generation: i64,
}

impl HealthCheckStatus {
    /// The type of the condition that says what is believed.
    pub const HEALTHY: &'static str = "Healthy";
    /// The type of the condition that says whether the manifest was understood.
    pub const READY: &'static str = "Ready";

    /// Puts the status together. Conditions keep the transition times of `previous` while they say the same; `now`
    /// stands in where nothing better is known. Times are cut to milliseconds.
    pub fn from_parts(parts: StatusParts<'_>, previous: Option<&Self>, now: Timestamp) -> Self {
        let StatusParts { view, standing, search, problem, generation } = parts;
        let old = previous.map(|status| status.conditions.as_slice()).unwrap_or_default();
        Self {
            healthy: Some(view.healthy),
            last_checked: view.last_checked.map(to_milliseconds),
            response: Some(view.response.chars().take(RESPONSE_LIMIT).collect()),
            response_time: view.response_time_seconds.map(milliseconds_text),
            search_type: search.map(|(word, _)| word.to_owned()),
            search_used: search.map(|(_, used)| used.to_owned()),
            state: Some(view.state.as_str().to_owned()),
            target: view.target.clone(),
            reason: Some(view.reason.as_str().to_owned()),
            status_code: view.status_code.map(i64::from),
            failing_since: view.failing_since.map(to_milliseconds),
            last_transition: view.last_transition.map(to_milliseconds),
            consecutive_failures: Some(i64::from(view.consecutive_failures)),
            certificate_not_after: view.certificate.as_ref().map(|certificate| certificate.not_after),
            observed_generation: Some(generation),
            conditions: vec![healthy_condition(old, view, standing, now), ready_condition(old, problem, now)],
        }
    }

    /// How the check stood when this was written, to be taken over after a restart; `None` when it says nothing. The
    /// standing is marked as restored: it is stale until probed.
    pub fn to_standing(&self) -> Option<Standing> {
        // What cannot be probed has never been checked, and yet it has turned: that is not told again.
        self.last_checked.or(self.last_transition)?;
        let state = match self.state.as_deref() {
            Some("Errored") => State::Errored,
            Some("CheckBackoff") => State::CheckBackoff,
            _ => State::Active,
        };
        let healthy = self.healthy?;
        let reason = self.reason.as_deref().and_then(Reason::parse);
        let standing = Standing {
            verdict: match (healthy, self.last_transition) {
                (true, _) => Verdict::Healthy,
                (false, Some(_)) => Verdict::Failing,
                (false, None) => Verdict::Unknown,
            },
            state,
            reason: reason.unwrap_or(if healthy { Reason::Succeeded } else { Reason::Pending }),
            response: self.response.clone().unwrap_or_default(),
            last_checked: self.last_checked,
            last_transition: self.last_transition,
            failing_since: self.failing_since,
            consecutive_failures: self.consecutive_failures.and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
            consecutive_successes: 0,
            backoff_attempts: 0,
            backoff_until: None,
            restored: true,
            observed_generation: self.observed_generation.unwrap_or(0),
            last_outcome: None,
        };
        Some(standing.restore())
    }
}

fn healthy_condition(old: &[Condition], view: &CheckView, standing: &Standing, now: Timestamp) -> Condition {
    // A standing restored from before a restart still says what it said: a restart turns nothing.
    let overdue = view.stale && !standing.stale();
    let ours = matches!(standing.reason.class(), ReasonClass::Ours);
    let status = match standing.verdict {
        _ if overdue || ours => ConditionStatus::Unknown,
        Verdict::Unknown => ConditionStatus::Unknown,
        Verdict::Healthy => ConditionStatus::True,
        Verdict::Failing => ConditionStatus::False,
    };
    let since = if status == ConditionStatus::Unknown { now } else { view.last_transition.unwrap_or(now) };
    condition(old, HealthCheckStatus::HEALTHY, status, (view.reason.as_str(), &view.response), since)
}

fn ready_condition(old: &[Condition], problem: Option<&SpecProblem>, now: Timestamp) -> Condition {
    let said = match problem {
        None => ("Understood", "The manifest was understood"),
        Some(problem) => (problem.reason.as_str(), problem.message.as_str()),
    };
    condition(old, HealthCheckStatus::READY, problem.is_none().into(), said, now)
}

fn to_milliseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// Whole milliseconds; anything at all is at least one.
fn milliseconds_text(seconds: f64) -> String {
    let milliseconds = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default().as_micros().div_ceil(1000);
    format!("{milliseconds}ms")
}
