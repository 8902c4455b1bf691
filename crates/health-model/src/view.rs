//! Everything known about a check, in the one shape that REST, `probe -o json` and webhooks share.

use std::{collections::BTreeMap, net::SocketAddr};

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    CertificateFacts, CheckMeta, CheckSpec, Evidence, Outcome, Phases, ProbeKind, Reason, Severity, Standing, State,
};

/// Seconds per phase; an absent phase was not reached.
#[derive(Clone, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct PhasesView {
    /// Names into addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolve: Option<f64>,
    /// The transport's handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect: Option<f64>,
    /// The TLS handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<f64>,
    /// From request to first byte of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processing: Option<f64>,
    /// The rest of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transfer: Option<f64>,
}

impl From<&Phases> for PhasesView {
    fn from(phases: &Phases) -> Self {
        let Phases { resolve, connect, tls, processing, transfer } = phases;
        let seconds = |span: &Option<std::time::Duration>| span.map(|span| span.as_secs_f64());
        Self {
            resolve: seconds(resolve),
            connect: seconds(connect),
            tls: seconds(tls),
            processing: seconds(processing),
            transfer: seconds(transfer),
        }
    }
}

/// The peer's certificate.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateView {
    /// When the leaf expires.
    #[schema(value_type = String, format = DateTime)]
    pub not_after: Timestamp,
    /// When the leaf becomes valid.
    #[schema(value_type = String, format = DateTime)]
    pub not_before: Timestamp,
    /// When the first certificate of the chain expires.
    #[schema(value_type = String, format = DateTime)]
    pub chain_not_after: Timestamp,
    /// Distinguished name of the issuer.
    pub issuer: String,
    /// Distinguished name of the subject.
    pub subject: String,
    /// Names and addresses it is for.
    pub dns_names: Vec<String>,
    /// SHA-256 of the leaf, hexadecimal.
    pub fingerprint: String,
}

impl From<&CertificateFacts> for CertificateView {
    fn from(facts: &CertificateFacts) -> Self {
        let CertificateFacts {
            not_after,
            not_before,
            chain_not_after,
            issuer,
            subject,
            dns_names,
            chain_length: _,
            fingerprint,
        } = facts;
        Self {
            not_after: *not_after,
            not_before: *not_before,
            chain_not_after: *chain_not_after,
            issuer: issuer.clone(),
            subject: subject.clone(),
            dns_names: dns_names.clone(),
            fingerprint: fingerprint.clone(),
        }
    }
}

/// What a failed probe saw.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceView {
    /// Response headers, secrets redacted.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The first 4 KiB of the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Addresses and hops tried, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<String>,
}

impl From<&Evidence> for EvidenceView {
    fn from(evidence: &Evidence) -> Self {
        let Evidence { headers, body, attempts } = evidence;
        let mut joined = BTreeMap::<String, String>::new();
        for (name, value) in headers {
            joined
                .entry(name.clone())
                .and_modify(|all| {
                    all.push_str(", ");
                    all.push_str(value);
                })
                .or_insert_with(|| value.clone());
        }
        Self { headers: joined, body: body.clone(), attempts: attempts.clone() }
    }
}

/// Everything known about a check; absent means not known. Times are RFC 3339, durations seconds.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckView {
    /// The object's namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// The object's labels.
    pub labels: BTreeMap<String, String>,
    /// The probe's protocol.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<ProbeKind>,
    /// What is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What is believed.
    pub healthy: bool,
    /// The last word's state.
    pub state: State,
    /// The last word's reason.
    pub reason: Reason,
    /// The last word.
    pub response: String,
    /// How long the last probe took; absent where nothing was measured (a heartbeat, a pause of our own).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_time_seconds: Option<f64>,
    /// Where that time went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phases: Option<PhasesView>,
    /// The protocol's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
    /// The address that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_address: Option<String>,
    /// The peer's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateView>,
    /// When a probe last ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_checked: Option<Timestamp>,
    /// When `healthy` last turned.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_transition: Option<Timestamp>,
    /// Since when it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub failing_since: Option<Timestamp>,
    /// When it will be asked next.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_check: Option<Timestamp>,
    /// Whether the last word may no longer be true: then this check is not known to be healthy.
    pub stale: bool,
    /// Bad outcomes in a row.
    pub consecutive_failures: u32,
    /// How bad it is when it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runbook_url: Option<String>,
    /// What the last probe saw, when it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceView>,
}

impl CheckView {
    /// Puts together what is known. `overdue` is whether no probe ended for longer than [`crate::overdue_after`];
    /// `problem` says kind and target of a definition that could not be understood.
    pub fn new(
        meta: &CheckMeta,
        spec: Result<&CheckSpec, &crate::SpecProblem>,
        standing: &Standing,
        next_check: Option<Timestamp>,
        overdue: bool,
    ) -> Self {
        let outcome = standing.last_outcome.as_deref();
        let (kind, target) = match spec {
            Ok(spec) => (Some(spec.probe.kind()), Some(spec.probe.target())),
            Err(problem) => (problem.kind, problem.target.clone()),
        };
        let spec = spec.ok();
        Self {
            namespace: meta.id.namespace().to_owned(),
            name: meta.id.name().to_owned(),
            labels: meta.labels.clone(),
            kind,
            target,
            healthy: standing.healthy(),
            state: standing.state,
            reason: standing.reason,
            response: standing.response.clone(),
            response_time_seconds: outcome.and_then(Outcome::measured).map(|span| span.as_secs_f64()),
            phases: outcome.filter(|outcome| outcome.measured().is_some()).map(|outcome| (&outcome.phases).into()),
            status_code: outcome.and_then(|outcome| outcome.status_code),
            remote_address: outcome.and_then(|outcome| outcome.remote_address).map(shown),
            certificate: outcome.and_then(certificate_view),
            last_checked: standing.last_checked,
            last_transition: standing.last_transition,
            failing_since: standing.failing_since,
            next_check,
            stale: standing.stale() || overdue,
            consecutive_failures: standing.consecutive_failures,
            severity: spec.map(|spec| spec.severity),
            description: spec.and_then(|spec| spec.description.clone()),
            runbook_url: spec.and_then(|spec| spec.runbook_url.clone()),
            evidence: outcome.and_then(|outcome| outcome.evidence.as_deref()).map(Into::into),
        }
    }
}

/// Without a port where the protocol has none.
fn shown(address: SocketAddr) -> String {
    match address.port() {
        0 => address.ip().to_string(),
        _ => address.to_string(),
    }
}

fn certificate_view(outcome: &Outcome) -> Option<CertificateView> {
    outcome.certificate.as_deref().map(Into::into)
}
