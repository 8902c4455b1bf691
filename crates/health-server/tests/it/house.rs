//! An engine with a scripted prober, the three servers on loopback, and a client that sends paths as they are written.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::body::Bytes;
use health_model::{CheckDefinition, CheckId, CheckSpec, HeartbeatProbe, Outcome, Probe, Reason, Standing};
use health_runner::{Board, Engine, EngineHandle, EngineSettings, Row, WallClock};
use health_server::{
    Condition, HealthState, MetricsState, Readiness, RestState, Service, SourceProblems, Telemetry, health_router,
    metrics_router, rest_router, serve,
};
use health_testkit::scripted::{ScriptedProber, definition, tcp_spec};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How often scripted checks are asked.
pub(crate) const INTERVAL: Duration = Duration::from_millis(100);

/// What the wiring would report.
#[derive(Default)]
pub(crate) struct Conditions(pub(crate) Mutex<Vec<Condition>>);

impl Readiness for Conditions {
    fn conditions(&self) -> Vec<Condition> {
        self.0.lock().unwrap().clone()
    }
}

/// What the prober says of each check; it waits for the words of one that has none yet.
type Script = watch::Sender<HashMap<CheckId, Outcome>>;

/// The whole of it; everything stops when it is dropped.
pub(crate) struct House {
    pub(crate) engine: EngineHandle,
    pub(crate) problems: Arc<Problems>,
    pub(crate) conditions: Arc<Conditions>,
    pub(crate) rest: SocketAddr,
    pub(crate) metrics: SocketAddr,
    pub(crate) health: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    pub(crate) servers: Vec<JoinHandle<()>>,
    script: Script,
    engine_dies: Arc<AtomicBool>,
    _stop: DropGuard,
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts that this is a problem with that status, and returns it.
    pub(crate) fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], "about:blank");
        assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
        problem
    }
}

/// What a test says is wrong with the source.
#[derive(Debug, Default)]
pub(crate) struct Problems(pub(crate) Mutex<Vec<String>>);

impl SourceProblems for Problems {
    fn problems(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl House {
    pub(crate) async fn build() -> Self {
        Self::remembering(HashMap::new()).await
    }

    pub(crate) async fn remembering(remembered: HashMap<CheckId, Standing>) -> Self {
        let script = Script::default();
        let lines = script.clone();
        let prober = ScriptedProber::slow(move |request| {
            let mut lines = lines.subscribe();
            async move {
                let said = lines.wait_for(|lines| lines.contains_key(&request.id)).await.unwrap();
                said[&request.id].clone()
            }
        });
        let shutdown = CancellationToken::new();
        let engine_dies = Arc::new(AtomicBool::new(false));
        let dies = Arc::clone(&engine_dies);
        let wall_clock: WallClock = Arc::new(move || {
            assert!(!dies.load(Ordering::Relaxed), "the engine dies, as the test wants it to");
            Timestamp::now()
        });
        let settings = EngineSettings { wall_clock, ..EngineSettings::default() };
        let engine = Engine::start(settings, prober, remembered, shutdown.clone());
        let conditions = Arc::new(Conditions::default());
        let telemetry = Arc::new(Telemetry::default());
        let board = engine.board();
        let problems = Arc::new(Problems::default());
        let rest = rest_router(RestState {
            board: Arc::clone(&board),
            heartbeats: Arc::new(engine.clone()),
            problems: problems.clone(),
            telemetry: Arc::clone(&telemetry),
            shutdown: shutdown.clone(),
        });
        let metrics = metrics_router(MetricsState {
            board: Arc::clone(&board),
            telemetry: Arc::clone(&telemetry),
            collectors: Vec::new(),
        });
        let readiness = Arc::clone(&conditions);
        let health = health_router(HealthState { board, readiness, telemetry });
        let mut servers = Vec::new();
        let rest = listen(rest, &shutdown, &mut servers).await;
        let metrics = listen(metrics, &shutdown, &mut servers).await;
        let health = listen(health, &shutdown, &mut servers).await;
        let _stop = shutdown.clone().drop_guard();
        Self { engine, problems, conditions, rest, metrics, health, shutdown, servers, script, engine_dies, _stop }
    }

    pub(crate) fn board(&self) -> Arc<Board> {
        self.engine.board()
    }

    /// Declares `namespace/name`, probed every 100 ms; it stays pending until [`House::says`] gives it words.
    pub(crate) async fn declare(&self, id: &str) {
        self.engine.apply(check(id)).await;
    }

    /// Declares a check and waits until it has said this.
    pub(crate) async fn check_that_says(&self, id: &str, outcome: Outcome) {
        self.says(id, outcome.clone());
        if self.board().get(&parse(id)).is_none() {
            self.declare(id).await;
        }
        let expected = (outcome.reason, outcome.response);
        self.until(id, |row| (row.standing.reason, row.standing.response.clone()) == expected).await;
    }

    /// What the prober says of a check from now on.
    pub(crate) fn says(&self, id: &str, outcome: Outcome) {
        self.script.send_modify(|lines| {
            lines.insert(parse(id), outcome);
        });
    }

    /// Waits until the row of a check is as wanted.
    pub(crate) async fn until(&self, id: &str, wanted: impl Fn(&Row) -> bool) -> Arc<Row> {
        let mut changes = self.board().subscribe();
        let id = parse(id);
        let found = async {
            loop {
                for change in changes.next().await {
                    if let Some(row) = change.row.filter(|row| change.id == id && wanted(row)) {
                        return row;
                    }
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), found).await.unwrap_or_else(|_| panic!("{id} never got there"))
    }

    /// Lets the engine die of a panic and 200 seconds pass, so that checks become overdue. Needs a heartbeat check to
    /// reach the engine by.
    pub(crate) async fn stall(&self, heartbeat: &str) {
        self.engine_dies.store(true, Ordering::Relaxed);
        self.engine.report(&parse(heartbeat), good("never taken in")).unwrap();
        self.engine.clone().stopped().await;
        tokio::time::pause();
        // In steps that a process that is awake would take: what jumps is a pause of ours, which does not count.
        for _ in 0..2000 {
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        tokio::time::resume();
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.rest, Method::GET, path, &[]).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        send(self.rest, Method::GET, path, headers).await
    }
}

/// Serves on a free port.
pub(crate) async fn listen(
    service: Service,
    shutdown: &CancellationToken,
    servers: &mut Vec<JoinHandle<()>>,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    servers.push(tokio::spawn(serve(listener, service, shutdown.clone())));
    address
}

pub(crate) fn parse(id: &str) -> CheckId {
    let (namespace, name) = id.split_once('/').unwrap();
    CheckId::new(namespace, name)
}

/// A TCP check that is asked every 100 ms, and may take an hour to answer.
pub(crate) fn check(id: &str) -> CheckDefinition {
    let id = parse(id);
    let spec = CheckSpec { timeout: Duration::from_secs(3600), ..tcp_spec("192.0.2.1", INTERVAL) };
    definition(id.namespace(), id.name(), spec)
}

/// The same with labels.
pub(crate) fn labelled(id: &str, labels: &[(&str, &str)]) -> CheckDefinition {
    let mut check = check(id);
    check.meta.labels =
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>();
    check
}

/// A heartbeat check, whose outcomes come in from outside.
pub(crate) fn heartbeat(id: &str, token: Option<&str>) -> CheckDefinition {
    let id = parse(id);
    let probe = Probe::Heartbeat(HeartbeatProbe { grace: Duration::ZERO, token: token.map(Into::into) });
    definition(id.namespace(), id.name(), CheckSpec::new(Duration::from_secs(60), probe))
}

pub(crate) fn good(response: &str) -> Outcome {
    Outcome { duration: Duration::from_millis(12), ..Outcome::new(Reason::Succeeded, response) }
}

pub(crate) fn bad(reason: Reason, response: &str) -> Outcome {
    Outcome { duration: Duration::from_millis(1500), ..Outcome::new(reason, response) }
}

/// Sends one request on a connection of its own; `path` goes onto the wire as it is.
pub(crate) async fn send(to: SocketAddr, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let stream = TcpStream::connect(to).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", to.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status, headers: parts.headers, body }
}
