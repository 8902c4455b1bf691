//! A prober that says what a test wrote, and definitions for it to be asked about. It dials nothing.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use health_model::{
    CheckDefinition, CheckId, CheckMeta, CheckSpec, Host, Outcome, Probe, ProbeFuture, ProbeRequest, Prober, TcpProbe,
    TlsOptions,
};

type Script = dyn Fn(ProbeRequest) -> ProbeFuture + Send + Sync;

/// Answers every probe by a closure, and remembers who was asked.
pub struct ScriptedProber {
    script: Box<Script>,
    asked: Mutex<Vec<CheckId>>,
}

impl ScriptedProber {
    /// Answers at once.
    pub fn new(script: impl Fn(&ProbeRequest) -> Outcome + Send + Sync + 'static) -> Arc<Self> {
        Self::slow(move |request| {
            let outcome = script(&request);
            async move { outcome }
        })
    }

    /// Answers when the future that the closure returns does.
    pub fn slow<F>(script: impl Fn(ProbeRequest) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        Arc::new(Self { script: Box::new(move |request| Box::pin(script(request))), asked: Mutex::default() })
    }

    /// Who was asked so far, in order.
    pub fn asked(&self) -> Vec<CheckId> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often this check was asked so far.
    pub fn times_asked(&self, id: &CheckId) -> usize {
        self.asked().iter().filter(|asked| *asked == id).count()
    }
}

impl Prober for ScriptedProber {
    fn probe(&self, request: ProbeRequest) -> ProbeFuture {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(request.id.clone());
        (self.script)(request)
    }
}

/// A definition of generation 1 without labels.
pub fn definition(namespace: &str, name: &str, spec: CheckSpec) -> CheckDefinition {
    CheckDefinition {
        meta: CheckMeta {
            id: CheckId::new(namespace, name),
            labels: BTreeMap::new(),
            created: None,
            generation: 1,
            uid: None,
        },
        spec: Ok(Arc::new(spec)),
    }
}

/// A TCP check of port 80 of `host`, everything else at its default.
pub fn tcp_spec(host: &str, interval: Duration) -> CheckSpec {
    CheckSpec::new(
        interval,
        Probe::Tcp(Box::new(TcpProbe {
            host: Host::parse(host),
            port: 80,
            dialogue: Vec::new(),
            expect_refused: false,
            tls: TlsOptions::default(),
            start_tls: None,
            certificate_expiry_days: None,
        })),
    )
}
