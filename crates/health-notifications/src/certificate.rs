//! Which certificate an alert about an expiring one is about: told once per host, certificate and threshold.
//!
//! The identity is the host, the day on which the first certificate of the chain expires, and the threshold. A CDN that
//! answers with another copy at every connection is one certificate that way, and a renewed one is a new one.

use std::sync::Arc;

use health_model::{CheckId, Probe, Reason};

use crate::{
    input::CheckSnapshot,
    lane::Lane,
    ledger::{Entry, Phase},
};

/// The identity, when the check fails because its certificate expires.
pub(crate) fn identity(check: &CheckSnapshot) -> Option<Arc<str>> {
    if check.standing.reason != Reason::CertificateExpiring {
        return None;
    }
    let spec = check.definition.spec.as_ref().ok()?;
    let threshold = match &spec.probe {
        Probe::Http(http) => http.certificate_expiry_days,
        Probe::Tcp(tcp) => tcp.certificate_expiry_days,
        Probe::Grpc(grpc) => grpc.certificate_expiry_days,
        Probe::Dns(_) | Probe::Icmp(_) | Probe::WebSocket(_) | Probe::Udp(_) | Probe::Heartbeat(_) => None,
    }?;
    let facts = check.standing.last_outcome.as_ref()?.certificate.as_ref()?;
    let day = facts.chain_not_after.strftime("%Y-%m-%d");
    Some(format!("{} {day} {threshold}d", spec.probe.host_key()?).into())
}

/// A certificate is told of once per destination; what fails for another reason as well is told.
pub(crate) fn silence_twin(lane: &Lane, check: &CheckId, entry: &mut Entry, before: Option<&Entry>) {
    if entry.reason != Reason::CertificateExpiring {
        if std::mem::take(&mut entry.silent) {
            entry.phase = Phase::Holding;
            entry.told_at = None;
        }
        return;
    }
    let fresh = before.is_none_or(|before| before.phase == Phase::Past);
    if !fresh || entry.certificate.is_none() {
        return;
    }
    let told_before = before.is_some_and(|before| before.certificate == entry.certificate);
    let told_elsewhere = lane.entries.iter().any(|(other, twin)| {
        other != check
            && twin.certificate == entry.certificate
            && twin.reason == Reason::CertificateExpiring
            && twin.phase != Phase::Holding
    });
    if told_before || told_elsewhere {
        entry.silent = true;
        entry.phase = Phase::Told;
    }
}
