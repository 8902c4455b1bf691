//! Asking once, with everything at its default unless said otherwise.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use health_model::{CheckId, CheckSpec, Host, HttpProbe, Outcome, Probe, ProbeRequest, Prober, TcpProbe, TlsOptions};
use health_probes::{Probes, ProbesSettings};
use url::Url;

/// One address of each family, both of this host.
pub(crate) const FAMILIES: [&str; 2] = ["127.0.0.1", "::1"];

/// Longer than anything here takes, unless a test is about deadlines.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn probes() -> Probes {
    Probes::new(ProbesSettings::default()).unwrap()
}

pub(crate) fn spec(probe: Probe) -> CheckSpec {
    CheckSpec::new(Duration::from_secs(60), probe)
}

pub(crate) async fn ask(spec: CheckSpec) -> Outcome {
    ask_with(&probes(), spec, PATIENCE).await
}

pub(crate) async fn ask_within(spec: CheckSpec, patience: Duration) -> Outcome {
    ask_with(&probes(), spec, patience).await
}

pub(crate) async fn ask_with(probes: &Probes, spec: CheckSpec, patience: Duration) -> Outcome {
    let deadline = Instant::now() + patience;
    probes.probe(ProbeRequest { id: CheckId::new("default", "test"), spec: Arc::new(spec), deadline }).await
}

/// An outcome of each family's peer, which must be the same word for word: in its text, the peer's address is `PEER`, its IP
/// address alone `HOST`.
pub(crate) fn the_same(outcomes: Vec<(SocketAddr, Outcome)>) -> Outcome {
    let unnamed = outcomes.into_iter().map(|(peer, outcome)| {
        let response = outcome.response.replace(&peer.to_string(), "PEER").replace(&peer.ip().to_string(), "HOST");
        if let Some(remote) = outcome.remote_address {
            assert_eq!(remote, peer, "{response}");
        }
        Outcome { response, ..outcome }
    });
    let mut outcomes: Vec<Outcome> = unnamed.collect();
    let last = outcomes.pop().unwrap();
    for other in outcomes {
        assert_eq!((other.reason, &other.response), (last.reason, &last.response), "the families differ");
        let rest = |outcome: &Outcome| (outcome.status_code, outcome.retry_after.map(|wait| wait.as_secs() / 10));
        assert_eq!(rest(&other), rest(&last));
    }
    last
}

pub(crate) fn tcp(host: &str, port: u16) -> TcpProbe {
    TcpProbe {
        host: Host::parse(host),
        port,
        dialogue: Vec::new(),
        expect_refused: false,
        tls: TlsOptions::default(),
        start_tls: None,
        certificate_expiry_days: None,
    }
}

pub(crate) fn tcp_spec(probe: TcpProbe) -> CheckSpec {
    spec(Probe::Tcp(Box::new(probe)))
}

pub(crate) fn get(url: &str) -> HttpProbe {
    HttpProbe::get(Url::parse(url).unwrap())
}

pub(crate) fn http_spec(probe: HttpProbe) -> CheckSpec {
    spec(Probe::Http(Box::new(probe)))
}
