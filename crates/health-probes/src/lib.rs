//! One file per protocol: how each kind of check is asked.
//!
//! [`Probes`] is the [`Prober`] that the engine is handed. It finds the protocol, keeps the one absolute deadline, runs the
//! probe once per address family asked for, and turns what came of it into an [`Outcome`]. A failed probe is a value with
//! a reason; nothing here panics, whatever a peer sends.

pub mod connect;
pub mod failure;
mod http;
mod tcp;
pub mod trace;

use std::{sync::Arc, time::Instant};

use connect::{Connector, Family};
use failure::Failure;
use health_model::{CheckSpec, Outcome, Probe, ProbeFuture, ProbeKind, ProbeRequest, Prober};
use trace::Trace;

/// What all probes of a process share.
#[derive(Clone, Debug, Default)]
pub struct ProbesSettings {}

/// The probes could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum ProbesError {}

/// Asks targets by every protocol there is.
#[derive(Clone, Debug)]
pub struct Probes {
    connector: Arc<Connector>,
}

/// One run of one probe: what every protocol is handed.
pub(crate) struct Ask<'a> {
    pub(crate) connector: &'a Connector,
    pub(crate) spec: &'a CheckSpec,
    pub(crate) family: Family,
}

impl Probes {
    /// Sets up what all probes share.
    ///
    /// # Errors
    /// When what they share cannot be had.
    pub fn new(settings: ProbesSettings) -> Result<Self, ProbesError> {
        let ProbesSettings {} = settings;
        Ok(Self { connector: Arc::default() })
    }
}

impl Prober for Probes {
    fn probe(&self, request: ProbeRequest) -> ProbeFuture {
        let connector = Arc::clone(&self.connector);
        Box::pin(async move {
            let ask =
                Ask { connector: &connector, spec: &request.spec, family: Family::runs(request.spec.ip_family)[0] };
            run(&ask, request.deadline).await
        })
    }
}

/// One run under its deadline.
async fn run(ask: &Ask<'_>, deadline: Instant) -> Outcome {
    let mut trace = Trace::start();
    let result = tokio::time::timeout_at(deadline.into(), dispatch(ask, &mut trace)).await;
    trace.finish(result.unwrap_or_else(|_| Err(Failure::timeout())))
}

/// The one place that knows which protocol is asked how.
async fn dispatch(ask: &Ask<'_>, trace: &mut Trace) -> Result<String, Failure> {
    match &ask.spec.probe {
        Probe::Http(probe) => http::probe(ask, probe, trace).await,
        Probe::Tcp(probe) => tcp::probe(ask, probe, trace).await,
        Probe::Dns(_) => Err(not_supported_yet(ProbeKind::Dns)),
        Probe::Grpc(_) => Err(not_supported_yet(ProbeKind::Grpc)),
        Probe::Icmp(_) => Err(not_supported_yet(ProbeKind::Icmp)),
        Probe::WebSocket(_) => Err(not_supported_yet(ProbeKind::WebSocket)),
        Probe::Udp(_) => Err(not_supported_yet(ProbeKind::Udp)),
        Probe::Heartbeat(_) => Err(not_supported_yet(ProbeKind::Heartbeat)),
    }
}

fn not_supported_yet(kind: ProbeKind) -> Failure {
    Failure::configuration(format!("{} checks are not supported yet", kind.as_str()))
}
