//! `heartbeat`: nothing to ask. Something else reports in, and the engine keeps the time.

use health_model::ProbeKind;

use crate::failure::Failure;

/// Says that a heartbeat cannot be probed; the engine never asks, `probe -f` may.
pub(crate) fn probe() -> Failure {
    Failure::configuration(format!(
        "{}: is passive and cannot be probed; report in by POST /api/v1/heartbeats/{{namespace}}/{{name}}",
        ProbeKind::Heartbeat.as_str()
    ))
}
