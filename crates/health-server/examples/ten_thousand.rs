//! Measures what 10 000 checks cost the servers while 1 000 outcomes per second come in:
//! `cargo run --release -p health-server --example ten_thousand`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that prints, or fails by panicking")]

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::body::Bytes;
use health_model::{
    CheckDefinition, CheckId, CheckMeta, CheckSpec, HeartbeatProbe, Outcome, Phases, Probe, ProbeFuture, ProbeRequest,
    Prober, Reason,
};
use health_runner::{Engine, EngineHandle, EngineSettings};
use health_server::{MetricsState, RestState, Service, SourceProblems, Telemetry, metrics_router, rest_router, serve};
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const CHECKS: usize = 10_000;
const ROUNDS: usize = 50;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let shutdown = CancellationToken::new();
    let engine = Engine::start(EngineSettings::default(), Arc::new(Nobody), HashMap::new(), shutdown.clone());
    engine.replace_all((0..CHECKS).map(check).collect()).await;
    let telemetry = Arc::new(Telemetry::default());
    let rest = listen(
        rest_router(RestState {
            board: engine.board(),
            heartbeats: Arc::new(engine.clone()),
            problems: Arc::new(Nothing),
            telemetry: Arc::clone(&telemetry),
            shutdown: shutdown.clone(),
        }),
        &shutdown,
    );
    let metrics =
        listen(metrics_router(MetricsState { board: engine.board(), telemetry, collectors: Vec::new() }), &shutdown);
    let (rest, metrics) = (rest.await, metrics.await);
    let busy = tokio::spawn(outcomes(engine.clone()));
    tokio::time::sleep(Duration::from_secs(12)).await;
    for (name, address, path) in [
        ("/healthchecks", rest, "/healthchecks"),
        ("/api/v1/checks, 500", rest, "/api/v1/checks"),
        ("/api/v1/checks, all", rest, "/api/v1/checks?limit=10000"),
        ("/metrics", metrics, "/metrics"),
    ] {
        measure(name, address, path).await;
    }
    busy.abort();
    tokio::time::sleep(Duration::from_millis(200)).await;
    measure("/healthchecks, idle board", rest, "/healthchecks").await;
    shutdown.cancel();
}

/// Nothing is wrong with the source.
struct Nothing;

impl SourceProblems for Nothing {
    fn problems(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Heartbeats are not probed.
struct Nobody;

impl Prober for Nobody {
    fn probe(&self, _request: ProbeRequest) -> ProbeFuture {
        Box::pin(std::future::pending())
    }
}

fn check(number: usize) -> CheckDefinition {
    let probe = Probe::Heartbeat(HeartbeatProbe { grace: Duration::ZERO, token: None });
    CheckDefinition {
        meta: CheckMeta {
            id: CheckId::new("default", format!("service-{number:05}")),
            labels: BTreeMap::new(),
            created: None,
            generation: 1,
            uid: None,
        },
        spec: Ok(Arc::new(CheckSpec::new(Duration::from_secs(3600), probe))),
    }
}

async fn listen(service: Service, shutdown: &CancellationToken) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, service, shutdown.clone()));
    address
}

/// 1 000 outcomes per second, as many checks probed every 10 s would give.
async fn outcomes(engine: EngineHandle) {
    let span = |millis| Some(Duration::from_millis(millis));
    let outcome = Outcome {
        duration: Duration::from_millis(42),
        status_code: Some(200),
        phases: Phases { resolve: span(1), connect: span(1), tls: None, processing: span(30), transfer: span(10) },
        ..Outcome::new(Reason::Succeeded, "200 OK")
    };
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let ids: Vec<_> = engine.board().rows().iter().map(|row| row.id().clone()).collect();
    for batch in ids.chunks(10).cycle() {
        ticks.tick().await;
        for id in batch {
            let _a_full_queue_is_fewer_outcomes = engine.report(id, outcome.clone());
        }
    }
}

async fn measure(name: &str, address: SocketAddr, path: &str) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut took = Vec::new();
    let mut bytes = 0;
    for _ in 0..ROUNDS {
        let request = Request::get(path).header("host", "x").body(Empty::<Bytes>::new()).unwrap();
        let begun = Instant::now();
        let response = sender.send_request(request).await.unwrap();
        bytes = response.into_body().collect().await.unwrap().to_bytes().len();
        took.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    took.sort_unstable();
    let millis = |share: usize| took[took.len() * share / 100].as_secs_f64() * 1e3;
    println!("{name:28} {:>6} KiB   p50 {:6.2} ms   p90 {:6.2} ms", bytes / 1024, millis(50), millis(90));
}
