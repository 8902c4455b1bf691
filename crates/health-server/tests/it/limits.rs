//! What a client may not do: send endless heads, hold connections, take the server down.

use std::{sync::Arc, time::Duration};

use http::Method;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use health_model::{CheckId, Outcome};
use health_server::{HeartbeatRefused, HeartbeatSink, MetricsState, RestState, Telemetry, metrics_router, rest_router};

use crate::house::{House, good, heartbeat, listen, send};

async fn raw(house: &House, bytes: &[u8]) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(house.rest).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await.unwrap();
    answer.truncate(read);
    (stream, String::from_utf8(answer).unwrap())
}

#[tokio::test]
async fn a_path_that_is_not_there_is_a_404_problem() {
    let house = House::build().await;
    house.declare("default/web").await;
    for path in [
        "/nowhere",
        "/healthchecks/",
        "/api/v1/checks/",
        "/api/v1/checks/default/web/history",
        "/api/v1/checks/default/web/uptime",
        "/index.html",
    ] {
        house.get(path).await.problem(404);
    }
}

#[tokio::test]
async fn what_cannot_be_decoded_is_a_problem_too() {
    let house = House::build().await;
    house.declare("default/web").await;
    for path in ["/healthchecks/%FF", "/api/v1/checks/%FF/web"] {
        house.get(path).await.problem(404);
    }
    assert_eq!(house.get("/healthchecks?namespace=a&namespace=b").await.problem(400)["parameter"], "namespace");
    house.get("/healthchecks/web?namespace=a&namespace=b").await.problem(400);
    assert_eq!(house.get("/healthchecks?namespace=%FF").await.text(), "{}");
}

#[tokio::test]
async fn a_wrong_method_is_a_405_problem_and_says_what_is_allowed() {
    let house = House::build().await;
    for path in ["/", "/healthchecks", "/healthchecks/web", "/api/v1/checks", "/api/v1/gate", "/api/v1/events"] {
        let answer = send(house.rest, Method::DELETE, path, &[]).await;
        answer.problem(405);
        assert_eq!(answer.header("allow"), "GET,HEAD", "{path}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_431() {
    let house = House::build().await;
    let (_stream, answer) = raw(&house, format!("GET /{} HTTP/1.1\r\n", "x".repeat(64 * 1024)).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 414") || answer.starts_with("HTTP/1.1 431"), "{answer}");
    let many: String = (0..200).map(|number| format!("x-{number}: y\r\n")).collect();
    let (_stream, answer) = raw(&house, format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn garbage_is_400_and_the_next_client_is_served() {
    let house = House::build().await;
    let (_stream, answer) = raw(&house, b"\x16\x03\x01\x02\x00 hello\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(house.get("/healthchecks").await.status, 200);
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_after_thirty_seconds() {
    let house = House::build().await;
    let mut stream = TcpStream::connect(house.rest).await.unwrap();
    stream.write_all(b"GET /healthchecks HTTP/1.1\r\nhost: x\r\nx-slow: ").await.unwrap();
    assert_eq!(house.get("/healthchecks").await.status, 200, "the server has taken the slow connection too");
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!((29..=31).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_and_are_counted() {
    let house = House::build().await;
    let mut held = Vec::new();
    for _ in 0..64 {
        let mut stream = TcpStream::connect(house.metrics).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n").await.unwrap();
        held.push(stream);
    }
    let waiting = tokio::spawn(send(house.metrics, Method::GET, "/metrics", &[]));
    assert_eq!(house.get("/healthchecks").await.status, 200, "other listeners are not held up");
    assert!(!waiting.is_finished());
    drop(held);
    let scrape = waiting.await.unwrap();
    let hits = scrape
        .text()
        .lines()
        .find(|line| line.starts_with("healthcheck_http_connection_bound_hits_total{listener=\"metrics\"} "));
    assert_ne!(hits.unwrap().rsplit(' ').next(), Some("0"));
}

#[tokio::test]
async fn a_stop_lets_what_is_being_answered_finish_and_closes_idle_connections() {
    let mut house = House::build().await;
    house.check_that_says("default/web", good("fine")).await;
    let mut idle = TcpStream::connect(house.rest).await.unwrap();
    idle.write_all(b"GET /healthchecks HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 4096];
    assert!(idle.read(&mut answer).await.unwrap() > 0);
    let begun = std::time::Instant::now();
    house.shutdown.cancel();
    for server in house.servers.drain(..) {
        server.await.unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!(idle.read(&mut answer).await.unwrap_or(0), 0, "closed");
    assert!(TcpStream::connect(house.rest).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn answers_are_counted_by_class() {
    let house = House::build().await;
    house.get("/healthchecks").await;
    house.get("/nowhere").await;
    let scrape = send(house.metrics, Method::GET, "/metrics", &[]).await;
    for class in ["2xx", "4xx"] {
        let line = format!("healthcheck_http_answers_total{{listener=\"rest\",class=\"{class}\"}} 1");
        assert!(scrape.text().lines().any(|found| found == line), "{line}");
    }
}

struct Panics;

impl HeartbeatSink for Panics {
    fn report(&self, _id: &CheckId, _outcome: Outcome) -> Result<(), HeartbeatRefused> {
        panic!("as the test wants it to");
    }
}

#[tokio::test]
async fn a_handler_that_panics_is_a_500_problem_without_its_words_and_the_next_request_is_served() {
    let mut house = House::build().await;
    house.engine.apply(heartbeat("ops/backup", None)).await;
    let telemetry = Arc::new(Telemetry::default());
    let (board, shutdown) = (house.board(), house.shutdown.clone());
    let metrics = metrics_router(MetricsState {
        board: house.board(),
        telemetry: Arc::clone(&telemetry),
        collectors: Vec::new(),
    });
    let rest = rest_router(RestState {
        board,
        heartbeats: Arc::new(Panics),
        problems: house.problems.clone(),
        telemetry,
        shutdown: shutdown.clone(),
    });
    let rest = listen(rest, &shutdown, &mut house.servers).await;
    let metrics = listen(metrics, &shutdown, &mut house.servers).await;
    let answer = send(rest, Method::POST, "/api/v1/heartbeats/ops/backup", &[]).await;
    answer.problem(500);
    assert!(!answer.text().contains("as the test wants"));
    assert_eq!(send(rest, Method::GET, "/healthchecks", &[]).await.status, 200);
    let scrape = send(metrics, Method::GET, "/metrics", &[]).await;
    assert!(scrape.text().contains("healthcheck_http_panics_total{listener=\"rest\"} 1\n"));
    assert!(scrape.text().contains("healthcheck_http_answers_total{listener=\"rest\",class=\"5xx\"} 1\n"));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413_and_not_a_report() {
    let house = House::build().await;
    house.engine.apply(heartbeat("ops/backup", None)).await;
    let head = "POST /api/v1/heartbeats/ops/backup HTTP/1.1\r\nhost: x\r\ncontent-length: 20000\r\n\r\n";
    let (_stream, answer) = raw(&house, format!("{head}{}", "x".repeat(20_000)).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let row = house.board().get(&crate::house::parse("ops/backup")).unwrap();
    assert_eq!(row.tally.probes, 0);
}
