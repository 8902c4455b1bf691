//! One file per protocol: how each kind of check is asked.
//!
//! [`Probes`] is the [`Prober`] that the engine is handed. It finds the protocol, keeps the one absolute deadline, runs the
//! probe once per address family asked for, and turns what came of it into an [`Outcome`]. A failed probe is a value with
//! a reason; nothing here panics, whatever a peer sends.
//!
//! A protocol is one file with one function, `probe(&Ask, &ItsProbe, &mut Trace) -> Result<String, Failure>`, and one arm
//! of `dispatch`. The text it returns is the `response` of a healthy check; everything else of the outcome is read from
//! the [`trace::Trace`]. It gets its connections from [`connect::Connector`] and need not look at the deadline: it is
//! dropped when that passes.

pub mod connect;
mod dialogue;
mod dns;
pub mod failure;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod grpc;
mod heartbeat;
mod http;
mod icmp;
mod retry_after;
mod starttls;
mod tcp;
pub mod tls;
pub mod trace;
mod udp;
mod websocket;

use std::{sync::Arc, time::Instant};

use connect::{AddressPolicy, ConnectSettings, Connector, Family, ResolverSettings};
use failure::Failure;
use health_model::{CheckSpec, Outcome, Probe, ProbeFuture, ProbeRequest, Prober, Reason, ReasonClass};
use trace::Trace;

/// What all probes of a process share.
#[derive(Clone, Debug, Default)]
pub struct ProbesSettings {
    /// Which targets may be asked (`--allow-targets`, `--deny-targets`).
    pub address_policy: AddressPolicy,
    /// Where names are looked up; the system's files by default.
    pub resolver: ResolverSettings,
}

/// The probes could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum ProbesError {}

/// Asks targets by every protocol there is.
#[derive(Clone, Debug)]
pub struct Probes {
    shared: Arc<Shared>,
}

/// The caches and bounds that all probes of a process share.
#[derive(Debug)]
struct Shared {
    connector: Connector,
    http: http::Shared,
}

/// One run of one probe: what every protocol is handed.
pub(crate) struct Ask<'a> {
    /// The way to every connection.
    pub(crate) connector: &'a Connector,
    /// All of the check.
    pub(crate) spec: &'a CheckSpec,
    /// The family this run is bound to.
    pub(crate) family: Family,
    /// What HTTP probes share.
    pub(crate) http: &'a http::Shared,
    /// When the run is dropped; for protocols whose verdict is spoken just before (a loss, say).
    pub(crate) deadline: Instant,
}

impl Probes {
    /// Sets up what all probes share. Reads the resolver's files; opens nothing.
    ///
    /// # Errors
    /// When what they share cannot be had.
    pub fn new(settings: ProbesSettings) -> Result<Self, ProbesError> {
        let ProbesSettings { address_policy, resolver } = settings;
        let connector = Connector::new(ConnectSettings { address_policy, resolver });
        Ok(Self { shared: Arc::new(Shared { connector, http: http::Shared::default() }) })
    }
}

/// A cache that the probes of a process share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cache {
    /// What is kept: `names`, `tls` (configurations) or `tokens` (OAuth 2).
    pub name: &'static str,
    /// How many there are now.
    pub entries: usize,
    /// How many there may be.
    pub limit: usize,
}

impl Probes {
    /// How full the shared caches are, at this moment.
    pub fn caches(&self) -> [Cache; 3] {
        let [names, tls] = self.shared.connector.levels();
        let levels = [("names", names), ("tls", tls), ("tokens", self.shared.http.tokens())];
        levels.map(|(name, (entries, limit))| Cache { name, entries, limit })
    }
}

impl Prober for Probes {
    fn probe(&self, request: ProbeRequest) -> ProbeFuture {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let ProbeRequest { id: _, spec, deadline } = request;
            let Shared { connector, http } = &*shared;
            let ask = |family| Ask { connector, spec: &spec, family, http, deadline };
            match Family::runs(spec.ip_family) {
                [family] => run(&ask(*family)).await,
                families => Box::pin(both(families, &ask)).await,
            }
        })
    }
}

/// Each family is asked, at once and by the same deadline; the first that fails speaks for the check.
async fn both<'a>(families: &[Family], ask: &impl Fn(Family) -> Ask<'a>) -> Outcome {
    let runs = families.iter().map(|&family| async move {
        let outcome = Box::pin(run(&ask(family))).await;
        (family, outcome)
    });
    let mut outcomes = futures::future::join_all(runs).await;
    let worst = outcomes.iter().position(|(_, outcome)| outcome.reason.class() != ReasonClass::Good);
    let (family, mut outcome) = outcomes.swap_remove(worst.unwrap_or(0));
    if worst.is_some() {
        outcome.response = format!("{} (over {})", outcome.response, family.as_str());
    } else if let Some(slowest) = outcomes.iter().map(|(_, other)| other.duration).max() {
        outcome.duration = outcome.duration.max(slowest);
    }
    outcome
}

/// One run under its deadline.
async fn run(ask: &Ask<'_>) -> Outcome {
    let mut trace = Trace::start();
    let result = tokio::time::timeout_at(ask.deadline.into(), dispatch(ask, &mut trace)).await;
    let result = result.unwrap_or_else(|_| Err(trace.timed_out()));
    let result = result.and_then(|response| fast_enough(ask, &trace, response));
    trace.finish(result)
}

/// `maxLatency`, of all that was well otherwise.
fn fast_enough(ask: &Ask<'_>, trace: &Trace, response: String) -> Result<String, Failure> {
    let Some(most) = ask.spec.max_latency else { return Ok(response) };
    let took = trace.elapsed();
    if took <= most {
        return Ok(response);
    }
    let (took, most) = (took.as_secs_f64() * 1000.0, most.as_secs_f64() * 1000.0);
    let message =
        format!("{response}: took {took:.0} ms, expected at most {most:.0} ms (maxLatency); {}", trace.slowest());
    Err(Failure::new(Reason::TooSlow, message))
}

/// The one place that knows which protocol is asked how. Only the two that most checks use live in the probe itself: what is in
/// flight by the thousand has to be small.
async fn dispatch(ask: &Ask<'_>, trace: &mut Trace) -> Result<String, Failure> {
    match &ask.spec.probe {
        Probe::Http(probe) => http::probe(ask, probe, trace).await,
        Probe::Tcp(probe) => tcp::probe(ask, probe, trace).await,
        Probe::Dns(probe) => Box::pin(dns::probe(ask, probe, trace)).await,
        Probe::Grpc(probe) => Box::pin(grpc::probe(ask, probe, trace)).await,
        Probe::Icmp(probe) => Box::pin(icmp::probe(ask, probe, trace)).await,
        Probe::WebSocket(probe) => Box::pin(websocket::probe(ask, probe, trace)).await,
        Probe::Udp(probe) => Box::pin(udp::probe(ask, probe, trace)).await,
        Probe::Heartbeat(_) => Err(heartbeat::probe()),
    }
}
